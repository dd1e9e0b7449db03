"""Log files are read back with code of our own; progress is what a person or a pipe sees."""

from __future__ import annotations

import json
import logging
import struct
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from ppocr_jax.training.loggers import (
    JsonLines,
    Loggers,
    PlainProgress,
    RichProgress,
    TensorBoard,
    format_values,
    make_loggers,
)


def _events(path: Path) -> list[Event]:
    """TFRecord: length (uint64), its checksum (uint32), data, its checksum (uint32)."""
    data, events = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return events


def test_json_lines_are_appended_and_on_disk_at_once(tmp_path):
    path = tmp_path / "log.jsonl"
    JsonLines(path).log(1, "train", {"loss": 2.5})
    JsonLines(path).log(2, "eval", {"accuracy": 0.5})
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["step"], first["kind"], first["loss"]) == (1, "train", 2.5)
    assert (second["step"], second["kind"], second["accuracy"]) == (2, "eval", 0.5)
    assert second["time"] >= first["time"]


def test_tensorboard_holds_a_scalar_per_name(tmp_path):
    logger = TensorBoard(tmp_path)
    logger.log(7, "train", {"loss": 2.5, "grad_norm": 1.0})
    logger.log(8, "eval", {"accuracy": 0.5})
    logger.close()
    (path,) = tmp_path.iterdir()
    scalars = {(v.tag, e.step): v.simple_value for e in _events(path) for v in e.summary.value}
    assert scalars == {("train/loss", 7): 2.5, ("train/grad_norm", 7): 1.0, ("eval/accuracy", 8): 0.5}


def test_plain_progress_writes_a_line_per_record(caplog):
    with caplog.at_level(logging.INFO, "ppocr_jax"):
        PlainProgress(200).log(50, "train", {"loss": 0.123456, "seconds_left": 3725.0})
    assert caplog.messages == ["train 50/200  loss 0.1235  left 1:02:05"]


def test_rich_progress_keeps_evaluations_on_screen(capsys):
    progress = RichProgress(10)
    progress.log(5, "train", {"loss": 1.5})
    progress.log(5, "eval", {"accuracy": 0.25})
    progress.log(10, "train", {"loss": 0.5})
    progress.close()
    out = capsys.readouterr().out
    assert "eval 5  accuracy 0.25" in out
    assert "10/10" in out
    assert "loss 0.5" in out


def test_all_loggers_are_closed_even_if_one_fails():
    class Sink:
        def __init__(self, error: type[Exception] | None = None) -> None:
            self.error, self.closed = error, False

        def log(self, step, kind, values):
            """Take nothing."""

        def close(self):
            self.closed = True
            if self.error:
                raise self.error

    sinks = [Sink(), Sink(OSError), Sink()]
    with pytest.raises(OSError), Loggers(sinks):  # noqa: PT011 (the sink's own, without a message)
        pass
    assert all(sink.closed for sink in sinks)


def test_a_work_folder_gets_both_files(tmp_path):
    with make_loggers(tmp_path / "new" / "run", 10) as loggers:
        loggers.log(1, "train", {"loss": 1.0})
    assert (tmp_path / "new/run/log.jsonl").read_text().count("\n") == 1
    assert any((tmp_path / "new/run/tensorboard").iterdir())


def test_values_are_short():
    assert format_values({"loss": 1234.5678, "learning_rate": 1e-4}) == "loss 1235  learning_rate 0.0001"
