"""Where a sheet of paper lies in a picture, and how it is tilted."""

from __future__ import annotations

import numpy as np

from ppocr_jax.synth.canvas import View


def paper_view(rng: np.random.Generator, size: tuple[int, int], *, narrow: bool) -> tuple[View, tuple[int, int]]:
    """A view of a sheet and the (width, height) of the sheet in canvas pixels.

    Most sheets fill the picture or stick out of it; the others show what they lie on. Scale is about 1.

    Args:
        rng: random generator.
        size: (width, height) of the picture.
        narrow: a strip like a receipt rather than a page.
    """
    width, height = size
    share = rng.uniform(0.5, 1.0) if narrow else rng.uniform(0.85, 1.05)
    sheet_w, sheet_h = round(width * share), round(height * rng.uniform(0.9, 1.15))
    if rng.random() < 0.35:
        sheet_w, sheet_h = round(width * 1.04), round(height * 1.04)
    turn = rng.normal(0, 1.2) if rng.random() < 0.85 else rng.normal(0, 6)
    angle = np.deg2rad(np.clip(turn, -14, 14))
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    to_center = np.array([[1, 0, -sheet_w / 2], [0, 1, -sheet_h / 2], [0, 0, 1.0]])
    slack_x, slack_y = (width - sheet_w) / 2, (height - sheet_h) / 2
    x = width / 2 + rng.uniform(-0.9, 0.9) * abs(slack_x)
    y = height / 2 + rng.uniform(-0.9, 0.9) * abs(slack_y)
    to_picture = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
    view = np.eye(3)
    if rng.random() < 0.35:
        view[2, :2] = rng.normal(0, 0.05, 2) / (width, height)
    return View(to_picture @ view @ rotation @ to_center, size), (sheet_w, sheet_h)
