"""Loggers of a run: a JSON-lines file, TensorBoard, and the terminal."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import jax
import numpy as np

_logger = logging.getLogger("ppocr_jax")


class Logger:
    """Base of the loggers: it shows no images and has nothing to close."""

    def log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Log `values` at `step`; `kind` is "train" or "eval"."""
        raise NotImplementedError

    def show(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Log images (H, W, 3) uint8 RGB at `step`."""

    def close(self) -> None:
        """Write pending records."""


class JsonLines(Logger):
    """One JSON object per line; a resumed run appends.

    `time` is the wall clock in seconds, `cpu_seconds` the CPU time of this process.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        clocks = {"time": round(time.time(), 3), "cpu_seconds": round(time.process_time(), 3)}
        record = {"step": step, "kind": kind, **clocks, **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


class TensorBoard(Logger):
    """TensorBoard event files with one scalar per name, such as "train/loss"."""

    def __init__(self, folder: str | Path) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def show(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        for name, image_rgb in images.items():
            self._writer.add_image(name, image_rgb, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class PlainProgress(Logger):
    """One log line per record, for files and pipes."""

    def __init__(self, total_steps: int) -> None:
        self._total_steps = total_steps

    def log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        _logger.info("%s %d/%d  %s", kind, step, self._total_steps, format_values(values))


class RichProgress(Logger):
    """A progress bar on a terminal, with evaluations printed above it."""

    def __init__(self, total_steps: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, refresh_per_second=2)
        self._task = self._progress.add_task("starting", total=total_steps)
        self._progress.start()

    def log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        text = format_values(values)
        if kind == "train":
            self._progress.update(self._task, completed=step, description=text)
        else:
            self._progress.console.print(f"{kind} {step}  {text}", markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


class Loggers(Logger):
    """Several loggers as one. Use it as a context manager: leaving it closes them all."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = tuple(loggers)

    def __enter__(self) -> Loggers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        for logger in self._loggers:
            logger.log(step, kind, values)

    def show(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        for logger in self._loggers:
            logger.show(step, images)

    def close(self) -> None:
        with ExitStack() as stack:
            for logger in self._loggers:
                stack.callback(logger.close)


def make_loggers(work_dir: str | Path, total_steps: int) -> Loggers:
    """Return loggers to `work_dir/log.jsonl`, to TensorBoard files in `work_dir/tensorboard`, and to terminal or log.

    In a run of several processes only the first one logs.
    """
    if jax.process_index() > 0:
        return Loggers([])
    work_dir = Path(work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    progress = RichProgress(total_steps) if sys.stdout.isatty() else PlainProgress(total_steps)
    return Loggers([JsonLines(work_dir / "log.jsonl"), TensorBoard(work_dir / "tensorboard"), progress])


def format_values(values: Mapping[str, float]) -> str:
    """Format `values` on one line, "seconds_left" as a duration."""
    parts = []
    for name, value in values.items():
        if name == "seconds_left":
            minutes, seconds = divmod(round(value), 60)
            parts.append(f"left {minutes // 60}:{minutes % 60:02}:{seconds:02}")
        else:
            parts.append(f"{name} {value:.4g}")
    return "  ".join(parts)
