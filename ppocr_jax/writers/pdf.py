"""Searchable PDF: the picture of each page, and over it its text, invisible, to select, copy and find.

The text is set in a font without glyphs, each character half as wide as high, scaled to the width of its word, as
Tesseract does it. The font maps every UTF-16 code unit to itself, so any language works.
"""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ppocr_jax import __version__
from ppocr_jax.errors import UserError
from ppocr_jax.results import Line, Page, Quad
from ppocr_jax.writers.elements import height, length, line_words

if TYPE_CHECKING:
    import pikepdf

DEFAULT_DPI = 150.0
"""Dots per inch of a picture that does not say."""
_POINTS_PER_INCH = 72.0
_LARGEST_SIDE = 14_400.0  # points; viewers refuse larger pages
_CHAR_WIDTH = 0.5  # em
_DESCENT = 0.2  # share of a line's height below its baseline
_UNITS_PER_EM = 1000


class SearchablePdf:
    """A PDF file that grows page by page and is written when it is closed.

    Example:
        with SearchablePdf("scan.pdf") as pdf:
            pdf.add(page, image_rgb)
    """

    def __init__(self, path: str | Path, *, quality: int = 85) -> None:
        """
        Args:
            path: the file; written to a neighbour first, then renamed.
            quality: of JPEG, 1..100, at which pictures are kept.

        Raises:
            UserError: pikepdf is not installed.
        """
        self.path, self.quality = Path(path), quality
        self._pikepdf = _import_pikepdf()
        self._pdf = self._pikepdf.new()
        self._pdf.docinfo["/Producer"] = f"ppocr_jax {__version__}"
        self._font: Any = None

    def add(
        self,
        page: Page,
        image_rgb: np.ndarray,
        *,
        dpi: tuple[float, float] | None = None,
        jpeg: bytes | None = None,
    ) -> None:
        """Add a page.

        Args:
            page: its text; one with an error has none.
            image_rgb: (H, W, 3) uint8, the upright picture that was read.
            dpi: (horizontal, vertical) dots per inch; None: `DEFAULT_DPI`.
            jpeg: the picture's own JPEG file, which is kept as it is; only for an upright one, in grey or YCbCr.

        Raises:
            ValueError: the page is of a picture of another size.
        """
        pixels_high, pixels_wide = image_rgb.shape[:2]
        if (page.width, page.height) != (pixels_wide, pixels_high):
            raise ValueError(f"the page is of a {page.width}x{page.height} picture, not {pixels_wide}x{pixels_high}")
        scale_x, scale_y = _points_per_pixel(pixels_wide, pixels_high, dpi)
        wide, high = pixels_wide * scale_x, pixels_high * scale_y
        pdf_page = self._pdf.add_blank_page()
        pdf_page.mediabox = [0, 0, round(wide, 3), round(high, 3)]
        grey = bool((image_rgb[..., :1] == image_rgb[..., 1:]).all())
        data = jpeg or _jpeg(image_rgb, grey=grey, quality=self.quality)
        resources = self._pikepdf.Dictionary(
            XObject=self._pikepdf.Dictionary(Im=self._picture(data, pixels_wide, pixels_high, grey=grey)),
            Font=self._pikepdf.Dictionary(F=self._shared_font()),
        )
        pdf_page.obj.Resources = resources
        picture = f"q {wide:.3f} 0 0 {high:.3f} 0 0 cm /Im Do Q\n"
        text = "".join(_line(line, scale_x, scale_y, high) for line in page)
        content = picture + (f"BT 3 Tr\n{text}ET\n" if text else "")
        pdf_page.obj.Contents = self._pdf.make_stream(content.encode("ascii"))

    def close(self) -> None:
        """Write the file.

        Raises:
            UserError: it cannot be written.
        """
        scratch = self.path.with_name(f".{self.path.name}.part")
        try:
            self._pdf.save(scratch, compress_streams=True)
            scratch.replace(self.path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error
        finally:
            self._pdf.close()

    def __enter__(self) -> SearchablePdf:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._pdf.close()

    def _picture(self, data: bytes, width: int, height: int, *, grey: bool) -> pikepdf.Object:
        names = self._pikepdf.Name
        return self._pdf.make_stream(
            data,
            Type=names.XObject,
            Subtype=names.Image,
            Width=width,
            Height=height,
            ColorSpace=names.DeviceGray if grey else names.DeviceRGB,
            BitsPerComponent=8,
            Filter=names.DCTDecode,
        )

    def _shared_font(self) -> pikepdf.Object:
        if self._font is None:
            self._font = _make_font(self._pdf, self._pikepdf)
        return self._font


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


def _jpeg(image_rgb: np.ndarray, *, grey: bool, quality: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image_rgb[..., 0] if grey else image_rgb).save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _line(line: Line, scale_x: float, scale_y: float, page_height: float) -> str:
    """Each word where it stands; all but the last one with a space after it, for those who copy."""
    words = line_words(line)
    drawn = []
    for k, word in enumerate(words):
        quad = [(x * scale_x, page_height - y * scale_y) for x, y in word.quad]
        drawn.append(
            _word(word.text + " " * (k + 1 < len(words)), len(word.text), (quad[0], quad[1], quad[2], quad[3]))
        )
    return "".join(drawn)


def _word(text: str, letters: int, quad: Quad) -> str:
    """A text of which the first `letters` characters fill a quad, in points with y upwards."""
    size, wide = height(quad), length(quad)
    units = len(_utf16(text[:letters])) // 2
    if not units or size < 0.1 or wide < 0.1:
        return ""
    (left, top), _, (right, _), (base, bottom) = quad[0], quad[1], quad[2], quad[3]
    angle = math.atan2(quad[2][1] - bottom, right - base)
    cosine, sine = math.cos(angle), math.sin(angle)
    up_x, up_y = (left - base) * _DESCENT, (top - bottom) * _DESCENT
    stretch = 100 * wide / (units * _CHAR_WIDTH * size)
    matrix = f"{cosine:.5f} {sine:.5f} {-sine:.5f} {cosine:.5f} {base + up_x:.3f} {bottom + up_y:.3f}"
    return f"/F {size:.3f} Tf {stretch:.3f} Tz {matrix} Tm <{_utf16(text).hex()}> Tj\n"


def _utf16(text: str) -> bytes:
    """Big-endian code units; halves of surrogate pairs, which are no characters, become question marks."""
    return text.encode("utf-16-be", "replace")


def _make_font(pdf: pikepdf.Pdf, pikepdf: Any) -> pikepdf.Object:
    """A composite font whose 65,536 characters all are one glyph without ink."""
    names, dictionary = pikepdf.Name, pikepdf.Dictionary
    file = pdf.make_stream(_empty_truetype())
    low = round(-_DESCENT * _UNITS_PER_EM)
    descriptor = dictionary(
        Type=names.FontDescriptor,
        FontName=names.GlyphLess,
        Flags=5,
        FontBBox=[0, low, round(_CHAR_WIDTH * _UNITS_PER_EM), _UNITS_PER_EM + low],
        ItalicAngle=0,
        Ascent=_UNITS_PER_EM + low,
        Descent=low,
        CapHeight=_UNITS_PER_EM + low,
        StemV=80,
        FontFile2=file,
    )
    descendant = dictionary(
        Type=names.Font,
        Subtype=names.CIDFontType2,
        BaseFont=names.GlyphLess,
        CIDSystemInfo=dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0),
        FontDescriptor=pdf.make_indirect(descriptor),
        DW=round(_CHAR_WIDTH * _UNITS_PER_EM),
        CIDToGIDMap=pdf.make_stream(b"\0\1" * 0x10000),
    )
    return pdf.make_indirect(
        dictionary(
            Type=names.Font,
            Subtype=names.Type0,
            BaseFont=names.GlyphLess,
            Encoding=names("/Identity-H"),
            DescendantFonts=[pdf.make_indirect(descendant)],
            ToUnicode=pdf.make_stream(_TO_UNICODE),
        )
    )


