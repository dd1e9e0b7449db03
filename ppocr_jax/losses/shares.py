"""One student's share of the total loss in Collaborative Mutual Learning (CML, detectors) and U-DML (recognizers).

The total loss is the sum of the students' shares. Each student can therefore run on its own devices and needs only the
outputs of the others. Source: PP-OCRv2, sections 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Bool, Float

from ppocr_jax.losses.arrays import AnyArray, Scalar
from ppocr_jax.losses.center import center_loss
from ppocr_jax.losses.db import Batch, Maps, db_loss
from ppocr_jax.losses.distillation import dilated_teacher_loss, hard_teacher_loss, soft_teacher_loss
from ppocr_jax.losses.mutual import Form, feature_loss, map_dml_loss, mean_over_peers, sequence_dml_loss

Outputs = Mapping[str, Float[AnyArray, "B ..."]]
GUIDE_SHARE = 0.5
"""Weight of the guides' divergence relative to that of the CTC logits, as in PP-OCRv3's training."""


def cml_share(
    own: Mapping[str, Maps],
    peers: Sequence[Maps],
    teacher_probability: Maps | None,
    targets: Batch,
    *,
    teacher_weight: float = 1.0,
    dml_weight: float = 1.0,
    alpha: float = 5.0,
    beta: float = 10.0,
    main: Literal["dice", "bce", "l1"] = "dice",
    negative_ratio: float = 3.0,
    binarize: bool = True,
    dml_form: Form = "code",
    teacher_form: Literal["dilated", "soft", "hard"] = "dilated",
    teacher_threshold: float = 0.5,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Compute the CML share of one of S students:

        db(own) + dilated_teacher(own, T) + 1/2 mean over peers of map_dml(own, peer)

    The shares of two students add up to PP-OCRv2's total, which counts each pair's divergence once. With S students the
    mutual losses add up to S / 2 times the mean over pairs: as in Deep Mutual Learning (Zhang et al., arXiv 1706.00384)
    a student is drawn to the mean of its peers, with a strength that does not depend on their number. The maps of the
    peers must carry gradients: half of a student's mutual gradient comes from the shares of the others.

    Args:
        own: "probability", "threshold" and "binary" of this student's DB head.
        peers: Probability maps of the other S - 1 students; if empty, the mutual loss is left out.
        teacher_probability: Probability map of the frozen teacher; None leaves out the distillation.
        targets: See `db_loss`; "teacher_mask", if present, replaces "shrink_mask" in the distillation.
        teacher_weight: Weight of the distillation.
        dml_weight: Weight of the mutual loss.
        alpha: See `db_loss`.
        beta: See `db_loss`.
        main: Loss of the probability map against labels and teacher; see `db_loss`.
        negative_ratio: See `db_loss`.
        binarize: See `dilated_teacher_loss`.
        dml_form: See `map_dml_loss`.
        teacher_form: Selects `dilated_teacher_loss`, `soft_teacher_loss` or `hard_teacher_loss`.
        teacher_threshold: See `hard_teacher_loss`.

    Returns:
        The share, and its unweighted terms: "probability", "threshold", "binary" of the DB loss, unless `alpha` and
        `beta` are both 0; "teacher_probability", "teacher_binary" ("teacher_bce", "teacher_dice") of the distillation;
        "dml", the mean over peers.
    """
    share, terms = jnp.float32(0), {}
    if alpha or beta:
        share, terms = db_loss(own, targets, alpha=alpha, beta=beta, main=main, negative_ratio=negative_ratio)
    if teacher_probability is not None:
        mask, probability = targets.get("teacher_mask", targets["shrink_mask"]), own["probability"]
        if teacher_form == "soft":
            loss, parts = soft_teacher_loss(probability, teacher_probability, mask)
        elif teacher_form == "hard":
            options = {"threshold": teacher_threshold, "negative_ratio": negative_ratio}
            loss, parts = hard_teacher_loss(probability, teacher_probability, mask, **options)
        else:
            options = {"binarize": binarize, "main": main, "negative_ratio": negative_ratio}
            loss, parts = dilated_teacher_loss(own, teacher_probability, mask, **options)
        share = share + teacher_weight * loss
        terms |= {f"teacher_{name}": term for name, term in parts.items()}
    if peers:
        losses = [map_dml_loss(own["probability"], p, form=dml_form) for p in peers]
        terms["dml"] = mean_over_peers(losses)
        share = share + dml_weight * terms["dml"] / 2
    return share, terms


def udml_share(
    own: Outputs,
    peers: Sequence[Outputs],
    ctc_term: Scalar,
    *,
    dml_weight: float = 1.0,
    feature_weight: float = 1.0,
    center_weight: float = 0.0,
    centers: Float[AnyArray, "_ _"] | None = None,
    guided: Bool[AnyArray, "B P"] | None = None,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Compute the U-DML share of one of S students:

        ctc(own) + 1/2 mean over peers of [sequence_dml(own, peer) + feature(own, peer)] + center_weight * center(own)

    If the students have guides (PP-OCRv3), half of the guides' sequence_dml is added to that of the frames.

    The shares of two students add up to PP-OCRv2's total, which counts each pair once; see `cml_share` for more
    students. The outputs of the peers must carry gradients.

    Args:
        own: "logits" (B, T, K), "backbone" (B, T, C) and, with centers, "features" (B, T, D) of this student.
        peers: "logits" and "backbone" of the other S - 1 students; if empty, the mutual losses are left out.
        ctc_term: CTC loss of the own logits, already weighted and in the caller's form (case-insensitive, focal).
        dml_weight: Weight of the divergence between logits.
        feature_weight: Weight of the difference between backbone outputs.
        center_weight: Weight of the center loss; 0.05 in PP-OCRv2.
        centers: See `center_loss`; None leaves it out.
        guided: Positions at which the guides' outputs "guide_logits" (B, P, C), in own and peers, are compared: those
            that a label fills. PaddleOCR compares all 26, most of which have no training target. None: no guides.

    Returns:
        The share, and its terms: "ctc" as given; unweighted "dml", "guide_dml" and "feature", means over peers;
        "center".

    Raises:
        ValueError: If the center loss has a weight but there are no centers.
    """
    if centers is None and center_weight:
        raise ValueError(f"center_weight is {center_weight}, but there are no centers")
    share, terms = ctc_term, {"ctc": ctc_term}
    if peers:
        terms["dml"] = mean_over_peers([sequence_dml_loss(own["logits"], peer["logits"]) for peer in peers])
        terms["feature"] = mean_over_peers([feature_loss(own["backbone"], peer["backbone"]) for peer in peers])
        share = share + (dml_weight * terms["dml"] + feature_weight * terms["feature"]) / 2
        if guided is not None:
            between = [sequence_dml_loss(own["guide_logits"], peer["guide_logits"], guided) for peer in peers]
            terms["guide_dml"] = mean_over_peers(between)
            share = share + GUIDE_SHARE * dml_weight * terms["guide_dml"] / 2
    if centers is not None:
        terms["center"] = center_loss(own["features"], own["logits"], centers)
        share = share + center_weight * terms["center"]
    return share, terms
