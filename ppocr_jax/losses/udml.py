"""Unified Deep Mutual Learning: what one student recognizer minimizes (PP-OCRv2, section 2.2).

As in `cml`, the loss of the whole is the sum of the students' shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Bool, Float

from ppocr_jax.losses.arrays import AnyArray, Scalar
from ppocr_jax.losses.center import center_loss
from ppocr_jax.losses.mutual import feature_loss, mean_over_peers, sequence_dml_loss

Outputs = Mapping[str, Float[AnyArray, "B ..."]]


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
    """Share of one of S students:

        ctc(own) + 1/2 mean over peers of [sequence_dml(own, peer) + feature(own, peer)] + center_weight * center(own)

    Where the students have guides (PP-OCRv3), sequence_dml of these is added to that of the frames.

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
            share = share + dml_weight * terms["guide_dml"] / 2
    if centers is not None:
        terms["center"] = center_loss(own["features"], own["logits"], centers)
        share = share + center_weight * terms["center"]
    return share, terms
