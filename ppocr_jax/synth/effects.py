"""Effects on lettering: finishes (outlines, relief, drop shadows), two-colored ink, rules, boxes and watermarks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ppocr_jax.synth.fonts import FontFace
from ppocr_jax.synth.glyphs import InkedText
from ppocr_jax.synth.phrases import pick, word_lists

LUMINANCE = np.array([0.299, 0.587, 0.114])
# Watermarks are drawn at one size and scaled, so that few fonts are loaded.
_WATERMARK_EM = 48
# Minimum luminance difference of colors that have to be distinguished.
_MIN_GAP = 70.0


def finished(
    rng: np.random.Generator,
    finish: str,
    ground: np.ndarray,
    opacity: np.ndarray,
    ink: np.ndarray,
    text_height: float,
) -> np.ndarray:
    """Return the image (h, w, 3) uint8 of ink on the ground, with the given `finish` (see `FINISHES`)."""
    image = FINISHES[finish](rng, ground, opacity, ink, text_height)
    return np.clip(image, 0, 255).astype(np.uint8)


def plain(
    rng: np.random.Generator, ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray, text_height: float
) -> np.ndarray:
    """Draw the ink without any effect."""
    return _blend(ground, opacity, ink)


def outline(
    rng: np.random.Generator, ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray, text_height: float
) -> np.ndarray:
    """Add an edge in another color: light around dark letters and vice versa."""
    color = contrasting_color(rng, ink.reshape(-1, 3).mean(axis=0))
    around = _dilated(opacity, text_height * rng.uniform(0.035, 0.1))
    return _blend(_blend(ground, around, color), opacity, ink)


def black_edge(
    rng: np.random.Generator, ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray, text_height: float
) -> np.ndarray:
    """Add a black edge as in subtitles, sometimes soft, sometimes with a shadow."""
    import cv2

    reach = text_height * rng.uniform(0.05, 0.12)
    edge = _dilated(opacity, reach)
    if rng.random() < 0.4:
        edge = cv2.GaussianBlur(edge, (0, 0), max(0.5, 0.4 * reach))
    if rng.random() < 0.3:
        edge = np.maximum(edge, _shifted(edge, reach, reach))
    return _blend(_blend(ground, edge, np.full(3, rng.uniform(0, 25), np.float32)), opacity, ink)


def hollow(
    rng: np.random.Generator, ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray, text_height: float
) -> np.ndarray:
    """Draw only the edges of the letters; the ground is visible inside, sometimes slightly tinted."""
    edge = _dilated(opacity, text_height * rng.uniform(0.03, 0.05)) * (1 - opacity)
    inside = opacity * np.float32(rng.uniform(0, 0.25) if rng.random() < 0.5 else 0)
    return _blend(_blend(ground, inside, ink), edge, ink)


def emboss(
    rng: np.random.Generator, ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray, text_height: float
) -> np.ndarray:
    """Raise the letters: edges toward the light are bright, the opposite ones dark; the letters keep some ink."""
    return _relief(rng, ground, opacity, ink, text_height)


def engrave(
    rng: np.random.Generator, ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray, text_height: float
) -> np.ndarray:
    """Cut the letters into the ground: like raised ones, but lit from the other side."""
    return _relief(rng, ground, opacity, ink, -text_height)


def drop_shadow(
    rng: np.random.Generator, ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray, text_height: float
) -> np.ndarray:
    """Draw a dark copy of the letters behind them, shifted, sharp or soft."""
    import cv2

    angle, distance = rng.uniform(0, 2 * math.pi), text_height * rng.uniform(0.04, 0.12)
    behind = _shifted(opacity, distance * math.cos(angle), distance * math.sin(angle))
    if rng.random() < 0.7:
        behind = cv2.GaussianBlur(behind, (0, 0), max(0.5, text_height * rng.uniform(0.02, 0.08)))
    # Dark letters must stay darker than their shadow.
    bright = float(ink.reshape(-1, 3).mean(axis=0) @ LUMINANCE) > 120
    strength = np.float32(rng.uniform(0.35, 0.85) if bright else rng.uniform(0.15, 0.4))
    return _blend(ground * (1 - strength * behind)[..., None], opacity, ink)


Finish = Callable[[np.random.Generator, np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
FINISHES: dict[str, Finish] = {
    "plain": plain,
    "outline": outline,
    "black edge": black_edge,
    "hollow": hollow,
    "emboss": emboss,
    "engrave": engrave,
    "shadow": drop_shadow,
}


def two_color_ink(rng: np.random.Generator, ink: np.ndarray, paper: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return (height, width, 3) float32: ink with a color gradient down or across the image.

    Like the first color, the second one contrasts with `paper` (3,), on the same side of its luminance.
    """
    gap = float((ink - paper) @ LUMINANCE)
    other = _contrasted(rng.uniform(0, 255, 3), paper, brighter=gap > 0)
    vertical = rng.random() < 0.6
    shares = np.linspace(0, 1, height if vertical else width, dtype=np.float32)
    shares = shares[:, None] if vertical else shares[None, :]
    if rng.random() < 0.3:
        # Two plain halves with a narrow transition, as in chrome lettering.
        shares = np.clip((shares - np.float32(0.5)) * 8 + np.float32(0.5), 0, 1)
    change = other - ink
    return np.broadcast_to(ink + shares[..., None] * change, (height, width, 3))


