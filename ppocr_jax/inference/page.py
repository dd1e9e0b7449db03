"""Pipeline for one image: detect, correct the orientation, crop, classify, recognize, and order the lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from ppocr_jax.document.page import Line, Quad
from ppocr_jax.geometry import (
    TALL_RATIO,
    CropGrowth,
    grow_quad,
    perspective_crop,
    rotate_points,
    rotate_quad_180,
)
from ppocr_jax.inference.check_boxes import (
    EMPTY,
    TICKED,
    CheckBox,
    boxes_of_lines,
    crop_insides,
    erase_boxes,
    extend_quad,
    find_check_boxes,
    frames_of,
    is_letter,
)
from ppocr_jax.inference.classify import Direction, crop_angles, may_be_sideways, shows_more_text
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.decode import Decoded, with_sign
from ppocr_jax.inference.detect_lines import share_covered
from ppocr_jax.inference.layout import READING_ORDERS
from ppocr_jax.inference.orientation import (
    classify_directions,
    is_readable,
    rotate_lines_by_text,
    rotate_page_by_text,
    rotate_unclassified_lines,
)
from ppocr_jax.inference.recognize import line_words
from ppocr_jax.inference.stages import CONVINCING, Attempt, PageImage, Stages, as_quads
from ppocr_jax.preprocess import more_contrast, with_margin

_MARGIN = 16  # pixels at the detector's scale, added where ink touches the image's border
_MOST_ADDED = 10_000_000  # pixels of one margin
_LEAST_SEEN = 480  # square root of the pixels that the detector sees at least, as `_side_of_strip` sets them
_COLUMN = 2.5  # height / width from which a box may hold several characters below each other
_PADDING = (0.1, 0.05)  # left and right, and above and below, of a single character, as fractions of its height
_BAR, _BAR_MEANS = "|", "I"  # a single bar: without context, it is most often this letter
# A single circle is a zero, a capital or a small letter. A recognizer in doubt divides its confidence among the three.
_CIRCLES, _UNDECIDED = frozenset("0Oo"), 2 / 3
_SHARED = 0.3  # largest share of the area of an unsure box that a better box may cover
_INSIDE = 0.7  # share of the area of a box inside another box from which it is a part of the other


@dataclass(frozen=True)
class LineReading:
    """A detected line, the crop that the recognizer saw, and whether the line was kept."""

    line: Line
    crop: np.ndarray
    kept: bool


@dataclass(frozen=True)
class PageReading:
    """Result of reading one image.

    Attributes:
        found: All detected lines in reading order, including those dropped for low confidence.
        rotation: Degrees clockwise, 0, 90, 180 or 270, by which the text of the image is rotated.
        warnings: Messages about text that may be missing.
    """

    found: tuple[LineReading, ...]
    rotation: int
    warnings: tuple[str, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines that were kept."""
        return tuple(reading.line for reading in self.found if reading.kept)


