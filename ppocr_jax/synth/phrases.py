"""Invented strings as on receipts, invoices, forms and signs: numbers, prices, dates, codes, addresses.

Each function maps a random generator to one string; the caller drops characters outside the charset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

_CURRENCIES = ("$", "€", "£", "¥", "₹", "¢", "RM", "RM ", "USD ", "EUR ", "S$", "$ ", "Rs.", "MYR ")
_TLDS = ("com", "net", "org", "com.my", "co.uk", "io", "de", "com.sg", "info", "edu")
_SIZES = ("G", "KG", "ML", "L", "MM", "pcs", "cm", "'S", "IN1", '"')
_CODE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

T = TypeVar("T")
Phrase = Callable[[np.random.Generator], str]


@cache
def word_lists(language: str) -> dict[str, tuple[str, ...]]:
    """Return the lists of `resources/<language>.txt`, name -> entries.

    The file has one entry per line below the name of its list in brackets; text before the first name is a comment.
    """
    lists: dict[str, list[str]] = {}
    name = ""
    for line in (Path(__file__).parent / "resources" / f"{language}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1]
            lists[name] = []
        elif name and line.strip():
            lists[name].append(line)
    return {name: tuple(entries) for name, entries in lists.items()}


def _english(name: str) -> tuple[str, ...]:
    return word_lists("english")[name]


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Return a random one of `items`, all equally likely."""
    return items[int(rng.integers(len(items)))]


def digits(rng: np.random.Generator, low: int, high: int | None = None) -> str:
    """Return a string of `low` to `high` random digits (by default exactly `low`)."""
    count = low if high is None else int(rng.integers(low, high + 1))
    return str(int(rng.integers(10 ** min(count, 18)))).zfill(count)


def number(rng: np.random.Generator) -> str:
    """Return a whole or decimal number; small ones are most frequent."""
    value = float(10 ** rng.uniform(0, 5))
    form = int(rng.integers(6))
    if form < 3:
        return str(int(value))
    return (f"{value:.2f}", f"{int(value):,}", f"{value:.{int(rng.integers(1, 5))}f}")[form - 3]


def amount(rng: np.random.Generator) -> str:
    """Return a sum with two decimals and no currency: 9.00, 1,204.55, -0.02."""
    cents = int(10 ** rng.uniform(0, 5.3))
    if rng.random() < 0.5:
        cents -= cents % int(pick(rng, ("5", "10", "50", "100")))
    text = f"{cents / 100:,.2f}" if rng.random() < 0.8 else f"{cents / 100:.2f}"
    form = int(rng.integers(12))
    return f"({text})" if form == 0 else f"-{text}" if form < 3 else text


def price(rng: np.random.Generator) -> str:
    """Return an amount with a currency sign before or, rarely, after it."""
    sign, text = pick(rng, _CURRENCIES), amount(rng).strip("-()")
    if sign == "¢":
        return digits(rng, 1, 2) + sign
    form = int(rng.integers(12))
    if form == 0:
        return f"{text} {sign.strip()}"
    if form == 1:
        return f"{text.replace('.', ',')}{sign.strip()}" if sign == "€" else f"-{sign}{text}"
    return sign + text


