"""What one student minimizes: its share in Collaborative Mutual Learning (CML, detectors) and U-DML (recognizers).

The loss of the whole is the sum of the students' shares, so that each student can live on devices of its own and needs
of the others nothing but their outputs. Source: PP-OCRv2, sections 2.1 and 2.2.
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
"""Weight of the divergence between guides beside that between readings, as PP-OCRv3 was trained."""


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
    """CML's share of one of S students:

        db(own) + dilated_teacher(own, T) + 1/2 mean over peers of map_dml(own, peer)

    Two students' shares add up to PP-OCRv2's total, each pair's divergence counting once. With S of them the mutual
    losses of all add up to S / 2 times the mean over pairs: as in Deep Mutual Learning (Zhang et al., arXiv 1706.00384)
    a student is drawn to the mean of its peers, no harder the more they are. The maps of the peers must carry their
    gradients: half of the pull on a student comes through the shares of the others.

    Args:
        own: "probability", "threshold" and "binary" of this student's DB head.
        peers: probability maps of the other S - 1 students; without any, the mutual loss is left out.
        teacher_probability: of the frozen teacher; None leaves the distillation out.
        targets: see `db_loss`; "teacher_mask", where there is one, says instead of "shrink_mask" which pixels the
            teacher teaches.
        teacher_weight: Weight of the distillation.
        dml_weight: Weight of the mutual loss.
        alpha: See `db_loss`.
        beta: See `db_loss`.
        main: Loss of the probability map against labels and teacher; see `db_loss`.
        negative_ratio: See `db_loss`.
        binarize: See `dilated_teacher_loss`.
        dml_form: See `map_dml_loss`.
        teacher_form: Which of `dilated_teacher_loss`, `soft_teacher_loss` and `hard_teacher_loss`.
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
    """U-DML's share of one of S students:

        ctc(own) + 1/2 mean over peers of [sequence_dml(own, peer) + feature(own, peer)] + center_weight * center(own)

    Where the students have guides (PP-OCRv3), half of their sequence_dml is added to that of the frames.

    Two students' shares add up to PP-OCRv2's total, each pair counting once; see `cml_share` for more students. The
    outputs of the peers must carry their gradients.

    Args:
        own: "logits" (B, T, K), "backbone" (B, T, C) and, with centers, "features" (B, T, D) of this student.
        peers: "logits" and "backbone" of the other S - 1; without any, the mutual losses are left out.
        ctc_term: of the own logits, weighted and in the form (case-blind, focal) that the caller wants.
        dml_weight: Weight of the divergence between readings.
        feature_weight: Weight of the difference between backbone outputs.
        center_weight: Weight of the center loss; 0.05 in PP-OCRv2.
        centers: See `center_loss`; None leaves it out.
        guided: Places of the guides' outputs "guide_logits" (B, P, C), in own and peers, at which they are compared:
            those that a label fills. PaddleOCR compares all 26, most of which nobody ever told what is right. None: no
            guides.

    Returns:
        The share, and its terms: "ctc" as given; unweighted "dml", "guide_dml" and "feature", means over peers;
        "center".

    Raises:
        ValueError: a weight for the center loss, but no centers.
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
