"""Searchable PDF: the image of each page under invisible text that can be selected, copied and searched.

The text uses a font without visible glyphs, with characters half as wide as high, scaled to the width of each word as
in Tesseract, so that any language works. pikepdf writes the file. fpdf2 with OCRmyPDF's font was tried: it takes three
times as long for a text layer 2.8 times as large.
"""

from __future__ import annotations

import io
import logging
import math
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ppocr_jax import __version__
from ppocr_jax.document.output import OutputFile
from ppocr_jax.document.page import Line, Page, Quad, line_words, quad_height, quad_length
from ppocr_jax.document.xml import xml_text
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import pikepdf
    from PIL import Image

DEFAULT_DPI = 150.0
"""Dots per inch of an image without this information."""

_POINTS_PER_INCH = 72.0
_LARGEST_SIDE = 14_400.0  # user units; viewers reject larger pages
_LEAST_SIZE = 0.1  # user units; makes even a word without extent searchable
_CHAR_WIDTH = 0.5  # advance of every character, em
_DESCENT = 0.2  # depth of every character below the baseline, em; the rest is its height above
_SPARE_CODES = range(0xD800, 0xE000)  # surrogates, which are not characters
_BLOCK = 100  # largest number of entries in a block of a CMap
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_ORIENTATION_TAG = 0x0112

_logger = logging.getLogger("ppocr_jax")


class SearchablePdf:
    """PDF file that is built page by page and written when closed.

    Example:
        with SearchablePdf("scan.pdf") as pdf:
            pdf.add(page, image_rgb)
    """

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, *, quality: int | None = 85) -> None:
        """Create an empty document.

        Args:
            path: File, as in `OutputFile`: also an open file, or "-" for standard output.
            quality: JPEG quality of images, 1..100. None: lossless, which takes several times the space.

        Raises:
            UserError: If pikepdf is not installed.
        """
        self._output, self.quality = OutputFile(path), quality
        try:
            import pikepdf
        except ImportError as error:
            raise UserError('writing PDF needs pikepdf: pip install "ppocr-jax[pdf]"') from error
        self._pikepdf: Any = pikepdf
        self._pdf = pikepdf.new()
        self._pdf.docinfo["/Producer"] = f"ppocr_jax {__version__}"
        self._font = InvisibleFont(self._pdf, pikepdf)

    def add(
        self,
        page: Page,
        image_rgb: np.ndarray | None,
        *,
        dpi: tuple[float, float] | None = None,
        user_unit: float = 1.0,
        original: str | os.PathLike[str] | bytes | None = None,
    ) -> None:
        """Add a page.

        Args:
            page: Page with text.
            image_rgb: Upright image of the page, (H, W, 3) uint8. None: a page of text alone.
            dpi: (horizontal, vertical) dots per inch. None: `DEFAULT_DPI`.
            user_unit: User unit of the page in 1/72 inch. It is increased for a page that viewers would reject
                otherwise (more than 14,400 units).
            original: File that the image was read from, or its path. A JPEG file is included unchanged if possible; see
                `unchanged_jpeg`.

        Raises:
            ValueError: If the page could not be read, or the image has another size.
        """
        if not page.width or not page.height:
            raise ValueError(f"a page without an image: {page.error}")
        across, down = dpi or (DEFAULT_DPI, DEFAULT_DPI)
        wide, high = page.width * _POINTS_PER_INCH / across, page.height * _POINTS_PER_INCH / down
        unit = max(user_unit, wide / _LARGEST_SIDE, high / _LARGEST_SIDE)
        wide, high = wide / unit, high / unit
        resource = self._pikepdf.Dictionary(Font=self._pikepdf.Dictionary(F1=self._font.object))
        content = ""
        if image_rgb is not None:
            stream = self._image(page, image_rgb, original)
            resource.XObject = self._pikepdf.Dictionary(Im=stream)
            content = f"q {wide:.3f} 0 0 {high:.3f} 0 0 cm /Im Do Q\n"
        scale = wide / page.width, high / page.height
        text = "".join(_text_operators(line, self._font, *scale, high) for line in page)
        content += f"BT 3 Tr\n{text}ET\n" if text else ""  # 3: neither filled nor stroked
        pdf_page = self._pdf.add_blank_page()
        pdf_page.obj.MediaBox = [0, 0, round(wide, 3), round(high, 3)]
        if unit != 1:
            pdf_page.obj.UserUnit = round(unit, 6)
        pdf_page.obj.Resources = resource
        pdf_page.obj.Contents = self._pdf.make_stream(content.encode("ascii"))

    def close(self) -> None:
        """Write the file.

        Raises:
            UserError: If the file cannot be written, or there are no pages.
        """
        try:
            if not len(self._pdf.pages):
                raise UserError(f"cannot write {self._output.name}: there are no pages")
            self._font.finish()
            with self._output as file:
                out: Any = (
                    file if file.seekable() and not self._output.direct else io.BytesIO()
                )  # qpdf seeks in its output
                self._pdf.save(out, compress_streams=True, deterministic_id=True)
                if out is not file:
                    file.write(out.getvalue())
        finally:
            self._pdf.close()

    def __enter__(self) -> SearchablePdf:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._pdf.close()

    def _image(
        self, page: Page, image_rgb: np.ndarray, original: str | os.PathLike[str] | bytes | None
    ) -> pikepdf.Object:
        high, wide = image_rgb.shape[:2]
        if (page.width, page.height) != (wide, high):
            raise ValueError(f"the page is of a {page.width}x{page.height} image, not {wide}x{high}")
        image = (unchanged_jpeg(original, wide, high) if original else None) or encode_image(image_rgb, self.quality)
        names = self._pikepdf.Name
        stream = self._pdf.make_stream(
            image.data,
            Type=names.XObject,
            Subtype=names.Image,
            Width=wide,
            Height=high,
            ColorSpace=names.DeviceGray if image.colors == 1 else names.DeviceRGB,
            BitsPerComponent=image.bits,
            Filter=names.DCTDecode if image.is_jpeg else names.FlateDecode,
        )
        if not image.is_jpeg:
            stream.DecodeParms = self._pikepdf.Dictionary(
                Predictor=15, Colors=image.colors, BitsPerComponent=image.bits, Columns=wide
            )
        return stream


