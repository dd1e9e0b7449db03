"""What reading a picture gives: a `Page` of `Line`s, in reading order.

Coordinates are (x, y) pixels of the upright input picture; a quad runs clockwise from the corner where reading starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Line:
    """One text line.

    Attributes:
        quad: four corners (x, y) in pixels, clockwise from top-left as read.
        text: what was recognised.
        confidence: mean probability of the kept characters, 0..1.
        detection_score: mean of the probability map inside the box, 0..1.
        angle: 0, or 180 where the direction classifier turned the crop, in degrees.
    """

    quad: Quad
    text: str
    confidence: float
    detection_score: float = 1.0
    angle: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {
            "quad": [[float(x), float(y)] for x, y in self.quad],
            "text": self.text,
            "confidence": round(float(self.confidence), 4),
            "detection_score": round(float(self.detection_score), 4),
            "angle": self.angle,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Line:
        """Inverse of `to_dict`.

        Raises:
            ValueError: the quad does not have four (x, y) points.
        """
        points = tuple((float(x), float(y)) for x, y in values["quad"])
        if len(points) != 4:
            raise ValueError(f"a quad has 4 points, got {len(points)}")
        return cls(
            points,
            values["text"],
            float(values["confidence"]),
            float(values.get("detection_score", 1.0)),
            int(values.get("angle", 0)),
        )


@dataclass(frozen=True)
class Page:
    """All lines of one picture, in reading order.

    Attributes:
        width, height: size of the upright picture in pixels.
        lines: the lines; empty where the picture holds no text.
        source: path of the picture, or "" for one given as an array.
    """

    width: int
    height: int
    lines: tuple[Line, ...]
    source: str = ""

    @property
    def text(self) -> str:
        """The lines' texts, one per row."""
        return "\n".join(line.text for line in self.lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {
            "schema": SCHEMA_VERSION,
            "image": self.source,
            "width": self.width,
            "height": self.height,
            "lines": [line.to_dict() for line in self.lines],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Page:
        """Inverse of `to_dict`.

        Raises:
            ValueError: a schema number newer than this version reads.
        """
        if values.get("schema", SCHEMA_VERSION) > SCHEMA_VERSION:
            raise ValueError(f"result schema {values['schema']} is newer than {SCHEMA_VERSION}; update ppocr_jax")
        lines = tuple(Line.from_dict(line) for line in values["lines"])
        return cls(int(values["width"]), int(values["height"]), lines, values.get("image", ""))
