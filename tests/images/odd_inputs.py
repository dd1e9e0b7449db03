"""Odd files as users have them, with what is to be read in each, or the error.

A case writes its file into a folder; `ODD_INPUTS` is the table. `image` is what an upright, eight-bit RGB version of
it looks like, so that reading it is tested without a network; `words` are what a whole pipeline should find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.images import odd_files
from tests.images import odd_images as pic
from tests.images.odd_images import CLEAN, CLEAN_ARRAY, JPEG, PDF, PNG, WORDS, encode


@dataclass(frozen=True)
class OddInput:
    """One case.

    Attributes:
        name: of the case.
        make: writes the file into a folder and gives its path.
        words: what can be read on the first page; empty for images without text.
        image: gray (H, W) uint8 of the first page as it should be loaded; None: not looked at.
        tolerance: mean difference from `image`, in gray levels.
        shape: (height, width) of pages without an `image`.
        error: a phrase of the one-line error; empty for what can be read.
        options: of `read_pages`.
        pages: how many it gives.
        needs: a module without which the case is skipped.
        huge: reading it through the networks takes most of a minute, and shows nothing that loading it does not.
        warns: phrases of the warnings that are logged, in order; nothing else may be.
    """

    name: str
    make: Callable[[Path], Path]
    words: tuple[str, ...] = ()
    image: np.ndarray | None = None
    tolerance: float = 1.0
    shape: tuple[int, int] | None = None
    error: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    pages: int = 1
    needs: str = "PIL"
    warns: tuple[str, ...] = ()
    huge: bool = False


def writes(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Path], Path]:
    """A maker of a file of these contents."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data() if callable(data) else data)
        return path

    return make


def reads(name: str, file: str, data: bytes | Callable[[], bytes], tolerance: float = 1.0, **more: Any) -> OddInput:
    """A case whose image is, unless said otherwise, the clean one."""
    values = {"words": WORDS, "image": CLEAN_ARRAY, "tolerance": tolerance, **more}
    return OddInput(name, writes(file, data), **values)


def fails(name: str, file: str, data: bytes | Callable[[], bytes], error: str, **more: Any) -> OddInput:
    return OddInput(name, writes(file, data), error=error, **more)


def _fifo(folder: Path) -> Path:
    """A pipe, as the shell's <(command) gives, with somebody who writes into it."""
    import os
    import threading

    path = folder / "pipe"
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(encode(CLEAN, "PNG"),), daemon=True).start()
    return path


def _folder(folder: Path) -> Path:
    (folder / "scans.png").mkdir()
    return folder / "scans.png"


def _link(folder: Path) -> Path:
    (folder / "link.png").symlink_to(writes("target.png", encode(CLEAN, "PNG"))(folder))
    return folder / "link.png"


