"""Preprocessing of images for networks, shared by training, evaluation and inference.

NumPy only, OpenCV imported on use. Images are `image_rgb` (H W 3 uint8). Network inputs are float32 H W 3 in the
channel order of the model's normalization.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

LIMIT_TYPES = ("max", "min", "resize_long")
"""Rules of `detector_size`."""
_STRIDE = 32  # the detector halves the image five times
_MOST_PIXELS = 16_000_000  # of an enlarged image
# In gray levels: range of noise, range up to which an image is faint, and the range that it is stretched to. Then the
# largest gain.
_NOISE, _FAINT, _CLEAR, _MOST_GAIN = 8, 64, 200.0, 12.0
# Border of an image: gray levels within which it has one color, the share of the border that must have it, and the
# difference and number of pixels that show ink.
_SAME_COLOR, _MOST_OF_BORDER, _INK, _TOUCHING = 12, 0.5, 60, 2
_NARROW, _PAGE = 6, 10  # in margins: sides below the first are extended; images above the second are pages
_SMALL = 64  # images whose height and width sum up to less are padded before they are resized


@dataclass(frozen=True)
class Normalization:
    """`(pixel / 255 - mean) / std` per channel, after conversion to `channel_order`.

    PP-OCR's published weights expect BGR images with ImageNet's means and deviations in RGB order. The values here
    apply by position, whatever the order.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str = "bgr"

    def __post_init__(self) -> None:
        if self.channel_order not in ("bgr", "rgb"):
            raise ValueError(f'channel_order must be "bgr" or "rgb", not {self.channel_order!r}')

    @cached_property
    def _table(self) -> np.ndarray:
        """Value of each byte in each channel, float32 (1, 256, 3)."""
        bytes_ = np.arange(256, dtype=np.float64)[:, None] / 255
        return ((bytes_ - np.asarray(self.mean)) / np.asarray(self.std)).astype(np.float32)[None]

    def __call__(self, image_rgb: np.ndarray) -> np.ndarray:
        """Normalize `image_rgb` (H W 3 uint8) to float32 (H W 3).

        Raises:
            ValueError: If the image is not (H, W, 3) uint8.
        """
        import cv2

        _check_image(image_rgb)
        image = np.ascontiguousarray(image_rgb)
        if self.channel_order == "bgr":
            image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        return cv2.LUT(image, self._table)  # seven times as fast as floating-point arithmetic

    def planar(self, image_rgb: np.ndarray) -> np.ndarray:
        """Normalize like `__call__`, with planar memory layout as ONNX networks expect it, to avoid a copy.

        Raises:
            ValueError: If the image is not (H, W, 3) uint8.
        """
        import cv2

        _check_image(image_rgb)
        planes = np.empty((3, *image_rgb.shape[:2]), np.float32)
        channels = cv2.split(image_rgb)
        for k, channel in enumerate(reversed(channels) if self.channel_order == "bgr" else channels):
            cv2.LUT(channel, np.ascontiguousarray(self._table[..., k]), dst=planes[k])
        return planes.transpose(1, 2, 0)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Return `image_rgb` uint8 from normalized (H W 3), the inverse of a call."""
        pixels = (np.asarray(values, np.float32) * np.asarray(self.std) + np.asarray(self.mean)) * 255
        image = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(image[..., ::-1]) if self.channel_order == "bgr" else image

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Normalization:
        """Return the normalization from the result of `to_dict`."""
        return cls(tuple(values["mean"]), tuple(values["std"]), values["channel_order"])


def _check_image(image_rgb: np.ndarray) -> None:
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise ValueError(f"an image must be (H, W, 3) uint8, got {image_rgb.shape} {image_rgb.dtype}")


DETECTOR_NORMALIZATION = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LINE_NORMALIZATION = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def line_width(size: Sequence[int], *, height: int, max_width: int) -> int:
    """Return the width of a line image of `size` (h, w) resized to `height`: `min(max_width, ceil(height * w / h))`."""
    h, w = size[:2]
    return max(1, min(max_width, math.ceil(height * w / float(h))))


def resize_pad_line(
    image_rgb: np.ndarray, *, height: int, width: int, normalization: Normalization = LINE_NORMALIZATION
) -> np.ndarray:
    """Resize a line image to `height`, squeeze it to at most `width`, and pad it on the right with 0.

    The padding is 0 *after* normalization: mid-gray.

    Returns:
        Line, float32 (height, width, 3).
    """
    import cv2

    scaled_width = line_width(image_rgb.shape, height=height, max_width=width)
    scaled = cv2.resize(image_rgb, (scaled_width, height), interpolation=cv2.INTER_LINEAR)
    out = np.zeros((height, width, 3), np.float32)
    out[:, :scaled_width] = normalization(scaled)
    return out


def line_batch(images: Sequence[np.ndarray], *, height: int, width: int, normalization: Normalization) -> np.ndarray:
    """Stack line images processed by `resize_pad_line`, float32 (N, height, width, 3)."""
    return np.stack([resize_pad_line(p, height=height, width=width, normalization=normalization) for p in images])


def line_windows(size: Sequence[int], *, height: int, width: int, most: int = 3) -> list[tuple[int, int]]:
    """Return the parts (left, right) in which to process a line image that is too long for `width` at `height`.

    Each part is as long as fits. They are evenly spaced from the left end to the right end: as many as cover the line,
    but at most `most`. A line that fits is one part.

    Args:
        size: (h, w) of the image in pixels.
        height, width: Input size of the network.
        most: Largest number of parts.
    """
    fitting, length = max(1, math.ceil(size[0] * width / height)), size[1]
    if length <= fitting:
        return [(0, length)]
    count = max(1, min(most, math.ceil(length / fitting)))
    return [(start, start + fitting) for start in np.linspace(0, length - fitting, count).astype(int).tolist()]


def crop_batch_width(sizes: Sequence[Sequence[int]], *, height: int, min_width: int = 0) -> int:
    """Return the width of a batch of line images of `sizes` (height, width): the largest width after resizing.

    In PaddleOCR 2.5 and later it is at least 320.
    """
    return max(1, min_width, *(height * int(w) // int(h) for h, w, *_ in sizes))


def pad_small(image_rgb: np.ndarray) -> np.ndarray:
    """Pad an image whose height and width sum up to less than 64 to at least 32 x 32, with black right and below.

    Other images are returned unchanged. Boxes found in the padded image are in pixels of the original.
    """
    h, w = image_rgb.shape[:2]
    if h + w >= _SMALL:
        return image_rgb
    padded = np.zeros((max(_STRIDE, h), max(_STRIDE, w), 3), image_rgb.dtype)
    padded[:h, :w] = image_rgb
    return padded


def more_contrast(image_rgb: np.ndarray) -> np.ndarray:
    """Stretch the contrast of a faint image (H, W, 3) uint8, whose gray levels are all similar.

    Other images are returned unchanged, and so are images that contain only noise.
    """
    import cv2

    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    low, high, _, _ = cv2.minMaxLoc(gray)
    if not _NOISE < high - low < _FAINT:
        return image_rgb
    gain = min(_CLEAR / (high - low), _MOST_GAIN)
    levels = np.arange(256, dtype=np.float64)
    light = np.median(gray) > (low + high) / 2  # light paper becomes white, and a dark background black
    levels = 255 - (high - levels) * gain if light else (levels - low) * gain
    return cv2.LUT(image_rgb, np.clip(np.round(levels), 0, 255).astype(np.uint8))


def with_margin(image_rgb: np.ndarray, *, margin: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Add margins in the color of the paper to an image (H, W, 3) uint8 if it is narrow or ink touches its border.

    Networks find letters best with space around them, and badly within a few pixels of the border. Images without a
    uniform border, such as photographs, are returned unchanged. So are whole pages, because what touches their border
    is dirt, edges and cut-off lines.

    Args:
        image_rgb: The image.
        margin: Width in pixels. Sides shorter than six margins are extended to that length.

    Returns:
        The image, and the numbers of columns and rows added at the left and the top.
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


def detector_size(height: int, width: int, *, limit_side: int, limit_type: str) -> tuple[int, int]:
    """Return the (height, width) at which the detector sees an image, multiples of 32 (halves round to even).

    Args:
        height, width: Size of the image in pixels.
        limit_side: Length of a side in pixels, interpreted by `limit_type`.
        limit_type: "max" reduces images whose longer side exceeds `limit_side`; "min" enlarges those whose shorter
            side is below it; "resize_long" resizes the longer side to it in any case. Images are not enlarged beyond
            16 million pixels.

    Raises:
        ValueError: If `limit_type` is unknown, or a side is less than one pixel.
    """
    if limit_type not in LIMIT_TYPES:
        raise ValueError(f"limit_type must be one of {', '.join(LIMIT_TYPES)}, not {limit_type!r}")
    if min(height, width, limit_side) < 1:
        raise ValueError(f"sides must be at least one pixel, got {height} x {width}, limit_side {limit_side}")
    side = min(height, width) if limit_type == "min" else max(height, width)
    within = {"max": side <= limit_side, "min": side >= limit_side, "resize_long": False}[limit_type]
    ratio = 1.0 if within else min(limit_side / side, max(1.0, math.sqrt(_MOST_PIXELS / (height * width))))
    return _to_stride(int(height * ratio)), _to_stride(int(width * ratio))


def _to_stride(side: int) -> int:
    return max(_STRIDE, round(side / _STRIDE) * _STRIDE)


def detector_image(
    image_rgb: np.ndarray, *, limit_side: int, limit_type: str, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Return an image (H W 3 uint8) resized for the detector, not normalized: padded if tiny, to `detector_size`.

    With `size` (height, width), it is resized to exactly this size.

    Boxes in the detector's map scale back to the size of `pad_small(image_rgb)`, not of `image_rgb`.

    Returns:
        uint8 (height, width, 3), both sides multiples of 32.
    """
    import cv2

    image = pad_small(image_rgb)
    height, width = size or detector_size(*image.shape[:2], limit_side=limit_side, limit_type=limit_type)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
