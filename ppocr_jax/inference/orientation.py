"""Which way a page and its lines lie: asked of the direction classifier, and told by what is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppocr_jax.geometry import grow_quad, perspective_crop, rotate_quad_180
from ppocr_jax.inference.classify import Direction, crop_angles, page_rotation
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.decode import Decoded
from ppocr_jax.inference.look import Look
from ppocr_jax.inference.options import ReadSettings
from ppocr_jax.inference.stages import CONVINCING, Attempt, Stages, cut_lines, line_quads

_TURNS_INTO_ITSELF = frozenset(
    "0168925SNOHIXZosxzl|%=+-_/:.,'\"` "
)  # what reads alike, or as another of these, upside down
_FEW_LINES = 2  # of an image: each is read both ways
_BETTER = 0.02  # in confidence: less says nothing of which way a line stands
_UPRIGHT = 0.1  # the same where the line stands upright, as nearly all do
_LEVEL = 0.36  # rise of a line beside its run, about 20 degrees, up to which it stands upright
_SAMPLE = 40  # boxes that tell whether a page is read well
_SPEAKERS = 8  # longest lines, of which the classifier knows most, that may say for all that a page stands upright
_WITNESSES = 8  # longest lines, that are read in the other directions where a page is read badly
_MUCH_SURER = 0.1  # mean confidence by which a page must be read better the other way
_AS_MUCH, _LEAST_TEXT = 0.5, 3  # share of the text that must be read that way, and characters
_BEYOND = 1.5  # how many times as much text as stands on the page a turn by a quarter must show


def is_read_well(stages: Stages, settings: ReadSettings, image_rgb: np.ndarray, boxes: Sequence[TextBox]) -> bool:
    """Return whether boxes hardly longer than high are text: a column of short numbers, not fragments of lines.

    Measured: mean confidences of 0.2 to 0.6 on receipts that lie on their side, 0.99 on columns of numbers.
    """
    if stages.recognizer is None or not boxes:
        return False
    crops = cut_lines(image_rgb, line_quads(boxes[:_SAMPLE]))
    return float(np.mean([text.confidence for text in stages.recognize(crops, settings)])) > CONVINCING


def ask_directions(
    stages: Stages, settings: ReadSettings, image_rgb: np.ndarray, quads: np.ndarray, sure: int
) -> tuple[list[Direction | None], int | None]:
    """Return how each line of a page lies, None where it was not asked, and by how many degrees the page is turned.

    Where the longest lines say that the page stands upright, the others that run along it are not asked: nearly all
    follow it, and those that do not are told by what they read, see `turned_late`.

    Args:
        stages, settings: of the reading; with no classifier no line is asked.
        image_rgb: (H, W, 3) uint8.
        quads: (n, 4, 2) of the lines, each from the corner that becomes its crop's top-left.
        sure: how many of them, the first ones, may speak for the page.

    Returns:
        a direction or None for each line; 0, 90, 180 or 270, or None where the lines do not agree, or are not asked.
    """
    if stages.classifier is None or not settings.use_classifier:
        return [None] * len(quads), None
    found: dict[int, Direction] = {}

    def ask(lines: Sequence[int]) -> None:
        found.update(zip(lines, stages.classify(cut_lines(image_rgb, quads[lines]), settings), strict=True))

    pages = settings.page_direction and not settings.single_line  # a line alone is no page that could lie some way
    along = quads[:, 1] - quads[:, 0]
    speakers = np.argsort(-np.linalg.norm(along[:sure], axis=1), kind="stable")[:_SPEAKERS].tolist() if pages else []
    ask(speakers)
    upright = page_rotation(quads[speakers], [found[i] for i in speakers]) == 0
    lying = np.abs(along[:, 0]) > np.abs(along[:, 1])
    ask([i for i in range(len(quads)) if i not in found and not (upright and lying[i])])
    rotation = 0 if upright else page_rotation(quads[:sure], [found[i] for i in range(sure)]) if pages else None
    return [found.get(i) for i in range(len(quads))], rotation


def turned_late(
    stages: Stages,
    settings: ReadSettings,
    image_rgb: np.ndarray,
    quads: np.ndarray,
    directions: Sequence[Direction | None],
    attempts: Sequence[Attempt],
) -> list[Attempt]:
    """Ask how lines lie that followed the page unasked, where they are not read with confidence, and turn them.

    Where one of them is against the page, all are asked: one in ten is read with confidence upside down.
    """
    attempts = list(attempts)
    unasked = [i for i, direction in enumerate(directions) if direction is None]
    doubtful = [i for i in unasked if attempts[i].text.confidence < CONVINCING]
    for lines in (doubtful, [i for i in unasked if i not in doubtful]):
        found = stages.classify(cut_lines(image_rgb, quads[lines]), settings)
        angles = crop_angles(quads[lines], found, page_known=True, threshold=stages.cls_threshold(settings))
        turned = [i for i, angle in zip(lines, angles, strict=True) if angle != attempts[i].angle]
        other = [np.ascontiguousarray(attempts[i].crop[::-1, ::-1]) for i in turned]
        texts = dict(zip(turned, stages.recognize(other, settings), strict=True))
        surer = [i for i in turned if texts[i].confidence > attempts[i].text.confidence]
        for i, crop in zip(turned, other, strict=True):
            if i in surer:
                angle, quad, *_ = attempts[i]
                attempts[i] = Attempt(180 - angle, rotate_quad_180(quad), crop, texts[i])
        if not surer:
            break
    return attempts


def turned_by_text(stages: Stages, settings: ReadSettings, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Turn lines that no page speaks for by what they read: the classifier knows less of a word than the recognizer.

    Text that would read as well upside down, as 9.99, stays as it is. The few lines of an image that has no more, and
    what was turned and is not read with confidence, are read the other way round, too. The surer reading counts;
    upside down it must be a good deal surer.
    """
    few = len(attempts) <= _FEW_LINES
    same = [bool(one.angle) and _TURNS_INTO_ITSELF.issuperset(one.text.text) for one in attempts]
    unsure = [bool(one.angle) and one.text.confidence < CONVINCING for one in attempts]
    doubtful = [i for i in range(len(attempts)) if few or same[i] or unsure[i]]
    other = [np.ascontiguousarray(attempts[i].crop[::-1, ::-1]) for i in doubtful]
    attempts = list(attempts)
    for i, crop, text in zip(doubtful, other, stages.recognize(other, settings), strict=True):
        angle, quad, _, before = attempts[i]
        run, rise = quad[1] - quad[0]
        level = abs(rise) < _LEVEL * abs(run)
        better = _UPRIGHT if level and run > 0 else _BETTER
        if same[i] or text.confidence > before.confidence + better:
            attempts[i] = Attempt(180 - angle, rotate_quad_180(quad), crop, text)
    return attempts


