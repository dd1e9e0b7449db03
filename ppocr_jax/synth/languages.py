"""The languages that pages are written in: names of fields, goods, addresses, dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ppocr_jax.synth import phrases
from ppocr_jax.synth.phrases import Phrase, amount, code, digits, pick, word_lists


@dataclass(frozen=True)
class Language:
    """What pages of a language are written with.

    Attributes:
        address, goods, date, labeled_code, phrase: makers of one string each; `phrase` is of any kind.
        words: lists of words: receipt_titles, receipt_fields, receipt_sums and receipt_closings (of the sections of a
            receipt), form_words (fields of forms, columns of tables) and sign_words.
        article_heads: of the four columns of a receipt's articles, several of each.
        currencies: before a sum.
        between: what stands between two words of a sign.
        wide: whether it needs a face with ideographs.
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


def _pick(rng: np.random.Generator, name: str) -> str:
    return pick(rng, word_lists("chinese")[name])


def _brand(rng: np.random.Generator) -> str:
    return pick(rng, (*word_lists("chinese")["brands"], ""))


def _chinese_date(rng: np.random.Generator) -> str:
    """A date as it is written in Chinese, sometimes followed by the time."""
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
    """The name of an article, with or without its size."""
    name = _brand(rng) + _pick(rng, "goods") if rng.random() < 0.5 else _pick(rng, "goods")
    size = f"{digits(rng, 1, 3).lstrip('0') or '5'}{_pick(rng, 'sizes')}"
    return (name, name, name + size, f"{name}({size})", f"{digits(rng, 3, 6)} {name}")[int(rng.integers(5))]


def _chinese_address(rng: np.random.Generator) -> str:
    """One line of a postal address or a firm's name."""
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
    """A field name and its value."""
    colon = pick(rng, ("：", ":", ": ", " "))
    form = int(rng.integers(5))
    if form == 3:
        return f"{pick(rng, ('日期', '开票日期', '打印时间'))}{colon}{_chinese_date(rng)}"
    if form == 4:
        return f"{_pick(rng, 'receipt_sums')}{colon}{amount(rng)}{pick(rng, ('', '元'))}"
    return _pick(rng, "labels") + colon + code(rng)


def _chinese_price(rng: np.random.Generator) -> str:
    """A sum of money."""
    return (f"¥{amount(rng).strip('-()')}", f"{amount(rng).strip('-()')}元", f"￥{amount(rng).strip('-()')}")[
        int(rng.integers(3))
    ]


def _chinese_phrase(rng: np.random.Generator) -> str:
    """A string of a random kind; every third is one without Chinese."""
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
