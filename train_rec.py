"""Train a text recognizer: `python train_rec.py --config configs/rec/NAME.toml --train.steps 1000`."""

import sys

from ppocr_jax.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("train-rec", prog="train_rec.py"))
