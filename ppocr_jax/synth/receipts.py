"""Shop receipts, as a `Composer` writes them."""

from __future__ import annotations

from ppocr_jax.synth import phrases
from ppocr_jax.synth.composer import Composer
from ppocr_jax.synth.marks import barcode, logo
from ppocr_jax.synth.phrases import pick


def receipt(page: Composer) -> None:
    """A shop's receipt: head, particulars, articles, sums, thanks; from a random section on."""
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
    name = page.tongue.address(rng) if rng.random() < 0.5 else page.words(8, 30)
    page.line(name.upper() if rng.random() < 0.7 else name, anchor=anchor, scale=float(rng.choice((1.0, 1.3, 1.7))))
    for _ in range(int(rng.integers(1, 5))):
        page.line(page.tongue.address(rng), anchor=anchor)
    for maker in (phrases.phone, page.tongue.labeled_code, phrases.mail_or_url):
        if rng.random() < 0.5:
            page.line(maker(rng), anchor=anchor)
    if rng.random() < 0.6:
        page.next(0.5)
        page.line(pick(rng, page.tongue.receipt_titles), anchor=anchor, scale=float(rng.choice((1.0, 1.25))))


def _receipt_particulars(page: Composer) -> None:
    rng = page.rng
    style, colon_at = int(rng.integers(4)), rng.uniform(0.25, 0.45)
    for _ in range(int(rng.integers(2, 7))):
        label = pick(rng, page.tongue.receipt_fields)
        value = (phrases.code, page.tongue.date, phrases.time, phrases.number, page.tongue.goods)[int(rng.integers(5))](
            rng
        )
        if style == 0:
            page.cells([label, ": " + value], [(0, "l"), (colon_at, "l")])
        elif style == 1:
            page.cells([f"{label}:", value], [(0, "l"), (1, "r")])
        elif style == 2 and rng.random() < 0.5:
            page.cells([f"{label}: {value}", page.tongue.date(rng)], [(0, "l"), (1, "r")])
        else:
            page.line(f"{label} : {value}" if rng.random() < 0.5 else f"{label}: {value}")


def _receipt_articles(page: Composer) -> None:
    rng = page.rng
    columns = [(0.0, "l"), (float(rng.uniform(0.1, 0.16)), "l"), (float(rng.uniform(0.7, 0.76)), "r"), (1.0, "r")]
    style = int(rng.integers(4))
    if rng.random() < 0.8:
        heads = [pick(rng, names) for names in page.tongue.article_heads]
        page.cells(heads, columns)
        if rng.random() < 0.6:
            page.separator()
    suffix = "" if page.tongue.wide else pick(rng, ("", "", " SR", " S", " ZRL", " T"))
    for _ in range(int(rng.integers(1, 9))):
        name = page.tongue.goods(rng) if rng.random() < 0.6 else page.words(4, 24)
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
    currency = pick(rng, page.tongue.currencies)
    for _ in range(int(rng.integers(2, 7))):
        label, value = pick(rng, page.tongue.receipt_sums), currency + phrases.amount(rng)
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
    if rng.random() < 0.3 and not page.tongue.wide:
        page.line("GST Summary")
        for _ in range(int(rng.integers(1, 4))):
            cells = [pick(rng, ("SR", "ZRL", "S", "Z", "Code")), phrases.amount(rng), "6%", phrases.amount(rng)]
            page.cells(cells, [(0, "l"), (0.45, "r"), (0.66, "r"), (1, "r")])


def _receipt_foot(page: Composer) -> None:
    rng, anchor = page.rng, "m" if page.rng.random() < 0.85 else "l"
    for _ in range(int(rng.integers(1, 6))):
        text = pick(rng, page.tongue.receipt_closings) if rng.random() < 0.6 else page.words(8, 40)
        if rng.random() < 0.15:
            text = f"***{text}***"
        page.line(text, anchor=anchor)
    if rng.random() < 0.3:
        page.y = barcode(
            rng, page.canvas, (page.left + 0.2 * page.width, page.y), width=0.6 * page.width, height=page.leading * 2
        )
        page.next(0.9)
        page.line(phrases.digits(rng, 8, 13), anchor="m")
