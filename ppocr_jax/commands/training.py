"""What the training commands have in common."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from ppocr_jax.config_io import parse_command_line
from ppocr_jax.errors import UserError
from ppocr_jax.training.platform import restart_with_huge_pages


def train_command(schema: type, description: str, arguments: Sequence[str] | None = None) -> None:
    """Train the network that `schema` configures, as `--config FILE` and the flags say.

    Raises:
        SystemExit: with a one-line message where the user's input is at fault.
    """
    restart_with_huge_pages()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("ppocr_jax").setLevel(logging.INFO)
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # odd time stamps in fonts are no matter here
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax warns at each checkpoint that was not evaluated
    try:
        config = parse_command_line(schema, description, arguments)
        from ppocr_jax.training.run import run

        run(config)
    except UserError as error:
        sys.exit(f"error: {error}")
