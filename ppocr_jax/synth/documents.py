"""Receipts, forms, tables, letters and articles, written by a `Composer`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ppocr_jax.synth import phrases
from ppocr_jax.synth.canvas import fitting
from ppocr_jax.synth.composer import Composer, barcode, check_boxes, logo
from ppocr_jax.synth.phrases import pick


def form(page: Composer) -> None:
    """Write a form or invoice: a title, then fields, ruled tables and paragraphs in random order."""
    rng = page.rng
    page.line(page.words(6, 36).upper(), anchor=pick(rng, "lmm"), scale=float(rng.uniform(1.1, 2.0)))
    page.next(0.6)
    while page.has_room:
        (_fields, _fields, _small_table, _small_table, paragraph, check_boxes_section)[int(rng.integers(6))](page)
        page.next(float(rng.uniform(0.4, 1.6)))


def check_boxes_section(page: Composer) -> None:
    """Write a row or two of check boxes and their words."""
    for _ in range(int(page.rng.integers(1, 3))):
        xs = check_boxes(page.rng, page.canvas, (page.left, page.right), baseline=page.y, size=page.lettering.size)
        for x, following in zip(xs, [*xs[1:], page.right], strict=True):
            page.at(x, page.words(2, 14), room=following - x - 2 * page.lettering.size)
        page.next(1.2)


def _fields(page: Composer) -> None:
    """Write field names with values after them, in one or two columns."""
    rng = page.rng
    columns = int(rng.integers(1, 3))
    share, ruled = 1 / columns, rng.random() < 0.5
    value_at = float(rng.uniform(0.3, 0.5))
    for _ in range(int(rng.integers(2, 7))):
        for column in range(columns):
            x = page.left + column * share * page.width
            start = x + value_at * share * page.width
            label = page.choice(page.language.words["form_words"], start - x - page.lettering.size)
            value = page.words(3, 24) if rng.random() < 0.5 else page.language.phrase(rng)
            end = x + share * page.width - page.lettering.size
            page.at(x, label, room=start - x - page.lettering.size)
            if rng.random() < 0.85:
                page.at(start, value, room=end - start)
            if ruled:
                y = page.y + 0.28 * page.lettering.size
                page.canvas.mark("line", [start, y, end, y], width=1, level=int(rng.integers(120, 256)))
        page.next(float(rng.uniform(1.0, 1.5)))


def tables(page: Composer) -> None:
    """Write large tables one below the other: price lists, timetables, statements, most of them fully ruled."""
    rng = page.rng
    while page.has_room:
        page.line(page.words(6, 36), anchor=pick(rng, "llm"), scale=float(rng.choice((1.0, 1.2, 1.5))))
        page.next(0.4)
        rows, columns = int(rng.integers(5, 26)), int(rng.integers(3, 8))
        _table(page, rows, columns, ruled=rng.random() < 0.75, shaded=rng.random() < 0.4)
        page.next(float(rng.uniform(0.4, 1.6)))


def _small_table(page: Composer) -> None:
    """Write a small table with all, some or no rules."""
    rng = page.rng
    _table(page, int(rng.integers(2, 9)), int(rng.integers(2, 6)), ruled=False, shaded=rng.random() < 0.15)


def _table(page: Composer, rows: int, columns: int, *, ruled: bool, shaded: bool) -> None:
    """Write a table. `ruled`: rules around all cells, otherwise random ones; `shaded`: its head or every other row."""
    rng, size = page.rng, page.lettering.size
    weights = rng.uniform(0.6, 2.0, columns)
    edges = page.left + np.concatenate([[0], np.cumsum(weights)]) / weights.sum() * page.width
    height, top = page.leading * float(rng.uniform(1.0, 1.6)), page.y - page.leading * 0.8
    vertical, horizontal = ruled or rng.random() < 0.6, ruled or rng.random() < 0.75
    level, rule = int(rng.integers(120, 256)), max(1, round(size * float(rng.choice((0.04, 0.07, 0.12)))))
    makers = (
        *(lambda _: page.words(2, 20), phrases.amount, phrases.number, page.language.date, phrases.code),
        *(phrases.comma_amount, phrases.time, page.language.goods),
    )
    if shaded:
        color, every = page.near_background(45), rng.random() < 0.5
        for row in range(0, rows if every else 1, 2):
            y = top + row * height
            page.canvas.mark("rectangle", [page.left, y, page.right, y + height], width=0, color=color)
    kinds = [int(rng.integers(len(makers))) for _ in range(columns)]
    for row in range(rows):
        page.y = top + height * (row + 0.5) + 0.35 * size
        for column in range(columns):
            room = edges[column + 1] - edges[column] - size
            text = page.choice(page.language.words["form_words"], room) if row == 0 else makers[kinds[column]](rng)
            if kinds[column] in (1, 2, 5):
                page.at(edges[column + 1] - 0.4 * size, text, anchor="r", room=room)
            else:
                page.at(edges[column] + 0.4 * size, text, room=room)
        if horizontal:
            y = top + row * height
            page.canvas.mark("line", [page.left, y, page.right, y], width=rule, level=level)
    bottom = top + rows * height
    page.canvas.mark("line", [page.left, bottom, page.right, bottom], width=rule, level=level)
    for x in edges if vertical else []:
        page.canvas.mark("line", [x, top, x, bottom], width=rule, level=level)
    page.y = bottom + page.leading


def paragraph(page: Composer) -> None:
    """Write sentences in lines of the column's width."""
    rng = page.rng
    text = page.prose(int(rng.integers(40, 500)))
    while text.strip() and page.has_room:
        line = fitting(text, page.lettering, page.width) or text[:1]
        page.at(page.left, line)
        page.next()
        text = text[len(line) :].lstrip()


