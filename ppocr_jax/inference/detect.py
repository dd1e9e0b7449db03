"""Finding text lines: the detector on pictures of any size, from nearer where their text is small."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from ppocr_jax.geometry import polygon_area
from ppocr_jax.inference.backends import Backend
from ppocr_jax.inference.db_postprocess import TextBox, boxes_from_map, filter_boxes
from ppocr_jax.inference.model_folder import DetectorSpec
from ppocr_jax.inference.options import ReadSettings
from ppocr_jax.preprocess import detector_picture, pad_small

MOST = 720_000
"""Pixels of one run: a page of 960 x 736. A network's memory grows with its input: a receipt of 1472 x 736 takes 145 MB
at once and 75 MB in two tiles, for 13 % more work."""
OVERLAP = 192
"""Pixels two tiles share. The quarters at both ends are left alone: up to 32 pixels from its border a tile is wrong
about what is text, and a little less sure up to 96. What lies between is higher than most lines: none is cut."""
_STRIDE = 32
# Heights of boxes in pixels as the detector sees them. Measured on documents and receipts: recall falls where the
# median is below 13 (.70 at 13, .35 at 10, .06 at 7 on A4 pages) and is best at about 20.
_TOO_LOW, _GOOD = 13.5, 20.0
_MOST_PIXELS = 16_000_000  # a nearer look is no larger than this
# So few boxes say little, unless their text is large: on a page reduced to less than this, look that much nearer.
_FEW, _LARGE, _MUCH_REDUCED, _BLIND_STEP = 4, 30.0, 0.5, 2.5
# Boxes scored between this share of the model's threshold and the threshold are shown to the recognizer: on val
# pictures those it reads with more than .9 are text nearly without exception, unless they lie on a line found already.
_UNSURE, _SHARED = 0.5, 0.3
_STRIP = 4.0  # pictures more than so many times as long as wide
# Looks from farther away, as reductions of what was seen. The first costs a ninth of the look before it.
_FARTHER, _LEAST_SIDE = (3, 9), 48
_LETTERS_SEEN, _LETTERS_KNOWN = 60.0, 100.0  # pixels; lower lines are found without; higher ones in parts, if at all
_AS_HIGH, _COVERED, _SEVERAL = 0.6, 0.7, 0.35  # see `_is_found`
_EDGE, _EDGES = 40, 30  # gray levels, and pixels: a bar of 3 x 12 pixels has 30 around it
# Lines more than twice as long as high have an angle; a detector sees those that slant by less than this well. Up to
# `_STEEP` they are turned until they lie; steeper ones may be columns of writing that runs downwards.
_CLEARLY_LONGER, _SLANTED, _ALIKE, _STEEP = 2.0, 10.0, 7.0, 60.0
_FLAT = 5  # gray levels by which paper, at a quarter of the size, may differ from its surroundings


@dataclass(frozen=True)
class TextDetector:
    """Finds text lines."""

    backend: Backend
    spec: DetectorSpec

    def __call__(
        self,
        image_rgb: np.ndarray,
        *,
        limit_side: int | None = None,
        limit_type: str | None = None,
        **thresholds: Any,
    ) -> list[TextBox]:
        """Boxes of the text lines in a picture, in no particular order.

        Args:
            image_rgb: (H, W, 3) uint8.
            limit_side, limit_type: instead of the model's (`preprocess.detector_size`).
            thresholds: fields of `DBOptions`, instead of the model's.
        """
        probability_map = self.probability_map(image_rgb, limit_side=limit_side, limit_type=limit_type)
        options = replace(self.spec.postprocess, **thresholds)
        size = pad_small(image_rgb).shape[:2]
        boxes = boxes_from_map(probability_map, source_size=size, options=options, straighten=True)
        # What has no area, clipped at the picture's border, cannot be cropped.
        return [box for box in filter_boxes(boxes, image_rgb.shape[:2]) if polygon_area(box.points) >= 1]

    def probability_map(
        self, image_rgb: np.ndarray, *, limit_side: int | None = None, limit_type: str | None = None
    ) -> np.ndarray:
        """Where there is text in a picture: (h, w) float32, 0..1, in the size at which the network sees it."""
        picture = detector_picture(
            image_rgb,
            limit_side=limit_side or self.spec.limit_side,
            limit_type=limit_type or self.spec.limit_type,
            size=self.spec.size,
        )
        return self._run(picture) if self.spec.size else tiled_map(self._run, picture)

    def _run(self, picture: np.ndarray) -> np.ndarray:
        if _is_blank(picture):
            return np.zeros(picture.shape[:2], np.float32)
        return self.backend(self.spec.normalization.planar(picture)[None])[0]


def _is_blank(picture: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) uint8 shows nothing: shades may be there, as on scanned paper, but no marks."""
    import cv2

    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return int(cv2.absdiff(small, cv2.blur(small, (15, 15))).max()) < _FLAT


