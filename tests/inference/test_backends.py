import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from ppocr_jax.charset import Charset
from ppocr_jax.inference import jax_backend
from ppocr_jax.inference.backends import OnnxBackend, as_probabilities, line_height, make_backend
from ppocr_jax.inference.jax_backend import JaxBackend
from ppocr_jax.inference.model_folder import ModelError, RecognizerSpec, builtin_models, load_model_folder
from ppocr_jax.inference.recognize import TextRecognizer


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(-1.2, 1, (2, 64, 96, 3)).astype(np.float32)


def test_detector_file_takes_nhwc(stripes_model, images):
    probability = OnnxBackend(stripes_model / "det.onnx", threads=1)(images)
    assert probability.shape == (2, 64, 96)
    np.testing.assert_array_equal(probability > 0.5, images.max(axis=3) > -1.2)


def test_recognizer_and_classifier_files(stripes_model, images):
    recognizer = OnnxBackend(stripes_model / "rec.onnx", threads=1)
    probabilities = recognizer(images[:, :32])
    assert probabilities.shape == (2, 24, 4)
    np.testing.assert_allclose(probabilities.sum(axis=2), 1, rtol=1e-5)
    assert recognizer.num_classes == 4
    assert recognizer.header.metadata["task"] == "rec"
    directions = OnnxBackend(stripes_model / "cls.onnx", threads=1)(images)
    assert directions.shape == (2, 2)


def test_half_precision_files_take_and_give_single_precision(tmp_path, images):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT16
    values = [
        helper.make_tensor_value_info("images", kind, ["N", 3, "H", "W"]),
        helper.make_tensor_value_info("output", kind, ["N", "H", "W"]),
    ]
    node = helper.make_node("ReduceMax", ["images", "axes"], ["output"], keepdims=0)
    axes = onnx.numpy_helper.from_array(np.array([1]), "axes")
    model = helper.make_model(helper.make_graph([node], "half", values[:1], values[1:], [axes]), ir_version=9)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 18))
    onnx.save(model, tmp_path / "half.onnx")
    output = OnnxBackend(tmp_path / "half.onnx", threads=1)(images)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, images.max(axis=3), atol=4e-3)


def test_logits_become_probabilities_and_probabilities_stay(images):
    logits = images.reshape(2, -1, 3)
    probabilities = as_probabilities(logits)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=-1) == logits.argmax(axis=-1)).all()
    assert as_probabilities(probabilities) is probabilities
    assert as_probabilities(np.zeros((0, 5, 3), np.float32)).shape == (0, 5, 3)


def test_a_relative_folder_is_found_after_a_change_of_the_working_folder(stripes_model, tmp_path, monkeypatch):
    monkeypatch.chdir(stripes_model.parent)
    backend = make_backend(load_model_folder(stripes_model.name), "det", threads=1)
    monkeypatch.chdir(tmp_path)
    assert backend(np.zeros((1, 32, 32, 3), np.float32)).shape == (1, 32, 32)


def test_sizes_may_change_from_call_to_call_and_from_thread_to_thread(stripes_model, images):
    backend = OnnxBackend(stripes_model / "det.onnx", threads=1)
    sizes = [(32 * (i % 3 + 1), 32 * (i % 2 + 1)) for i in range(24)]
    inputs = [np.ascontiguousarray(np.resize(images, (1, *size, 3))) for size in sizes]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(backend, inputs))
    for image, result in zip(inputs, results, strict=True):
        np.testing.assert_array_equal(result > 0.5, image.max(axis=3) > -1.2)


def test_non_contiguous_and_double_inputs(stripes_model, images):
    backend = OnnxBackend(stripes_model / "det.onnx", threads=1)
    np.testing.assert_array_equal(backend(images[:, ::-1].astype(np.float64)), backend(images)[:, ::-1])


def test_onnx_backend_is_lazy_and_pickles(stripes_model, tmp_path, images):
    OnnxBackend(tmp_path / "missing.onnx")
    backend = OnnxBackend(stripes_model / "det.onnx", threads=1, device="cpu")
    expected = backend(images)
    copy = pickle.loads(pickle.dumps(backend))
    assert repr(copy) == repr(backend)
    np.testing.assert_array_equal(copy(images), expected)


