"""Languages of synthetic pages: names of fields, goods, addresses, dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth import phrases
from ppocr_jax.synth.corpus import writes_chinese, writes_latin
from ppocr_jax.synth.phrases import Phrase, amount, code, digits, pick, word_lists

# Fraction of pages in these languages if the charset has their characters.
_CHINESE_PAGES = 0.85
_EUROPEAN_PAGES = 0.75


@dataclass(frozen=True)
class Language:
    """Texts and text generators of a language.

    Attributes:
        address, goods, date, labeled_code, phrase: Functions that return one string; `phrase` returns any kind.
        words: Lists of words: receipt_titles, receipt_fields, receipt_sums and receipt_closings (for the sections of a
            receipt), form_words (fields of forms, columns of tables) and sign_words.
        article_heads: Alternative headings for each of the four columns of a receipt's articles.
        currencies: Signs before a sum.
        between: Separator between two words of a sign.
        wide: Whether it needs a face with ideographs.
    """

    address: Phrase
    goods: Phrase
    date: Phrase
    labeled_code: Phrase
    phrase: Phrase
    words: Mapping[str, tuple[str, ...]]
    article_heads: tuple[tuple[str, ...], ...]
    currencies: tuple[str, ...]
    between: str = " "
    wide: bool = False

    @cached_property
    def letters(self) -> frozenset[str]:
        """Characters of its words, which a face for it should have; empty for a language of thousands of characters."""
        return frozenset() if self.wide else frozenset("".join(w for words in self.words.values() for w in words))


def _pick(rng: np.random.Generator, name: str) -> str:
    return pick(rng, word_lists("chinese")[name])


def _brand(rng: np.random.Generator) -> str:
    return pick(rng, (*word_lists("chinese")["brands"], ""))


def _chinese_date(rng: np.random.Generator) -> str:
    """Return a date as written in Chinese, sometimes followed by the time."""
    year, month, day = int(rng.integers(1990, 2031)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    text = (
        f"{year}年{month}月{day}日",
        f"{year}年{month:02}月{day:02}日",
        f"{year}-{month:02}-{day:02}",
        f"{year}/{month}/{day}",
        f"{month}月{day}日",
        f"{year}.{month:02}.{day:02}",
    )[int(rng.integers(6))]
    return f"{text} {phrases.time(rng)}" if rng.random() < 0.25 else text


def _chinese_goods(rng: np.random.Generator) -> str:
    """Return the name of an article, with or without its size."""
    name = _brand(rng) + _pick(rng, "goods") if rng.random() < 0.5 else _pick(rng, "goods")
    size = f"{digits(rng, 1, 3).lstrip('0') or '5'}{_pick(rng, 'sizes')}"
    return (name, name, name + size, f"{name}({size})", f"{digits(rng, 3, 6)} {name}")[int(rng.integers(5))]


def _chinese_address(rng: np.random.Generator) -> str:
    """Return one line of a postal address or a company's name."""
    street = f"{_pick(rng, 'streets')}{digits(rng, 1, 3).lstrip('0') or '8'}号"
    place = _pick(rng, "cities") + _pick(rng, "districts")
    return (
        place + street,
        _pick(rng, "cities") + street,
        f"{street}{digits(rng, 1)}栋{digits(rng, 3)}室",
        _pick(rng, "names") + _pick(rng, "firms"),
        f"{_pick(rng, 'cities')}{_pick(rng, 'names')}{_pick(rng, 'firms')}",
        f"{_pick(rng, 'names')}{_pick(rng, 'firms')}({_pick(rng, 'streets')}店)",
    )[int(rng.integers(6))]


def _chinese_labeled_code(rng: np.random.Generator) -> str:
    """Return a field name and its value."""
    colon = pick(rng, ("：", ":", ": ", " "))
    form = int(rng.integers(5))
    if form == 3:
        return f"{pick(rng, ('日期', '开票日期', '打印时间'))}{colon}{_chinese_date(rng)}"
    if form == 4:
        return f"{_pick(rng, 'receipt_sums')}{colon}{amount(rng)}{pick(rng, ('', '元'))}"
    return _pick(rng, "labels") + colon + code(rng)


def _chinese_price(rng: np.random.Generator) -> str:
    """Return a sum of money."""
    return (f"¥{amount(rng).strip('-()')}", f"{amount(rng).strip('-()')}元", f"￥{amount(rng).strip('-()')}")[
        int(rng.integers(3))
    ]


def _chinese_phrase(rng: np.random.Generator) -> str:
    """Return a string of a random kind; every third one is without Chinese."""
    makers = (_chinese_price, _chinese_date, _chinese_goods, _chinese_address, _chinese_labeled_code)
    if rng.random() < 0.33:
        return phrases.phrase(rng)
    if rng.random() < 0.25:
        return _pick(rng, "form_words" if rng.random() < 0.5 else "sign_words")
    return makers[int(rng.integers(len(makers)))](rng)


