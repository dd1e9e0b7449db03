"""Overview images: labeled images with their labels, and the effect of augmentation on an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.data import augment_det
from ppocr_jax.data.augment_rec import CHANGES, RECIPES, LineAugmentation
from ppocr_jax.data.copy_paste import can_donate, copy_paste
from ppocr_jax.data.images import load_record_image
from ppocr_jax.data.label_check import LabelReport, outline_problems
from ppocr_jax.data.labels import DetectionRecord, LabelSet, RecognitionRecord, Region
from ppocr_jax.data.rand_augment import OPERATIONS, RandAugment
from ppocr_jax.document.draw import LABEL_FONTS
from ppocr_jax.images import ImageError

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_PAGES, _LINES = 6, 48  # on a sheet
_IMAGE_WIDTH, _IMAGE_HEIGHT, _LARGEST_SCALE = 640, 840, 2.0
_PAGE_WIDTH, _COLUMN_WIDTH, _LIST_STEP, _LEAST_LINES = 1240, 280, 16, 12
_LINE_WIDTH, _LINE_HEIGHT, _LINE_COLUMNS = 300, 40, 4
_FONT_SIZE, _TAG_SIZE, _GAP, _CAPTION = 12, 10, 8, 20

_WHITE, _BLACK, _GRAY = (255, 255, 255), (0, 0, 0), (120, 120, 120)
_TEXT, _UNKNOWN, _BROKEN = (0, 110, 60), (190, 110, 0), (220, 0, 0)
_VARIANTS = 4
_LABEL_WIDTH = 200
_MAX_CELL_WIDTH = 400
_PAGE_SIZE = 360
_CELL_GAP = 4
_CELL_GRAY = 90
# Magnitude of RandAugment's operations: the middle of PaddleOCR's scale.
_MAGNITUDE = 5


def draw_sheet(labels: LabelSet, report: LabelReport, *, count: int | None = None, seed: int = 0) -> np.ndarray:
    """Draw a sample of labels; up to half of it are labels with errors or warnings.

    Regions are outlined and numbered at their first corner, and their texts are listed next to the image: green, orange
    if the text is unknown, gray if ignored, red if the outline is broken. Lines are drawn above their texts, which are
    red if something is wrong. Characters that no available font has are drawn as U+XXXX.

    Args:
        labels: The labels.
        report: Result of `check_labels` for them.
        count: Number of images; default: 6 with regions, 48 of lines.
        seed: Seed of the sample.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: There are no labels.
    """
    if not labels.records:
        raise ValueError(f"{labels.path}: no labels to draw")
    wrong = {p.record for p in report.problems if p.severity != "note" and p.record is not None}
    count = count or (_PAGES if labels.task == "det" else _LINES)
    chosen = _sample(len(labels.records), sorted(wrong), count, np.random.default_rng(seed))
    cells = [_cell(labels.records[index], broken=index in wrong) for index in chosen]
    return np.asarray(_grid(cells, 1 if labels.task == "det" else _LINE_COLUMNS))


def _sample(total: int, wrong: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Return the indices of `count` records; up to half of them are from `wrong`."""
    order = rng.permutation(total).tolist()
    preferred = rng.permutation(np.array(wrong, int)).tolist()[: (count + 1) // 2]
    return sorted(list(dict.fromkeys([*preferred, *order]))[:count])


def _grid(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    from PIL import Image

    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + _GAP for row in rows]
    width = max(cell.width for cell in cells) + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, sum(heights) + _GAP), _WHITE)
    for row, top in zip(rows, np.cumsum([_GAP, *heights]), strict=False):
        for column, cell in enumerate(row):
            sheet.paste(cell, (_GAP + column * width, int(top)))
    return sheet


def _cell(record: DetectionRecord | RecognitionRecord, *, broken: bool) -> Image.Image:
    try:
        image_rgb = load_record_image(record.image_path)
    except ImageError:
        image_rgb = None
    if isinstance(record, DetectionRecord):
        return _page_cell(record, image_rgb)
    return _line_cell(record, image_rgb, broken=broken)


def _page_cell(record: DetectionRecord, image_rgb: np.ndarray | None) -> Image.Image:
    """Return the image with numbered outlines, and the list of texts."""
    from PIL import Image, ImageDraw

    image, scale = _scaled(image_rgb, _IMAGE_WIDTH, _IMAGE_HEIGHT, _LARGEST_SCALE)
    size = None if image_rgb is None else (image_rgb.shape[0], image_rgb.shape[1])
    broken = [[k for k in outline_problems(region.points, size) if k != "rotated"] for region in record.regions]
    colors = [_color(region, kinds) for region, kinds in zip(record.regions, broken, strict=True)]
    pen = ImageDraw.Draw(image)
    for number, (region, color) in enumerate(zip(record.regions, colors, strict=True), start=1):
        _outline(pen, region.points * scale, str(number), color)
    cell = Image.new("RGB", (_PAGE_WIDTH, _CAPTION + max(image.height, _LEAST_LINES * _LIST_STEP)), _WHITE)
    cell.paste(image, (0, _CAPTION))
    pen = ImageDraw.Draw(cell)
    missing = "" if image_rgb is not None else " cannot be read"
    name = "/".join(record.image_path.parts[-3:])
    _write(pen, (0, 2), f"{name}{missing}: {len(record.regions)} regions", _BLACK, _PAGE_WIDTH)
    entries = [
        f"{number}  {region.text or '(text not known)'}{''.join(f' [{kind}]' for kind in kinds)}"
        for number, (region, kinds) in enumerate(zip(record.regions, broken, strict=True), start=1)
    ]
    _list(pen, entries, colors, left=image.width + 2 * _GAP, bottom=cell.height)
    return cell