@dataclass(frozen=True)
class Look:
    """What the detector found in a picture.

    Attributes:
        boxes: in no particular order, each scored at least as high as the model asks for.
        unsure: boxes that are text only if the recognizer can read them: scored a little lower, or seen from farther
            away than the others.
        warning: that some may be missing, or "".
    """

    boxes: list[TextBox]
    unsure: list[TextBox] = field(default_factory=list)
    warning: str = ""


def look(detector: TextDetector, image_rgb: np.ndarray, settings: ReadSettings) -> Look:
    """Find the lines of a picture (H, W, 3) uint8.

    A detector knows letters of about 10 to 100 pixels that stand upright. So a page is looked at again from nearer,
    twice at most, where it was reduced until its text is small; turned, where its lines run aslant; and from farther
    away, where there is something that was not found to be text. What is found with little certainty is kept apart.
    """
    arguments = settings.detector_arguments()
    threshold = detector.spec.postprocess.box_threshold
    if settings.box_threshold is None:
        arguments["box_threshold"] = _UNSURE * threshold
    else:
        threshold = settings.box_threshold
    reducing = (settings.limit_type or detector.spec.limit_type) == "max"
    side = settings.limit_side or detector.spec.limit_side
    if reducing and settings.look_again:
        side = arguments["limit_side"] = _side_of_strip(image_rgb.shape, side)
    found = detector(image_rgb, **arguments)
    sure = _at_least(threshold, found)
    if detector.spec.size is not None:
        return Look(sure, _apart(found, sure, threshold))
    if not settings.look_again:
        warning = reduction_warning(sure, image_rgb.shape, side) if reducing else ""
        return Look(sure, _apart(found, sure, threshold), warning)
    for _ in range(2 if reducing else 0):
        nearer = nearer_side(sure, image_rgb.shape, side)
        if nearer is None:
            break
        side = nearer
        arguments["limit_side"] = side
        found = detector(image_rgb, **arguments)
        sure = _at_least(threshold, found)

    seen = min(1.0, side / max(image_rgb.shape[:2])) if reducing else 1.0
    angle = slant(found)
    if angle:
        turned, back = _turned_by(image_rgb, angle)
        if reducing:
            arguments["limit_side"] = math.ceil(max(turned.shape[:2]) * seen)
        again = [TextBox(_moved(box.points, back), box.score) for box in detector(turned, **arguments)]
        if evidence(_at_least(threshold, again)) > evidence(sure):
            found, sure = again, _at_least(threshold, again)

    unsure = _apart(found, sure, threshold)
    if reducing:
        unsure += _from_farther(detector, image_rgb, sure, seen, {**arguments, "box_threshold": threshold})
    warning = reduction_warning(sure, image_rgb.shape, side) if reducing else ""
    return Look(sure, unsure, warning)


def _from_farther(
    detector: TextDetector, image_rgb: np.ndarray, sure: Sequence[TextBox], seen: float, arguments: dict[str, Any]
) -> list[TextBox]:
    """Return lines of large letters, where there may be some beside those that were seen at a scale."""
    large = any(height_of(box) * seen > _LETTERS_KNOWN for box in sure)
    more: list[TextBox] = []
    for reduction in _FARTHER:
        side = math.ceil(max(image_rgb.shape[:2]) * seen / reduction)
        if side < _LEAST_SIDE or not (large or _something_else(image_rgb, sure, side)):
            break
        far = detector(image_rgb, **{**arguments, "limit_side": side})
        more += [box for box in far if height_of(box) * seen > _LETTERS_SEEN and not _is_found(box, sure)]
    return more


def _side_of_strip(size: Sequence[int], side: int) -> int:
    """Return the longest side at which a strip is seen: as large as one of the least proportions with that side.

    Its text is as low as the strip allows, and would vanish long before its pixels cost anything.
    """
    proportions = max(size[:2]) / min(size[:2])
    return math.ceil(side * math.sqrt(max(1.0, proportions / _STRIP)))


def whole_line(image_rgb: np.ndarray) -> TextBox:
    """Return the box of a picture that is a single line, without the empty ground around it."""
    import cv2

    height, width = image_rgb.shape[:2]
    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    edges = (cv2.morphologyEx(gray, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > _EDGE).astype(np.uint8)
    left, top, wide, high = cv2.boundingRect(edges) if edges.any() else (0, 0, width, height)
    margin = high // 8  # as much as boxes have around their letters
    left, top, right, bottom = left - margin, top - margin, left + wide + margin, top + high + margin
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    return TextBox(np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32), 1.0)


