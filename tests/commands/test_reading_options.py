"""Options of reading that several commands share."""

import argparse
from importlib import import_module

import pytest

from ppocr_jax.commands.common import network_options, read_options

NETWORKS = {
    "det": "det.onnx",
    "cls": "cls.onnx",
    "rec": "rec.onnx",
    "charset": "keys.txt",
    "rec_height": 48,
    "letters": "0123",
    "language_model": "words.npz",
    "backend": "openvino",
    "device": "cpu",
    "precision": "float32",
    "cache_dir": "compiled",
}
READING = {
    "limit_side": 960,
    "threshold": 0.2,
    "box_threshold": 0.4,
    "unclip_ratio": 1.4,
    "drop_score": 0.1,
    "put_spaces": False,
    "check_boxes": False,
    "max_pixels": 1000,
    "batch_size": 4,
}
ASKED = {
    "infer": ["--image", "a.png"],
    "label": ["a.png", "--output", "l.txt"],
    "bulk": ["a.png", "--output", "out"],
    "eval": ["--task", "det"],
    "serve": [],
}


def flags(options):
    for name, value in options.items():
        flag = name.replace("_", "-")
        yield from [f"--no-{flag}"] if value is False else [f"--{flag}", str(value)]


@pytest.mark.parametrize("command", ASKED)
def test_networks_are_chosen_alike_everywhere(command):
    parser = argparse.ArgumentParser()
    import_module(f"ppocr_jax.commands.{command}").add_arguments(parser)
    assert network_options(parser.parse_args(ASKED[command])) == {"backend": "onnx", "device": "auto"}
    assert network_options(parser.parse_args([*ASKED[command], *flags(NETWORKS)])) == NETWORKS


@pytest.mark.parametrize("command", ["infer", "label", "bulk"])
def test_pages_are_read_alike_everywhere(command):
    parser = argparse.ArgumentParser()
    import_module(f"ppocr_jax.commands.{command}").add_arguments(parser)
    assert read_options(parser.parse_args(ASKED[command])) == {}
    given = parser.parse_args([*ASKED[command], "--single-line", *flags(READING)])
    assert read_options(given) == {"single_line": True, **READING}
