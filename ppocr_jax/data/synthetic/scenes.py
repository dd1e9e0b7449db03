"""Text that is not on paper: screenshots, and signs on photographs or walls."""

from __future__ import annotations

import numpy as np

from ppocr_jax.data.synthetic.canvas import PageCanvas, corners_of, fitting
from ppocr_jax.data.synthetic.composer import Composer
from ppocr_jax.data.synthetic.corpus import in_charset
from ppocr_jax.data.synthetic.fonts import FontFace
from ppocr_jax.data.synthetic.glyphs import Lettering, measure
from ppocr_jax.data.synthetic.line_style import LUMINANCE, FontPicker, muted_color
from ppocr_jax.data.synthetic.phrases import pick
from ppocr_jax.data.synthetic.warp import Tilt, project, shape_matrix

Color = tuple[int, int, int]


def screenshot(page: Composer) -> None:
    """A window: title bar, buttons, rows of a list or text, sometimes a column of entries at the left."""
    rng, canvas, size = page.rng, page.canvas, page.lettering.size
    if rng.random() < 0.7:
        bar = [0, 0, canvas.width, page.leading * 1.8]
        canvas.mark("rectangle", bar, width=0, color=_near_ground(canvas, rng, 40))
        page.y = page.leading * 1.2
        page.at(page.left, page.words(6, 40))
        page.next(2)
    if rng.random() < 0.4:
        split = page.left + page.width * rng.uniform(0.2, 0.35)
        canvas.mark("line", [split, page.y - page.leading, split, canvas.height])
        page.right, right = split - size, page.right
        top = page.y
        while page.has_room and rng.random() < 0.95:
            page.line(page.words(3, 18))
            page.next(float(rng.uniform(0.2, 0.8)))
        page.left, page.right, page.y = split + size, right, top
    while page.has_room:
        if rng.random() < 0.2:
            _buttons(page)
        else:
            page.line(page.words(5, 70), scale=float(rng.choice((1, 1, 1, 1.4))))
        page.next(float(rng.choice((0, 0.2, 0.8))))


def _buttons(page: Composer) -> None:
    rng, size = page.rng, page.lettering.size
    x = page.left
    page.next(0.5)
    for _ in range(int(rng.integers(1, 5))):
        width = size * rng.uniform(4, 10)
        if x + width > page.right:
            break
        box = [x, page.y - 1.4 * size, x + width, page.y + 0.7 * size]
        page.canvas.mark("rectangle", box, width=0, color=_near_ground(page.canvas, rng, 35))
        page.canvas.mark("rectangle", box, width=1, level=int(rng.integers(60, 256)))
        page.at(x + width / 2, page.words(2, 12), anchor="m", room=width - size)
        x += width + size
    page.next(1.6)


def _near_ground(canvas: PageCanvas, rng: np.random.Generator, reach: float) -> Color:
    """A colour at most `reach` levels from the ground's mean, so that the ink stays legible on it."""
    ground, _ = canvas.ground_color((0, 0, canvas.width, canvas.height))
    values = np.clip(ground + rng.uniform(-reach, reach), 0, 255)
    return tuple(int(v) for v in values)  # type: ignore[return-value]


def signs(page: Composer, fonts: FontPicker) -> None:
    """A few signs apart from each other, each in a face of its own."""
    wanted = int(page.rng.integers(1, 8))
    for _ in range(4 * wanted):
        wanted -= _sign(page, fonts.pick(page.rng, "scene", wide=page.tongue.wide))
        if not wanted:
            break


def _sign(page: Composer, face: FontFace) -> bool:
    """One to three tilted lines under each other, on a board or straight on the ground; False if there was no room."""
    rng, canvas = page.rng, page.canvas
    size = int(np.clip(np.exp(rng.normal(np.log(38), 0.55)), 14, 0.25 * canvas.height))
    lettering = Lettering(face, size, stroke=size * 0.02 if rng.random() < 0.2 else 0.0)
    lines = [text for _ in range(int(rng.integers(1, 4))) if (text := _sign_text(page, lettering))]
    tilt, pitch = _sign_tilt(rng), 1.35 * size
    width = max((measure(text, lettering)[0] for text in lines), default=0.0) + 1.4 * size
    height = pitch * len(lines) + 0.4 * size
    center = rng.uniform(0.5 * width, max(0.5 * width + 1, canvas.width - 0.5 * width)), rng.uniform(0, canvas.height)
    flat_box = (-width / 2, -height / 2, width / 2, height / 2)
    frame = project(shape_matrix(flat_box, tilt), corners_of(flat_box)) + center
    box = (*frame.min(axis=0), *frame.max(axis=0))
    if not lines or not canvas.is_free(box):
        return False
    ground, unrest = canvas.ground_color(box)
    board = muted_color(rng) if unrest > 45 or rng.random() < 0.5 else None
    ink = _ink_on(rng, ground if board is None else board)
    if board is not None:
        _draw_board(rng, canvas, frame, board, ink if rng.random() < 0.4 else None)
    outline = tuple(255 - v for v in ink) if rng.random() < 0.15 else None
    down = np.array([-np.sin(tilt.angle), np.cos(tilt.angle)]) * pitch
    for i, text in enumerate(lines):
        x, y = center + down * (i - (len(lines) - 1) / 2)
        canvas.tilted_text(float(x), float(y), text, lettering, tilt, color=ink, outline=outline)
    canvas.reserve(box)
    return True


def _sign_tilt(rng: np.random.Generator) -> Tilt:
    strong = rng.random() < 0.25
    along, across = rng.normal(0, 0.12 if strong else 0.03, 2)
    return Tilt(
        angle=float(np.deg2rad(rng.normal(0, 14 if strong else 2.5))),
        shear=float(rng.normal(0, 0.12)) if strong else 0.0,
        perspective=(float(along), float(across)),
        bend=float(rng.uniform(-0.15, 0.15)) if rng.random() < 0.1 else 0.0,
    )


def _draw_board(
    rng: np.random.Generator, canvas: PageCanvas, frame: np.ndarray, color: np.ndarray, edge: Color | None
) -> None:
    corners = [(float(x), float(y)) for x, y in frame]
    canvas.mark("polygon", corners, color=tuple(int(v) for v in np.clip(color, 0, 255)))
    if edge is not None:
        canvas.mark("line", [*corners, corners[0]], width=int(rng.integers(1, 6)), color=edge)


def _ink_on(rng: np.random.Generator, ground: np.ndarray) -> Color:
    """A colour that stands out from `ground`."""
    light = float(ground @ LUMINANCE) < 128
    ink = rng.uniform(190, 256, 3) if light else rng.uniform(0, 70, 3)
    if rng.random() < 0.4:
        ink = np.full(3, 250.0 if light else 10.0)
    return tuple(int(v) for v in ink)  # type: ignore[return-value]


def _sign_text(page: Composer, lettering: Lettering) -> str:
    rng = page.rng
    kind = rng.random()
    if kind < 0.45:
        text = page.tongue.between.join(pick(rng, page.tongue.sign_words) for _ in range(int(rng.integers(1, 4))))
    elif kind < 0.6:
        text = page.tongue.phrase(rng)
    else:
        text = page.words(2, 22)
    if rng.random() < 0.4:
        text = text.upper()
    text = "".join([c for c in in_charset(text, page.charset) if c in lettering.face.characters])
    return fitting(text, lettering, 0.8 * page.canvas.width)
