"""The hook for PyInstaller, and a program that was made with it."""

import os
import runpy
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from ppocr_jax.__pyinstaller import get_hook_dirs

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("PyInstaller", reason="needs pyinstaller")

PROGRAM = """
import sys
from ppocr_jax import OCR
page = OCR("en", threads=1)(sys.argv[1])
page.save(sys.argv[2])
print(page.text)
"""


def test_the_hook_names_what_there_is():
    (folder,) = get_hook_dirs()
    hook = runpy.run_path(str(Path(folder) / "hook-ppocr_jax.py"))
    assert all(find_spec(name) for name in hook["hiddenimports"])
    taken = {Path(source).relative_to(ROOT / "ppocr_jax").as_posix() for source, _ in hook["datas"]}
    weights = {
        path.relative_to(ROOT / "ppocr_jax").as_posix() for path in (ROOT / "ppocr_jax/weights").glob("*/*.onnx")
    }
    assert weights | {"document/invisible.ttf"} <= taken
    assert not any(name.startswith("serve/") for name in taken)


def test_pyinstaller_is_told_of_it():
    """By an entry point, where the package is installed."""
    points = [p for p in metadata.entry_points(group="pyinstaller40") if p.value.startswith("ppocr_jax.")]
    if not points:
        pytest.skip("the package is not installed")
    assert points[0].load() is get_hook_dirs


@pytest.mark.slow
def test_a_program_reads_without_python(tmp_path: Path):
    (tmp_path / "reader.py").write_text(PROGRAM, encoding="utf-8")
    options = ["--onedir", "--noconfirm", "--paths", str(ROOT), "--additional-hooks-dir", get_hook_dirs()[0]]
    command = [sys.executable, "-m", "PyInstaller", *options, "reader.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    program = tmp_path / "dist" / "reader"
    assert not any((program / "_internal" / name).exists() for name in ("jax", "flax", "tensorflow"))
    image = ROOT / "examples" / "receipt.jpg"
    bare = {"PATH": os.defpath, "HOME": str(tmp_path)}
    run = [str(program / "reader"), str(image), str(tmp_path / "page.pdf")]
    done = subprocess.run(run, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "TOTAL" in done.stdout
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
