"""Parts shared by the batches of all tasks: the rows that a process makes, and a summary of the labels used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProcessShare:
    """Process `index` of `count`; each process makes only its own rows of every batch.

    Raises:
        ValueError: `index` is not below `count`.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"process {self.index} is not one of {self.count}")

    def rows(self, batch_size: int) -> range:
        """Return the process's rows of a batch, in order; those of all processes together are the whole batch.

        Raises:
            ValueError: The batch cannot be split evenly.
        """
        if batch_size % self.count:
            raise ValueError(f"a batch of {batch_size} cannot be split over {self.count} processes")
        share = batch_size // self.count
        return range(self.index * share, (self.index + 1) * share)


WHOLE_BATCH = ProcessShare()


@dataclass(frozen=True)
class LabelUse:
    """Number of labels of a source that training uses, and why the others are left out; `str` gives a summary.

    Attributes:
        path: Path of the labels.
        unit: Unit of the counts, "lines" or "images".
        total: Number of labels.
        left_out: Reason -> number left out for it, e.g. {"longer than 25": 535, "outside the charset (ä, €)": 9}.
    """

    path: str
    unit: str
    total: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Number of labels used."""
        return self.total - sum(self.left_out.values())

    def __str__(self) -> str:
        reasons = [f"{count:,} {reason}" for reason, count in self.left_out.items() if count]
        return "; ".join([f"{self.path}: {self.used:,} of {self.total:,} {self.unit} used", *reasons])
