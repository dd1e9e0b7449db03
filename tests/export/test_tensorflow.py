import warnings
from importlib.util import find_spec

import numpy as np
import onnx
import pytest

from ppocr_jax.errors import UserError
from ppocr_jax.inference.backends import OnnxBackend

# Each process collects all tests, and TensorFlow takes seconds to import: that is left to the one that runs these.
pytestmark = pytest.mark.skipif(
    not (find_spec("tensorflow") and find_spec("tf2onnx")), reason="needs ppocr-jax[tensorflow]"
)
SMALLER = ("float16", "int8")
SIZES = {"det": (1, 32, 64), "cls": (1, 48, 192), "rec": (2, 32, 16)}


@pytest.fixture(scope="module", params=list(SIZES))
def export(request, networks, tmp_path_factory):
    """(network, size, folder, parity rows)."""
    from ppocr_jax.export.tensorflow import export_fixed_size

    folder = tmp_path_factory.mktemp("tensorflow")
    network, size = networks[request.param], SIZES[request.param]
    return network, size, folder, export_fixed_size(network, folder, size, smaller=_smaller(network))


def _smaller(network) -> tuple[str, ...]:
    return SMALLER if network.task == "det" else ()  # each conversion takes seconds


def stem(network, size) -> str:
    return f"{network.task}_{'x'.join(map(str, size))}"


def test_onnx_file(export):
    network, size, folder, rows = export
    assert [row.shape for row in rows] == [(*size, 3)]
    assert rows[0].max_abs_diff < 1e-4
    model = onnx.load(folder / f"{stem(network, size)}.onnx")
    onnx.checker.check_model(model, full_check=True)
    dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims == [size[0], 3, *size[1:]]
    assert {entry.key: entry.value for entry in model.metadata_props}["task"] == network.task
    assert not any(node.op_type in ("Loop", "Scan", "LSTM", "BatchNormalization") for node in model.graph.node)


def test_saved_model_and_tflite(export):
    """They compute what the ONNX file does, which the parity report compared with the network."""
    import tensorflow as tf

    network, size, folder, _ = export
    images = np.random.default_rng(3).normal(0, 1, (*size, 3)).astype(np.float32)
    expected = OnnxBackend(folder / f"{stem(network, size)}.onnx", threads=1)(images)
    predict = tf.saved_model.load(str(folder / f"{stem(network, size)}_saved_model")).signatures["serving_default"]
    (found,) = predict(images=tf.constant(images)).values()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(run_tflite(folder / f"{stem(network, size)}.tflite", images), expected, atol=1e-4)


# Of probabilities: the largest difference from the float32 file, and the mean one.
TOLERANCE = {"float16": (0.02, 0.002), "int8": (0.5, 0.05)}


@pytest.mark.parametrize("kind", SMALLER)
def test_smaller_files_run_by_litert(export, kind):
    """Weights alone are rounded: to 11 bits, or to 8 for a whole channel, in networks of random weights."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    network, size, folder, _ = export
    if kind not in _smaller(network):
        pytest.skip("smaller files are made of the detector alone")
    images = np.random.default_rng(3).normal(0, 1, (*size, 3)).astype(np.float32)
    whole, small = folder / f"{stem(network, size)}.tflite", folder / f"{stem(network, size)}_{kind}.tflite"
    expected, found = (run_interpreter(litert.Interpreter(str(path)), images) for path in (whole, small))
    difference = np.abs(found - expected)
    largest, mean = TOLERANCE[kind]
    assert difference.max() < largest
    assert difference.mean() < mean
    assert small.stat().st_size < whole.stat().st_size


def run_tflite(path, images: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own interpreter is deprecated in favor of another package
        return run_interpreter(tf.lite.Interpreter(str(path)), images)


def run_interpreter(interpreter, images: np.ndarray) -> np.ndarray:
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize(
    ("task", "size", "message"),
    [
        ("det", (1, 100, 640), "height that is a multiple of 32"),
        ("cls", (1, 48, 100), "width of 192, not 100"),
        ("rec", (1, 48, 320), "height of 32, not 48"),
        ("rec", (1, 32, 321), "width that is a multiple of 4"),
    ],
)
def test_sizes_that_do_not_fit(networks, tmp_path, task, size, message):
    from ppocr_jax.export.tensorflow import export_fixed_size

    with pytest.raises(UserError, match=message):
        export_fixed_size(networks[task], tmp_path, size)
    assert not list(tmp_path.iterdir())
