"""Synthetic images with text and the quads of their lines: receipts, forms, letters, screenshots, signs and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth import background, documents, scenes, screens
from ppocr_jax.synth.canvas import CanvasView, PageCanvas, PageLine
from ppocr_jax.synth.composer import Composer, paper_holes, pen_stroke, stamp
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.degrade import degrade, degrade_ink
from ppocr_jax.synth.effects import LUMINANCE, watermark_mask
from ppocr_jax.synth.fonts import FontFace, FontPicker
from ppocr_jax.synth.glyphs import Lettering
from ppocr_jax.synth.languages import Language, page_language
from ppocr_jax.synth.style import KINDS, muted_color, random_colors

Writer = Callable[[Composer, FontPicker], None]
_SMALLEST_EM = 10
# Faces tried until one has all letters of the page's language.
_FACE_TRIES = 8
# Fraction of sheets of paper that are rotated by up to 45 degrees, and their size relative to the image: if their
# diagonal fits, they are entirely visible.
_SLANTED = 0.05
_SLANTED_SIZE = 0.68


@dataclass(frozen=True)
class _PageKind:
    """Drawing of pages of one kind.

    Attributes:
        share: Fraction of all pages.
        look: Key of `style.KINDS`: colors and degradation.
        fonts: Kind of faces, see `FontPicker.pick`.
        em: Median and spread (of the logarithm) of the pixels per em of ordinary lines, in an image of 640 pixels.
        write: Fills the page.
        on_paper: Whether the page is a sheet of paper on a surface; other pages fill the image.
        watermark: Fraction of pages with large faint letters under the text, which are not labeled.
    """

    share: float
    look: str
    fonts: str
    em: tuple[float, float]
    write: Writer
    on_paper: bool = False
    watermark: float = 0.0


def _with_own_face(write: Callable[[Composer], None]) -> Writer:
    """Return a writer that needs only the page's own face."""
    return lambda page, fonts: write(page)


_KINDS = {
    "receipt": _PageKind(0.34, "receipt", "receipt", (19, 0.3), _with_own_face(documents.receipt), True, 0.02),
    "form": _PageKind(0.14, "document", "document", (16, 0.3), _with_own_face(documents.form), True, 0.1),
    "table": _PageKind(0.07, "document", "document", (14, 0.25), _with_own_face(documents.tables), True, 0.06),
    "letter": _PageKind(0.1, "document", "document", (16, 0.3), _with_own_face(documents.letter), True, 0.1),
    "screenshot": _PageKind(0.07, "screen", "document", (15, 0.25), _with_own_face(screens.screenshot), watermark=0.05),
    "code": _PageKind(0.04, "screen", "code", (15, 0.2), _with_own_face(screens.editor)),
    "sign": _PageKind(0.14, "scene", "scene", (20, 0.3), scenes.signs),
    "poster": _PageKind(0.05, "scene", "scene", (20, 0.3), scenes.posters),
    "subtitle": _PageKind(0.03, "subtitle", "document", (27, 0.3), scenes.subtitles),
    "display": _PageKind(0.02, "scene", "document", (18, 0.3), _with_own_face(scenes.displays)),
}
PAGE_KINDS = tuple(_KINDS)


@dataclass(frozen=True)
class PageSample:
    """A synthetic image.

    Attributes:
        image_rgb: (h, w, 3) uint8.
        lines: Text lines; words separated by ordinary spaces are one line, columns are separate lines.
    """

    image_rgb: np.ndarray
    lines: tuple[PageLine, ...]


