"""Dilation and the losses against a frozen teacher: the reference implementation, OpenCV and slow oracles."""

from __future__ import annotations

import inspect

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.losses.distillation import dilate, dilated_teacher_loss, hard_teacher_loss, soft_teacher_loss
from tests.losses.reference import assert_all_finite, assert_gradients_close, stacked

DILATE = jax.jit(dilate)
MAINS = ("dice", "bce", "l1")
# ((loss, terms), (gradients of the student's outputs, gradient of the teacher's map))
VALUE_AND_GRADIENTS = jax.jit(
    jax.value_and_grad(dilated_teacher_loss, argnums=(0, 1), has_aux=True),
    static_argnames=("threshold", "binarize", "main", "gamma", "negative_ratio"),
)


def test_dilation_grows_down_and_right() -> None:
    maps = np.zeros((1, 4, 5), np.float32)
    maps[0, 1, 1] = maps[0, 3, 4] = maps[0, 0, 3] = 1
    expected = [[0, 0, 0, 1, 1], [0, 1, 1, 1, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(DILATE(maps)[0], expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.sampled_from([1, 7]), width=st.sampled_from([1, 6]))
def test_dilation_equals_opencv(seed: int, height: int, width: int) -> None:
    maps = np.random.default_rng(seed).normal(size=(2, height, width)).astype(np.float32)
    expected = [cv2.dilate(m, np.ones((2, 2), np.uint8)).reshape(height, width) for m in maps]
    np.testing.assert_array_equal(DILATE(maps), expected)


def test_dilated_map_of_the_reference(reference, detectors) -> None:
    text = (detectors[2]["probability"] > 0.3).astype(jnp.float32)
    np.testing.assert_array_equal(DILATE(text), reference["dila_teacher_mask"])


@pytest.mark.parametrize("student", ["Student", "Student2"])
def test_loss_and_gradients_of_the_reference(reference, detectors, det_targets, student) -> None:
    outputs = detectors[0] if student == "Student" else detectors[1]
    (loss, _), (of_student, of_teacher) = VALUE_AND_GRADIENTS(
        outputs, detectors[2]["probability"], det_targets["shrink_mask"]
    )
    assert float(loss) == pytest.approx(reference[f"dila.dila_dbloss_{student}_Teacher"], rel=5e-6)
    assert_gradients_close(stacked(of_student), reference[f"dila_grad_{student.lower()}"], norm=1e-5)
    assert np.abs(of_teacher).max() == 0


def test_without_an_approximate_binary_map_its_term_is_left_out(detectors, det_targets) -> None:
    """A network without its threshold branch has none."""
    (student, _, teacher), mask = detectors, det_targets["shrink_mask"]
    _, terms = dilated_teacher_loss(student, teacher["probability"], mask)
    alone = {"probability": student["probability"]}
    loss, (name,) = dilated_teacher_loss(alone, teacher["probability"], mask, gamma=4.0)
    assert name == "probability"
    assert float(loss) == pytest.approx(4 * float(terms["probability"]), rel=1e-6)


@pytest.mark.parametrize(("peak", "counts"), [(0.25, False), (0.35, False), (0.49, False), (0.51, True)])
def test_a_soft_map_without_text_counts_nothing(peak, counts) -> None:
    """Balanced cross-entropy divides by the text of the map, pixels above a half."""
    teacher = np.zeros((1, 8, 8), np.float32)
    teacher[0, 3, 3] = peak
    loss, _ = dilated_teacher_loss(
        {"probability": np.full((1, 8, 8), 0.3, np.float32)}, teacher, np.ones((1, 8, 8)), binarize=False, main="bce"
    )
    # 4 pixels after dilation, each .51 text and .49 background, of which 12 are counted: they are the hardest 4.
    p, text = 0.3, 4
    by_hand = text * -(peak * np.log(p) + (1 - peak) * np.log(1 - p)) + 2 * text * -np.log(1 - p)
    assert float(loss) == pytest.approx(5 * by_hand / (4 * text) if counts else 0, rel=1e-4)


def slow_dilation(teacher: np.ndarray) -> np.ndarray:
    out = np.empty_like(teacher)
    for i, y, x in np.ndindex(teacher.shape):
        out[i, y, x] = teacher[i, max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1].max()
    return out


def slow_dice(p: np.ndarray, g: np.ndarray, m: np.ndarray) -> float:
    return 1 - 2 * (p * g * m).sum() / ((p * m).sum() + (g * m).sum() + 1e-6)


def slow_bce(p: np.ndarray, g: np.ndarray, m: np.ndarray, ratio: float) -> float:
    """Text share of every pixel, and the largest background shares; pixels are text above 0.5, background below."""
    text, background, positives = [], [], 0
    for a, b, keep in zip(p.ravel(), g.ravel(), m.ravel(), strict=True):
        logs = [max(np.log(x), -100.0) if x > 0 else -100.0 for x in (a, 1 - a)]
        loss = -(b * logs[0] + (1 - b) * logs[1])
        if keep:
            text.append(b * loss)
            background.append((1 - b) * loss)
            positives += b > 0.5
    count = int(min(sum(g[m > 0] < 0.5), ratio * positives))
    return (sum(text) + sum(sorted(background, reverse=True)[:count])) / (positives + count + 1e-6)


def slow_loss(p, binary, teacher, mask, *, threshold, binarize, main, gamma, negative_ratio) -> float:
    p, binary, teacher, mask = (np.asarray(x, np.float64) for x in (p, binary, teacher, mask))
    target = slow_dilation((teacher > np.float32(threshold)).astype(np.float64) if binarize else teacher)
    if not (target * mask > np.float32(threshold)).any():
        main_loss = 0.0
    elif main == "dice":
        main_loss = slow_dice(p, target, mask)
    elif main == "l1":
        main_loss = (np.abs(p - target) * mask).sum() / (mask.sum() + 1e-6)
    else:
        main_loss = slow_bce(p, target, mask, negative_ratio)
    return gamma * main_loss + slow_dice(binary, target, mask)


OPTIONS = {"threshold": 0.3, "gamma": 4.0, "negative_ratio": 2.0}


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([1, 4, 256]),
    mask_share=st.sampled_from([0.0, 0.6, 1.0]),
    teacher_top=st.sampled_from([0.25, 1.0]),
    binarize=st.booleans(),
    main=st.sampled_from(MAINS),
)
def test_loss_equals_a_slow_oracle(*, seed, levels, mask_share, teacher_top, binarize, main) -> None:
    rng = np.random.default_rng(seed)
    p, binary, teacher = (rng.integers(0, levels + 1, (3, 2, 5, 6)) / levels).astype(np.float32)
    teacher *= np.float32(teacher_top)  # a teacher that stays below the threshold sees no text
    mask = (rng.random(p.shape) < mask_share).astype(np.uint8)
    options = {**OPTIONS, "binarize": binarize, "main": main}
    (loss, terms), _ = VALUE_AND_GRADIENTS({"probability": p, "binary": binary}, teacher, mask, **options)
    assert float(loss) == pytest.approx(slow_loss(p, binary, teacher, mask, **options), rel=2e-5, abs=1e-5)
    assert float(loss) == pytest.approx(float(4.0 * terms["probability"] + terms["binary"]), rel=1e-6)


@pytest.mark.parametrize("main", MAINS)
@pytest.mark.parametrize("binarize", [True, False])
@pytest.mark.parametrize("kind", ["teacher sees nothing", "all ignored", "saturated and wrong"])
def test_edge_batches_have_finite_losses_and_gradients(main, binarize, kind) -> None:
    p, binary, teacher = np.random.default_rng(0).random((3, 2, 5, 6)).astype(np.float32)
    mask = np.ones(p.shape, np.uint8)
    if kind == "teacher sees nothing":
        teacher = np.zeros_like(teacher)
    elif kind == "all ignored":
        mask = np.zeros_like(mask)
    else:
        teacher = (teacher > 0.8).astype(np.float32)
        p = binary = 1 - teacher
    (loss, terms), (of_student, of_teacher) = VALUE_AND_GRADIENTS(
        {"probability": p, "binary": binary}, teacher, mask, **OPTIONS, binarize=binarize, main=main
    )
    assert_all_finite((loss, terms, of_student))
    assert np.abs(of_teacher).max() == 0
    if kind == "saturated and wrong":
        assert np.abs(of_student["probability"]).max() > 0
    else:
        assert terms["probability"] == 0
        assert all(np.abs(g).max() == 0 for g in of_student.values())


SOFT = jax.jit(jax.value_and_grad(soft_teacher_loss, argnums=(0, 1), has_aux=True))
HARD = jax.jit(
    jax.value_and_grad(hard_teacher_loss, argnums=(0, 1), has_aux=True),
    static_argnames=("threshold", "bce_weight", "negative_ratio"),
)


def slow_soft_loss(p, teacher, mask) -> float:
    """Pixel by pixel: |p - t| times the cross-entropy, over the text there is; and dice."""
    weighted = text = 0.0
    for a, t, keep in zip(p.ravel(), teacher.ravel(), mask.ravel(), strict=True):
        logs = [max(np.log(x), -100.0) if x > 0 else -100.0 for x in (a, 1 - a)]
        weighted += keep * abs(a - t) * -(t * logs[0] + (1 - t) * logs[1])
        text += keep * t
    return weighted / max(text, mask.sum() / 1000, 1e-6) + slow_dice(p, teacher, mask)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([4, 256]),
    mask_share=st.sampled_from([0.0, 0.6, 1.0]),
    top=st.sampled_from([0.0, 1e-3, 1.0]),
)
def test_losses_without_labels_equal_slow_oracles(*, seed, levels, mask_share, top) -> None:
    rng = np.random.default_rng(seed)
    p, teacher = (rng.integers(0, levels + 1, (2, 2, 5, 6)) / levels).astype(np.float32)
    teacher *= np.float32(top)  # next to nothing is an image without text
    mask = (rng.random(p.shape) < mask_share).astype(np.uint8)
    exact = [np.asarray(x, np.float64) for x in (p, teacher, mask)]
    (loss, terms), (_, of_teacher) = SOFT(p, teacher, mask)
    assert float(loss) == pytest.approx(slow_soft_loss(*exact), rel=2e-5, abs=1e-5)
    assert float(loss) == pytest.approx(float(terms["bce"] + terms["dice"]), rel=1e-6)
    assert np.abs(of_teacher).max() == 0
    (loss, _), (_, of_teacher) = HARD(p, teacher, mask, threshold=0.4, bce_weight=2.0, negative_ratio=1.5)
    target = (exact[1] > np.float32(0.4)).astype(np.float64)
    expected = 2 * slow_bce(exact[0], target, exact[2], 1.5) + slow_dice(exact[0], target, exact[2])
    assert float(loss) == pytest.approx(expected, rel=2e-5, abs=1e-5)
    assert np.abs(of_teacher).max() == 0


