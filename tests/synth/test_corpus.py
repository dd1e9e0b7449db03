import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.charset import Charset, english_charset, load_charset
from ppocr_jax.synth.corpus import Corpus, in_charset
from ppocr_jax.synth.phrases import weighted_phrases

EN = english_charset()


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_samples_keep_length_charset_and_single_spaces(seed, high, slack):
    text = Corpus(entries=("one two three", "Überraschung", "x")).sample(
        np.random.default_rng(seed), EN, (max(1, high - slack), high)
    )
    assert 1 <= len(text) <= high
    assert all(c in EN for c in text)
    assert text == " ".join(text.split())


def test_every_character_of_the_charset_occurs(corpus):
    rng = np.random.default_rng(0)
    seen = set("".join(corpus.sample(rng, EN, (8, 20)) for _ in range(3000)))
    assert seen == set(EN.characters)


def test_entries_of_the_files_occur_in_any_case(corpus):
    rng = np.random.default_rng(1)
    texts = " ".join(corpus.sample(rng, EN, (10, 40)) for _ in range(300))
    assert "apple" in texts
    assert "APPLE" in texts
    assert "Zebra" in texts


def test_entry_reaches_the_first_and_the_last_line_and_nothing_else(tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("first\nmiddle\nlast", "utf-8")
    corpus, rng = Corpus.from_files([path]), np.random.default_rng(0)
    assert {corpus.entry(rng) for _ in range(300)} == {"first", "middle", "last"}


def test_files_must_exist_and_hold_something(tmp_path):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Corpus.from_files([tmp_path / "nowhere.txt"])
    with pytest.raises(ValueError, match="empty"):
        Corpus.from_files([tmp_path / "empty.txt"])
    with pytest.raises(ValueError, match="from_faker"):
        Corpus.from_files([])
    with pytest.raises(ValueError, match=r"no \.txt file"):
        Corpus.from_files([(tmp_path / "folder").mkdir() or tmp_path / "folder"])


@pytest.mark.parametrize(
    ("text", "charset", "refused"),
    [
        ("第一行文字 12.50\n" * 20, "en", "none"),
        ("第一行文字是中文 USB\n" * 20 + "中" * 1200, "en", "60 of 1420"),
        ("第一行文字是中文 A\n" * 20, "ch", None),
        ("第一行文字是中文 Hello\n" * 20, "en", None),
        ("1,200.00\n", "en", None),
        ("ＵＳＢ\n", "en", None),
        ("lower case\n", Charset(("A", "C", "E", "L", "O", "R", "S", "W")), None),
        ("第一行 12.50\n", Charset(("1", "2", ".", "5", "0")), None),
    ],
)
def test_files_of_a_language_that_the_charset_lacks_are_refused(text, charset, refused, tmp_path):
    path, charset = tmp_path / "c.txt", load_charset(charset) if isinstance(charset, str) else charset
    path.write_text(text, "utf-8")
    assert Corpus.from_files([path]).files == (str(path),)
    if refused is None:
        assert Corpus.from_files([path], charset).files == (str(path),)
    else:
        with pytest.raises(ValueError, match=rf"c\.txt: {refused} of the letters at its beginning are in the charset"):
            Corpus.from_files([path], charset)


def test_files_in_another_encoding_are_refused_and_named(tmp_path):
    path = tmp_path / "c.txt"
    for text, encoding in (("one\nGröße\n", "cp1252"), ("one\n", "utf-16")):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(ValueError, match=r"c\.txt:\d: not UTF-8"):
            Corpus.from_files([path])
    path.write_bytes(("ö" * 2**20).encode()[1:])
    with pytest.raises(ValueError, match=r"c\.txt:1: not UTF-8"):
        Corpus.from_files([path])
    path.write_bytes(b"x" + "ö\n".encode() * 2**20)  # the part that is checked ends within a character
    assert Corpus.from_files([path]).entry(np.random.default_rng(0)) == "ö"


def test_the_text_files_of_folders_are_read(tmp_path):
    for name in ("b/2.txt", "1.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [path[-5:] for path in Corpus.from_files([tmp_path]).files] == ["1.txt", "2.txt"]


def test_pickle_is_small_whatever_the_size_of_the_file(tmp_path):
    path = tmp_path / "large.txt"
    path.write_text("a line of text\n" * 100_000, "utf-8")
    corpus = Corpus.from_files([path])
    corpus.entry(np.random.default_rng(0))
    assert len(pickle.dumps(corpus)) < 1000


def test_faker_is_reproducible():
    pytest.importorskip("faker")
    first, second = (Corpus.from_faker(seed=3, count=50) for _ in range(2))
    assert first == second
    assert first != Corpus.from_faker(seed=4, count=50)
    assert len(first.entries) == 50


def test_a_charset_without_a_space_gives_no_spaces(corpus):
    charset = Charset(tuple("abcdefghijklmnopqrstuvwxyz"))
    rng = np.random.default_rng(2)
    assert all(" " not in corpus.sample(rng, charset, (5, 30)) for _ in range(100))


def test_chinese_texts_are_joined_without_spaces(tmp_path):
    path = tmp_path / "zh.txt"
    path.write_text("春眠不觉晓\n处处闻啼鸟\n", "utf-8")
    charset = Charset((*"春眠不觉晓处处闻啼鸟"[:6], *"闻啼鸟", " "))
    rng = np.random.default_rng(0)
    texts = [Corpus.from_files([path]).sample(rng, charset, (9, 12)) for _ in range(50)]
    assert any(len(t) >= 9 and " " not in t for t in texts)


def test_in_charset_drops_foreign_characters_and_extra_spaces():
    assert in_charset("  naïve \t café 東 x ", EN) == "nave caf x"


@pytest.mark.parametrize("make", weighted_phrases()[0])
def test_phrases_are_one_line_and_mostly_writable(make):
    rng = np.random.default_rng(5)
    for _ in range(50):
        text = make(rng)
        assert text == text.strip()
        assert "\n" not in text
        assert in_charset(text, EN)


CH = load_charset("ch")


@given(st.integers(0, 2**32), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_chinese_samples_keep_length_and_charset(seed, high):
    corpus = Corpus(
        entries=("他们在二〇二一年三月五日，一起去了北京故宫博物院参观。", "Linux 内核（ＡＢＣ１２３）", "停车场")
    )
    text = corpus.sample(np.random.default_rng(seed), CH, (max(1, high - 3), high))
    assert 1 <= len(text) <= high
    assert all(c in CH for c in text)


def test_chinese_sentences_are_cut_anywhere_and_words_are_not(tmp_path):
    path = tmp_path / "zh.txt"
    path.write_text("天地玄黄宇宙洪荒 alphabet 日月盈昃\n", "utf-8")
    corpus, rng = Corpus.from_files([path]), np.random.default_rng(0)
    texts = {corpus.sample(rng, CH, (5, 6)) for _ in range(800)}
    assert {"天地玄黄宇", "地玄黄宇宙", "玄黄宇宙洪荒"} <= texts
    cut = [text for text in texts if "alph" in text.lower() and "alphabet" not in text.lower()]
    assert not cut


@pytest.mark.parametrize(("charset", "entry"), [(EN, "the quick brown fox jumps over it"), (CH, "天地玄黄宇宙洪荒")])
def test_unmixed_corpora_show_their_entries_alone(charset, entry):
    corpus, rng = Corpus(entries=(entry,), mixed=False), np.random.default_rng(0)
    for high in (1, 3, 8, 20, 60):
        for _ in range(100):
            text = corpus.sample(rng, charset, (max(1, high - 2), high))
            repeated = " ".join([entry] * 8) if charset is EN else entry * 16
            assert text in repeated
            assert 1 <= len(text) <= high


def test_chinese_texts_have_brackets_of_both_kinds():
    corpus, rng = Corpus(entries=("天地玄黄 宇宙洪荒",)), np.random.default_rng(0)
    texts = [corpus.sample(rng, CH, (6, 12)) for _ in range(3000)]
    for bracket in "【】《》「」（）(]":
        assert 2 < sum(bracket in text for text in texts) < 200


def test_full_width_letters_become_half_width():
    assert in_charset("ＡＢＣ１２３　，", CH) == "ABC123 ，"
    assert in_charset("ＡＢ，", EN) == "AB,"


def test_items_of_lists_and_leaders_occur_as_long_as_asked():
    charset, corpus = load_charset("en"), Corpus(entries=("the quick brown fox jumps over the lazy dog",))
    rng = np.random.default_rng(0)
    texts = [corpus.sample(rng, charset, (20, 30)) for _ in range(1500)]
    assert all(len(text) <= 30 for text in texts)
    assert sum(len(text) >= 18 for text in texts) > 1480
    assert 15 < sum(text.startswith("* ") for text in texts) < 60
    leaders = [text for text in texts if re.search(r"([._\-*])( ?\1){3}", text)]
    assert 12 < len(leaders) < 60
    assert any(text[-1].isdigit() for text in leaders)
    assert any(". . . ." in text for text in leaders)