# Text


def _text_operators(line: Line, font: InvisibleFont, scale_x: float, scale_y: float, page_height: float) -> str:
    """Return the operators between BT and ET for a line: each word at its position, followed by a space if not last.

    Args:
        line: Line in pixels.
        font: Font, known to the page as /F1.
        scale_x, scale_y: User units per pixel.
        page_height: Height of the page in user units.
    """
    words = line_words(line)
    drawn = []
    for k, word in enumerate(words, start=1):
        a, b, c, d = [(x * scale_x, page_height - y * scale_y) for x, y in word.quad]  # in PDF, y points upwards
        drawn.append(_word_operators(font.encode(word.text), font.encode(" " * (k < len(words))), (a, b, c, d)))
    return "".join(drawn)


def _word_operators(codes: list[int], after: list[int], quad: Quad) -> str:
    """Return the operators that fill a quad with the characters `codes`, followed by the characters `after`."""
    if not codes:
        return ""
    size, wide = max(quad_height(quad), _LEAST_SIZE), max(quad_length(quad), _LEAST_SIZE)
    (left, top), _, (right, right_bottom), (base, bottom) = quad
    angle = math.atan2(right_bottom - bottom, right - base)
    cosine, sine = math.cos(angle), math.sin(angle)
    up_x, up_y = (left - base) * _DESCENT, (top - bottom) * _DESCENT  # from the quad's lower edge to the baseline
    stretch = 100 * wide / (len(codes) * _CHAR_WIDTH * size)
    shown = "".join(f"{code:04x}" for code in codes + after)
    matrix = f"{cosine:.5f} {sine:.5f} {-sine:.5f} {cosine:.5f} {base + up_x:.3f} {bottom + up_y:.3f}"
    return f"/F1 {size:.3f} Tf {stretch:.3f} Tz {matrix} Tm <{shown}> Tj\n"


