"""Any image, document, folder or URL -> pages as upright RGB images.

`sources`: bytes of paths, open files and URLs, and the files of folders; `decode`: bytes -> upright RGB; `pixels`:
gray, palette, 16-bit, CMYK and transparent pixels -> RGB; `pages` and `pdf`: documents of several pages. `find_inputs`
turns what a user names into a list of files; `read_pages` gives the pages of one of them as images:

    for path in find_inputs(["scans/", "letter.pdf"]):
        for page in read_pages(path):
            print(page.name, ocr(page.image_rgb).text)
"""

from ppocr_jax.images.decode import FORMATS, MAX_PIXELS, load_image
from ppocr_jax.images.pages import InputPage, read_pages
from ppocr_jax.images.sources import SUFFIXES, ImageError, ImageSource, Input, describe_source, fetch, find_inputs

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
