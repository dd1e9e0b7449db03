"""Any picture, document, folder or URL -> pages as upright RGB pictures.

`sources`: paths, bytes and files; `formats`: which decoder a file gets, from its header alone; `pixels`: gray,
palette, 16-bit, CMYK and transparent pixels -> RGB; `loading`: `load_image`, made of these. `find_inputs` turns what a
user names into a list of files; `read_pages` gives the pages of one of them as pictures:

    for path in find_inputs(["scans/", "letter.pdf"]):
        for page in read_pages(path):
            print(page.name, ocr(page.image_rgb).text)
"""

from ppocr_jax.images.files import SUFFIXES, Input, find_inputs
from ppocr_jax.images.formats import FORMATS, MAX_PIXELS
from ppocr_jax.images.loading import load_image
from ppocr_jax.images.pages import InputPage, read_pages
from ppocr_jax.images.sources import ImageError, ImageSource, describe_source
from ppocr_jax.images.urls import fetch

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageError",
    "ImageSource",
    "Input",
    "InputPage",
    "describe_source",
    "fetch",
    "find_inputs",
    "load_image",
    "read_pages",
]
