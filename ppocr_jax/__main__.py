"""`python -m ppocr_jax` is `ppocr-jax`."""

import sys

from ppocr_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
