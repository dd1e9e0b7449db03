"""Sheets that show what augmentation does, to look at before training with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ppocr_jax.data.augment_rec import RECIPES, LineAugmentation
from ppocr_jax.data.line_changes import CHANGES
from ppocr_jax.data.rand_augment import OPERATIONS, RandAugment

_VARIANTS = 4
_LABEL_WIDTH = 200
_LINE_HEIGHT = 40
_MAX_CELL_WIDTH = 400
_GAP = 4
_GREY = 90
# Of RandAugment's operations, the middle of PaddleOCR's scale.
_MAGNITUDE = 5

Draw = Callable[[np.random.Generator], np.ndarray]


def augmentation_sheet(image_rgb: np.ndarray, seed: int) -> np.ndarray:
    """One labelled row for each change of a line, each recipe made of them and each operation of RandAugment.

    Args:
        image_rgb: (h, w, 3) uint8, a text line.
        seed: Of the random choices.

    Returns:
        (H, W, 3) uint8. The first row shows the line itself.
    """
    width = min(_MAX_CELL_WIDTH, max(1, round(_LINE_HEIGHT * image_rgb.shape[1] / image_rgb.shape[0])))
    rows = []
    for number, (name, draw) in enumerate(_named_draws(image_rgb)):
        rng = np.random.default_rng((seed, number))
        cells = [_fitted(draw(rng), width) for _ in range(_VARIANTS)]
        rows.append(np.concatenate([_label(name), *cells], axis=1))
    return np.concatenate(rows)


def _named_draws(image_rgb: np.ndarray) -> Iterator[tuple[str, Draw]]:
    nowhere = np.empty(0)
    yield "original", lambda rng: image_rgb
    for name, change in CHANGES.items():
        yield name, lambda rng, change=change: change(rng, image_rgb, nowhere)[0]
    for name in RECIPES:
        recipe = LineAugmentation.from_recipe(name)
        yield f"recipe {name}", lambda rng, recipe=recipe: recipe(rng, image_rgb)
    for name, operation in OPERATIONS.items():
        yield (
            f"rand {name}",
            lambda rng, operation=operation: operation(rng, image_rgb, np.empty((0, 2)), _MAGNITUDE)[0],
        )
    yield "rand, two of them", lambda rng: RandAugment(probability=1.0)(rng, image_rgb)


def _label(name: str) -> np.ndarray:
    import cv2

    label = np.full((_LINE_HEIGHT + _GAP, _LABEL_WIDTH, 3), _GREY, np.uint8)
    place = (_GAP, _LINE_HEIGHT // 2 + _GAP)
    return cv2.putText(label, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)


def _fitted(image_rgb: np.ndarray, width: int) -> np.ndarray:
    """The picture, scaled to fit a cell, on grey."""
    import cv2

    scale = min(_LINE_HEIGHT / image_rgb.shape[0], width / image_rgb.shape[1])
    size = tuple(max(1, round(side * scale)) for side in image_rgb.shape[1::-1])
    cell = np.full((_LINE_HEIGHT + _GAP, width + _GAP, 3), _GREY, np.uint8)
    cell[: size[1], : size[0]] = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
    return cell
