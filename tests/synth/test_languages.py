"""What is invented on pages of every language."""

from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.charset import load_charset
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts
from ppocr_jax.synth.languages import CHINESE, ENGLISH
from ppocr_jax.synth.page import PAGE_KINDS, PageGenerator

CH = load_charset("ch")
CORPUS = ("今天天气很好", "我们去公园散步吧", "会议在下午三点开始")


LISTS = ("receipt_titles", "receipt_fields", "receipt_sums", "receipt_closings", "form_words", "sign_words")


def hanzi(text: str) -> bool:
    return any("\u4e00" <= c <= "\u9fff" for c in text)


def test_every_character_is_of_the_charset():
    rng = np.random.default_rng(0)
    makers = (CHINESE.address, CHINESE.goods, CHINESE.date, CHINESE.labeled_code, CHINESE.phrase)
    made = [maker(rng) for maker in makers for _ in range(300)]
    lists = [CHINESE.words[name] for name in LISTS]
    words = [word for entries in (*lists, *CHINESE.article_heads) for word in entries]
    assert [text for text in (*made, *words) if not all(c in CH or c == " " for c in text)] == []
    assert all(hanzi(word) for word in words)
    assert np.mean([hanzi(text) for text in made]) > 0.6


def test_both_languages_have_all_kinds_of_words():
    for language in (CHINESE, ENGLISH):
        assert len(language.article_heads) == 4
        assert min(len(language.words[name]) for name in LISTS) > 5


@pytest.fixture(scope="module")
def generator() -> PageGenerator:
    folders = [Path("/usr/share/fonts/truetype/wqy"), Path("/usr/share/fonts/truetype/dejavu")]
    try:
        faces = find_fonts([folder for folder in folders if folder.is_dir()])
    except NoFontsError:
        faces = []
    if not any("的" in face.characters for face in faces):
        pytest.skip("needs a Chinese font, such as Debian's fonts-wqy-zenhei")
    return PageGenerator(charset=CH, fonts=faces, corpus=Corpus(entries=CORPUS))


@pytest.mark.parametrize("kind", PAGE_KINDS)
def test_chinese_pages_are_mostly_chinese(generator, kind):
    pages = [generator(3, index, size=(320, 320), kind=kind) for index in range(8)]
    texts = [line.text for page in pages for line in page.lines]
    words = [text for text in texts if any(c.isalpha() for c in text)]
    assert len(texts) > 20
    assert np.mean([hanzi(text) for text in words]) > 0.5
