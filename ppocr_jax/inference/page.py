"""One image through the three networks: look, turn, look again, cut, classify, recognize, place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np

from ppocr_jax.document.page import Line, Quad
from ppocr_jax.geometry import (
    TALL_RATIO,
    CropGrowth,
    grow_quad,
    perspective_crop,
    rotate_quad_180,
    turn_points,
)
from ppocr_jax.inference.check_boxes import (
    EMPTY,
    TICKED,
    CheckBox,
    around,
    boxes_of_lines,
    erased,
    find_check_boxes,
    frames_of,
    insides,
    is_letter,
)
from ppocr_jax.inference.classify import Direction, crop_angles, may_lie_sideways, shows_more_text
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.decode import Decoded, with_sign
from ppocr_jax.inference.layout import READING_ORDERS
from ppocr_jax.inference.look import Look, share_covered
from ppocr_jax.inference.options import ReadSettings
from ppocr_jax.inference.orientation import ask_directions, is_read_well, turned_by_reading, turned_by_text, turned_late
from ppocr_jax.inference.recognize import line_words
from ppocr_jax.inference.stages import CONVINCING, Attempt, Stages, as_quads, line_quads
from ppocr_jax.preprocess import more_contrast, with_margin

_MARGIN = 16  # pixels as the detector sees them, where ink touches the image's border
_COLUMN = 2.5  # heights in widths from which on a box may hold several characters below one another
_ROOM = (0.1, 0.05)  # left and right, and above and below, of a character that stands alone, in its heights
_BAR, _BAR_MEANS = "|", "I"  # a bar alone: nothing around it tells more, and it is that letter most often
# A circle alone is a zero, a capital or a small letter; a recognizer that cannot tell shares its confidence among them.
_CIRCLES, _UNDECIDED = frozenset("0Oo"), 2 / 3
_SHARED = 0.3  # share of its box that a box of which the detector is unsure may have in common with a better one
_INSIDE = 0.7  # share of a box inside another one that makes it a part of that


@dataclass(frozen=True)
class LineReading:
    """One found line: the image that the recognizer saw of it, and whether it was kept."""

    line: Line
    crop: np.ndarray
    kept: bool


@dataclass(frozen=True)
class PageReading:
    """What was read in an image.

    Attributes:
        found: every line that was found, in reading order, also those read with too little confidence.
        rotation: degrees clockwise, 0, 90, 180 or 270, by which the image's text was turned.
        warnings: what may be missing.
    """

    found: tuple[LineReading, ...]
    rotation: int
    warnings: tuple[str, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines that were kept."""
        return tuple(reading.line for reading in self.found if reading.kept)