def _color(region: Region, kinds: Sequence[str]) -> tuple[int, int, int]:
    if kinds:
        return _BROKEN
    if region.ignore:
        return _GRAY
    return _TEXT if region.text else _UNKNOWN


def _outline(pen: ImageDraw.ImageDraw, points: np.ndarray, tag: str, color: tuple[int, int, int]) -> None:
    """Draw an outline with a dot at its first corner, and the tag to the left of it."""
    corners = [(float(x), float(y)) for x, y in points]
    pen.line([*corners, corners[0]], fill=color, width=3 if color == _BROKEN else 1)
    x, y = corners[0]
    pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
    at = max(x - 4, 2 * _TAG_SIZE), max(y, _TAG_SIZE)
    LABEL_FONTS.draw(pen, at, tag, _TAG_SIZE, color, anchor="rm", outline=_WHITE)


def _list(
    pen: ImageDraw.ImageDraw, entries: list[str], colors: Sequence[tuple[int, int, int]], *, left: int, bottom: int
) -> None:
    """Write texts in columns next to the image; the last line says how many did not fit."""
    per_column = (bottom - _CAPTION) // _LIST_STEP
    room = per_column * ((_PAGE_WIDTH - left) // _COLUMN_WIDTH)
    if len(entries) > room:
        entries = [*entries[: room - 1], f"... and {len(entries) - room + 1} more"]
    for index, (entry, color) in enumerate(zip(entries, colors, strict=False)):
        column, row = divmod(index, per_column)
        at = left + column * _COLUMN_WIDTH, _CAPTION + row * _LIST_STEP
        _write(pen, at, entry, color, _COLUMN_WIDTH - _GAP)


def _line_cell(record: RecognitionRecord, image_rgb: np.ndarray | None, *, broken: bool) -> Image.Image:
    from PIL import Image, ImageDraw

    image, _ = _scaled(image_rgb, _LINE_WIDTH, _LINE_HEIGHT, _LINE_HEIGHT)
    cell = Image.new("RGB", (_LINE_WIDTH, _LINE_HEIGHT + _CAPTION), _WHITE)
    cell.paste(image, (0, 0))
    color = _BROKEN if broken else _BLACK
    _write(ImageDraw.Draw(cell), (0, _LINE_HEIGHT + 2), record.text, color, _LINE_WIDTH)
    return cell


def _scaled(image_rgb: np.ndarray | None, width: int, height: int, largest: float) -> tuple[Image.Image, float]:
    """Return an image resized to fit, and its scale; a gray box if there is no image."""
    from PIL import Image

    if image_rgb is None:
        return Image.new("RGB", (width, min(height, width // 4)), (200, 200, 200)), 1.0
    scale = min(width / image_rgb.shape[1], height / image_rgb.shape[0], largest)
    size = max(1, round(image_rgb.shape[1] * scale)), max(1, round(image_rgb.shape[0] * scale))
    return Image.fromarray(image_rgb).resize(size, Image.Resampling.BICUBIC), scale


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, color: tuple[int, int, int], width: int) -> None:
    """Write text that is cut off at `width` pixels."""
    if LABEL_FONTS.length(text, _FONT_SIZE) > width:
        while text and LABEL_FONTS.length(f"{text}...", _FONT_SIZE) > width:
            text = text[:-1]
        text += "..."
    LABEL_FONTS.draw(pen, at, text, _FONT_SIZE, color)


Draw = Callable[[np.random.Generator], np.ndarray]


def augmentation_sheet(image_rgb: np.ndarray, seed: int) -> np.ndarray:
    """Draw one labeled row for each change of a line, each recipe and each operation of RandAugment.

    Args:
        image_rgb: (h, w, 3) uint8, a text line.
        seed: Seed of the random choices.

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
    """Draw one labeled row for each change of a page except its scale, with the outlines of its regions.

    CopyPaste uses the page itself as its donor.

    Args:
        image_rgb: (h, w, 3) uint8, a page.
        regions: Text regions of the page.
        seed: Seed of the random choices.

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
    yield "photometric", lambda rng: _outlined(augment_det.jitter_photometric(rng, image_rgb, polygons), polygons)
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
        recipe = LineAugmentation(recipe=name)
        yield f"recipe {name}", lambda rng, recipe=recipe: recipe(rng, image_rgb)
    for name, operation in OPERATIONS.items():
        yield (
            f"rand {name}",
            lambda rng, operation=operation: operation(rng, image_rgb, np.empty((0, 2)), _MAGNITUDE)[0],
        )
    yield "rand, two of them", lambda rng: RandAugment(probability=1.0)(rng, image_rgb)


def _label(name: str, height: int) -> np.ndarray:
    import cv2

    label = np.full((height + _CELL_GAP, _LABEL_WIDTH, 3), _CELL_GRAY, np.uint8)
    place = (_CELL_GAP, _LINE_HEIGHT // 2 + _CELL_GAP)
    return cv2.putText(label, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)


def _fitted(image_rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the image, scaled to fit a cell, on gray."""
    import cv2

    scale = min(height / image_rgb.shape[0], width / image_rgb.shape[1])
    size = tuple(max(1, round(side * scale)) for side in image_rgb.shape[1::-1])
    cell = np.full((height + _CELL_GAP, width + _CELL_GAP, 3), _CELL_GRAY, np.uint8)
    cell[: size[1], : size[0]] = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
    return cell
