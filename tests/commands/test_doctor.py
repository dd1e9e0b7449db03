"""`ppocr-jax doctor`: a report of the machine and of model files."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from ppocr_jax.cli import main
from ppocr_jax.commands import doctor
from ppocr_jax.inference.model_folder import BUILTIN_FOLDER
from tests.released import release_or_skip

XEON = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile\n"
OLD = "processor\t: 0\nflags\t\t: fpu sse2 avx2\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    def write(text: str) -> None:
        (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
        monkeypatch.setattr(doctor, "_CPUINFO", tmp_path / "cpuinfo")

    return write


def report(capsys, *arguments: object, code: int = 0) -> dict:
    assert main(["doctor", "--format", "json", *map(str, arguments)]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "has", "advice"),
    [
        (XEON, {"AVX2", "AVX512", "VNNI (int8)", "bfloat16", "AMX"}, "multiplies in bfloat16"),
        (OLD, {"AVX2"}, "hardly faster here"),
        (ARM, {"VNNI (int8)"}, "makes networks faster here"),
    ],
)
def test_the_processor_and_what_to_choose(cpuinfo, capsys, text, has, advice):
    cpuinfo(text)
    said = report(capsys)
    assert {name for name, there in said["processor"].items() if there} == has
    assert advice in " ".join(said["advice"])
    assert ("bfloat16" in " ".join(said["advice"])) == ("bfloat16" in has)


def test_packages_backends_and_a_line_read(capsys):
    said = report(capsys)
    assert said["packages"]["reading"]["numpy"]
    assert "CPUExecutionProvider" in said["backends"]["onnx"]
    assert any(device.startswith("cpu") for device in said["backends"].get("jax", ["cpu"]))
    assert {"en", "ch"} <= set(said["models"])
    assert said["reading"]["right"]
    assert said["reading"]["recognized"].replace(" ", "") == said["reading"]["synthetic"].replace(" ", "")


def test_a_machine_that_does_not_say_what_it_has(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_CPUINFO", tmp_path / "none")
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "processor:   unknown" in lines
    assert "choose:      --backend onnx" in lines


def test_our_own_files(capsys):
    files = [BUILTIN_FOLDER / "en" / f"{task}.onnx" for task in ("det", "cls", "rec")]
    det, cls, rec = report(capsys, *files)["files"]
    assert [file["network"] for file in (det, cls, rec)] == ["detector", "direction classifier", "recognizer"]
    assert (rec["height"], rec["classes"], rec["characters"], rec["made_by"]) == (32, 101, 100, "ppocr_jax")
    assert rec["repaired"] == []


def test_released_files(capsys, tmp_path):
    files = release_or_skip("ppocr-v2")
    det, rec = report(capsys, files["det"], files["rec"], "--charset", files["dictionary"])["files"]
    assert (det["network"], det["made_by"]) == ("detector", "ppocr-v2")
    assert len(det["repaired"]) == 1
    assert "upsampling" in det["repaired"][0]
    assert (rec["network"], rec["height"], rec["classes"], rec["characters"]) == ("recognizer", 32, 6625, 6624)
    (tmp_path / "other.txt").write_text("a\nb\n", encoding="utf-8")
    (rec,) = report(capsys, files["rec"], "--charset", tmp_path / "other.txt", code=1)["files"]
    assert "belongs to another model" in rec["error"]


def test_a_file_that_is_none(capsys, tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    (tmp_path / "no.onnx").write_bytes(b"no")
    assert main(["doctor", str(tmp_path / "no.onnx"), str(tmp_path / "missing.onnx")]) == 1
    out = capsys.readouterr().out
    assert out.count("cannot be used: ") == 2
    assert Path("missing.onnx").name in out
