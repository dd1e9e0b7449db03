"""Random looks of a text line."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ppocr_jax.synth.effects import LUMINANCE
from ppocr_jax.synth.warp import Tilt

_Shares = tuple[tuple[str, float], ...]
# What the words occur with; shares are divided by their sum.
_KINDS: _Shares = (("receipt", 0.58), ("document", 0.24), ("scene", 0.18))
_GROUNDS: dict[str, _Shares] = {
    "receipt": (("flat", 0.3), ("gradient", 0.1), ("paper", 0.55), ("pattern", 0.03), ("photo", 0.02)),
    "document": (("flat", 0.39), ("gradient", 0.05), ("paper", 0.52), ("pattern", 0.04)),
    "scene": (
        ("flat", 0.21),
        ("gradient", 0.2),
        ("paper", 0.07),
        ("plaster", 0.14),
        ("photo", 0.36),
        ("pattern", 0.02),
    ),
}
_FINISHES: dict[str, _Shares] = {
    "receipt": (("plain", 1.0),),
    "document": (("plain", 0.95), ("outline", 0.02), ("shadow", 0.02), ("emboss", 0.01)),
    "scene": (
        ("plain", 0.65),
        ("outline", 0.12),
        ("shadow", 0.12),
        ("hollow", 0.03),
        ("emboss", 0.05),
        ("engrave", 0.03),
    ),
}
_TWO_COLORS = {"receipt": 0.0, "document": 0.01, "scene": 0.13}
_RULES: _Shares = (("", 0.895), ("underline", 0.035), ("box", 0.035), ("side", 0.035))
_BAND = {"receipt": 0.02, "document": 0.025, "scene": 0.0}
# Smaller letters have no room for two edges of every stroke.
_MIN_EDGED_HEIGHT = 20
_TWO_EDGED = ("hollow", "emboss", "engrave")
_MIN_CONTRAST = {"receipt": 75, "document": 100, "scene": 70}
_MIN_TEXT_HEIGHT = 8.5
_MIN_IDEOGRAPH_HEIGHT = 14.0


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
        ground: "flat", "gradient", "paper", "pattern", "plaster" or "photo".
        paper_color, ink_color: (3,) float32 RGB.
        opacity: of the ink.
        neighbors: whether the lines (above, below) reach into the picture.
        rules: "", or a kind of `draw_rules`.
        finish: what is done to the lettering, one of `effects.FINISHES`.
        two_colors: whether the ink's color changes along or across the line.
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
    neighbors: tuple[bool, bool]
    rules: str
    finish: str
    two_colors: bool


def random_style(rng: np.random.Generator, *, ideographs: bool = False) -> LineStyle:
    """The look of one line; `ideographs`: whether such may occur, which need more pixels than letters."""
    kind = _weighted(rng, _KINDS)
    least = _MIN_IDEOGRAPH_HEIGHT if ideographs else _MIN_TEXT_HEIGHT
    median = 29 if ideographs else 24
    height = int(min(max(median * math.exp(rng.normal(0, 0.42)), 1.18 * least), 60))
    fill = max(float(rng.uniform(0.55, 0.97)), min(0.97, least / height))
    paper_color, ink_color = random_colors(rng, kind)
    dots, needles = _printer(rng) if kind == "receipt" else (0, False)
    finish = _weighted(rng, _FINISHES[kind])
    if finish in _TWO_EDGED and fill * height < (1.7 if ideographs else 1) * _MIN_EDGED_HEIGHT:
        finish = "outline" if finish == "hollow" else "shadow"
    return LineStyle(
        kind=kind,
        height=height,
        fill=fill,
        margins=(_margin(rng), _margin(rng)),
        lift=float(rng.uniform(0.15, 0.85)),
        tracking=float(rng.uniform(-0.03, 0.22)) if rng.random() < 0.25 else 0.0,
        space_scale=float(rng.uniform(0.6, 2.2)) if rng.random() < 0.35 else 1.0,
        stroke=_stroke(rng, finish),
        dots=dots,
        round_dots=needles,
        tilt=_random_tilt(rng, kind),
        ground=_weighted(rng, _GROUNDS[kind]),
        paper_color=paper_color,
        ink_color=ink_color,
        opacity=float(rng.uniform(0.7, 1.0)),
        neighbors=(bool(rng.random() < 0.1), bool(rng.random() < 0.1)),
        rules="band" if rng.random() < _BAND[kind] else _weighted(rng, _RULES),
        finish=finish,
        two_colors=bool(rng.random() < _TWO_COLORS[kind]),
    )


def _weighted(rng: np.random.Generator, shares: _Shares) -> str:
    value = rng.random() * sum([share for _, share in shares])
    for name, share in shares:
        value -= share
        if value < 0:
            return name
    return shares[-1][0]


def _printer(rng: np.random.Generator) -> tuple[int, bool]:
    """(dots per em, whether they are needles') of a receipt's printer; 0 dots for one whose letters are smooth."""
    value = rng.random()
    if value < 0.08:
        return int(rng.integers(11, 15)), True
    return (int(rng.integers(14, 27)) if value < 0.3 else 0), False


def _margin(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.1, 0.45) if rng.random() < 0.3 else rng.uniform(-0.03, 0.12))


def _stroke(rng: np.random.Generator, finish: str) -> float:
    """Extra width; what is raised, cut or drawn around needs strokes with some body."""
    if finish in _TWO_EDGED:
        return float(rng.uniform(0.015, 0.035))
    return float(rng.uniform(0.005, 0.03)) if rng.random() < 0.2 else 0.0


def _random_tilt(rng: np.random.Generator, kind: str) -> Tilt:
    strong = kind == "scene"
    angle = rng.normal(0, 1.4 if strong else 0.6) if rng.random() < 0.6 else 0.0
    along, across = rng.normal(0, 0.06 if strong else 0.015, 2) if rng.random() < 0.4 else (0.0, 0.0)
    curved = 0.13 if strong else 0.08
    return Tilt(
        stretch=math.exp(rng.normal(-0.04, 0.15)),
        angle=math.radians(min(max(angle, -3), 3)),
        shear=float(min(max(rng.normal(0, 0.12), -0.3), 0.3)) if rng.random() < 0.25 else 0.0,
        perspective=(float(along), float(across)),
        bend=float(rng.uniform(-0.28, 0.28) if strong else rng.uniform(-0.12, 0.12)) if rng.random() < curved else 0.0,
        phase=float(rng.uniform(0, 2 * math.pi)),
    )


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
    """(3,) RGB color, mostly of low saturation."""
    color = rng.uniform(0, 255, 3)
    return color.mean() + (color - color.mean()) * rng.uniform(0, 1) ** 2 * 1.2
