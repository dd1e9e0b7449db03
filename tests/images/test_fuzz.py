"""Damaged files of every format give an image or one line about the damage, never another exception.

`--hypothesis-profile=search` looks further.
"""

import io
import time
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ppocr_jax.errors import UserError
from ppocr_jax.images import load_image, read_pages
from tests.images import odd_files, odd_images
from tests.images.odd_images import encode

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Pillow's and pypdfium2's, about the damage
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
SECONDS = 20  # far beyond what any of these small files takes, even on a busy machine


@cache
def valid(kind: str) -> bytes:
    """A small file with much that can break: an image, EXIF data, a profile, several frames."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(24), np.arange(32))[..., None] * [3, 4, 2] + rng.integers(0, 40, (24, 32, 3))
    image = Image.fromarray(ramp.astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "an image"
    about = {"exif": exif, "icc_profile": odd_images.srgb_profile()}
    several = {"save_all": True, "append_images": [image.rotate(180), image.transpose(0)]}
    return {
        "jpeg": lambda: encode(image, "JPEG", **about),
        "progressive": lambda: encode(image, "JPEG", progressive=True, comment=b"hello", dpi=(300, 300)),
        "cmyk": lambda: encode(image.convert("CMYK"), "JPEG", **about),
        "mpo": lambda: encode(image, "MPO", **several),
        "png": lambda: encode(image.convert("P"), "PNG", transparency=3, dpi=(200, 200), **about),
        "png16": lambda: odd_files.rgb16_png(np.asarray(image)),
        "interlaced": lambda: odd_files.interlaced_png(np.asarray(image.convert("L"))),
        "apng": lambda: encode(image, "PNG", **several),
        "webp": lambda: encode(image, "WEBP", **about),
        "webp frames": lambda: encode(image, "WEBP", lossless=True, **several),
        "gif": lambda: encode(image, "GIF", comment=b"hello", **several),
        "bmp": lambda: encode(image.convert("P"), "BMP"),
        "ppm": lambda: encode(image, "PPM"),
        "tiff": lambda: encode(image, "TIFF", **about, **several),
        "tiff lzw": lambda: encode(image, "TIFF", compression="tiff_lzw", **several),
        "tiff jpeg": lambda: encode(image, "TIFF", compression="jpeg"),
        "fax": lambda: encode(image.convert("1"), "TIFF", compression="group4"),
        "tiff float": lambda: encode(image.convert("F"), "TIFF"),
        "jpeg 2000": lambda: encode(image, "JPEG2000"),
        "avif": lambda: encode(image, "AVIF", speed=10, **about),
        "heic": odd_images.in_heic,
        "pdf": lambda: odd_files.pdf(["Garden"], pages=2),
        "locked pdf": lambda: odd_files.pdf(["Garden"], password="geheim"),
        "pdf of a scan": lambda: encode(image, "PDF", resolution=50),
    }[kind]()


KINDS = [
    "jpeg", "progressive", "cmyk", "mpo", "png", "png16", "interlaced", "apng", "webp", "webp frames", "gif", "bmp",
    "ppm", "tiff", "tiff lzw", "tiff jpeg", "fax", "tiff float", "jpeg 2000", "avif", "heic",
    "pdf", "locked pdf", "pdf of a scan",
]  # fmt: skip
NEEDS = {"avif": "PIL.AvifImagePlugin", "heic": "pillow_heif"} | dict.fromkeys(KINDS[-3:], "pypdfium2")

# (what, where as a share of the file, bytes): headers, where damage does most, are hit as often as all the rest.
places = st.one_of(st.floats(0, 1), st.floats(0, 0.05), st.floats(0.95, 1))
kinds = st.sampled_from(["flip", "insert", "remove", "cut", "repeat"])
changes = st.tuples(kinds, places, st.binary(min_size=1, max_size=8))


def changed(data: bytes, steps: list[tuple[str, float, bytes]]) -> bytes:
    file = bytearray(data)
    for what, place, new in steps:
        at = min(int(place * len(file)), max(len(file) - 1, 0))
        if what == "flip":
            file[at : at + len(new)] = new
        elif what == "insert":
            file[at:at] = new
        elif what == "remove":
            del file[at : at + 16 * len(new)]
        elif what == "cut":
            del file[at:]
        else:
            file[at:at] = file[at : at + 64 * len(new)]
    return bytes(file)


def read_or_refuse(data: bytes) -> int:
    """Everything that can be done with a file; the number of pages read."""
    options = {"max_pixels": 300_000, "max_pages": 20, "frames": "all", "password": "geheim"}
    start, pages, errors = time.process_time(), 0, []
    for read in (lambda: [load_image(data, max_pixels=300_000)], lambda: read_images(data, options, errors)):
        try:
            for image_rgb in read():
                assert image_rgb.dtype == np.uint8
                assert image_rgb.ndim == 3
                assert image_rgb.shape[2] == 3
                assert 0 < image_rgb.shape[0] * image_rgb.shape[1] <= 300_000
                pages += 1
        except UserError as error:
            errors.append(str(error))
    assert all(error.isprintable() for error in errors)
    assert time.process_time() - start < SECONDS
    return pages


def read_images(data: bytes, options: dict, errors: list[str]) -> list[np.ndarray]:
    return [page.image_rgb for page in read_pages(data, on_error=lambda e: errors.append(str(e)), **options)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_valid_before_they_are_damaged(kind):
    pytest.importorskip(NEEDS.get(kind, "PIL"))
    assert read_or_refuse(valid(kind)) >= 1


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(changes, min_size=1, max_size=4))
def test_damaged_files(kind, steps):
    pytest.importorskip(NEEDS.get(kind, "PIL"))
    read_or_refuse(changed(valid(kind), steps))


@settings(max_examples=60)
@given(st.binary(max_size=200), st.sampled_from([b"", *(valid(kind)[:16] for kind in KINDS[:20])]))
def test_noise_behind_a_true_beginning(noise, beginning):
    read_or_refuse(beginning + noise)


def test_the_damage_does_damage():
    outcomes = set()
    for share in np.linspace(0.01, 0.9, 12):
        try:
            load_image(io.BytesIO(changed(valid("png"), [("cut", float(share), b"x")])))
            outcomes.add("read")
        except UserError:
            outcomes.add("refused")
    assert outcomes == {"refused"}