def _at_least(threshold: float, boxes: Sequence[TextBox]) -> list[TextBox]:
    return [box for box in boxes if box.score >= threshold]


def _apart(found: Sequence[TextBox], sure: Sequence[TextBox], threshold: float) -> list[TextBox]:
    """Return the boxes below the threshold that share little with those above: others are parts of their lines."""
    return [box for box in found if box.score < threshold and share_covered(box, sure) < _SHARED]


def height_of(box: TextBox) -> float:
    """Return the length of a box's shorter side."""
    return float(np.linalg.norm(box.points[[1, 3]] - box.points[:1], axis=1).min())


def share_covered(box: TextBox, others: Sequence[TextBox]) -> float:
    """Return the share of a box's area, 0..1 or more, that other boxes cover."""
    import cv2

    low, high = box.points.min(axis=0), box.points.max(axis=0)
    near = [o.points for o in others if (o.points.min(axis=0) < high).all() and (o.points.max(axis=0) > low).all()]
    hull = cv2.convexHull(box.points)  # corners that are put into an order for reading may make edges cross
    covered = sum(cv2.intersectConvexConvex(hull, cv2.convexHull(points))[0] for points in near)
    return covered / max(cv2.contourArea(hull), 1.0)


def _is_found(far: TextBox, boxes: Sequence[TextBox]) -> bool:
    """Whether what was seen from farther away was found from nearer: as a line as high, or as several lines.

    Several as high beside one another may be parts of a line too large to be seen as one.
    """
    tall = [box for box in boxes if height_of(box) >= _AS_HIGH * height_of(far)]
    low = [box for box in boxes if height_of(box) < _AS_HIGH * height_of(far)]
    if share_covered(far, low) >= _SEVERAL:
        return True
    parts = [box for box in tall if share_covered(box, [far]) >= _COVERED]
    return share_covered(far, tall) >= _COVERED and len(parts) < 2


