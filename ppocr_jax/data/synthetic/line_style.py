"""Random looks of a text line: its font, size, colours, tilt and what stands around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.data.synthetic.fonts import FontFace
from ppocr_jax.data.synthetic.glyphs import InkedText
from ppocr_jax.data.synthetic.warp import Tilt

_KINDS = ("receipt", "document", "scene")
_KIND_PROBABILITIES = (0.58, 0.24, 0.18)
_MIN_CONTRAST = {"receipt": 75, "document": 100, "scene": 70}
# Share of typewriter faces and of common families; the rest comes from all families alike.
_FAMILY_SHARES = {"receipt": (0.42, 0.38), "document": (0.25, 0.45), "scene": (0.03, 0.35)}
_MIN_TEXT_HEIGHT = 8.5
LUMINANCE = np.array([0.299, 0.587, 0.114])
# What most printers, offices and shops use, and metric or visual twins of it.
_COMMON = re.compile(
    r"arial|arimo|helvetica|liberation|nimbus|dejavu|verdana|roboto|times|tinos|courier|cousine|free(sans|serif|mono)|"
    r"open sans|heros|termes|cursor|segoe|calibri|carlito|noto sans|noto serif|narrow",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LineStyle:
    """All random choices about the look of one line; lengths are relative to the picture's height.

    Attributes:
        kind: "receipt", "document" or "scene".
        height: of the picture, in pixels.
        fill: height of the text.
        margins: (left, right) room; slightly negative where a crop cuts into the text.
        lift: 0..1, share of the vertical room above the text.
        tracking, space_scale, stroke: see `Lettering`; stroke in em.
        dots: size in dots per em of a printer that draws dots; 0 for smooth letters.
        round_dots: whether the dots are needles' rather than squares.
        tilt: rotation, lean, perspective, wave.
        ground: "flat", "gradient", "paper" or "photo".
        paper_color, ink_color: (3,) float32 RGB.
        opacity: of the ink.
        neighbours: whether the lines (above, below) reach into the picture.
        rules: "", "underline", "box" or "side".
    """

    kind: str
    height: int
    fill: float
    margins: tuple[float, float]
    lift: float
    tracking: float
    space_scale: float
    stroke: float
    dots: int
    round_dots: bool
    tilt: Tilt
    ground: str
    paper_color: np.ndarray
    ink_color: np.ndarray
    opacity: float
    neighbours: tuple[bool, bool]
    rules: str


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
        self._common = tuple(f for f in self._families if _COMMON.search(f[0].family) and not f[0].monospaced)

    def pick(self, rng: np.random.Generator, kind: str) -> FontFace:
        """A face for a line of `kind`."""
        monospaced, common = _FAMILY_SHARES[kind]
        value = rng.random()
        families = self._families
        if self._monospaced and value < monospaced:
            families = self._monospaced
        elif self._common and value < monospaced + common:
            families = self._common
        faces = families[int(rng.integers(len(families)))]
        upright = [f for f in faces if not f.slanted]
        if upright and rng.random() < 0.8:
            faces = tuple(upright)
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
    paper_color, ink_color = random_colors(rng, kind)
    printer = rng.random() if kind == "receipt" else 1.0
    needles = printer < 0.08
    dots = int(rng.integers(11, 15)) if needles else int(rng.integers(14, 27)) if printer < 0.3 else 0
    loose = rng.random(2) < 0.3
    fill = max(float(rng.uniform(0.55, 0.97)), min(0.97, _MIN_TEXT_HEIGHT / height))
    margins = np.where(loose, rng.uniform(0.1, 0.45, 2), rng.uniform(-0.03, 0.12, 2))
    return LineStyle(
        kind=kind,
        height=height,
        fill=fill,
        margins=(float(margins[0]), float(margins[1])),
        lift=float(rng.uniform(0.15, 0.85)),
        tracking=float(rng.uniform(-0.03, 0.22)) if rng.random() < 0.25 else 0.0,
        space_scale=float(rng.uniform(0.6, 2.2)) if rng.random() < 0.35 else 1.0,
        stroke=float(rng.uniform(0.005, 0.03)) if rng.random() < 0.2 else 0.0,
        dots=dots,
        round_dots=needles,
        tilt=_random_tilt(rng, kind),
        ground=_ground(rng, kind),
        paper_color=paper_color,
        ink_color=ink_color,
        opacity=float(rng.uniform(0.7, 1.0)),
        neighbours=(bool(rng.random() < 0.1), bool(rng.random() < 0.1)),
        rules=("underline", "box", "side")[int(rng.integers(3))] if rng.random() < 0.1 else "",
    )


def _random_tilt(rng: np.random.Generator, kind: str) -> Tilt:
    strong = kind == "scene"
    angle = rng.normal(0, 0.6 if not strong else 1.4) if rng.random() < 0.6 else 0.0
    perspective = rng.normal(0, 0.06 if strong else 0.015, 2) if rng.random() < 0.4 else (0.0, 0.0)
    return Tilt(
        stretch=float(np.exp(rng.normal(-0.04, 0.15))),
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


def random_colors(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(paper, ink), (3,) float32 each, with enough contrast for a line of `kind`; mostly dark on light."""
    if kind == "scene":
        paper, ink = muted_color(rng), muted_color(rng)
        if rng.random() < 0.5:
            ink = np.full(3, rng.choice((rng.uniform(0, 40), rng.uniform(215, 255))))
    else:
        white = kind == "document" or rng.random() < 0.6
        paper = np.full(3, rng.uniform(228, 256) if white else rng.uniform(165, 235))
        ink = np.full(3, rng.uniform(0, 110))
        if rng.random() < 0.3:
            paper, ink = paper + rng.normal(0, 5, 3), ink + rng.normal(0, 14, 3)
        if rng.random() < 0.04:
            paper, ink = ink, paper
    gap = float((paper - ink) @ LUMINANCE)
    if abs(gap) < _MIN_CONTRAST[kind]:
        push = np.copysign(_MIN_CONTRAST[kind] - abs(gap), gap)
        # Both move apart, and the one with more room to its limit of 0 or 255 moves more.
        room = float(ink @ LUMINANCE) / 255 if gap > 0 else 1 - float(ink @ LUMINANCE) / 255
        ink, paper = ink - 1.3 * room * push, paper + 1.3 * (1 - room) * push
    return np.clip(paper, 0, 255).astype(np.float32), np.clip(ink, 0, 255).astype(np.float32)


def muted_color(rng: np.random.Generator) -> np.ndarray:
    """(3,) RGB colour, mostly of low saturation."""
    color = rng.uniform(0, 255, 3)
    return color.mean() + (color - color.mean()) * rng.uniform(0, 1) ** 2 * 1.2


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