def prepare_image(stages: Stages, image_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (H, W, 3) uint8 prepared for the networks, and the width (x, y) of its left and top margins.

    The contrast of faint images is increased. Narrow images, and images with ink at the border, get a margin.
    """
    side = stages.settings.limit_side or (stages.detector.spec.limit_side if stages.detector else 0)
    height, width = image_rgb.shape[:2]
    reduced = max(1.0, min(max(height, width) / side, math.sqrt(height * width) / _LEAST_SEEN)) if side else 1.0
    margin = min(math.ceil(_MARGIN * reduced), _MOST_ADDED // max(height, width))
    image, before = with_margin(more_contrast(image_rgb), margin=margin)
    return image, np.array(before, np.float32)


def read_page(stages: Stages, image_rgb: np.ndarray) -> PageReading:
    """Read the lines of an image (H, W, 3) uint8.

    Raises:
        ModelError: If the model has no detector or no recognizer.
    """
    stages.load_ahead()
    size, settings = image_rgb.shape[:2], stages.settings
    image_rgb, before = prepare_image(stages, image_rgb)
    sheet = PageImage(image_rgb, stages.detect_lines(image_rgb))

    # On a page rotated by 90 degrees the detector finds fragments. If boxes may be fragments, detect on the rotated
    # image, too, and keep the image that shows more text.
    sideways = None
    if stages.rotates_pages and may_be_sideways(sheet.detected.boxes):
        sideways = sheet.rotated(1, stages)
        if shows_more_text(sideways.detected.boxes, sheet.detected.boxes) and not is_readable(stages, sheet):
            sheet, sideways = sideways, None
    directions, rotation = classify_directions(stages, sheet)
    # Rotate the page upright and detect again, because the networks find upright lines best. The directions are
    # predicted again, because some lines may differ from the page.
    if rotation:
        sheet, sideways = sheet.rotated(rotation // 90, stages), None
        directions, _ = classify_directions(stages, sheet)
    attempts = _read_lines(stages, sheet, directions, page_known=rotation is not None)
    if stages.rotates_pages:
        best = rotate_page_by_text(stages, sheet, attempts[: sheet.sure], sideways)
        if best is not sheet:
            sheet = best
            attempts = _read_lines(stages, sheet, [None] * len(sheet.boxes), page_known=True)

    boxes = sheet.boxes
    kept = _choose(boxes, [attempt.text for attempt in attempts], sheet.sure, settings.drop_score)
    degrees = 90 * sheet.quarter_turns % 360
    starts = as_quads([attempt.quad for attempt in attempts])
    placed = rotate_points(starts, -degrees, sheet.image_rgb.shape) - before
    placed = placed.clip(0, [size[1] - 1, size[0] - 1])
    # PaddleOCR orders the boxes as detected, before it knows which lines are upside down.
    ordered = READING_ORDERS[settings.reading_order](starts if settings.reading_order == "layout" else sheet.quads)
    growth = stages.growth
    found = tuple(
        LineReading(_line(placed[i], attempts[i], boxes[i].score, growth), attempts[i].crop, kept[i])
        for i in ordered.tolist()
    )
    return PageReading(found, degrees, (sheet.detected.warning,) if sheet.detected.warning else ())


def _read_lines(
    stages: Stages, sheet: PageImage, directions: Sequence[Direction | None], *, page_known: bool
) -> list[Attempt]:
    """Recognize each box.

    Args:
        stages: Networks of the model.
        sheet: The image with its boxes.
        directions: Direction of each box. None: the line follows the page, or stays as it is.
        page_known: Whether the page is known to be upright.
    """
    quads, growth = sheet.quads, stages.growth
    angles = crop_angles(quads, directions, page_known=page_known, threshold=stages.cls_threshold)
    # Boxes end at the ink, where a recognizer is least confident. Crops therefore show a little more.
    starts = as_quads([rotate_quad_180(quad) if angle else quad for quad, angle in zip(quads, angles, strict=True)])
    check_boxes = _check_boxes(stages, sheet, starts) if stages.writes_check_boxes else {}
    if check_boxes:
        erased = erase_boxes(sheet.image_rgb, [box for those in check_boxes.values() for box in those])
        sheet = replace(sheet, image_rgb=erased)
        starts = as_quads([extend_quad(quad, check_boxes.get(i, ())) for i, quad in enumerate(starts)])
    crops = [perspective_crop(sheet.image_rgb, grow_quad(quad, growth)) for quad in starts]
    attempts = [Attempt(*parts) for parts in zip(angles, starts, crops, stages.recognize(crops), strict=True)]
    if stages.rotates_lines:
        if not page_known:
            attempts = rotate_lines_by_text(stages, attempts, directions)
        if None in directions:
            attempts = rotate_unclassified_lines(stages, sheet, directions, attempts)
    attempts = _read_single_characters(stages, sheet, attempts)
    for i, those in check_boxes.items():
        attempts[i] = _with_check_boxes(attempts[i], those, growth)
    return attempts


def _check_boxes(stages: Stages, sheet: PageImage, quads: np.ndarray) -> dict[int, list[CheckBox]]:
    """Return the check boxes of each line that has some. A frame around a letter is not a check box."""
    found = find_check_boxes(sheet.image_rgb, np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1))
    ticked = [box for box in found if box.ticked]
    texts = stages.recognize(crop_insides(sheet.image_rgb, ticked)) if ticked else []
    letters = [box for box, text in zip(ticked, texts, strict=True) if is_letter(text.text, text.confidence)]
    return boxes_of_lines([box for box in found if box not in letters], quads, sheet.sure)


def _with_check_boxes(attempt: Attempt, boxes: Sequence[CheckBox], growth: CropGrowth) -> Attempt:
    """Return a line's recognized text with its check boxes inserted. The recognizer has not seen them."""
    text = attempt.text if boxes else Decoded("", 0.0, (), ())  # the line is a check box that belongs to another line
    for box in boxes:
        sign = TICKED if box.ticked else EMPTY
        text = with_sign(text, sign, *frames_of(box, attempt.quad, text.extent, growth))
    return attempt._replace(text=text)


def _read_single_characters(stages: Stages, sheet: PageImage, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Recognize boxes a little taller than wide also as a single upright character, besides as a rotated column."""
    boxes, attempts = sheet.boxes, list(attempts)
    tall = [i for i, box in enumerate(boxes) if TALL_RATIO <= _steepness(box.points) < _COLUMN]
    standing = [perspective_crop(sheet.image_rgb, _padded(boxes[i].points), rotate_tall=False) for i in tall]
    for i, crop, text in zip(tall, standing, stages.recognize(standing), strict=True):
        lying = attempts[i].text
        sign = not any(c.isalnum() for c in lying.text)  # a rotated bar looks like a dash
        if len(text.text) == 1 and (text.confidence > lying.confidence or sign):
            attempts[i] = Attempt(0, boxes[i].points, crop, text)
    for i, attempt in enumerate(attempts):
        if attempt.text.text == _BAR and _steepness(boxes[i].points) < _COLUMN:
            attempts[i] = attempt._replace(text=replace(attempt.text, text=_BAR_MEANS))
    return attempts


def _steepness(quad: np.ndarray) -> float:
    """Return height / width of a quad (4, 2), clockwise from top-left."""
    across, down = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    return float(down / max(across, 1e-6))


def _padded(quad: np.ndarray) -> np.ndarray:
    """Return the quad (4, 2) of a character, clockwise from top-left, with a margin."""
    across, down = quad[1] - quad[0], quad[3] - quad[0]
    down_length = float(np.linalg.norm(down))
    aside, above = _PADDING[0] * down_length / max(float(np.linalg.norm(across)), 1e-6) * across, _PADDING[1] * down
    return quad + np.stack([-aside - above, aside - above, aside + above, -aside + above])


def _choose(boxes: Sequence[TextBox], texts: Sequence[Decoded], sure: int, drop_score: float) -> list[bool]:
    """Return for each line whether to keep it as text.

    Args:
        boxes: Boxes of the lines, first those that the detector is sure of.
        texts: Recognized texts of the lines.
        sure: Number of boxes that the detector is sure of.
        drop_score: Least confidence of these. The other boxes also need letters and a confidence of `CONVINCING`.
    """
    kept = [text.confidence >= drop_score * (_UNDECIDED if text.text in _CIRCLES else 1) for text in texts]
    signs = [k for k in range(sure) if kept[k] and not any(c.isalnum() for c in texts[k].text)]
    for k in signs:  # a dash or a dot inside another line is a part of a letter there
        others = [boxes[i] for i in range(sure) if i != k and kept[i]]
        kept[k] = share_covered(boxes[k], others) < _INSIDE
    for i in sorted(range(sure, len(texts)), key=lambda i: -texts[i].confidence):
        has_letters = any(c.isalnum() for c in texts[i].text)  # edges of objects are often recognized as "-" or ":"
        chosen = [boxes[k] for k in range(sure, len(texts)) if kept[k] and texts[k].confidence > texts[i].confidence]
        convincing = has_letters and texts[i].confidence >= max(CONVINCING, drop_score)
        kept[i] = convincing and share_covered(boxes[i], chosen) < _SHARED
        inside = [k for k in range(sure) if kept[i] and kept[k] and share_covered(boxes[k], [boxes[i]]) >= _INSIDE]
        # Smaller boxes inside are fragments of large letters, unless they read better: letters in circles, for example,
        # look like others at a smaller scale.
        for k in [i] if _reads_better([texts[k] for k in inside], texts[i]) else inside:
            kept[k] = False
    return kept


def _reads_better(parts: Sequence[Decoded], whole: Decoded) -> bool:
    """Return whether the parts of a line together have at least as much text and a higher confidence."""
    letters = sum(len(part.text.replace(" ", "")) for part in parts)
    surest = sum(len(part.text) * part.confidence for part in parts) / max(sum(len(part.text) for part in parts), 1)
    return letters >= len(whole.text.replace(" ", "")) and surest > whole.confidence


def _line(quad: np.ndarray, attempt: Attempt, score: float, growth: CropGrowth) -> Line:
    corners, text = tuple((float(x), float(y)) for x, y in quad), attempt.text
    words = line_words(text, quad, margins=(growth.left, growth.right))
    return Line(cast(Quad, corners), text.text, text.confidence, score, attempt.angle, words)
