"""What label files of every format are read into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ppocr_jax.errors import UserError

IGNORE_TEXTS = ("###", "*")
"""Transcriptions of regions that are neither text nor background: left out of the loss and of scoring."""


class LabelError(UserError, ValueError):
    """A label that cannot be used; the message names file, line and what is wrong."""


@dataclass(frozen=True, eq=False)
class Region:
    """One labeled region.

    Attributes:
        points: (n, 2) float32, n >= 4, (x, y) in pixels of the upright picture, clockwise.
        text: Transcription; empty where the text is not known (such a region still counts for detection).
        ignore: Illegible or "do not care".
    """

    points: np.ndarray
    text: str
    ignore: bool = False


@dataclass(frozen=True, eq=False)
class DetectionRecord:
    """A picture and its regions; none for a picture without text.

    Attributes:
        image_path: The picture.
        regions: What is marked in it.
        other_paths: Further pictures with the very same regions; see `LabelMixture`, which draws one of them.
    """

    image_path: Path
    regions: tuple[Region, ...]
    other_paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RecognitionRecord:
    """A picture of one text line and its text.

    Attributes:
        image_path: The picture; one inside a database is `DATABASE/image-000000001`, see `data.pictures.load_picture`.
        text: What it says.
        other_paths: Further pictures of the same text; see `LabelMixture`, which draws one of them.
    """

    image_path: Path
    text: str
    other_paths: tuple[Path, ...] = ()


Record: TypeAlias = DetectionRecord | RecognitionRecord


def ignore_region(points: np.ndarray) -> Region:
    """A region that is neither text nor background."""
    return Region(points, IGNORE_TEXTS[0], ignore=True)


def text_region(points: np.ndarray, text: str) -> Region:
    """A region with this text, ignored where the text is one of `IGNORE_TEXTS`."""
    return Region(points, text, text in IGNORE_TEXTS)


def written_text(region: Region) -> str:
    """The text that a label file holds for a region: `###` for an ignored one."""
    return IGNORE_TEXTS[0] if region.ignore and region.text not in IGNORE_TEXTS else region.text