def contrasting_color(rng: np.random.Generator, color: np.ndarray) -> np.ndarray:
    """Return (3,) float32 RGB with a luminance far from that of `color` (3,); often black or white."""
    bright = float(color @ LUMINANCE) > 128
    if rng.random() < 0.5:
        return np.full(3, rng.uniform(0, 35) if bright else rng.uniform(225, 255), np.float32)
    return _contrasted(rng.uniform(0, 255, 3), color, brighter=not bright)


def _contrasted(color: np.ndarray, other: np.ndarray, *, brighter: bool) -> np.ndarray:
    """Return `color` mixed with enough white or black to be `_MIN_GAP` brighter or darker than `other`."""
    end = 255.0 if brighter else 0.0
    luminance, limit = float(color @ LUMINANCE), float(other @ LUMINANCE) + (_MIN_GAP if brighter else -_MIN_GAP)
    if (luminance >= limit) == brighter:
        return color.astype(np.float32)
    share = min(1.0, (limit - luminance) / (end - luminance)) if luminance != end else 0.0
    return (color + share * (end - color)).astype(np.float32)


def _blend(ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray) -> np.ndarray:
    import cv2

    # Broadcasting over three channels is slow.
    change = ink - ground
    change *= cv2.merge((opacity, opacity, opacity))
    change += ground
    return change


def _relief(
    rng: np.random.Generator, ground: np.ndarray, opacity: np.ndarray, ink: np.ndarray, text_height: float
) -> np.ndarray:
    """Light the edges; a negative height gives the relief of cut letters."""
    angle, reach = rng.uniform(0, 2 * math.pi), max(0.5, abs(text_height) * rng.uniform(0.02, 0.045))
    x, y = reach * math.cos(angle), reach * math.sin(angle)
    slope = _shifted(opacity, x, y) - _shifted(opacity, -x, -y)
    tinted = _blend(ground, opacity * np.float32(rng.uniform(0.3, 0.55)), ink)
    return tinted + slope[..., None] * np.float32(math.copysign(rng.uniform(60, 120), text_height))