ENGLISH = Language(
    address=phrases.address,
    goods=phrases.goods,
    date=phrases.date,
    labeled_code=phrases.labeled_code,
    phrase=phrases.phrase,
    words=word_lists("english"),
    article_heads=(
        ("Qty", "QTY", "No", "#"),
        ("Description", "ITEM", "Item", "DESCRIPTION"),
        ("Price", "U.P", "PRICE", "RM"),
        ("Amount", "TOTAL", "Amt(RM)", "Total"),
    ),
    currencies=("", "", "", "RM", "$", "RM ", "€", "£"),
)

CHINESE = Language(
    address=_chinese_address,
    goods=_chinese_goods,
    date=_chinese_date,
    labeled_code=_chinese_labeled_code,
    phrase=_chinese_phrase,
    words=word_lists("chinese"),
    article_heads=(
        ("数量", "序号", "编号"),
        ("品名", "商品名称", "货品"),
        ("单价", "售价", "价格"),
        ("金额", "小计", "合计"),
    ),
    currencies=("", "", "", "¥", "￥"),
    between="",
    wide=True,
)


def _european(name: str, *, date_format: str, street_first: bool = True) -> Language:
    """Return a European language from `resources/<name>.txt`.

    Args:
        name: Name of the file.
        date_format: Format of a date in words, with {day}, {month} and {year}.
        street_first: Whether the street's name precedes the house number.
    """
    words = word_lists(name)

    def address(rng: np.random.Generator) -> str:
        street, house = pick(rng, words["streets"]), str(int(rng.integers(1, 200)))
        city = pick(rng, words["cities"])
        return (
            f"{street} {house}" if street_first else f"{house}, {street}",
            f"{digits(rng, 4, 5)} {city}",
            f"{city}, {street} {house}",
            f"{pick(rng, words['goods'])} & {pick(rng, words['goods'])}",
        )[int(rng.integers(4))]

    def goods(rng: np.random.Generator) -> str:
        article = " ".join(pick(rng, words["goods"]) for _ in range(int(rng.integers(1, 3))))
        size = f"{digits(rng, 1, 3).lstrip('0') or '5'} {pick(rng, ('g', 'kg', 'ml', 'l', 'cl', 'cm'))}"
        return (article, article, f"{article} {size}", f"{digits(rng, 3, 6)} {article}")[int(rng.integers(4))]

    def date(rng: np.random.Generator) -> str:
        day, month, year = int(rng.integers(1, 29)), int(rng.integers(12)), int(rng.integers(1970, 2031))
        return (
            date_format.format(day=day, month=words["months"][month], year=year),
            f"{day:02}.{month + 1:02}.{year}",
            f"{day}.{month + 1}.{year}",
            f"{day:02}/{month + 1:02}/{year}",
            f"{year}-{month + 1:02}-{day:02}",
        )[int(rng.integers(5))]

    def labeled_code(rng: np.random.Generator) -> str:
        return pick(rng, words["receipt_fields"]) + pick(rng, (": ", " ", " : ")) + code(rng)

    def phrase(rng: np.random.Generator) -> str:
        lists = ("receipt_sums", "form_words", "sign_words", "receipt_closings")
        makers = (date, goods, address, labeled_code, phrases.comma_amount)
        if rng.random() < 0.3:
            return phrases.phrase(rng)
        if rng.random() < 0.4:
            return pick(rng, words[lists[int(rng.integers(len(lists)))]])
        return makers[int(rng.integers(len(makers)))](rng)

    heads = tuple((words["form_words"][i], words["receipt_fields"][i], words["receipt_sums"][i]) for i in range(4))
    return Language(address, goods, date, labeled_code, phrase, words, heads, ("", "", "", "€", "€ "))


EUROPEAN = (
    _european("german", date_format="{day}. {month} {year}"),
    _european("french", date_format="{day} {month} {year}", street_first=False),
    _european("spanish", date_format="{day} de {month} de {year}"),
    _european("italian", date_format="{day} {month} {year}"),
    _european("portuguese", date_format="{day} de {month} de {year}"),
    _european("dutch", date_format="{day} {month} {year}"),
    _european("swedish", date_format="{day} {month} {year}"),
    _european("danish", date_format="{day}. {month} {year}"),
    _european("finnish", date_format="{day}. {month}ta {year}"),
    _european("polish", date_format="{day} {month} {year}"),
    _european("czech", date_format="{day}. {month} {year}"),
    _european("hungarian", date_format="{year}. {month} {day}."),
    _european("romanian", date_format="{day} {month} {year}"),
    _european("turkish", date_format="{day} {month} {year}"),
    _european("baltic", date_format="{year} m. {month} {day} d."),
    _european("balkan", date_format="{day}. {month} {year}."),
)
"""Languages in Latin letters; "baltic" and "balkan" combine several countries, Norwegian is part of Danish."""


def page_language(rng: np.random.Generator, charset: Charset, *, wide: bool) -> Language:
    """Return a random language for a page; Chinese only if there are faces with ideographs (`wide`)."""
    if wide and writes_chinese(charset) and rng.random() < _CHINESE_PAGES:
        return CHINESE
    if writes_latin(charset) and rng.random() < _EUROPEAN_PAGES:
        return EUROPEAN[int(rng.integers(len(EUROPEAN)))]
    return ENGLISH
