"""Images of the same two words in every way of storing them; `odd_inputs` makes cases of them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tests.images import odd_files

WORDS = ("Market", "window")
WIDTH, HEIGHT = 360, 120
PASSWORD = "geheim"


def draw_words(words: tuple[str, ...] = WORDS, *, ink: int = 0, ground: int = 255) -> Image.Image:
    """The words below each other, gray, 30 pixels high."""
    image = Image.new("L", (WIDTH, HEIGHT), ground)
    for i, word in enumerate(words):
        ImageDraw.Draw(image).text((20, 12 + 50 * i), word, fill=ink, font=font(30))
    return image


def font(size: int) -> Any:
    """Pillow's own font, so that the cases look the same everywhere."""
    return ImageFont.load_default(size)


CLEAN = draw_words()
CLEAN_ARRAY = np.asarray(CLEAN)
CLEAN_RGB = np.asarray(CLEAN.convert("RGB"))
NEGATIVE = 255 - CLEAN_ARRAY


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def on_nothing(ink: int) -> Image.Image:
    """The words, transparent around."""
    alpha = ImageOps.invert(CLEAN)
    solid = Image.new("L", CLEAN.size, ink)
    return Image.merge("RGBA", (solid, solid, solid, alpha))


def black_and_white_on_nothing() -> bytes:
    """The first word black, the second white, both on nothing."""
    image = Image.new("RGBA", CLEAN.size)
    image.paste(on_nothing(0).crop((0, 0, WIDTH, 56)), (0, 0))
    image.paste(on_nothing(255).crop((0, 56, WIDTH, HEIGHT)), (0, 56))
    return encode(image, "PNG")


BLACK_AND_WHITE = np.where(np.arange(HEIGHT)[:, None] < 56, CLEAN_ARRAY // 2, 255 - CLEAN_ARRAY // 2)


def transparent_palette() -> bytes:
    palette = Image.fromarray((CLEAN_ARRAY < 128).astype(np.uint8)).convert("P")
    palette.putpalette([255, 0, 255, 0, 0, 0])
    return encode(palette, "PNG", transparency=0)


def turned_by_exif(orientation: int) -> bytes:
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposition that makes an upright image look so
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(CLEAN.transpose(Image.Transpose(turn[orientation])), "JPEG", quality=95, exif=exif)


def with_huge_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    return encode(CLEAN, "JPEG", quality=95, exif=exif)


def in_lab() -> bytes:
    no_color = np.zeros_like(CLEAN_ARRAY)
    pixels = np.dstack([CLEAN_ARRAY, no_color, no_color])
    return encode(Image.frombytes("LAB", CLEAN.size, pixels.tobytes()), "TIFF")


def srgb_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def cut_jpeg(share: float, **options: Any) -> bytes:
    """The tall image, without text in its lower part, cut off at a share of its length."""
    data = encode(TALL, "JPEG", quality=95, **options)
    return data[: int(len(data) * share)]


TALL = ImageOps.pad(CLEAN, (WIDTH, 2 * HEIGHT), color=255, centering=(0, 0))
TALL.paste(Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)), (0, HEIGHT))


def in_heic() -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(CLEAN.convert("RGB")).save(file, quality=95)
    return file.getvalue()


def frames(kind: str, **options: Any) -> bytes:
    others = [draw_words(("second",)), draw_words(("third",))]
    return encode(CLEAN, kind, save_all=True, append_images=others, **options)


GRAY16 = Image.fromarray(CLEAN_ARRAY.astype(np.uint16) * 257)
GRAY12 = Image.fromarray((CLEAN_ARRAY.astype(np.uint32) * 4095 // 255).astype(np.uint16))
FLOATS_TO_9999 = Image.fromarray(CLEAN_ARRAY.astype(np.float32) * 39.2)
FLOATS = Image.fromarray(CLEAN_ARRAY.astype(np.float32) / 255)
BILEVEL = CLEAN.point(lambda level: 255 * (level > 128)).convert("1")
BILEVEL_ARRAY = np.asarray(BILEVEL.convert("L"))
FAX = encode(BILEVEL, "TIFF", compression="group4")
JPEG = encode(CLEAN, "JPEG", quality=95)
PNG = encode(CLEAN, "PNG")
PDF = odd_files.pdf(list(WORDS), pages=2)
LOCKED_PDF = odd_files.pdf(list(WORDS), password=PASSWORD)
PDF_SHAPE = (334, 1000)  # 120 x 360 points at 200 dpi, rounded up


LONG = Image.new("L", (4000, 110), 255)
LONG_TEXT = "a quiet line of ordinary words that goes on and on for as long as the paper lasts and then some more"
ImageDraw.Draw(LONG).text((30, 20), LONG_TEXT, fill=0, font=font(64))

STACKED = Image.new("L", (90, 360), 255)
for i, letter in enumerate("MARKET"):
    ImageDraw.Draw(STACKED).text((45, 30 + 58 * i), letter, fill=0, font=font(48), anchor="mm")
STACKED_ARRAY = np.asarray(STACKED)