@pytest.mark.parametrize("kind", ["no text", "all left out", "saturated and wrong"])
def test_losses_without_labels_are_finite_on_edge_batches(kind) -> None:
    p, teacher = np.random.default_rng(0).random((2, 2, 5, 6)).astype(np.float32)
    mask = np.ones(p.shape, np.uint8)
    if kind == "no text":
        teacher = np.zeros_like(teacher)
    elif kind == "all left out":
        mask = np.zeros_like(mask)
    else:
        teacher = (teacher > 0.8).astype(np.float32)
        p = 1 - teacher
    for losses in (SOFT(p, teacher, mask), HARD(p, teacher, mask)):
        assert_all_finite(losses)
        gradient = np.abs(losses[1][0]).max()
        assert gradient == 0 if kind == "all left out" else gradient >= 0
    if kind == "saturated and wrong":
        assert np.abs(SOFT(p, teacher, mask)[1][0]).max() > 0


def test_a_student_that_agrees_with_an_unsure_teacher_is_left_alone() -> None:
    """Unlike plain cross-entropy and dice, the cross-entropy term is 0 there, and rises to both sides."""
    teacher = np.full((1, 4, 4), 0.3, np.float32)
    losses = [
        float(SOFT(np.full_like(teacher, p), teacher, np.ones_like(teacher))[0][1]["bce"]) for p in (0.2, 0.3, 0.4)
    ]
    assert losses[1] == 0
    assert min(losses[0], losses[2]) > 0.05


def test_misfits_are_refused() -> None:
    maps = np.zeros((2, 5, 6), np.float32)
    student = {"probability": maps, "binary": maps}
    with pytest.raises(ValueError, match='"dice", "bce" or "l1", not \'focal\''):
        inspect.unwrap(dilated_teacher_loss)(student, maps, maps, main="focal")  # as without the tests' type checks
    with pytest.raises(ValueError, match="differ in shape"):
        VALUE_AND_GRADIENTS(student, maps[:1], maps)
