"""Train a text recognizer: `python train_rec.py --config configs/rec/NAME.toml --train.steps 1000`."""

from ppocr_jax.commands.training import train_command
from ppocr_jax.config import RecConfig

if __name__ == "__main__":
    train_command(RecConfig, "Train a text recognizer.")
