"""What the batches of all tasks share: the rows that a process makes, and the account of the labels they use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProcessShare:
    """Process `index` of `count`; each makes its own rows of every batch and no others.

    Raises:
        ValueError: there is no such process.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"process {self.index} is not one of {self.count}")

    def rows(self, batch_size: int) -> range:
        """Return its rows of a batch, in order; all processes' together are the whole.

        Raises:
            ValueError: the batch cannot be split evenly.
        """
        if batch_size % self.count:
            raise ValueError(f"a batch of {batch_size} cannot be split over {self.count} processes")
        share = batch_size // self.count
        return range(self.index * share, (self.index + 1) * share)


WHOLE_BATCH = ProcessShare()


@dataclass(frozen=True)
class LabelUse:
    """What training uses of a label source, and why not the rest; `str` is a sentence for the user.

    Attributes:
        path: of the labels.
        unit: what is counted, "lines" or "images".
        total: how many there are.
        left_out: reason -> how many are not used, e.g. {"longer than 25": 535, "outside the charset (ä, €)": 9}.
    """

    path: str
    unit: str
    total: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """How many are trained on."""
        return self.total - sum(self.left_out.values())

    def __str__(self) -> str:
        reasons = [f"{count:,} {reason}" for reason, count in self.left_out.items() if count]
        return "; ".join([f"{self.path}: {self.used:,} of {self.total:,} {self.unit} used", *reasons])