_TO_UNICODE = b"""/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
1 beginbfrange
<0000> <FFFF> <0000>
endbfrange
endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


def _empty_truetype() -> bytes:
    """The smallest TrueType file that PDF readers take: two equal glyphs, a line there and back across their box.

    Without an extent PDFium would not find characters that stand alone or in lines that do not lie.
    """
    em, wide, low = _UNITS_PER_EM, round(_CHAR_WIDTH * _UNITS_PER_EM), round(-_DESCENT * _UNITS_PER_EM)
    high = em + low
    outline = struct.pack(">hhhhhHH3B3h3h", 1, 0, low, wide, high, 2, 0, *(1, 1, 1), 0, wide, -wide, low, em, -em)
    glyph = outline + b"\0" * (-len(outline) % 4)
    tables = {
        b"cmap": struct.pack(">HHHHIHHH", 0, 1, 1, 0, 12, 6, 10, 0) + struct.pack(">HH", 0, 0),
        b"glyf": glyph * 2,
        b"head": struct.pack(
            ">IIIIHHqqhhhhHHhhh", 0x10000, 0x10000, 0, 0x5F0F3CF5, 4, em, 0, 0, 0, low, wide, high, 0, 8, 2, 1, 0
        ),
        b"hhea": struct.pack(">IhhhHhhhhhhhhhhhH", 0x10000, high, low, 0, wide, 0, 0, wide, 1, *[0] * 7, 1),
        b"hmtx": struct.pack(">Hhh", wide, 0, 0),
        b"loca": struct.pack(">III", 0, len(glyph), 2 * len(glyph)),
        b"maxp": struct.pack(">IHHH11H", 0x10000, 2, 3, 1, 0, 0, 1, *[0] * 8),
    }
    return _sfnt(tables)


def _sfnt(tables: dict[bytes, bytes]) -> bytes:
    """A TrueType file of tables."""
    count = len(tables)
    power = 1 << (count.bit_length() - 1)
    head = struct.pack(">IHHHH", 0x10000, count, power * 16, power.bit_length() - 1, (count - power) * 16)
    offset = len(head) + 16 * count
    directory, body = b"", b""
    for tag, data in sorted(tables.items()):
        padded = data + b"\0" * (-len(data) % 4)
        checksum = sum(struct.unpack(f">{len(padded) // 4}I", padded)) & 0xFFFFFFFF
        directory += tag + struct.pack(">III", checksum, offset + len(body), len(data))
        body += padded
    return head + directory + body
