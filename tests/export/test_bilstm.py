import numpy as np
import onnx
import pytest

from ppocr_jax.models.ops import LSTMWeights, bilstm_scan

HIDDEN, CHANNELS = 5, 3


@pytest.fixture(scope="module")
def weights() -> LSTMWeights:
    rng = np.random.default_rng(0)
    shapes = ((2, CHANNELS, 4 * HIDDEN), (2, HIDDEN, 4 * HIDDEN), (2, 4 * HIDDEN))
    return LSTMWeights(*(rng.normal(0, 1, shape).astype(np.float32) for shape in shapes))


@pytest.fixture(scope="module")
def session(weights):
    import onnxruntime
    from jax2onnx import to_onnx

    from ppocr_jax.export.onnx_ops import bilstm_native

    model = to_onnx(lambda x: bilstm_native(x, weights), [("B", "T", CHANNELS)], opset=18)
    assert [node.op_type for node in model.graph.node].count("LSTM") == 1
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("batch", "time"), [(1, 1), (2, 7), (5, 3)])
def test_layer_equals_the_scan(session, weights, batch, time):
    """Large weights, so that a wrong gate order, a swapped direction or a lost bias shows."""
    x = np.random.default_rng(1).normal(0, 1, (batch, time, CHANNELS)).astype(np.float32)
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    assert found.shape == (batch, time, 2 * HIDDEN)
    np.testing.assert_allclose(found, bilstm_scan(x, weights), atol=2e-6)


def test_unrolled_layer_equals_the_scan(weights):
    from ppocr_jax.export.tensorflow import bilstm_unrolled

    x = np.random.default_rng(1).normal(0, 1, (2, 6, CHANNELS)).astype(np.float32)
    np.testing.assert_allclose(bilstm_unrolled(x, weights), bilstm_scan(x, weights), atol=2e-6)
