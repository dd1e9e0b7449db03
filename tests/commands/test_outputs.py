"""Outputs that cannot be written are reported before the work."""

import pytest
from PIL import Image

from ppocr_jax.cli import main

EVAL = ["eval", "--task", "det", "--labels", "label.txt"]
LOAD, FONTS = "ppocr_jax.inference.ocr.OCR.__init__", "ppocr_jax.synth.fonts.find_fonts"
CHECK, RECORD = "ppocr_jax.data.label_check.check_labels", "ppocr_jax.slim.int8.record_inputs"


@pytest.mark.parametrize(
    ("arguments", "work"),
    [
        ([*EVAL, "--json", "file/scores.json"], LOAD),
        ([*EVAL, "--predictions", "file/found.jsonl"], LOAD),
        (["check-labels", "label.txt", "--sheet", "file/sheet.png"], CHECK),
        (["check-labels", "label.txt", "--sheet", "sheet.xyz"], CHECK),
        (["synth", "rec", "--preview", "file/sheet.png"], FONTS),
        (["synth", "det", "--augmentations", "file/sheet.png"], FONTS),
        (["synth", "rec", "--preview", "folder.png"], FONTS),
        (["slim", "int8", "en", "--images", "a.png", "--output", "file/new"], RECORD),
    ],
    ids=" ".join,
)
def test_outputs_that_cannot_be_written_are_reported_first(tmp_path, monkeypatch, capsys, arguments, work):
    def run(*args, **options):
        pytest.fail("the work began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work, run)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    (tmp_path / "label.txt").write_text('a.png\t[{"transcription": "a", "points": [[2, 2], [9, 2], [9, 9], [2, 9]]}]\n')
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"cannot write {arguments[-1]}" in error