class PageGenerator:
    """Generator of pages; a page is a pure function of (seed, index, size, kind). Immutable and picklable."""

    def __init__(
        self, *, charset: Charset, fonts: Sequence[FontFace], corpus: Corpus, backgrounds: Sequence[str | Path] = ()
    ):
        """Take the same arguments and raise the same errors as `LineGenerator`."""
        self._charset = charset
        self._corpus = corpus
        self._fonts = FontPicker(fonts, charset)
        self._photos = background.photo_paths(backgrounds)

    def __call__(
        self, seed: int, index: int, *, size: tuple[int, int] = (640, 640), kind: str | None = None
    ) -> PageSample:
        """Draw image number `index` of `seed`.

        Args:
            seed: Seed of the series.
            index: Index in the series.
            size: (height, width) of the image in pixels.
            kind: One of `PAGE_KINDS`; random if None.

        Raises:
            ValueError: `kind` does not exist.
        """
        if kind is not None and kind not in PAGE_KINDS:
            raise ValueError(f"kind must be one of {PAGE_KINDS}, not {kind!r}")
        rng = np.random.default_rng((seed, index))
        random_kind = PAGE_KINDS[int(rng.choice(len(PAGE_KINDS), p=_PROBABILITIES))]
        kind = kind or random_kind
        entry = _KINDS[kind]
        median, spread = entry.em
        em = max(_SMALLEST_EM, round(median * min(size) / 640 * float(np.exp(rng.normal(0, spread)))))
        if entry.on_paper:
            view, (height, width) = paper_view(rng, size, narrow=kind == "receipt")
        else:
            view, (height, width) = CanvasView(np.eye(3), size), size
        paper, ink_color = random_colors(rng, entry.look)
        language = page_language(rng, self._charset, wide=self._fonts.has_wide)
        face = self._face(rng, entry.fonts, language)
        ground = self._ground(rng, kind, paper, height, width)
        if rng.random() < entry.watermark:
            gap = float((ink_color - paper) @ LUMINANCE)
            mark = watermark_mask(rng, face, height, width, float(rng.uniform(1.5, 8)) * em)
            ground += (mark * np.float32(rng.uniform(0.06, 0.22) * gap / 255))[..., None]
        canvas = PageCanvas(ground, ink_color, view)
        self._write_page(rng, entry, canvas, Lettering(face, em), language)
        image = self._render(rng, canvas, em, entry.on_paper)
        return PageSample(degrade(rng, image, float(em), kind=KINDS[entry.look].seen_as), tuple(canvas.lines))

    def _face(self, rng: np.random.Generator, fonts: str, language: Language) -> FontFace:
        """Return a face for the page, one with all letters of its language if one is found in a few tries."""
        letters = language.letters & set(self._charset.characters)
        for _ in range(_FACE_TRIES):
            face = self._fonts.pick(rng, fonts, wide=language.wide)
            if letters <= face.characters:
                break
        return face

    def _ground(self, rng: np.random.Generator, kind: str, color: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return the background, (height, width, 3) float32."""
        if kind in ("screenshot", "code"):
            return background.flat(color, height, width)
        if kind in ("sign", "subtitle", "poster", "display"):
            photos = {"sign": 0.75, "subtitle": 0.8, "poster": 0.25, "display": 0.2}[kind]
            if self._photos and rng.random() < photos:
                return background.photo_crop(rng, self._photos, height, width)
            if kind == "sign" and rng.random() < 0.2:
                return background.bricks(rng, height, width)
            draw = (background.gradient, background.plaster)[int(kind != "sign" and rng.random() < 0.4)]
            return draw(rng, color, height, width)
        return background.paper(rng, color, height, width)

    def _write_page(
        self, rng: np.random.Generator, entry: _PageKind, canvas: PageCanvas, lettering: Lettering, language: Language
    ) -> None:
        em, dots = lettering.size, entry.look == "receipt" and rng.random() < 0.3
        stroke = em * float(rng.uniform(0.01, 0.03)) if rng.random() < 0.15 else 0.0
        margin = float(rng.uniform(0.3, 3)) * em
        left, top, right, _ = canvas.view.visible_part(canvas.width, canvas.height)
        page = Composer(
            rng=rng,
            canvas=canvas,
            charset=self._charset,
            corpus=self._corpus,
            language=language,
            lettering=Lettering(lettering.face, em, stroke=stroke, pixelated=dots),
            left=left + margin,
            right=right - margin,
            y=top + float(rng.uniform(1.2, 4)) * em,
            leading=float(rng.uniform(1.1, 1.7)) * em,
            ruled=float(rng.uniform(0.02, 0.12)) if rng.random() < 0.25 else 0.0,
        )
        entry.write(page, self._fonts)
        if entry.on_paper:
            for draw, probability in ((pen_stroke, 0.25), (stamp, 0.08), (paper_holes, 0.06)):
                if rng.random() < probability:
                    draw(rng, canvas, em)

    def _render(self, rng: np.random.Generator, canvas: PageCanvas, em: int, on_paper: bool) -> np.ndarray:
        """Return the finished canvas, seen through its view on a table or in a scanner."""
        import cv2

        ink = degrade_ink(rng, canvas.ink(), float(em)) if on_paper else canvas.ink()
        sheet = canvas.joined(ink, float(rng.uniform(0.75, 1.0)))
        if not on_paper:
            return sheet
        height, width = canvas.view.size
        image = np.clip(self._table(rng, height, width), 0, 255).astype(np.uint8)
        return cv2.warpPerspective(
            sheet, canvas.view.homography, (width, height), image, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
        )

    def _table(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """Return the surface below a sheet of paper, (height, width, 3)."""
        kind = rng.random()
        if kind < 0.3 and self._photos:
            return background.photo_crop(rng, self._photos, height, width)
        if kind < 0.65:
            return background.flat(np.full(3, rng.choice((rng.uniform(0, 40), rng.uniform(225, 255)))), height, width)
        if kind < 0.8:
            return background.wood(rng, height, width)
        return background.paper(rng, muted_color(rng), height, width)


_PROBABILITIES = np.array([entry.share for entry in _KINDS.values()]) / sum(entry.share for entry in _KINDS.values())


def paper_view(rng: np.random.Generator, size: tuple[int, int], *, narrow: bool) -> tuple[CanvasView, tuple[int, int]]:
    """Return a view of a sheet of paper and the sheet's (height, width) in canvas pixels.

    Most sheets fill the image or extend beyond it; the others show the surface below. The scale is about 1.

    Args:
        rng: Random generator.
        size: (height, width) of the image.
        narrow: Whether the sheet is a strip like a receipt rather than a page.
    """
    height, width = size
    share = rng.uniform(0.5, 1.0) if narrow else rng.uniform(0.85, 1.05)
    sheet_h, sheet_w = round(height * rng.uniform(0.9, 1.15)), round(width * share)
    if rng.random() < 0.35:
        sheet_h, sheet_w = round(height * 1.04), round(width * 1.04)
    if rng.random() < _SLANTED:
        sheet_h, sheet_w = round(_SLANTED_SIZE * height), round(_SLANTED_SIZE * width * share)
        angle = np.deg2rad(rng.uniform(-45, 45))
    else:
        turn = rng.normal(0, 1.2) if rng.random() < 0.85 else rng.normal(0, 6)
        angle = np.deg2rad(np.clip(turn, -14, 14))
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    to_center = np.array([[1, 0, -sheet_w / 2], [0, 1, -sheet_h / 2], [0, 0, 1.0]])
    slack_x, slack_y = (width - sheet_w) / 2, (height - sheet_h) / 2
    x = width / 2 + rng.uniform(-0.9, 0.9) * abs(slack_x)
    y = height / 2 + rng.uniform(-0.9, 0.9) * abs(slack_y)
    to_image = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
    perspective = np.eye(3)
    if rng.random() < 0.35:
        perspective[2, :2] = rng.normal(0, 0.05, 2) / (width, height)
    return CanvasView(to_image @ perspective @ rotation @ to_center, size), (sheet_h, sheet_w)