def _something_else(image_rgb: np.ndarray, boxes: Sequence[TextBox], side: int) -> bool:
    """Whether a picture, reduced to a longest side, shows edges outside of the boxes."""
    import cv2

    scale = side / max(image_rgb.shape[:2])
    size = [max(3, round(length * scale)) for length in image_rgb.shape[1::-1]]
    gray = cv2.cvtColor(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    edges = cv2.morphologyEx(gray, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > _EDGE
    covered = np.zeros_like(gray)
    for box in boxes:
        cv2.fillPoly(covered, [np.round(box.points * scale).astype(np.int32)], 1)
    covered = cv2.dilate(covered, np.ones((5, 5), np.uint8))  # a box ends a little inside the edges of its letters
    return int(np.count_nonzero(edges & (covered == 0))) > _EDGES


def slant(boxes: Sequence[TextBox]) -> float:
    """Return by how many degrees, -60..60, a picture has to be turned counter-clockwise so that most of its text lies.

    0 where it hardly slants; text steeper than 60 degrees is turned until it stands.
    """
    quads = np.array([box.points for box in boxes if len(box.points) == 4], np.float32).reshape(-1, 4, 2)
    sides = quads[:, [1, 2]] - quads[:, [0, 1]]  # the upper and the right one
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
    alike = np.abs((angles - median + 45) % 90 - 45) < _ALIKE
    return median if abs(median) > _SLANTED and weights[alike].sum() > 0.6 * weights.sum() else 0.0


def _turned_by(image_rgb: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture turned counter-clockwise, whole, and the matrix (2, 3) that turns its points back."""
    import cv2

    height, width = image_rgb.shape[:2]
    forth = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    sine, cosine = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
    size = math.ceil(width * cosine + height * sine), math.ceil(width * sine + height * cosine)
    forth[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    turned = cv2.warpAffine(image_rgb, forth, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return turned, cv2.invertAffineTransform(forth)


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def evidence(boxes: Sequence[TextBox]) -> float:
    """Return the sum over the boxes of by how many heights each is longer than a square, times its score."""
    return float((np.array([box.score for box in boxes]) * (elongations(boxes) - 1)).sum()) if boxes else 0.0


def elongations(boxes: Sequence[TextBox]) -> np.ndarray:
    """Return how many times as long as its shorter side the longer side of each box is, (n,)."""
    quads = np.array([box.points for box in boxes], np.float32)
    sides = np.linalg.norm(quads[:, [1, 3]] - quads[:, :1], axis=-1)
    return sides.max(axis=1) / np.maximum(sides.min(axis=1), 1)


def nearer_side(boxes: Sequence[TextBox], size: Sequence[int], limit_side: int) -> int | None:
    """The longest side, in pixels, at which a page should be looked at again; None: as it was seen is near enough.

    Args:
        boxes: what was found, in pixels of the picture.
        size: (height, width) of the picture.
        limit_side: the longest side at which it was seen.
    """
    longest = max(size[:2])
    scale = limit_side / longest
    if scale >= 1 or not _too_small(boxes, scale):
        return None
    step = _GOOD / (_median_height(boxes) * scale) if len(boxes) > _FEW else _BLIND_STEP
    most = longest * math.sqrt(_MOST_PIXELS / (size[0] * size[1]))
    side = math.ceil(min(longest, most, limit_side * max(step, 1.2)))
    return side if side > 1.05 * limit_side else None


def reduction_warning(boxes: Sequence[TextBox], size: Sequence[int], limit_side: int) -> str:
    """A line to say that text may be missing, or "".

    Args:
        boxes, size, limit_side: see `nearer_side`, of the last look.
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


def _median_height(boxes: Sequence[TextBox]) -> float:
    """In pixels of the picture."""
    quads = np.array([box.points for box in boxes], np.float32)
    return float(np.median(np.linalg.norm(quads[:, [1, 3]] - quads[:, :1], axis=-1).min(axis=1)))


def tiled_map(
    run: Callable[[np.ndarray], np.ndarray], picture: np.ndarray, *, most: int = MOST, overlap: int = OVERLAP
) -> np.ndarray:
    """The probability map (H, W) of a picture (H, W, 3), both sides multiples of 32.

    Args:
        run: from a part of the picture (h, w, 3) to its map (h, w).
        most: pixels of what `run` is given at a time.
        overlap: least number of pixels neighboring tiles share.

    Raises:
        ValueError: `most` has no room for a tile beyond the overlap.
    """
    height, width = picture.shape[:2]
    if height * width <= most:
        return run(picture)
    tile_height, tile_width = _tile_size(height, width, most, overlap)
    tops, lefts = _starts(height, tile_height, overlap), _starts(width, tile_width, overlap)
    bands = [_joined([run(picture[y : y + tile_height, x : x + tile_width]).T for x in lefts], lefts).T for y in tops]
    return _joined(bands, tops)


def _tile_size(height: int, width: int, most: int, overlap: int) -> tuple[int, int]:
    """Sides of the tiles that make the least work."""
    sizes = [
        (rows * h * columns * w, h, w)
        for (rows, h), (columns, w) in product(_splits(height, overlap), _splits(width, overlap))
        if h * w <= most
    ]
    if not sizes:
        raise ValueError(f"{most} pixels are too few for tiles that share {overlap}")
    return min(sizes)[1:]


def _splits(length: int, overlap: int) -> list[tuple[int, int]]:
    """(how many tiles along an axis, their side), from one tile to tiles hardly larger than the overlap."""
    splits, least = [(1, length)], (overlap // _STRIDE + 1) * _STRIDE
    for count in range(2, -(-length // _STRIDE) + 1):
        side = -(-(length + (count - 1) * overlap) // (count * _STRIDE)) * _STRIDE
        if least <= side < splits[-1][1]:
            splits.append((count, side))
        if side <= least:
            break
    return splits


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along an axis, evenly spread."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return ((np.linspace(0, length - tile, count) / _STRIDE).round().astype(int) * _STRIDE).tolist()


def _joined(maps: Sequence[np.ndarray], starts: Sequence[int]) -> np.ndarray:
    """The map of a whole picture from those of its tiles, one below the other from the rows `starts` on."""
    parts, begin = [], 0
    for k in range(1, len(maps)):
        seam = _seam(maps[k - 1], maps[k], starts[k - 1], starts[k])
        parts.append(maps[k - 1][begin - starts[k - 1] : seam - starts[k - 1]])
        begin = seam
    parts.append(maps[-1][begin - starts[-1] :])
    return np.concatenate(parts) if len(parts) > 1 else maps[0]


def _seam(above: np.ndarray, below: np.ndarray, top: int, bottom: int) -> int:
    """The row with the least text in it, and among equals the one nearest to the middle, of what two tiles share."""
    shared = top + len(above) - bottom
    text = np.maximum(above[bottom - top :], below[:shared]).sum(axis=1)
    inner = np.arange(shared // 4, shared - shared // 4)
    return bottom + int(inner[np.argmin(text[inner] + np.abs(inner - shared / 2) / shared)])
