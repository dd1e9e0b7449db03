"""Files, folders, documents, standard input and URLs -> pages.

`find_inputs` turns what a user names into a list of files; `read_pages` gives the pages of one of them as pictures.

    for path in find_inputs(["scans/", "letter.pdf"]):
        for page in read_pages(path):
            print(page.name, ocr(page.image_rgb).text)
"""

from ppocr_jax.inputs.files import SUFFIXES, Input, find_inputs
from ppocr_jax.inputs.pages import InputPage, read_pages
from ppocr_jax.inputs.urls import fetch

__all__ = ["SUFFIXES", "Input", "InputPage", "fetch", "find_inputs", "read_pages"]