class InvisibleFont:
    """Composite font for all of Unicode, in which every character is the same invisible glyph.

    Codes have two bytes. In the Basic Multilingual Plane they are the code points. Other characters get spare codes in
    order of appearance, because some readers do not combine surrogate pairs.

    The font file, invisible.ttf, contains two equal glyphs, a line across their box and back: without an extent, PDFium
    would not find single characters, or text that is not horizontal. tests/document/test_pdf.py generates it.

    Attributes:
        object: Font object of the document.
    """

    def __init__(self, pdf: pikepdf.Pdf, pikepdf: Any) -> None:
        self._codes: dict[str, int] = {}
        self._to_unicode = pdf.make_stream(b"")
        names, dictionary, em = pikepdf.Name, pikepdf.Dictionary, 1000
        width, low = round(_CHAR_WIDTH * em), round(-_DESCENT * em)
        descriptor = dictionary(
            Type=names.FontDescriptor,
            FontName=names.GlyphLess,
            Flags=5,  # fixed pitch, with characters beyond Latin
            FontBBox=[0, low, width, em + low],
            ItalicAngle=0,
            Ascent=em + low,
            Descent=low,
            CapHeight=em + low,
            StemV=80,
            FontFile2=pdf.make_stream(resources.files("ppocr_jax.document").joinpath("invisible.ttf").read_bytes()),
        )
        descendant = dictionary(
            Type=names.Font,
            Subtype=names.CIDFontType2,
            BaseFont=names.GlyphLess,
            CIDSystemInfo=dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0),
            FontDescriptor=pdf.make_indirect(descriptor),
            DW=width,
            CIDToGIDMap=pdf.make_stream(b"\0\1" * 0x10000),  # every character is glyph 1
        )
        self.object: pikepdf.Object = pdf.make_indirect(
            dictionary(
                Type=names.Font,
                Subtype=names.Type0,
                BaseFont=names.GlyphLess,
                Encoding=names("/Identity-H"),
                DescendantFonts=[pdf.make_indirect(descendant)],
                ToUnicode=self._to_unicode,
            )
        )

    def encode(self, text: str) -> list[int]:
        """Return the code of each character. Control characters and unpaired surrogates become U+FFFD."""
        return [ord(c) if ord(c) < 0x10000 else self._spare_code(c) for c in xml_text(text)]

    def finish(self) -> None:
        """Write the characters of the codes after all text is encoded."""
        # Ranges may not cross the first byte, as PDF requires (ISO 32000-1, 9.10.3).
        pages = [page for page in range(0x100) if page << 8 not in _SPARE_CODES]
        ranges = [f"<{page:02X}00> <{page:02X}FF> <{page:02X}00>" for page in pages]
        singles = [f"<{code:04X}> <{c.encode('utf-16-be').hex().upper()}>" for c, code in self._codes.items()]
        blocks = [*_map_blocks("bfrange", ranges), *_map_blocks("bfchar", singles)]
        self._to_unicode.write(_MAP_HEAD + "".join(blocks).encode("ascii") + _MAP_TAIL)

    def _spare_code(self, character: str) -> int:
        code = self._codes.get(character)
        if code is None:
            if len(self._codes) == len(_SPARE_CODES):
                _logger.warning("the PDF has too many rare characters: %r cannot be found in it", character)
                return 0xFFFD
            code = self._codes[character] = _SPARE_CODES[len(self._codes)]
        return code


