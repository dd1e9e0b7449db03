"""Writing of lines into the columns of a page, and small graphics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth.canvas import Color, PageCanvas, fitting, scaled
from ppocr_jax.synth.corpus import Corpus, in_charset
from ppocr_jax.synth.glyphs import Lettering, measure
from ppocr_jax.synth.languages import Language
from ppocr_jax.synth.phrases import pick


@dataclass
class Composer:
    """Writes lines one below the other into a column of a canvas.

    Attributes:
        rng: Random generator of the page.
        canvas: Canvas to draw on.
        charset, corpus: Characters and texts to write.
        language: Language of invented texts.
        lettering: Lettering of ordinary lines.
        left, right: Sides of the column on the canvas.
        y: Baseline of the next line.
        leading: Distance between baselines.
        ruled: Fraction of texts that are underlined or struck through.
    """

    rng: np.random.Generator
    canvas: PageCanvas
    charset: Charset
    corpus: Corpus
    language: Language
    lettering: Lettering
    left: float
    right: float
    y: float
    leading: float
    ruled: float = 0.0

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def has_room(self) -> bool:
        return self.y < self.canvas.height

    def at(
        self,
        x: float,
        text: str,
        *,
        anchor: str = "l",
        scale: float = 1.0,
        room: float | None = None,
        color: tuple[int, int, int] | None = None,
    ) -> None:
        """Write on the current line at `x`, at most `room` wide (default: the column), in `color` or default ink."""
        lettering = self.lettering if scale == 1 else scaled(self.lettering, scale)
        text = "".join([c for c in in_charset(text, self.charset) if c in lettering.face.characters])
        text = fitting(text, lettering, self.width if room is None else room)
        box = self.canvas.text(x, self.y, text.strip(), lettering, anchor=anchor, color=color)
        if box is not None and self.ruled and self.rng.random() < self.ruled:
            # Below the letters, or through the middle of the small ones.
            y = self.y + lettering.size * (0.13 if self.rng.random() < 0.65 else -0.26)
            self.canvas.mark("line", [box[0], y, box[2], y], width=max(1, lettering.size // 16))

    def near_background(self, reach: float) -> Color:
        """Return a color at most `reach` levels from the mean background, so that the ink stays legible on it."""
        ground, _ = self.canvas.background_color((0, 0, self.canvas.width, self.canvas.height))
        values = np.clip(ground + self.rng.uniform(-reach, reach), 0, 255)
        return tuple(int(v) for v in values)  # type: ignore[return-value]

    def next(self, lines: float = 1.0) -> None:
        self.y += lines * self.leading

    def line(self, text: str, *, anchor: str = "l", scale: float = 1.0) -> None:
        """Write one line of the column; anchor "m" centers it, "r" aligns it at the right."""
        if scale > 1:
            self.next(scale - 1)
        x = {"l": self.left, "m": (self.left + self.right) / 2, "r": self.right}[anchor]
        self.at(x, text, anchor=anchor, scale=scale)
        self.next()

    def cells(self, texts: list[str], edges: list[tuple[float, str]]) -> None:
        """Write texts at (relative x, anchor) on one line; their widths are limited to avoid overlap."""
        anchors = [self.left + e * self.width for e, _ in edges]
        for i, (text, (_, anchor)) in enumerate(zip(texts, edges, strict=True)):
            if anchor == "l":
                following = anchors[i + 1] if i + 1 < len(anchors) else self.right
                taken = 0.0 if i + 1 == len(anchors) or edges[i + 1][1] == "l" else 0.25 * self.width
                room = max(following - anchors[i] - taken, 0.12 * self.width) - self.lettering.size * 0.8
            else:
                room = 0.24 * self.width
            self.at(anchors[i], text, anchor=anchor, room=room)
        self.next()

    def separator(self) -> None:
        """Draw a rule or a row of dashes, or leave space."""
        kind = int(self.rng.integers(6))
        if kind < 3:
            self.canvas.dashes(self.left, self.right, self.y, pick(self.rng, "---=*_."), self.lettering)
        elif kind == 3:
            y = self.y - self.leading * 0.3
            width = max(1, self.lettering.size // 14)
            self.canvas.mark("line", [self.left, y, self.right, y], width=width, level=int(self.rng.integers(120, 256)))
        self.next(1.0 if kind < 4 else self.rng.uniform(0.3, 1.2))

    def choice(self, entries: tuple[str, ...], room: float) -> str:
        """Return one of `entries` that fits into `room` pixels, if one is found in five tries."""
        for _ in range(5):
            entry = pick(self.rng, entries)
            if measure(entry, self.lettering)[0] <= room:
                break
        return entry

    def prose(self, least: int) -> str:
        """Return a sequence of entries of the corpus, unchanged, with at least `least` characters."""
        text = ""
        while len(text) < least:
            text += in_charset(self.corpus.entry(self.rng), self.charset) + " "
        return text

    def words(self, low: int, high: int) -> str:
        """Return a text of the corpus with `low` to `high` characters, or an invented one if the face lacks them."""
        text = self.corpus.sample(self.rng, self.charset, (low, high))
        drawable = sum(c in self.lettering.face.characters for c in text)
        return text if drawable > 0.8 * len(text) else self.language.phrase(self.rng)


def logo(rng: np.random.Generator, canvas: PageCanvas, x: float, top: float, height: float) -> float:
    """Draw a few simple shapes around `x`; return the y below them."""
    for _ in range(int(rng.integers(1, 5))):
        half_w, half_h = height * rng.uniform(0.1, 0.9), height * rng.uniform(0.1, 0.5)
        cx, cy = x + height * rng.uniform(-0.6, 0.6), top + height / 2
        shape = int(rng.integers(3))
        width = 0 if rng.random() < 0.5 else max(1, int(height * rng.uniform(0.03, 0.12)))
        box = [cx - half_w, cy - half_h, cx + half_w, cy + half_h]
        if shape == 0:
            canvas.mark("ellipse", box, width=width)
        elif shape == 1:
            canvas.mark("rectangle", box, width=width)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
            points = [(cx + half_w * np.cos(a), cy + half_h * np.sin(a)) for a in angles]
            canvas.mark("polygon", [(float(px), float(py)) for px, py in points])
    return top + height


def barcode(
    rng: np.random.Generator, canvas: PageCanvas, corner: tuple[float, float], *, width: float, height: float
) -> float:
    """Draw a barcode or a square 2D code with its top left at `corner`; return the y below it."""
    left, top = corner
    if rng.random() < 0.25:
        side, cells = height * 1.5, 21
        grid = rng.random((cells, cells)) < 0.5
        step, left = side / cells, left + (width - side) / 2
        for row, column in zip(*np.nonzero(grid), strict=True):
            x, y = left + column * step, top + row * step
            canvas.mark("rectangle", [x, y, x + step, y + step], width=0)
        return top + side
    unit, x = max(1.0, width / 100), left
    while x < left + width:
        bar = unit * int(rng.integers(1, 4))
        canvas.mark("rectangle", [x, top, x + (bar - 1), top + height], width=0)
        x += bar + unit * int(rng.integers(1, 4))
    return top + height


def check_boxes(
    rng: np.random.Generator, canvas: PageCanvas, sides: tuple[float, float], *, baseline: float, size: int
) -> list[float]:
    """Draw empty and ticked boxes along a line; return the x where the words after them begin."""
    count = int(rng.integers(2, 5))
    left, right = sides
    starts = [left + i * (right - left) / count for i in range(count)]
    for x in starts:
        side = 0.8 * size
        canvas.mark("rectangle", [x, baseline - side, x + side, baseline], width=max(1, size // 14))
        if rng.random() < 0.4:
            canvas.mark("line", [x, baseline - side, x + side, baseline], width=max(1, size // 12))
            canvas.mark("line", [x, baseline, x + side, baseline - side], width=max(1, size // 12))
    return [x + 1.4 * size for x in starts]


def pen_stroke(rng: np.random.Generator, canvas: PageCanvas, size: float) -> None:
    """Draw a tick, a ring or a scribble of a pen at a random place."""
    x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
    color = tuple(int(v) for v in ((20, 30, 150), (30, 30, 30), (170, 30, 40))[int(rng.integers(3))])
    width = max(1, round(size * rng.uniform(0.06, 0.14)))
    kind = int(rng.integers(3))
    if kind == 0:
        offsets = np.array([(0, 0), (0.4, 0.7), (1.4, -1.2)]) * size * rng.uniform(0.7, 1.5)
    elif kind == 1:
        angles = np.linspace(0, 2 * np.pi * rng.uniform(0.9, 1.15), 40)
        radii = size * rng.uniform(1.2, 4) * (1 + 0.1 * np.sin(angles + rng.uniform(0, 6)))
        offsets = np.stack([1.4 * radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    else:
        drift = np.array([0.25 * size, 0.0])
        offsets = np.cumsum(drift + rng.normal(0, size * 0.5, (int(rng.integers(5, 20)), 2)), axis=0)
    canvas.mark("line", [(float(x + dx), float(y + dy)) for dx, dy in offsets], width=width, color=color)


def stamp(rng: np.random.Generator, canvas: PageCanvas, size: float) -> None:
    """Draw a round or square frame of a rubber stamp."""
    x, y, half = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height), size * rng.uniform(2, 4)
    color = ((60, 70, 170), (180, 60, 70), (120, 60, 140))[int(rng.integers(3))]
    shape = "ellipse" if rng.random() < 0.6 else "rectangle"
    for inset in (0.0, 0.18 * half):
        box = [x - half + inset, y - half + inset, x + half - inset, y + half - inset]
        canvas.mark(shape, box, width=max(1, int(size * 0.12)), color=color)


def paper_holes(rng: np.random.Generator, canvas: PageCanvas, size: float) -> None:
    """Draw punched holes at the left side, black or gray."""
    gray = int(rng.integers(0, 160))
    for share in (0.3, 0.7):
        x, y, radius = 0.03 * canvas.width, share * canvas.height, 0.8 * size
        canvas.mark("ellipse", [x - radius, y - radius, x + radius, y + radius], width=0, color=(gray, gray, gray))