READABLE = [
    reads("JPEG", "a.jpg", JPEG),
    reads("JPEG named PNG", "a.png", JPEG),
    reads("PNG without a suffix", "scan", PNG, 0),
    reads("name with umlauts and ideographs", "größe 文字.png", PNG, 0),
    reads("name with a space and a line break", "a b\nc.png", PNG, 0),
    OddInput("symbolic link", _link, WORDS, CLEAN_ARRAY, 0),
    OddInput("pipe", _fifo, WORDS, CLEAN_ARRAY, 0),
    reads("progressive JPEG", "a.jpg", encode(CLEAN, "JPEG", quality=95, progressive=True)),
    reads("JPEG in CMYK as Adobe stores it", "a.jpg", encode(CLEAN.convert("CMYK"), "JPEG", quality=95)),
    reads("JPEG without its end mark", "a.jpg", JPEG[:-2]),
    reads("JPEG followed by something else", "a.jpg", JPEG + b"more" * 99),
    reads("JPEG with huge EXIF data", "a.jpg", pic.with_huge_exif),
    reads("JPEG with damaged EXIF data", "a.jpg", encode(CLEAN, "JPEG", quality=95, exif=b"Exif\0\0MM\0*\0\0\xff\xff")),
    reads("image with a color profile", "a.png", lambda: encode(CLEAN, "PNG", icc_profile=pic.srgb_profile()), 0),
    reads("RGBA, dark on nothing", "a.png", encode(pic.on_nothing(0), "PNG")),
    reads("RGBA, light on nothing", "a.png", encode(pic.on_nothing(255), "PNG"), image=pic.NEGATIVE),
    reads("RGBA, both on nothing", "a.png", pic.black_and_white_on_nothing, image=pic.BLACK_AND_WHITE),
    reads("palette with transparency", "a.png", pic.transparent_palette, image=pic.BILEVEL_ARRAY),
    reads("gray with alpha", "a.png", encode(pic.on_nothing(0).convert("LA"), "PNG")),
    reads("interlaced PNG", "a.png", lambda: odd_files.interlaced_png(CLEAN_ARRAY), 0),
    reads("PNG, 16 bits, gray", "a.png", encode(pic.GRAY16, "PNG"), 0),
    reads("PNG, 12 bits in 16, gray", "a.png", encode(pic.GRAY12, "PNG")),
    reads("PNG, 16 bits, RGB", "a.png", lambda: odd_files.rgb16_png(pic.CLEAN_RGB), 0),
    reads("PNG of one bit", "a.png", encode(pic.BILEVEL, "PNG"), 0, image=pic.BILEVEL_ARRAY),
    reads("animated PNG", "a.png", pic.frames("PNG"), 0),
    reads("TIFF, 16 bits, RGB", "a.tif", lambda: odd_files.rgb16_tiff(pic.CLEAN_RGB), 0),
    reads("TIFF of a fax machine", "a.tif", pic.FAX, 0, image=pic.BILEVEL_ARRAY),
    reads("TIFF, floating point", "a.tif", encode(pic.FLOATS, "TIFF"), 0),
    reads("TIFF in CMYK", "a.tif", encode(CLEAN.convert("CMYK"), "TIFF", compression="tiff_lzw")),
    reads("TIFF in L*a*b*", "a.tif", pic.in_lab, 10.0),  # lightness is not linear in gray levels
    reads("TIFF of three pages", "a.tif", pic.frames("TIFF"), 0, pages=3),
    reads("BMP", "a.bmp", encode(CLEAN, "BMP"), 0),
    reads("PPM", "a.ppm", encode(CLEAN, "PPM"), 0),
    reads("GIF", "a.gif", encode(CLEAN, "GIF"), 0),
    reads("animated GIF", "a.gif", pic.frames("GIF"), 0),
    reads("animated GIF, every frame", "a.gif", pic.frames("GIF"), 0, options={"frames": "all"}, pages=3),
    reads("WebP", "a.webp", encode(CLEAN, "WEBP", quality=95), 2.0),
    reads("animated WebP", "a.webp", pic.frames("WEBP", lossless=True), 0),
    reads("AVIF", "a.avif", lambda: encode(CLEAN, "AVIF", quality=95, speed=10), needs="PIL.AvifImagePlugin"),
    reads("HEIC", "a.heic", pic.in_heic, needs="pillow_heif"),
    reads("JPEG 2000", "a.jp2", lambda: encode(CLEAN, "JPEG2000"), 0),
    *[reads(f"EXIF orientation {i}", "a.jpg", pic.turned_by_exif(i)) for i in range(2, 9)],
    reads("light on dark", "a.png", encode(pic.draw_words(ink=255, ground=20), "PNG"), 20, image=pic.NEGATIVE),
    reads("upside down", "a.png", encode(CLEAN.rotate(180), "PNG"), 0, image=CLEAN_ARRAY[::-1, ::-1]),
    reads("on its side", "a.png", encode(CLEAN.rotate(90, expand=True), "PNG"), 0, image=np.rot90(CLEAN_ARRAY)),
    reads("stacked letters", "a.png", encode(pic.STACKED, "PNG"), 0, words=("M", "A", "R"), image=pic.STACKED_ARRAY),
    reads("long line", "a.png", encode(pic.LONG, "PNG"), 0, words=("quiet", "more"), image=np.asarray(pic.LONG)),
    reads("one pixel", "a.png", encode(Image.new("L", (1, 1)), "PNG"), 0, words=(), image=CLEAN_ARRAY[:1, :1] * 0),
    reads("1 x 5000", "a.png", encode(Image.new("L", (1, 5000)), "PNG"), words=(), image=None, shape=(5000, 1)),
    reads("5000 x 1", "a.png", encode(Image.new("L", (5000, 1)), "PNG"), words=(), image=None, shape=(1, 5000)),
    reads("blank", "a.png", encode(Image.new("L", (400, 300), 255), "PNG"), words=(), image=None, shape=(300, 400)),
    reads(
        "12000 x 12000", "a.png", lambda: odd_files.bomb_png(12_000), words=(), image=None,
        shape=(12_000, 12_000), huge=True,
    ),
    reads(
        "JPEG cut off below the text", "a.jpg", lambda: pic.cut_jpeg(0.8), words=WORDS, image=None,
        shape=(240, 360), warns=("is cut off",),
    ),
    reads("PDF", "a.pdf", PDF, image=None, shape=pic.PDF_SHAPE, pages=2, needs="pypdfium2"),
    reads("PDF named image", "a.jpg", PDF, image=None, shape=pic.PDF_SHAPE, pages=2, needs="pypdfium2"),
    reads(
        "PDF with its password", "a.pdf", pic.LOCKED_PDF, image=None, shape=pic.PDF_SHAPE, needs="pypdfium2",
        options={"password": pic.PASSWORD},
    ),
    reads("PDF of a scan", "a.pdf", encode(CLEAN.convert("RGB"), "PDF", resolution=100), 2.0, needs="pypdfium2"),
]  # fmt: skip