def test_wrong_settings(tmp_path):
    with pytest.raises(ValueError, match="device"):
        OnnxBackend("det.onnx", device="tpu")
    with pytest.raises(ValueError, match="threads"):
        OnnxBackend("det.onnx", threads=0)


@pytest.mark.parametrize("content", [None, b"", b"not a model at all"])
def test_files_that_are_no_models(tmp_path, images, content):
    path = tmp_path / "det.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot load") as error:
        OnnxBackend(path)(images)
    assert "\n" not in str(error.value)


def test_cuda_where_there_is_none(stripes_model, images):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match="onnxruntime-gpu"):
        OnnxBackend(stripes_model / "det.onnx", device="cuda")(images)
    with pytest.raises(ModelError, match="no CUDA"):
        make_backend(load_model_folder(stripes_model), "det", device="cuda")


def test_make_backend_refuses_files_of_another_model(stripes_model):
    model_folder = load_model_folder(stripes_model)
    assert isinstance(make_backend(model_folder, "rec", "onnx"), OnnxBackend)
    with pytest.raises(ModelError, match="disagree on 'charset'"):
        make_backend(replace(model_folder, charset=Charset(("a", "b", "d"))), "rec")
    swapped = replace(model_folder, det=replace(model_folder.det, onnx="cls.onnx"))
    with pytest.raises(ModelError, match="disagree on 'task'"):
        make_backend(swapped, "det")
    with pytest.raises(ValueError, match="backend must be one of"):
        make_backend(model_folder, "det", "torch")
    with pytest.raises(ModelError, match="no safetensors file"):
        make_backend(model_folder, "det", "jax")


def test_make_backend_compares_the_number_of_classes(tmp_path):
    stripes = pytest.importorskip("tests.stripes", reason="needs onnx")
    model_folder = stripes.write_model(tmp_path, classes=9)
    with pytest.raises(ModelError, match=r"rec\.onnx has 9 classes, the charset .* 4"):
        make_backend(model_folder, "rec")


@pytest.fixture
def compiled(monkeypatch) -> list[tuple[int, ...]]:
    """Shapes for which a toy was compiled that stands in for Flax networks.

    The detector gives the brightest channel, the recognizer the means of four columns.
    """
    models, io = (pytest.importorskip(f"ppocr_jax.models{name}") for name in ("", ".io"))
    from flax import linen as nn

    shapes = []

    class Toy(nn.Module):
        ops: models.Ops
        kind: str
        scale: float

        @nn.compact
        def __call__(self, images, *, train):
            assert train is False
            shapes.append(images.shape)  # runs once per compilation
            gain = self.param("gain", nn.initializers.ones, ()) * self.scale
            if self.kind == "det":
                return {"probability": images.max(axis=-1) * gain}
            frames = self.ops.average_pool(self.ops.average_pool(images, (2, 2)), (2, 2))
            return {"probabilities": frames.mean(axis=1) * gain}

    monkeypatch.setattr(models, "build_model", lambda name, **o: Toy(models.default_ops(), name, **o))
    monkeypatch.setattr(io, "load_safetensors", lambda path: {"params": json.loads(path.read_text())})
    return shapes


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "det.safetensors"
    path.write_text('{"gain": 3.0}')
    return path


def test_jax_backend_buckets_sizes_and_cuts_back(compiled, weights):
    backend = JaxBackend("det", weights, network="det", options={"scale": 2.0})
    rng = np.random.default_rng(0)
    for height, width in [(32, 64), (96, 320), (320, 32)]:
        images = rng.normal(0, 1, (1, height, width, 3)).astype(np.float32)
        np.testing.assert_allclose(backend(images), images.max(axis=3) * 6, rtol=1e-6)
    assert compiled == [(1, 320, 320, 3)], "one compilation for the whole bucket"


