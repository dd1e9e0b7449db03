"""The images of `examples/`: an invented receipt, form and shop sign, drawn with the generator's parts.

`python examples/draw.py --output examples` writes them anew.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ppocr_jax.synth import background, composer, degrade
from ppocr_jax.synth.canvas import CanvasView, PageCanvas
from ppocr_jax.synth.fonts import FontFace, find_fonts
from ppocr_jax.synth.glyphs import Lettering

logger = logging.getLogger("ppocr_jax")

_JPEG_QUALITY = 82
_RECEIPT_HEAD = (
    ("BLUE HERON GROCERS", 1.5),
    ("14 Orchard Quay, Larkhaven", 1.0),
    ("Tel: 0555-010 224", 1.0),
    ("VAT No. 000 1234 56", 1.0),
)
_RECEIPT_ROWS = (
    ("Receipt #: 004817", "14/03/2026"),
    ("Cashier: Mira", "17:42:08"),
    ("-", ""),
    ("Item", "Amount"),
    ("-", ""),
    ("Sourdough loaf", "3.80"),
    ("2 x Oat milk 1L @ 2.15", "4.30"),
    ("Free range eggs (12)", "4.95"),
    ("Tomatoes 0.640 kg", "2.24"),
    ("Dark roast beans 250g", "7.50"),
    ("Reusable bag", "0.60"),
    ("-", ""),
    ("Subtotal", "23.39"),
    ("Discount 5%", "-1.17"),
    ("TOTAL", "22.22"),
    ("CASH", "25.00"),
    ("CHANGE", "2.78"),
)
_FORM_FIELDS = (
    ("Full name:", "Eleanor V. Marsh"),
    ("Date of birth:", "09 / 11 / 1984"),
    ("Address:", "27 Lantern Street, Westmere"),
    ("Telephone:", "(555) 014-7730"),
    ("E-mail:", "e.marsh@example.org"),
)
_FORM_TABLE = (
    ("Item", "Period", "Fee"),
    ("Adult card", "12 months", "18.00"),
    ("Reading room", "6 months", "9.50"),
    ("Deposit", "refundable", "25.00"),
)


def receipt(faces: Sequence[FontFace]) -> np.ndarray:
    """A thermal receipt on a wooden table, photographed; (1100, 760, 3) uint8."""
    import cv2

    rng = np.random.default_rng(7)
    sheet, size = (520, 980), (760, 1100)
    corners = [(112, 66), (634, 44), (668, 1046), (96, 1062)]
    view = _view(sheet, corners, size)
    shade = np.linspace(10, -16, sheet[0])[None, :, None]
    canvas = PageCanvas(background.paper(rng, np.full(3, 238.0), sheet[1], sheet[0]) + shade, np.full(3, 52.0), view)
    face = _choose(faces, "liberation mono$|cousine regular|dejavu sans mono$|mono")
    body, y = Lettering(face, 21), 70
    for text, scale in _RECEIPT_HEAD:
        canvas.text(sheet[0] / 2, y, text, Lettering(face, round(21 * scale), stroke=scale - 1), anchor="m")
        y += 34 if scale == 1 else 40
    y += 16
    for left, right in _RECEIPT_ROWS:
        if left == "-":
            canvas.dashes(38, sheet[0] - 38, y - 8, "-", body)
            y += 24
            continue
        lettering = Lettering(face, 27, stroke=0.6) if left == "TOTAL" else body
        canvas.text(38, y, left, lettering)
        canvas.text(sheet[0] - 38, y, right, lettering, anchor="r")
        y += 32
    canvas.text(sheet[0] / 2, y + 30, "THANK YOU - PLEASE COME AGAIN", body, anchor="m")
    bottom = composer.barcode(rng, canvas, (120, y + 55), width=280, height=70)
    canvas.text(sheet[0] / 2, bottom + 26, "4006 8817 0426", body, anchor="m")
    ink = degrade.fade_ink(np.random.default_rng(3), canvas.ink(), 40.0)
    table = _shadowed(background.wood(rng, size[1], size[0]), corners)
    image = cv2.warpPerspective(
        canvas.joined(ink, 0.95), view.homography, size, table, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
    )
    return _photographed(rng, image, blur=0.7)


def form(faces: Sequence[FontFace]) -> np.ndarray:
    """A filled-in form, scanned a little askew; (1130, 860, 3) uint8."""
    import cv2

    rng = np.random.default_rng(11)
    size = (860, 1130)
    turn = cv2.getRotationMatrix2D((430, 565), 0.7, 1.0)
    view = CanvasView(np.vstack([turn, [0, 0, 1]]), size[::-1])
    canvas = PageCanvas(background.paper(rng, np.full(3, 246.0), size[1], size[0]), np.full(3, 28.0), view)
    printed, typed = (
        _choose(faces, "liberation sans$|arimo regular|dejavu sans$"),
        _choose(faces, "courier prime regular|courier|mono"),
    )
    bold = _choose(faces, "liberation sans bold$|arimo bold$|dejavu sans bold$|bold")
    canvas.text(430, 105, "WESTMERE PUBLIC LIBRARY", Lettering(bold, 34), anchor="m")
    canvas.text(430, 148, "Application for membership", Lettering(printed, 24), anchor="m")
    canvas.mark("line", [70, 172, 790, 172], width=3)
    y = 232
    for label, value in _FORM_FIELDS:
        canvas.text(75, y, label, Lettering(printed, 21))
        canvas.text(262, y - 2, value, Lettering(typed, 23))
        canvas.mark("line", [252, y + 8, 785, y + 8], width=1)
        y += 54
    words = ("Adult", "Student", "Senior")
    canvas.text(75, y + 8, "Category:", Lettering(printed, 21))
    starts = composer.check_boxes(rng, canvas, (252, 785), baseline=y + 8, size=21)
    for x, word in zip(starts, words, strict=False):
        canvas.text(x, y + 8, word, Lettering(printed, 21))
    _form_table(canvas, y + 60, printed, bold)
    canvas.text(
        75, 905, "I agree to the rules of the library and will return all items in time.", Lettering(printed, 18)
    )
    canvas.text(75, 1015, "Signature", Lettering(printed, 19))
    canvas.text(540, 1015, "Date:", Lettering(printed, 19))
    canvas.text(605, 1013, "02 May 2026", Lettering(typed, 21))
    canvas.mark("line", [75, 990, 430, 990])
    strokes = np.linspace(0, 1, 120)
    xs = 95 + 240 * strokes + 13 * np.sin(46 * strokes)
    ys = 968 - 30 * (1 - strokes) ** 1.5 * np.cos(46 * strokes + 3 * strokes**2) - 6 * np.sin(9 * strokes)
    canvas.mark("line", [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)], width=3, color=(38, 52, 130))
    sheet = canvas.joined(canvas.ink(), 0.95)
    image = cv2.warpAffine(sheet, turn, size, borderValue=(70, 70, 70))
    return _photographed(rng, degrade.speckles(rng, image, 20.0), blur=0.6)


def sign(faces: Sequence[FontFace]) -> np.ndarray:
    """A shop sign on a brick wall, seen from one side; (640, 960, 3) uint8."""
    import cv2

    rng = np.random.default_rng(5)
    wall, size = (1100, 720), (960, 640)
    view = _view(wall, [(-60, -110), (1050, -20), (1030, 670), (-90, 800)], size)
    canvas = PageCanvas(background.bricks(rng, wall[1], wall[0]), np.full(3, 20.0), view)
    canvas.mark("rectangle", [138, 148, 982, 512], width=0, color=(22, 20, 18))
    canvas.mark("rectangle", [130, 138, 970, 500], width=0, color=(24, 62, 54))
    canvas.mark("rectangle", [146, 154, 954, 484], width=4, color=(214, 190, 130))
    serif = _choose(faces, "liberation serif bold$|tinos bold$|dejavu serif bold$|serif bold|bold")
    sans = _choose(faces, "liberation sans$|arimo regular|dejavu sans$")
    cream, gold = (244, 236, 214), (226, 200, 136)
    canvas.text(550, 272, "MORNING STAR", Lettering(serif, 92), anchor="m", color=cream)
    canvas.text(550, 352, "Bakery & Coffee House", Lettering(serif, 54), anchor="m", color=gold)
    canvas.text(550, 440, "OPEN DAILY 7 AM - 6 PM", Lettering(sans, 40), anchor="m", color=cream)
    canvas.mark("rectangle", [760, 560, 960, 650], width=0, color=(232, 226, 212))
    canvas.text(860, 620, "No. 42", Lettering(sans, 46), anchor="m", color=(30, 40, 70))
    image = cv2.warpPerspective(canvas.joined(canvas.ink(), 1.0), view.homography, size, flags=cv2.INTER_AREA)
    light = np.linspace(1.12, 0.72, size[0])[None, :, None] * np.linspace(1.05, 0.9, size[1])[:, None, None]
    return _photographed(rng, np.clip(image * light, 0, 255).astype(np.uint8), blur=0.8)


EXAMPLES = {"receipt": receipt, "form": form, "sign": sign}


def write_examples(folder: str | Path, faces: Sequence[FontFace]) -> list[Path]:
    """Draw all examples with `faces` and write them as JPEG files into `folder`; returns their paths."""
    import cv2

    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in EXAMPLES.items():
        path = Path(folder) / f"{name}.jpg"
        image = cv2.cvtColor(draw(faces), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), image, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
        logger.info("wrote %s", path)
        paths.append(path)
    return paths


def _form_table(canvas: PageCanvas, top: float, face: FontFace, bold: FontFace) -> None:
    edges, height = (75, 345, 590, 785), 46
    for row, cells in enumerate(_FORM_TABLE):
        y = top + row * height
        canvas.mark("line", [edges[0], y, edges[-1], y], width=2 if row < 2 else 1)
        lettering = Lettering(bold if row == 0 else face, 21)
        canvas.text(edges[0] + 14, y + 31, cells[0], lettering)
        canvas.text(edges[1] + 14, y + 31, cells[1], lettering)
        canvas.text(edges[3] - 14, y + 31, cells[2], lettering, anchor="r")
    bottom = top + len(_FORM_TABLE) * height
    canvas.mark("line", [edges[0], bottom, edges[-1], bottom], width=2)
    for x in edges:
        canvas.mark("line", [x, top, x, bottom])


def _choose(faces: Sequence[FontFace], pattern: str) -> FontFace:
    """The upright face whose name matches the earliest alternative of `pattern`; the first face when none does."""
    for alternative in pattern.split("|"):
        for face in (f for f in faces if not f.slanted):
            if re.search(alternative, face.name.lower()):
                return face
    return faces[0]


def _view(sheet: tuple[int, int], corners: list[tuple[int, int]], size: tuple[int, int]) -> CanvasView:
    """The view in which the corners of a (width, height) `sheet` are seen at `corners`."""
    import cv2

    width, height = sheet
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    return CanvasView(cv2.getPerspectiveTransform(flat, np.array(corners, np.float32)), size[::-1])


def _shadowed(ground: np.ndarray, corners: list[tuple[int, int]]) -> np.ndarray:
    """`ground` with the soft shadow of a sheet at `corners`; uint8."""
    import cv2

    shadow = np.zeros(ground.shape[:2], np.float32)
    offset = np.array((14, 16), np.int32)
    cv2.fillConvexPoly(shadow, np.array(corners, np.int32) + offset, 1.0)
    shadow = cv2.GaussianBlur(shadow, (0, 0), 12)
    return np.clip(ground * (1 - 0.55 * shadow[..., None]), 0, 255).astype(np.uint8)


def _photographed(rng: np.random.Generator, image: np.ndarray, *, blur: float) -> np.ndarray:
    import cv2

    soft = cv2.GaussianBlur(image, (0, 0), blur).astype(np.float32)
    noise = rng.standard_normal(image.shape[:2], dtype=np.float32)[..., None] * 3.0
    return np.clip(soft + noise, 0, 255).astype(np.uint8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: `--output FOLDER`."""
    parser = argparse.ArgumentParser(description="Draw the example images again.")
    parser.add_argument("--output", default="examples", help="folder to write to (default: %(default)s)")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_examples(parser.parse_args(arguments).output, find_fonts())


if __name__ == "__main__":
    main()
