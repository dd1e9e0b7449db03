"""Label Studio: pages that were read as predictions to correct, and what people corrected as pages.

For its template of optical character recognition: `Polygon` named "poly" and `TextArea` named "transcription", both on
the `Image` named "image". Places are percents of the image there.
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
"""The labeling interface to set up a project with."""


def to_tasks(pages: Iterable[Page], url_of: Callable[[Page], str], *, model: str = "") -> Iterator[dict[str, Any]]:
    """Yield a task per page, to be imported as JSON; pages that could not be read are left out.

    Args:
        pages: what was read.
        url_of: where Label Studio finds a page's image.
        model: its name, for Label Studio's `model_version`.
    """
    for page in pages:
        if page.error:
            continue
        result = [part for line in page for part in _region(page, line)]
        mean = sum(line.confidence for line in page) / max(1, len(page))
        prediction = {"model_version": model or f"ppocr_jax {__version__}", "score": round(mean, 4), "result": result}
        yield {"data": {"ocr": url_of(page)}, "predictions": [prediction]}


def _region(page: Page, line: Line) -> Iterator[dict[str, Any]]:
    """Yield a line's outline, label and text, which Label Studio joins by their id."""
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
    """Yield the page of each task in an export in JSON: its last annotation that was not canceled, lines by outline.

    Rectangles are taken, too; a polygon of another number of corners becomes the rectangle around it. A region without
    text is a line of text "". A task that nobody annotated yields no page.

    Raises:
        UserError: it is no such export.
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

    # A rectangle turns around its top-left corner, clockwise.
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
