"""Series of labeled screenshots of HTML pages, in windows, colors and fonts at random."""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ppocr_jax.charset import Charset, english_charset
from ppocr_jax.data.labels import Region
from ppocr_jax.data.labels.records import ignore_region, text_region
from ppocr_jax.errors import UserError
from ppocr_jax.synth.browser import Browser, PageError, Screenshot, Window
from ppocr_jax.synth.fonts import FontFace, FontPicker, NoFontsError, find_fonts, split_fonts

logger = logging.getLogger("ppocr_jax")

_SUFFIXES = {".html", ".htm", ".xhtml"}
_LEAST_CHARACTERS = 40  # in the labels of a screenshot; with fewer, another page or place is tried
_TRIES = 40
# A font that lacks more of a charset's letters is for another language; what it lacks, the browser takes from others.
_LEAST_LETTERS = 0.75
# (share, least and largest width, least and largest height in CSS pixels, scales): phones, tablets, desktops.
_WINDOWS = (
    (0.3, (320, 480), (560, 900), (1.0, 1.5, 2.0, 3.0)),
    (0.25, (600, 900), (560, 1000), (1.0, 1.0, 1.5, 2.0)),
    (0.45, (1000, 1440), (600, 900), (0.8, 1.0, 1.0, 1.0, 1.25)),
)
_LARGEST_SIDE = 1800  # image pixels
_SIZES = (11, 12, 13, 14, 14, 15, 16, 16, 16, 17, 18, 20, 24)  # of a font, in CSS pixels
_QUALITIES = (60, 95)  # of JPEG files
# Signs of typography -> how a charset without them writes them. Those that the charset has stay.
_PLAIN = {
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("•●▪■◦·", "*"),
    "…": "...",
    "‹": "<",
    "›": ">",
    "⁄": "/",
    **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # full-width forms of ASCII
    **dict(zip("ﬀﬁﬂﬃﬄ", ("ff", "fi", "fl", "ffi", "ffl"), strict=True)),
}


