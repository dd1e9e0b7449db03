"""CTC, its case-blind form, the frame-wise loss and the classifier's, against goldens and slow oracles."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppocr_jax.charset import Charset, english_charset
from ppocr_jax.losses.cross_entropy import IGNORED_FRAME, direction_loss, frame_loss
from ppocr_jax.losses.ctc import ctc_loss, ctc_loss_per_line, fold_case, is_feasible
from ppocr_jax.training.recognition import case_pairs

PER_LINE = [87.90469360351562, 105.04802703857422, 94.22299194335938, 88.13427734375]
MEAN, EASY_MEAN, CLASSIFIER = 93.82749938964844, 1.3358043432235718, 1.2193694114685059
FOCAL = {"rec_logits": 93.82749938964844, "rec_logits_easy": 0.792233407497406}


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent.parent / "golden" / "ctc_loss.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def labels_of(golden):
    return golden["rec_labels"].astype(np.int32), golden["rec_lengths"].astype(np.int32)


def test_values_of_the_reference(golden):
    losses = ctc_loss_per_line(golden["rec_logits"], *labels_of(golden))
    np.testing.assert_allclose(losses, PER_LINE, rtol=1e-4)
    assert float(ctc_loss(golden["rec_logits"], *labels_of(golden))) == pytest.approx(MEAN, rel=1e-4)
    assert float(ctc_loss(golden["rec_logits_easy"], *labels_of(golden))) == pytest.approx(EASY_MEAN, rel=1e-4)


@pytest.mark.parametrize(("logits", "gradient"), [("rec_logits", "ctc_grad"), ("rec_logits_easy", "ctc_easy_grad")])
def test_gradients_of_the_reference(golden, logits, gradient):
    ours = jax.grad(ctc_loss)(golden[logits], *labels_of(golden))
    np.testing.assert_allclose(ours, golden[gradient], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("logits", "gradient"), [("rec_logits", "ctc_focal_grad"), ("rec_logits_easy", "ctc_focal_easy_grad")]
)
def test_focal_form_of_the_reference(golden, logits, gradient):
    value, ours = jax.value_and_grad(partial(ctc_loss, focal=True))(golden[logits], *labels_of(golden))
    assert float(value) == pytest.approx(FOCAL[logits], rel=1e-6)
    np.testing.assert_allclose(ours, golden[gradient], rtol=1e-3, atol=2e-5 * np.abs(golden[gradient]).max())


def test_focal_form_by_hand():
    logits = np.log(np.array([[[0.5, 0.5]], [[0.1, 0.9]]], np.float32))  # one frame each
    labels, lengths = np.array([[1], [1]], np.int32), np.array([1, 1], np.int32)
    expected = (0.5**2 * -np.log(0.5) + 0.1**2 * -np.log(0.9)) / 2
    assert float(ctc_loss(logits, labels, lengths, focal=True)) == pytest.approx(expected, rel=1e-5)


def test_focal_form_of_an_infeasible_label_is_zero():
    logits = np.random.default_rng(0).normal(size=(1, 2, 3)).astype(np.float32)
    labels, lengths = np.array([[1, 1, 2]], np.int32), np.array([3], np.int32)
    value, gradient = jax.value_and_grad(partial(ctc_loss, focal=True))(logits, labels, lengths)
    assert value == 0
    assert np.abs(gradient).max() == 0


def probability_by_enumeration(probabilities, label):
    """Sum over every path of T classes that collapses to the label."""
    frames, classes = probabilities.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=frames):
        collapsed = [c for c, _ in itertools.groupby(path) if c != 0]
        if collapsed == list(label):
            total += np.prod([probabilities[t, c] for t, c in enumerate(path)])
    return total


@pytest.mark.parametrize("label", [[1], [1, 2], [1, 1], [2, 1, 2], []])
def test_equals_the_sum_over_all_paths(label):
    logits = np.random.default_rng(len(label)).normal(size=(1, 5, 3)).astype(np.float32)
    expected = -np.log(probability_by_enumeration(np.asarray(jax.nn.softmax(logits[0])), label))
    padded = np.zeros((1, 4), np.int32)
    padded[0, : len(label)] = label
    ours = ctc_loss_per_line(logits, padded, np.array([len(label)], np.int32))
    np.testing.assert_allclose(ours[0], expected, rtol=1e-5)


def test_label_too_long_for_the_frames_counts_nothing():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    labels = np.array([[1, 1, 0], [1, 2, 3]], np.int32)  # "aa" fits into three frames, "aab" would not
    lengths = np.array([2, 3], np.int32)
    assert list(is_feasible(labels, lengths, 3)) == [True, True]
    assert list(is_feasible(labels, lengths, 2)) == [False, False]
    value, gradient = jax.value_and_grad(lambda x: ctc_loss(x, labels, lengths))(jnp.asarray(logits[:, :2]))
    assert value == 0
    assert np.abs(gradient).max() == 0


def test_case_blind_loss_gives_either_case_the_same():
    charset = Charset(("A", "B", "a", "b", "1"))
    pairs, blind = case_pairs(charset), np.ones(1, bool)
    logits = np.random.default_rng(1).normal(size=(1, 6, charset.num_classes)).astype(np.float32)
    swapped = logits[..., [0, 3, 4, 1, 2, 5]]  # every "a" becomes "A" and the other way round
    labels, lengths = np.array([charset.encode("AB1")], np.int32), np.array([3], np.int32)
    losses = [float(ctc_loss(fold_case(x, pairs, blind), labels, lengths)) for x in (logits, swapped)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_case_blind_loss_sums_over_the_cases_of_every_letter():
    charset = Charset(("A", "a"))
    logits = np.random.default_rng(2).normal(size=(1, 3, 3)).astype(np.float32)
    probabilities = np.asarray(jax.nn.softmax(logits[0]))
    merged = np.stack([probabilities[:, 0], probabilities[:, 1] + probabilities[:, 2]], axis=1)
    expected = -np.log(probability_by_enumeration(merged, [1]))
    folded = fold_case(logits, case_pairs(charset), np.ones(1, bool))
    assert float(ctc_loss(folded, np.array([[1]], np.int32), np.array([1], np.int32))) == pytest.approx(
        expected, rel=1e-4
    )


def test_case_is_ignored_only_in_lines_marked_so():
    logits = np.random.default_rng(3).normal(size=(2, 4, 6)).astype(np.float32)
    folded = np.exp(fold_case(logits, np.array([[1, 3], [4, 2]]), np.array([True, False])))
    expected = np.asarray(jax.nn.softmax(logits))
    np.testing.assert_allclose(folded[1], expected[1], rtol=1e-6)
    assert not folded[0][:, [3, 2]].any()
    np.testing.assert_allclose(folded[0][:, [1, 4]], expected[0][:, [1, 4]] + expected[0][:, [3, 2]], rtol=1e-5)
    np.testing.assert_allclose(folded[0][:, [0, 5]], expected[0][:, [0, 5]], rtol=1e-6)


def test_case_blind_loss_of_half_precision() -> None:
    logits, pairs = np.random.default_rng(0).normal(0, 3, (1, 6, 5)), np.array([[1, 2]])
    half, full = (
        fold_case(jnp.asarray(logits, dtype), pairs, np.ones(1, bool)) for dtype in (jnp.float16, jnp.float32)
    )
    np.testing.assert_allclose(half, full, atol=0.02)


def test_case_pairs_of_english():
    charset = english_charset()
    pairs = case_pairs(charset)
    assert {tuple(charset.characters[i - 1] for i in pair) for pair in pairs} == set(
        zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", strict=True)
    )
    assert case_pairs(Charset(tuple("abc123"))).shape == (0, 2)


def test_frame_loss_by_hand():
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]], np.float32))
    frames = np.array([[0, 1, IGNORED_FRAME]], np.int32)
    expected = (0.3 * -np.log(0.5) + -np.log(0.8)) / 1.3
    assert float(frame_loss(logits, frames, blank_weight=0.3)) == pytest.approx(expected, rel=1e-5)


def test_frame_loss_without_labeled_frames_is_zero():
    logits = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    frames = np.full((2, 4), IGNORED_FRAME, np.int32)
    value, gradient = jax.value_and_grad(lambda x: frame_loss(x, frames))(jnp.asarray(logits))
    assert value == 0
    assert np.abs(gradient).max() == 0


def test_classifier_loss_of_the_reference(golden):
    loss = direction_loss(golden["cls_logits"], golden["cls_labels"].astype(np.int32))
    assert float(loss) == pytest.approx(CLASSIFIER, rel=1e-4)
