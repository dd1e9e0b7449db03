"""PP-OCRv3's recognizers in mutual learning: two students whose guides learn from each other as well."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ppocr_jax.charset import english_charset
from ppocr_jax.config import RecConfig
from ppocr_jax.config.rec import RecDataConfig, RecModelConfig
from ppocr_jax.config_io import parse_command_line
from ppocr_jax.training.learners import stack
from ppocr_jax.training.network import variable_shapes
from ppocr_jax.training.recognition import frame_width
from ppocr_jax.training.run import prepare
from tests.training.experiments import provide, words


def test_frames_and_guides_are_compared(tmp_path, monkeypatch, synthetic):
    """Traced on a batch that the command would make; the losses themselves are compared in tests/losses."""

    def only_shapes(model, spec, config, *, students, charset):
        shapes = variable_shapes(spec)
        return jax.eval_shape(lambda tree: stack([tree] * students), shapes)

    monkeypatch.chdir(tmp_path)
    provide("rec", "ppocr_v3", synthetic)
    flags = ["--mutual.students", "2", "--model.charset", "en", "--model.mask-padding"]
    config = parse_command_line(RecConfig, "", words("rec", "ppocr_v3", *flags))
    monkeypatch.setattr("ppocr_jax.training.run.initial_variables", only_shapes)
    learned = prepare(config)
    batch = learned.batches(0)
    assert batch["frames"].shape[1] == batch["images"].shape[2] // 8
    assert batch["labels"].shape[1] == 6  # of 8 frames, where frames of 4 pixels would let 12 in
    params, statistics = (learned.variables[name] for name in ("params", "batch_stats"))
    _, (_, terms) = jax.eval_shape(
        learned.objective, params, learned.frozen, statistics, batch, jax.random.key(0), jnp.zeros((), "int32")
    )
    assert {"ctc_0", "dml_1", "feature_0", "guide_0", "guide_dml_0", "guide_dml_1"} <= terms.keys()


def test_the_network_says_how_wide_a_frame_is():
    charset = english_charset()
    for name, height, width in (("crnn_lcnet", 32, 4), ("svtr_lcnet", 48, 8)):
        config = RecConfig(model=RecModelConfig(name=name), data=RecDataConfig(height=height))
        assert frame_width(config, charset) == width
