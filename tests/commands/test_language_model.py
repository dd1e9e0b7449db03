"""`ppocr-jax language-model`."""

import json

import pytest

from ppocr_jax.cli import main
from ppocr_jax.language_model import START, LanguageModel

REGION = {"points": [[0, 0], [9, 0], [9, 9], [0, 9]]}


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("\ufeffpaid in cash\npaid by card\n", encoding="utf-8")
    regions = [{**REGION, "transcription": text} for text in ("Quittung", "###", "")]
    (tmp_path / "label.txt").write_text(f"a.png\t{json.dumps(regions)}\n", encoding="utf-8")
    (tmp_path / "rec_label.txt").write_text("b.png\tQuittung 12\nc.png\tQuark\n", encoding="utf-8")
    return tmp_path


def make(*arguments):
    return main(["language-model", *map(str, arguments)])


def test_texts_and_labels_become_a_model(sources, capsys):
    output = sources / "new" / "lm.npz"
    labels = sources / "label.txt", sources / "rec_label.txt"
    assert make("--texts", sources / "texts", "--labels", *labels, "--output", output) == 0
    assert f"{output}: " in (said := capsys.readouterr().out)
    assert "n-grams of 5 texts" in said
    model = LanguageModel.load(output)
    assert "\ufeff" not in model.characters
    assert "#" not in model.characters
    assert model.log_probability(START + "Quittun", "g") > -1
    assert model.log_probability(START, "Q") > model.log_probability(START, "p"), "labels count more"
    assert make("--texts", sources / "texts", "--label-weight", "9", "--order", "2", "--output", output) == 0
    assert LanguageModel.load(output).order == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pass text files with --texts"),
        (["--texts", "missing.txt"], "cannot read the texts: corpus file missing.txt does not exist"),
        (["--labels", "missing.txt"], "cannot read the labels: missing.txt"),
        (["--texts", "texts", "--order", "9"], "order must be"),
    ],
)
def test_what_cannot_be_made_is_one_line(arguments, message, sources, monkeypatch, capsys):
    monkeypatch.chdir(sources)
    assert make(*arguments, "--output", "lm.npz") == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (sources / "lm.npz").exists()


def test_labels_without_text(sources, monkeypatch, capsys):
    monkeypatch.chdir(sources)
    (sources / "label.txt").write_text(f"a.png\t{json.dumps([{**REGION, 'transcription': '###'}])}\n")
    assert make("--labels", "label.txt", "--output", "lm.npz") == 1
    assert "no text" in capsys.readouterr().err


def test_negative_weight_is_refused(sources, capsys):
    with pytest.raises(SystemExit):
        make("--texts", sources / "texts", "--label-weight", "-1", "--output", sources / "lm.npz")
    assert "--label-weight" in capsys.readouterr().err
