"""Shares of Unified Deep Mutual Learning and Enhanced CTC: the reference, more than two students, edge batches."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppocr_jax.losses.center import center_loss
from ppocr_jax.losses.cross_entropy import places_of_labels
from ppocr_jax.losses.ctc import ctc_loss
from ppocr_jax.losses.mutual import feature_loss, sequence_dml_loss
from ppocr_jax.losses.shares import udml_share
from tests.losses.reference import assert_all_finite, assert_gradients_close, frames_first

Outputs = dict[str, jax.Array | np.ndarray]


def total(students: list[Outputs], labels: np.ndarray, lengths: np.ndarray) -> jax.Array:
    """Sum of the shares of all students."""
    ctc = jax.vmap(ctc_loss, in_axes=(0, None, None))(jnp.stack([s["logits"] for s in students]), labels, lengths)
    return sum(udml_share(own, peers_of(i, students), ctc[i])[0] for i, own in enumerate(students))


def peers_of(index: int, students: list[Outputs]) -> list[Outputs]:
    return students[:index] + students[index + 1 :]


VALUE_AND_GRADIENTS = jax.jit(jax.value_and_grad(total))
SHARE = jax.jit(udml_share, static_argnames="center_weight")


def labels_of(reference: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return reference["rec_labels"].astype(np.int32), reference["rec_lengths"].astype(np.int32)


def random_students(count: int) -> list[Outputs]:
    rng = np.random.default_rng(0)
    widths = {"logits": 5, "backbone": 6, "features": 4}
    return [
        {name: rng.normal(size=(2, 7, width)).astype(np.float32) for name, width in widths.items()}
        for _ in range(count)
    ]


def test_total_and_gradients_of_the_reference(reference, recognizers) -> None:
    value, gradients = VALUE_AND_GRADIENTS(list(recognizers), *labels_of(reference))
    assert float(value) == pytest.approx(float(reference["udml.loss"]), rel=1e-6)
    for ours, key in zip(gradients, ("udml_grad_logits1", "udml_grad_logits2"), strict=True):
        assert_gradients_close(ours["logits"], reference[key], norm=2e-5)
    assert_gradients_close(gradients[0]["backbone"], frames_first(reference["udml_grad_bb1"]), norm=1e-6)
    np.testing.assert_allclose(gradients[1]["backbone"], -gradients[0]["backbone"], rtol=1e-6)


def test_terms_of_the_reference(reference, recognizers) -> None:
    _, terms = SHARE(recognizers[1], [recognizers[0]], 5.0)
    assert terms["ctc"] == 5
    assert float(terms["dml"]) == pytest.approx(float(reference["udml.dml_0"]), rel=2e-6)
    distance = reference["udml.loss_distance_l2_Student_Teacher_0"]
    assert float(terms["feature"]) == pytest.approx(float(distance), rel=2e-6)
    assert "center" not in terms


def test_enhanced_ctc_of_the_reference(reference, recognizers) -> None:
    ctc, centers = float(reference["udml.loss_ctc_Student_0"]), reference["center_centers"]
    share, terms = SHARE(recognizers[0], [], ctc, center_weight=0.05, centers=centers)
    assert float(share) == pytest.approx(float(reference["enhanced_ctc.loss"]), rel=1e-6)
    assert float(0.05 * terms["center"]) == pytest.approx(float(reference["enhanced_ctc.loss_center"]), rel=1e-6)
    assert set(terms) == {"ctc", "center"}


@jax.jit
def sum_of_weighted_shares(students: list[Outputs], centers: jax.Array) -> jax.Array:
    options = {"dml_weight": 3.0, "feature_weight": 7.0, "center_weight": 0.2, "centers": centers}
    return sum(
        udml_share(own, peers_of(i, students), jnp.float32(10**i), **options)[0] for i, own in enumerate(students)
    )


@jax.jit
def sum_over_students_and_pairs(students: list[Outputs], centers: jax.Array) -> jax.Array:
    alone = [0.2 * center_loss(s["features"], s["logits"], centers) for s in students]
    pairs = [
        3 * sequence_dml_loss(a["logits"], b["logits"]) + 7 * feature_loss(a["backbone"], b["backbone"])
        for a, b in itertools.combinations(students, 2)
    ]
    return 111 + sum(alone) + 3 / 2 * sum(pairs) / len(pairs)


def test_three_students_count_each_pair_half() -> None:
    students = random_students(3)
    centers = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    expected = float(sum_over_students_and_pairs(students, centers))
    assert float(sum_of_weighted_shares(students, centers)) == pytest.approx(expected, rel=1e-6)


def test_center_weight_without_centers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"center_weight is 0\.05, but there are no centers"):
        udml_share(random_students(1)[0], [], jnp.float32(0), center_weight=0.05)


@pytest.mark.parametrize("kind", ["empty labels", "labels too long", "saturated", "one mind"])
def test_edge_batches_have_finite_totals_and_gradients(reference, recognizers, kind: str) -> None:
    students, (labels, lengths) = list(recognizers), labels_of(reference)
    if kind == "empty labels":
        labels, lengths = np.zeros_like(labels), np.zeros_like(lengths)
    elif kind == "labels too long":
        labels, lengths = np.ones_like(labels), np.full_like(lengths, 25)  # one more than there are frames
    elif kind == "saturated":
        students = [{name: 1e4 * value for name, value in student.items()} for student in students]
    else:
        students = [recognizers[0], {name: recognizers[0][name] for name in recognizers[1]}]
    value, gradients = VALUE_AND_GRADIENTS(students, labels, lengths)
    assert_all_finite((value, gradients))
    if kind == "labels too long":  # CTC leaves them out
        mutual = reference["udml.dml_0"] + reference["udml.loss_distance_l2_Student_Teacher_0"]
        assert float(value) == pytest.approx(float(mutual), rel=1e-6)
    elif kind == "one mind":  # CTC alone, and gradients that do not depend on the other
        assert float(value) == pytest.approx(2 * float(reference["udml.loss_ctc_Student_0"]), rel=1e-6)
        assert np.abs(gradients[0]["backbone"]).max() == 0


def divergence_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    """Symmetric KL divergence of two rows of logits."""
    p, q = (np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in (a.astype(float), b.astype(float)))
    return float(((p - q) * (np.log(p) - np.log(q))).sum() / 2)


def test_guides_are_compared_where_a_label_tells_them_something() -> None:
    """PP-OCRv3: characters and the end, of lines that count; a student gets a quarter of the mean over its peers."""
    rng = np.random.default_rng(4)
    students = [{**s, "guide_logits": rng.normal(size=(2, 4, 6)).astype(np.float32)} for s in random_students(3)]
    places = places_of_labels(4, np.array([1, 3]), np.array([True, False]))
    np.testing.assert_array_equal(places, [[True, True, False, False], [False] * 4])
    own, *peers = students
    weighed = jax.jit(partial(udml_share, dml_weight=3.0))
    share, terms = weighed(own, peers, jnp.zeros(()), guided=places)
    expected = np.mean(
        [
            sum(divergence_by_hand(own["guide_logits"][0, t], peer["guide_logits"][0, t]) for t in (0, 1)) / 2  # B
            for peer in peers
        ]
    )
    assert float(terms["guide_dml"]) == pytest.approx(expected, rel=1e-5)
    without, _ = weighed(own, peers, jnp.zeros(()))
    assert float(share - without) == pytest.approx(3 * 0.5 * expected / 2, rel=1e-4)  # guides weigh half in PP-OCRv3
