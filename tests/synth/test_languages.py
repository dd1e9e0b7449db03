"""What is invented on pages of every language."""

import numpy as np
import pytest

from ppocr_jax.charset import load_charset
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts
from ppocr_jax.synth.languages import CHINESE, ENGLISH, EUROPEAN, page_language
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


LATIN = load_charset("latin")


def test_european_words_are_of_the_charset_and_of_their_language():
    rng = np.random.default_rng(0)
    for language in EUROPEAN:
        makers = (language.address, language.goods, language.date, language.labeled_code, language.phrase)
        texts = [maker(rng) for maker in makers for _ in range(60)]
        words = [word for entries in language.words.values() for word in entries]
        assert all(c in LATIN or c == " " for text in (*texts, *words) for c in text)
        # Every list has letters that English lacks, or the language would hardly be learned from it.
        accented = {c for word in words for c in word if not c.isascii()}
        assert len(accented) >= 4, language.words["months"]
        assert len(language.words["months"]) == 12
        assert min(len(language.words[name]) for name in LISTS) >= 5


def test_each_european_letter_is_written_in_some_language():
    """All letters of the alphabets of German, French, Spanish, Polish, Czech, Hungarian, Turkish and others."""
    alphabets = "äöüßàâçèéêëîïôùûœáíñóúÁÉ¿¡ãõąćęłńśźżčďěňřšťůýžőűğİışțâăîøåæđģķļņūēīāėįų"
    written = {c for language in EUROPEAN for entries in language.words.values() for word in entries for c in word}
    assert set(alphabets) - {form for c in written for form in (c, c.lower())} == set()


def test_pages_are_of_the_languages_of_their_charset():
    rng = np.random.default_rng(0)
    latin = [page_language(rng, LATIN, wide=False) for _ in range(400)]
    assert {id(language) for language in EUROPEAN} <= {id(language) for language in latin}
    assert 0.1 < np.mean([language is ENGLISH for language in latin]) < 0.4
    english = [page_language(rng, load_charset("en"), wide=True) for _ in range(50)]
    assert all(language is ENGLISH for language in english)
    assert all(page_language(rng, CH, wide=False) is ENGLISH for _ in range(50))
    assert np.mean([page_language(rng, CH, wide=True) is CHINESE for _ in range(200)]) > 0.7


def test_invented_texts_are_of_the_languages_of_their_charset():
    latin = Corpus.generated(LATIN, per_source=300)
    letters = {c for entry in latin.entries for c in entry}
    assert set("äßéñçłřőșğåøčž") <= letters
    assert Corpus.generated(load_charset("en")).entries == Corpus.from_faker().entries


def test_word_lists_of_the_system_are_used(tmp_path):
    (tmp_path / "ngerman").write_text("Dampfschifffahrt\n" * 5, encoding="utf-8")
    (tmp_path / "unknown").write_text("nowhere\n", encoding="utf-8")
    entries = Corpus.generated(LATIN, word_lists=tmp_path, per_source=20).entries
    assert entries.count("Dampfschifffahrt") == 20
    assert "nowhere" not in entries


@pytest.fixture(scope="module")
def generator() -> PageGenerator:
    try:
        faces = find_fonts()
    except NoFontsError:
        faces = []
    wide = [face for face in faces if "的" in face.characters]
    if not wide:
        pytest.skip("needs a Chinese font with Latin letters, such as Debian's fonts-wqy-zenhei")
    narrow = [face for face in faces if "DejaVu" in face.name]
    return PageGenerator(charset=CH, fonts=[*wide[:4], *narrow], corpus=Corpus(entries=CORPUS))


# Programs are in ASCII, and tables hold codes and numbers most of all.
@pytest.mark.parametrize("kind", sorted(set(PAGE_KINDS) - {"code", "table", "display"}))
def test_chinese_pages_are_mostly_chinese(generator, kind):
    pages = [generator(3, index, size=(320, 320), kind=kind) for index in range(8)]
    texts = [line.text for page in pages for line in page.lines]
    words = [text for text in texts if any(c.isalpha() for c in text)]
    assert len(texts) > 10
    assert np.mean([hanzi(text) for text in words]) > 0.5
