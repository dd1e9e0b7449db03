"""`ppocr-jax train-cls`: train the direction classifier."""

from __future__ import annotations

from collections.abc import Sequence

from ppocr_jax.commands.training import train_command
from ppocr_jax.config import ClsConfig


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as `--config FILE` and the flags say."""
    train_command(ClsConfig, "Train the text-direction classifier.", arguments)
