"""hOCR 1.2: XHTML with the places of lines and words, which many tools turn into PDF or edit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from ppocr_jax import __version__
from ppocr_jax.document.elements import WordBox, bounding_box, direction, height, line_words, xml_text
from ppocr_jax.document.page import Char, Line, Page, Quad

_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
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
_TAIL = "</body>\n</html>\n"
_LEVEL = 20.0  # degrees within which a line has a baseline rather than an angle


def to_hocr(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """One document with an `ocr_page` for each page, of `ocr_line`s with their `ocrx_word`s.

    With `words`, these are made of `ocrx_cinfo`s, a span for each character.

    A line that lies has a `baseline` (slope, and offset from the box's bottom-left corner), another one a `textangle`
    (degrees counter-clockwise). All lines of a page make one area and one paragraph. Characters that XML forbids are
    written as U+FFFD.
    """
    yield _HEAD
    for number, page in enumerate(pages, start=1):
        yield _page(page, number, words)
    yield _TAIL


def _page(page: Page, number: int, chars: bool) -> str:
    box = f"bbox 0 0 {page.width} {page.height}"
    name = xml_text(page.source).replace('"', "'")
    title = f'image "{name}"; {box}; ppageno {page.number - 1}'
    rows = [f'<div class="ocr_page" id="page_{number}" title={quoteattr(title)}>']
    if page.lines:
        box = "bbox {} {} {} {}".format(*bounding_box(*(line.quad for line in page)))
        rows.append(f'<div class="ocr_carea" id="block_{number}_1" title="{box}">')
        rows.append(f'<p class="ocr_par" id="par_{number}_1" title="{box}">')
        rows += [_line(line, f"{number}_{k}", chars) for k, line in enumerate(page, start=1)]
        rows += ["</p>", "</div>"]
    return "\n".join([*rows, "</div>"]) + "\n"


def _line(line: Line, number: str, chars: bool) -> str:
    title = f"bbox {_box(line.quad)}; {_slope(line.quad)}; x_size {height(line.quad):.1f}"
    words = [_word(word, f"{number}_{k}", chars) for k, word in enumerate(line_words(line), start=1)]
    return f'<span class="ocr_line" id="line_{number}" title="{title}">\n' + "\n".join([*words, "</span>"])


def _word(word: WordBox, number: str, chars: bool) -> str:
    title = f"bbox {_box(word.quad)}; x_wconf {round(100 * word.confidence)}"
    inner = "".join(map(_char, word.chars)) if chars and word.chars else escape(xml_text(word.text))
    return f'<span class="ocrx_word" id="word_{number}" title="{title}">{inner}</span>'


def _char(char: Char) -> str:
    title = f"x_bboxes {_box(char.quad)}; x_conf {100 * char.confidence:.2f}"
    return f'<span class="ocrx_cinfo" title="{title}">{escape(xml_text(char.text))}</span>'


def _box(quad: Quad) -> str:
    return "{} {} {} {}".format(*bounding_box(quad))


def _slope(quad: Quad) -> str:
    angle = direction(quad)
    if abs(angle) > _LEVEL:
        return f"textangle {-angle % 360:.2f}"
    (right, right_y), (left, left_y) = quad[2], quad[3]
    box_left, _, _, bottom = bounding_box(quad)
    slope = (right_y - left_y) / max(right - left, 1.0)
    return f"baseline {slope:.4f} {left_y + slope * (box_left - left) - bottom:.1f}"
