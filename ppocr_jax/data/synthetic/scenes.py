"""Text that is not on paper: screenshots, and signs on photographs or walls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ppocr_jax.data.synthetic import phrases, vocabulary
from ppocr_jax.data.synthetic.canvas import PageCanvas, fitting, scaled
from ppocr_jax.data.synthetic.corpus import in_charset
from ppocr_jax.data.synthetic.fonts import FontFace
from ppocr_jax.data.synthetic.glyphs import Lettering, measure
from ppocr_jax.data.synthetic.layouts import Composer
from ppocr_jax.data.synthetic.phrases import pick
from ppocr_jax.data.synthetic.warp import Tilt

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
    ground = canvas.ground_mean((0, 0, canvas.width, canvas.height))
    values = np.clip(ground + rng.uniform(-reach, reach), 0, 255)
    return tuple(int(v) for v in values)  # type: ignore[return-value]


def sign_writer(pick_face: Callable[[], FontFace]) -> Callable[[Composer], None]:
    """A layout of a few signs, each in a face of its own from `pick_face`."""

    def signs(page: Composer) -> None:
        wanted = int(page.rng.integers(1, 8))
        for _ in range(4 * wanted):
            wanted -= _sign(page, pick_face())
            if not wanted:
                break

    return signs


def _sign(page: Composer, face: FontFace) -> bool:
    """One to three tilted lines under each other, on a board or straight on the ground; False if there was no room."""
    rng, canvas = page.rng, page.canvas
    size = int(np.clip(np.exp(rng.normal(np.log(38), 0.55)), 14, 0.25 * canvas.height))
    lettering = Lettering(face, size, stroke=size * 0.02 if rng.random() < 0.2 else 0.0)
    lines = [_sign_text(page, lettering) for _ in range(int(rng.integers(1, 4)))]
    if not all(lines):
        return False
    strong = rng.random() < 0.25
    tilt = Tilt(
        angle=float(np.deg2rad(rng.normal(0, 14 if strong else 2.5))),
        shear=float(rng.normal(0, 0.12)) if strong else 0.0,
        perspective=tuple(rng.normal(0, 0.12 if strong else 0.03, 2)),
        bend=float(rng.uniform(-0.15, 0.15)) if rng.random() < 0.1 else 0.0,
    )
    width = max(measure(text, lettering)[0] for text in lines)
    pitch, reach = 1.35 * size, width / 2 + size
    x = rng.uniform(min(reach, canvas.width / 2), max(canvas.width - reach, canvas.width / 2 + 1))
    y = rng.uniform(size, max(size + 1, canvas.height - pitch * len(lines)))
    box = (x - width / 2 - size, y - size, x + width / 2 + size, y + pitch * (len(lines) - 1) + size)
    if not canvas.is_free(box):
        return False
    board, ink = contrasting_colors(rng, canvas.ground_mean(box))
    if board is not None and abs(tilt.angle) < 0.12:
        canvas.mark("rectangle", list(box), width=0, color=board)
        if rng.random() < 0.4:
            canvas.mark("rectangle", list(box), width=max(1, size // 12), color=ink)
    outline = tuple(255 - v for v in ink) if rng.random() < 0.15 else None
    across = np.array([-np.sin(tilt.angle), np.cos(tilt.angle)])
    for i, text in enumerate(lines):
        px, py = np.array([x, y]) + across * i * pitch
        canvas.tilted_text(float(px), float(py), text, lettering, tilt, color=ink, outline=outline)
    return True


def contrasting_colors(rng: np.random.Generator, ground: np.ndarray) -> tuple[Color | None, Color]:
    """(board, ink): the board is None where the ink stands on `ground` itself."""
    board = None
    if rng.random() < 0.5:
        ground = rng.uniform(0, 255, 3)
        board = tuple(int(v) for v in ground)
    light = float(ground.mean()) < 128
    ink = rng.uniform(190, 256, 3) if light else rng.uniform(0, 70, 3)
    if rng.random() < 0.4:
        ink = np.full(3, 250.0 if light else 10.0)
    return board, tuple(int(v) for v in ink)  # type: ignore[return-value]


def _sign_text(page: Composer, lettering: Lettering) -> str:
    rng = page.rng
    kind = rng.random()
    if kind < 0.45:
        text = " ".join(pick(rng, vocabulary.SIGN_WORDS) for _ in range(int(rng.integers(1, 4))))
    elif kind < 0.6:
        text = phrases.phrase(rng)
    else:
        text = page.words(2, 22)
    if rng.random() < 0.4:
        text = text.upper()
    text = "".join([c for c in in_charset(text, page.charset) if c in lettering.face.characters])
    return fitting(text, scaled(lettering, 1.0), 0.8 * page.canvas.width)
