"""Values of the reference implementation, and inputs made of them, for the losses of mutual learning."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.losses.reference import MAPS, frames_first

FOLDER = Path(__file__).parents[1] / "golden"
FILES = ("db_loss", "ctc_loss", "mutual_loss", "rec_loss")
TARGETS = ("shrink_map", "shrink_mask", "threshold_map", "threshold_mask")


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray]:
    """All golden arrays and values of losses, by name."""
    merged: dict[str, np.ndarray] = {}
    for name in FILES:
        with np.load(FOLDER / f"{name}.npz") as arrays:
            merged |= {key: arrays[key] for key in arrays.files}
    return merged


@pytest.fixture(scope="session")
def detectors(reference) -> tuple[dict[str, jax.Array], ...]:
    """Outputs of two students and their teacher, as the DB head names them."""
    names = ("det_student", "det_student2", "det_teacher")
    return tuple({key: jnp.asarray(reference[name][:, i]) for i, key in enumerate(MAPS)} for name in names)


@pytest.fixture(scope="session")
def det_targets(reference) -> dict[str, np.ndarray]:
    return {name: reference[f"det_{name}"] for name in TARGETS}


@pytest.fixture(scope="session")
def recognizers(reference) -> tuple[dict[str, jax.Array], ...]:
    """Outputs of two students, as the recognizer names them; the first has features too."""
    first, second = (
        {"logits": jnp.asarray(reference[logits]), "backbone": jnp.asarray(frames_first(reference[backbone]))}
        for logits, backbone in (("rec_logits", "udml_backbone1"), ("rec_logits2", "udml_backbone2"))
    )
    return {**first, "features": jnp.asarray(reference["center_feats"])}, second
