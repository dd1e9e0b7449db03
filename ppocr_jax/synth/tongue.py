"""What is written on pages, language by language: names of fields, goods, addresses, dates."""

from __future__ import annotations

from dataclasses import dataclass

from ppocr_jax.synth import phrases, phrases_zh, vocabulary
from ppocr_jax.synth.phrases import Phrase


@dataclass(frozen=True)
class Tongue:
    """The words of a language as pages need them.

    Attributes:
        address, goods, date, labeled_code, phrase: makers of one string each; `phrase` is of any kind.
        receipt_titles, receipt_fields, receipt_sums, receipt_closings: of a receipt's sections.
        article_heads: of the four columns of a receipt's articles, several of each.
        currencies: before a sum.
        form_words: names of a form's fields and of a table's columns.
        sign_words: on signs; `between`: what stands between two of them.
        wide: whether it needs a face with ideographs.
    """

    address: Phrase
    goods: Phrase
    date: Phrase
    labeled_code: Phrase
    phrase: Phrase
    receipt_titles: tuple[str, ...]
    receipt_fields: tuple[str, ...]
    receipt_sums: tuple[str, ...]
    receipt_closings: tuple[str, ...]
    article_heads: tuple[tuple[str, ...], ...]
    currencies: tuple[str, ...]
    form_words: tuple[str, ...]
    sign_words: tuple[str, ...]
    between: str = " "
    wide: bool = False


ENGLISH = Tongue(
    address=phrases.address,
    goods=phrases.goods,
    date=phrases.date,
    labeled_code=phrases.labeled_code,
    phrase=phrases.phrase,
    receipt_titles=vocabulary.RECEIPT_TITLES,
    receipt_fields=vocabulary.RECEIPT_FIELDS,
    receipt_sums=vocabulary.RECEIPT_SUMS,
    receipt_closings=vocabulary.RECEIPT_CLOSINGS,
    article_heads=(
        ("Qty", "QTY", "No", "#"),
        ("Description", "ITEM", "Item", "DESCRIPTION"),
        ("Price", "U.P", "PRICE", "RM"),
        ("Amount", "TOTAL", "Amt(RM)", "Total"),
    ),
    currencies=("", "", "", "RM", "$", "RM ", "€", "£"),
    form_words=vocabulary.FORM_WORDS,
    sign_words=vocabulary.SIGN_WORDS,
)

CHINESE = Tongue(
    address=phrases_zh.address,
    goods=phrases_zh.goods,
    date=phrases_zh.date,
    labeled_code=phrases_zh.labeled_code,
    phrase=phrases_zh.phrase,
    receipt_titles=phrases_zh.RECEIPT_TITLES,
    receipt_fields=phrases_zh.RECEIPT_FIELDS,
    receipt_sums=phrases_zh.RECEIPT_SUMS,
    receipt_closings=phrases_zh.RECEIPT_CLOSINGS,
    article_heads=(
        ("数量", "序号", "编号"),
        ("品名", "商品名称", "货品"),
        ("单价", "售价", "价格"),
        ("金额", "小计", "合计"),
    ),
    currencies=("", "", "", "¥", "￥"),
    form_words=phrases_zh.FORM_WORDS,
    sign_words=phrases_zh.SIGN_WORDS,
    between="",
    wide=True,
)