def letter(page: Composer) -> None:
    """Write a letter or an article: a head and paragraphs, in one or two columns."""
    rng = page.rng
    for _ in range(int(rng.integers(0, 5))):
        page.line(page.language.address(rng) if rng.random() < 0.5 else page.words(5, 30), anchor="l")
    if rng.random() < 0.5:
        page.line(page.language.date(rng), anchor=pick(rng, "lr"))
    page.next(float(rng.uniform(0.5, 2)))
    if rng.random() < 0.5:
        page.line(page.words(8, 40), anchor=pick(rng, "lm"), scale=float(rng.uniform(1.2, 2.2)))
        page.next(0.5)
    columns, gap, top = (2 if rng.random() < 0.3 else 1), 1.5 * page.lettering.size, page.y
    width = (page.width - gap * (columns - 1)) / columns
    for column in range(columns):
        left = page.left + column * (width + gap)
        part = replace(page, left=left, right=left + width, y=top)
        while part.has_room:
            paragraph(part)
            part.next(float(rng.uniform(0.2, 1.2)))


def receipt(page: Composer) -> None:
    """Write a shop receipt, starting at a random section: head, particulars, articles, sums, closing."""
    sections = (_receipt_head, _receipt_particulars, _receipt_articles, _receipt_sums, _receipt_foot)
    begin = 0 if page.rng.random() < 0.6 else int(page.rng.integers(1, len(sections)))
    while page.has_room:
        for section in sections[begin:]:
            section(page)
            page.separator()
        begin = int(page.rng.integers(0, 3))


def _receipt_head(page: Composer) -> None:
    rng, anchor = page.rng, "m" if page.rng.random() < 0.8 else "l"
    if rng.random() < 0.25:
        page.y = logo(rng, page.canvas, (page.left + page.right) / 2, page.y, page.leading * rng.uniform(2, 4))
        page.next()
    name = page.language.address(rng) if rng.random() < 0.5 else page.words(8, 30)
    page.line(name.upper() if rng.random() < 0.7 else name, anchor=anchor, scale=float(rng.choice((1.0, 1.3, 1.7))))
    for _ in range(int(rng.integers(1, 5))):
        page.line(page.language.address(rng), anchor=anchor)
    for maker in (phrases.phone, page.language.labeled_code, phrases.mail_or_url):
        if rng.random() < 0.5:
            page.line(maker(rng), anchor=anchor)
    if rng.random() < 0.6:
        page.next(0.5)
        page.line(pick(rng, page.language.words["receipt_titles"]), anchor=anchor, scale=float(rng.choice((1.0, 1.25))))


