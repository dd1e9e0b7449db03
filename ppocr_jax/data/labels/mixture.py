"""Several label sets in stated shares, drawn anew for each epoch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ppocr_jax.data.labels.formats import read_labels
from ppocr_jax.data.labels.records import LabelError, Record


@dataclass(frozen=True, eq=False)
class LabelMixture:
    """Label sets, of each of which an epoch sees a share: PaddleOCR's `ratio_list`.

    Attributes:
        sets: Records of each set.
        ratios: Share of each set, 0 to 1.
        seed: Of the drawing.
    """

    sets: tuple[tuple[Record, ...], ...]
    ratios: tuple[float, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.ratios) != len(self.sets):
            raise LabelError(f"ratio_list has {len(self.ratios)} numbers for {len(self.sets)} label sets")
        if not all(0 <= ratio <= 1 for ratio in self.ratios):
            raise LabelError(f"ratio_list must hold shares between 0 and 1, not {list(self.ratios)}")

    @classmethod
    def read(
        cls,
        paths: Sequence[str | os.PathLike[str]],
        *,
        ratio_list: float | Sequence[float] = 1.0,
        seed: int = 0,
        format: str = "auto",
        image_root: str | os.PathLike[str] | None = None,
        strict: bool = True,
    ) -> LabelMixture:
        """Read label files; see `read_labels` for what is not told here.

        Args:
            paths: The label files, all for detection or all for recognition.
            ratio_list: Share of each; one number for all of them.
            seed: Of the drawing.

        Raises:
            LabelError: The sets are not of one kind, or the ratios do not fit them; see also `read_labels`.
        """
        sets = [read_labels(path, format, image_root=image_root, strict=strict) for path in paths]
        if len({labels.task for labels in sets}) > 1:
            raise LabelError(f"these label files mix detection and recognition: {[str(Path(p)) for p in paths]}")
        ratios = [ratio_list] * len(sets) if isinstance(ratio_list, int | float) else ratio_list
        return cls(tuple(labels.records for labels in sets), tuple(map(float, ratios)), seed)

    def records(self, epoch: int) -> list[Record]:
        """The records of an epoch, set by set in the order of the files: a pure function of (seed, epoch).

        Of each set round(length x ratio) records are drawn without repetition, and of a record with several pictures
        one picture.
        """
        drawn: list[Record] = []
        for index, (records, ratio) in enumerate(zip(self.sets, self.ratios, strict=True)):
            rng = np.random.default_rng((self.seed, epoch, index))
            chosen = np.sort(rng.permutation(len(records))[: round(len(records) * ratio)])
            drawn += [_one_picture(records[i], rng) for i in chosen]
        return drawn


def _one_picture(record: Record, rng: np.random.Generator) -> Record:
    if not record.other_paths:
        return record
    paths = (record.image_path, *record.other_paths)
    return replace(record, image_path=paths[rng.integers(len(paths))], other_paths=())
