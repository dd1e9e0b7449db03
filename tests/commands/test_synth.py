"""`ppocr-jax synth` writes what the label readers read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.cli import run_command
from ppocr_jax.data.labels import read_detection_labels, read_recognition_labels
from ppocr_jax.images import load_image
from ppocr_jax.synth.fonts import NoFontsError, find_fonts


@pytest.fixture(scope="module", autouse=True)
def fonts():
    """A system with two common families, where they are installed: searching hundreds of fonts takes seconds."""
    small = [f"/usr/share/fonts/truetype/{name}" for name in ("dejavu", "liberation")]
    with pytest.MonkeyPatch.context() as patch:
        if any(Path(folder).is_dir() for folder in small):
            patch.setattr("ppocr_jax.synth.fonts.SYSTEM_FONT_FOLDERS", small)
        try:
            find_fonts()
        except NoFontsError as error:
            pytest.skip(str(error))
        yield


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("one small line\nTOTAL AMOUNT\ncash\n")
    return str(path)


def test_lines(tmp_path, corpus):
    out = tmp_path / "out"
    assert run_command("synth", ["rec", "--count", "4", "--output", str(out), "--corpus", corpus]) == 0
    records = read_recognition_labels(out / "rec_label.txt")
    assert len(records) == 4
    assert all(load_image(r.image_path).ndim == 3 and r.text for r in records)


def test_classifier_lines_are_upright_lines_and_turned_ones(tmp_path, corpus):
    for kind in ("rec", "cls"):
        run_command("synth", [kind, "--count", "2", "--output", str(tmp_path / kind), "--corpus", corpus])
    turned = read_recognition_labels(tmp_path / "cls" / "rec_label.txt")
    upright = read_recognition_labels(tmp_path / "rec" / "rec_label.txt")
    assert [r.text for r in turned] == ["0", "180"]
    images = [load_image(r.image_path) for r in (*turned, *upright)]
    np.testing.assert_array_equal(images[0], images[2])
    np.testing.assert_array_equal(images[1], images[3][::-1, ::-1])


def test_pages(tmp_path, corpus):
    out = tmp_path / "out"
    assert run_command("synth", ["det", "--count", "2", "--size", "320", "--output", str(out), "--corpus", corpus]) == 0
    for record in read_detection_labels(out / "label.txt"):
        assert load_image(record.image_path).shape == (320, 320, 3)
        for region in record.regions:
            assert region.points.min() >= 0
            assert region.points.max() <= 320


@pytest.mark.parametrize("kind", ["rec", "det"])
def test_preview(tmp_path, corpus, kind):
    sheet = tmp_path / "sheet.png"
    assert run_command("synth", [kind, "--count", "3", "--preview", str(sheet), "--corpus", corpus]) == 0
    assert load_image(sheet).std() > 5


def test_four_pages_stand_in_a_row_of_the_sheet(tmp_path, corpus):
    heights = []
    for count in ("4", "5"):
        sheet = tmp_path / f"{count}.png"
        assert run_command("synth", ["det", "--count", count, "--preview", str(sheet), "--corpus", corpus]) == 0
        heights.append(load_image(sheet).shape[0])
    assert heights[1] == 2 * heights[0]


def test_wrong_use_is_one_line(tmp_path, capsys, corpus):
    assert run_command("synth", ["rec", "--corpus", corpus]) == 1
    assert run_command("synth", ["rec", "--output", str(tmp_path / "out"), "--corpus", str(tmp_path / "none.txt")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "none.txt" in errors[1]


def test_no_samples_is_wrong_usage(tmp_path):
    with pytest.raises(SystemExit, match="2"):
        run_command("synth", ["rec", "--count", "0", "--output", str(tmp_path)])


@pytest.mark.parametrize("kind", ["rec", "det"])
def test_a_sheet_of_all_augmentations(tmp_path, kind):
    sheet = tmp_path / "sheet.png"
    assert run_command("synth", [kind, "--augmentations", str(sheet), "--size", "320"]) == 0
    image_rgb = load_image(sheet)
    assert image_rgb.shape[0] > 10 * 30  # a row for each
    assert len(np.unique(image_rgb)) > 100
