"""The OpenVINO backend beside ONNX Runtime, from the same files."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.inference import openvino_backend
from ppocr_jax.inference.backends import OnnxBackend, make_backend
from ppocr_jax.inference.model_folder import ModelError, load_model_folder
from ppocr_jax.inference.openvino_backend import OpenVinoBackend
from tests.stripes import paint_page

if find_spec("openvino") is None:  # `importorskip` would import its telemetry
    pytest.skip("needs ppocr-jax[openvino]", allow_module_level=True)
RECEIPT = Path(__file__).parents[2] / "examples" / "receipt.jpg"
EN = load_model_folder("en")


def noise(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.6, (count, height, width, 3)).astype(np.float32)


def both(task: str, **options) -> tuple[OnnxBackend, OpenVinoBackend]:
    path = EN.file(task, "onnx")
    return OnnxBackend(path, threads=1), OpenVinoBackend(path, task, threads=1, precision="float32", **options)


@pytest.mark.parametrize(
    ("task", "shape"), [("det", (2, 96, 192)), ("rec", (2, 32, 128)), ("rec", (9, 32, 64)), ("cls", (3, 48, 192))]
)
def test_sizes_that_need_no_padding_give_what_onnx_runtime_gives(task, shape):
    images = noise(*shape)
    expected, found = (backend(images) for backend in both(task))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_other_sizes_are_padded_and_cut_back():
    det, rec = both("det")[1], both("rec")[1]
    assert det(noise(1, 64, 160)).shape == (1, 64, 160)
    assert rec(noise(1, 32, 100)).shape == (1, 32, 101)  # 128 pixels
    assert [rec.padded_width(width) for width in (1, 64, 65, 500, 2561)] == [64, 64, 128, 512, 5120]


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_a_page_reads_the_same(precision):
    pages = [OCR("en", threads=1, backend=backend, precision=precision)(RECEIPT) for backend in ("onnx", "openvino")]
    assert pages[0].text == pages[1].text
    middles = [np.mean([word.quad for word in page.words], axis=1) for page in pages]
    np.testing.assert_allclose(middles[0], middles[1], atol=8)  # padding moves no word


def test_threads_letters_and_pickles(stripes_model):
    ocr = OCR(stripes_model, backend="openvino", letters="ab", threads=2, drop_score=0)
    page = paint_page((64, 320), [("abab", (160, 32), 0)])
    assert ocr(page).text == OCR(stripes_model, letters="ab", threads=1, drop_score=0)(page).text
    assert [found.text for found in ocr.read_many([page] * 3, workers=2)] == [ocr(page).text] * 3
    backend = pickle.loads(pickle.dumps(ocr.stages.recognizer.backend))
    assert isinstance(backend, OpenVinoBackend)
    assert backend.num_classes == 3
    assert backend.with_threads(5).threads == 5


def test_many_threads_and_more_shapes_than_are_kept(monkeypatch):
    monkeypatch.setattr(openvino_backend, "_MOST", {"rec": 1})
    expected, found = both("rec")
    images = [noise(2, 32, width) for width in (64, 128, 64, 128)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(pool.map(found, images), map(expected, images), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-4)


def test_a_network_of_one_size(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs ppocr-jax[export]")
    model = onnx.load(EN.file("det", "onnx"))
    for axis, size in ((0, 2), (2, 64), (3, 128)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    onnx.save(model, tmp_path / "det.onnx")
    images = noise(3, 64, 128)
    found = OpenVinoBackend(tmp_path / "det.onnx", "det", precision="float32")(images)
    np.testing.assert_allclose(found, both("det")[0](images), atol=2e-4)


def test_compiled_networks_are_kept_only_where_it_is_told(tmp_path):
    script = (
        "import numpy, sys; from ppocr_jax.inference.openvino_backend import OpenVinoBackend as B;"
        "[B(sys.argv[1], 'cls', cache_dir=d)(numpy.zeros((1, 48, 192, 3), 'f')) for d in (sys.argv[2:] or [None])]"
    )
    home, kept = tmp_path / "home", tmp_path / "kept"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    for folder in ([], [str(kept)]):
        command = [sys.executable, "-c", script, str(EN.file("cls", "onnx")), *folder]
        subprocess.run(command, check=True, env=environment)
        assert not list(home.iterdir())  # nor has its telemetry left anything
        assert bool(kept.is_dir() and list(kept.iterdir())) == bool(folder)


def test_what_it_refuses(tmp_path, monkeypatch):
    (tmp_path / "no.onnx").write_bytes(b"\x08\x07nothing")
    with pytest.raises(ModelError, match="no\\.onnx"):
        OpenVinoBackend(tmp_path / "no.onnx", "det")(noise(1, 96, 96))
    with pytest.raises(ValueError, match="runs on the CPU"):
        make_backend(EN, "det", "openvino", device="cuda")
    with pytest.raises(ValueError, match="cache_dir requires the backend openvino"):
        OCR("en", cache_dir=tmp_path)
    with pytest.raises(ValueError, match="precision must be auto or float32"):
        OCR("en", backend="openvino", precision="int8")
    monkeypatch.setattr(openvino_backend, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r'pip install "ppocr-jax\[openvino\]"'):
        OCR("en", backend="openvino")
