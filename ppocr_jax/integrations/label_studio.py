"""Label Studio: export recognized pages as predictions, and import corrected annotations as pages.

The tasks are for its OCR template: `Polygon` named "poly" and `TextArea` named "transcription", both on the `Image`
named "image". Coordinates are percentages of the image size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from ppocr_jax import __version__
from ppocr_jax.document.page import Line, Page, Quad
from ppocr_jax.errors import UserError

LABEL = "Text"
CONFIG = f"""<View>
  <Image name="image" value="$ocr"/>
  <Labels name="label" toName="image"><Label value="{LABEL}" background="green"/></Labels>
  <Polygon name="poly" toName="image" strokeWidth="2"/>
  <TextArea name="transcription" toName="image" editable="true" perRegion="true" maxSubmissions="1" rows="1"/>
</View>
"""
"""Labeling configuration for a Label Studio project."""


def to_tasks(pages: Iterable[Page], url_of: Callable[[Page], str], *, model: str = "") -> Iterator[dict[str, Any]]:
    """Yield a task per page, for import as JSON; pages that could not be read are omitted.

    Args:
        pages: Recognized pages.
        url_of: Returns the URL of a page's image for Label Studio.
        model: Name of the model for Label Studio's `model_version`; default: ppocr_jax and its version.
    """
    for page in pages:
        if page.error:
            continue
        result = [part for line in page for part in _region(page, line)]
        mean = sum(line.confidence for line in page) / max(1, len(page))
        prediction = {"model_version": model or f"ppocr_jax {__version__}", "score": round(mean, 4), "result": result}
        yield {"data": {"ocr": url_of(page)}, "predictions": [prediction]}


def _region(page: Page, line: Line) -> Iterator[dict[str, Any]]:
    """Yield the outline, label and text of a line; Label Studio joins them by their id."""
    points = [[100 * x / page.width, 100 * y / page.height] for x, y in line.quad]
    identity = hashlib.blake2b(repr((page.source, page.number, line.quad)).encode(), digest_size=5).hexdigest()
    common = {
        "id": identity,
        "to_name": "image",
        "original_width": page.width,
        "original_height": page.height,
        "image_rotation": 0,
    }
    place = {"points": points, "closed": True}
    score = round(line.confidence, 4)
    yield {**common, "from_name": "poly", "type": "polygon", "value": place}
    yield {**common, "from_name": "label", "type": "labels", "value": {**place, "labels": [LABEL]}}
    text = {**place, "text": [line.text]}
    yield {**common, "from_name": "transcription", "type": "textarea", "value": text, "score": score}


def from_export(tasks: Iterable[Mapping[str, Any]]) -> Iterator[Page]:
    """Yield the page of each annotated task in a JSON export, with a line per region.

    The last annotation of a task that was not canceled is used. Regions are polygons or rectangles; a polygon that does
    not have four corners becomes the rectangle around it. A region without text becomes a line with the text "".

    Raises:
        UserError: A task is not in the format of a Label Studio export.
    """
    for number, task in enumerate(tasks, start=1):
        try:
            annotations = [one for one in task["annotations"] if not one.get("was_cancelled")]
            if annotations:
                yield _page(task, annotations[-1]["result"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(f"task {number} is not one of a Label Studio export in JSON: {error!r}") from error


def _page(task: Mapping[str, Any], result: Iterable[Mapping[str, Any]]) -> Page:
    quads: dict[str, Quad] = {}
    texts: dict[str, str] = {}
    size = (0, 0)
    for part in result:
        if part["type"] in ("polygon", "rectangle"):
            size = int(part["original_width"]), int(part["original_height"])
            quads[part["id"]] = _quad(part["value"], *size)
        elif part["type"] == "textarea":
            texts[part["id"]] = "\n".join(part["value"]["text"])
    lines = tuple(Line(quad, texts.get(identity, ""), 1.0) for identity, quad in quads.items())
    data = task["data"]
    return Page(*size, lines, str(data.get("ocr") or data.get("image") or next(iter(data.values()))))


def _quad(value: Mapping[str, Any], width: int, height: int) -> Quad:
    """Return the corners in pixels, clockwise from the top-left one."""
    if "points" in value:
        points = [(x * width / 100, y * height / 100) for x, y in value["points"]]
        if len(points) == 4:
            return cast(Quad, tuple(points))
        xs, ys = zip(*points, strict=True)
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        return (left, top), (right, top), (right, bottom), (left, bottom)
    import math

    # Rotation is in degrees, clockwise around the top-left corner.
    left, top = value["x"] * width / 100, value["y"] * height / 100
    wide, high = value["width"] * width / 100, value["height"] * height / 100
    turn = math.radians(value.get("rotation", 0))
    along = (wide * math.cos(turn), wide * math.sin(turn))
    down = (-high * math.sin(turn), high * math.cos(turn))
    return (
        (left, top),
        (left + along[0], top + along[1]),
        (left + along[0] + down[0], top + along[1] + down[1]),
        (left + down[0], top + down[1]),
    )
