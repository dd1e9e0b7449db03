"""The teachers, and the networks of PP-OCR and PP-OCRv3, export as PP-OCRv2's students do."""

from __future__ import annotations

import pytest

from ppocr_jax.charset import english_charset
from ppocr_jax.inference.model_folder import ClassifierSpec, DetectorSpec, RecognizerSpec
from ppocr_jax.models.ops import native_ops
from tests.export.conftest import random_variables

pytest.importorskip("jax2onnx", reason="needs ppocr-jax[export]")

SPECS = {
    "db_resnet18": DetectorSpec(network="db_resnet18", options={"channels": 32}),
    "crnn_mobilenet_v3": RecognizerSpec(network="crnn_mobilenet_v3", options={"num_classes": 101}),
    "crnn_resnet34": RecognizerSpec(network="crnn_resnet34", options={"num_classes": 101, "hidden": 16}),
    "db_rse_fpn": DetectorSpec(network="db_rse_fpn", options={"scale": 0.35, "channels": 24}),
    "db_lk_pan": DetectorSpec(network="db_lk_pan", options={"channels": 32, "depths": [1, 1, 1, 1]}),
    "svtr_lcnet": RecognizerSpec(
        network="svtr_lcnet",
        options={"num_classes": 101, "scale": 0.25, "guided": True, "guide_width": 8, "mask_padding": True},
        height=48,
    ),
    **{
        name: ClassifierSpec(network=name, options={"num_classes": 10, "scale": 0.25}, height=64, width=64)
        for name in ("pp_lcnet", "mobilenet_v2", "ghostnet")
    },
}


@pytest.mark.parametrize("name", SPECS)
def test_files_compute_what_the_network_computes(name, tmp_path):
    from ppocr_jax.export.onnx import export_onnx
    from ppocr_jax.export.parity import check_parity, parity_report, parity_shapes
    from ppocr_jax.training.network import TrainedNetwork

    spec = SPECS[name]
    charset = english_charset() if spec.task == "rec" else None
    network = TrainedNetwork(spec, random_variables(spec), charset).for_reading()
    path = tmp_path / "model.onnx"
    export_onnx(network, path)
    # With XLA's own convolutions, which compile in half the time; test_onnx compares with the forms for CPUs.
    rows = parity_report(path, network.compiled(native_ops), parity_shapes(spec)[:2])
    check_parity(rows, path)
