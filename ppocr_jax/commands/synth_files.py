"""Data sets that `ppocr-jax synth` writes: a folder of pictures with a label file, or an LMDB database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ppocr_jax.commands.synth_samples import Drawing, encoded_samples
from ppocr_jax.data.labels import (
    DetectionRecord,
    RecognitionRecord,
    write_detection_labels,
    write_recognition_labels,
)
from ppocr_jax.data.lmdb_store import build_lmdb
from ppocr_jax.errors import UserError

LABEL_FILES = {"rec": "rec_label.txt", "cls": "rec_label.txt", "det": "label.txt"}


def write_folder(output: Path, drawing: Drawing, count: int, *, workers: int = 1) -> None:
    """Write `count` pictures into `output`/images and their label file, of PaddleOCR's format, beside that folder.

    The label file comes last: a folder without one is not whole.

    Raises:
        UserError: `output` is there and not an empty folder, or something cannot be written.
    """
    check_empty(output)
    regions, lines = [], []
    with _reported(output):
        (output / "images").mkdir(parents=True)
        for index, (picture, label) in enumerate(encoded_samples(drawing, count, workers=workers)):
            path = output / "images" / f"{index:07d}.{drawing.suffix}"
            path.write_bytes(picture)
            if isinstance(label, str):
                lines.append(RecognitionRecord(path, label))
            else:
                regions.append(DetectionRecord(path, label))
        if drawing.kind == "det":
            write_detection_labels(output / LABEL_FILES["det"], regions)
        else:
            write_recognition_labels(output / LABEL_FILES[drawing.kind], lines)


def write_lmdb(output: Path, drawing: Drawing, count: int, *, workers: int = 1) -> None:
    """Write `count` lines into a new database in the folder `output`.

    Raises:
        UserError: `output` is there and not an empty folder, it cannot be written, or the package lmdb is missing.
    """
    check_empty(output)
    with _reported(output), tempfile.TemporaryDirectory(prefix="ppocr-jax-synth-") as folder:
        build_lmdb(output, _passing_records(Path(folder), drawing, count, workers))


def check_empty(output: Path) -> None:
    """Raises UserError: `output` is there and not an empty folder."""
    with _reported(output):
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UserError(f"{output} is not an empty folder; name a new one, so that nothing is overwritten")


def _passing_records(folder: Path, drawing: Drawing, count: int, workers: int) -> Iterator[RecognitionRecord]:
    """Records of lines whose pictures are files only until the next record is asked for."""
    for index, (picture, label) in enumerate(encoded_samples(drawing, count, workers=workers)):
        path = folder / f"{index:07d}.{drawing.suffix}"
        path.write_bytes(picture)
        yield RecognitionRecord(path, str(label))
        path.unlink()


@contextmanager
def _reported(output: Path) -> Iterator[None]:
    """What the system refuses, as one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write samples: {error.filename or output}: {error.strerror or error}") from error
