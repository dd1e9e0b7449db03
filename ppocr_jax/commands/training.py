"""`ppocr-jax train-det`, `train-rec`, `train-cls`, `train-image`: train as a configuration and flags say."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from ppocr_jax.commands.common import require
from ppocr_jax.config import ClsConfig, DetConfig, ImageConfig, RecConfig
from ppocr_jax.config_io import parse_command_line, presets
from ppocr_jax.errors import UserError
from ppocr_jax.training.platform import restart_with_huge_pages

_SCHEMAS = {"train-det": DetConfig, "train-rec": RecConfig, "train-cls": ClsConfig, "train-image": ImageConfig}
_WHAT = {
    "train-det": "a text detector",
    "train-rec": "a text recognizer",
    "train-cls": "the direction classifier",
    "train-image": "an image classifier on one folder of images per class",
}
_NEEDED = (
    "jax",
    "flax",
    "optax",
    "orbax",
    "grain",
    "tyro",
    "safetensors",
    "tensorboardX",
    "rich",
    "fontTools",
    "faker",
)


def main(name: str, arguments: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Train what the command `name` trains, as `--config FILE` and the flags say.

    Raises:
        UserError: the user's input is at fault, or libraries are missing.
    """
    require("training", _NEEDED, "train")
    # XLA writes lines of its own about slow compilations; read when it is loaded.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # When a signal ends the process at once, multiprocessing's tracker frees what was shared; it need not report that.
    filters = [os.environ.get("PYTHONWARNINGS", ""), "ignore:resource_tracker:UserWarning"]
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, filters))
    restart_with_huge_pages()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("ppocr_jax").setLevel(logging.INFO)
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # odd time stamps in fonts are no matter here
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax warns at each checkpoint that was not evaluated
    schema = _SCHEMAS[name]
    description = f"Train {_WHAT[name]}."
    config = parse_command_line(schema, description, arguments, prog=prog or f"ppocr-jax {name}")
    if config is None:
        names = ", ".join(presets(schema.task)) or "none"
        raise UserError(f"no configuration given: add --config with a TOML file or the name of a preset ({names})")
    from ppocr_jax.training.loop import Interrupted
    from ppocr_jax.training.run import run

    try:
        run(config)
    except Interrupted as interrupt:
        if not interrupt.compiling:
            raise
        logging.shutdown()
        sys.stdout.flush()
        os._exit(interrupt.exit_code)  # Python would wait for, or crash with, what XLA is compiling
    return 0