def date(rng: np.random.Generator) -> str:
    """Return a date in one of many notations, sometimes followed by the time."""
    year, month, day = int(rng.integers(1970, 2031)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    name, separator = _english("months")[month - 1], pick(rng, "///--.. ")
    text = (
        f"{day:02}{separator}{month:02}{separator}{year}",
        f"{day:02}{separator}{month:02}{separator}{year % 100:02}",
        f"{year}-{month:02}-{day:02}",
        f"{month}/{day}/{year % 100:02}",
        f"{day} {name[:3]} {year}",
        f"{name} {day}, {year}",
        f"{day:02}-{name[:3]}-{year}",
        f"{name[:3].upper()} {day} '{year % 100:02}",
        f"{year}.{month:02}.{day:02}",
    )[int(rng.integers(9))]
    return f"{text} {time(rng)}" if rng.random() < 0.25 else text


def time(rng: np.random.Generator) -> str:
    """Return a time of day."""
    hour, minute, second = int(rng.integers(24)), int(rng.integers(60)), int(rng.integers(60))
    half = "AM" if hour < 12 else "PM"
    return (
        f"{hour:02}:{minute:02}",
        f"{hour:02}:{minute:02}:{second:02}",
        f"{hour % 12 or 12}:{minute:02} {half}",
        f"{hour % 12 or 12}:{minute:02}{half.lower()}",
        f"{hour % 12 or 12}:{minute:02}:{second:02} {half}",
        f"{hour:02}{minute:02}H",
    )[int(rng.integers(6))]


def phone(rng: np.random.Generator) -> str:
    """Return a telephone number, sometimes with "Tel:" before it."""
    text = (
        f"{digits(rng, 2)}-{digits(rng, 8)}",
        f"+{digits(rng, 2)} {digits(rng, 2)}-{digits(rng, 4)} {digits(rng, 4)}",
        f"({digits(rng, 3)}) {digits(rng, 3)}-{digits(rng, 4)}",
        f"{digits(rng, 3)}-{digits(rng, 3)} {digits(rng, 4)}",
        f"1-{digits(rng, 3)}-{digits(rng, 3)}-{digits(rng, 4)}",
        f"{digits(rng, 3)}/{digits(rng, 3)}-{digits(rng, 4)}",
    )[int(rng.integers(6))]
    return pick(rng, ("", "", "", "Tel: ", "TEL:", "Fax: ", "FAX : ", "H/P: ", "Tel.No.: ")) + text


def _name(rng: np.random.Generator) -> str:
    return pick(rng, _english("goods") if rng.random() < 0.5 else _english("sign_words")).lower().strip(".")


def mail_or_url(rng: np.random.Generator) -> str:
    """Return an e-mail address, a URL or a social media handle."""
    host = f"{_name(rng)}{pick(rng, ('', '-', '', ''))}{_name(rng)}.{pick(rng, _TLDS)}"
    return (
        f"{_name(rng)}{pick(rng, '._-')}{_name(rng)}@{host}",
        f"{_name(rng)}{digits(rng, 1, 4)}@{host}",
        f"www.{host}",
        f"https://www.{host}/{_name(rng)}",
        f"http://{host}/~{_name(rng)}?id={digits(rng, 1, 4)}&q={_name(rng)}",
        f"facebook.com/{_name(rng)}{_name(rng)}",
        f"@{_name(rng)}_{_name(rng)}",
        f"#{_name(rng)}",
    )[int(rng.integers(8))]


def code(rng: np.random.Generator) -> str:
    """Return a document, article or registration number."""

    def letters(count: int) -> str:
        return "".join(pick(rng, _CODE_LETTERS) for _ in range(count))

    return (
        digits(rng, 5, 13),
        f"{letters(2)}{digits(rng, 6, 10)}",
        f"{letters(1)}-{digits(rng, 4, 6)}",
        f"({digits(rng, 6)}-{letters(1)})",
        f"{letters(3)}{digits(rng, 2)}-{digits(rng, 3)}/{digits(rng, 2)}",
        f"{digits(rng, 4)}-{digits(rng, 4)}-{digits(rng, 4)}",
        f"#{digits(rng, 3, 7)}",
        f"{letters(2)}_{digits(rng, 3)}.{letters(1).lower()}{digits(rng, 1)}",
        f"XXXX XXXX XXXX {digits(rng, 4)}",
        f"{'*' * int(rng.integers(3, 9))}{digits(rng, 4)}",
        f"[{letters(2)}{digits(rng, 3)}]",
        f"{letters(1)}{digits(rng, 1)}{letters(1)} {digits(rng, 1)}{letters(2)}",
    )[int(rng.integers(12))]


def labeled_code(rng: np.random.Generator) -> str:
    """Return a field name and its value: "GST ID No: 000123456789", "Date : 01/02/2019"."""
    label = pick(rng, ("GST ID No", "GST REG NO", "Invoice No", "BILL NO", "Doc No.", "Receipt #", "Ref", "Cashier"))
    colon = pick(rng, (": ", " : ", ":", " ", " # ", "."))
    value = digits(rng, 12) if label.startswith("GST") else code(rng)
    form = int(rng.integers(5))
    if form == 3:
        return f"{pick(rng, ('Date', 'DATE', 'Dated'))}{colon}{date(rng)}"
    if form == 4:
        return f"{pick(rng, _english('receipt_words'))}{colon}{price(rng)}"
    return label + colon + value


def comma_amount(rng: np.random.Generator) -> str:
    """Return a sum with a decimal comma, as in most of Europe: 9,00, 1.204,55 €, EUR 12,50."""
    cents = int(10 ** rng.uniform(0, 6))
    text = f"{cents / 100:,.2f}".translate(str.maketrans(",.", pick(rng, (".,", ".,", " ,"))))
    sign = pick(rng, ("", "", "", "", "€", "EUR", "CHF", "kr", "-"))
    if sign == "-":
        return f"-{text}"
    return (text, f"{text} {sign}", f"{text}{sign}", f"{sign} {text}")[int(rng.integers(4)) if sign else 0]


def mixed_code(rng: np.random.Generator) -> str:
    """Return a code whose letters and digits are easily confused: O and 0, I, 1 and l, S and 5, B and 8."""

    def some(characters: str, low: int, high: int | None = None) -> str:
        count = low if high is None else int(rng.integers(low, high + 1))
        return "".join(characters[i] for i in rng.integers(0, len(characters), count))

    upper, alike = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "O0I1S5B8Z2G6QD"
    groups = int(rng.integers(2, 5))
    return (
        some(alike, 4, 10),
        some(upper, 6, 17),
        some("O0oI1L7T", 4, 10),
        "-".join(some(upper, 4) for _ in range(groups)),
        "-".join(some(alike, 3, 5) for _ in range(groups)),
        f"S/N: {some(upper, 8, 14)}",
        f"{some(upper, 2)}{digits(rng, 2)} {' '.join(digits(rng, 4) for _ in range(groups))}",
        f"{some('ABCDEFGHIKLMOPSTUVZ', 1, 3)}-{some('BDIOSZQ', 1, 2)} {digits(rng, 1, 4)}",
        f"0x{some('0123456789ABCDEF', 4, 8)}",
        some("abcdef0123456789", 8, 16),
        f"{digits(rng, 2)}{some('OIDSBZ', 1)}{digits(rng, 3)}{some('OIDSBZ', 1, 2)}",
        some("abdl01o5gqz2xyze", 6, 12),
    )[int(rng.integers(12))]


def source_code(rng: np.random.Generator) -> str:
    """Return a line of a program, a command, a path or a setting: text with underscores, brackets and operators."""
    words = _english("code_words")
    a, b, c = (pick(rng, words) for _ in range(3))
    n, m = digits(rng, 1, 3).lstrip("0") or "0", digits(rng, 1, 2)
    return (
        f"{a}_{b} = {c}[{n}]",
        f"def {a}_{b}({c}, {b}=None):",
        f"if ({a} != {b}) {{",
        f"return {a}.{b}({c});",
        f"for (int i = 0; i < {a}_{b}; i++)",
        f"from {a}.{b} import {c}_{a}",
        f"#include <{a}/{b}.h>",
        f"{a.upper()}_{b.upper()} = {n}",
        f'"{a}": [{n}, {m}],',
        f'<{a} id="{b}_{n}">',
        f"$ {a} --{b} {c}/{a}_{n}.py",
        f"/usr/{a}/{b}_{n}.txt",
        f"C:\\{a.title()}\\{b}_{n}.exe",
        f"{a}->{b}[{n}] |= ~{c};",
        f"std::vector<{a.title()}> {b}_;",
        f"print(f'{{{a}}} {{{b}:.{m[0]}f}}')",
        f"@{a}_{b}",
        f"__{a}__",
        f"self._{a}[{b}] += {n}",
        f"SELECT {a}_id FROM {b} WHERE {c} >= {n};",
        f"{a}({b}[{c}], **{a}_args)",
        f"{{'{a}': '{b}', '{c}': {n}}}",
        f"// TODO({a}): {b} {c}",
        f"const {a} = ({b}) => {{ {c}(); }}",
        f"[{a}.{b}]",
        f"${{{a.upper()}}}/{b}.{c}",
        f"{a}.{b}?{c}={n}&{a}={m}#{b}",
        f"}} else if (!{a}.{b}()) {{",
    )[int(rng.integers(28))]


def display_text(rng: np.random.Generator) -> str:
    """Return the text of a seven-segment display: a time, a measured value, a counter."""
    hour, minute = int(rng.integers(24)), int(rng.integers(60))
    return (
        f"{hour:02}:{minute:02}",
        f"{hour}:{minute:02}",
        f"{hour:02}:{minute:02}:{int(rng.integers(60)):02}",
        f"{rng.uniform(0, 100):.1f}",
        f"{rng.uniform(-40, 40):.1f}",
        f"{rng.uniform(0, 10):.2f}",
        f"{rng.uniform(0, 1000):.2f}",
        digits(rng, 1, 8),
        str(int(rng.integers(1000))),
        f"-{int(rng.integers(100))}",
        f"{hour:02}-{minute:02}",
        digits(rng, 6),
    )[int(rng.integers(12))]


def quantity_line(rng: np.random.Generator) -> str:
    """Return part of a row of a receipt: "2 X 4.50", "3 pcs @ 1.20", "9.00 SR"."""
    count = digits(rng, 1, 2).lstrip("0") or "1"
    return (
        f"{count} X {amount(rng)}",
        f"{count} x {price(rng)}",
        f"{count} {pick(rng, ('pcs', 'UNIT(S)', 'EA', 'kg', 'PKT'))} @ {amount(rng)}",
        f"{amount(rng)} {pick(rng, ('SR', 'ZRL', 'S', 'T', 'Z', 'ZR'))}",
        f"{count} {goods(rng)}",
        f"{count}X",
        f"{digits(rng, 1, 3)}% {pick(rng, ('OFF', 'GST', 'DISC', 'VAT'))}",
        f"{digits(rng, 1, 2)}.{digits(rng, 1)}%",
        f"{goods(rng)} {amount(rng)}",
    )[int(rng.integers(9))]


def goods(rng: np.random.Generator) -> str:
    """Return the name of an article, with or without its number or size."""
    words = " ".join(pick(rng, _english("goods")) for _ in range(int(rng.integers(1, 4))))
    size = f"{digits(rng, 1, 3).lstrip('0') or '5'}{pick(rng, _SIZES)}"
    return (words, words, f"{words} {size}", f"{digits(rng, 3, 6)} {words}", f"{words} ({size})")[int(rng.integers(5))]


def address(rng: np.random.Generator) -> str:
    """Return one line of a postal address or a company's name."""
    words = [pick(rng, _english("street_words")) for _ in range(int(rng.integers(1, 4)))]
    name = " ".join(words)
    return (
        f"No.{digits(rng, 1, 3)}, {name} {digits(rng, 1, 2)}/{digits(rng, 1, 2)},",
        f"{digits(rng, 5)} {name}",
        f"LOT {digits(rng, 1, 4)}-{pick(rng, 'ABCDG')}, {name},",
        f"{name}, {digits(rng, 5)}",
        f"{digits(rng, 1, 4)} {name}.",
        f"{name} & {pick(rng, _english('street_words'))}",
        f"{name} ({digits(rng, 6, 7)}-{pick(rng, _CODE_LETTERS)})",
    )[int(rng.integers(7))]


def _word_of(words: Sequence[str]) -> Phrase:
    return lambda rng: pick(rng, words)


@cache
def weighted_phrases() -> tuple[tuple[Phrase, ...], np.ndarray]:
    """Return all kinds of phrases and their cumulative probabilities."""
    weights = {
        amount: 0.13,
        price: 0.09,
        number: 0.06,
        date: 0.09,
        time: 0.03,
        phone: 0.05,
        mail_or_url: 0.05,
        code: 0.08,
        labeled_code: 0.06,
        quantity_line: 0.08,
        goods: 0.06,
        address: 0.07,
        comma_amount: 0.05,
        mixed_code: 0.06,
        source_code: 0.04,
        _word_of(_english("receipt_words")): 0.08,
        _word_of(_english("form_words")): 0.04,
        _word_of(_english("sign_words")): 0.03,
    }
    return tuple(weights), np.cumsum(list(weights.values())) / sum(weights.values())


def phrase(rng: np.random.Generator) -> str:
    """Return a string of a random kind."""
    kinds, cumulated = weighted_phrases()
    return kinds[int(np.searchsorted(cumulated, rng.random()))](rng)