def find_pages(paths: Sequence[Path]) -> list[Path]:
    """Return HTML files, and those in folders and their subfolders, sorted within each folder.

    Raises:
        UserError: A path does not exist, or there is no HTML file.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)))
        elif path.is_file():
            found[path] = None
        else:
            raise UserError(f"no such file or folder: {path}")
    if not found:
        raise UserError(f"no HTML files (.html, .htm, .xhtml) in {', '.join(map(str, paths))}")
    return list(found)


def installed_fonts() -> list[Path] | None:
    """Return the font files that the browser uses, from `fc-list`; None if there is no such program."""
    program = shutil.which("fc-list")
    if program is None:
        return None
    done = subprocess.run([program, "--format", "%{file}\\n"], capture_output=True, text=True, check=False)
    files = sorted({Path(line) for line in done.stdout.splitlines() if line})
    return [file for file in files if file.is_file()] or None


def find_families(charset: Charset | None, *, exclude: Sequence[str] = ()) -> tuple[list[FontFace], frozenset[str]]:
    """Return the faces of the system's fonts that can write a charset, and the characters that any font has.

    Args:
        charset: The charset; None stands for letters and digits.
        exclude: Words; a font with one of them in its name is left out.

    Raises:
        UserError: There are no such fonts.
    """
    try:
        faces = find_fonts(installed_fonts())
    except NoFontsError as error:
        raise UserError(str(error)) from error
    letters = {c for c in (charset or english_charset()).characters if c.isalpha()}
    least = _LEAST_LETTERS * len(letters)
    wanted = [face for face in split_fonts(faces, exclude)[0] if len(letters & face.characters) >= least]
    if not wanted:
        raise UserError("no font has the letters of the charset; install some, or exclude fewer with --fonts-exclude")
    return wanted, frozenset().union(*(face.characters for face in faces))


@dataclass(frozen=True)
class ScreenshotSeries:
    """Series of screenshots for `dataset.write_folder`; a sample is a function of the series and its index.

    Attributes:
        pages: HTML files.
        browser: A running browser.
        fonts: Faces whose families are used.
        drawable: Characters that some font has; lines with others are ignored, because they are drawn as boxes.
        charset: Characters of labels; lines with others are ignored. None keeps all.
        seed: Seed of the series.
        words: Whether the regions are words instead of lines.
        suffix: "png" or "jpg", the format of the image files.
        plain: Whether pages keep their own style.
        on_page: Is called with the name of the page for each sample.
    """

    pages: Sequence[Path]
    browser: Browser
    fonts: Sequence[FontFace]
    drawable: frozenset[str]
    charset: Charset | None = None
    seed: int = 0
    words: bool = False
    suffix: str = "png"
    plain: bool = False
    on_page: Callable[[str], None] = lambda name: None
    kind: str = "det"
    _bad: set[Path] = field(default_factory=set)

    def sample(self, index: int) -> tuple[np.ndarray, tuple[Region, ...]]:
        """Return (image, regions) number `index`; the image is (h, w, 3) uint8 RGB.

        Pages that cannot be opened, and places with little text, are replaced by others.

        Raises:
            UserError: None of the pages that were tried can be opened and has enough text.
        """
        rng = np.random.default_rng((self.seed, index))
        picker = FontPicker(self.fonts, self.charset or english_charset())
        for _ in range(_TRIES):
            page = self.pages[int(rng.integers(len(self.pages)))]
            window = random_window(rng)
            css, ground = random_style(rng, picker)
            if self.plain:
                css, ground = "", None
            if page in self._bad:
                continue
            try:
                shot = self.browser.screenshot(page, window, css=css, ground=ground)
            except PageError as error:
                logger.warning("%s", error)
                self._bad.add(page)
                continue
            regions = self._regions(shot)
            if sum(len(region.text) for region in regions if not region.ignore) >= _LEAST_CHARACTERS:
                self.on_page(str(page))
                return shot.image_rgb, regions
        if len(self._bad) == len(self.pages):
            raise UserError("none of the pages can be opened")
        raise UserError(
            f"none of {_TRIES} windows on {len(self.pages)} pages shows enough text "
            f"({_LEAST_CHARACTERS} characters{' of the charset' if self.charset else ''}) in whole lines"
        )

    def _regions(self, shot: Screenshot) -> tuple[Region, ...]:
        regions = shot.words if self.words else shot.lines
        return tuple(region if region.ignore else self._known(region) for region in regions)

    def _known(self, region: Region) -> Region:
        """Return a region with its text in the charset, or an ignored one."""
        text = region.text if self.charset is None else folded(region.text, self.charset)
        if text is None or not self.drawable.issuperset(region.text):
            return ignore_region(region.points)
        return text_region(region.points, text)

    def encoded(self, index: int) -> tuple[bytes, tuple[Region, ...]]:
        """Return sample number `index` with the bytes of its image file."""
        from PIL import Image

        image_rgb, regions = self.sample(index)
        file = io.BytesIO()
        if self.suffix == "jpg":
            quality = int(np.random.default_rng((self.seed, index, 1)).integers(*_QUALITIES))
            Image.fromarray(image_rgb).save(file, "JPEG", quality=quality)
        else:
            Image.fromarray(image_rgb).save(file, "PNG")
        return file.getvalue(), regions


def folded(text: str, charset: Charset) -> str | None:
    """Return a text in the characters of a charset, with plain signs for signs of typography, or None if it has others.

    >>> folded("„Größe“ – 5", load_charset("latin"))  # the charset has them all
    '„Größe“ – 5'
    >>> folded("“fine” – 5…", load_charset("en"))
    '"fine" - 5...'
    """
    text = unicodedata.normalize("NFC", text)
    plain = charset.fold("".join(c if c in charset else _PLAIN.get(c, c) for c in text))
    return plain if all(c in charset for c in plain) else None


def random_window(rng: np.random.Generator) -> Window:
    """Return a window of a phone, tablet or desktop."""
    shares = [share for share, *_ in _WINDOWS]
    _, widths, heights, scales = _WINDOWS[int(rng.choice(len(_WINDOWS), p=shares))]
    width, height = int(rng.integers(*widths)), int(rng.integers(*heights))
    scale = float(rng.choice(scales))
    # The beginning of a page looks different from the rest: give it more than its share.
    scroll = 0.0 if rng.random() < 0.2 else float(rng.random())
    return Window(width, height, min(scale, _LARGEST_SIDE / max(width, height)), scroll)


def random_style(rng: np.random.Generator, picker: FontPicker) -> tuple[str, str | None]:
    """Return CSS with colors, a font family and a layout at random, and the color of the background.

    The color is None if the page keeps its colors.
    """

    def chance(share: float) -> bool:
        return rng.random() < share

    family = picker.pick(rng, "screen").family
    code_family = picker.pick(rng, "code").family
    size = int(rng.choice(_SIZES))
    weight = int(rng.choice((300, 400, 400, 400, 400, 500, 600, 700)))
    bold = int(rng.choice((400, 600, 700, 900)))  # headings
    css = f"""
      html, body {{ font-size: {size}px !important; line-height: {rng.uniform(1.15, 1.8):.2f} !important; }}
      *:not(pre, code, tt, kbd, samp, pre *, code *) {{ font-family: "{family}" !important; }}
      pre, code, tt, kbd, samp, pre *, code * {{ font-family: "{code_family}", monospace !important; }}
      p, li, dd, dt, td, th, label, blockquote, figcaption, button {{
        font-size: {size}px !important; font-weight: {weight}; line-height: inherit !important;
      }}
      h1, h2, h3, h4 {{ line-height: 1.25 !important; font-weight: {bold} !important; }}
    """
    css += "h1, h2, h3, h4, th { text-transform: uppercase; }" * chance(0.15)
    css += "p, td, li, dd { text-align: justify; }" * chance(0.15)
    css += "p, li, blockquote { font-style: italic; }" * chance(0.12)
    css += f"p, li, td, a {{ letter-spacing: {rng.uniform(-0.02, 0.08):.3f}em; }}" * chance(0.15)
    css += "a { text-decoration: none !important; }" * chance(0.5)
    css += "* { font-kerning: none; }" * chance(0.1)
    if chance(0.15):
        return css, None
    dark = chance(0.3)
    ground = _color(rng, 0, 60) if dark else ("#ffffff" if chance(0.5) else _color(rng, 222, 256))
    ink = _color(rng, 165, 256) if dark else str(rng.choice(("#000000", "#222222", "#333333", _color(rng, 0, 110))))
    accents = [_color(rng, 120, 256) if dark else _color(rng, 0, 150) for _ in range(2)]
    panel = _color(rng, 30, 80) if dark else _color(rng, 205, 250)
    css += f"""
      html, body {{ background: {ground} !important; }}
      * {{ background-image: none !important; text-shadow: none !important; }}
      *:not(html, body) {{ background-color: transparent !important; }}
      * {{ color: {ink} !important; border-color: {panel} !important; }}
      a, a * {{ color: {accents[0]} !important; }}
      h1, h2, h3 {{ color: {ink if chance(0.6) else accents[1]} !important; }}
      pre, kbd, th, blockquote, button, input {{ background-color: {panel} !important; }}
      {"code, tt, samp" if chance(0.5) else "samp"} {{ background-color: {panel} !important; }}
    """
    return css, ground


def _color(rng: np.random.Generator, low: int, high: int) -> str:
    """Return a color with channels in [low, high)."""
    return "#{:02x}{:02x}{:02x}".format(*rng.integers(low, high, 3))