def prepared(stages: Stages, image_rgb: np.ndarray, settings: ReadSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (H, W, 3) uint8 as networks see it best, and how much (x, y) was put before its first pixel.

    What is faint gets contrast, and letters at the border, or in a narrow image, get something around them.
    """
    side = settings.limit_side or (stages.detector.spec.limit_side if stages.detector else 0)
    reduced = max(1.0, max(image_rgb.shape[:2]) / side) if side else 1.0
    image, before = with_margin(more_contrast(image_rgb), margin=math.ceil(_MARGIN * reduced))
    return image, np.array(before, np.float32)


def read_page(stages: Stages, image_rgb: np.ndarray, settings: ReadSettings) -> PageReading:
    """Read the lines of an image (H, W, 3) uint8.

    Raises:
        ModelError: the model lacks a detector or a recognizer.
    """
    stages.load_ahead()
    size = image_rgb.shape[:2]
    image_rgb, before = prepared(stages, image_rgb, settings)
    sheet = _Sheet(image_rgb, stages.look(image_rgb, settings), 0)
    classifier = stages.classifier if settings.use_classifier else None
    # A line alone is no page that could lie some way.
    pages = classifier is not None and settings.page_direction and not settings.single_line

    # A page on its side shows fragments: where that may be so, look at it turned and keep what shows more text.
    sideways = sheet.turned(1, stages, settings) if pages and may_lie_sideways(sheet.seen.boxes) else None
    fuller = sideways is not None and shows_more_text(sideways.seen.boxes, sheet.seen.boxes)
    if sideways and fuller and not is_read_well(stages, settings, sheet.image_rgb, sheet.seen.boxes):
        sheet, sideways = sideways, None
    directions, rotation = ask_directions(stages, settings, sheet.image_rgb, sheet.quads, len(sheet.seen.boxes))
    # A turned page is looked at again, for networks find and frame upright lines best; the directions of its lines are
    # asked anew, as some may be against the others.
    if rotation:
        sheet, sideways = sheet.turned(rotation // 90, stages, settings), None
        directions, _ = ask_directions(stages, settings, sheet.image_rgb, sheet.quads, len(sheet.seen.boxes))
    attempts = _read_lines(stages, settings, sheet, directions, page_known=rotation is not None)
    if pages:
        sure, seen = attempts[: len(sheet.seen.boxes)], sideways.seen if sideways else None
        quarters, seen = turned_by_reading(stages, settings, sheet.image_rgb, sure, seen)
        if quarters:
            sheet = sheet.turned(quarters, stages, settings, seen)
            attempts = _read_lines(stages, settings, sheet, [None] * len(sheet.boxes), page_known=True)

    boxes = sheet.boxes
    kept = _choose(boxes, [attempt.text for attempt in attempts], len(sheet.seen.boxes), settings.drop_score)
    degrees = 90 * sheet.quarter_turns % 360
    starts = as_quads([attempt.quad for attempt in attempts])
    placed = turn_points(starts, -degrees, sheet.image_rgb.shape) - before
    placed = placed.clip(0, [size[1] - 1, size[0] - 1])
    # PaddleOCR orders boxes as they were found, before it knows which ones stand on their head.
    ordered = READING_ORDERS[settings.reading_order](starts if settings.reading_order == "layout" else sheet.quads)
    growth = stages.growth
    found = tuple(
        LineReading(_line(placed[i], attempts[i], boxes[i].score, growth), attempts[i].crop, kept[i])
        for i in ordered.tolist()
    )
    return PageReading(found, degrees, (sheet.seen.warning,) if sheet.seen.warning else ())


@dataclass(frozen=True)
class _Sheet:
    """An image as it is read, what was found in it, and the quarters by which it was turned, counter-clockwise."""

    image_rgb: np.ndarray
    seen: Look
    quarter_turns: int

    @property
    def boxes(self) -> list[TextBox]:
        """All that was found: first what the detector is sure of."""
        return [*self.seen.boxes, *self.seen.unsure]

    @cached_property
    def quads(self) -> np.ndarray:
        """(n, 4, 2) of the boxes, each from the corner where its text starts if it stands upright."""
        return line_quads(self.boxes)

    def turned(self, quarters: int, stages: Stages, settings: ReadSettings, seen: Look | None = None) -> _Sheet:
        """Return the sheet turned further, and looked at if it was not."""
        image_rgb = np.ascontiguousarray(np.rot90(self.image_rgb, quarters))
        return _Sheet(image_rgb, seen or stages.look(image_rgb, settings), self.quarter_turns + quarters)


def _read_lines(
    stages: Stages, settings: ReadSettings, sheet: _Sheet, directions: Sequence[Direction | None], *, page_known: bool
) -> list[Attempt]:
    """Return the reading of each box.

    Args:
        stages, settings: of the reading.
        sheet: the image with its boxes.
        directions: of each box; None follows the page, or stays as it is.
        page_known: whether the sheet is known to stand upright.
    """
    image_rgb, quads, growth, sure = sheet.image_rgb, sheet.quads, stages.growth, len(sheet.seen.boxes)
    angles = crop_angles(quads, directions, page_known=page_known, threshold=stages.cls_threshold(settings))
    # Boxes end with the ink, and just there a recognizer is least sure: it sees a little more of what is around a line.
    starts = as_quads([rotate_quad_180(quad) if angle else quad for quad, angle in zip(quads, angles, strict=True)])
    check_boxes = _check_boxes(stages, settings, image_rgb, starts, sure)
    if check_boxes:
        image_rgb = erased(image_rgb, [box for those in check_boxes.values() for box in those])
        starts = as_quads([around(quad, check_boxes.get(i, ())) for i, quad in enumerate(starts)])
    crops = [perspective_crop(image_rgb, grow_quad(quad, growth)) for quad in starts]
    texts = stages.recognize(crops, settings)
    attempts = [Attempt(*parts) for parts in zip(angles, starts, crops, texts, strict=True)]
    if stages.classifier is not None and settings.use_classifier:
        if not page_known:
            attempts = turned_by_text(stages, settings, attempts)
        if None in directions:
            attempts = turned_late(stages, settings, image_rgb, quads, directions, attempts)
    attempts = _read_standing(stages, settings, image_rgb, sheet.boxes, attempts)
    for i, those in check_boxes.items():
        attempts[i] = _with_check_boxes(attempts[i], those, growth)
    return attempts


def _check_boxes(
    stages: Stages, settings: ReadSettings, image_rgb: np.ndarray, quads: np.ndarray, sure: int
) -> dict[int, list[CheckBox]]:
    """Return the check boxes of each line that has some, if they are looked for; frames of letters are none."""
    if settings.single_line or not stages.writes_check_boxes(settings):
        return {}
    found = find_check_boxes(image_rgb, np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1))
    ticked = [box for box in found if box.ticked]
    texts = stages.recognize(insides(image_rgb, ticked), settings) if ticked else []
    letters = [box for box, text in zip(ticked, texts, strict=True) if is_letter(text.text, text.confidence)]
    return boxes_of_lines([box for box in found if box not in letters], quads, sure)


def _with_check_boxes(attempt: Attempt, boxes: Sequence[CheckBox], growth: CropGrowth) -> Attempt:
    """Return a line's reading with its check boxes, which the recognizer has not seen, among its characters."""
    text = attempt.text if boxes else Decoded("", 0.0, (), ())  # nothing but a box, which is another line's
    for box in boxes:
        sign = TICKED if box.ticked else EMPTY
        text = with_sign(text, sign, *frames_of(box, attempt.quad, text.extent, growth))
    return attempt._replace(text=text)


def _read_standing(
    stages: Stages,
    settings: ReadSettings,
    image_rgb: np.ndarray,
    boxes: Sequence[TextBox],
    attempts: Sequence[Attempt],
) -> list[Attempt]:
    """Read boxes a little higher than wide, turned to lie as columns are, also as single characters that stand."""
    tall = [i for i, box in enumerate(boxes) if TALL_RATIO <= _steepness(box.points) < _COLUMN]
    standing = [perspective_crop(image_rgb, _with_room(boxes[i].points), turn_tall=False) for i in tall]
    attempts = list(attempts)
    for i, crop, text in zip(tall, standing, stages.recognize(standing, settings), strict=True):
        lying = attempts[i].text
        sign = not any(c.isalnum() for c in lying.text)  # a bar that lies is a dash, whatever it was
        if len(text.text) == 1 and (text.confidence > lying.confidence or sign):
            attempts[i] = Attempt(0, boxes[i].points, crop, text)
    for i, attempt in enumerate(attempts):
        if attempt.text.text == _BAR and _steepness(boxes[i].points) < _COLUMN:
            attempts[i] = attempt._replace(text=replace(attempt.text, text=_BAR_MEANS))
    return attempts


def _steepness(quad: np.ndarray) -> float:
    """Return how many times as high as wide a quad (4, 2), clockwise from top-left, is."""
    across, down = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    return float(down / max(across, 1e-6))


def _with_room(quad: np.ndarray) -> np.ndarray:
    """Return a character's quad (4, 2), clockwise from top-left, with some room around."""
    across, down = quad[1] - quad[0], quad[3] - quad[0]
    down_length = float(np.linalg.norm(down))
    aside, above = _ROOM[0] * down_length / max(float(np.linalg.norm(across)), 1e-6) * across, _ROOM[1] * down
    return quad + np.stack([-aside - above, aside - above, aside + above, -aside + above])


def _choose(boxes: Sequence[TextBox], texts: Sequence[Decoded], sure: int, drop_score: float) -> list[bool]:
    """Return which lines are text.

    Args:
        boxes: of the lines: first those that the detector is sure of, then the others.
        texts: of the lines.
        sure: how many the detector is sure of.
        drop_score: the least confidence of those; of the others more is asked.
    """
    kept = [text.confidence >= drop_score * (_UNDECIDED if text.text in _CIRCLES else 1) for text in texts]
    signs = [k for k in range(sure) if kept[k] and not any(c.isalnum() for c in texts[k].text)]
    for k in signs:  # a dash or a dot inside of another line is a part of its letters
        others = [boxes[i] for i in range(sure) if i != k and kept[i]]
        kept[k] = share_covered(boxes[k], others) < _INSIDE
    for i in sorted(range(sure, len(texts)), key=lambda i: -texts[i].confidence):
        sign = any(c.isalnum() for c in texts[i].text)  # edges of things are read as - or : with confidence
        chosen = [boxes[k] for k in range(sure, len(texts)) if kept[k] and texts[k].confidence > texts[i].confidence]
        convincing = sign and texts[i].confidence >= max(CONVINCING, drop_score)
        kept[i] = convincing and share_covered(boxes[i], chosen) < _SHARED
        inside = [k for k in range(sure) if kept[i] and kept[k] and share_covered(boxes[k], [boxes[i]]) >= _INSIDE]
        if _reads_better([texts[k] for k in inside], texts[i]):  # letters in circles, which look like others from afar
            kept[i] = False
        else:  # what was found inside of its letters, from too near, were fragments
            for k in inside:
                kept[k] = False
    return kept


def _reads_better(parts: Sequence[Decoded], whole: Decoded) -> bool:
    """Return whether parts of a line hold as much text as it does, read with more confidence."""
    letters = sum(len(part.text.replace(" ", "")) for part in parts)
    surest = sum(len(part.text) * part.confidence for part in parts) / max(sum(len(part.text) for part in parts), 1)
    return letters >= len(whole.text.replace(" ", "")) and surest > whole.confidence


def _line(quad: np.ndarray, attempt: Attempt, score: float, growth: CropGrowth) -> Line:
    corners, text = tuple((float(x), float(y)) for x, y in quad), attempt.text
    words = line_words(text, quad, margins=(growth.left, growth.right))
    return Line(cast(Quad, corners), text.text, text.confidence, score, attempt.angle, words)
