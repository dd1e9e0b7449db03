import hashlib
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ppocr_jax
from ppocr_jax.charset import (
    BUILTIN_CHARSETS,
    Charset,
    UnknownCharacterError,
    fit_dictionary,
    load_charset,
    load_letters,
    read_dictionary,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "pipeline.json").read_text(encoding="utf-8"))
SMALL_SPACE = Charset((*GOLDEN["dict_small"], " "))
ENGLISH = load_charset("en")


@pytest.mark.parametrize("case", GOLDEN["ctc_encode"], ids=lambda case: case["text"][:6] or "empty")
def test_labels_equal_the_reference(case):
    """Which refuses labels of more than 25 characters and those of which nothing is left."""
    ids = SMALL_SPACE.encode(case["text"], unknown="skip")
    if case["out"] is None:
        assert len(case["text"]) > 25 or not ids
    else:
        assert len(ids) == case["out"]["length"]
        assert ids + [0] * (25 - len(ids)) == case["out"]["label"]


def test_the_set_without_capitals():
    alphanumeric = load_charset("alphanumeric")
    assert alphanumeric.num_classes == 37
    assert alphanumeric.encode("a-z 09", unknown="skip") == [11, 36, 1, 10]


@given(st.text(alphabet=st.sampled_from(ENGLISH.characters)))
def test_decode_is_the_inverse_of_encode(text):
    assert ENGLISH.decode(ENGLISH.encode(text)) == text


def test_class_0_is_the_blank_and_the_space_comes_last():
    assert ENGLISH.ids["!"] == 1
    assert ENGLISH.ids[" "] == ENGLISH.num_classes - 1 == len(ENGLISH) == 100
    assert ENGLISH.decode([0, ENGLISH.ids["A"], 0, ENGLISH.ids["A"]]) == "AA"


def test_unknown_characters_raise_or_are_skipped():
    with pytest.raises(UnknownCharacterError, match="世"):
        ENGLISH.encode("a世b")
    assert ENGLISH.encode("a世b", unknown="skip") == ENGLISH.encode("ab")
    with pytest.raises(ValueError, match="'drop'"):
        ENGLISH.encode("a", unknown="drop")


@pytest.mark.parametrize("name", BUILTIN_CHARSETS)
def test_a_saved_charset_loads_as_it_was(name, tmp_path):
    charset = load_charset(name)
    charset.save(tmp_path / "characters.txt")
    assert load_charset(tmp_path / "characters.txt") == charset


def test_the_characters_of_a_model():
    built_in = Path(ppocr_jax.__file__).parent / "weights" / "ch" / "model.json"
    assert list(load_charset(built_in).characters) == json.loads(built_in.read_text("utf-8"))["charset"]
    assert load_letters(str(built_in)) == load_charset(built_in).characters


@pytest.mark.parametrize("content", ["{}", "[1]", '{"charset": null}', "a\nb\n"])
def test_a_json_file_without_characters_is_refused(content, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="recognizer"):
        load_charset(path)


# Of the joined characters, UTF-8. A trained model's class ids are these positions: they never change.
FROZEN = {
    "en": (100, "e43aa6f064458fecebd38f23d3e4d6c45b138b62b81d987e77de8659ccaa29f9"),
    "alphanumeric": (36, "74e7e5bb9d22d6db26bf76946d40fff3ea9f0346b884fd0694920fccfad15e33"),
    "latin": (384, "1a95bfcbdecf59ea09bb4945d48d8c4422682d823e92852b85a5114e85683a17"),
    "ch": (7212, "2ac9bac2c96b0ffb1aa5dd0f95ed5174819963ccdf68ed0b6d79e45a2497e45b"),
}


@pytest.mark.parametrize("name", BUILTIN_CHARSETS)
def test_ids_never_change(name):
    characters = load_charset(name).characters
    assert (len(characters), hashlib.sha256("".join(characters).encode()).hexdigest()) == FROZEN[name]


@pytest.mark.parametrize("name", BUILTIN_CHARSETS)
def test_every_entry_is_one_visible_character(name):
    characters = load_charset(name).characters
    assert len(set(characters)) == len(characters)
    assert all(len(c) == 1 for c in characters)
    assert [c for c in characters if unicodedata.category(c)[0] in "CMZ" and c != " "] == [], (
        "controls, accents, spaces"
    )
    assert [c for c in characters if unicodedata.normalize("NFC", c) != c] == []
    assert " " not in characters[:-1]


@pytest.mark.parametrize("name", ["latin", "ch"])
def test_larger_sets_begin_as_english_does(name):
    assert load_charset(name).characters[:99] == ENGLISH.characters[:99]


def test_latin_writes_the_languages_of_europe():
    pangrams = [
        "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich – „GROẞ“",
        "Dès Noël, où un zéphyr haï me vêt de glaçons, je dîne d’exquis rôtis de bœuf au kir, à l’aÿ d’âge mûr",
        "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío; ¿añoraba? ¡sí! 1ª, 2º",
        "Pchnąć w tę łódź jeża lub ośm skrzyń fig",
        "Příliš žluťoučký kůň úpěl ďábelské ódy",
        "Árvíztűrő tükörfúrógép",
        "Pijamalı hasta yağız şoföre çabucak güvendi: ₺",
        "Muzicologă în bej vând whisky și tequila, preț fix",
        "Høj bly gom vandt fræk sexquiz på wc",
        "Kæmi ný öxi hér, ykist þjófum nú bæði víl og ádrepa",
        "Ħġejjeġ",
        "Ŵŷ",
        "Ķīļi ņēmis",
    ]
    latin = load_charset("latin")
    assert {c for text in pangrams for c in text if c not in latin} == set()


