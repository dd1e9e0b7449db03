"""Searchable PDF: the picture of each page, and over it its text, invisible, to select, copy and find.

The text is set in a font without glyphs, each character half as wide as high, scaled to the width of its word, as
Tesseract does it, so any language works.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ppocr_jax import __version__
from ppocr_jax.document.page import Page
from ppocr_jax.document.pdf_font import InvisibleFont
from ppocr_jax.document.pdf_picture import encode_picture, own_jpeg
from ppocr_jax.document.pdf_text import text_operators
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import pikepdf

DEFAULT_DPI = 150.0
"""Dots per inch of a picture that does not say."""
_POINTS_PER_INCH = 72.0
_LARGEST_SIDE = 14_400.0  # points; viewers refuse larger pages


class SearchablePdf:
    """A PDF file that grows page by page and is written when it is closed.

    Example:
        with SearchablePdf("scan.pdf") as pdf:
            pdf.add(page, image_rgb)
    """

    def __init__(self, path: str | Path | BinaryIO, *, quality: int | None = 85) -> None:
        """
        Args:
            path: the file, written to a neighbor first, then renamed; or an open binary file to write to.
            quality: of JPEG, 1..100, at which pictures are kept; None: lossless, which takes several times the space.

        Raises:
            UserError: pikepdf is not installed.
        """
        self.path = Path(path) if isinstance(path, str | Path) else path
        self.quality = quality
        self._pikepdf = _import_pikepdf()
        self._pdf = self._pikepdf.new()
        self._pdf.docinfo["/Producer"] = f"ppocr_jax {__version__}"
        self._font = InvisibleFont(self._pdf, self._pikepdf)

    def add(
        self,
        page: Page,
        image_rgb: np.ndarray | None,
        *,
        dpi: tuple[float, float] | None = None,
        original: str | Path | bytes | None = None,
    ) -> None:
        """Add a page.

        Args:
            page: its text.
            image_rgb: (H, W, 3) uint8, the upright picture that was read; None: a page of text alone.
            dpi: (horizontal, vertical) dots per inch; None: `DEFAULT_DPI`.
            original: the file that the picture was read from, or its path: a JPEG file is kept as it is where that can
                be, see `own_jpeg`.

        Raises:
            ValueError: the page could not be read, or is of a picture of another size.
        """
        if not page.width or not page.height:
            raise ValueError(f"a page without a picture: {page.error}")
        scale_x, scale_y = _points_per_pixel(page.width, page.height, dpi)
        wide, high = page.width * scale_x, page.height * scale_y
        resources = self._pikepdf.Dictionary(Font=self._pikepdf.Dictionary(F1=self._font.object))
        content = ""
        if image_rgb is not None:
            stream = self._picture(page, image_rgb, original)
            resources.XObject = self._pikepdf.Dictionary(Im=stream)
            content = f"q {wide:.3f} 0 0 {high:.3f} 0 0 cm /Im Do Q\n"
        text = "".join(text_operators(line, self._font, scale_x, scale_y, high) for line in page)
        content += f"BT 3 Tr\n{text}ET\n" if text else ""  # 3: neither filled nor stroked
        pdf_page = self._pdf.add_blank_page()
        pdf_page.mediabox = [0, 0, round(wide, 3), round(high, 3)]
        pdf_page.obj.Resources = resources
        pdf_page.obj.Contents = self._pdf.make_stream(content.encode("ascii"))

    def close(self) -> None:
        """Write the file.

        Raises:
            UserError: it cannot be written, or there are no pages.
        """
        name = self.path if isinstance(self.path, Path) else "the PDF"
        scratch = self.path.with_name(f".{self.path.name}.part") if isinstance(self.path, Path) else None
        try:
            if not len(self._pdf.pages):
                raise UserError(f"cannot write {name}: there are no pages")
            self._font.finish()
            self._pdf.save(scratch or self.path, compress_streams=True, deterministic_id=True)
            if scratch is not None:
                scratch.replace(self.path)
        except OSError as error:
            raise UserError(f"cannot write {name}: {error.strerror or error}") from error
        finally:
            if scratch is not None:
                with suppress(OSError):
                    scratch.unlink()
            self._pdf.close()

    def __enter__(self) -> SearchablePdf:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._pdf.close()

    def _picture(self, page: Page, image_rgb: np.ndarray, original: str | Path | bytes | None) -> pikepdf.Object:
        high, wide = image_rgb.shape[:2]
        if (page.width, page.height) != (wide, high):
            raise ValueError(f"the page is of a {page.width}x{page.height} picture, not {wide}x{high}")
        picture = (own_jpeg(original, wide, high) if original else None) or encode_picture(image_rgb, self.quality)
        names = self._pikepdf.Name
        stream = self._pdf.make_stream(
            picture.data,
            Type=names.XObject,
            Subtype=names.Image,
            Width=wide,
            Height=high,
            ColorSpace=names.DeviceGray if picture.colors == 1 else names.DeviceRGB,
            BitsPerComponent=picture.bits,
            Filter=names.DCTDecode if picture.is_jpeg else names.FlateDecode,
        )
        if not picture.is_jpeg:
            stream.DecodeParms = self._pikepdf.Dictionary(
                Predictor=15, Colors=picture.colors, BitsPerComponent=picture.bits, Columns=wide
            )
        return stream


def _import_pikepdf() -> Any:
    try:
        import pikepdf
    except ImportError as error:
        raise UserError('writing PDF needs pikepdf: pip install "ppocr-jax[pdf]"') from error
    return pikepdf


def _points_per_pixel(width: int, height: int, dpi: tuple[float, float] | None) -> tuple[float, float]:
    """Along x and y; smaller than the resolution says where the page would be larger than viewers take."""
    across, down = dpi or (DEFAULT_DPI, DEFAULT_DPI)
    scale_x, scale_y = _POINTS_PER_INCH / across, _POINTS_PER_INCH / down
    shrink = min(1.0, _LARGEST_SIDE / (width * scale_x), _LARGEST_SIDE / (height * scale_y))
    return scale_x * shrink, scale_y * shrink
