"""What quantization is calibrated with."""

from pathlib import Path

import numpy as np
from PIL import Image

from ppocr_jax.inference.model_folder import load_model_folder
from ppocr_jax.slim import int8
from ppocr_jax.slim.int8 import Recorder, record_inputs

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_recorder_keeps_a_sample_of_all_calls():
    def kept():
        recorder = Recorder(lambda images: images * 2, most=10)
        for k in range(200):
            assert recorder(np.full((1, 1, 1, 3), k, np.float32))[0, 0, 0, 0] == 2 * k
        return [int(images[0, 0, 0, 0]) for images in recorder.inputs]

    found = kept()
    assert found == kept()
    assert len(found) == 10
    assert found == sorted(found)
    assert found[0] < 100 < found[-1]


def test_inputs_are_bounded_and_what_the_networks_take(monkeypatch):
    monkeypatch.setattr(int8, "MOST_INPUTS", {"det": 1, "cls": 2, "rec": 2})
    image = np.array(Image.open(EXAMPLES / "sign.jpg").convert("RGB"))
    inputs = record_inputs(load_model_folder("en"), [image], ["rec", "det", "cls"])
    assert {task: len(seen) for task, seen in inputs.items()} == {"rec": 2, "det": 1, "cls": 2}
    assert {seen.shape[1] for seen in inputs["rec"]} == {32}
    assert all(seen.dtype == np.float32 and seen.shape[-1] == 3 for found in inputs.values() for seen in found)
