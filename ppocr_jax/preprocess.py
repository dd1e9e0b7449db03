"""From pixels to network input: the one place where training, evaluation and inference agree on it.

NumPy only, OpenCV imported on use. Images are `image_rgb` (H W 3 uint8); network inputs are float32 H W 3 in the
channel order of the model's normalization.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

_STRIDE = 32  # the detector halves the image five times
# Gray levels: what noise may differ by, and up to which contrast an image counts as faint; what contrast it is given,
# and how many times its own that may be.
_NOISE, _FAINT, _CLEAR, _MOST_GAIN = 8, 64, 200.0, 12.0
# Of an image's border: levels within which it has one color, on how large a share, and from which on how many pixels
# are ink.
_SAME_COLOR, _MOST_OF_BORDER, _INK, _TOUCHING = 12, 0.5, 60, 2
_NARROW, _PAGE = 6, 10  # margins; an image is narrow that has fewer than those, and a page that has more than these
_SMALL = 64  # images whose height and width add up to less are padded before they are resized


@dataclass(frozen=True)
class Normalization:
    """`(pixel / 255 - mean) / std` per channel, after putting the channels in `channel_order`.

    PP-OCR's published weights expect BGR images with means and deviations that ImageNet lists in RGB order; the
    numbers here apply by position, whatever the order.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str = "bgr"

    def __post_init__(self) -> None:
        if self.channel_order not in ("bgr", "rgb"):
            raise ValueError(f'channel_order must be "bgr" or "rgb", not {self.channel_order!r}')

    @cached_property
    def _table(self) -> np.ndarray:
        """float32 (1, 256, 3): what each byte becomes in each channel."""
        bytes_ = np.arange(256, dtype=np.float64)[:, None] / 255
        return ((bytes_ - np.asarray(self.mean)) / np.asarray(self.std)).astype(np.float32)[None]

    def __call__(self, image_rgb: np.ndarray) -> np.ndarray:
        """Normalize `image_rgb` (H W 3 uint8) to float32 (H W 3).

        Raises:
            ValueError: not an (H, W, 3) uint8 image.
        """
        import cv2

        _check_image(image_rgb)
        image = np.ascontiguousarray(image_rgb)
        if self.channel_order == "bgr":
            image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        return cv2.LUT(image, self._table)  # one pass: seven times as fast as arithmetic on floats

    def planar(self, image_rgb: np.ndarray) -> np.ndarray:
        """As a call, but lying in memory channel by channel, as ONNX networks take images: large ones need no copy.

        Raises:
            ValueError: not an (H, W, 3) uint8 image.
        """
        import cv2

        _check_image(image_rgb)
        planes = np.empty((3, *image_rgb.shape[:2]), np.float32)
        channels = cv2.split(image_rgb)
        for k, channel in enumerate(reversed(channels) if self.channel_order == "bgr" else channels):
            cv2.LUT(channel, np.ascontiguousarray(self._table[..., k]), dst=planes[k])
        return planes.transpose(1, 2, 0)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Return `image_rgb` uint8 from normalized (H W 3); inverse of a call."""
        pixels = (np.asarray(values, np.float32) * np.asarray(self.std) + np.asarray(self.mean)) * 255
        image = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(image[..., ::-1]) if self.channel_order == "bgr" else image

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Normalization:
        """Inverse of `to_dict`."""
        return cls(tuple(values["mean"]), tuple(values["std"]), values["channel_order"])


def _check_image(image_rgb: np.ndarray) -> None:
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise ValueError(f"an image must be (H, W, 3) uint8, got {image_rgb.shape} {image_rgb.dtype}")


DETECTOR_NORMALIZATION = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LINE_NORMALIZATION = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def line_width(size: Sequence[int], *, height: int, max_width: int) -> int:
    """Return a line image's width, scaled from `size` (h, w) to `height`: `min(max_width, ceil(height * w / h))`."""
    h, w = size[:2]
    return max(1, min(max_width, math.ceil(height * w / float(h))))


def resize_pad_line(
    image_rgb: np.ndarray, *, height: int, width: int, normalization: Normalization = LINE_NORMALIZATION
) -> np.ndarray:
    """Scale a line image to `height`, squeeze it to at most `width`, and pad on the right with 0.

    The padding is 0 *after* normalization: mid-gray.

    Returns:
        float32 (height, width, 3).
    """
    import cv2

    scaled_width = line_width(image_rgb.shape, height=height, max_width=width)
    scaled = cv2.resize(image_rgb, (scaled_width, height), interpolation=cv2.INTER_LINEAR)
    out = np.zeros((height, width, 3), np.float32)
    out[:, :scaled_width] = normalization(scaled)
    return out


def line_batch(
    images: Sequence[np.ndarray], *, height: int, width: int, normalization: Normalization = LINE_NORMALIZATION
) -> np.ndarray:
    """Put line images through `resize_pad_line`: float32 (N, height, width, 3)."""
    return np.stack([resize_pad_line(p, height=height, width=width, normalization=normalization) for p in images])


def line_windows(size: Sequence[int], *, height: int, width: int, most: int = 3) -> list[tuple[int, int]]:
    """Return the parts (left, right) in which a line image is seen that is too long for `width` at `height`.

    They are as long as fits, evenly spread from the left end to the right one: as many as cover the line, but `most` at
    most. A line that fits is one part.

    Args:
        size: (h, w) of the image, pixels.
        height, width: of the network's input.
        most: parts.
    """
    fitting, length = max(1, math.ceil(size[0] * width / height)), size[1]
    if length <= fitting:
        return [(0, length)]
    count = max(1, min(most, math.ceil(length / fitting)))
    return [(start, start + fitting) for start in np.linspace(0, length - fitting, count).astype(int).tolist()]


