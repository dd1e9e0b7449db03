"""Result of recognition: a `Page` of `Line`s in reading order, each with `Word`s of `Char`s.

Coordinates are (x, y) pixels of the upright input image. A quad is clockwise from the corner where the text begins.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

if TYPE_CHECKING:
    import numpy as np

    from ppocr_jax.document.tables import Table

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]
Box = tuple[int, int, int, int]

SCHEMA_VERSION = 1


def quad_box(*quads: Quad) -> Box:
    """Return the axis-aligned bounding box (left, top, right, bottom) of quads in whole pixels."""
    xs, ys = zip(*(point for quad in quads for point in quad), strict=True)
    return math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)), math.ceil(max(ys))


def quad_direction(quad: Quad) -> float:
    """Return the reading direction of a quad in degrees clockwise from rightwards, -180..180."""
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = quad
    return math.degrees(math.atan2(y2 - y1 + y3 - y4, x2 - x1 + x3 - x4))


def quad_height(quad: Quad) -> float:
    """Return the height of a quad in pixels: the mean length of the two sides across the reading direction."""
    return (math.dist(quad[0], quad[3]) + math.dist(quad[1], quad[2])) / 2


def quad_length(quad: Quad) -> float:
    """Return the length of a quad in pixels: the mean length of the two sides along the reading direction."""
    return (math.dist(quad[0], quad[1]) + math.dist(quad[3], quad[2])) / 2


def rotate_back(quad: Quad, rotation: int) -> Quad:
    """Rotate a quad counter-clockwise by `rotation`, the clockwise rotation of its page, up to a translation."""
    for _ in range(rotation // 90 % 4):
        (a, b), (c, d), (e, f), (g, h) = quad
        quad = (b, -a), (d, -c), (f, -e), (h, -g)
    return quad


class Char(NamedTuple):
    """One character.

    Attributes:
        text: The character.
        quad: Its part of the line's quad: as high as the line, and extending to the middle between its neighbors.
        confidence: Its probability, 0..1.
    """

    text: str
    quad: Quad
    confidence: float

    @property
    def box(self) -> Box:
        """Axis-aligned bounding box of the quad (left, top, right, bottom), in whole pixels."""
        return quad_box(self.quad)

    def to_dict(self) -> dict[str, Any]:
        """Return the character as plain types, for JSON."""
        return {"text": self.text, "quad": _plain_quad(self.quad), "confidence": round(float(self.confidence), 4)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Char:
        """Return the character from the result of `to_dict`. Raises like `Line.from_dict`."""
        return cls(values["text"], _parse_quad(values["quad"]), float(values["confidence"]))


@dataclass(frozen=True)
class Word:
    """A run of characters without spaces.

    Attributes:
        chars: The characters.
        quad: Their part of the line's quad.
    """

    chars: tuple[Char, ...]
    quad: Quad

    @property
    def box(self) -> Box:
        """Axis-aligned bounding box of the quad (left, top, right, bottom), in whole pixels."""
        return quad_box(self.quad)

    @property
    def text(self) -> str:
        """Text of the characters."""
        return "".join([char.text for char in self.chars])

    @property
    def confidence(self) -> float:
        """Mean of the characters' confidences, 0..1."""
        return sum(char.confidence for char in self.chars) / len(self.chars)

    def to_dict(self) -> dict[str, Any]:
        """Return the word as plain types, for JSON."""
        return {
            "text": self.text,
            "quad": _plain_quad(self.quad),
            "confidence": round(self.confidence, 4),
            "chars": [char.to_dict() for char in self.chars],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Word:
        """Return the word from the result of `to_dict`. Raises like `Line.from_dict`."""
        return cls(tuple(Char.from_dict(char) for char in values["chars"]), _parse_quad(values["quad"]))


@dataclass(frozen=True)
class Line:
    """A text line.

    Attributes:
        quad: Four corners (x, y) in pixels, clockwise from the top-left corner of the text.
        text: Recognized text.
        confidence: Mean probability of the kept characters, including spaces, 0..1.
        detection_score: Mean of the probability map inside the box, 0..1.
        angle: Degrees by which the direction classifier rotated the crop, 0 or 180.
        words: Words of the line, from left to right in reading direction.
    """

    quad: Quad
    text: str
    confidence: float
    detection_score: float = 1.0
    angle: int = 0
    words: tuple[Word, ...] = ()

    @property
    def box(self) -> Box:
        """Axis-aligned bounding box of the quad (left, top, right, bottom), in whole pixels."""
        return quad_box(self.quad)

    def to_dict(self, *, words: bool = False) -> dict[str, Any]:
        """Return the line as plain types, for JSON. With `words`, include the words and their characters."""
        values = {
            "quad": _plain_quad(self.quad),
            "text": self.text,
            "confidence": round(float(self.confidence), 4),
            "detection_score": round(float(self.detection_score), 4),
            "angle": self.angle,
        }
        return values | {"words": [word.to_dict() for word in self.words]} if words else values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Line:
        """Return the line from the result of `to_dict`.

        Raises:
            ValueError: If a quad does not have four (x, y) points.
        """
        return cls(
            _parse_quad(values["quad"]),
            values["text"],
            float(values["confidence"]),
            float(values.get("detection_score", 1.0)),
            int(values.get("angle", 0)),
            tuple(Word.from_dict(word) for word in values.get("words", ())),
        )


@dataclass(frozen=True)
class Page:
    """All lines of one image, in reading order.

    Attributes:
        width, height: Size of the upright image in pixels.
        lines: Lines, empty if the image has no text.
        source: Path of the image, or "" for an array.
        rotation: Clockwise rotation of the text in degrees: 0, 90, 180 or 270. Coordinates are in the image as it is.
            Lines are in the order of the upright page.
        error: Reason why the image could not be read, or "".
        number: Number of the page in its document, from 1.
        warnings: Possible problems, such as text too small to be detected.
    """

    width: int
    height: int
    lines: tuple[Line, ...]
    source: str = ""
    rotation: int = 0
    error: str = ""
    number: int = 1
    warnings: tuple[str, ...] = ()

    @classmethod
    def of_error(cls, error: Exception | str, source: str = "") -> Page:
        """Return a page of size 0 x 0 for one that cannot be read, with the page number of an `ImageError`."""
        return cls(0, 0, (), source, error=str(error), number=getattr(error, "number", 1))

    @property
    def text(self) -> str:
        """Texts of the lines, one per row."""
        return "\n".join(line.text for line in self.lines)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all lines, in reading order."""
        return tuple(word for line in self.lines for word in line.words)

    def rows(self) -> tuple[tuple[Line, ...], ...]:
        """Return the lines in reading order, grouped into rows of lines side by side.

        Columns of running text stay columns, because only consecutive lines are joined.
        """
        from ppocr_jax.document.layout import page_rows

        return page_rows(self)

    def join_rows(self, separator: str = " ") -> Page:
        """Return the page with each of its `rows` joined to one line, such as an item of a receipt with its price.

        Args:
            separator: Text between the texts of joined lines.
        """
        from ppocr_jax.document.layout import joined_line

        return replace(self, lines=tuple(joined_line(row, separator) for row in self.rows()))

    def layout(self) -> str:
        """Return the text in its layout: columns and rows aligned in a grid of monospaced characters."""
        from ppocr_jax.document.layout import to_layout

        return "".join(to_layout([self])).rstrip("\n")

    def tables(self, image: Any = None) -> list[Table]:
        """Return the tables of the page; see `find_tables`.

        Args:
            image: Image to search for ruling lines. None: tables are found by their columns alone.
        """
        from ppocr_jax.document.save import image_of
        from ppocr_jax.document.tables import find_tables

        return find_tables(self, None if image is None else image_of(self, image))

    def confident(self, minimum: float, *, by: Literal["word", "line"] = "word") -> Page:
        """Return the page without text of low confidence.

        Args:
            minimum: Least confidence to keep, 0..1.
            by: "word": drop words, and lines without remaining words; "line": drop whole lines. A line with unknown
                words is kept or dropped as a whole.

        Raises:
            ValueError: If `by` is neither "word" nor "line".
        """
        if by not in ("word", "line"):
            raise ValueError(f'by must be "word" or "line", not {by!r}')
        if by == "word":
            lines = [_confident_words(line, minimum) if line.words else line for line in self.lines]
            kept = [line for line in lines if line.text and (line.words or line.confidence >= minimum)]
        else:
            kept = [line for line in self.lines if line.text and line.confidence >= minimum]
        return replace(self, lines=tuple(kept))

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> Line: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Line, ...]: ...

    def __getitem__(self, index: int | slice) -> Line | tuple[Line, ...]:
        return self.lines[index]

    def to_dict(self, *, words: bool = False) -> dict[str, Any]:
        """Return the page as plain types, for JSON. With `words`, include the words of each line and their characters.

        Coordinates are rounded to hundredths of a pixel, probabilities to four digits.
        """
        values: dict[str, Any] = {
            "schema": SCHEMA_VERSION,
            "image": self.source,
            "page": self.number,
            "width": self.width,
            "height": self.height,
            "rotation": self.rotation,
            "lines": [line.to_dict(words=words) for line in self.lines],
        }
        if self.warnings:
            values["warnings"] = list(self.warnings)
        return values | {"error": self.error} if self.error else values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Page:
        """Return the page from the result of `to_dict`.

        Raises:
            ValueError: If the schema number is newer than this version supports.
        """
        if values.get("schema", SCHEMA_VERSION) > SCHEMA_VERSION:
            raise ValueError(f"result schema {values['schema']} is newer than {SCHEMA_VERSION}; update ppocr_jax")
        lines = tuple(Line.from_dict(line) for line in values["lines"])
        return cls(
            int(values["width"]),
            int(values["height"]),
            lines,
            values.get("image", ""),
            int(values.get("rotation", 0)),
            values.get("error", ""),
            int(values.get("page", 1)),
            tuple(values.get("warnings", ())),
        )

    def save(self, path: str | os.PathLike[str], *, image: Any = None, words: bool = False) -> None:
        """Write the page in the format of the path's suffix; see `save_page`.

        Args:
            path: Output file.
            image: Image of the page, needed for .pdf and drawn pages. None: it is read again from `source`.
            words: Write words in addition to lines, or instead of lines, with their characters if the format allows.
        """
        from ppocr_jax.document.save import save_page

        save_page(self, path, image=image, words=words)

    def draw(self, image: Any = None) -> np.ndarray:
        """Return the image with outlined lines, and their texts beside it, (H, 2 W, 3) uint8; see `draw_page`.

        Args:
            image: Image of the page. None: it is read again from `source`.
        """
        from ppocr_jax.document.draw import draw_page
        from ppocr_jax.document.save import image_of

        return draw_page(image_of(self, image), self)


def _confident_words(line: Line, minimum: float) -> Line:
    """Return a line without the words with a confidence below `minimum`.

    Its confidence is the mean of the kept characters, including spaces. The confidence of a single space is unknown:
    each space counts with the mean of all spaces of the line, computed from the line's confidence.
    """
    words = tuple(word for word in line.words if word.confidence >= minimum)
    if len(words) == len(line.words):
        return line
    if not words:
        return replace(line, text="", confidence=0.0, words=())
    before = [char.confidence for word in line.words for char in word.chars]
    chars = [char.confidence for word in words for char in word.chars]
    spaces = len(line.text) - len(before)
    of_spaces = (line.confidence * len(line.text) - sum(before)) / spaces if spaces > 0 else 1.0
    left = len(words) - 1
    total = sum(chars) + left * min(max(of_spaces, 0.0), 1.0)
    text = " ".join(word.text for word in words)
    return replace(line, text=text, confidence=total / (len(chars) + left), words=words)


def _plain_quad(quad: Quad) -> list[list[float]]:
    return [[round(float(x), 2), round(float(y), 2)] for x, y in quad]


def _parse_quad(points: Any) -> Quad:
    quad = tuple((float(x), float(y)) for x, y in points)
    if len(quad) != 4:
        raise ValueError(f"a quad has 4 points, got {len(quad)}")
    return quad


@dataclass(frozen=True)
class WordBox:
    """A word with its quad (pixels, clockwise from where the text begins) and confidence, 0..1."""

    text: str
    quad: Quad
    confidence: float
    chars: tuple[Char, ...] = ()


def line_words(line: Line) -> list[WordBox]:
    """Return the words of a line, or the whole line as one word if its words are unknown."""
    if line.words:
        return [WordBox(word.text, word.quad, word.confidence, word.chars) for word in line.words]
    return [WordBox(line.text, line.quad, line.confidence)] if line.text else []
