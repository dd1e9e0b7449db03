"""Sheets that show what augmentation does, to look at before training with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ppocr_jax.data import augment_det
from ppocr_jax.data.augment_rec import RECIPES, LineAugmentation
from ppocr_jax.data.copy_paste import can_donate, copy_paste
from ppocr_jax.data.labels import Region
from ppocr_jax.data.line_changes import CHANGES
from ppocr_jax.data.photometric import jitter_photometric
from ppocr_jax.data.rand_augment import OPERATIONS, RandAugment

_VARIANTS = 4
_LABEL_WIDTH = 200
_LINE_HEIGHT = 40
_MAX_CELL_WIDTH = 400
_PAGE_SIZE = 360
_GAP = 4
_GRAY = 90
# Of RandAugment's operations, the middle of PaddleOCR's scale.
_MAGNITUDE = 5

Draw = Callable[[np.random.Generator], np.ndarray]


def augmentation_sheet(image_rgb: np.ndarray, seed: int) -> np.ndarray:
    """One labeled row for each change of a line, each recipe made of them and each operation of RandAugment.

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
        cells = [_fitted(draw(rng), _LINE_HEIGHT, width) for _ in range(_VARIANTS)]
        rows.append(np.concatenate([_label(name, _LINE_HEIGHT), *cells], axis=1))
    return np.concatenate(rows)


def page_augmentation_sheet(image_rgb: np.ndarray, regions: Sequence[Region], seed: int) -> np.ndarray:
    """One labeled row for each change of a page but its scale, with the outlines of its regions.

    CopyPaste takes from the page itself.

    Args:
        image_rgb: (h, w, 3) uint8, a page.
        regions: Its text.
        seed: Of the random choices.

    Returns:
        (H, W, 3) uint8. The first row shows the page itself.
    """
    rows = []
    for number, (name, draw) in enumerate(_named_pages(image_rgb, regions)):
        rng = np.random.default_rng((seed, number))
        cells = [_fitted(draw(rng), _PAGE_SIZE, _PAGE_SIZE) for _ in range(_VARIANTS)]
        rows.append(np.concatenate([_label(name, _PAGE_SIZE), *cells], axis=1))
    return np.concatenate(rows)


def _named_pages(image_rgb: np.ndarray, regions: Sequence[Region]) -> Iterator[tuple[str, Draw]]:
    polygons = [region.points.astype(np.float64) for region in regions]
    whole, side = augment_det.View.of(image_rgb), max(image_rgb.shape[:2])
    views: dict[str, Callable[[np.random.Generator, augment_det.View], augment_det.View]] = {
        "original": lambda rng, view: view,
        "flip": lambda rng, view: augment_det.random_flip(rng, view, probability=1.0),
        "rotation": augment_det.random_rotation,
        "text crop": lambda rng, view: augment_det.random_text_crop(rng, view, polygons, size=side),
        "window": lambda rng, view: augment_det.random_window(rng, view, polygons, size=side // 2),
    }
    for name, change in views.items():
        yield name, lambda rng, change=change: _outlined_view(image_rgb, polygons, change(rng, whole))
    yield "photometric", lambda rng: _outlined(jitter_photometric(rng, image_rgb, polygons), polygons)
    if can_donate(regions):
        yield "copy-paste", lambda rng: _pasted(rng, image_rgb, regions)


def _pasted(rng: np.random.Generator, image_rgb: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    image_rgb, regions = copy_paste(rng, image_rgb, regions, image_rgb, regions)
    return _outlined(image_rgb, [region.points for region in regions])


def _outlined_view(image_rgb: np.ndarray, polygons: Sequence[np.ndarray], view: augment_det.View) -> np.ndarray:
    rendered = augment_det.render(image_rgb, view, max(view.height, view.width))
    return _outlined(rendered, augment_det.clipped_polygons(view, polygons, [False] * len(polygons))[0])


def _outlined(image_rgb: np.ndarray, polygons: Sequence[np.ndarray]) -> np.ndarray:
    import cv2

    outlines = [np.round(polygon).astype(np.int32) for polygon in polygons]
    width = max(1, round(max(image_rgb.shape) / _PAGE_SIZE))
    return cv2.polylines(image_rgb.copy(), outlines, True, (255, 0, 0), width, cv2.LINE_AA)


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


def _label(name: str, height: int) -> np.ndarray:
    import cv2

    label = np.full((height + _GAP, _LABEL_WIDTH, 3), _GRAY, np.uint8)
    place = (_GAP, _LINE_HEIGHT // 2 + _GAP)
    return cv2.putText(label, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)


def _fitted(image_rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture, scaled to fit a cell, on gray."""
    import cv2

    scale = min(height / image_rgb.shape[0], width / image_rgb.shape[1])
    size = tuple(max(1, round(side * scale)) for side in image_rgb.shape[1::-1])
    cell = np.full((height + _GAP, width + _GAP, 3), _GRAY, np.uint8)
    cell[: size[1], : size[0]] = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
    return cell
