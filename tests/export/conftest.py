"""Networks with random weights, exported once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ppocr_jax.charset import english_charset
from ppocr_jax.inference.model_folder import ClassifierSpec, DetectorSpec, RecognizerSpec
from tests.helpers import once_a_session

pytest.importorskip("jax2onnx", reason="needs ppocr-jax[export]")

SPECS = {
    "det": DetectorSpec(network="db_mobilenet_v3", options={"scale": 0.35, "channels": 24}),
    "cls": ClassifierSpec(network="direction_mobilenet_v3", options={"scale": 0.35}),
    "rec": RecognizerSpec(network="crnn_lcnet", options={"num_classes": 101, "scale": 0.25, "hidden": 24}),
}


@pytest.fixture(scope="session")
def networks():
    """Task -> network, such that outputs spread over the whole range and every BatchNorm does something."""
    from ppocr_jax.models.io import round_kernels
    from ppocr_jax.training.network import TrainedNetwork

    charset = {"rec": english_charset()}
    # Rounded already, so that what is exported is the network itself.
    variables = {task: round_kernels(random_variables(spec)) for task, spec in SPECS.items()}
    return {task: TrainedNetwork(spec, variables[task], charset.get(task)) for task, spec in SPECS.items()}


@pytest.fixture(scope="session")
def exported(networks, tmp_path_factory):
    """`folder` of a model made of all three, and the parity `reports`; nobody writes into it."""
    from ppocr_jax.export.model_folder import export_to_folder

    def export(folder):
        return SimpleNamespace(folder=folder, reports=export_to_folder(list(networks.values()), folder))

    return once_a_session(tmp_path_factory, "random", export)


def random_variables(spec, *, seed: int = 0) -> dict:
    import jax

    from ppocr_jax.training.network import variable_shapes

    rng = np.random.default_rng(seed)
    paths, tree = jax.tree_util.tree_flatten_with_path(variable_shapes(spec))
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]
    return tree.unflatten([_draw(rng, name, leaf.shape) for name, (_, leaf) in zip(names, paths, strict=True)])


# So that outputs neither are the same everywhere nor differ by rounding errors alone.
GAINS = {"pointwise/kernel": 1.2, "head/fc2/kernel": 6.0, "probability/up2/kernel": 0.01}


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    kind = Path(name).name
    if kind in ("var", "scale"):
        values = rng.uniform(0.5, 1.5, shape)
    elif kind == "mean" or kind.endswith("bias"):
        values = rng.normal(0, 0.3, shape)
    elif kind in ("input_kernel", "recurrent_kernel"):
        values = rng.uniform(-1, 1, shape) * 2 / np.sqrt(shape[1])
    else:
        inputs = shape[0] * shape[1] if "depthwise" in name else np.prod(shape[:-1])
        gain = next((gain for end, gain in GAINS.items() if name.endswith(end)), 1.0)
        values = rng.normal(0, gain * np.sqrt(2 / inputs), shape)
    return values.astype(np.float32)
