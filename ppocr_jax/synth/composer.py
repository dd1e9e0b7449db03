"""Writing down the columns of a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth.canvas import PageCanvas, fitting, scaled
from ppocr_jax.synth.corpus import Corpus, in_charset
from ppocr_jax.synth.glyphs import Lettering, measure
from ppocr_jax.synth.phrases import pick
from ppocr_jax.synth.tongue import Tongue


@dataclass
class Composer:
    """Writes line after line down a column of a canvas.

    Attributes:
        rng: the page's random generator.
        canvas: what is drawn on.
        charset, corpus: what may be written.
        tongue: the language of what is invented.
        lettering: of ordinary lines.
        left, right: the column's sides on the canvas.
        y: base line of the next line.
        leading: from one base line to the next.
    """

    rng: np.random.Generator
    canvas: PageCanvas
    charset: Charset
    corpus: Corpus
    tongue: Tongue
    lettering: Lettering
    left: float
    right: float
    y: float
    leading: float

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
        """Write on the current line at `x`, no wider than `room` (the column when None), in `color` or plain ink."""
        lettering = self.lettering if scale == 1 else scaled(self.lettering, scale)
        text = "".join([c for c in in_charset(text, self.charset) if c in lettering.face.characters])
        text = fitting(text, lettering, self.width if room is None else room)
        self.canvas.text(x, self.y, text.strip(), lettering, anchor=anchor, color=color)

    def next(self, lines: float = 1.0) -> None:
        self.y += lines * self.leading

    def line(self, text: str, *, anchor: str = "l", scale: float = 1.0) -> None:
        """One line of the column, centered for anchor "m"."""
        if scale > 1:
            self.next(scale - 1)
        x = {"l": self.left, "m": (self.left + self.right) / 2, "r": self.right}[anchor]
        self.at(x, text, anchor=anchor, scale=scale)
        self.next()

    def cells(self, texts: list[str], edges: list[tuple[float, str]]) -> None:
        """Texts at (relative x, anchor) of one line, each kept clear of its neighbors."""
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
        """A rule, a row of dashes, or nothing but room."""
        kind = int(self.rng.integers(6))
        if kind < 3:
            self.canvas.dashes(self.left, self.right, self.y, pick(self.rng, "---=*_."), self.lettering)
        elif kind == 3:
            y = self.y - self.leading * 0.3
            width = max(1, self.lettering.size // 14)
            self.canvas.mark("line", [self.left, y, self.right, y], width=width, level=int(self.rng.integers(120, 256)))
        self.next(1.0 if kind < 4 else self.rng.uniform(0.3, 1.2))

    def choice(self, entries: tuple[str, ...], room: float) -> str:
        """One of `entries` that fits into `room` pixels, if a few draws find one."""
        for _ in range(5):
            entry = pick(self.rng, entries)
            if measure(entry, self.lettering)[0] <= room:
                break
        return entry

    def prose(self, longest: int) -> str:
        """Entries of the corpus as they stand, one after the other, `longest` characters at least."""
        text = ""
        while len(text) < longest:
            text += in_charset(self.corpus.entry(self.rng), self.charset) + " "
        return text

    def words(self, low: int, high: int) -> str:
        """A text of the corpus of `low` to `high` characters; an invented one where the face cannot draw it."""
        text = self.corpus.sample(self.rng, self.charset, (low, high))
        drawable = sum(c in self.lettering.face.characters for c in text)
        return text if drawable > 0.8 * len(text) else self.tongue.phrase(self.rng)
