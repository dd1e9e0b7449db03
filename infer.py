"""Read the text of an image: `python infer.py --image receipt.jpg`."""

import sys

from ppocr_jax.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("infer", prog="infer.py"))
