"""Orientation of pages and lines, from the direction classifier and from recognized text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppocr_jax.geometry import grow_quad, perspective_crop, rotate_quad_180
from ppocr_jax.inference.classify import Direction, crop_angles, page_rotation
from ppocr_jax.inference.decode import Decoded
from ppocr_jax.inference.stages import CONVINCING, Attempt, PageImage, Stages, cut_lines

# Characters that rotated by 180 degrees look like themselves or like another of these.
_SYMMETRIC = frozenset("0168925SNOHIXZosxzl|%=+-_/:.,'\"` ")
_FEW_LINES = 2  # up to so many lines in an image, each is recognized both ways
_BETTER = 0.02  # smaller differences in confidence say nothing about the direction of a line
_UPRIGHT = 0.1  # the same if the line is upright, as nearly all lines are
_LEVEL = 0.36  # largest |rise / run| of an upright line, about 20 degrees
_PARALLEL = 0.97  # cosine of the angle between lines of one direction, about 14 degrees
_SAMPLE = 40  # boxes recognized to test whether a page is recognized well
_DECIDING_LINES = 8  # longest lines, the easiest for the classifier: they may decide that the page is upright
_RETRIED_LINES = 8  # longest lines, recognized in the other directions if a page is recognized badly
_CLEARLY_BETTER = 0.1  # least gain in mean confidence to rotate a page
_TEXT_SHARE, _LEAST_TEXT = 0.5, 3  # least share of the page's text to find in the new direction, and characters
_MORE_TEXT = 1.5  # how many times the text of its vertical lines a page must show when rotated by 90 degrees


def is_readable(stages: Stages, sheet: PageImage) -> bool:
    """Return whether boxes hardly longer than high are text, such as a column of short numbers, and not fragments.

    Measured mean confidences: 0.2 to 0.6 on receipts rotated by 90 degrees, 0.99 on columns of numbers.
    """
    if stages.recognizer is None or not sheet.sure:
        return False
    crops = cut_lines(sheet.image_rgb, sheet.quads[: min(sheet.sure, _SAMPLE)])
    return float(np.mean([text.confidence for text in stages.recognize(crops)])) > CONVINCING


def classify_directions(stages: Stages, sheet: PageImage) -> tuple[list[Direction | None], int | None]:
    """Return the direction of each line of a page, and the rotation of the page in degrees.

    If the longest lines show that the page is upright, other horizontal lines are not classified: nearly all follow
    the page. `rotate_unclassified_lines` finds the exceptions by their recognized text.

    Args:
        stages: Networks of the model. Without a classifier, no line is classified.
        sheet: The page. Only lines that the detector is sure of may decide its rotation.

    Returns:
        Directions of the lines, None for lines that were not classified; and the rotation 0, 90, 180 or 270, None if
        the lines do not agree or were not classified.
    """
    quads, sure = sheet.quads, sheet.sure
    if not stages.rotates_lines:
        return [None] * len(quads), None
    found: dict[int, Direction] = {}

    def ask(lines: Sequence[int]) -> None:
        found.update(zip(lines, stages.classify(cut_lines(sheet.image_rgb, quads[lines])), strict=True))

    along = quads[:, 1] - quads[:, 0]
    longest = np.argsort(-np.linalg.norm(along[:sure], axis=1), kind="stable").tolist()
    deciding = longest[:_DECIDING_LINES] if stages.rotates_pages else []
    ask(deciding)
    upright = page_rotation(quads[deciding], [found[i] for i in deciding]) == 0
    horizontal = np.abs(along[:, 0]) > np.abs(along[:, 1])
    ask([i for i in range(len(quads)) if i not in found and not (upright and horizontal[i])])
    rotation = None
    if stages.rotates_pages:
        rotation = 0 if upright else page_rotation(quads[:sure], [found[i] for i in range(sure)])
    return [found.get(i) for i in range(len(quads))], rotation


def rotate_unclassified_lines(
    stages: Stages, sheet: PageImage, directions: Sequence[Direction | None], attempts: Sequence[Attempt]
) -> list[Attempt]:
    """Classify lines not classified before if their confidence is low, and rotate the upside-down ones.

    If one of them is upside down, the other lines are classified, too: one upside-down line in ten is recognized with
    high confidence.
    """
    attempts = list(attempts)
    unclassified = [i for i, direction in enumerate(directions) if direction is None]
    doubtful = [i for i in unclassified if attempts[i].text.confidence < CONVINCING]
    for lines in (doubtful, [i for i in unclassified if i not in doubtful]):
        found = stages.classify(cut_lines(sheet.image_rgb, sheet.quads[lines]))
        angles = crop_angles(sheet.quads[lines], found, page_known=True, threshold=stages.cls_threshold)
        rotated = [i for i, angle in zip(lines, angles, strict=True) if angle != attempts[i].angle]
        other = [np.ascontiguousarray(attempts[i].crop[::-1, ::-1]) for i in rotated]
        texts = dict(zip(rotated, stages.recognize(other), strict=True))
        surer = [i for i in rotated if texts[i].confidence > attempts[i].text.confidence]
        for i, crop in zip(rotated, other, strict=True):
            if i in surer:
                angle, quad, *_ = attempts[i]
                attempts[i] = Attempt(180 - angle, rotate_quad_180(quad), crop, texts[i])
        if not surer:
            break
    return attempts


def rotate_lines_by_text(
    stages: Stages, attempts: Sequence[Attempt], directions: Sequence[Direction | None]
) -> list[Attempt]:
    """Rotate lines by recognized text, on a page of unknown direction.

    The recognizer knows words better than the classifier. Rotated text that looks the same upside down, such as 9.99,
    is rotated back. If the image has few lines, all of them are recognized in both directions; otherwise, only rotated
    lines with low confidence are. The direction with the higher confidence wins. To rotate an upright line, the gain
    must be larger. A line that is read equally well in both directions (EXIT, LIXE), and of which the classifier is not
    sure, follows parallel lines that are not.
    """
    few = len(attempts) <= _FEW_LINES
    same = [bool(one.angle) and _SYMMETRIC.issuperset(one.text.text) for one in attempts]
    unsure = [bool(one.angle) and one.text.confidence < CONVINCING for one in attempts]
    doubtful = [i for i in range(len(attempts)) if few or same[i] or unsure[i]]
    other = [np.ascontiguousarray(attempts[i].crop[::-1, ::-1]) for i in doubtful]
    attempts = list(attempts)
    unclear: dict[int, Attempt] = {}
    for i, crop, text in zip(doubtful, other, stages.recognize(other), strict=True):
        angle, quad, _, before = attempts[i]
        run, rise = quad[1] - quad[0]
        level = abs(rise) < _LEVEL * abs(run)
        better = _UPRIGHT if level and run > 0 else _BETTER
        rotated = Attempt(180 - angle, rotate_quad_180(quad), crop, text)
        if same[i] or text.confidence > before.confidence + better:
            attempts[i] = rotated
        elif before.confidence < text.confidence + _BETTER and not _is_sure(directions[i], stages.cls_threshold):
            unclear[i] = rotated
    clear = [_direction(one.quad) for i, one in enumerate(attempts) if i not in unclear] if few else []
    for i, rotated in unclear.items():
        along = [float(vector @ _direction(attempts[i].quad)) for vector in clear]
        if sum(cosine for cosine in along if abs(cosine) > _PARALLEL) < 0:
            attempts[i] = rotated
    return attempts


def _is_sure(direction: Direction | None, threshold: float) -> bool:
    return direction is not None and direction.probability > threshold


def _direction(quad: np.ndarray) -> np.ndarray:
    """Return the unit vector (2,) from the start of a line to its end."""
    vector = quad[1] - quad[0]
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def rotate_page_by_text(
    stages: Stages, sheet: PageImage, attempts: Sequence[Attempt], sideways: PageImage | None
) -> PageImage:
    """Return the page in the rotation in which it is recognized best; the same object if that is how it is.

    If the horizontal lines are recognized with low confidence, the longest are recognized upside down, and the longest
    found after a rotation by 90 degrees are recognized in both directions. Reasons: On a page rotated by 90 degrees,
    detectors find fragments beside vertical lines. Photographs have few lines, and the direction classifier is wrong
    about one in ten. Vertical lines are no evidence, because they are recognized well on a rotated page and may be
    columns of an upright page.

    Args:
        stages: Networks of the model.
        sheet: The page as recognized.
        attempts: The lines that the detector is sure of.
        sideways: The page rotated by 90 degrees counter-clockwise, if known.
    """
    horizontal = [attempt for attempt in attempts if _is_horizontal(attempt.quad)]
    confidence = _mean_confidence([attempt.text for attempt in horizontal])
    if confidence >= CONVINCING:
        return sheet
    longest = [horizontal[i] for i in _longest([attempt.crop for attempt in horizontal])]
    shown = _characters([attempt.text for attempt in longest]) * len(horizontal) / max(len(longest), 1)
    vertical = [attempt.text for attempt in attempts if not _is_horizontal(attempt.quad)]
    vertical_characters = _characters([text for text in vertical if text.confidence >= CONVINCING])
    flipped = [attempt.crop if attempt.angle else attempt.crop[::-1, ::-1] for attempt in longest]
    sideways = sideways or sheet.rotated(1, stages)
    quads = [quad for quad in sideways.quads[: sideways.sure] if _is_horizontal(quad)]
    sideways_crops = [perspective_crop(sideways.image_rgb, grow_quad(quad, stages.growth)) for quad in quads]
    sideways_crops = [sideways_crops[i] for i in _longest(sideways_crops)]
    best, turns = confidence + _CLEARLY_BETTER if len(horizontal) > _FEW_LINES else CONVINCING, 0
    for quarters, crops in ((2, flipped), (1, sideways_crops), (3, [crop[::-1, ::-1] for crop in sideways_crops])):
        texts = stages.recognize([np.ascontiguousarray(crop) for crop in crops])
        lines, least = (len(horizontal), 0.0) if quarters == 2 else (len(quads), _MORE_TEXT * vertical_characters)
        estimate = _characters(texts) * lines / max(len(texts), 1)
        if estimate >= max(_LEAST_TEXT, _TEXT_SHARE * shown, least) and _mean_confidence(texts) > best:
            best, turns = _mean_confidence(texts), quarters
    if turns == 0:
        return sheet
    return sideways if turns == 1 else sheet.rotated(turns, stages)


def _is_horizontal(quad: np.ndarray) -> bool:
    """Return whether a line (4, 2) is horizontal rather than vertical."""
    run, rise = np.abs(quad[1] - quad[0])
    return bool(run > rise)


def _longest(crops: Sequence[np.ndarray]) -> list[int]:
    """Return the indices of the longest lines, by width / height."""
    order = sorted(range(len(crops)), key=lambda i: -crops[i].shape[1] / crops[i].shape[0])
    return order[:_RETRIED_LINES]


def _characters(texts: Sequence[Decoded]) -> int:
    return sum(len(text.text) for text in texts)


def _mean_confidence(texts: Sequence[Decoded]) -> float:
    """Return the mean confidence of the characters of all texts, 0 without text."""
    return sum(len(text.text) * text.confidence for text in texts) / max(_characters(texts), 1)
