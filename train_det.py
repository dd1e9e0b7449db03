"""Train a text detector: `python train_det.py --config configs/det/NAME.toml --train.steps 1000`."""

import sys

from ppocr_jax.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("train-det", prog="train_det.py"))
