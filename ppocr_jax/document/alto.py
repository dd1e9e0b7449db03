"""ALTO 4 XML, the format of libraries and archives: http://www.loc.gov/standards/alto/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from ppocr_jax import __version__
from ppocr_jax.document.elements import WordBox, bounding_box, direction, line_words, xml_text
from ppocr_jax.document.page import Char, Line, Page, Quad

_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="{_NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="{_NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd" SCHEMAVERSION="4.4">
<Description>
<MeasurementUnit>pixel</MeasurementUnit>
%s<Processing ID="OCR"><processingSoftware><softwareName>ppocr_jax</softwareName>\
<softwareVersion>{__version__}</softwareVersion></processingSoftware></Processing>
</Description>
<Layout>
"""
_TAIL = "</Layout>\n</alto>\n"


def to_alto(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """One document with a `Page` for each page: a `TextBlock` of `TextLine`s, and their `String`s with `SP` between.

    With `words`, the `String`s have a `Glyph` for each character. Lines that do not lie straight have their outline as
    a `Shape`, turned pages their `ROTATION`, counter-clockwise. Characters that XML forbids are written as U+FFFD. The
    document names the picture of its first page.

    Raises:
        ValueError: there are no pages.
    """
    head = False
    for number, page in enumerate(pages, start=1):
        if not head:
            yield _HEAD % _source(page.source)
            head = True
        yield _page(page, number, words)
    if not head:
        raise ValueError("an ALTO document has at least one page")
    yield _TAIL


def _source(path: str) -> str:
    if not path:
        return ""
    name = escape(xml_text(path))
    return f"<sourceImageInformation><fileName>{name}</fileName></sourceImageInformation>\n"


def _page(page: Page, number: int, glyphs: bool) -> str:
    size = f'WIDTH="{page.width}" HEIGHT="{page.height}"'
    turned = f' ROTATION="{360 - page.rotation}"' if page.rotation else ""
    rows = [
        f'<Page ID="page_{number}" PHYSICAL_IMG_NR="{number}" {size}{turned}>',
        f'<PrintSpace ID="space_{number}" HPOS="0" VPOS="0" {size}>',
    ]
    if page.lines:
        rows.append(f'<TextBlock ID="block_{number}" {_box(*(line.quad for line in page))}>')
        rows += [_line(line, f"{number}_{k}", glyphs) for k, line in enumerate(page, start=1)]
        rows.append("</TextBlock>")
    return "\n".join([*rows, "</PrintSpace>", "</Page>"]) + "\n"


def _line(line: Line, number: str, glyphs: bool) -> str:
    rows = [f'<TextLine ID="line_{number}" {_box(line.quad)}>']
    if abs(direction(line.quad)) > 0.5:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.quad)
        rows.append(f'<Shape><Polygon POINTS="{points}"/></Shape>')
    words = line_words(line)
    for k, word in enumerate(words, start=1):
        if k > 1:
            rows.append("<SP/>")
        rows.append(_string(word, f"{number}_{k}", glyphs))
    if not words:  # the schema wants at least one
        rows.append(_string(WordBox("", line.quad, line.confidence), f"{number}_1", glyphs))
    return "\n".join([*rows, "</TextLine>"])


def _string(word: WordBox, number: str, glyphs: bool) -> str:
    content = quoteattr(xml_text(word.text))
    start = f'<String ID="word_{number}" {_box(word.quad)} WC="{word.confidence:.3f}" CONTENT={content}'
    # The schema wants glyphs to be one code point each.
    if glyphs and word.chars and all(len(char.text) == 1 for char in word.chars):
        return "\n".join([start + ">", *map(_glyph, word.chars), "</String>"])
    return start + "/>"


def _glyph(char: Char) -> str:
    return f'<Glyph CONTENT={quoteattr(xml_text(char.text))} GC="{char.confidence:.3f}" {_box(char.quad)}/>'


def _box(*quads: Quad) -> str:
    left, top, right, bottom = bounding_box(*quads)
    return f'HPOS="{left}" VPOS="{top}" WIDTH="{right - left}" HEIGHT="{bottom - top}"'
