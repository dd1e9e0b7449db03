"""Random style of a text line: its size, colors, tilt, background and surroundings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ppocr_jax.geometry import CROP_GROWTH
from ppocr_jax.synth.effects import LUMINANCE
from ppocr_jax.synth.warp import Tilt

_Shares = tuple[tuple[str, float], ...]

# Extra strokes around the text; shares are divided by their sum.
_PAPER_RULES: _Shares = (("", 0.87), ("underline", 0.04), ("strike", 0.02), ("box", 0.035), ("side", 0.035))
# Smaller letters have no space for two edges of every stroke; in pixels.
_MIN_EDGED_HEIGHT = 20
# Fraction of lines in scenes that are slanted in an upright crop, and their maximum angle in degrees; longer lines
# have smaller angles, see `line`.
_SLANTED, _SLANT = 0.12, 15.0
# The black edge would cover the letters of smaller subtitles; in pixels.
_MIN_SUBTITLE_HEIGHT = 26
_TWO_EDGED = ("hollow", "emboss", "engrave")
# Smaller text is not legible; in pixels. Ideographs have finer strokes.
_MIN_TEXT_HEIGHT = 8.5
_MIN_IDEOGRAPH_HEIGHT = 14.0


@dataclass(frozen=True)
class LineStyle:
    """All random choices about the look of one line; lengths are relative to the image height.

    Attributes:
        kind: Key of `KINDS`.
        height: Height of the image, in pixels.
        fill: Height of the text.
        margins: (left, right) space; slightly negative if a crop cuts into the text.
        lift: 0..1, fraction of the vertical space that is above the text.
        tracking, space_scale, stroke: See `Lettering`; stroke in em.
        dots: Dots per em of a printer that draws dots; 0 for smooth letters.
        round_dots: Whether the dots are round (needles) rather than square.
        tilt: Rotation, shear, perspective, wave.
        ground: "flat", "gradient", "paper", "pattern", "plaster" or "photo".
        paper_color, ink_color: (3,) float32 RGB.
        opacity: Opacity of the ink.
        neighbors: Whether the lines (above, below) extend into the image.
        rules: "", or a kind of `draw_rules`.
        finish: Effect on the lettering, a key of `effects.FINISHES`.
        two_colors: Whether the ink's color changes along or across the line.
        watermark: Whether there are faint large letters under the text.
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
    watermark: bool


@dataclass(frozen=True)
class LineKind:
    """Frequency and look of one kind of lines.

    Attributes:
        share: Fraction of all lines.
        fonts: "receipt", "document" or "scene": kind of faces, see `FontPicker.pick`.
        colors: (rng) -> (paper, ink), (3,) RGB each, before enough contrast is ensured.
        min_contrast: Minimum contrast between them, in gray levels.
        grounds, finishes, rules: Shares of the values in `LineStyle`.
        two_colors, watermark: Fractions of lines that have them.
        seen_as: "receipt", "document" or "scene": kind of degradation, see `degrade`.
    """

    share: float
    fonts: str
    colors: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
    min_contrast: float
    grounds: _Shares
    finishes: _Shares = (("plain", 1.0),)
    rules: _Shares = _PAPER_RULES
    two_colors: float = 0.0
    watermark: float = 0.0
    seen_as: str = "scene"


def muted_color(rng: np.random.Generator) -> np.ndarray:
    """Return a random (3,) RGB color, usually of low saturation."""
    color = rng.uniform(0, 255, 3)
    return color.mean() + (color - color.mean()) * rng.uniform(0, 1) ** 2 * 1.2


def _print_colors(rng: np.random.Generator, *, white: float) -> tuple[np.ndarray, np.ndarray]:
    """Return dark ink on paper, which is white with probability `white`, else grayish; rarely light ink on dark."""
    paper = np.full(3, rng.uniform(228, 256) if rng.random() < white else rng.uniform(165, 235))
    ink = np.full(3, rng.uniform(0, 110))
    if rng.random() < 0.3:
        paper, ink = paper + rng.normal(0, 5, 3), ink + rng.normal(0, 14, 3)
    return (ink, paper) if rng.random() < 0.04 else (paper, ink)


