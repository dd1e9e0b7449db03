"""Check boxes beside text: detected by their frames, hidden from the recognizer, and written as ☐ and ☑.

A recognizer of letters would read them as letters, `[ Adult` and `M Student`, and lose which of them is ticked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppocr_jax.geometry import CropGrowth

EMPTY, TICKED = "☐", "☑"
_LETTER_HEIGHT = 32  # line height in pixels to which large pages are reduced before frames are searched
_AREA = 3  # side, in line heights, of the square whose mean is the gray level of the paper
_CONTRAST = 24  # gray levels between a frame and the paper
_STROKE = 0.4  # least length of a frame's strokes in line heights: longer than most strokes of letters
_SIDE = (0.5, 1.7)  # range of the longer side in line heights
_LEAST = 10  # pixels of the shorter side: smaller squares may be a zero
_ASPECT = 1.2  # largest aspect ratio
_COVERED = 0.88  # least share of each side with ink
_MARK, _FILLED = 0.05, 0.7  # share of ink inside from which there is a mark, or the box is a solid block
_BAR = 0.85  # share of ink in one row inside the box that shows a letter with a bar, such as B and 8
_INSET = 0.2  # margin of the inside, as a fraction of the side
_STRAIGHT = 0.75  # least share of each side within one row or column of pixels
_BEFORE, _AFTER = 0.35, 0.15  # empty space needed left and right of a box, as fractions of the side
_REACH = 1.5  # largest distance between a box and its text, in sides
_ON_ROW = 0.45  # largest vertical distance between the centers of a box and its text, in line heights
_LEVEL = 0.1  # largest rise / run of a line: check boxes are searched only if both are level
_TAIL = 0.6  # length of a tick outside its box, in sides
_TICKS = frozenset("xXvVyYrIl1/\\|+*TtLJN")  # letters that marks in boxes are recognized as
_SURE = 0.8  # confidence of a letter in a box, such as [A], that is text and not a mark


@dataclass(frozen=True)
class CheckBox:
    """A square frame, in pixels, and whether it contains a mark."""

    left: float
    top: float
    right: float
    bottom: float
    ticked: bool

    @property
    def side(self) -> float:
        """The longer side in pixels."""
        return max(self.right - self.left, self.bottom - self.top)

    @property
    def middle(self) -> tuple[float, float]:
        """The center (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def find_check_boxes(image_rgb: np.ndarray, heights: np.ndarray) -> list[CheckBox]:
    """Return the isolated square frames about as high as lines of text.

    Args:
        image_rgb: Upright image, (H, W, 3) uint8.
        heights: Heights of its lines, (n,), in pixels.
    """
    import cv2

    if not len(heights):
        return []
    scale = min(1.0, _LETTER_HEIGHT / float(np.median(heights)))
    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    low, high = float(heights.min()) * scale, float(heights.max()) * scale
    line = float(np.median(heights)) * scale
    area = round(_AREA * line) | 1
    paper = cv2.blur(gray, (area, area))
    # Ink is darker than its surroundings, or lighter if most of the page is dark.
    difference = cv2.subtract(gray, paper) if np.median(gray[::4, ::4]) < 128 else cv2.subtract(paper, gray)
    ink = (difference > _CONTRAST).astype(np.uint8)
    length = max(6, round(_STROKE * line))
    # A stroke may be slightly slanted, in steps of one pixel.
    across = cv2.morphologyEx(cv2.dilate(ink, np.ones((3, 1))), cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    down = cv2.morphologyEx(cv2.dilate(ink, np.ones((1, 3))), cv2.MORPH_OPEN, np.ones((length, 1), np.uint8))
    # Connected strokes are a frame, even if it contains slanted marks. A grid of cells is one frame, far too large.
    strokes = cv2.dilate(cv2.bitwise_and(cv2.bitwise_or(across, down), ink), np.ones((3, 3), np.uint8))
    contours, parents = cv2.findContours(strokes, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for i, contour in enumerate(contours):
        left, top, width, height = cv2.boundingRect(contour)
        shorter, longer = min(width, height) - 2, max(width, height) - 2  # without the dilation
        outermost, is_square = parents[0, i, 3] < 0, shorter >= _LEAST and longer <= _ASPECT * shorter
        if not (outermost and is_square and _SIDE[0] * low <= longer <= _SIDE[1] * high):
            continue
        box = (left + 1, top + 1, left + width - 1, top + height - 1)
        ticked = _frame(ink, box)
        if ticked is not None:
            left, top, right, bottom = (edge / scale for edge in box)
            found.append(CheckBox(left, top, right, bottom, ticked))
    return found


def _frame(ink: np.ndarray, box: tuple[int, int, int, int]) -> bool | None:
    """Return whether a frame (left, top, right, bottom) contains a mark, or None if it is not an isolated frame."""
    left, top, right, bottom = box
    inside = ink[top:bottom, left:right]
    side = max(inside.shape)
    band = max(2, side // 6)
    bands = inside[:band], inside[-band:], inside[:, :band].T, inside[:, -band:].T
    if any(part.any(0).mean() < _COVERED or part.mean(1).max() < _STRAIGHT for part in bands):
        return None
    tip = max(2, side // 8)  # letters have rounded corners
    if not all(part[:tip, :tip].any() and part[:tip, -tip:].any() for part in (inside, inside[::-1])):
        return None
    inset = max(3, round(_INSET * side))
    within = inside[inset:-inset, inset:-inset]
    mark = float(within.mean())
    if mark > _FILLED or within.mean(axis=1).max() > _BAR:  # a block, or a letter with a bar, such as B and 8
        return None
    ticked = mark > _MARK
    before = ink[top:bottom, max(left - 1 - max(2, round(_BEFORE * side)), 0) : max(left - 1, 0)]
    from_row = (top + bottom) // 2 if ticked else top  # a tick may extend to the right above its box
    after = ink[from_row:bottom, right + 1 : right + 1 + max(2, round(_AFTER * side))]
    if before.any() or after.any():
        return None
    return ticked


def boxes_of_lines(boxes: Sequence[CheckBox], quads: np.ndarray, sure: int) -> dict[int, list[CheckBox]]:
    """Return the check boxes of each line: a box belongs to the nearest line on its row, beside or around it.

    Args:
        boxes: Check boxes of a page.
        quads: Quads of its lines, (n, 4, 2), clockwise from where the text begins.
        sure: Number of lines, the first ones, that are certainly text. Other lines only get the remaining boxes.

    Returns:
        Check boxes by line index. The list is empty for a line that is a check box of another line.
    """
    run, rise = (quads[:, 1] - quads[:, 0]).T
    heights = np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1)
    starts, ends, middles = (
        quads[:, [0, 3], 0].min(axis=1),
        quads[:, [1, 2], 0].max(axis=1),
        quads[:, :, 1].mean(axis=1),
    )
    level = np.abs(rise) < _LEVEL * run
    found: dict[int, list[CheckBox]] = {}
    for box in sorted(boxes, key=lambda box: box.left):
        x, y = box.middle
        fits = level & (np.abs(middles + rise / np.maximum(run, 1) * (x - (starts + ends) / 2) - y) < _ON_ROW * heights)
        fits &= (box.side >= _SIDE[0] * heights) & (box.side <= _SIDE[1] * heights)
        distance = np.maximum(0, np.maximum(starts - box.right, box.left - ends))
        # The line may be the check box itself, whose text is another line.
        itself = fits & (distance == 0) & (ends - starts < 2 * box.side) & (starts - box.side / 2 < box.left)
        distance += np.where(itself, _REACH * box.side, 0)
        near = fits & (distance <= _REACH * box.side)
        for those in (np.flatnonzero(near[:sure]), np.flatnonzero(near)):
            if len(those):
                owner = int(those[distance[those].argmin()])
                found.setdefault(owner, []).append(box)
                for line in np.flatnonzero(itself).tolist():
                    found.setdefault(line, [])
                break
    return found


def extend_quad(quad: np.ndarray, boxes: Sequence[CheckBox]) -> np.ndarray:
    """Return the quad (4, 2) of a level line, extended to contain its check boxes, if any."""
    if not boxes:
        return quad
    run, rise = quad[1] - quad[0]
    slope = np.array([1.0, rise / run], np.float32)
    before = max(0.0, float(quad[[0, 3], 0].min()) - min(box.left for box in boxes))
    after = max(0.0, max(box.right for box in boxes) - float(quad[[1, 2], 0].max()))
    return quad + np.stack([-before * slope, after * slope, after * slope, -before * slope]).astype(np.float32)


def erase_boxes(image_rgb: np.ndarray, boxes: Sequence[CheckBox]) -> np.ndarray:
    """Return a copy of an image (H, W, 3) with check boxes, and ticks that extend beyond them, replaced by paper."""
    import cv2

    image_rgb = image_rgb.copy()
    for box in boxes:
        edge, tail = max(2, round(box.side / 8)), round(_TAIL * box.side)
        left, top, right, bottom = round(box.left), round(box.top), round(box.right), round(box.bottom)
        x, y = max(left - edge, 0), max(top - tail, 0)
        part = image_rgb[y : bottom + edge, x : right + tail]
        ring = np.concatenate([image_rgb[y : bottom + edge, x], part[-1]])
        paper = np.median(ring, axis=0).astype(np.uint8)
        ink = (np.abs(part.astype(np.int16) - paper).max(axis=2) > _CONTRAST).astype(np.uint8)
        _, labels = cv2.connectedComponents(ink)
        inside = (slice(max(top - edge - y, 0), None), slice(0, right + edge - x))
        own = np.isin(labels, np.unique(labels[inside][labels[inside] > 0])).astype(np.uint8)
        own[inside] = 1
        part[cv2.dilate(own, np.ones((3, 3), np.uint8)) > 0] = paper
    return image_rgb


def crop_insides(image_rgb: np.ndarray, boxes: Sequence[CheckBox]) -> list[np.ndarray]:
    """Return the images (h, w, 3) of the insides of check boxes."""
    images = []
    for box in boxes:
        inset = box.side / 8 + 1
        left, top, right, bottom = box.left + inset, box.top + inset, box.right - inset, box.bottom - inset
        images.append(np.ascontiguousarray(image_rgb[round(top) : round(bottom), round(left) : round(right)]))
    return images


def is_letter(text: str, confidence: float) -> bool:
    """Return whether the text recognized inside a box is text, such as the number of a field, and not a mark."""
    return confidence > _SURE and any(c.isalnum() for c in text) and not _TICKS.issuperset(text)


def frames_of(box: CheckBox, quad: np.ndarray, extent: float, growth: CropGrowth) -> tuple[int, int]:
    """Return the first frame of the line's recognition that shows a check box, and the one after the last.

    Args:
        box: Check box of the line.
        quad: Quad of the line, (4, 2).
        extent: Number of frames of the line's crop.
        growth: Margins of the crop around the quad.
    """
    height = float(np.linalg.norm(quad[3] - quad[0]))
    length = float(np.linalg.norm(quad[1] - quad[0]))
    start = float(quad[:, 0].mean()) - length / 2  # also correct for a line rotated by 180 degrees
    frame = extent / (length + (growth.left + growth.right) * height)
    first = max(0, round((box.left - start + growth.left * height) * frame))
    return first, max(first + 1, round((box.right - start + growth.left * height) * frame))
