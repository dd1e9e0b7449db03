"""Shares of Collaborative Mutual Learning: totals and gradients of the reference, and more than two students."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
import pytest

from ppocr_jax.losses.db import db_loss
from ppocr_jax.losses.distillation import dilated_teacher_loss
from ppocr_jax.losses.mutual import map_dml_loss
from ppocr_jax.losses.shares import cml_share
from tests.losses.reference import MAPS, assert_all_finite, assert_gradients_close, stacked

Outputs = dict[str, jax.Array | np.ndarray]


def total(students: list[Outputs], teacher: jax.Array | None, targets: Any) -> jax.Array:
    """Sum of the shares of all students."""
    maps = [student["probability"] for student in students]
    shares = [cml_share(own, maps[:i] + maps[i + 1 :], teacher, targets) for i, own in enumerate(students)]
    return sum(share for share, _ in shares)


TOTAL, SHARE, DB = jax.jit(total), jax.jit(cml_share), jax.jit(db_loss)
VALUE_AND_GRADIENTS = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))


def random_students(count: int, seed: int = 0) -> tuple[list[Outputs], np.ndarray, dict[str, np.ndarray]]:
    """Outputs of `count` students, a teacher's map and targets of two small images."""
    rng = np.random.default_rng(seed)
    maps = rng.random((count, len(MAPS), 2, 6, 7)).astype(np.float32)
    students = [dict(zip(MAPS, one, strict=True)) for one in maps]
    targets = {
        "shrink_map": (rng.random((2, 6, 7)) < 0.3).astype(np.uint8),
        "shrink_mask": (rng.random((2, 6, 7)) < 0.9).astype(np.uint8),
        "threshold_map": rng.random((2, 6, 7)).astype(np.float32),
        "threshold_mask": (rng.random((2, 6, 7)) < 0.5).astype(np.uint8),
    }
    return students, rng.random((2, 6, 7)).astype(np.float32), targets


def test_totals_and_gradients_of_the_reference(reference, detectors, det_targets) -> None:
    """The reference's total is one number per image; its gradients are of their sum, N = 2 times the mean's."""
    value, (gradients, _) = VALUE_AND_GRADIENTS(list(detectors[:2]), detectors[2]["probability"], det_targets)
    assert float(value) == pytest.approx(reference["cml.loss"].mean(), rel=1e-6)
    for ours, key in zip(gradients, ("cml_grad_student", "cml_grad_student2"), strict=True):
        assert_gradients_close(2 * stacked(ours), reference[key], norm=5e-6)


@pytest.mark.parametrize("student", [0, 1])
def test_terms_of_the_reference(reference, detectors, det_targets, student) -> None:
    own, peer, name = detectors[student], detectors[1 - student], ("Student", "Student2")[student]
    _, terms = SHARE(own, [peer["probability"]], detectors[2]["probability"], det_targets)
    teacher_loss = 5 * terms["teacher_probability"] + terms["teacher_binary"]
    expected = {
        f"db_{name}_loss_shrink_maps": 5 * terms["probability"],
        f"db_{name}_loss_threshold_maps": 10 * terms["threshold"],
        f"db_{name}_loss_binary_maps": terms["binary"],
        f"dila_dbloss_{name}_Teacher": teacher_loss,
        "dml_thrink_maps_0": terms["dml"],
    }
    for key, ours in expected.items():
        assert float(ours) == pytest.approx(reference[f"cml.{key}"].mean(), rel=5e-6), key


def test_recipes_without_teacher_or_without_peers(reference, detectors, det_targets) -> None:
    students = list(detectors[:2])
    assert float(TOTAL(students, None, det_targets)) == pytest.approx(reference["dml_total.loss"].mean(), rel=1e-6)
    share, terms = SHARE(students[0], [], detectors[2]["probability"], det_targets)
    assert float(share) == pytest.approx(float(reference["distill_total.loss"]), rel=1e-6)
    assert "dml" not in terms
    alone, terms = SHARE(students[0], [], None, det_targets)
    assert float(alone) == pytest.approx(float(DB(students[0], det_targets)[0]), rel=1e-6)
    assert set(terms) == set(MAPS)


@jax.jit
def sum_over_students_and_pairs(students: list[Outputs], teacher: jax.Array, targets: Any) -> jax.Array:
    alone = [db_loss(s, targets)[0] + dilated_teacher_loss(s, teacher, targets["shrink_mask"])[0] for s in students]
    pairs = [map_dml_loss(a["probability"], b["probability"]) for a, b in itertools.combinations(students, 2)]
    return sum(alone) + 3 / 2 * sum(pairs) / len(pairs)


def test_three_students_count_each_pair_half() -> None:
    arguments = random_students(3)
    expected = float(sum_over_students_and_pairs(*arguments))
    assert float(TOTAL(*arguments)) == pytest.approx(expected, rel=1e-6)


def test_a_student_is_drawn_to_the_mean_of_its_peers() -> None:
    """With the peers' maps carrying gradients, the pull on one student is that of DML averaged over its peers."""
    students, teacher, targets = random_students(3)

    def own_losses(first: Outputs) -> jax.Array:
        mutual = [map_dml_loss(first["probability"], peer["probability"]) for peer in students[1:]]
        taught, _ = dilated_teacher_loss(first, teacher, targets["shrink_mask"])
        return db_loss(first, targets)[0] + taught + sum(mutual) / len(mutual)

    _, (gradients, _) = VALUE_AND_GRADIENTS(students, teacher, targets)
    expected = stacked(jax.jit(jax.grad(own_losses))(students[0]))
    np.testing.assert_allclose(stacked(gradients[0]), expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


def test_weights_and_options_reach_their_losses() -> None:
    (own, peer), teacher, targets = random_students(2)
    shared: dict[str, Any] = {"main": "bce", "negative_ratio": 1.0}
    of_db: dict[str, Any] = {**shared, "alpha": 1.5, "beta": 0.5}
    of_teacher: dict[str, Any] = {**shared, "binarize": False}
    weights = {"teacher_weight": 3.0, "dml_weight": 7.0}

    @jax.jit
    def share_and_expectation() -> tuple[jax.Array, jax.Array]:
        options = {**of_db, **of_teacher, **weights, "dml_form": "paper"}
        share, _ = cml_share(own, [peer["probability"]], teacher, targets, **options)
        db, _ = db_loss(own, targets, **of_db)
        taught, _ = dilated_teacher_loss(own, teacher, targets["shrink_mask"], **of_teacher)
        mutual = map_dml_loss(own["probability"], peer["probability"], form="paper")
        return share, db + 3 * taught + 3.5 * mutual

    share, expected = share_and_expectation()
    assert float(share) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("kind", ["no text", "all ignored", "saturated", "one mind"])
def test_edge_batches_have_finite_totals_and_gradients(kind: str) -> None:
    students, teacher, targets = random_students(3)
    if kind == "no text":
        targets |= {name: np.zeros_like(targets[name]) for name in ("shrink_map", "threshold_mask")}
        teacher = np.zeros_like(teacher)
    elif kind == "all ignored":
        targets |= {name: np.zeros_like(targets[name]) for name in ("shrink_mask", "threshold_mask")}
    elif kind == "saturated":
        students = [{name: np.round(value) for name, value in student.items()} for student in students]
    else:
        students = [students[0]] * 3
    value, (gradients, of_teacher) = VALUE_AND_GRADIENTS(students, teacher, targets)
    assert_all_finite((value, gradients))
    assert np.abs(of_teacher).max() == 0
