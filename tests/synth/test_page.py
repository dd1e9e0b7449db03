import pickle

import numpy as np
import pytest

from ppocr_jax.synth.canvas import PageCanvas, View, fitting
from ppocr_jax.synth.glyphs import Lettering
from ppocr_jax.synth.page import PAGE_KINDS, PageGenerator
from ppocr_jax.synth.warp import Tilt


@pytest.fixture(scope="module")
def generator(faces, charset, corpus):
    return PageGenerator(charset=charset, fonts=faces, corpus=corpus)


@pytest.fixture(scope="module")
def pages(generator):
    return [generator(0, i, kind=kind) for kind in PAGE_KINDS for i in range(4)]


def test_equal_seed_and_index_give_equal_bytes(generator):
    first, second = generator(3, 4), pickle.loads(pickle.dumps(generator))(3, 4)
    assert first.image_rgb.tobytes() == second.image_rgb.tobytes()
    assert [line.text for line in first.lines] == [line.text for line in second.lines]
    assert generator(3, 5).image_rgb.tobytes() != first.image_rgb.tobytes()


def test_quads_are_inside_convex_and_clockwise(pages):
    import cv2

    lines = [line for page in pages for line in page.lines]
    assert len(lines) > 5 * len(pages)
    for line in lines:
        assert line.quad.shape == (4, 2)
        assert line.quad.dtype == np.float32
        assert line.quad.min() >= 0
        assert line.quad.max() <= 639
        assert cv2.isContourConvex(line.quad)
        # With y pointing down, the shoelace sum of a clockwise polygon is positive.
        assert cv2.contourArea(line.quad, oriented=True) > 0


def test_lines_of_a_page_do_not_overlap(pages):
    import cv2

    for page in pages:
        count = np.zeros(page.image_rgb.shape[:2], np.uint8)
        for line in page.lines:
            layer = np.zeros_like(count)
            cv2.fillConvexPoly(layer, np.round(line.quad).astype(np.int32), 1)
            count += layer
        assert (count > 1).sum() < 0.03 * (count > 0).sum() + 20


@pytest.mark.parametrize("size", [(640, 640), (960, 480), (320, 512)])
def test_size_is_width_and_height(generator, size):
    for kind in PAGE_KINDS:
        assert generator(0, 0, size=size, kind=kind).image_rgb.shape == (size[1], size[0], 3)


def test_unknown_kind_is_refused(generator):
    with pytest.raises(ValueError, match="receipt"):
        generator(0, 0, kind="poster")


def test_labels_are_in_the_charset(pages, charset):
    assert all(c in charset for page in pages for line in page.lines for c in line.text)
    assert all(line.text == " ".join(line.text.split()) for page in pages for line in page.lines)


@pytest.fixture
def canvas():
    turn = np.deg2rad(7)
    homography = np.array([[np.cos(turn), -np.sin(turn), 60], [np.sin(turn), np.cos(turn), 20], [2e-4, -1e-4, 1.0]])
    return PageCanvas(np.full((400, 400, 3), 255.0), np.zeros(3), View(homography, (500, 500)))


def seen_ink(canvas):
    import cv2

    return cv2.warpPerspective(canvas.ink(), canvas.view.homography, canvas.view.size) > 80


def assert_quad_hugs(ink, quad):
    import cv2

    inside = np.zeros(ink.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.round(quad).astype(np.int32), 1)
    assert ink.sum() > 0
    assert ink[inside == 0].sum() == 0
    top_left, _, bottom_right, _ = quad
    ys, xs = np.nonzero(ink)
    height = np.linalg.norm(quad[3] - quad[0])
    assert xs.min() - min(top_left[0], quad[3][0]) < 0.4 * height
    assert max(bottom_right[0], quad[1][0]) - xs.max() < 0.4 * height
    assert ys.min() - quad[:2, 1].min() < 0.6 * height


@pytest.mark.parametrize("anchor", ["l", "m", "r"])
def test_quads_hold_their_ink_and_little_else(canvas, faces, anchor):
    canvas.text(200, 200, "Typing 12.50", Lettering(faces[0], 24), anchor=anchor)
    assert_quad_hugs(seen_ink(canvas), canvas.lines[0].quad)


@pytest.mark.parametrize("tilt", [Tilt(), Tilt(angle=0.3), Tilt(shear=0.2, perspective=(0.1, 0.1)), Tilt(bend=0.15)])
def test_tilted_quads_hold_their_ink(canvas, faces, tilt):
    box = canvas.tilted_text(200, 200, "SALE today", Lettering(faces[0], 40), tilt, color=(0, 0, 0))
    assert box is not None
    assert_quad_hugs(seen_ink(canvas), canvas.lines[0].quad)


def test_text_needs_free_and_visible_room(canvas, faces):
    lettering = Lettering(faces[0], 24)
    assert canvas.text(100, 100, "first", lettering) is not None
    assert canvas.text(110, 104, "on it", lettering) is None
    assert canvas.text(390, 300, "beyond the edge", lettering) is None
    assert canvas.text(100, 200, "\U0010fffd", lettering) is None
    canvas.dashes(20, 380, 250, "-", lettering)
    assert [line.text for line in canvas.lines] == ["first"]
    assert canvas.ink()[240:255].any()


def test_fitting_keeps_whole_words_where_it_can(faces):
    lettering = Lettering(faces[0], 20)
    font = faces[0].at(20)
    text = "several words of which some fit " * 20
    for width in (30, 100, 250):
        cut = fitting(text, lettering, width)
        assert cut
        assert font.getlength(cut) <= width
        assert text.startswith(cut)
    assert fitting(text, lettering, 250).split() == text.split()[: len(fitting(text, lettering, 250).split())]
    assert fitting("short", lettering, 500) == "short"
