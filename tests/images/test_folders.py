"""Files and folders that a user names."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax import OCR
from ppocr_jax.errors import UserError
from ppocr_jax.images import FORMATS, SUFFIXES, find_inputs
from ppocr_jax.images.sources import natural_key


@pytest.fixture
def folder(tmp_path) -> Path:
    """Images, other files, hidden ones, and two levels of subfolders."""
    for name in [
        "page10.png", "page2.PNG", "Page1.jpg", "b.pdf", "notes.txt", ".hidden.png", "._page1.jpg", "no_suffix",
        "sub/2.tif", "sub/10.tif", "sub/deeper/x.webp", ".cache/y.png", "empty/readme.md",
    ]:  # fmt: skip
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "scans" / "album.png").mkdir()
    return tmp_path / "scans"


def names(found: list, folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in found]


def test_folders_give_their_images_as_people_count(folder):
    first = ["b.pdf", "Page1.jpg", "page2.PNG", "page10.png"]
    assert names(find_inputs([folder]), folder) == first
    deep = [*first, "sub/2.tif", "sub/10.tif", "sub/deeper/x.webp"]
    assert names(find_inputs([str(folder)], recursive=True), folder) == deep


def test_named_files_are_taken_as_they_come(folder):
    paths = [folder / "page2.PNG", folder / "no_suffix", folder / ".hidden.png", "-", folder / "page2.PNG"]
    sub = folder / "sub"
    assert find_inputs([*paths, sub]) == [*paths, sub / "2.tif", sub / "10.tif"]


def test_a_file_called_minus_is_not_standard_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-").touch()
    assert find_inputs(["-"]) == ["-"]
    assert find_inputs([Path("-"), "./-"]) == [Path("-"), Path("-")]
    assert isinstance(find_inputs([Path("-")])[0], Path)


def test_folders_without_images(folder):
    with pytest.raises(UserError, match=r"empty contains no images or PDF files$"):
        find_inputs([folder / "empty"])
    (folder / "outer").mkdir()
    (folder / "sub").rename(folder / "outer" / "sub")
    with pytest.raises(UserError, match=r"outer contains no images or PDF files; its subfolders .* --recursive"):
        find_inputs([folder / "outer"])
    assert len(find_inputs([folder / "outer"], recursive=True)) == 3


def test_links_are_followed_once(folder, tmp_path):
    (folder / "sub" / "back").symlink_to(folder, target_is_directory=True)
    (folder / "again").symlink_to(folder / "sub", target_is_directory=True)
    (folder / "broken.png").symlink_to(tmp_path / "nothing")
    (folder / "linked.jpg").symlink_to(folder / "notes.txt")
    found = names(find_inputs([folder], recursive=True), folder)
    assert sorted(Path(name).name for name in found) == sorted(
        ["b.pdf", "Page1.jpg", "page2.PNG", "page10.png", "linked.jpg", "2.tif", "10.tif", "x.webp"]
    )


@pytest.mark.parametrize("name", ["missing.png", "missing", "a\nb.png", "\udcff.png"])
def test_missing_files_are_named_in_one_line(tmp_path, name):
    with pytest.raises(UserError, match="no such file or folder") as error:
        find_inputs([tmp_path / name])
    assert str(error.value).isprintable()


def test_an_empty_path_is_not_the_current_folder(folder, monkeypatch):
    """As `--image "$FILE"` gives it if the variable is not set."""
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="no such file or folder"):
        find_inputs([""])
    (page,) = OCR("en").read("", on_error="page")
    assert page.error.startswith("no such file")


def test_names_that_cannot_be(tmp_path):
    for name in ("a\0b", "x" * 300):
        with pytest.raises(UserError, match="cannot read"):
            find_inputs([tmp_path / name])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_folders_that_cannot_be_read(folder):
    (folder / "sub").chmod(0)
    with pytest.raises(UserError, match=r"cannot read the folder .*sub: Permission denied"):
        find_inputs([folder], recursive=True)
    (folder / "sub").chmod(0o700)


def test_urls_only_when_asked_for():
    urls = ["https://example.org/a.png", "HTTP://example.org/b"]
    assert find_inputs(urls, allow_url=True) == urls
    with pytest.raises(UserError, match=r"^https://example\.org/a\.png: URLs are fetched only with --allow-url"):
        find_inputs(urls)


def test_every_format_has_a_suffix():
    known = {".jp2" if name == "JPEG2000" else f".{name.lower()}" for name in FORMATS}
    assert known | {".pdf", ".heic", ".jpg", ".tif"} <= SUFFIXES


@given(st.lists(st.integers(0, 10**6), unique=True), st.text("aB_. ", max_size=3), st.text("aB_. ", max_size=3))
def test_numbers_in_names_count(numbers, before, after):
    order = sorted([f"{before}{number}{after}" for number in numbers], key=natural_key)
    assert order == [f"{before}{number}{after}" for number in sorted(numbers)]


@given(st.lists(st.text("aA01²é", max_size=5), unique=True), st.randoms())
def test_the_order_does_not_depend_on_the_file_system(listed, random):
    shuffled = random.sample(listed, len(listed))
    assert sorted(listed, key=natural_key) == sorted(shuffled, key=natural_key)