def _scene_colors(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    paper, ink = muted_color(rng), muted_color(rng)
    if rng.random() < 0.5:
        ink = np.full(3, rng.choice((rng.uniform(0, 40), rng.uniform(215, 255))))
    return paper, ink


def screen_colors(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return (paper, ink) of a user interface or an editor, (3,) RGB each; about half have dark themes."""
    dark = rng.random() < 0.55
    paper = np.full(3, rng.uniform(12, 60) if dark else rng.uniform(225, 256)) + rng.normal(0, 6, 3)
    gray = np.full(3, rng.uniform(170, 250) if dark else rng.uniform(0, 90))
    if rng.random() < 0.5:
        return paper, gray
    # The colors of syntax highlighting and links: light on dark ground, deep on white.
    hue = rng.uniform(0, 255, 3)
    return paper, 0.5 * hue + (127.5 if dark else 0)


def _subtitle_colors(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return white or yellow ink on any color; the black edge of the letters gives the contrast."""
    ink = np.array([255.0, 255, 255]) if rng.random() < 0.75 else np.array([250.0, 225, rng.uniform(30, 120)])
    return 0.75 * muted_color(rng), ink - rng.uniform(0, 25)


def display_colors(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return (paper, ink) of glowing digits on black, or of dark digits on a gray-green liquid crystal display."""
    if rng.random() < 0.55:
        glow = np.array(((255, 40, 30), (60, 255, 90), (255, 150, 20), (70, 220, 255), (240, 240, 255)))
        return rng.uniform(0, 35, 3), glow[int(rng.integers(len(glow)))] * rng.uniform(0.7, 1)
    return np.array([165.0, 178, 150]) + rng.normal(0, 18, 3), rng.uniform(15, 70, 3)


KINDS: dict[str, LineKind] = {
    "receipt": LineKind(
        share=0.49,
        fonts="receipt",
        colors=lambda rng: _print_colors(rng, white=0.6),
        min_contrast=75,
        grounds=(("flat", 0.3), ("gradient", 0.1), ("paper", 0.55), ("pattern", 0.03), ("photo", 0.02)),
        rules=(*_PAPER_RULES, ("band", 0.02)),
        watermark=0.01,
        seen_as="receipt",
    ),
    "document": LineKind(
        share=0.22,
        fonts="document",
        colors=lambda rng: _print_colors(rng, white=1.0),
        min_contrast=100,
        grounds=(("flat", 0.39), ("gradient", 0.05), ("paper", 0.52), ("pattern", 0.04)),
        finishes=(("plain", 0.95), ("outline", 0.02), ("shadow", 0.02), ("emboss", 0.01)),
        rules=(*_PAPER_RULES, ("band", 0.025)),
        two_colors=0.01,
        watermark=0.06,
        seen_as="document",
    ),
    "scene": LineKind(
        share=0.165,
        fonts="scene",
        colors=_scene_colors,
        min_contrast=70,
        grounds=(
            *(("flat", 0.21), ("gradient", 0.2), ("paper", 0.07)),
            *(("plaster", 0.14), ("photo", 0.36), ("pattern", 0.02)),
        ),
        finishes=(
            *(("plain", 0.65), ("outline", 0.12), ("shadow", 0.12)),
            *(("hollow", 0.03), ("emboss", 0.05), ("engrave", 0.03)),
        ),
        rules=(("", 0.9), ("underline", 0.03), ("strike", 0.01), ("box", 0.03), ("side", 0.03)),
        two_colors=0.13,
    ),
    "screen": LineKind(
        share=0.07,
        fonts="document",
        colors=screen_colors,
        min_contrast=65,
        grounds=(("flat", 0.85), ("gradient", 0.15)),
        rules=(("", 0.88), ("underline", 0.05), ("strike", 0.02), ("box", 0.05)),
    ),
    "subtitle": LineKind(
        share=0.035,
        fonts="document",
        colors=_subtitle_colors,
        min_contrast=30,
        grounds=(("photo", 0.7), ("gradient", 0.15), ("plaster", 0.15)),
        finishes=(("black edge", 1.0),),
        rules=(("", 1.0),),
    ),
    "display": LineKind(
        share=0.02,
        fonts="receipt",
        colors=display_colors,
        min_contrast=70,
        grounds=(("flat", 0.6), ("gradient", 0.4)),
        rules=(("", 1.0),),
    ),
}
"""Kinds of lines. "screen": user interfaces and programs, including dark themes; "subtitle": light letters with a black
edge on images; "display": digits of seven segments."""


def random_style(rng: np.random.Generator, *, ideographs: bool = False) -> LineStyle:
    """Return the look of one line; `ideographs`: whether the charset has any, which need more pixels than letters."""
    kind = _weighted(rng, tuple((name, entry.share) for name, entry in KINDS.items()))
    look = KINDS[kind]
    least = _MIN_IDEOGRAPH_HEIGHT if ideographs else _MIN_TEXT_HEIGHT
    median = 29 if ideographs else 24
    height = int(min(max(median * math.exp(rng.normal(0, 0.42)), 1.18 * least), 60))
    if kind == "subtitle":
        height = max(height, _MIN_SUBTITLE_HEIGHT)
    fill = max(float(rng.uniform(0.55, 0.97)), min(0.97, least / height))
    paper_color, ink_color = random_colors(rng, kind)
    dots, needles = _printer(rng) if kind == "receipt" else (0, False)
    finish = _weighted(rng, look.finishes)
    if finish in _TWO_EDGED and fill * height < (1.7 if ideographs else 1) * _MIN_EDGED_HEIGHT:
        finish = "outline" if finish == "hollow" else "shadow"
    return LineStyle(
        kind=kind,
        height=height,
        fill=fill,
        margins=(_margin(rng, CROP_GROWTH.left), _margin(rng, CROP_GROWTH.right)),
        lift=float(rng.uniform(0.15, 0.85)),
        tracking=float(rng.uniform(-0.03, 0.22)) if rng.random() < 0.25 else 0.0,
        space_scale=float(rng.uniform(0.6, 2.2)) if rng.random() < 0.35 else 1.0,
        stroke=_stroke(rng, finish),
        dots=dots,
        round_dots=needles,
        tilt=_random_tilt(rng, strong=look.seen_as == "scene" and kind != "screen"),
        ground=_weighted(rng, look.grounds),
        paper_color=paper_color,
        ink_color=ink_color,
        opacity=float(rng.uniform(0.7, 1.0)),
        neighbors=(bool(rng.random() < 0.1), bool(rng.random() < 0.1)),
        rules=_weighted(rng, look.rules),
        finish=finish,
        two_colors=bool(rng.random() < look.two_colors),
        watermark=bool(rng.random() < look.watermark),
    )


def random_colors(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (paper, ink), (3,) float32 each, with enough contrast for a line of `kind`."""
    look = KINDS[kind]
    paper, ink = look.colors(rng)
    gap = float((paper - ink) @ LUMINANCE)
    if abs(gap) < look.min_contrast:
        push = np.copysign(look.min_contrast - abs(gap), gap)
        # Both move apart, and the one with more room to its limit of 0 or 255 moves more.
        room = float(ink @ LUMINANCE) / 255 if gap > 0 else 1 - float(ink @ LUMINANCE) / 255
        ink, paper = ink - 1.3 * room * push, paper + 1.3 * (1 - room) * push
    return np.clip(paper, 0, 255).astype(np.float32), np.clip(ink, 0, 255).astype(np.float32)


def _weighted(rng: np.random.Generator, shares: _Shares) -> str:
    value = rng.random() * sum([share for _, share in shares])
    for name, share in shares:
        value -= share
        if value < 0:
            return name
    return shares[-1][0]


def _printer(rng: np.random.Generator) -> tuple[int, bool]:
    """Return (dots per em, whether they are round) of a receipt's printer; 0 dots for smooth letters."""
    value = rng.random()
    if value < 0.08:
        return int(rng.integers(11, 15)), True
    return (int(rng.integers(14, 27)) if value < 0.3 else 0), False


def _margin(rng: np.random.Generator, usual: float) -> float:
    """Return the space beside a line: about the `usual`, as in crops at inference, sometimes much more."""
    return float(rng.uniform(0.1, 0.45) if rng.random() < 0.25 else usual + rng.uniform(-0.13, 0.1))


def _stroke(rng: np.random.Generator, finish: str) -> float:
    """Return the extra stroke width; raised, cut or hollow letters need strokes with some width."""
    if finish in _TWO_EDGED:
        return float(rng.uniform(0.015, 0.035))
    return float(rng.uniform(0.005, 0.03)) if rng.random() < 0.2 else 0.0


def _random_tilt(rng: np.random.Generator, *, strong: bool) -> Tilt:
    angle = min(max(rng.normal(0, 1.4 if strong else 0.6), -3), 3) if rng.random() < 0.6 else 0.0
    if strong and rng.random() < _SLANTED:
        angle = rng.uniform(-_SLANT, _SLANT)
    along, across = rng.normal(0, 0.06 if strong else 0.015, 2) if rng.random() < 0.4 else (0.0, 0.0)
    curved = 0.13 if strong else 0.08
    return Tilt(
        stretch=math.exp(rng.normal(-0.04, 0.15)),
        angle=math.radians(angle),
        shear=float(min(max(rng.normal(0, 0.12), -0.3), 0.3)) if rng.random() < 0.25 else 0.0,
        perspective=(float(along), float(across)),
        bend=float(rng.uniform(-0.28, 0.28) if strong else rng.uniform(-0.12, 0.12)) if rng.random() < curved else 0.0,
        phase=float(rng.uniform(0, 2 * math.pi)),
    )
