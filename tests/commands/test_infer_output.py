"""Where `infer` writes: files, links, pipes, devices, standard output of any encoding; and never over what is read."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    Image.fromarray(stripes.paint_page((200, 300), [("abc", (150, 100), 0)])).save(path)
    return path


def run(stripes_model: Path, *arguments: object, shell: str = "", **options) -> subprocess.CompletedProcess:
    """Run `infer` in a process of its own; `shell` is appended, for redirections."""
    command = [sys.executable, "infer.py", "--model", str(stripes_model), *map(str, arguments)]
    if shell:
        command = ["sh", "-c", f'"$@" {shell}', "sh", *command]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False, **options)


def test_a_link_stays_and_its_file_is_written(infer, image, tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    assert infer("--image", image, "--output", tmp_path / "link.txt") == 0
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "abc\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_written_through(infer, image, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reader.start()
    assert infer("--image", image, "--output", tmp_path / "pipe", "--format", "text") == 0
    reader.join(20)
    assert got == ["abc\n"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="needs /dev/null")
def test_a_device_stays_a_device(infer, image):
    assert infer("--image", image, "--output", "/dev/null") == 0
    assert Path("/dev/null").is_char_device()


def test_a_minus_is_standard_output(infer, image, capsysbinary):
    assert infer("--image", image, "--output", "-", "--format", "csv") == 0
    assert b"abc" in capsysbinary.readouterr().out
    pytest.importorskip("pikepdf", reason="needs the [pdf] extra")
    assert infer("--image", image, "--output", "-", "--format", "pdf") == 0
    assert capsysbinary.readouterr().out.startswith(b"%PDF")


@pytest.mark.parametrize("option", ["--output", "--draw"])
def test_the_image_is_never_overwritten(infer, image, option, capsys):
    before = image.read_bytes()
    assert infer("--image", image, "--format", "text", option, image) == 1
    assert "is an input file" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_an_unknown_suffix_is_an_error_unless_the_format_is_said(infer, image, tmp_path, capsys):
    assert infer("--image", image, "--output", tmp_path / "x.docx") == 1
    assert "unknown suffix" in capsys.readouterr().err
    assert infer("--image", image, "--output", tmp_path / "x.docx", "--format", "text") == 0
    assert (tmp_path / "x.docx").read_text() == "abc\n"


def test_an_option_given_twice_counts_twice(infer, image, capsys):
    assert infer("--image", image, "--image", image) == 0
    assert capsys.readouterr().out == "abc\n\fabc\n"


def test_what_the_encoding_lacks_is_a_question_mark(stripes_model, tmp_path):
    path = tmp_path / "größe 文字.png"
    Image.fromarray(stripes.paint_page((200, 300), [("abc", (150, 100), 0)])).save(path)
    done = run(stripes_model, "--image", path, "--format", "jsonl", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"abc" in done.stdout
    assert b"?" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="needs a shell of Unix")
@pytest.mark.parametrize(("shell", "code"), [(">&-", 1), ("2>&-", 1), (">/dev/full", 1), ("2>/dev/full", 1)])
def test_closed_and_full_outputs_give_a_line_at_most(stripes_model, image, tmp_path, shell, code):
    """One of two images is missing, so that something is to be said on standard error, too."""
    (tmp_path / "bad.png").write_text("no image")
    done = run(stripes_model, "--image", image, tmp_path / "bad.png", shell=shell)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    if shell.startswith("2"):
        assert done.stdout == b"abc\n\f"
    else:
        assert b"cannot write standard output" in done.stderr


def test_nothing_is_left_in_the_home_folder(stripes_model, image, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_"))}
    done = run(stripes_model, "--image", image, env={**environment, "HOME": str(home)})
    assert done.stdout == b"abc\n"
    assert list(home.iterdir()) == []


def test_two_outputs_are_two_files(infer, image, tmp_path, capsys):
    both = tmp_path / "page.md"
    assert infer("--image", image, "--output", both, "--tables", tmp_path / "." / "page.md") == 1
    assert "--output and --tables would both write" in capsys.readouterr().err
    assert not both.exists()
