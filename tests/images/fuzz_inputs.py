"""Coverage-guided fuzzing of everything that reads files, with Atheris (`pip install atheris`); not part of the tests.

    python -m tests.images.fuzz_inputs corpus/ -max_total_time=600

An empty corpus folder is filled with one valid file of every format first. Options are libFuzzer's. A file that raises
anything but one of the project's own errors stops the run and is written to crash-*.
"""

import logging
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["PIL", "ppocr_jax"]):
    from tests.images.test_fuzz import KINDS, read_or_refuse, valid


def fill(folder: Path) -> None:
    """Write the valid files that mutation starts from."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (folder / kind.replace(" ", "_")).write_bytes(valid(kind))


def main() -> None:
    warnings.simplefilter("ignore")  # Pillow's, about the damage
    logging.getLogger("ppocr_jax").setLevel(logging.ERROR)
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    if folders and not (folders[0].is_dir() and any(folders[0].iterdir())):
        fill(folders[0])
    atheris.Setup(sys.argv, lambda data: read_or_refuse(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