def _receipt_particulars(page: Composer) -> None:
    rng = page.rng
    style, colon_at = int(rng.integers(4)), rng.uniform(0.25, 0.45)
    for _ in range(int(rng.integers(2, 7))):
        label = pick(rng, page.language.words["receipt_fields"])
        value = (phrases.code, page.language.date, phrases.time, phrases.number, page.language.goods)[
            int(rng.integers(5))
        ](rng)
        if style == 0:
            page.cells([label, ": " + value], [(0, "l"), (colon_at, "l")])
        elif style == 1:
            page.cells([f"{label}:", value], [(0, "l"), (1, "r")])
        elif style == 2 and rng.random() < 0.5:
            page.cells([f"{label}: {value}", page.language.date(rng)], [(0, "l"), (1, "r")])
        else:
            page.line(f"{label} : {value}" if rng.random() < 0.5 else f"{label}: {value}")


def _receipt_articles(page: Composer) -> None:
    rng = page.rng
    columns = [(0.0, "l"), (float(rng.uniform(0.1, 0.16)), "l"), (float(rng.uniform(0.7, 0.76)), "r"), (1.0, "r")]
    style = int(rng.integers(4))
    if rng.random() < 0.8:
        heads = [pick(rng, names) for names in page.language.article_heads]
        page.cells(heads, columns)
        if rng.random() < 0.6:
            page.separator()
    suffix = "" if page.language.wide else pick(rng, ("", "", " SR", " S", " ZRL", " T"))
    for _ in range(int(rng.integers(1, 9))):
        name = page.language.goods(rng) if rng.random() < 0.6 else page.words(4, 24)
        name = name.upper() if rng.random() < 0.6 else name
        count, price, total = str(int(rng.integers(1, 13))), phrases.amount(rng), phrases.amount(rng) + suffix
        if style == 0:
            page.cells([count, name, price, total], columns)
        elif style == 1:
            page.cells([name, total], [(0, "l"), (1, "r")])
        else:
            page.cells([f"{phrases.digits(rng, 5, 13)} {name}" if style == 2 else name], [(0, "l")])
            page.cells([f"{count} X {price}", total], [columns[1], (1, "r")])
        page.next(float(rng.choice((0, 0, 0.2))))


def _receipt_sums(page: Composer) -> None:
    rng = page.rng
    at = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.2, 0.45))
    anchor = "l" if rng.random() < 0.7 else "r"
    currency = pick(rng, page.language.currencies)
    for _ in range(int(rng.integers(2, 7))):
        label, value = pick(rng, page.language.words["receipt_sums"]), currency + phrases.amount(rng)
        if rng.random() < 0.12:
            page.next(0.4)
            page.at(page.left + at * page.width, label, scale=1.4, room=0.5 * page.width)
            page.at(page.right, value, anchor="r", scale=1.4, room=0.4 * page.width)
            page.next(1.2)
        elif anchor == "l":
            page.cells([label, value], [(at, "l"), (1, "r")])
        else:
            page.at(page.left + 0.68 * page.width, label, anchor="r", room=0.66 * page.width)
            page.at(page.right, value, anchor="r", room=0.28 * page.width)
            page.next()
    if rng.random() < 0.3 and not page.language.wide:
        page.line("GST Summary")
        for _ in range(int(rng.integers(1, 4))):
            cells = [pick(rng, ("SR", "ZRL", "S", "Z", "Code")), phrases.amount(rng), "6%", phrases.amount(rng)]
            page.cells(cells, [(0, "l"), (0.45, "r"), (0.66, "r"), (1, "r")])


def _receipt_foot(page: Composer) -> None:
    rng, anchor = page.rng, "m" if page.rng.random() < 0.85 else "l"
    for _ in range(int(rng.integers(1, 6))):
        text = pick(rng, page.language.words["receipt_closings"]) if rng.random() < 0.6 else page.words(8, 40)
        if rng.random() < 0.15:
            text = f"***{text}***"
        page.line(text, anchor=anchor)
    if rng.random() < 0.3:
        page.y = barcode(
            rng, page.canvas, (page.left + 0.2 * page.width, page.y), width=0.6 * page.width, height=page.leading * 2
        )
        page.next(0.9)
        page.line(phrases.digits(rng, 8, 13), anchor="m")
