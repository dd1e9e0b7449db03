"""The font of invisible text: without glyphs, and for all of Unicode."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any

from ppocr_jax.document.elements import xml_text

if TYPE_CHECKING:
    import pikepdf

CHAR_WIDTH = 0.5
"""Advance of every character, em."""
DESCENT = 0.2
"""Depth of every character below the baseline, em; its height above it is the rest."""
_UNITS_PER_EM = 1000
_SPARE_CODES = range(0xD800, 0xE000)  # no character's: surrogates
_BLOCK = 100  # entries of a CMap's block, at most

_logger = logging.getLogger("ppocr_jax")


class InvisibleFont:
    """A composite font whose characters all are one glyph without ink.

    Codes have two bytes: those of the Basic Multilingual Plane are the characters' own; the others are given spare
    codes as they come, since some readers do not put surrogate pairs together.

    Attributes:
        object: the font in the document.
    """

    def __init__(self, pdf: pikepdf.Pdf, pikepdf: Any) -> None:
        self._codes: dict[str, int] = {}
        self._to_unicode = pdf.make_stream(b"")
        self.object: pikepdf.Object = _font_object(pdf, pikepdf, self._to_unicode)

    def encode(self, text: str) -> list[int]:
        """The code of each character; control characters and halves of surrogate pairs are replacement characters."""
        return [ord(c) if ord(c) < 0x10000 else self._spare_code(c) for c in xml_text(text)]

    def finish(self) -> None:
        """Say which characters the codes stand for, once all text is encoded."""
        self._to_unicode.write(_character_map(self._codes))

    def _spare_code(self, character: str) -> int:
        code = self._codes.get(character)
        if code is None:
            if len(self._codes) == len(_SPARE_CODES):
                _logger.warning("the PDF has too many rare characters: %r cannot be found in it", character)
                return 0xFFFD
            code = self._codes[character] = _SPARE_CODES[len(self._codes)]
        return code


def _character_map(codes: dict[str, int]) -> bytes:
    """A CMap from codes to UTF-16. Ranges end with their first byte, as PDF wants it (ISO 32000-1, 9.10.3)."""
    pages = [page for page in range(0x100) if page << 8 not in _SPARE_CODES]
    ranges = [f"<{page:02X}00> <{page:02X}FF> <{page:02X}00>" for page in pages]
    singles = [f"<{code:04X}> <{character.encode('utf-16-be').hex().upper()}>" for character, code in codes.items()]
    blocks = [*_blocks("bfrange", ranges), *_blocks("bfchar", singles)]
    return _MAP_HEAD + "".join(blocks).encode("ascii") + _MAP_TAIL


def _blocks(kind: str, entries: list[str]) -> list[str]:
    parts = [entries[k : k + _BLOCK] for k in range(0, len(entries), _BLOCK)]
    return ["\n".join([f"{len(part)} begin{kind}", *part, f"end{kind}\n"]) for part in parts]


def _font_object(pdf: pikepdf.Pdf, pikepdf: Any, to_unicode: pikepdf.Object) -> pikepdf.Object:
    names, dictionary = pikepdf.Name, pikepdf.Dictionary
    file = pdf.make_stream(_empty_truetype())
    low = round(-DESCENT * _UNITS_PER_EM)
    descriptor = dictionary(
        Type=names.FontDescriptor,
        FontName=names.GlyphLess,
        Flags=5,
        FontBBox=[0, low, round(CHAR_WIDTH * _UNITS_PER_EM), _UNITS_PER_EM + low],
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
        DW=round(CHAR_WIDTH * _UNITS_PER_EM),
        CIDToGIDMap=pdf.make_stream(b"\0\1" * 0x10000),
    )
    return pdf.make_indirect(
        dictionary(
            Type=names.Font,
            Subtype=names.Type0,
            BaseFont=names.GlyphLess,
            Encoding=names("/Identity-H"),
            DescendantFonts=[pdf.make_indirect(descendant)],
            ToUnicode=to_unicode,
        )
    )


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


def _empty_truetype() -> bytes:
    """The smallest TrueType file that PDF readers take: two equal glyphs, a line there and back across their box.

    Without an extent PDFium would not find characters that stand alone or in lines that do not lie.
    """
    em, wide, low = _UNITS_PER_EM, round(CHAR_WIDTH * _UNITS_PER_EM), round(-DESCENT * _UNITS_PER_EM)
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