def _shifted(opacity: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return the same image moved by (x, y) pixels; the border repeats."""
    import cv2

    move = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    return cv2.warpAffine(opacity, move, opacity.shape[::-1], borderMode=cv2.BORDER_REPLICATE)


def _dilated(opacity: np.ndarray, reach: float) -> np.ndarray:
    """Return letters `reach` pixels wider on every side, at least one pixel."""
    import cv2

    radius = max(1, round(reach))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(opacity, disc)


def draw_rules(rng: np.random.Generator, kind: str, ink: InkedText) -> np.ndarray:
    """Return the mask of `ink` with rules around or through the text.

    Args:
        rng: Random generator of widths and distances.
        kind: "underline", "strike" (one or two rules through the text; both often for some words only), "box", "side"
            (a vertical rule) or "band" (a printed bar that leaves the text blank).
        ink: The drawn line.
    """
    import cv2

    left, top, right, bottom = (int(v) for v in ink.box)
    height = bottom - top
    if kind == "band":
        return _band(rng, ink.mask, (left, top, right, bottom))
    mask = ink.mask.copy()
    width = max(1, round(height * float(rng.uniform(0.03, 0.1))))
    gap = width + int(height * rng.uniform(0.06, 0.3))
    level = int(rng.integers(150, 256))
    reach = gap  # maximum extent beyond the text
    if kind in ("underline", "strike") and rng.random() < 0.5:
        left, right = (int(v) + left for v in _some_words(rng, ink.mask[top:bottom, left:right], height))
        reach = 0
    if kind == "underline":
        y = max(int(ink.baseline), bottom - height // 6) + gap // 2 + width
        ends = left - int(rng.integers(0, reach + 1)), right + int(rng.integers(0, reach + 1))
        cv2.line(mask, (ends[0], y), (ends[1], y), level, width)
    elif kind == "strike":
        # Thin enough that the text stays legible: through the middle of small letters, or two rules.
        width = max(1, round(height * float(rng.uniform(0.03, 0.07))))
        middle = ink.baseline - height * float(rng.uniform(0.25, 0.4))
        for y in (middle,) if rng.random() < 0.8 else (middle - 1.5 * width, middle + 1.5 * width):
            cv2.line(mask, (left - reach // 2, round(y)), (right + reach // 2, round(y)), level, width)
    elif kind == "box":
        cv2.rectangle(mask, (left - gap - width, top - gap), (right + gap + width, bottom + gap), level, width)
    else:
        x = left - gap - width if rng.random() < 0.5 else right + gap + width
        cv2.line(mask, (x, 0), (x, mask.shape[0]), level, width)
    return mask


def _some_words(rng: np.random.Generator, mask: np.ndarray, height: int) -> np.ndarray:
    """Return (start, stop) of neighboring words in the columns of `mask`, which are separated by gaps of a space."""
    columns = np.flatnonzero(mask.any(axis=0))
    if not columns.size:
        return np.array([0, mask.shape[1]])
    breaks = np.flatnonzero(np.diff(columns) > 0.3 * height)
    starts = np.concatenate([columns[:1], columns[breaks + 1]])
    stops = np.concatenate([columns[breaks], columns[-1:]])
    first, last = np.sort(rng.integers(0, len(starts), 2))
    return np.array([starts[first], stops[last]])


def watermark_mask(rng: np.random.Generator, face: FontFace, height: int, width: int, size: float) -> np.ndarray:
    """Return (height, width) uint8: the word of a watermark in large letters, rotated and repeated."""
    import cv2
    from PIL import Image, ImageDraw

    words = [w for name in ("chinese", "english") for w in word_lists(name)["watermarks"] if face.covers(w)]
    font = face.at(_WATERMARK_EM)
    text = pick(rng, words) if words else "0"
    tile = Image.new("L", (int(font.getlength(text)) + 2 * _WATERMARK_EM, 3 * _WATERMARK_EM))
    ImageDraw.Draw(tile).text((_WATERMARK_EM, 2 * _WATERMARK_EM), text, 255, font, "ls")
    angle = float(np.deg2rad(rng.choice((rng.uniform(-50, 50), rng.normal(0, 4)))))
    scale = size / _WATERMARK_EM
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    move = np.array([[cos, -sin, rng.uniform(-0.5, 1) * width], [sin, cos, rng.uniform(-0.5, 1) * height]])
    # The tile repeats, so that the word is visible wherever the image is.
    return cv2.warpAffine(np.asarray(tile), move, (width, height), borderMode=cv2.BORDER_WRAP)


def _band(rng: np.random.Generator, mask: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Return a bar over `box` with some space around it, often up to the sides of the mask, with the text cut out."""
    import cv2

    left, top, right, bottom = box
    room = (bottom - top) * rng.uniform(0.08, 0.8, 4)
    x0 = 0 if rng.random() < 0.7 else max(0, int(left - room[0]))
    x1 = mask.shape[1] if rng.random() < 0.7 else int(right + room[1])
    band = np.zeros_like(mask)
    band[max(0, int(top - room[2])) : int(bottom + room[3]) + 1, x0:x1] = 255
    return cv2.subtract(band, mask)
