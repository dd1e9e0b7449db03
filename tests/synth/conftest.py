"""Fonts and texts that the tests of the generator share."""

import pytest

from ppocr_jax.charset import english_charset
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts

SMALL_FOLDERS = ["/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype/liberation"]


@pytest.fixture(scope="session")
def faces():
    """A few faces: two common families where they are installed, otherwise all of this machine."""
    for folders in (SMALL_FOLDERS, None):
        try:
            return find_fonts(folders)
        except NoFontsError:
            continue
    pytest.skip("no scalable fonts on this machine")


@pytest.fixture(scope="session")
def charset():
    return english_charset()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "lines.txt"
    path.write_text("Where did you find that apple?\nMove these files.\nnaïve café\n東京 tower\nzebra\n", "utf-8")
    return Corpus.from_files([path])
