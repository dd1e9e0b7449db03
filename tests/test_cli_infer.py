import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.cli import COMMANDS, main, run_command
from ppocr_jax.errors import UserError

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "page.png"
    page = stripes.paint_page((300, 500), [("abc", (150, 60), 0), ("ccab", (300, 200), 180)])
    Image.fromarray(page).save(path)
    return path


def test_text_on_standard_output(infer, image, capsys):
    assert infer("--image", image) == 0
    assert capsys.readouterr() == ("abc\nccab\n", "")


def test_json(infer, image, capsys):
    assert infer("--image", image, "--format", "json") == 0
    page = json.loads(capsys.readouterr().out)
    assert (page["width"], page["height"], page["image"]) == (500, 300, str(image))
    assert [line["text"] for line in page["lines"]] == ["abc", "ccab"]
    assert all(len(line["quad"]) == 4 and 0.5 < line["confidence"] <= 1 for line in page["lines"])


def test_output_file_and_drawing(infer, image, tmp_path, capsys):
    text, drawing = tmp_path / "out.txt", tmp_path / "out.png"
    assert infer("--image", image, "--output", text, "--draw", drawing) == 0
    assert text.read_text(encoding="utf-8") == "abc\nccab\n"
    assert capsys.readouterr().out == ""
    drawn = np.asarray(Image.open(drawing))
    assert drawn.shape == (300, 1000, 3)
    assert not np.array_equal(drawn[:, :500], np.asarray(Image.open(image)))


def test_no_text_is_no_error(infer, tmp_path, capsys):
    path = tmp_path / "black.png"
    Image.new("RGB", (50, 40)).save(path)
    assert infer("--image", path) == 0
    assert infer("--image", path, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["lines"] == []


def test_options_reach_the_pipeline(infer, image, capsys):
    assert infer("--image", image, "--drop-score", "1", "--threads", "1", "--device", "cpu") == 0
    assert capsys.readouterr().out == ""


def test_letters(infer, image, capsys, caplog):
    assert infer("--image", image, "--letters", "abz", "--drop-score", "0") == 0
    assert set(capsys.readouterr().out) <= set("ab\n")
    assert "does not read 1 of the requested characters: 'z'" in caplog.text
    assert infer("--image", image, "--letters", "missing.txt") == 1
    assert_one_line(capsys, "missing.txt")


def assert_one_line(capsys, *parts: str) -> None:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("infer.py: ")
    for part in parts:
        assert part in err


def test_bad_images_give_one_line_and_exit_code_1(infer, tmp_path, capsys):
    assert infer("--image", tmp_path / "missing.jpg") == 1
    assert_one_line(capsys, "no such file", "missing.jpg")
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear all,\nno image here\n")
    assert infer("--image", letter) == 1
    assert_one_line(capsys, "letter.jpg is not a readable image")
    empty = tmp_path / "empty.png"
    empty.touch()
    assert infer("--image", empty) == 1
    assert_one_line(capsys, "empty.png is empty")
    (tmp_path / "folder").mkdir()
    assert infer("--image", tmp_path / "folder") == 1
    assert_one_line(capsys, "contains no images")


def test_truncated_image(infer, image, capsys):
    image.write_bytes(image.read_bytes()[:-60])
    assert infer("--image", image) == 1
    assert_one_line(capsys, "page.png is damaged")


def test_bad_model(infer, image, tmp_path, capsys):
    assert infer("--image", image, "--model", tmp_path) == 1
    assert_one_line(capsys, "contains no model.json")
    assert infer("--image", image, "--backend", "jax") == 1
    assert_one_line(capsys, "no safetensors file")


def test_results_that_cannot_be_written(infer, image, tmp_path, capsys):
    assert infer("--image", image, "--output", tmp_path / "no" / "out.txt") == 1
    assert_one_line(capsys, "cannot write", "out.txt", "No such file or directory")
    assert infer("--image", image, "--draw", tmp_path / "drawing.xyz") == 1
    assert_one_line(capsys, "cannot write", "drawing.xyz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--image"),
        (["--image", "a.png", "--format", "xml"], "invalid choice"),
        (["--image", "a.png", "--drop-score", "3"], "between 0 and 1"),
        (["--image", "a.png", "--threads", "0"], "at least 1"),
        (["--image", "a.png", "--wat"], "unrecognized"),
    ],
)
def test_bad_usage_is_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        run_command("infer", arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_main_lists_commands_and_hands_arguments_on(stripes_model, image, capsys):
    with pytest.raises(SystemExit) as error:
        main(["--help"])
    assert error.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert main(["infer", "--model", str(stripes_model), "--image", str(image)]) == 0
    assert capsys.readouterr().out == "abc\nccab\n"


def test_help_of_a_command_through_main(capsys):
    with pytest.raises(SystemExit) as error:
        main(["infer", "--help"])
    assert error.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: ppocr-jax infer")
    assert "--image" in shown


def test_commands_that_parse_their_own_arguments(monkeypatch, capsys):
    def fail(name, arguments, *, prog):
        assert (name, prog) == ("train-cls", "infer.py")
        raise UserError(f"no such config: {arguments[0]}")

    module = types.SimpleNamespace(main=fail)
    monkeypatch.setitem(sys.modules, "ppocr_jax.commands.training", module)
    assert run_command("train-cls", ["a.toml"], prog="infer.py") == 1
    assert_one_line(capsys, "no such config: a.toml")
    module.main = lambda name, arguments, prog: 0
    assert run_command("train-cls", []) == 0


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_asked_for_help(name, capsys):
    with pytest.raises(SystemExit) as error:
        run_command(name, ["--help"])
    assert error.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_script_in_a_process_of_its_own(stripes_model, image):
    command = [sys.executable, "infer.py", "--model", str(stripes_model), "--image", str(image)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert (run.returncode, run.stdout.decode().split(), run.stderr) == (0, ["abc", "ccab"], b"")


def test_a_reader_that_has_seen_enough_is_no_error(stripes_model, image):
    command = [sys.executable, "infer.py", "--image", str(image), str(image), "--model", str(stripes_model)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()  # as `head` does
    _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (141, b"")


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nsys.argv = ['infer.py', '--help']\nfrom ppocr_jax.cli import run_command\n"
        "try:\n    run_command('infer')\nexcept SystemExit:\n    print('LOADED', *sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    loaded = run.stdout.split("LOADED", 1)[1].split()
    assert not {"numpy", "PIL", "cv2", "onnxruntime", "jax"} & set(loaded)