FAILING = [
    fails("nothing", "a.png", b"", "is empty (0 bytes)"),
    fails("text named JPEG", "a.jpg", b"Dear Sir or Madam,\n" * 9, "is not a readable image"),
    fails("web page named PNG", "a.png", b"<!doctype html><title>404</title>", "is not a readable image"),
    fails("SVG", "a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a readable image"),
    fails("zip archive", "a.jpg", b"PK\3\4" + bytes(99), "is not a readable image"),
    fails("noise", "a.jpg", np.random.default_rng(0).bytes(5000), "is not a readable image"),
    OddInput("missing", lambda folder: folder / "missing.jpg", error="no such file"),
    OddInput("folder", _folder, error="is a folder"),
    OddInput("null character in the name", lambda folder: Path("a\0b.png"), error="cannot read"),
    OddInput("name that is too long", lambda folder: folder / ("a" * 300 + ".png"), error="cannot read"),
    fails("JPEG cut off in the text", "a.jpg", lambda: pic.cut_jpeg(0.1), "the file is cut off"),
    fails("JPEG of a header only", "a.jpg", JPEG[:30], "is damaged"),
    fails("JPEG of too many scans", "a.jpg", JPEG[:-2] + b"\xff\xda\0\0" * 200 + JPEG[-2:], "more than 100 scans"),
    fails("PNG cut off", "a.png", PNG[: len(PNG) // 2], "is damaged"),
    fails("WebP cut off", "a.webp", encode(CLEAN, "WEBP")[:-200], "is damaged"),
    fails("GIF cut off", "a.gif", encode(CLEAN, "GIF")[:-500], "is damaged"),
    fails("TIFF cut off", "a.tif", encode(CLEAN, "TIFF")[:-9000], "is damaged"),
    fails("PNG bomb", "a.png", odd_files.bomb_png, "is too large: 30000x30000 is 900.0 million pixels"),
    fails("GIF bomb", "a.gif", odd_files.bomb_gif(), "is too large: 65535x65535"),
    fails("floating point of an unknown range", "a.tif", encode(pic.FLOATS_TO_9999, "TIFF"), "floating-point"),
    fails("PDF without its password", "a.pdf", pic.LOCKED_PDF, "is encrypted: give its password", needs="pypdfium2"),
    fails(
        "PDF with a wrong password", "a.pdf", pic.LOCKED_PDF, "the password is wrong", needs="pypdfium2",
        options={"password": "nein"},
    ),
    fails("PDF cut off", "a.pdf", PDF[:100], "is a damaged PDF document", needs="pypdfium2"),
    fails("PDF without pages", "a.pdf", odd_files.pdf([], pages=0), "without pages", needs="pypdfium2"),
    fails("PDF without the page asked for", "a.pdf", PDF, "none of the", needs="pypdfium2", options={"pages": "3-"}),
]  # fmt: skip

ODD_INPUTS = [*READABLE, *FAILING]
