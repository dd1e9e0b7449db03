"""XML formats: hOCR 1.2, which many tools edit or convert to PDF, and ALTO 4, used by libraries and archives.

hOCR: http://kba.github.io/hocr-spec/1.2/; ALTO: http://www.loc.gov/standards/alto/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from ppocr_jax import __version__
from ppocr_jax.document.page import (
    Char,
    Line,
    Page,
    Quad,
    WordBox,
    line_words,
    quad_box,
    quad_direction,
    quad_height,
)


def xml_text(text: str) -> str:
    """Return text allowed in XML: characters that XML 1.0 forbids become U+FFFD."""
    return "".join(c if _is_xml(ord(c)) else "\ufffd" for c in text)


def _is_xml(code: int) -> bool:
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


# hOCR

_HOCR_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
<head>
<title></title>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8" />
<meta name="ocr-system" content="ppocr_jax {__version__}" />
<meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_par ocr_line ocrx_word ocrx_cinfo ocrp_wconf" />
</head>
<body>
"""
_HOCR_TAIL = "</body>\n</html>\n"
_LEVEL = 20.0  # degrees within which a line has a baseline instead of an angle


def to_hocr(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """Yield one hOCR document with an `ocr_page` for each page, with `ocr_line`s of `ocrx_word`s.

    With `words`, words contain an `ocrx_cinfo` span for each character.

    A nearly horizontal line has a `baseline` (slope, and offset from the box's bottom-left corner), another line a
    `textangle` (degrees counter-clockwise). All lines of a page form one area and one paragraph. Characters that XML
    forbids become U+FFFD.
    """
    yield _HOCR_HEAD
    for number, page in enumerate(pages, start=1):
        yield _hocr_page(page, number, words)
    yield _HOCR_TAIL


def _hocr_page(page: Page, number: int, chars: bool) -> str:
    box = f"bbox 0 0 {page.width} {page.height}"
    name = xml_text(page.source).replace('"', "'")
    title = f'image "{name}"; {box}; ppageno {page.number - 1}'
    rows = [f'<div class="ocr_page" id="page_{number}" title={quoteattr(title)}>']
    if page.lines:
        box = "bbox {} {} {} {}".format(*quad_box(*(line.quad for line in page)))
        rows.append(f'<div class="ocr_carea" id="block_{number}_1" title="{box}">')
        rows.append(f'<p class="ocr_par" id="par_{number}_1" title="{box}">')
        rows += [_hocr_line(line, f"{number}_{k}", chars) for k, line in enumerate(page, start=1)]
        rows += ["</p>", "</div>"]
    return "\n".join([*rows, "</div>"]) + "\n"


def _hocr_line(line: Line, number: str, chars: bool) -> str:
    title = f"bbox {_hocr_box(line.quad)}; {_slope(line.quad)}; x_size {quad_height(line.quad):.1f}"
    words = [_hocr_word(word, f"{number}_{k}", chars) for k, word in enumerate(line_words(line), start=1)]
    return f'<span class="ocr_line" id="line_{number}" title="{title}">\n' + "\n".join([*words, "</span>"])


def _hocr_word(word: WordBox, number: str, chars: bool) -> str:
    title = f"bbox {_hocr_box(word.quad)}; x_wconf {round(100 * word.confidence)}"
    inner = "".join(map(_hocr_char, word.chars)) if chars and word.chars else escape(xml_text(word.text))
    return f'<span class="ocrx_word" id="word_{number}" title="{title}">{inner}</span>'


def _hocr_char(char: Char) -> str:
    title = f"x_bboxes {_hocr_box(char.quad)}; x_conf {100 * char.confidence:.2f}"
    return f'<span class="ocrx_cinfo" title="{title}">{escape(xml_text(char.text))}</span>'


def _hocr_box(quad: Quad) -> str:
    return "{} {} {} {}".format(*quad_box(quad))


def _slope(quad: Quad) -> str:
    angle = quad_direction(quad)
    if abs(angle) > _LEVEL:
        return f"textangle {-angle % 360:.2f}"
    (right, right_y), (left, left_y) = quad[2], quad[3]
    box_left, _, _, bottom = quad_box(quad)
    slope = (right_y - left_y) / max(right - left, 1.0)
    return f"baseline {slope:.4f} {left_y + slope * (box_left - left) - bottom:.1f}"


# ALTO

_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_ALTO_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="{_NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="{_NAMESPACE} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd" SCHEMAVERSION="4.4">
<Description>
<MeasurementUnit>pixel</MeasurementUnit>
%s<Processing ID="OCR"><processingSoftware><softwareName>ppocr_jax</softwareName>\
<softwareVersion>{__version__}</softwareVersion></processingSoftware></Processing>
</Description>
<Layout>
"""
_ALTO_TAIL = "</Layout>\n</alto>\n"


def to_alto(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """Yield one ALTO document: for each page a `Page` with a `TextBlock` of `TextLine`s, with `SP` between `String`s.

    With `words`, `String`s contain a `Glyph` for each character. Lines that are not horizontal have their outline as a
    `Shape`, and rotated pages have a `ROTATION` (counter-clockwise). Characters that XML forbids become U+FFFD. The
    document names the image of its first page.

    Raises:
        ValueError: If there are no pages.
    """
    head = False
    for number, page in enumerate(pages, start=1):
        if not head:
            yield _ALTO_HEAD % _alto_source(page.source)
            head = True
        yield _alto_page(page, number, words)
    if not head:
        raise ValueError("an ALTO document has at least one page")
    yield _ALTO_TAIL


def _alto_source(path: str) -> str:
    if not path:
        return ""
    name = escape(xml_text(path))
    return f"<sourceImageInformation><fileName>{name}</fileName></sourceImageInformation>\n"


def _alto_page(page: Page, number: int, glyphs: bool) -> str:
    size = f'WIDTH="{page.width}" HEIGHT="{page.height}"'
    rotated = f' ROTATION="{360 - page.rotation}"' if page.rotation else ""
    rows = [
        f'<Page ID="page_{number}" PHYSICAL_IMG_NR="{number}" {size}{rotated}>',
        f'<PrintSpace ID="space_{number}" HPOS="0" VPOS="0" {size}>',
    ]
    if page.lines:
        rows.append(f'<TextBlock ID="block_{number}" {_alto_box(*(line.quad for line in page))}>')
        rows += [_alto_line(line, f"{number}_{k}", glyphs) for k, line in enumerate(page, start=1)]
        rows.append("</TextBlock>")
    return "\n".join([*rows, "</PrintSpace>", "</Page>"]) + "\n"


def _alto_line(line: Line, number: str, glyphs: bool) -> str:
    rows = [f'<TextLine ID="line_{number}" {_alto_box(line.quad)}>']
    if abs(quad_direction(line.quad)) > 0.5:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.quad)
        rows.append(f'<Shape><Polygon POINTS="{points}"/></Shape>')
    words = line_words(line)
    for k, word in enumerate(words, start=1):
        if k > 1:
            rows.append("<SP/>")
        rows.append(_alto_string(word, f"{number}_{k}", glyphs))
    if not words:  # the schema requires at least one
        rows.append(_alto_string(WordBox("", line.quad, line.confidence), f"{number}_1", glyphs))
    return "\n".join([*rows, "</TextLine>"])


def _alto_string(word: WordBox, number: str, glyphs: bool) -> str:
    content = quoteattr(xml_text(word.text))
    start = f'<String ID="word_{number}" {_alto_box(word.quad)} WC="{word.confidence:.3f}" CONTENT={content}'
    # The schema requires glyphs of one code point each.
    if glyphs and word.chars and all(len(char.text) == 1 for char in word.chars):
        return "\n".join([start + ">", *map(_alto_glyph, word.chars), "</String>"])
    return start + "/>"


def _alto_glyph(char: Char) -> str:
    return f'<Glyph CONTENT={quoteattr(xml_text(char.text))} GC="{char.confidence:.3f}" {_alto_box(char.quad)}/>'


def _alto_box(*quads: Quad) -> str:
    left, top, right, bottom = quad_box(*quads)
    return f'HPOS="{left}" VPOS="{top}" WIDTH="{right - left}" HEIGHT="{bottom - top}"'
