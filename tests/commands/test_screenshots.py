"""`ppocr-jax screenshots` writes what the label readers read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ppocr_jax.cli import run_command
from ppocr_jax.commands import common
from ppocr_jax.data.labels import read_detection_labels
from ppocr_jax.images import load_image
from ppocr_jax.synth import browser, screenshots


@pytest.fixture
def pages(tmp_path):
    folder = tmp_path / "pages" / "inner"
    folder.mkdir(parents=True)
    (folder / "a.html").write_text("<h1>Title</h1>" + "<p>Some words to read, and 20 more.</p>" * 40)
    return folder.parent


def call(*arguments: object) -> int:
    return run_command("screenshots", [str(argument) for argument in arguments])


def test_images_and_labels(tmp_path, pages, monkeypatch):
    pytest.importorskip("selenium", reason="needs selenium")
    if not any(map(shutil.which, browser.PROGRAMS)) or not any(map(shutil.which, browser.DRIVERS)):
        pytest.skip("needs Chromium (apt-get install chromium chromium-driver)")
    files = sorted(Path("/usr/share/fonts/truetype/dejavu").glob("*.ttf"))
    monkeypatch.setattr(screenshots, "installed_fonts", lambda: files or None)
    monkeypatch.setattr(screenshots, "_WINDOWS", ((1.0, (320, 480), (400, 600), (1.0, 1.25)),))
    out, again = tmp_path / "out", tmp_path / "again"
    options = ("--seed", 3, "--charset", "en", "--image-format", "jpg", "--granularity", "word")
    assert call(pages, "--output", out, "--count", 2, *options) == 0
    records = read_detection_labels(out / "label.txt")
    assert [record.image_path.name for record in records] == ["0000000.jpg", "0000001.jpg"]
    for record in records:
        height, width, _ = load_image(record.image_path).shape
        assert max(region.points[:, 0].max() for region in record.regions) <= width
        assert max(region.points[:, 1].max() for region in record.regions) <= height
        assert {"words", "20"} <= {region.text.lower() for region in record.regions}
    assert call(pages, "--output", again, "--count", 1, *options) == 0
    assert (out / "images/0000000.jpg").read_bytes() == (again / "images/0000000.jpg").read_bytes()
    assert (out / "label.txt").read_text().startswith((again / "label.txt").read_text())


def test_errors_in_one_line(tmp_path, pages, monkeypatch, capsys):
    pytest.importorskip("selenium", reason="needs selenium")

    def error(*arguments: object) -> str:
        assert call(*arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("ppocr-jax screenshots: ")

    out = tmp_path / "out"
    assert error(pages, "--output", pages).startswith(f"{pages} is not an empty folder")
    assert error(tmp_path / "none", "--output", out) == f"no such file or folder: {tmp_path / 'none'}"
    out.mkdir()
    assert error(out, "--output", out) == f"no HTML files (.html, .htm, .xhtml) in {out}"
    assert error(pages, "--output", out, "--charset", "klingon").startswith("no charset 'klingon'")
    assert error(pages, "--output", out, "--seed", -1) == "--seed must be at least 0, not -1"
    with monkeypatch.context() as patch:
        patch.setattr(browser.shutil, "which", lambda name: None)
        assert error(pages, "--output", out) == "screenshots need Chromium: apt-get install chromium chromium-driver"
    monkeypatch.setattr(common, "find_spec", lambda name: None if name == "selenium" else object())
    assert error(pages, "--output", out).endswith('needs selenium: pip install "ppocr-jax[screenshots]"')
    assert not list(out.iterdir())
