"""Files are replaced once they are whole; what is no regular file is written through and stays what it is."""

import io
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ppocr_jax.document import OutputFile, refuse_to_overwrite, write_text
from ppocr_jax.errors import UserError


def put(path, data: bytes = b"new", **options) -> None:
    with OutputFile(path, **options) as out:
        out.write(data)


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path: Path):
    path = tmp_path / ("x" * 255)
    path.write_bytes(b"old")
    path.chmod(0o640)
    with OutputFile(path) as out:
        out.write(b"half")
        out.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"half"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640, "an existing file keeps its permissions"
    with pytest.raises(TypeError), OutputFile(path) as out:
        out.write("never")
    assert path.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [path]


def test_rows_are_there_as_they_are_written(tmp_path: Path):
    with OutputFile(tmp_path / "a", direct=True) as out:
        out.write(b"1\n")
        out.flush()
        assert (tmp_path / "a").read_bytes() == b"1\n"
    put(tmp_path / "a", b"2\n", append=True)
    assert (tmp_path / "a").read_bytes() == b"1\n2\n"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, there: bool):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data/file")
    if there:
        (tmp_path / "data" / "file").touch()
    put(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "data" / "file").read_bytes() == b"new"
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_named_pipe_is_written_through(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    put(tmp_path / "pipe")
    reader.join()
    assert read == [b"new"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_devices_stay_devices(tmp_path: Path):
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (os.devnull, tmp_path / "null"):
        put(path)
        assert stat.S_ISCHR(os.stat(path).st_mode)
    with pytest.raises(UserError, match="cannot write /dev/full: No space left"):
        put("/dev/full")


def run(code: str, **options) -> subprocess.CompletedProcess:
    program = f"from ppocr_jax.document import OutputFile, write_text\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=60, **options)


@pytest.mark.parametrize("path", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output(path: str):
    done = run(f"with OutputFile({path!r}) as out: out.write(b'new')\nprint(' after')")
    assert (done.stdout, done.stderr) == (b"new after\n", b"")


def test_what_standard_output_is_appended_to_is_kept(tmp_path: Path):
    log = tmp_path / "log"
    log.write_bytes(b"old ")
    with log.open("ab") as file:
        program = "from ppocr_jax.document import write_text\nwrite_text(['new'], '/dev/stdout')"
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)
    assert log.read_bytes() == b"old new"


@pytest.mark.parametrize(("encoding", "expected"), [("ascii", "caf? ?"), ("cp1252", "café ?"), ("utf-8", "café 字")])
def test_characters_that_an_encoding_lacks(encoding: str, expected: str):
    done = run(r"write_text(['caf\xe9 \u5b57'])", env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert (done.stdout.decode(encoding), done.stderr) == (expected, b"")


def test_files_are_utf_8_whatever_the_system_says(tmp_path: Path):
    path = tmp_path / "a.txt"
    run(f"write_text(['\\xe9 \\u5b57\\r\\n'], {str(path)!r})", env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert path.read_bytes() == "é 字\r\n".encode()


def test_full_and_closed_standard_output_is_one_error():
    full = "import sys\ntry: write_text(['a' * 100_000])\nexcept Exception as error: sys.stderr.write(repr(error))"
    with open("/dev/full", "wb") as device:
        program = f"from ppocr_jax.document import write_text\n{full}"
        done = subprocess.run([sys.executable, "-c", program], stdout=device, stderr=subprocess.PIPE, check=False)
    assert done.stderr == b"UserError('cannot write standard output: No space left on device')"
    assert done.returncode == 0
    command = [sys.executable, "-c", f"from ppocr_jax.document import write_text\n{full}"]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], stderr=subprocess.PIPE, check=False)
    assert done.stderr == b"UserError('cannot write standard output: it is closed')"


def test_places_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    for place in ("none/a", "file/a", "x" * 300, "a\0b", "."):
        with pytest.raises(UserError, match="cannot write"):
            put(f"{tmp_path}/{place}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everything")
def test_a_file_in_a_folder_that_is_not_ours(tmp_path: Path):
    (tmp_path / "file").touch()
    tmp_path.chmod(0o555)
    try:
        put(tmp_path / "file")
    finally:
        tmp_path.chmod(0o755)
    assert (tmp_path / "file").read_bytes() == b"new"


def test_an_open_file_is_written_to_and_stays_open():
    file = io.BytesIO(b"old ")
    file.seek(4)
    put(file)
    file.write(b" after")
    assert file.getvalue() == b"old new after"


def test_errors_of_others_are_not_taken_for_the_files_own(tmp_path: Path):
    with pytest.raises(FileNotFoundError), OutputFile(tmp_path / "a") as out:
        out.write((tmp_path / "missing").read_bytes())
    assert not any(tmp_path.iterdir())


def test_what_is_read_is_not_overwritten(tmp_path: Path):
    (tmp_path / "own.png").write_bytes(b"image")
    (tmp_path / "link.png").symlink_to("own.png")
    inputs = ["-", b"bytes", None, "https://example.org/a.png", tmp_path / "own.png"]
    for path in ("own.png", "link.png", "../" + tmp_path.name + "/own.png"):
        with pytest.raises(UserError, match="is an input file; choose another output file"):
            refuse_to_overwrite(tmp_path / path, inputs)
    refuse_to_overwrite(tmp_path / "new.png", inputs)
    refuse_to_overwrite("/dev/null", ["/dev/null"])
    write_text(["x"], tmp_path / "new.png")
    assert (tmp_path / "own.png").read_bytes() == b"image"