def crop_batch_width(sizes: Sequence[Sequence[int]], *, height: int = 32, min_width: int = 320) -> int:
    """Return the width of a batch of line images of `sizes` (height, width): of the widest when scaled to `height`.

    PaddleOCR 2.5 and later never go below 320; with `min_width=0` the rule is that of 2.4 and earlier.
    """
    return max(1, min_width, *(height * int(w) // int(h) for h, w, *_ in sizes))


def pad_small(image_rgb: np.ndarray) -> np.ndarray:
    """Pad an image whose height and width add up to less than 64 with black, at the right and the bottom, to 32 x 32.

    Other images come back as they are. Boxes found in the padded image are in the pixels of the original.
    """
    h, w = image_rgb.shape[:2]
    if h + w >= _SMALL:
        return image_rgb
    padded = np.zeros((max(_STRIDE, h), max(_STRIDE, w), 3), image_rgb.dtype)
    padded[:h, :w] = image_rgb
    return padded


def more_contrast(image_rgb: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 of which all is of nearly one gray with that little contrast made large.

    Others come back as they are, and so does what holds nothing but noise.
    """
    import cv2

    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    low, high, _, _ = cv2.minMaxLoc(gray)
    if not _NOISE < high - low < _FAINT:
        return image_rgb
    gain = min(_CLEAR / (high - low), _MOST_GAIN)
    levels = np.arange(256, dtype=np.float64)
    light = np.median(gray) > (low + high) / 2  # paper stays white, and a dark ground black
    levels = 255 - (high - levels) * gain if light else (levels - low) * gain
    return cv2.LUT(image_rgb, np.clip(np.round(levels), 0, 255).astype(np.uint8))


def with_margin(image_rgb: np.ndarray, *, margin: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Give an image (H, W, 3) uint8 margins where ink touches its border and where it is narrow, of its paper's color.

    Networks see letters best with something around them, and nothing well within a few pixels. Images whose border
    has no color of its own, such as photographs, come back as they are, and so do whole pages: what touches their
    border is dirt, edges, and lines that are cut off.

    Args:
        image_rgb: the image.
        margin: pixels; a side shorter than six of them is made that long.

    Returns:
        the image, and how many columns and rows were put before its first ones.
    """
    import cv2

    if min(image_rgb.shape[:2]) >= _PAGE * margin:
        return image_rgb, (0, 0)
    sides = [image_rgb[0], image_rgb[-1], image_rgb[:, 0], image_rgb[:, -1]]  # top, bottom, left, right
    paper = np.median(np.concatenate(sides), axis=0)
    away = [np.abs(side - paper).max(axis=1) for side in sides]
    if np.mean(np.concatenate(away) < _SAME_COLOR) < _MOST_OF_BORDER:
        return image_rgb, (0, 0)
    needed = [margin * int(np.count_nonzero(side > _INK) >= _TOUCHING) for side in away]
    lacking = [max(0, -(-(_NARROW * margin - length) // 2)) for length in image_rgb.shape[:2]]
    top, bottom, left, right = np.maximum(needed, np.repeat(lacking, 2)).tolist()
    if not (top or bottom or left or right):
        return image_rgb, (0, 0)
    color = [float(value) for value in paper]
    return cv2.copyMakeBorder(image_rgb, top, bottom, left, right, cv2.BORDER_CONSTANT, value=color), (left, top)


def detector_size(height: int, width: int, *, limit_side: int = 960, limit_type: str = "max") -> tuple[int, int]:
    """Return (height, width) at which the detector sees an image; each a multiple of 32, halves go to even.

    Args:
        height, width: of the image, in pixels.
        limit_side: the side's length that `limit_type` speaks of.
        limit_type: "max" shrinks images whose longer side exceeds `limit_side`; "min" enlarges those whose shorter
            side falls below it; "resize_long" brings the longer side to it either way.

    Raises:
        ValueError: an unknown `limit_type`, or a side below one pixel.
    """
    if limit_type not in ("max", "min", "resize_long"):
        raise ValueError(f'limit_type must be "max", "min" or "resize_long", not {limit_type!r}')
    if min(height, width, limit_side) < 1:
        raise ValueError(f"sides must be at least one pixel, got {height} x {width}, limit_side {limit_side}")
    side = min(height, width) if limit_type == "min" else max(height, width)
    within = {"max": side <= limit_side, "min": side >= limit_side, "resize_long": False}[limit_type]
    ratio = 1.0 if within else limit_side / side
    return _to_stride(int(height * ratio)), _to_stride(int(width * ratio))


def _to_stride(side: int) -> int:
    return max(_STRIDE, round(side / _STRIDE) * _STRIDE)


def detector_image(
    image_rgb: np.ndarray,
    *,
    limit_side: int = 960,
    limit_type: str = "max",
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return what the detector sees of an image (H W 3 uint8), not normalized: padded if tiny, of `detector_size`.

    With `size` (height, width) it is resized to just that.

    Boxes in the detector's map scale back to the size of `pad_small(image_rgb)`, not of `image_rgb`.

    Returns:
        uint8 (height, width, 3), both sides multiples of 32.
    """
    import cv2

    image = pad_small(image_rgb)
    height, width = size or detector_size(*image.shape[:2], limit_side=limit_side, limit_type=limit_type)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
