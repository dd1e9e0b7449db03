"""Random looks of a text line: its font, size, colours, tilt and what stands around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.data.synthetic.fonts import FontFace
from ppocr_jax.data.synthetic.glyphs import InkedText
from ppocr_jax.data.synthetic.warp import Tilt

_KINDS = ("receipt", "document", "scene")
_KIND_PROBABILITIES = (0.58, 0.24, 0.18)
_MIN_CONTRAST = {"receipt": 70, "document": 90, "scene": 55}


@dataclass(frozen=True)
class LineStyle:
    """All random choices about the look of one line. Lengths are relative to the picture's height unless said otherwise.

    Attributes:
        kind: "receipt", "document" or "scene".
        height: of the picture, in pixels.
        fill: height of the text.
        margins: (left, right) room; slightly negative where a crop cuts into the text.
        lift: 0..1, share of the vertical room above the text.
        tracking, space_scale, stroke, pixelated: see `Lettering`; stroke in em.
        tilt: rotation, lean, perspective, wave.
        ground: "flat", "gradient", "paper" or "photo".
        paper_color, ink_color: (3,) float32 RGB.
        opacity: of the ink.
        neighbours: whether the lines (above, below) reach into the picture.
        rules: "", "underline", "box" or "side".
        interpolation: OpenCV's flag for placing the drawn line.
    """

    kind: str
    height: int
    fill: float
    margins: tuple[float, float]
    lift: float
    tracking: float
    space_scale: float
    stroke: float
    pixelated: bool
    tilt: Tilt
    ground: str
    paper_color: np.ndarray
    ink_color: np.ndarray
    opacity: float
    neighbours: tuple[bool, bool]
    rules: str
    interpolation: int


class FontPicker:
    """Chooses faces: families alike, typewriter faces often on receipts, only faces that have the text's characters."""

    def __init__(self, fonts: Sequence[FontFace], charset: Charset):
        """Raises ValueError: no fonts, or none of them draws any character of the charset."""
        visible = [c for c in charset.characters if not c.isspace()]
        self._faces = tuple(f for f in fonts if any(c in f.characters for c in visible))
        if not self._faces:
            raise ValueError("no font can draw the charset: pass the result of find_fonts(required=...)")
        families: dict[str, list[FontFace]] = {}
        for face in self._faces:
            families.setdefault(face.family, []).append(face)
        self._families = tuple(tuple(faces) for faces in families.values())
        self._monospaced = tuple(f for f in self._families if f[0].monospaced)

    def pick(self, rng: np.random.Generator, kind: str) -> FontFace:
        """A face for a line of `kind`."""
        share = {"receipt": 0.5, "document": 0.25}.get(kind, 0.03)
        families = self._monospaced if self._monospaced and rng.random() < share else self._families
        faces = families[int(rng.integers(len(families)))]
        return faces[int(rng.integers(len(faces)))]

    def drawable(self, rng: np.random.Generator, text: str, face: FontFace) -> tuple[str, FontFace]:
        """`text` and a face that has all of it, `face` if possible; else what of `text` the best face tried has."""
        if face.covers(text):
            return text, face
        begin = int(rng.integers(len(self._faces)))
        candidates = self._faces[begin:] + self._faces[:begin]
        found = next((f for f in candidates if f.covers(text)), None)
        if found is not None:
            return text, found
        best = max((face, *candidates[:32]), key=lambda f: sum(c in f.characters for c in text))
        kept = " ".join("".join([c for c in text if c in best.characters]).split())
        return (kept, best) if kept else ("1", face if face.covers("1") else best)


