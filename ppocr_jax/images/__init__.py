"""Any picture -> `image_rgb`: upright, three channels, eight bits.

`sources`: paths, bytes and files; `formats`: which decoder a file gets, from its header alone; `pixels`: gray, palette,
16-bit, CMYK and transparent pixels -> RGB; `loading`: `load_image`, made of these. Documents of several pages are read
by `ppocr_jax.inputs`.
"""

from ppocr_jax.images.formats import FORMATS, MAX_PIXELS
from ppocr_jax.images.loading import load_image
from ppocr_jax.images.sources import ImageError, ImageSource, describe_source

__all__ = ["FORMATS", "MAX_PIXELS", "ImageError", "ImageSource", "describe_source", "load_image"]
