"""`benchmarks/ablation.py`: rows differ in what the paper changes, finished ones are kept, gains are counted right."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ppocr_jax import cli
from ppocr_jax.commands import synth
from ppocr_jax.config_io import to_dict
from tests.training.experiments import log, shorten, stopped_after_one_step

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ablation.py"


@pytest.fixture
def ablation(monkeypatch):
    """The script as a module, which finds its neighbors as when it is run."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("ablation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ablation", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toy(ablation, tmp_path, monkeypatch):
    """Run the script with short networks for two steps, in this process; give the commands that it ran."""
    shorten(monkeypatch)
    ran = []

    def command(options, *words, log):
        code = cli.main([str(word) for word in words])
        ran.append((*map(str, words[:1]), code))
        if code:
            sys.exit(code)

    monkeypatch.setattr(ablation, "command", command)
    monkeypatch.setattr(ablation, "SYNTHETIC_VAL", {"det": 1, "rec": 4})
    monkeypatch.setattr(ablation, "TIMED", {"det": 1, "rec": 2})
    sizes = ["--det-steps", "2", "--rec-steps", "2", "--evaluations", "1", "--curve-limit", "1", "--crop", "64"]
    sizes += ["--det-batch", "2", "--rec-batch", "8", "--widths", "64"]
    paths = ["--work", str(tmp_path / "runs"), "--output", str(tmp_path / "ablation.json")]

    def run(*words):
        ran.clear()
        monkeypatch.setattr(sys, "argv", ["ablation.py", *sizes, *paths, *words])
        ablation.main()
        return list(ran)

    return run


@pytest.mark.slow
def test_a_stopped_row_goes_on_and_a_finished_one_is_not_repeated(toy, tmp_path, capsys):
    with stopped_after_one_step(), pytest.raises(SystemExit):
        toy("--rows", "pp_lcnet")
    results = tmp_path / "ablation.json"
    assert json.loads(results.read_text())["rec"]["rows"] == {}
    assert toy("--rows", "pp_lcnet") == [("train-rec", 0), ("export", 0)]
    assert [r["step"] for r in log(tmp_path / "runs/rec_pp_lcnet_0") if r["kind"] == "train"] == [1, 2]
    measured = json.loads(results.read_text())["rec"]["rows"]["pp_lcnet"]["0"]
    assert 0 <= measured["scores"]["accuracy"] <= 1
    assert measured["onnx_bytes"] > 2 * measured["parameters"] > 100_000  # half precision
    assert toy("--rows", "pp_lcnet") == []
    assert json.loads(results.read_text())["rec"]["rows"]["pp_lcnet"]["0"] == measured
    assert "| PP-LCNet |" in capsys.readouterr().out


def test_a_second_start_repeats_nothing_and_mixes_nothing(ablation, tmp_path, monkeypatch):
    measured = []

    def measure(task, row, seed, done, options):
        if len(measured) == 3:
            sys.exit("stopped")
        measured.append((row.key, seed))
        scores = {"accuracy": 0.5, "one_minus_ned": 0.5}
        return {"scores": scores, "steps": 1, "step_cpu_seconds": 1.0, "parameters": 1, "onnx_bytes": 1}

    def run(*words):
        measured.clear()
        paths = ["--output", str(tmp_path / "ablation.json"), "--work", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["ablation.py", *paths, *words])
        ablation.main()
        return list(measured)

    monkeypatch.setattr(ablation, "measure", measure)
    monkeypatch.setattr(ablation, "compare_reading", lambda task, options: {})
    rows = ["--rows", "mobilenet_v3", "pp_lcnet", "--seeds", "0", "1"]
    with pytest.raises(SystemExit, match="stopped"):
        run(*rows)
    assert measured == [("mobilenet_v3", 0), ("pp_lcnet", 0), ("mobilenet_v3", 1)]
    assert run(*rows) == [("pp_lcnet", 1)]
    assert run(*rows) == []
    with pytest.raises(SystemExit, match="other settings"):
        run("--rows", "pp_lcnet", "--rec-steps", "3")
    with pytest.raises(SystemExit, match="needs udml of seed 0"):
        run("--rows", "enhanced_ctc")


@pytest.mark.slow
def test_the_detectors_table_is_filled(toy, tmp_path):
    """The teacher is trained before its students; the longer row gets the time of the two students."""
    done = toy("--only", "det")
    assert [name for name, code in done if code == 0].count("train-det") == 6
    rows = json.loads((tmp_path / "ablation.json").read_text())["det"]["rows"]
    assert list(rows) == ["alone", "dml", "teacher", "cml", "copy_paste", "alone_longer"]
    assert len(rows["cml"]["0"]["students"]) == 2
    assert {"teacher_probability_0", "dml_1"} <= log(tmp_path / "runs/det_cml_0")[0].keys()


