import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.synth import fonts
from ppocr_jax.synth.fonts import LETTERS_AND_DIGITS, NoFontsError, cached_lookup, find_fonts, split_fonts


def test_no_font_gives_a_hint_what_to_install(tmp_path):
    with pytest.raises(NoFontsError, match="apt-get install"):
        find_fonts([tmp_path])


def test_files_are_taken_and_missing_ones_named(tmp_path, faces):
    assert {face.path for face in find_fonts([faces[0].path])} == {faces[0].path}
    with pytest.raises(NoFontsError, match=r"no such file or folder: .*nowhere"):
        find_fonts([faces[0].path, tmp_path / "nowhere"])


def test_a_broken_file_is_left_out(tmp_path, faces, caplog):
    (tmp_path / "broken.ttf").write_bytes(b"not a font")
    (tmp_path / "good.ttf").write_bytes(Path(faces[0].path).read_bytes())
    found = find_fonts([tmp_path])
    assert [face.path for face in found] == [str(tmp_path / "good.ttf")]
    assert "broken.ttf" in caplog.text


def test_order_is_fixed_and_faces_survive_pickling(faces):
    folders = sorted({str(Path(face.path).parent) for face in faces})
    assert find_fonts(folders) == find_fonts(folders[::-1])
    copy = pickle.loads(pickle.dumps(faces[0]))
    assert copy == faces[0]
    assert copy.characters == faces[0].characters


def test_required_characters_choose_the_fonts(faces):
    folders = sorted({str(Path(face.path).parent) for face in faces})
    assert all(face.covers("AZaz09€") for face in find_fonts(folders, required="AZaz09€"))
    with pytest.raises(NoFontsError):
        find_fonts(folders, required="\U0010fffd")


def test_no_face_claims_a_character_it_draws_as_a_box_or_not_at_all(faces):
    for face in faces:
        font = face.at(32)
        missing = bytes(font.getmask("\uffff"))
        for character in LETTERS_AND_DIGITS + "!#$%&@€£":
            if face.covers(character):
                mask = font.getmask(character)
                assert mask.getbbox() is not None, (face.name, character)
                assert bytes(mask) != missing, (face.name, character)


def test_a_font_whose_small_letters_are_capitals_is_recognized(faces, tmp_path):
    from fontTools.ttLib import TTFont

    font = TTFont(faces[0].path)
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap.update({ord(c): table.cmap[ord(c.upper())] for c in "abcdefghijklmnopqrstuvwxyz"})
    font.save(tmp_path / "capitals.ttf")
    with pytest.raises(NoFontsError):
        find_fonts([tmp_path])


def _renamed(face, path, family, *, hanzi):
    """A copy of a font under another name, with glyphs for some hanzi when wanted."""
    from fontTools.ttLib import TTFont

    font = TTFont(face.path)
    for entry in font["name"].names:
        if entry.nameID in (1, 4, 16):
            entry.string = family
    if hanzi:
        for table in font["cmap"].tables:
            if table.isUnicode():
                table.cmap.update({ord(c): table.cmap[ord("x")] for c in "这们国"})
    font.save(path)


@pytest.mark.parametrize(
    ("family", "file_name"),
    [
        ("Example Sans CJK SC", "Example.ttf"),
        ("Example", "ExampleSansSC-Regular.ttf"),
        ("Example SC", "ExampleSC-R.ttf"),
    ],
)
def test_sc_is_small_capitals_without_hanzi_and_simplified_chinese_with_them(faces, tmp_path, family, file_name):
    path = tmp_path / file_name
    _renamed(faces[0], path, family, hanzi=False)
    with pytest.raises(NoFontsError):
        find_fonts([tmp_path])
    with_hanzi = tmp_path / "hanzi"
    with_hanzi.mkdir()
    path.unlink()
    _renamed(faces[0], with_hanzi / file_name, family, hanzi=True)
    assert [face.family for face in find_fonts([with_hanzi])] == [family]


