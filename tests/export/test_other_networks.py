"""The teacher's and PP-OCR's networks export as the students do."""

from __future__ import annotations

import pytest

from ppocr_jax.charset import english_charset
from ppocr_jax.inference.model_folder import DetectorSpec, RecognizerSpec
from tests.export.conftest import random_variables

pytest.importorskip("jax2onnx", reason="needs ppocr-jax[export]")

SPECS = {
    "db_resnet18": DetectorSpec(network="db_resnet18", options={"channels": 32}),
    "crnn_mobilenet_v3": RecognizerSpec(network="crnn_mobilenet_v3", options={"num_classes": 101}),
    "crnn_resnet34": RecognizerSpec(network="crnn_resnet34", options={"num_classes": 101, "hidden": 16}),
}


@pytest.mark.parametrize("name", SPECS)
def test_files_compute_what_the_network_computes(name, tmp_path):
    from ppocr_jax.export.onnx import export_onnx
    from ppocr_jax.export.parity import PARITY_SHAPES, check_parity, parity_report
    from ppocr_jax.training.network import TrainedNetwork

    spec = SPECS[name]
    charset = english_charset() if spec.task == "rec" else None
    network = TrainedNetwork(spec, random_variables(spec), charset)
    path = tmp_path / "model.onnx"
    export_onnx(network, path)
    rows = parity_report(path, network.compiled(), PARITY_SHAPES[spec.task][:2])
    check_parity(rows, path)
