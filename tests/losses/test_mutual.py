"""Losses between students, against the reference implementation and slow oracles."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.losses.mutual import feature_loss, map_dml_loss, sequence_dml_loss
from tests.losses.reference import assert_all_finite, assert_gradients_close

MAP_DML = jax.jit(map_dml_loss, static_argnames="form")
MAP_DML_GRADIENTS = jax.jit(jax.grad(map_dml_loss, argnums=(0, 1)), static_argnames="form")
SEQUENCE_DML = jax.jit(sequence_dml_loss)
SEQUENCE_DML_GRADIENTS = jax.jit(jax.grad(sequence_dml_loss, argnums=(0, 1)))


def maps_of(seed: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Two batches of maps; few levels make exact zeros and ones."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, levels + 1, (2, 2, 4, 5)) / levels
    return a.astype(np.float32), b.astype(np.float32)


def test_map_loss_of_the_reference_image_by_image(reference, detectors) -> None:
    first, second, expected = detectors[0]["probability"], detectors[1]["probability"], reference["dml_maps"]
    each = [MAP_DML(first[i : i + 1], second[i : i + 1]) for i in range(2)]
    np.testing.assert_allclose(each, expected, rtol=5e-6)
    assert float(MAP_DML(first, second)) == pytest.approx(expected.mean(), rel=5e-6)


def test_map_loss_gradients_of_the_reference_flow_to_both(reference, detectors) -> None:
    gradients = MAP_DML_GRADIENTS(detectors[0]["probability"], detectors[1]["probability"])
    for ours, key in zip(gradients, ("dml_maps_grad_student", "dml_maps_grad_student2"), strict=True):
        assert_gradients_close(ours * 2, reference[key], norm=1e-6)  # the stored ones are of the sum over two images


def slow_map_dml(p: np.ndarray, q: np.ndarray, form: str) -> float:
    total = 0.0
    for a, b in zip(p.ravel().tolist(), q.ravel().tolist(), strict=True):
        if form == "code":
            e = 1e-5
            total += (b * np.log((b + e) / (a + e) + e) + a * np.log((a + e) / (b + e) + e)) / 2
        else:
            clipped = [min(max(x, 1e-6), 1 - 1e-6) for x in (a, b)]
            for x, y in (clipped, clipped[::-1]):
                total += (x * np.log(x / y) + (1 - x) * np.log((1 - x) / (1 - y))) / 2
    return total / p.size


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([1, 2, 5, 1000]), form=st.sampled_from(["code", "paper"]))
def test_map_loss_equals_a_slow_oracle(seed: int, levels: int, form: str) -> None:
    p, q = maps_of(seed, levels)
    assert float(MAP_DML(p, q, form=form)) == pytest.approx(slow_map_dml(p, q, form), rel=1e-5, abs=2e-5)
    assert float(MAP_DML(q, p, form=form)) == pytest.approx(float(MAP_DML(p, q, form=form)), rel=1e-5, abs=1e-7)
    assert_all_finite(MAP_DML_GRADIENTS(p, q, form=form))


def test_paper_form_by_hand() -> None:
    p, q = np.full((1, 1, 1), 0.5, np.float32), np.full((1, 1, 1), 0.8, np.float32)
    forth = 0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2)
    back = 0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.2 / 0.5)
    assert float(MAP_DML(p, q, form="paper")) == pytest.approx((forth + back) / 2, rel=1e-5)


def test_forms_differ_in_what_background_counts() -> None:
    p, q = np.full((1, 1, 1), 0.001, np.float32), np.full((1, 1, 1), 0.1, np.float32)
    mirrored = 1 - p, 1 - q
    assert float(MAP_DML(p, q, form="paper")) == pytest.approx(float(MAP_DML(*mirrored, form="paper")), rel=1e-4)
    assert float(MAP_DML(p, q)) > 20 * float(MAP_DML(*mirrored))


def test_students_of_one_mind() -> None:
    p, _ = maps_of(0, 4)
    assert float(MAP_DML(p, p)) == pytest.approx(p.mean() * np.log(1 + 1e-5), rel=2e-2)  # float32's 1 + 1e-5
    assert float(MAP_DML(p, p, form="paper")) == 0
    assert all(np.abs(g).max() == 0 for g in MAP_DML_GRADIENTS(p, p, form="paper"))
    logits = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    assert float(SEQUENCE_DML(logits, logits)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("form", ["code", "paper"])
def test_utter_disagreement_is_finite(form) -> None:
    p = np.zeros((1, 2, 3), np.float32)
    q = np.ones((1, 2, 3), np.float32)
    q[..., 0] = 0
    assert_all_finite((MAP_DML(p, q, form=form), MAP_DML(q, p, form=form)))
    gradients = MAP_DML_GRADIENTS(p, q, form=form)
    assert_all_finite(gradients)
    assert (gradients[0][..., 1:] < 0).all()  # the student that sees nothing is drawn up,
    assert (gradients[1][..., 1:] > 0).all()  # the other down


def test_unknown_options_and_shapes_are_refused() -> None:
    p = jnp.zeros((2, 4, 4))
    with pytest.raises(ValueError, match='form must be "code" or "paper", not \'js\''):
        inspect.unwrap(map_dml_loss)(p, p, form="js")  # as without the tests' type checks
    for loss in (map_dml_loss, sequence_dml_loss, feature_loss):
        with pytest.raises(ValueError, match=r"one gives \(2, 4, 4\) and the other \(1, 4, 4\)"):
            loss(p, p[:1])


def test_sequence_loss_of_the_reference(reference, recognizers) -> None:
    logits = recognizers[0]["logits"], recognizers[1]["logits"]
    assert float(SEQUENCE_DML(*logits)) == pytest.approx(reference["dml_rec"], rel=2e-6)
    for ours, key in zip(SEQUENCE_DML_GRADIENTS(*logits), ("dml_rec_grad1", "dml_rec_grad2"), strict=True):
        assert_gradients_close(ours, reference[key], norm=1e-6)


def slow_sequence_dml(a: np.ndarray, b: np.ndarray) -> float:
    total, e = 0.0, 1e-10
    for line_a, line_b in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
        for frame_a, frame_b in zip(line_a, line_b, strict=True):
            p, q = (np.exp(x - x.max()) / np.exp(x - x.max()).sum() + e for x in (frame_a, frame_b))
            for source, target in ((p, q), (q, p)):
                total += sum(t * (np.log(t + e) - np.log(s)) for s, t in zip(source, target, strict=True)) / 2
    return total / len(a)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.0, 0.1, 3.0, 30.0, 1000.0]))
def test_sequence_loss_equals_a_slow_oracle(seed: int, scale: float) -> None:
    a, b = (scale * np.random.default_rng(seed).normal(size=(2, 3, 4, 5))).astype(np.float32)
    value = float(SEQUENCE_DML(a, b))
    assert value == pytest.approx(slow_sequence_dml(a, b), rel=2e-5, abs=1e-5)
    assert value <= 4 * 23.1  # frames times what one can cost
    assert_all_finite(SEQUENCE_DML_GRADIENTS(a, b))


def test_feature_loss_by_hand() -> None:
    a, b = jnp.array([[[1.0, 2.0], [3.0, 4.0]]]), jnp.array([[[1.0, 4.0], [0.0, 4.0]]])
    assert float(feature_loss(a, b)) == (4 + 9) / 4
    gradients = jax.grad(feature_loss, argnums=(0, 1))(a, b)
    np.testing.assert_allclose(gradients[0], 2 * (a - b) / 4)
    np.testing.assert_allclose(gradients[1], -2 * (a - b) / 4)


def test_bfloat16_outputs_are_compared_in_float32(recognizers) -> None:
    a, b = (outputs["logits"].astype(jnp.bfloat16) for outputs in recognizers)
    in_float32 = SEQUENCE_DML(a.astype(jnp.float32), b.astype(jnp.float32))
    assert float(SEQUENCE_DML(a, b)) == pytest.approx(float(in_float32), rel=1e-6)
    for loss in (map_dml_loss, sequence_dml_loss, feature_loss):
        assert jax.eval_shape(loss, a, b).dtype == jnp.float32
