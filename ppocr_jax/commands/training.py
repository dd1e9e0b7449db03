"""`ppocr-jax train-det`, `train-rec`, `train-cls`, `train-image`: train a network from a configuration and flags."""

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
    """Run the training command `name` with `--config FILE` and flags; return the exit code.

    Args:
        name: One of `train-det`, `train-rec`, `train-cls` and `train-image`.
        arguments: Command-line arguments; default: those of the process.
        prog: Program name in help and errors; default: `ppocr-jax NAME`.

    Raises:
        UserError: No configuration is given, its values or data are invalid, or packages are missing.
    """
    require("training", _NEEDED, "train")
    # Hides XLA's messages about slow compilations. XLA reads the variable when it is loaded.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # If a signal ends the process at once, multiprocessing's resource tracker frees shared memory and would warn of it.
    filters = [os.environ.get("PYTHONWARNINGS", ""), "ignore:resource_tracker:UserWarning"]
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, filters))
    restart_with_huge_pages()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("ppocr_jax").setLevel(logging.INFO)
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of invalid time stamps in fonts
    # Orbax warns of each checkpoint without metrics, and prints a failed save, which we report, as several tracebacks.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
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
        os._exit(interrupt.exit_code)  # a normal exit would wait for XLA's compilation, or crash
    return 0
