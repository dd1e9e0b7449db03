"""Forms, invoices, letters and articles, as a `Composer` writes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ppocr_jax.synth import phrases
from ppocr_jax.synth.canvas import fitting
from ppocr_jax.synth.composer import Composer
from ppocr_jax.synth.marks import check_boxes
from ppocr_jax.synth.phrases import pick


def form(page: Composer) -> None:
    """A form or invoice: a title, then fields, ruled tables and paragraphs in any order."""
    rng = page.rng
    page.line(page.words(6, 36).upper(), anchor=pick(rng, "lmm"), scale=float(rng.uniform(1.1, 2.0)))
    page.next(0.6)
    while page.has_room:
        (_fields, _fields, _table, _table, paragraph, check_boxes_section)[int(rng.integers(6))](page)
        page.next(float(rng.uniform(0.4, 1.6)))


def check_boxes_section(page: Composer) -> None:
    """A row or two of boxes to tick, with their words."""
    for _ in range(int(page.rng.integers(1, 3))):
        xs = check_boxes(page.rng, page.canvas, (page.left, page.right), baseline=page.y, size=page.lettering.size)
        for x, following in zip(xs, [*xs[1:], page.right], strict=True):
            page.at(x, page.words(2, 14), room=following - x - 2 * page.lettering.size)
        page.next(1.2)


def _fields(page: Composer) -> None:
    """Names of fields with values on a line or far beside them, in one or two columns."""
    rng = page.rng
    columns = int(rng.integers(1, 3))
    share, ruled = 1 / columns, rng.random() < 0.5
    value_at = float(rng.uniform(0.3, 0.5))
    for _ in range(int(rng.integers(2, 7))):
        for column in range(columns):
            x = page.left + column * share * page.width
            start = x + value_at * share * page.width
            label = page.choice(page.tongue.form_words, start - x - page.lettering.size)
            value = page.words(3, 24) if rng.random() < 0.5 else page.tongue.phrase(rng)
            end = x + share * page.width - page.lettering.size
            page.at(x, label, room=start - x - page.lettering.size)
            if rng.random() < 0.85:
                page.at(start, value, room=end - start)
            if ruled:
                y = page.y + 0.28 * page.lettering.size
                page.canvas.mark("line", [start, y, end, y], width=1, level=int(rng.integers(120, 256)))
        page.next(float(rng.uniform(1.0, 1.5)))


def _table(page: Composer) -> None:
    """A table with all, some or no rules."""
    rng, size = page.rng, page.lettering.size
    rows, columns = int(rng.integers(2, 9)), int(rng.integers(2, 6))
    weights = rng.uniform(0.6, 2.0, columns)
    edges = page.left + np.concatenate([[0], np.cumsum(weights)]) / weights.sum() * page.width
    height, top = page.leading * float(rng.uniform(1.0, 1.6)), page.y - page.leading * 0.8
    vertical, horizontal, level = rng.random() < 0.6, rng.random() < 0.75, int(rng.integers(120, 256))
    makers = (lambda _: page.words(2, 20), phrases.amount, phrases.number, page.tongue.date, phrases.code)
    kinds = [int(rng.integers(len(makers))) for _ in range(columns)]
    for row in range(rows):
        page.y = top + height * (row + 0.5) + 0.35 * size
        for column in range(columns):
            room = edges[column + 1] - edges[column] - size
            text = page.choice(page.tongue.form_words, room) if row == 0 else makers[kinds[column]](rng)
            if kinds[column] in (1, 2):
                page.at(edges[column + 1] - 0.4 * size, text, anchor="r", room=room)
            else:
                page.at(edges[column] + 0.4 * size, text, room=room)
        if horizontal:
            y = top + row * height
            page.canvas.mark("line", [page.left, y, page.right, y], level=level)
    bottom = top + rows * height
    page.canvas.mark("line", [page.left, bottom, page.right, bottom], level=level)
    for x in edges if vertical else []:
        page.canvas.mark("line", [x, top, x, bottom], level=level)
    page.y = bottom + page.leading


def paragraph(page: Composer) -> None:
    """Sentences set in lines of the column's width."""
    rng = page.rng
    text = page.prose(int(rng.integers(40, 500)))
    while text.strip() and page.has_room:
        line = fitting(text, page.lettering, page.width) or text[:1]
        page.at(page.left, line)
        page.next()
        text = text[len(line) :].lstrip()


def letter(page: Composer) -> None:
    """A letter or an article: head, paragraphs, in one or two columns."""
    rng = page.rng
    for _ in range(int(rng.integers(0, 5))):
        page.line(page.tongue.address(rng) if rng.random() < 0.5 else page.words(5, 30), anchor="l")
    if rng.random() < 0.5:
        page.line(page.tongue.date(rng), anchor=pick(rng, "lr"))
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