@pytest.mark.parametrize("family", ["Example Symbol SC", "Example SC Thin", "Example SC Outline"])
def test_hanzi_do_not_excuse_other_unsuitable_names(faces, tmp_path, family):
    _renamed(faces[0], tmp_path / "font.ttf", family, hanzi=True)
    with pytest.raises(NoFontsError):
        find_fonts([tmp_path])


@pytest.mark.parametrize("name", ["Sans", "Serif"])
def test_installed_chinese_faces_are_found(tmp_path, name):
    installed = Path(f"/usr/share/fonts/opentype/noto/Noto{name}CJK-Regular.ttc")
    if not installed.is_file():
        pytest.skip(f"{installed} is not installed")
    (tmp_path / installed.name).symlink_to(installed)
    families = [face.family for face in find_fonts([tmp_path], required="东国这们")]
    assert f"Noto {name} CJK SC" in families


def test_split_keeps_every_face_once(faces):
    word = faces[0].family.split()[0].lower()
    others, held_out = split_fonts(faces, [word])
    assert held_out
    assert all(word in face.name.lower() for face in held_out)
    assert not any(word in face.name.lower() for face in others)
    assert len(others) + len(held_out) == len(faces)


def test_excluded_names_are_left_out(faces):
    folders = sorted({str(Path(face.path).parent) for face in faces})
    assert find_fonts(folders, exclude=["BOLD"]) == [face for face in find_fonts(folders) if "Bold" not in face.name]


def test_slanted_faces_are_known(faces):
    named = [face for face in faces if "Italic" in face.name or "Oblique" in face.name]
    assert named
    assert [face for face in faces if face.slanted] == named


def test_size_is_pixels_per_em(faces):
    small, large = (np.asarray(Image.Image.getbbox(_drawn(faces[0], size))) for size in (20, 60))
    assert (large[3] - large[1]) / (small[3] - small[1]) == pytest.approx(3, rel=0.15)


def _drawn(face, size):
    mask = face.at(size).getmask("H")
    return Image.frombytes("L", mask.size, bytes(mask))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    return path


class Looks:
    def __init__(self):
        self.count = 0

    def __call__(self, path):
        self.count += 1
        return [self.count, "\u4e2d\U0001f600"]


def test_looks_once(cache, file):
    look = Looks()
    assert cached_lookup(str(file), "a", look) == cached_lookup(str(file), "a", look) == [1, "\u4e2d\U0001f600"]
    assert look.count == 1


def test_looks_again_when_the_file_or_the_rules_change(cache, file):
    look = Looks()
    cached_lookup(str(file), "a", look)
    assert cached_lookup(str(file), "b", look)[0] == 2
    file.write_text("longer")
    assert cached_lookup(str(file), "a", look)[0] == 3
    os.utime(file, ns=(1, 1))
    assert cached_lookup(str(file), "a", look)[0] == 4


def test_a_broken_memory_is_made_anew(cache, file):
    look = Looks()
    cached_lookup(str(file), "a", look)
    (kept,) = (cache / "ppocr_jax" / "fonts").iterdir()
    kept.write_text("{")
    assert cached_lookup(str(file), "a", look)[0] == 2
    assert cached_lookup(str(file), "a", look)[0] == 2


def test_without_a_folder_to_write_nothing_is_remembered(file, tmp_path, monkeypatch):
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    look = Looks()
    assert [cached_lookup(str(file), "a", look)[0] for _ in range(2)] == [1, 2]
    assert cached_lookup(str(tmp_path / "missing"), "a", look)[0] == 3


def test_fonts_are_the_same_from_memory(cache, monkeypatch):
    fonts._faces.cache_clear()
    found = fonts.find_fonts()
    fonts._faces.cache_clear()
    monkeypatch.setattr(fonts, "_read_faces", lambda path: pytest.fail(f"read {path} again"))
    again = fonts.find_fonts()
    fonts._faces.cache_clear()
    assert again == found
    assert [face.characters for face in again] == [face.characters for face in found]
