"""Which rows of a batch a process of a distributed run makes."""

from __future__ import annotations

from dataclasses import dataclass


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
        """Its rows of a batch, in order; all processes' together are the whole.

        Raises:
            ValueError: the batch cannot be split evenly.
        """
        if batch_size % self.count:
            raise ValueError(f"a batch of {batch_size} cannot be split over {self.count} processes")
        share = batch_size // self.count
        return range(self.index * share, (self.index + 1) * share)


WHOLE_BATCH = ProcessShare()
