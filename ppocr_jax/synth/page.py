"""Pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth import background, composer, documents, scenes, screens
from ppocr_jax.synth.canvas import PageCanvas, PageLine, View
from ppocr_jax.synth.composer import Composer
from ppocr_jax.synth.corpus import Corpus, writes_chinese
from ppocr_jax.synth.degrade import degrade, degrade_ink
from ppocr_jax.synth.fonts import FontFace, FontPicker
from ppocr_jax.synth.glyphs import Lettering
from ppocr_jax.synth.languages import CHINESE, ENGLISH
from ppocr_jax.synth.style import muted_color, random_colors

PAGE_KINDS = ("receipt", "form", "letter", "screenshot", "sign")
_KIND_PROBABILITIES = (0.44, 0.18, 0.1, 0.08, 0.2)
_LINE_KIND = {"receipt": "receipt", "form": "document", "letter": "document", "screenshot": "document", "sign": "scene"}
# A screen is no paper: what happens to its pictures is what happens to photographs of signs.
_SEEN_AS = _LINE_KIND | {"screenshot": "scene"}
# Median and spread (of the logarithm) of the pixels per em of ordinary lines, in a picture of 640 pixels.
_EM = {"receipt": (19, 0.3), "form": (16, 0.3), "letter": (16, 0.3), "screenshot": (15, 0.25), "sign": (20, 0.3)}
_SMALLEST_EM = 10
_DARK_SCREENS = 0.3
_CHINESE_PAGES = 0.85  # of those drawn for a charset with Chinese


@dataclass(frozen=True)
class PageSample:
    """A drawn picture.

    Attributes:
        image_rgb: (h, w, 3) uint8.
        lines: its text lines; words apart by ordinary spaces are one line, columns are lines of their own.
    """

    image_rgb: np.ndarray
    lines: tuple[PageLine, ...]


class PageGenerator:
    """Draws pages; a page is a pure function of (seed, index, size, kind). Immutable and picklable."""

    def __init__(
        self, *, charset: Charset, fonts: Sequence[FontFace], corpus: Corpus, backgrounds: Sequence[str | Path] = ()
    ):
        """See `LineGenerator`: the same arguments and errors."""
        self._charset = charset
        self._corpus = corpus
        self._fonts = FontPicker(fonts, charset)
        self._chinese = writes_chinese(charset) and self._fonts.has_wide
        self._photos = background.photo_paths(backgrounds)

    def __call__(
        self, seed: int, index: int, *, size: tuple[int, int] = (640, 640), kind: str | None = None
    ) -> PageSample:
        """Picture number `index` of `seed`.

        Args:
            seed: number of the series.
            index: number in the series.
            size: (width, height) of the picture in pixels.
            kind: one of `PAGE_KINDS`; random when None.

        Raises:
            ValueError: unknown `kind`.
        """
        if kind is not None and kind not in PAGE_KINDS:
            raise ValueError(f"kind must be one of {PAGE_KINDS}, not {kind!r}")
        rng = np.random.default_rng((seed, index))
        drawn = PAGE_KINDS[int(rng.choice(len(PAGE_KINDS), p=_KIND_PROBABILITIES))]
        kind = kind or drawn
        em = self._em(rng, kind, size)
        on_paper = kind in ("receipt", "form", "letter")
        view, (width, height) = paper_view(rng, size, narrow=kind == "receipt") if on_paper else (_straight(size), size)
        paper, ink_color = random_colors(rng, _LINE_KIND[kind])
        if kind == "screenshot" and rng.random() < _DARK_SCREENS:
            paper, ink_color = ink_color, paper
        canvas = PageCanvas(self._ground(rng, kind, paper, height, width), ink_color, view)
        self._fill(rng, kind, canvas, em)
        picture = self._seen(rng, canvas, em, on_paper)
        return PageSample(degrade(rng, picture, float(em), kind=_SEEN_AS[kind]), tuple(canvas.lines))

    def _em(self, rng: np.random.Generator, kind: str, size: tuple[int, int]) -> int:
        median, spread = _EM[kind]
        scale = min(size) / 640
        return max(_SMALLEST_EM, round(median * scale * float(np.exp(rng.normal(0, spread)))))

    def _ground(self, rng: np.random.Generator, kind: str, color: np.ndarray, height: int, width: int) -> np.ndarray:
        if kind == "screenshot":
            return background.flat(color, height, width)
        if kind == "sign":
            if self._photos and rng.random() < 0.75:
                return background.photo_crop(rng, self._photos, height, width)
            if rng.random() < 0.2:
                return background.bricks(rng, height, width)
            return background.gradient(rng, color, height, width)
        return background.paper(rng, color, height, width)

    def _fill(self, rng: np.random.Generator, kind: str, canvas: PageCanvas, em: int) -> None:
        language = CHINESE if self._chinese and rng.random() < _CHINESE_PAGES else ENGLISH
        face = self._fonts.pick(rng, _LINE_KIND[kind], wide=language.wide)
        dots = kind == "receipt" and rng.random() < 0.3
        stroke = em * float(rng.uniform(0.01, 0.03)) if rng.random() < 0.15 else 0.0
        margin = float(rng.uniform(0.3, 3)) * em
        left, top, right, _ = canvas.view.visible_part(canvas.width, canvas.height)
        page = Composer(
            rng=rng,
            canvas=canvas,
            charset=self._charset,
            corpus=self._corpus,
            language=language,
            lettering=Lettering(face, em, stroke=stroke, pixelated=dots),
            left=left + margin,
            right=right - margin,
            y=top + float(rng.uniform(1.2, 4)) * em,
            leading=float(rng.uniform(1.1, 1.7)) * em,
        )
        writers: dict[str, Callable[[Composer], None]] = {
            "receipt": documents.receipt,
            "form": documents.form,
            "letter": documents.letter,
            "screenshot": screens.screenshot,
            "sign": partial(scenes.signs, fonts=self._fonts),
        }
        writers[kind](page)
        if kind in ("receipt", "form", "letter"):
            _add_marks(rng, canvas, em)

    def _seen(self, rng: np.random.Generator, canvas: PageCanvas, em: int, on_paper: bool) -> np.ndarray:
        """The canvas joined, and seen through its view on a table or in a scanner."""
        import cv2

        ink = degrade_ink(rng, canvas.ink(), float(em)) if on_paper else canvas.ink()
        sheet = canvas.joined(ink, float(rng.uniform(0.75, 1.0)))
        if not on_paper:
            return sheet
        width, height = canvas.view.size
        picture = np.clip(self._table(rng, height, width), 0, 255).astype(np.uint8)
        return cv2.warpPerspective(
            sheet, canvas.view.homography, (width, height), picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
        )

    def _table(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """What a sheet of paper lies on."""
        kind = rng.random()
        if kind < 0.3 and self._photos:
            return background.photo_crop(rng, self._photos, height, width)
        if kind < 0.65:
            return background.flat(np.full(3, rng.choice((rng.uniform(0, 40), rng.uniform(225, 255)))), height, width)
        if kind < 0.8:
            return background.wood(rng, height, width)
        return background.paper(rng, muted_color(rng), height, width)


def _straight(size: tuple[int, int]) -> View:
    return View(np.eye(3), size)


def _add_marks(rng: np.random.Generator, canvas: PageCanvas, em: int) -> None:
    for draw, probability in ((composer.pen_stroke, 0.25), (composer.stamp, 0.08), (composer.paper_holes, 0.06)):
        if rng.random() < probability:
            draw(rng, canvas, em)


def paper_view(rng: np.random.Generator, size: tuple[int, int], *, narrow: bool) -> tuple[View, tuple[int, int]]:
    """A view of a sheet and the (width, height) of the sheet in canvas pixels.

    Most sheets fill the picture or stick out of it; the others show what they lie on. Scale is about 1.

    Args:
        rng: random generator.
        size: (width, height) of the picture.
        narrow: a strip like a receipt rather than a page.
    """
    width, height = size
    share = rng.uniform(0.5, 1.0) if narrow else rng.uniform(0.85, 1.05)
    sheet_w, sheet_h = round(width * share), round(height * rng.uniform(0.9, 1.15))
    if rng.random() < 0.35:
        sheet_w, sheet_h = round(width * 1.04), round(height * 1.04)
    turn = rng.normal(0, 1.2) if rng.random() < 0.85 else rng.normal(0, 6)
    angle = np.deg2rad(np.clip(turn, -14, 14))
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    to_center = np.array([[1, 0, -sheet_w / 2], [0, 1, -sheet_h / 2], [0, 0, 1.0]])
    slack_x, slack_y = (width - sheet_w) / 2, (height - sheet_h) / 2
    x = width / 2 + rng.uniform(-0.9, 0.9) * abs(slack_x)
    y = height / 2 + rng.uniform(-0.9, 0.9) * abs(slack_y)
    to_picture = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
    view = np.eye(3)
    if rng.random() < 0.35:
        view[2, :2] = rng.normal(0, 0.05, 2) / (width, height)
    return View(to_picture @ view @ rotation @ to_center, size), (sheet_w, sheet_h)
