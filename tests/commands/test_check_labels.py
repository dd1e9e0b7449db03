"""`ppocr-jax check-labels`, as it is called and what it prints."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from ppocr_jax.cli import run_command
from ppocr_jax.images import load_image
from tests.damaged_labels import EXPECTED_COUNTS, write_damaged_set


def check(*arguments: object) -> int:
    return run_command("check-labels", [str(argument) for argument in arguments])


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 20), (9, 9, 9)).save(tmp_path / "räk 1.png")
    path = tmp_path / "rec.txt"
    path.write_text("räk 1.png\tTotal\n", encoding="utf-8")
    return path


def test_the_report_of_a_damaged_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_damaged_set(tmp_path)
    assert check(path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        f"{path}: ppocr-det (PPOCRLabel or PaddleOCR, regions)",
        "images 8, regions 14, ignored 2, without text 1",
        "characters 61, in charset en 57 (93.44 %)",
        "unknown characters: é U+00E9 x2, 中 U+4E2D x1, U+0301 COMBINING ACUTE ACCENT x1",
    ]
    found = [re.fullmatch(r"(error|warning|note): (\d+) .*\((\S+)\)", line) for line in lines]
    assert {match[3]: int(match[2]) for match in found if match} == EXPECTED_COUNTS
    assert lines[-2].startswith("error: a recognizer can train on 5 of 11 lines; ")
    assert lines[-1] == "8 errors, 7 warnings"
    assert f"  {tmp_path / 'missing.png'}" in lines


def test_a_clean_set_gives_0(clean: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ppocr_jax")
    assert check(clean, "--strict") == 0
    assert not caplog.records  # the report says it all
    assert capsys.readouterr().out.splitlines() == [
        f"{clean}: ppocr-rec (PaddleOCR, a line and its text)",
        "images 1, lines 1, ignored 0, without text 0",
        "characters 5, in charset en 5 (100.00 %)",
        "0 errors, 0 warnings",
    ]


def test_a_folder_with_one_label_file_is_read(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(clean.parent) == 0
    assert capsys.readouterr().out.startswith(f"{clean}: ppocr-rec ")
    (clean.parent / "fileState.txt").write_text("räk 1.png\t1\n", encoding="utf-8")  # PPOCRLabel's own
    (clean.parent / "notes.txt").write_text("of the images\n")
    assert check(clean.parent) == 0
    capsys.readouterr()
    (clean.parent / "label.txt").write_text("räk 1.png\t[]\n", encoding="utf-8")
    assert check(clean.parent) == 1
    says = f"{clean.parent} contains several label files; choose one of label.txt, rec.txt"
    assert says in capsys.readouterr().err


def test_warnings_fail_only_a_strict_check(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (60, 20)).save(clean.parent / "2.png")
    clean.write_text("räk 1.png\tTotal\n2.png\tSum\n", encoding="utf-8")
    assert check(clean, "--max-length", 4) == 0
    assert check(clean, "--max-length", 4, "--strict") == 1
    assert "warning: 1 texts that are too long" in capsys.readouterr().out


def test_most_lines_lost_is_an_error(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (60, 20)).save(tmp_path / "2.png")
    clean.write_text("räk 1.png\tTotal\n2.png\tTotal amount\n", encoding="utf-8")
    assert check(clean, "--max-length", 5) == 0  # one of two is left
    assert "a recognizer can train on 1 of 2 lines" in capsys.readouterr().out
    assert check(clean, "--max-length", 4) == 1
    assert "error: a recognizer can train on 0 of 2 lines; pass its --charset" in capsys.readouterr().out
    for image in tmp_path.glob("*.png"):
        image.unlink()
    assert check(clean) == 1  # neither charset nor length is to blame
    assert "error: a recognizer can train on 0 of 2 lines\n" in capsys.readouterr().out


def test_limits_of_a_configuration(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "rec.toml"
    config.write_text('[model]\ncharset = "alphanumeric"\n[data]\nmax_label_length = 4\n')
    assert check(clean, "--config", config) == 1
    assert "in charset alphanumeric 5" in (shown := capsys.readouterr().out)
    assert "texts that are too long" in shown
    assert check(clean, "--config", config, "--max-length", 9) == 0
    assert check(clean, "--config", tmp_path / "none.toml") == 1
    assert check(clean, "--config", "rec/en") == 0


def test_a_configuration_says_whether_its_charset_file_gets_a_space(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "dict.txt").write_text("T\no\nt\na\nl\n")
    clean.write_text("räk 1.png\tTot al\n", encoding="utf-8")
    for space, code in (("false", 1), ("true", 0)):
        config = tmp_path / "rec.toml"
        config.write_text(f'[model]\ncharset = "{tmp_path / "dict.txt"}"\ncharset_space = {space}\n')
        assert check(clean, "--config", config, "--strict") == code


def test_notes_fail_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "1.png")
    turned = [{"transcription": "a", "points": [[50, 10], [50, 50], [40, 50], [40, 10]]}]
    (tmp_path / "l.txt").write_text(f"1.png\t{json.dumps(turned)}\n")
    assert check(tmp_path / "l.txt", "--strict") == 0


def test_charsets(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "dict.txt").write_text("T\no\nt\na\nl\n")
    assert check(clean, "--charset", tmp_path / "dict.txt", "--strict") == 0
    clean.write_text("räk 1.png\tTot al\n", encoding="utf-8")
    assert check(clean, "--charset", tmp_path / "dict.txt", "--strict") == 1
    assert check(clean, "--charset", tmp_path / "dict.txt", "--space", "--strict") == 0
    assert check(clean, "--charset", "ch", "--strict") == 0


def test_examples_are_limited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rec.txt"
    path.write_text("".join(f"{i}.png\ta\n" for i in range(7)))
    check(path, "--examples", 2)
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("error: 7 missing images (missing-image)")
    assert lines[at + 1 : at + 4] == [f"  {tmp_path / '0.png'}", f"  {tmp_path / '1.png'}", "  ... and 5 more"]


@pytest.mark.parametrize("kind", ["damaged pages", "lines"])
def test_the_sheet(tmp_path: Path, clean: Path, kind: str) -> None:
    path = clean if kind == "lines" else write_damaged_set(tmp_path)
    sheet = tmp_path / "sheet.png"
    check(path, "--sheet", sheet)
    assert load_image(sheet).std() > 5


def test_other_formats_and_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("gt", "a", "b"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (60, 60)).save(tmp_path / "a" / "1.png")
    Image.new("RGB", (60, 60)).save(tmp_path / "b" / "1.png")
    (tmp_path / "gt" / "gt_1.txt").write_text("1,2,30,2,30,9,1,9,text\n")
    assert check(tmp_path / "gt") == 1
    assert "choose the image folder" in capsys.readouterr().err
    assert check(tmp_path / "gt", "--images", tmp_path / "b") == 0
    assert check(tmp_path / "gt", "--images", tmp_path / "b", "--format", "icdar2013") == 1
    assert "error: 1 entries that cannot be used (bad-entry)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, [], "no such file or folder"),
        (b"", ["--format", "ppocr-det"], "contains no labels"),
        (b"", [], "label.txt is empty"),
        (b"neither this\nnor that\n", [], "cannot detect the label format"),
        (b"1.png\ta\n", ["--format", "paddle"], "no label format 'paddle'; there are ppocr-det, "),
        (b"1.png\ta\n", ["--charset", "klingon"], "no charset 'klingon'"),
        (b"1.png\ta\n", ["--format", "doctr-rec"], "not JSON"),
        ("1.png\ta\n".encode("utf-16"), ["--format", "ppocr-rec"], "UTF-16"),
    ],
)
def test_wrong_use_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, arguments: list[str], message: str
) -> None:
    path = tmp_path / "label.txt"
    if content is not None:
        path.write_bytes(content)
    assert check(path, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ppocr-jax check-labels: ")
    assert message in line


@pytest.mark.parametrize(("network", "longest"), [("crnn_lcnet", 72), ("svtr_lcnet", 36)])
def test_a_config_without_a_longest_label_takes_what_its_widest_lines_hold(clean, capsys, network, longest) -> None:
    """configs/rec/finetune.toml: lines of 384 pixels have 96 frames, which hold 72 characters; SVTR-LCNet's 48."""
    config = clean.parent / "rec.toml"
    config.write_text(f'model.name = "{network}"\n[data]\nmax_label_length = 0\nwidths = [96, 384]\n', encoding="utf-8")
    text = "7" * longest
    Image.new("RGB", (1200, 32)).save(clean.parent / "räk 1.png")
    clean.write_text(f"räk 1.png\t{text}\n", encoding="utf-8")
    assert check(clean, "--config", config) == 0
    assert "too long" not in capsys.readouterr().out
    clean.write_text(f"räk 1.png\t{text}8\n", encoding="utf-8")
    assert check(clean, "--config", config) == 1  # the only line
    assert "warning: 1 texts that are too long" in capsys.readouterr().out
