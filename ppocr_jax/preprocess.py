"""From pixels to network input: the one place where training, evaluation and inference agree on it (spec 7.2, 7.4, 8).

NumPy and OpenCV only. Images are `image_rgb` (H W 3 uint8); network inputs are float32 H W 3 in the channel order of
the model's normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Normalization:
    """`(pixel / 255 - mean) / std` per channel, after putting the channels in `channel_order`.

    PP-OCR feeds BGR pictures to means and deviations listed in RGB order (spec 5, row 20); the numbers here apply by
    position, whatever the order.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: str = "bgr"

    def __post_init__(self) -> None:
        if self.channel_order not in ("bgr", "rgb"):
            raise ValueError(f'channel_order must be "bgr" or "rgb", not {self.channel_order!r}')

    def __call__(self, image_rgb: np.ndarray) -> np.ndarray:
        """Normalise `image_rgb` (H W 3 uint8) to float32 (H W 3)."""
        ordered = image_rgb[..., ::-1] if self.channel_order == "bgr" else image_rgb
        scale = np.float32(1 / 255) / np.asarray(self.std, np.float32)
        shift = -np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        return ordered.astype(np.float32) * scale + shift

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Normalization:
        """Inverse of `to_dict`."""
        return cls(tuple(values["mean"]), tuple(values["std"]), values["channel_order"])


DETECTOR_NORMALIZATION = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LINE_NORMALIZATION = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def line_width(size: Sequence[int], *, height: int, max_width: int) -> int:
    """Width of a line picture of `size` (height, width) when scaled to `height`: `min(max_width, ceil(height * w / h))`."""
    h, w = size[:2]
    return max(1, min(max_width, math.ceil(height * w / float(h))))


def resize_pad_line(
    image_rgb: np.ndarray, *, height: int, width: int, normalization: Normalization = LINE_NORMALIZATION
) -> np.ndarray:
    """Scale a line picture to `height`, squeeze it to at most `width`, and pad on the right with 0 (spec 7.4, 8.7).

    The padding is 0 *after* normalisation: mid-grey.

    Returns:
        float32 (height, width, 3).
    """
    import cv2

    scaled_width = line_width(image_rgb.shape, height=height, max_width=width)
    scaled = cv2.resize(image_rgb, (scaled_width, height), interpolation=cv2.INTER_LINEAR)
    out = np.zeros((height, width, 3), np.float32)
    out[:, :scaled_width] = normalization(scaled)
    return out