_MAP_HEAD = b"""/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
"""
_MAP_TAIL = b"""endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


def _map_blocks(kind: str, entries: list[str]) -> list[str]:
    parts = [entries[k : k + _BLOCK] for k in range(0, len(entries), _BLOCK)]
    return ["\n".join([f"{len(part)} begin{kind}", *part, f"end{kind}\n"]) for part in parts]


# Images


@dataclass(frozen=True)
class PdfImage:
    """Encoded image.

    Attributes:
        data: A JPEG file, or the compressed rows of a PNG file, which PDF's Flate filter decodes.
        is_jpeg: Whether it is a JPEG file.
        colors: 1 for gray, 3 for RGB.
        bits: Bits per color, 1 or 8.
    """

    data: bytes
    is_jpeg: bool
    colors: int
    bits: int = 8


def encode_image(image_rgb: np.ndarray, quality: int | None) -> PdfImage:
    """Compress an image (H, W, 3) uint8. Gray images get one channel, black and white ones one bit per pixel.

    Args:
        image_rgb: The image.
        quality: JPEG quality, 1..100. None: lossless, like all black and white images.
    """
    from PIL import Image

    gray = image_rgb[..., 0]
    if not (image_rgb[..., 1:] == gray[..., None]).all():
        image = Image.fromarray(image_rgb)
    elif ((gray == 0) | (gray == 255)).all():
        image = Image.fromarray(gray).convert("1", dither=Image.Dither.NONE)
    else:
        image = Image.fromarray(gray)
    colors, bits = (3 if image.mode == "RGB" else 1), (1 if image.mode == "1" else 8)
    if quality is None or bits == 1:
        return PdfImage(_png_rows(image), is_jpeg=False, colors=colors, bits=bits)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return PdfImage(out.getvalue(), is_jpeg=True, colors=colors)


def unchanged_jpeg(original: str | os.PathLike[str] | bytes, width: int, height: int) -> PdfImage | None:
    """Return the JPEG file that an image was read from, if a PDF can contain it unchanged, otherwise None.

    It must be a complete JPEG file of this size, upright, and gray or YCbCr, which every PDF reader decodes the same.

    Args:
        original: The file, or its path. Other sources, such as URLs, give None.
        width, height: Size of the upright image.
    """
    from PIL import Image

    try:
        data = original if isinstance(original, bytes) else _jpeg_file(Path(original))
        if not (data.startswith(_JPEG_START) and data.rstrip(b"\0").endswith(_JPEG_END)):
            return None
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            fits = image.format == "JPEG" and image.size == (width, height) and _decodes_alike(image)
            return PdfImage(data, is_jpeg=True, colors=len(image.getbands())) if fits else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # Pillow's errors for damaged files
        return None


def _jpeg_file(path: Path) -> bytes:
    """Return a file's bytes, or only the first ones if it is not a JPEG file."""
    with path.open("rb") as file:
        start = file.read(len(_JPEG_START))
        return start + file.read() if start == _JPEG_START else start


def _decodes_alike(image: Image.Image) -> bool:
    upright = image.getexif().get(_ORIENTATION_TAG, 1) not in range(2, 9)
    if image.mode == "L":
        return upright
    # Three channels may be RGB instead of YCbCr, marked by an Adobe marker or by their names.
    names = bytes(layer[0] for layer in getattr(image, "layer", ()))
    return upright and image.mode == "RGB" and image.info.get("adobe_transform", 1) == 1 and names != b"RGB"


def _png_rows(image: Image.Image) -> bytes:
    """Return the data of a PNG file's IDAT chunks. Each chunk has length, name, data and a checksum."""
    out = io.BytesIO()
    image.save(out, "PNG")
    file, position, rows = out.getvalue(), 8, b""
    while position < len(file):
        length = int.from_bytes(file[position : position + 4], "big")
        if file[position + 4 : position + 8] == b"IDAT":
            rows += file[position + 8 : position + 8 + length]
        position += 12 + length
    return rows
