"""Input of images, documents, folders and URLs as upright RGB images.

`sources` reads the bytes of paths, open files and URLs, and lists the files of folders; `decode` converts bytes to
upright RGB; `pixels` converts gray, palette, 16-bit, CMYK and transparent pixels to RGB; `pages` and `pdf` read
documents of several pages. `find_inputs` converts a user's arguments to a list of files; `read_pages` yields the pages
of a file as images:

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
