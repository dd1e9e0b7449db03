"""Rendering of PDF pages by PDFium.

PDFium is not thread-safe. One lock guards every call, so that pages are rendered one after the other. Objects are
closed explicitly, because the garbage collector would close them in any thread.
"""

from __future__ import annotations

import io
import logging
import math
import threading
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ppocr_jax.errors import UserError
from ppocr_jax.images.sources import ImageError, PasswordError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pypdfium2

DEFAULT_DPI = 200.0
"""Letters of 8 points are 22 pixels high."""

_POINTS_PER_INCH = 72
_MIN_DPI = 72.0  # of a scanned page, also if its size in points equals the size of its scan in pixels
_FULL_PAGE = 0.8  # least share of the page that a scan covers
_SLIGHTLY_LESS = 1 - 1e-6  # sides are rounded up, but 360.00001 pixels must not become 361
_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD

_lock = threading.Lock()
_logger = logging.getLogger("ppocr_jax")


class PdfPages:
    """An opened PDF document, whose pages `read` renders."""

    def __init__(self, data: bytes, name: str, *, password: str | None, dpi: float | None, max_pixels: int) -> None:
        """Open the document.

        Args:
            data: Bytes of the file.
            name: Name for messages.
            password: User or owner password of an encrypted document.
            dpi: Resolution for rendering. None: 200, or less for scanned pages of lower resolution.
            max_pixels: Largest size of a page. Larger pages are rendered at a lower resolution, and a warning is
                logged.

        Raises:
            ImageError: If the document is encrypted, damaged, or has no pages.
            UserError: If pypdfium2 is not installed.
        """
        try:
            import pypdfium2
        except ImportError as error:
            raise UserError(f'{name} is a PDF document: pip install "ppocr-jax[pdf]" to read it') from error
        self._name, self._dpi, self._max_pixels, self._error = name, dpi, max_pixels, pypdfium2.PdfiumError
        with _lock:
            try:
                self._pdf = pypdfium2.PdfDocument(data, password=password)
            except pypdfium2.PdfiumError as error:
                raise _opening_error(error, data, name, password) from error
            self.page_count = len(self._pdf)
            if self.page_count == 0:
                self._pdf.close()
            else:
                self._pdf.init_forms()  # otherwise, the contents of form fields are not rendered
        self._user_units = _user_units(data, password)
        if self.page_count == 0:
            raise ImageError(f"{name} has no pages")

    def read(self, number: int) -> tuple[np.ndarray, tuple[float, float], float]:
        """Render page `number`, counted from 1.

        Returns:
            Upright RGB (H, W, 3) uint8 on white, its dots per inch, and the page's user unit in 1/72 inch.

        Raises:
            ImageError: If the page is damaged.
        """
        with _lock:
            try:
                page = self._pdf[number - 1]
            except self._error as error:
                raise ImageError(f"{self._name} page {number} is damaged: {first_line(error)}") from error
            try:
                return self._draw(page, number)
            except (self._error, ValueError, MemoryError, OSError) as error:
                raise ImageError(f"{self._name} page {number} cannot be rendered: {first_line(error)}") from error
            finally:
                page.close()

    def close(self) -> None:
        """Close the document and free PDFium's memory."""
        with _lock:
            self._pdf.close()

    def _draw(self, page: pypdfium2.PdfPage, number: int) -> tuple[np.ndarray, tuple[float, float], float]:
        unit = self._user_units[number - 1] if number <= len(self._user_units) else 1.0
        width, height = (side * unit for side in page.get_size())
        if not (width > 0 and height > 0):
            raise ValueError(f"its size is {width:g} x {height:g} points")
        wanted = self._dpi or min(DEFAULT_DPI, max(_MIN_DPI, _scan_dpi(page, width * height / unit**2) / unit))
        dpi = min(wanted, _POINTS_PER_INCH * _largest_scale(width, height, self._max_pixels))
        if dpi < wanted:
            _logger.warning(
                "%s page %d is large: rendered at %.0f dots per inch instead of %.0f", self._name, number, dpi, wanted
            )
        bitmap = cast(Any, page).render(scale=unit * dpi / _POINTS_PER_INCH * _SLIGHTLY_LESS, rev_byteorder=True)
        try:
            pixels: Any = bitmap.to_numpy()
            image_rgb = np.array(pixels[..., :3] if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1), order="C")
        finally:
            bitmap.close()
        return image_rgb, (dpi, dpi), unit


def _user_units(data: bytes, password: str | None) -> list[float]:
    """Return the user unit of every page in 1/72 inch, or an empty list if it is 1 for all pages.

    PDFium ignores user units. Therefore, they are read by qpdf through pikepdf.
    """
    if b"/UserUnit" not in data and b"/ObjStm" not in data:  # object streams are compressed and may hide it
        return []
    try:
        import pikepdf

        with pikepdf.open(io.BytesIO(data), password=password or "") as pdf:
            units = [float(page.obj.get("/UserUnit", 1)) for page in pdf.pages]
    except Exception as error:  # files that qpdf cannot parse; PDFium renders them or reports the error
        _logger.debug("user units are not known: %s", error)
        return []
    return [unit if 0 < unit < math.inf else 1.0 for unit in units]


def _opening_error(error: pypdfium2.PdfiumError, data: bytes, name: str, password: str | None) -> ImageError:
    # Without pages, PDFium's error code is left over from an earlier document, hence the second condition.
    if error.err_code == _PASSWORD_ERROR and b"/Encrypt" in data:
        why = "the password is wrong" if password else "give its password (--password)"
        return PasswordError(f"{name} is encrypted: {why}")
    return ImageError(f"{name} is a damaged PDF document, or one without pages")


def _largest_scale(width: float, height: float, max_pixels: int) -> float:
    """Return the largest s with (s width + 1) (s height + 1) <= max_pixels, because PDFium rounds both sides up."""
    area, half = width * height, (width + height) / 2
    return (math.sqrt(half**2 + area * (max_pixels - 1)) - half) / area


def _scan_dpi(page: pypdfium2.PdfPage, page_area: float) -> float:
    """Return the dots per inch of the image or strips that fill a scanned page, or infinity for another page.

    A higher resolution than that of the scan would take more time without more detail. A scan of 150 dpi is rendered
    pixel for pixel.
    """
    from pypdfium2 import raw

    dpi = covered = 0.0
    for item in cast("Iterator[Any]", page.get_objects(max_depth=2)):
        if item.type == raw.FPDF_PAGEOBJ_TEXT:
            # Text of an OCR layer is invisible and does not count.
            if raw.FPDFTextObj_GetTextRenderMode(item) != raw.FPDF_TEXTRENDERMODE_INVISIBLE:
                return math.inf
        elif item.type == raw.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            area, (columns, rows) = max((right - left) * (top - bottom), 1e-9), item.get_px_size()
            dpi, covered = max(dpi, _POINTS_PER_INCH * math.sqrt(columns * rows / area)), covered + area
        elif item.type != raw.FPDF_PAGEOBJ_FORM:  # the parts of a form are listed after it
            return math.inf
    return dpi if covered >= _FULL_PAGE * page_area else math.inf