def test_synthetic_validation_lines_are_made_from_all_text_files(ablation, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(ablation, "command", lambda options, *words, log: ran.append([str(word) for word in words]))
    options = ablation.parse_arguments(["--corpus", "a.txt", "b.txt", "--work", str(tmp_path)])
    ablation.synthetic_labels("rec", "val", 3, options)
    parser = argparse.ArgumentParser()
    synth.add_arguments(parser)
    assert parser.parse_args(ran[0][1:]).corpus == [Path("a.txt"), Path("b.txt")]


@pytest.mark.parametrize("task", ["det", "rec"])
def test_rows_differ_in_nothing_but_what_the_paper_changes(ablation, task, monkeypatch):
    monkeypatch.setattr(ablation, "centers", lambda seed, options: Path(f"centers_{seed}"))
    monkeypatch.setattr(ablation, "synthetic_labels", lambda task, name, count, options: Path("synthetic.txt"))
    options = ablation.parse_arguments([f"--{task}-train", "a.txt,case=blind,weight=3", "--rec-steps", "300"])
    done = {"alone": 2.0, "dml": 5.0, "pp_lcnet": 1.0, "udml": 2.0}
    done = {name: {"7": {"step_cpu_seconds": seconds}} for name, seconds in done.items()}
    configs = {
        row.key: flat(to_dict(ablation.configure(task, row, 7, done, options, Path("run"))))
        for row in ablation.TABLES[task]
    }
    first = next(iter(configs.values()))
    assert first["data.train_labels"][0]["weight"] == 3.0
    assert first["train.seed"] == 7
    changed = {
        key: {name for name in first if config[name] != first[name]} - {"name"} for key, config in configs.items()
    }
    if task == "det":
        longer = {"train.steps", "train.log_every", "train.eval_every", "train.save_every", "optimizer.warmup_steps"}
        assert changed == {
            "alone": set(),
            "dml": {"mutual.students"},
            "teacher": {"model.name"},
            "cml": {"mutual.students", "mutual.teacher"},
            "copy_paste": {"mutual.students", "mutual.teacher", "data.copy_paste"},
            "alone_longer": longer,
        }
        assert configs["alone_longer"]["train.steps"] == 1500  # 600 steps of 2 s, as long as those of 5 s
    else:
        lcnet = {"model.name", "optimizer.l2"}
        assert changed["pp_lcnet"] == lcnet
        assert changed["udml"] == {*lcnet, "mutual.students"}
        assert changed["enhanced_ctc"] == {*lcnet, "mutual.students", "loss.centers", "loss.center_weight"}
        assert configs["pp_lcnet_longer"]["train.steps"] == 600


def flat(values, prefix=""):
    """Nested tables as one, with dotted names."""
    result = {}
    for name, value in values.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return result


def test_the_table_counts_gains_seed_by_seed(ablation):
    def run(accuracy):
        scores = {"accuracy": accuracy, "one_minus_ned": accuracy}
        sizes = {"parameters": 2_000_000, "onnx_bytes": 4_000_000}
        return {"scores": scores, "steps": 300, "step_cpu_seconds": 0.4, **sizes}

    rows = {
        "mobilenet_v3": {"0": run(0.5), "1": run(0.75)},
        "pp_lcnet": {"0": run(0.625), "1": run(0.75)},
        "udml": {"1": run(1.0)},
    }
    table = ablation.markdown({"rec": {"rows": rows, "reading_ms": {"mobilenet_v3": 4.0, "pp_lcnet": 3.0}}})
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[0] for row in cells] == ["PP-OCR's recognizer (MobileNetV3)", "PP-LCNet", "+ U-DML"]
    assert cells[1][3:5] == ["+6.2 (+0.0 to +12.5)", "+2.6"]
    assert cells[2][3:6] == ["+25.0", "+7.2", "1"]
    assert cells[1][6:] == ["300", "0.40", "2.0", "2.00 M", "4.0", "0.75x"]


def test_the_plot_has_a_line_for_each_run_with_time_to_the_right(ablation):
    def run(curve, seconds):
        return {"step_cpu_seconds": seconds, "curve": curve}

    rows = {"alone": {"0": run([[60, 0.25], [120, 0.5]], 1.0)}, "dml": {"0": run([[60, 0.5], [120, 1.0]], 2.0)}}
    image = ElementTree.fromstring(ablation.curves({"det": {"rows": rows}}))
    lines = [line.get("points").split() for line in image.iter("{http://www.w3.org/2000/svg}polyline")]
    origin, *alone = [tuple(map(float, point.split(","))) for point in lines[0]]
    _, *dml = [tuple(map(float, point.split(","))) for point in lines[1]]
    assert alone[1] == dml[0]  # 120 steps of 1 s end where 60 steps of 2 s do, at the same score
    assert [origin[1] - y for _, y in dml] == pytest.approx([2 * (origin[1] - y) for _, y in alone], abs=0.5)
    assert "+ DML" in [text.text for text in image.iter("{http://www.w3.org/2000/svg}text")]


def test_the_time_of_a_step_leaves_out_evaluations_and_restarts(ablation, tmp_path):
    records = [
        {"step": 1, "kind": "train", "cpu_seconds": 30.0},
        {"step": 3, "kind": "train", "cpu_seconds": 31.0},  # .5 a step
        {"step": 3, "kind": "eval", "cpu_seconds": 90.0},
        {"step": 5, "kind": "train", "cpu_seconds": 91.0},  # behind an evaluation
        {"step": 7, "kind": "train", "cpu_seconds": 20.0},  # started anew
        {"step": 9, "kind": "train", "cpu_seconds": 21.4},  # .7 a step
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, [records[1], *records])), encoding="utf-8")
    assert ablation.step_cpu_seconds(ablation.read_log(tmp_path / "log.jsonl")) == pytest.approx(0.6)
