"""Text in scenes: signs and boards, posters with large letters, subtitles, displays of instruments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ppocr_jax.synth.canvas import Color, PageCanvas, corners_of, fitting
from ppocr_jax.synth.composer import Composer
from ppocr_jax.synth.corpus import in_charset
from ppocr_jax.synth.effects import LUMINANCE
from ppocr_jax.synth.fonts import FontFace, FontPicker
from ppocr_jax.synth.glyphs import Lettering, column_advances, measure
from ppocr_jax.synth.phrases import digits, display_text, pick
from ppocr_jax.synth.style import display_colors, muted_color
from ppocr_jax.synth.warp import Tilt, project, shape_matrix


def signs(page: Composer, fonts: FontPicker) -> None:
    """Draw a few separate signs, each in a face of its own."""
    wanted = int(page.rng.integers(1, 8))
    for _ in range(4 * wanted):
        wanted -= _sign(page, fonts.pick(page.rng, "scene", wide=page.language.wide))
        if not wanted:
            break


def _sign(page: Composer, face: FontFace) -> bool:
    """Draw up to three tilted lines on a board or directly on the ground; return False if there was no space."""
    rng, canvas = page.rng, page.canvas
    size = int(np.clip(np.exp(rng.normal(np.log(38), 0.55)), 14, 0.25 * canvas.height))
    lettering = Lettering(face, size, stroke=size * 0.02 if rng.random() < 0.2 else 0.0)
    column = rng.random() < (0.25 if page.language.wide else 0.06)
    lines = [text for _ in range(_lines_of_sign(rng, page, column)) if (text := _sign_text(page, lettering, column))]
    tilt, pitch = _sign_tilt(rng, column), 1.35 * size
    width = max((_length(text, lettering, column) for text in lines), default=0.0) + 1.4 * size
    height = pitch * len(lines) + 0.4 * size
    flat_box = (-width / 2, -height / 2, width / 2, height / 2)
    frame = project(shape_matrix(flat_box, tilt), corners_of(flat_box))
    reach = float(frame[:, 0].max())
    center = rng.uniform(reach, max(reach + 1, canvas.width - reach)), rng.uniform(0, canvas.height)
    frame += center
    box = (*frame.min(axis=0), *frame.max(axis=0))
    if not lines or not canvas.is_free(box):
        return False
    ground, unrest = canvas.background_color(box)
    board = muted_color(rng) if unrest > 45 or rng.random() < 0.5 else None
    ink = _ink_on(rng, ground if board is None else board)
    if board is not None:
        _draw_board(rng, canvas, frame, board, ink if rng.random() < 0.4 else None)
    outline = tuple(255 - v for v in ink) if rng.random() < 0.15 else None
    down = np.array([-np.sin(tilt.angle), np.cos(tilt.angle)]) * pitch
    for i, text in enumerate(lines):
        x, y = center + down * (i - (len(lines) - 1) / 2)
        canvas.tilted_text(float(x), float(y), text, lettering, tilt, color=ink, outline=outline, column=column)
    canvas.reserve(box)
    return True


def _lines_of_sign(rng: np.random.Generator, page: Composer, column: bool) -> int:
    """Return the number of lines: a column of letters is a single word; ideographs may have two columns."""
    return int(rng.integers(1, 3 if page.language.wide else 2)) if column else int(rng.integers(1, 4))


def _length(text: str, lettering: Lettering, column: bool) -> float:
    return float(column_advances(text, lettering)[1][-1]) if column else measure(text, lettering)[0]


def _sign_tilt(rng: np.random.Generator, column: bool) -> Tilt:
    strong = rng.random() < 0.25
    along, across = rng.normal(0, 0.12 if strong else 0.03, 2)
    # A column of upright characters is a line rotated by 90 degrees; a few rows also run upward or downward.
    turned = np.pi / 2 if column else float(rng.choice((-np.pi / 2, np.pi / 2))) if rng.random() < 0.06 else 0.0
    # Text that is painted or photographed at a slant, up to 45 degrees.
    degrees = rng.uniform(-45, 45) if rng.random() < 0.1 and not turned else rng.normal(0, 14 if strong else 2.5)
    return Tilt(
        angle=turned + float(np.deg2rad(degrees)),
        shear=float(rng.normal(0, 0.12)) if strong else 0.0,
        perspective=(float(along), float(across)),
        bend=float(rng.uniform(-0.15, 0.15)) if rng.random() < 0.1 and not column else 0.0,
    )


def _draw_board(
    rng: np.random.Generator, canvas: PageCanvas, frame: np.ndarray, color: np.ndarray, edge: Color | None
) -> None:
    corners = [(float(x), float(y)) for x, y in frame]
    canvas.mark("polygon", corners, color=_rgb(color))
    if edge is not None:
        canvas.mark("line", [*corners, corners[0]], width=int(rng.integers(1, 6)), color=edge)


def _ink_on(rng: np.random.Generator, ground: np.ndarray) -> Color:
    """Return a color that contrasts with `ground`."""
    light = float(ground @ LUMINANCE) < 128
    ink = rng.uniform(190, 256, 3) if light else rng.uniform(0, 70, 3)
    if rng.random() < 0.4:
        ink = np.full(3, 250.0 if light else 10.0)
    return tuple(int(v) for v in ink)  # type: ignore[return-value]


def _sign_text(page: Composer, lettering: Lettering, column: bool) -> str:
    rng = page.rng
    kind = rng.random()
    if kind < 0.45:
        text = page.language.between.join(
            pick(rng, page.language.words["sign_words"]) for _ in range(int(rng.integers(1, 4)))
        )
    elif kind < 0.6:
        text = page.language.phrase(rng)
    else:
        text = page.words(2, 22)
    if rng.random() < 0.4 or (column and not page.language.wide):
        text = text.upper()
    text = _drawable(page, text, lettering.face)
    if not column:
        return fitting(text, lettering, 0.8 * page.canvas.width)
    # One word of at least two characters that is not longer than the image is high.
    words = [word[: int(0.7 * page.canvas.height / lettering.size)] for word in text.split()]
    return next((word for word in words if len(word) > 1), "")


def posters(page: Composer, fonts: FontPicker) -> None:
    """Write up to three lines in letters as large as the image allows, or single characters, and small print."""
    rng, canvas = page.rng, page.canvas
    top = float(rng.uniform(0.02, 0.1)) * canvas.height
    for _ in range(int(rng.integers(1, 4))):
        face = fonts.pick(rng, "scene", wide=page.language.wide)
        text = _poster_text(page, face)
        room_below, room_across = 0.97 * canvas.height - top, float(rng.uniform(0.35, 0.92)) * canvas.width
        if not text or room_below < 30:
            break
        # The largest size that leaves some space, from the size of the text at one pixel per em.
        width, height = (side / 100 for side in measure(text, Lettering(face, 100)))
        size = min(room_across / width, 0.85 * room_below / height, float(rng.uniform(0.2, 0.9)) * canvas.height)
        lettering = Lettering(face, 4 * max(3, int(size / 4)))  # in steps of 4, so that few fonts are loaded
        width, height = measure(text, lettering)
        x, y = rng.uniform(0.52 * width, canvas.width - 0.52 * width), top + 0.58 * height
        tilt = Tilt(angle=float(np.deg2rad(rng.normal(0, 1.5))))
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if canvas.is_free(box):
            ink = _ink_on(rng, canvas.background_color(box)[0])
            canvas.tilted_text(float(x), float(y), text, lettering, tilt, color=ink)
        top += 1.2 * height
    page.y = max(top + page.leading, 0.8 * canvas.height)
    while page.has_room and rng.random() < 0.8:
        page.line(page.words(4, 40), anchor=pick(rng, "lmm"))


def _poster_text(page: Composer, face: FontFace) -> str:
    """Return one to four characters, or a word of a sign."""
    rng, kind = page.rng, page.rng.random()
    if kind < 0.35:
        visible = [c for c in (page.words(1, 12) or "A") if not c.isspace()]
        text = pick(rng, visible)
    elif kind < 0.55:
        text = digits(rng, 1, 4)
    else:
        text = pick(rng, page.language.words["sign_words"])
    if rng.random() < 0.5:
        text = text.upper()
    return _drawable(page, text, face).strip()


def subtitles(page: Composer, fonts: FontPicker) -> None:
    """Write one to three lines with a black edge in the lower or upper part, and up to two signs in the scene."""
    rng, canvas = page.rng, page.canvas
    face = fonts.pick(rng, "document", wide=page.language.wide)
    lettering = replace(page.lettering, face=face, stroke=page.lettering.size * float(rng.choice((0.0, 0.015))))
    white = rng.random() < 0.75
    ink: Color = (255, 255, 255) if white else (250, 225, int(rng.integers(30, 120)))
    y = canvas.height * float(rng.uniform(0.8, 0.92) if rng.random() < 0.85 else rng.uniform(0.08, 0.2))
    for _ in range(int(rng.integers(1, 4))):
        text = fitting(_drawable(page, page.words(6, 60), face), lettering, 0.9 * canvas.width)
        x = canvas.width * float(rng.normal(0.5, 0.01))
        if text and canvas.tilted_text(x, y, text, lettering, Tilt(), color=ink, outline=(0, 0, 0)) is None:
            break
        y -= 1.35 * lettering.size
    for _ in range(int(rng.integers(0, 3))):
        _sign(page, face)


def displays(page: Composer) -> None:
    """Draw the displays of an instrument one below the other, with their digits and labels."""
    rng, canvas = page.rng, page.canvas
    y = canvas.height * float(rng.uniform(0.05, 0.2))
    while y < 0.9 * canvas.height:
        text, size = display_text(rng), int(canvas.height * rng.uniform(0.05, 0.28))
        width = 0.72 * size * len(text)
        if any(c not in page.charset for c in text) or width > 0.8 * canvas.width:
            y += 0.1 * canvas.height
            continue
        x = float(rng.uniform(0.05 * canvas.width, 0.93 * canvas.width - width))
        ground, ink = display_colors(rng)
        frame = [x - 0.4 * size, y, x + width + 0.4 * size, y + 1.6 * size]
        canvas.mark("rounded" if rng.random() < 0.4 else "rectangle", frame, width=0, color=_rgb(ground))
        canvas.segments(x, y + 1.3 * size, text, size, color=_rgb(ink), thickness=float(rng.uniform(0.1, 0.17)))
        page.y = y + 1.6 * size + 1.3 * page.lettering.size
        if rng.random() < 0.7:
            page.at(max(0.0, frame[0]), page.words(2, 14), room=0.8 * canvas.width)
        y += (1.9 + float(rng.uniform(0.2, 1))) * size + 1.5 * page.lettering.size


def _rgb(color: np.ndarray) -> Color:
    return tuple(int(v) for v in np.clip(color, 0, 255))  # type: ignore[return-value]


def _drawable(page: Composer, text: str, face: FontFace) -> str:
    return "".join([c for c in in_charset(text, page.charset) if c in face.characters])
