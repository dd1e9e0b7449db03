"""`ppocr-jax models`: what it lists is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ppocr_jax.cli import main
from ppocr_jax.models import MODELS
from ppocr_jax.models.ops import native_ops
from ppocr_jax.models.systems import SYSTEMS, build_system

ROOT = Path(__file__).parents[2]


def test_a_network(capsys):
    assert main(["models", "db_mobilenet_v3"]) == 0
    shown = capsys.readouterr().out
    assert "PP-OCR's mobile detector" in shown
    assert "559,977" in shown
    assert "23,257 more" in shown
    assert "4.30 G" in shown
    assert re.search(r"part of +ppocr_mobile, ppocr_v2\n", shown)
    assert "channels=96" in shown


def test_a_system(capsys):
    assert main(["models", "ppocr_v2"]) == 0
    shown = capsys.readouterr().out
    rows = [line.split()[0] for line in shown.splitlines() if re.search(r"\d x \d", line)]
    assert rows == ["db_mobilenet_v3", "direction_mobilenet_v3", "crnn_lcnet"]
    assert "11.1 MB" in shown  # 11.6 with the graphs, PP-OCRv2 table 5


def test_an_unknown_name(capsys):
    assert main(["models", "nope"]) == 1
    assert capsys.readouterr().err.startswith("ppocr-jax models: no network or system 'nope'; choose from db_")


@pytest.mark.parametrize(("module", "extra"), [("jax", "train"), ("flax", "train")])
def test_without_a_package_one_line_says_what_to_install(module, extra):
    code = f"import sys; sys.modules['{module}'] = None; from ppocr_jax.cli import main; sys.exit(main(['models']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f'ppocr-jax models needs {module}: pip install "ppocr-jax[{extra}]"\n'


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_have_networks_and_experiments(name):
    system = SYSTEMS[name]
    for part in (system.det, system.cls, system.rec):
        text = (ROOT / part.config).read_text(encoding="utf-8")
        assert part.network in MODELS
        assert f'name = "{part.network}"' in text or part.network == "direction_mobilenet_v3"
    assert list(build_system(name, num_classes=11, ops=native_ops)) == ["det", "cls", "rec"]


def test_an_unknown_system():
    with pytest.raises(ValueError, match="no system 'ppocr_v9'; choose from ppocr_mobile"):
        build_system("ppocr_v9", num_classes=2)
