"""Train a text detector: `python train_det.py --config configs/det/NAME.toml --train.steps 1000`."""

from ppocr_jax.commands.training import train_command
from ppocr_jax.config import DetConfig

if __name__ == "__main__":
    train_command(DetConfig, "Train a text detector.")