def test_chinese_holds_all_of_gb2312s_hanzi_in_its_order():
    chinese = load_charset("ch")
    hanzi = [c for c in chinese.characters if "\u4e00" <= c <= "\u9fff"]
    assert len(hanzi) == 3755 + 3008
    assert chinese.ids["啊"] == 100, "first of level 1"
    assert chinese.ids["座"] == 99 + 3755, "last of level 1"
    assert chinese.ids["亍"] == 99 + 3755 + 1, "first of level 2"
    assert chinese.ids["齄"] == 99 + 6763, "last of level 2"
    encoded = [c.encode("gb2312") for c in hanzi]
    assert encoded == sorted(encoded)


@pytest.mark.parametrize(
    "text",
    [
        "℃№①②㎡¥元￥",
        "，。、；：？！“”‘’（）【】《》…—·～",
        "二〇二六年",
        "ⅠⅡⅢ⑴㈠⒈",
        "αβΩμ",
        "lǜ nǚ ā",
        "25 ㎏ ≈ 55 lb ± 2 %",
        "√×÷≤≥",
    ],
)
def test_chinese_holds_what_chinese_print_is_full_of(text):
    assert [c for c in text if c not in load_charset("ch")] == []


def test_chinese_has_one_class_for_letters_that_look_alike():
    assert [c for c in "Ａｚ０９\u3000" if c in load_charset("ch")] == []


@pytest.mark.parametrize(
    "content",
    ["a\nb\n\u3000\n\u2028\n", "a\nb\n\u3000\n\u2028", "a\r\nb\r\n\u3000\r\n\u2028\r\n", "\ufeffa\nb\n\u3000\n\u2028"],
    ids=["plain", "no last newline", "windows", "byte order mark"],
)
def test_files_written_anywhere_load_alike(content, tmp_path):
    path = tmp_path / "dict.txt"
    path.write_bytes(content.encode())
    assert Charset.load(path).characters == ("a", "b", "\u3000", "\u2028")
    assert Charset.load(path, space=True).characters[-1] == " "


def test_white_space_after_a_character_is_dropped(tmp_path):
    (tmp_path / "set.txt").write_text("o\np\t\nq \n \n", encoding="utf-8")
    assert Charset.load(tmp_path / "set.txt").characters == ("o", "p", "q", " ")


def test_a_space_is_not_added_twice(tmp_path):
    path = tmp_path / "dict.txt"
    path.write_bytes(b"a\n \nb\n")
    assert Charset.load(path, space=True).characters == ("a", " ", "b")


def test_bad_sets_are_refused(tmp_path):
    with pytest.raises(ValueError, match="line breaks"):
        Charset(("a", "\n"))
    with pytest.raises(FileNotFoundError, match="alphanumeric"):
        load_charset("no_such_set")
    (tmp_path / "twice.txt").write_text("a\nb\na\n")
    with pytest.raises(ValueError, match=r"twice\.txt: charset lists characters more than once: \['a'\]"):
        Charset.load(tmp_path / "twice.txt")
    (tmp_path / "gbk.txt").write_bytes("中\n".encode("gbk"))
    with pytest.raises(ValueError, match=r"gbk\.txt is not UTF-8"):
        Charset.load(tmp_path / "gbk.txt")
    (tmp_path / "line.txt").write_text("a\nbcd\n")
    with pytest.raises(ValueError, match=r"line\.txt:2: 'bcd' is more than one character: write one .* per line"):
        Charset.load(tmp_path / "line.txt")
    (tmp_path / "parts.txt").write_text("u\u0308\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"parts\.txt:1: .* write it as the one character 'ü'"):
        Charset.load(tmp_path / "parts.txt")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty\.txt"):
        Charset.load(tmp_path / "empty.txt")


# Characters of the file -> those of 6 classes, the blank among them, as PaddleOCR counts them.
@pytest.mark.parametrize(
    ("content", "expected", "repaired"),
    [
        ("a\nb\nc\nd\n", "abcd ", False),  # use_space_char
        ("a\nb\nc\nd\ne\n", "abcde", False),
        ("a\nb\nc\n \n", "abc  ", False),  # a space in the file, and one more
        ("a\r\nb\r\nc\r\n \r\n", "abc  ", False),
        ("\ufeffa\nb\nc\n ", "abc  ", False),
        ("a\nb\nc\n", "abc  ", True),  # an editor took the lone space at the end for nothing
        ("a\nb\nc\n\n", "abc  ", True),
        ("a\nb\nc\nd\n\n\n", "abcd ", True),
        ("a\n\u2028\n\u0085\nd\n", "a\u2028\u0085d ", False),
        ("a\nb\na\nd\n", "abad ", False),
    ],
)
def test_dictionaries_are_counted_as_paddleocr_counts_them(content, expected, repaired, tmp_path):
    path = tmp_path / "dict.txt"
    path.write_bytes(content.encode())
    charset, repairs = fit_dictionary(read_dictionary(path), 6, path)
    assert "".join(charset.characters) == expected
    assert charset.num_classes == 6
    assert bool(repairs) is repaired


def test_of_a_character_with_two_classes_both_are_read_and_the_last_is_trained():
    charset, _ = fit_dictionary(["a", " "], 4, "dict.txt")
    assert charset.decode([2, 1, 3]) == " a "
    assert charset.encode("a ") == [1, 3]


@pytest.mark.parametrize("lines", [["a"], list("abcdef"), [" "]])
def test_another_models_dictionary_is_refused_in_one_line(lines):
    with pytest.raises(ValueError, match=r"dict\.txt has \d characters for 6 classes.*--charset"):
        fit_dictionary(lines, 6, "dict.txt")
