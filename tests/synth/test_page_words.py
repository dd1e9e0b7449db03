"""Words of drawn lines: the ink of each lies in its own quad and in no other."""

import cv2
import numpy as np
import pytest

from ppocr_jax.synth.canvas import PageCanvas, View
from ppocr_jax.synth.glyphs import Lettering
from ppocr_jax.synth.page import PAGE_KINDS, PageGenerator
from ppocr_jax.synth.warp import Tilt

EM = 40
TEXT = "Hug (860) mpb Bend"


@pytest.fixture
def canvas():
    turn = np.deg2rad(7)
    homography = np.array([[np.cos(turn), -np.sin(turn), 60], [np.sin(turn), np.cos(turn), 20], [1e-4, -1e-4, 1.0]])
    return PageCanvas(np.full((600, 700, 3), 255.0), np.zeros(3), View(homography, (800, 700)))


@pytest.fixture(params=["upright", "slanted"])
def face(faces, request):
    wanted = [f for f in faces if f.slanted == (request.param == "slanted") and not f.monospaced]
    return wanted[0] if wanted else pytest.skip(f"no {request.param} font")


def inks_of_words(canvas, gap):
    """(h, w) bool masks of what is seen, ink closer than `gap` pixels together, from left to right."""
    ink = cv2.warpPerspective(canvas.ink(), canvas.view.homography, canvas.view.size) > 80
    joined = cv2.dilate(ink.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap)))
    count, labels = cv2.connectedComponents(joined)
    masks = [ink & (labels == i) for i in range(1, count)]
    return sorted(masks, key=lambda mask: np.nonzero(mask)[1].mean())


def room_around(mask, quad):
    """Distances of the ink from the quad's (top, right, bottom, left) side, relative to its height; < 0 is outside."""
    ys, xs = np.nonzero(mask)
    ink = np.stack([xs, ys], axis=1)
    sides = np.roll(quad, -1, axis=0) - quad
    inward = np.stack([-sides[:, 1], sides[:, 0]], axis=1) / np.linalg.norm(sides, axis=1, keepdims=True)
    return ((ink[:, None] - quad) * inward).sum(axis=-1).min(axis=0) / np.linalg.norm(quad[3] - quad[0])


def assert_words_have_their_ink(canvas, text, gap):
    words = canvas.lines[-1].words
    masks = inks_of_words(canvas, gap)
    assert [word.text for word in words] == text.split()
    assert len(masks) == len(words)
    for word, mask in zip(words, masks, strict=True):
        assert word.quad.dtype == np.float32
        room = room_around(mask, word.quad)
        assert room.min() >= 0, word.text
        assert room.max() < 0.25, word.text
        others = [np.stack(np.nonzero(other)[::-1], axis=1) for other in masks if other is not mask]
        assert all(cv2.pointPolygonTest(word.quad, (float(x), float(y)), False) < 0 for o in others for x, y in o[::5])


@pytest.mark.parametrize("anchor", ["l", "m", "r"])
@pytest.mark.parametrize("stroke", [0, 2])
def test_words_of_an_upright_line(canvas, face, anchor, stroke):
    assert canvas.text(
        {"l": 130, "m": 350, "r": 560}[anchor], 300, TEXT, Lettering(face, EM, stroke=stroke), anchor=anchor
    )
    assert_words_have_their_ink(canvas, TEXT, EM // 4)


TILTS = {
    "turned": Tilt(angle=0.3),
    "perspective": Tilt(stretch=1.1, perspective=(0.1, 0.1)),
    "bent": Tilt(bend=0.12, phase=0.5),
    "leaning": Tilt(shear=-0.05),
}


@pytest.mark.parametrize("tilt", TILTS.values(), ids=TILTS)
def test_words_of_a_tilted_line(canvas, face, tilt):
    assert canvas.tilted_text(350, 300, TEXT, Lettering(face, EM), tilt, color=(0, 0, 0))
    assert_words_have_their_ink(canvas, TEXT, EM // 4)


@pytest.mark.parametrize("lettering", [{"tracking": 0.08}, {"tracking": -0.02}, {"space_scale": 1.6}])
def test_words_of_a_spaced_line(canvas, face, lettering):
    assert canvas.tilted_text(350, 300, TEXT, Lettering(face, EM, **lettering), Tilt(angle=-0.1), color=(0, 0, 0))
    assert_words_have_their_ink(canvas, TEXT, EM // 4 + round(lettering.get("tracking", 0) * EM))


@pytest.mark.parametrize("lettering", [{}, {"tracking": 0.1}, {"space_scale": 1.6}])
def test_words_of_a_column(canvas, face, lettering):
    """Upright letters one below the other; the quads begin at the upper left corner of the first."""
    text, tilt = "TALL HOUSE 8", Tilt(angle=np.pi / 2 + 0.1)
    assert canvas.tilted_text(350, 300, text, Lettering(face, EM, **lettering), tilt, color=(0, 0, 0), column=True)
    line = canvas.lines[-1]
    assert [word.text for word in line.words] == text.split()
    ys, xs = np.nonzero(cv2.warpPerspective(canvas.ink(), canvas.view.homography, canvas.view.size) > 80)
    owners = np.array(
        [
            [cv2.pointPolygonTest(w.quad, (float(x), float(y)), True) for w in line.words]
            for x, y in zip(xs, ys, strict=True)
        ]
    )
    assert (owners.max(axis=1) > -1).all()  # no ink outside; letters may touch the edge of their room
    first, last = (ys[owners.argmax(axis=1) == k].mean() for k in (0, 2))
    assert first < last
    assert line.quad[0, 0] < line.quad[1, 0]
    assert line.quad[0, 1] < line.quad[3, 1]
    along, across = np.linalg.norm(line.quad[3] - line.quad[0]), np.linalg.norm(line.quad[1] - line.quad[0])
    assert along > 6 * across


def test_words_of_pages_are_those_of_the_lines_and_lie_in_them(faces, charset, corpus):
    generator = PageGenerator(charset=charset, fonts=faces, corpus=corpus)
    pages = [generator(1, i, kind=kind) for kind in PAGE_KINDS for i in range(2)]
    lines = [line for page in pages for line in page.lines]
    assert any(len(line.words) > 2 for line in lines)
    for line in lines:
        assert " ".join(word.text for word in line.words) == line.text
        for word in line.words:
            assert all(cv2.pointPolygonTest(line.quad, corner.tolist(), True) > -0.01 for corner in word.quad)
