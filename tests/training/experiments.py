"""The training commands as a user types them, in this process, on drawn text; for tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ppocr_jax import cli
from ppocr_jax.config_io import load_config
from ppocr_jax.training.tasks import TASKS

ROOT = Path(__file__).parents[2]
# The smallest sizes at which every network still works.
TINY = {
    "det": {"batch_size": "2", "size": ["--data.crop-size", "64"]},
    "rec": {"batch_size": "8", "size": ["--data.widths", "64"]},
    "cls": {"batch_size": "8", "size": ["--data.val-synthetic", "4"]},
}


def draw(folder: Path) -> None:
    """Draw pages with their label file, `det/label.txt`, and lines with theirs, `rec/rec_label.txt`."""
    assert cli.main(["synth", "det", "--count", "3", "--size", "160", "--seed", "5", "--output", f"{folder}/det"]) == 0
    assert cli.main(["synth", "rec", "--count", "24", "--seed", "5", "--output", f"{folder}/rec"]) == 0
    for labels in (folder / "det/label.txt", folder / "rec/rec_label.txt"):
        rows = [line.split("\t", 1) for line in labels.read_text(encoding="utf-8").splitlines()]
        text = "".join(f"{labels.parent / path}\t{label}\n" for path, label in rows)
        labels.write_text(text, encoding="utf-8")


def provide(config: Any, drawn: Path) -> None:
    """Put drawn data where `config` looks for its own, relative to the working folder."""
    data = config.data
    for source in (*data.train_labels, *data.val_labels):
        lines = "rec" in Path(source.path).parts or source.path.endswith("rec_label.txt")
        _copy(drawn / ("rec/rec_label.txt" if lines else "det/label.txt"), Path(source.path))
    for corpus in data.synthetic.corpus:
        Path(corpus).parent.mkdir(parents=True, exist_ok=True)
        Path(corpus).write_text("some words 12.50\nmore of them\n", encoding="utf-8")
    if data.synthetic.backgrounds:
        _copy(drawn / "det", Path(data.synthetic.backgrounds))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def train(task: str, name: str, *flags: str, steps: int = 1, drawn: Path) -> Path:
    """Train `configs/TASK/NAME.toml` for a few steps at a tiny size; return the run's folder."""
    path = ROOT / "configs" / task / f"{name}.toml"
    config = load_config(TASKS[task].config, path)
    provide(config, drawn)
    tiny = TINY[task]
    words = ["--config", str(path), *tiny["size"], "--train.steps", str(steps), "--train.batch-size"]
    words += [tiny["batch_size"], "--train.workers", "0", "--train.log-every", "1", *flags]
    command(task, *words)
    return Path(config.train.work_dir)


def command(task: str, *words: str) -> None:
    """Run `train_det.py`, `train_rec.py` or `ppocr-jax train-cls`."""
    from ppocr_jax.commands.training import train_command

    train_command(TASKS[task].config, "", list(words))


def log(run: Path) -> list[dict[str, Any]]:
    """Every record of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