def turned_by_reading(
    stages: Stages, settings: ReadSettings, image_rgb: np.ndarray, attempts: Sequence[Attempt], seen: Look | None
) -> tuple[int, Look | None]:
    """Return by how many quarters, counter-clockwise, a page has to be turned again to be read better.

    Where lying lines are read without confidence, the longest are read upside down, and those that lie if the page is
    turned on its side both ways. On pages on their side detectors find fragments beside lines that stand; photographs
    have few lines, and the direction classifier is wrong of one in ten. Lines that stand are read as well on a page on
    its side, and say nothing: they may be columns of an upright page.

    Args:
        stages, settings: of the reading.
        image_rgb: (H, W, 3) uint8, as it was read.
        attempts: the lines of which the detector is sure.
        seen: the look at the page on its side, turned counter-clockwise, if there was one.

    Returns:
        0 to 3, and the look at the page turned so, if there was one.
    """
    lying = [attempt for attempt in attempts if _lies(attempt.quad)]
    surety = _surety([attempt.text for attempt in lying])
    if surety >= CONVINCING:
        return 0, None
    longest = [lying[i] for i in _longest([attempt.crop for attempt in lying])]
    shown = _characters([attempt.text for attempt in longest]) * len(lying) / max(len(longest), 1)
    columns = [attempt.text for attempt in attempts if not _lies(attempt.quad)]
    standing = _characters([text for text in columns if text.confidence >= CONVINCING])
    against = [attempt.crop if attempt.angle else attempt.crop[::-1, ::-1] for attempt in longest]
    sideways = np.ascontiguousarray(np.rot90(image_rgb))
    seen = seen or stages.look(sideways, settings)
    quads = [quad for quad in line_quads(seen.boxes) if _lies(quad)]
    along = [perspective_crop(sideways, grow_quad(quad, stages.growth)) for quad in quads]
    along = [along[i] for i in _longest(along)]
    best, turns = surety + _MUCH_SURER if len(lying) > _FEW_LINES else CONVINCING, 0
    for quarters, crops in ((2, against), (1, along), (3, [crop[::-1, ::-1] for crop in along])):
        texts = stages.recognize([np.ascontiguousarray(crop) for crop in crops], settings)
        lines, least = (len(lying), 0.0) if quarters == 2 else (len(quads), _BEYOND * standing)
        estimate = _characters(texts) * lines / max(len(texts), 1)
        if estimate >= max(_LEAST_TEXT, _AS_MUCH * shown, least) and _surety(texts) > best:
            best, turns = _surety(texts), quarters
    return turns, seen if turns == 1 else None


def _lies(quad: np.ndarray) -> bool:
    """Return whether a line (4, 2) runs along the page, not up or down."""
    run, rise = np.abs(quad[1] - quad[0])
    return bool(run > rise)


def _longest(crops: Sequence[np.ndarray]) -> list[int]:
    """Return which lines are the longest, in their heights."""
    order = sorted(range(len(crops)), key=lambda i: -crops[i].shape[1] / crops[i].shape[0])
    return order[:_WITNESSES]


def _characters(texts: Sequence[Decoded]) -> int:
    return sum(len(text.text) for text in texts)


def _surety(texts: Sequence[Decoded]) -> float:
    """Return the mean confidence of the characters of all texts; 0 where there are none."""
    return sum(len(text.text) * text.confidence for text in texts) / max(_characters(texts), 1)
