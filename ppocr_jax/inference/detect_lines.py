"""Detection of all lines of an image, at a larger scale, rotated, and at a smaller scale if necessary.

A detector finds upright letters about 10 to 100 pixels high. A single pass over a page misses others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.options import ReadSettings

# Heights of boxes in pixels at the detector's scale. Measured on documents and receipts: recall falls if the median is
# below 13 (.70 at 13, .35 at 10, .06 at 7 on A4 pages), and is best at about 20.
_TOO_LOW, _GOOD = 13.5, 20.0
_MOST_PIXELS = 16_000_000  # of an enlarged pass
# Up to `_FEW` boxes are weak evidence, unless their text is large: detect again at a scale larger by `_BLIND_STEP` if
# the page was reduced below `_MUCH_REDUCED`.
_FEW, _LARGE, _MUCH_REDUCED, _BLIND_STEP = 4, 30.0, 0.5, 2.5
# If words too small to be detected are close below each other, as in lists, their boxes merge and look like large
# letters. A box holds rows if it has at least three bands of ink, with a median height below a quarter of its width:
# .28 to .80 of the boxes of synthetic lists (letters of 14 pixels on A4 at 200 dpi), at most .09 of 16 validation
# images, and .27 of these rotated by 90 degrees, because their letters are bands, too. The boxes at the larger scale
# are used only if they show clearly more text (`_CLEARLY_MORE`).
_ROWS, _LOW_ROW, _ROWS_SHARE = 3, 0.25, 0.25
_LEAST_INK, _THINNEST_ROW = 0.02, 3  # of a band: share of the width, and pixels
# Boxes with a score between this share of the threshold and the threshold are passed to the recognizer. On validation
# images, nearly all that it recognizes with a confidence above .9 are text, unless they overlap a line already found.
_UNSURE, _SHARED = 0.5, 0.3
_STRIP = 4.0  # aspect ratio above which an image is a strip
# Reductions of the scale for large letters. The first pass costs a ninth of the pass before it.
_REDUCTIONS, _LEAST_SIDE = (3, 9), 48
# Pixels. Letters below the first height are found without these passes; letters above the second in parts, if at all.
_LETTERS_SEEN, _LETTERS_KNOWN = 60.0, 100.0
_LIKE_HEIGHT, _COVERED, _SEVERAL = 0.6, 0.7, 0.35  # see `_is_found`
_EDGE, _EDGES = 40, 30  # gray levels, and pixels: a bar of 3 x 12 pixels has 30 edge pixels
# Lines more than twice as long as high have a reliable angle. A detector finds lines with less slant than `_SLANTED`
# well. Up to `_STEEP`, the image is rotated until they are level; steeper lines may be columns of vertical writing.
_CLEARLY_LONGER, _SLANTED, _PARALLEL, _STEEP = 2.0, 10.0, 7.0, 60.0
# In diagonal lines, detectors find single letters: at least `_MANY` boxes, with a median aspect ratio below `_SQUARE`.
# A page rotated by 45 degrees must show `_CLEARLY_MORE` times as much text.
_DIAGONAL, _MANY, _SQUARE, _CLEARLY_MORE = 45.0, 20, 2.0, 1.5


@dataclass(frozen=True)
class DetectedLines:
    """Detection result of an image.

    Attributes:
        boxes: Boxes in no particular order, each with a score of at least the threshold.
        unsure: Boxes that are text only if the recognizer can read them: with a score slightly below the threshold, or
            found at a smaller scale.
        warning: Message that some lines may be missing, or "".
    """

    boxes: list[TextBox]
    unsure: list[TextBox] = field(default_factory=list)
    warning: str = ""


def detect_lines(detector: TextDetector, image_rgb: np.ndarray, settings: ReadSettings) -> DetectedLines:
    """Detect the lines of an image (H, W, 3) uint8.

    A page is processed again at a larger scale, if it was reduced until its text is too small; rotated, if its lines
    are slanted; and at a smaller scale, if it has content outside the boxes. Uncertain boxes are returned separately.
    """
    passes = _Passes.of(detector, settings)
    again, side = settings.look_again and detector.spec.size is None, passes.side
    if again and passes.reducing:
        side = _side_of_strip(image_rgb.shape, side)
    found = passes.run(image_rgb, side)
    if again and passes.reducing:
        found, side = _enlarged(passes, image_rgb, found, side)
    scale = min(1.0, side / max(image_rgb.shape[:2])) if passes.reducing else 1.0
    if again:
        found = _leveled(passes, image_rgb, found, scale)

    sure = passes.sure(found)
    # Boxes below the threshold that overlap boxes above it are parts of their lines.
    unsure = [box for box in found if box.score < passes.threshold and share_covered(box, sure) < _SHARED]
    if again and passes.reducing:
        unsure += _large_letters(passes, image_rgb, sure, scale)
    return DetectedLines(sure, unsure, reduction_warning(sure, image_rgb.shape, side) if passes.reducing else "")


@dataclass(frozen=True)
class _Passes:
    """A detector and the options common to all passes over an image.

    Attributes:
        detector: The detector.
        arguments: Its options. The box threshold is that of unsure boxes.
        threshold: Least score of sure boxes.
        reducing: Whether images are reduced to a maximum side, so that it makes sense to change it.
        side: Limit of the side, in pixels, of the first pass.
    """

    detector: TextDetector
    arguments: Mapping[str, Any]
    threshold: float
    reducing: bool
    side: int

    @classmethod
    def of(cls, detector: TextDetector, settings: ReadSettings) -> _Passes:
        spec = detector.spec
        arguments = {**settings.detector_arguments(), "polygons": False}  # lines are cropped as rectangles
        threshold = settings.box_threshold
        if threshold is None:
            threshold = spec.postprocess.box_threshold
            arguments["box_threshold"] = _UNSURE * threshold
        reducing = (settings.limit_type or spec.limit_type) == "max" and spec.size is None
        return cls(detector, arguments, threshold, reducing, settings.limit_side or spec.limit_side)

    def run(self, image_rgb: np.ndarray, side: int, **options: Any) -> list[TextBox]:
        """Return the boxes found with a limit of the side in pixels."""
        return self.detector(image_rgb, **{**self.arguments, "limit_side": side, **options})

    def sure(self, boxes: Sequence[TextBox]) -> list[TextBox]:
        """Return the boxes with a score of at least the threshold."""
        return [box for box in boxes if box.score >= self.threshold]

    def evidence(self, boxes: Sequence[TextBox]) -> float:
        """Return the amount of text that the sure boxes show."""
        return evidence(self.sure(boxes))


def _enlarged(passes: _Passes, image_rgb: np.ndarray, found: list[TextBox], side: int) -> tuple[list[TextBox], int]:
    """Return the boxes at a scale at which the text is large enough, and the longer side at that scale."""
    if nearer := _side_for_rows(passes.sure(found), image_rgb, side):
        near = passes.run(image_rgb, nearer)
        if passes.evidence(near) > _CLEARLY_MORE * passes.evidence(found):
            found, side = near, nearer
    for _ in range(2):
        nearer = nearer_side(passes.sure(found), image_rgb.shape, side)
        if nearer is None:
            break
        found, side = passes.run(image_rgb, nearer), nearer
    return found, side


def _leveled(passes: _Passes, image_rgb: np.ndarray, found: list[TextBox], scale: float) -> list[TextBox]:
    """Return the boxes of the image rotated until its lines are level, if it then shows more text."""
    angle = slant(found)
    angles, times = ([angle], 1.0) if angle else ([], 1.0)
    if not angle and _are_fragments(found):
        angles, times = [_DIAGONAL, -_DIAGONAL], _CLEARLY_MORE
    most = times * passes.evidence(found)
    for angle in angles:
        rotated, inverse = _rotated_by(image_rgb, angle)
        side = math.ceil(max(rotated.shape[:2]) * scale) if passes.reducing else passes.side
        mapped = [
            TextBox((box.points @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32), box.score)
            for box in passes.run(rotated, side)
        ]
        if passes.evidence(mapped) > most:
            found, most = mapped, passes.evidence(mapped)
    return found


def _side_of_strip(size: Sequence[int], side: int) -> int:
    """Return the limit of the longer side for a strip: it gets the area of an image with aspect ratio `_STRIP`.

    The text of a strip is as high as the strip at most. It would vanish long before the pixels cost anything.
    """
    aspect_ratio = max(size[:2]) / min(size[:2])
    return math.ceil(side * math.sqrt(max(1.0, aspect_ratio / _STRIP)))


def nearer_side(boxes: Sequence[TextBox], size: Sequence[int], limit_side: int) -> int | None:
    """Return the longer side, in pixels, at which to detect again, or None if the scale is large enough.

    Args:
        boxes: Detected boxes, in pixels of the image.
        size: (height, width) of the image.
        limit_side: Longer side at which they were detected.
    """
    scale = limit_side / max(size[:2])
    if scale >= 1 or not _too_small(boxes, scale):
        return None
    step = _GOOD / (_median_height(boxes) * scale) if len(boxes) > _FEW else _BLIND_STEP
    return _enlarged_side(size, limit_side, step)


def _side_for_rows(boxes: Sequence[TextBox], image_rgb: np.ndarray, limit_side: int) -> int | None:
    """Return the longer side at which to detect again if boxes hold several rows of text, otherwise None."""
    if not boxes or limit_side >= max(image_rgb.shape[:2]) or rows_share(boxes, image_rgb) < _ROWS_SHARE:
        return None
    return _enlarged_side(image_rgb.shape, limit_side, _BLIND_STEP)


def rows_share(boxes: Sequence[TextBox], image_rgb: np.ndarray) -> float:
    """Return the share of boxes, 0..1, that hold several rows of text."""
    import cv2

    several = 0
    for box in boxes:
        left, top = np.floor(box.points.min(axis=0)).astype(int).clip(0)
        right, bottom = np.ceil(box.points.max(axis=0)).astype(int) + 1
        gray = cv2.cvtColor(image_rgb[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
        ink = cv2.threshold(gray, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]
        share = ink.mean(axis=1)
        share = share if ink.mean() < 0.5 else 1 - share  # the background has more pixels than the letters
        edges = np.flatnonzero(np.diff(share > _LEAST_INK, prepend=False, append=False))
        bands = edges[1::2] - edges[::2]
        bands = bands[bands >= _THINNEST_ROW]
        several += len(bands) >= _ROWS and float(np.median(bands)) < _LOW_ROW * (right - left)
    return several / len(boxes)


def _enlarged_side(size: Sequence[int], limit_side: int, step: float) -> int | None:
    """Return the longer side enlarged by a factor, within `_MOST_PIXELS`, or None if that is hardly larger."""
    longest = max(size[:2])
    most = longest * math.sqrt(_MOST_PIXELS / (size[0] * size[1]))
    side = math.ceil(min(longest, most, limit_side * max(step, 1.2)))
    return side if side > 1.05 * limit_side else None


def reduction_warning(boxes: Sequence[TextBox], size: Sequence[int], limit_side: int) -> str:
    """Return a warning that text may be missing, or "".

    Args:
        boxes, size, limit_side: Of the last pass; see `nearer_side`.
    """
    scale = limit_side / max(size[:2])
    if scale >= 1 or not _too_small(boxes, scale):
        return ""
    return (
        f"the page was reduced to {scale:.0%} of its {size[1]}x{size[0]} pixels, at which small text is missed; "
        "a larger limit_side sees more"
    )


def _too_small(boxes: Sequence[TextBox], scale: float) -> bool:
    seen = _median_height(boxes) * scale if boxes else 0.0
    return seen < _TOO_LOW if len(boxes) > _FEW else scale < _MUCH_REDUCED and seen < _LARGE


def slant(boxes: Sequence[TextBox]) -> float:
    """Return the angle in degrees, -60..60, by which to rotate an image counter-clockwise to make its text level.

    It is 0 if the text is hardly slanted. Text steeper than 60 degrees is rotated until it is vertical.
    """
    quads = np.array([box.points for box in boxes if len(box.points) == 4], np.float32).reshape(-1, 4, 2)
    sides = quads[:, [1, 2]] - quads[:, [0, 1]]  # top and right
    lengths = np.linalg.norm(sides, axis=2)
    longer = lengths.argmax(axis=1)
    long_sides, length = sides[np.arange(len(quads)), longer], lengths.max(axis=1)
    clear = length > _CLEARLY_LONGER * lengths.min(axis=1)
    if not clear.any():
        return 0.0
    angles = np.degrees(np.arctan2(long_sides[clear, 1], long_sides[clear, 0]))
    angles, weights = (angles + 90) % 180 - 90, length[clear]
    angles = np.where(np.abs(angles) > _STEEP, angles - np.sign(angles) * 90, angles)
    order = np.argsort(angles)
    median = float(angles[order][np.searchsorted(weights[order].cumsum(), weights.sum() / 2)])
    parallel = np.abs((angles - median + 45) % 90 - 45) < _PARALLEL
    return median if abs(median) > _SLANTED and weights[parallel].sum() > 0.6 * weights.sum() else 0.0


def _are_fragments(boxes: Sequence[TextBox]) -> bool:
    """Return whether the boxes may be letters of diagonal lines: many boxes, most of them hardly longer than high."""
    return len(boxes) >= _MANY and float(np.median(elongations(boxes))) < _SQUARE


def _rotated_by(image_rgb: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a rotated copy of an image (counter-clockwise, uncropped), and the matrix (2, 3) that maps points back."""
    import cv2

    height, width = image_rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    sine, cosine = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
    size = math.ceil(width * cosine + height * sine), math.ceil(width * sine + height * cosine)
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    rotated = cv2.warpAffine(image_rgb, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return rotated, cv2.invertAffineTransform(matrix)


def _large_letters(passes: _Passes, image_rgb: np.ndarray, sure: Sequence[TextBox], scale: float) -> list[TextBox]:
    """Return lines of large letters found at smaller scales, if there may be any besides the boxes found at `scale`."""
    heights = _heights(sure)
    large = bool((heights * scale > _LETTERS_KNOWN).any())
    more: list[TextBox] = []
    for reduction in _REDUCTIONS:
        side = math.ceil(max(image_rgb.shape[:2]) * scale / reduction)
        if side < _LEAST_SIDE or not (large or _has_other_edges(image_rgb, sure, side)):
            break
        far = passes.run(image_rgb, side, box_threshold=passes.threshold)
        tall = zip(far, _heights(far), strict=True)
        more += [
            box for box, height in tall if height * scale > _LETTERS_SEEN and not _is_found(box, height, sure, heights)
        ]
    return more


def _is_found(far: TextBox, height: float, boxes: Sequence[TextBox], heights: np.ndarray) -> bool:
    """Return whether a box from a smaller scale was found before, as one line of like height or as several lines.

    Several boxes of like height side by side may be parts of a line too large to be detected as a whole.
    """
    like_height = (heights >= _LIKE_HEIGHT * height).tolist()
    tall = [box for box, high in zip(boxes, like_height, strict=True) if high]
    low = [box for box, high in zip(boxes, like_height, strict=True) if not high]
    if share_covered(far, low) >= _SEVERAL:
        return True
    parts = [box for box in tall if share_covered(box, [far]) >= _COVERED]
    return share_covered(far, tall) >= _COVERED and len(parts) < 2


def _has_other_edges(image_rgb: np.ndarray, boxes: Sequence[TextBox], side: int) -> bool:
    """Return whether an image, reduced to a longer side of `side` pixels, has edges outside the boxes."""
    import cv2

    scale = side / max(image_rgb.shape[:2])
    size = [max(3, round(length * scale)) for length in image_rgb.shape[1::-1]]
    gray = cv2.cvtColor(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    edges = cv2.morphologyEx(gray, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > _EDGE
    covered = np.zeros_like(gray)
    for box in boxes:
        cv2.fillPoly(covered, [np.round(box.points * scale).astype(np.int32)], 1)
    covered = cv2.dilate(covered, np.ones((5, 5), np.uint8))  # a box ends slightly inside the edges of its letters
    return int(np.count_nonzero(edges & (covered == 0))) > _EDGES


def whole_line(image_rgb: np.ndarray) -> TextBox:
    """Return the box of an image of a single line, without the empty background around it."""
    import cv2

    height, width = image_rgb.shape[:2]
    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    edges = (cv2.morphologyEx(gray, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > _EDGE).astype(np.uint8)
    left, top, wide, high = cv2.boundingRect(edges) if edges.any() else (0, 0, width, height)
    margin = high // 8  # like the margin of detected boxes
    left, top, right, bottom = left - margin, top - margin, left + wide + margin, top + high + margin
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    return TextBox(np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32), 1.0)


def share_covered(box: TextBox, others: Sequence[TextBox]) -> float:
    """Return the share of a box's area that other boxes cover, 0..1, or more if these overlap each other."""
    import cv2

    low, high = box.points.min(axis=0), box.points.max(axis=0)
    near = [o.points for o in others if (o.points.min(axis=0) < high).all() and (o.points.max(axis=0) > low).all()]
    hull = cv2.convexHull(box.points)  # after ordering the corners, edges may cross
    covered = sum(cv2.intersectConvexConvex(hull, cv2.convexHull(points))[0] for points in near)
    return covered / max(cv2.contourArea(hull), 1.0)


def _sides(boxes: Sequence[TextBox]) -> np.ndarray:
    """Return the lengths of two adjacent sides of each box, (n, 2)."""
    quads = np.array([box.points for box in boxes], np.float32)
    return np.linalg.norm(quads[:, [1, 3]] - quads[:, :1], axis=-1)


def _heights(boxes: Sequence[TextBox]) -> np.ndarray:
    """Return the length of the shorter side of each box, (n,), in pixels."""
    return _sides(boxes).min(axis=1) if boxes else np.zeros(0, np.float32)


def _median_height(boxes: Sequence[TextBox]) -> float:
    """Return the median of the boxes' shorter sides, in pixels of the image."""
    return float(np.median(_heights(boxes)))


def evidence(boxes: Sequence[TextBox]) -> float:
    """Return the amount of text that boxes show: the sum of score * (aspect ratio - 1)."""
    return float((np.array([box.score for box in boxes]) * (elongations(boxes) - 1)).sum()) if boxes else 0.0


def elongations(boxes: Sequence[TextBox]) -> np.ndarray:
    """Return the aspect ratio, longer side / shorter side, of each box, (n,)."""
    sides = _sides(boxes)
    return sides.max(axis=1) / np.maximum(sides.min(axis=1), 1)
