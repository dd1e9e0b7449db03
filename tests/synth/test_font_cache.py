"""What is known of a font file is remembered, as long as the file stays the same."""

import os

import pytest

from ppocr_jax.synth import fonts
from ppocr_jax.synth.font_cache import remembered


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
    assert remembered(str(file), "a", look) == remembered(str(file), "a", look) == [1, "\u4e2d\U0001f600"]
    assert look.count == 1


def test_looks_again_when_the_file_or_the_rules_change(cache, file):
    look = Looks()
    remembered(str(file), "a", look)
    assert remembered(str(file), "b", look)[0] == 2
    file.write_text("longer")
    assert remembered(str(file), "a", look)[0] == 3
    os.utime(file, ns=(1, 1))
    assert remembered(str(file), "a", look)[0] == 4


def test_a_broken_memory_is_made_anew(cache, file):
    look = Looks()
    remembered(str(file), "a", look)
    (kept,) = (cache / "ppocr_jax" / "fonts").iterdir()
    kept.write_text("{")
    assert remembered(str(file), "a", look)[0] == 2
    assert remembered(str(file), "a", look)[0] == 2


def test_without_a_folder_to_write_nothing_is_remembered(file, tmp_path, monkeypatch):
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    look = Looks()
    assert [remembered(str(file), "a", look)[0] for _ in range(2)] == [1, 2]
    assert remembered(str(tmp_path / "missing"), "a", look)[0] == 3


def test_fonts_are_the_same_from_memory(cache, monkeypatch):
    fonts._faces.cache_clear()
    found = fonts.find_fonts()
    fonts._faces.cache_clear()
    monkeypatch.setattr(fonts, "_look_into", lambda path: pytest.fail(f"looked into {path} again"))
    again = fonts.find_fonts()
    fonts._faces.cache_clear()
    assert again == found
    assert [face.characters for face in again] == [face.characters for face in found]