def random_style(rng: np.random.Generator) -> LineStyle:
    """The look of one line."""
    kind = _KINDS[int(rng.choice(3, p=_KIND_PROBABILITIES))]
    height = int(np.clip(np.exp(rng.normal(np.log(24), 0.42)), 10, 60))
    paper_color, ink_color = _colors(rng, kind)
    pixelated = kind == "receipt" and rng.random() < 0.3
    loose = rng.random(2) < 0.3
    margins = np.where(loose, rng.uniform(0.1, 0.45, 2), rng.uniform(-0.03, 0.12, 2))
    return LineStyle(
        kind=kind,
        height=height,
        fill=float(rng.uniform(0.55, 0.97)),
        margins=(float(margins[0]), float(margins[1])),
        lift=float(rng.uniform(0.15, 0.85)),
        tracking=float(rng.uniform(-0.03, 0.22)) if rng.random() < 0.25 else 0.0,
        space_scale=float(rng.uniform(0.6, 2.2)) if rng.random() < 0.35 else 1.0,
        stroke=float(rng.uniform(0.005, 0.03)) if rng.random() < 0.2 else 0.0,
        pixelated=pixelated,
        tilt=_random_tilt(rng, kind),
        ground=_ground(rng, kind),
        paper_color=paper_color,
        ink_color=ink_color,
        opacity=float(rng.uniform(0.7, 1.0)),
        neighbours=(bool(rng.random() < 0.18), bool(rng.random() < 0.18)),
        rules=("underline", "box", "side")[int(rng.integers(3))] if rng.random() < 0.1 else "",
        interpolation=0 if pixelated and rng.random() < 0.3 else 1,
    )


def _random_tilt(rng: np.random.Generator, kind: str) -> Tilt:
    strong = kind == "scene"
    angle = rng.normal(0, 0.6 if not strong else 1.4) if rng.random() < 0.6 else 0.0
    perspective = rng.normal(0, 0.06 if strong else 0.015, 2) if rng.random() < 0.4 else (0.0, 0.0)
    return Tilt(
        stretch=float(np.exp(rng.normal(0, 0.14))),
        angle=float(np.deg2rad(np.clip(angle, -3, 3))),
        shear=float(np.clip(rng.normal(0, 0.12), -0.3, 0.3)) if rng.random() < 0.25 else 0.0,
        perspective=(float(perspective[0]), float(perspective[1])),
        bend=float(rng.uniform(-0.12, 0.12)) if rng.random() < 0.08 else 0.0,
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _ground(rng: np.random.Generator, kind: str) -> str:
    names = ("flat", "gradient", "paper", "photo")
    shares = {"receipt": (0.3, 0.1, 0.58, 0.02), "document": (0.4, 0.05, 0.55, 0.0)}.get(kind, (0.25, 0.25, 0.1, 0.4))
    return names[int(rng.choice(4, p=shares))]


def _colors(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(paper, ink) with enough contrast; mostly dark on light."""
    if kind == "scene":
        paper, ink = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        if rng.random() < 0.4:
            ink = np.full(3, rng.choice((rng.uniform(0, 40), rng.uniform(215, 255))))
    else:
        tint = rng.normal(0, 4, 3) if rng.random() < 0.35 else 0.0
        bright = rng.uniform(170, 256) if kind == "receipt" else rng.uniform(215, 256)
        paper = bright + tint
        ink = rng.uniform(0, 110) + (rng.normal(0, 18, 3) if rng.random() < 0.15 else np.zeros(3))
        if rng.random() < 0.04:
            paper, ink = ink, paper
    paper, ink = np.broadcast_to(paper, 3), np.broadcast_to(ink, 3)
    gap = float(paper.mean() - ink.mean())
    if abs(gap) < _MIN_CONTRAST[kind]:
        push = (_MIN_CONTRAST[kind] - abs(gap)) * (1 if gap > 0 else -1)
        ink = ink - push
        paper = paper + np.clip(push, -80, 80)
    return np.clip(paper, 0, 255).astype(np.float32), np.clip(ink, 0, 255).astype(np.float32)


def draw_rules(rng: np.random.Generator, style: LineStyle, ink: InkedText) -> np.ndarray:
    """The mask of `ink` with an underline, a box or a rule at one side."""
    import cv2

    mask = ink.mask.copy()
    left, top, right, bottom = (int(v) for v in ink.box)
    height = bottom - top
    width = max(1, round(height * float(rng.uniform(0.03, 0.1))))
    gap = width + int(height * rng.uniform(0.06, 0.3))
    level = int(rng.integers(150, 256))
    if style.rules == "underline":
        y = max(int(ink.baseline), bottom - height // 6) + gap // 2 + width
        cv2.line(
            mask, (left - int(rng.integers(0, gap + 1)), y), (right + int(rng.integers(0, gap + 1)), y), level, width
        )
    elif style.rules == "box":
        cv2.rectangle(mask, (left - gap - width, top - gap), (right + gap + width, bottom + gap), level, width)
    else:
        x = left - gap - width if rng.random() < 0.5 else right + gap + width
        cv2.line(mask, (x, 0), (x, mask.shape[0]), level, width)
    return mask