def test_jax_recognizer_pads_batch_and_width_and_cuts_back(compiled, weights):
    backend = JaxBackend("rec", weights, network="rec", options={"scale": 1.0})
    images = np.ones((3, 32, 330, 3), np.float32)
    np.testing.assert_allclose(backend(images), np.full((3, 330 // 4, 3), 3.0))
    assert backend(images[:, :, :321]).shape == (3, 321 // 4, 3)
    assert compiled == [(4, 32, 480, 3)]
    assert backend(np.ones((1, 32, 6000, 3), np.float32)).shape == (1, 1500, 3)
    assert compiled[-1] == (1, 32, 7680, 3), "beyond the sizes, multiples of the last"


def test_what_jax_compiles_is_kept_where_the_user_says(monkeypatch, tmp_path):
    jax = pytest.importorskip("jax")
    before = jax.config.values["jax_compilation_cache_dir"]
    try:
        jax.config.update("jax_compilation_cache_dir", "mine")
        jax_backend.keep_compiled()
        assert jax.config.values["jax_compilation_cache_dir"] == "mine"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        jax.config.update("jax_compilation_cache_dir", None)
        jax_backend.keep_compiled()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "ppocr_jax" / "compiled")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_jax_backend_runs_a_real_network(tmp_path):
    jax = pytest.importorskip("jax")
    models = pytest.importorskip("ppocr_jax.models")
    io = pytest.importorskip("ppocr_jax.models.io")
    images = np.random.default_rng(0).normal(0, 1, (2, 48, 192, 3)).astype(np.float32)
    model = models.build_model("direction_mobilenet_v3")
    shapes = jax.eval_shape(lambda key: model.init(key, images, train=False), jax.random.key(0))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.uniform(0.01, 0.1, leaf.shape).astype(np.float32), shapes)
    io.save_safetensors(tmp_path / "cls.safetensors", variables)
    probabilities = JaxBackend("cls", tmp_path / "cls.safetensors", network="direction_mobilenet_v3")(images)
    assert probabilities.shape == (2, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.slow
def test_both_backends_agree_on_shipped_weights():
    if "en" not in builtin_models():
        pytest.skip("no weights shipped yet")
    model_folder = load_model_folder("en")
    rng = np.random.default_rng(0)
    sizes = {"det": (1, 128, 256), "cls": (2, 48, 192), "rec": (3, 32, 211)}
    for task, size in sizes.items():
        images = rng.normal(0, 1, (*size, 3)).astype(np.float32)
        onnx, jax = (make_backend(model_folder, task, kind)(images) for kind in ("onnx", "jax"))
        np.testing.assert_allclose(onnx, jax, atol=1e-4, err_msg=task)


def test_jax_backend_pickles(compiled, weights):
    backend = JaxBackend("rec", weights, network="rec", options={"scale": 1.0})
    images = np.ones((1, 32, 160, 3), np.float32)
    copy = pickle.loads(pickle.dumps(backend))
    np.testing.assert_array_equal(copy(images), backend(images))


def test_jax_backend_without_jax(monkeypatch, weights):
    monkeypatch.setattr(jax_backend, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r'pip install "ppocr-jax\[train\]"'):
        JaxBackend("det", weights, network="det")


def test_jax_backend_knows_three_tasks(weights):
    with pytest.raises(ValueError, match="task must be one of"):
        JaxBackend("layout", weights, network="det")


def test_sessions_are_made_when_needed_and_shared(stripes_model, images):
    backend = OnnxBackend(stripes_model / "det.onnx", threads=1)
    assert backend.num_classes is None
    assert not backend.loaded
    backend(images)
    assert backend.loaded
    assert backend.with_threads(1) is backend
    assert backend.with_threads(2) is not backend


def test_the_height_that_the_output_steps_of_a_recognizer_tell():
    def takes(*heights: int, share: int):
        def backend(images: np.ndarray) -> np.ndarray:
            if images.shape[1] not in heights:
                raise RuntimeError("ONNX Runtime's")
            return np.zeros((1, images.shape[2] // share, 4), np.float32)

        return backend

    spec = RecognizerSpec(heights=(48, 32))
    assert line_height(takes(32, 48, share=8), spec) == 48
    assert line_height(takes(32, 48, share=4), spec) == 32  # PP-OCRv2's runs with 48 too
    assert line_height(takes(32, share=4), replace(spec, width=100)) == 32
    with pytest.raises(ModelError, match="neither 48 nor 32 pixels high: pass --rec-height"):
        line_height(takes(64, share=4), spec)
    with pytest.raises(ModelError, match=r"160 steps for 320 pixels.* pass --rec-height"):
        line_height(takes(48, share=2), spec)
    recognizer = TextRecognizer(takes(32, share=4), spec, Charset(("a", "b", "c")))
    assert recognizer.height == 32
    assert len(recognizer([np.zeros((20, 50, 3), np.uint8)])) == 1
