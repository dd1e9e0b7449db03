import pickle

import cv2
import numpy as np
import pytest

from ppocr_jax.synth.canvas import CanvasView, PageCanvas, fitting
from ppocr_jax.synth.effects import watermark_mask
from ppocr_jax.synth.glyphs import Lettering
from ppocr_jax.synth.page import PAGE_KINDS, PageGenerator, paper_view
from ppocr_jax.synth.warp import Tilt, project


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
def test_size_is_height_and_width(generator, size):
    for kind in PAGE_KINDS:
        assert generator(0, 0, size=size, kind=kind).image_rgb.shape == (*size, 3)


def test_unknown_kind_is_refused(generator):
    with pytest.raises(ValueError, match="receipt"):
        generator(0, 0, kind="scroll")


def test_labels_are_in_the_charset(pages, charset):
    assert all(c in charset for page in pages for line in page.lines for c in line.text)
    assert all(line.text == " ".join(line.text.split()) for page in pages for line in page.lines)


@pytest.fixture
def canvas():
    turn = np.deg2rad(7)
    homography = np.array([[np.cos(turn), -np.sin(turn), 60], [np.sin(turn), np.cos(turn), 20], [2e-4, -1e-4, 1.0]])
    return PageCanvas(np.full((400, 400, 3), 255.0), np.zeros(3), CanvasView(homography, (500, 500)))


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


EM = 40
TEXT = "Hug (860) mpb Bend"


@pytest.fixture
def tilted():
    turn = np.deg2rad(7)
    homography = np.array([[np.cos(turn), -np.sin(turn), 60], [np.sin(turn), np.cos(turn), 20], [1e-4, -1e-4, 1.0]])
    return PageCanvas(np.full((600, 700, 3), 255.0), np.zeros(3), CanvasView(homography, (700, 800)))


@pytest.fixture(params=["upright", "slanted"])
def face(faces, request):
    wanted = [f for f in faces if f.slanted == (request.param == "slanted") and not f.monospaced]
    return wanted[0] if wanted else pytest.skip(f"no {request.param} font")


def inks_of_words(tilted, gap):
    """(h, w) bool masks of what is seen, ink closer than `gap` pixels together, from left to right."""
    ink = cv2.warpPerspective(tilted.ink(), tilted.view.homography, tilted.view.size) > 80
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


def assert_words_have_their_ink(tilted, text, gap):
    words = tilted.lines[-1].words
    masks = inks_of_words(tilted, gap)
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
def test_words_of_an_upright_line(tilted, face, anchor, stroke):
    assert tilted.text(
        {"l": 130, "m": 350, "r": 560}[anchor], 300, TEXT, Lettering(face, EM, stroke=stroke), anchor=anchor
    )
    assert_words_have_their_ink(tilted, TEXT, EM // 4)


TILTS = {
    "turned": Tilt(angle=0.3),
    "perspective": Tilt(stretch=1.1, perspective=(0.1, 0.1)),
    "bent": Tilt(bend=0.12, phase=0.5),
    "leaning": Tilt(shear=-0.05),
}


@pytest.mark.parametrize("tilt", TILTS.values(), ids=TILTS)
def test_words_of_a_tilted_line(tilted, face, tilt):
    assert tilted.tilted_text(350, 300, TEXT, Lettering(face, EM), tilt, color=(0, 0, 0))
    assert_words_have_their_ink(tilted, TEXT, EM // 4)


@pytest.mark.parametrize("lettering", [{"tracking": 0.08}, {"tracking": -0.02}, {"space_scale": 1.6}])
def test_words_of_a_spaced_line(tilted, face, lettering):
    assert tilted.tilted_text(350, 300, TEXT, Lettering(face, EM, **lettering), Tilt(angle=-0.1), color=(0, 0, 0))
    assert_words_have_their_ink(tilted, TEXT, EM // 4 + round(lettering.get("tracking", 0) * EM))


@pytest.mark.parametrize("lettering", [{}, {"tracking": 0.1}, {"space_scale": 1.6}])
def test_words_of_a_column(tilted, face, lettering):
    """Upright letters one below the other; the quads begin at the upper left corner of the first."""
    text, tilt = "TALL HOUSE 8", Tilt(angle=np.pi / 2 + 0.1)
    assert tilted.tilted_text(350, 300, text, Lettering(face, EM, **lettering), tilt, color=(0, 0, 0), column=True)
    line = tilted.lines[-1]
    assert [word.text for word in line.words] == text.split()
    ys, xs = np.nonzero(cv2.warpPerspective(tilted.ink(), tilted.view.homography, tilted.view.size) > 80)
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


def test_kinds_hold_what_they_are_for(generator):
    def pages(kind, count=12):
        return [generator(5, index, kind=kind, size=(400, 400)) for index in range(count)]

    def heights(page):
        return [float(np.linalg.norm(line.quad[3] - line.quad[0])) for line in page.lines]

    posters = pages("poster")
    assert np.mean([max(heights(page), default=0) > 80 for page in posters]) > 0.5
    assert any(len(line.text) == 1 for page in posters for line in page.lines)
    shown = [line.text for page in pages("display") for line in page.lines]
    assert sum(set(text) <= set("0123456789-.:") for text in shown) > 10
    assert np.mean([len(page.lines) > 40 for page in pages("table", 6)]) > 0.5
    programs = [line.text for page in pages("code", 6) for line in page.lines]
    assert sum(not set("_[](){}<>").isdisjoint(text) for text in programs) > 60


def test_subtitles_are_light_with_a_dark_edge(generator):
    pages = [generator(6, index, kind="subtitle", size=(480, 480)) for index in range(8)]
    lines = [(page, line) for page in pages for line in page.lines[:1] if len(line.text) > 3]
    assert len(lines) > 3
    for page, line in lines:
        left, top = line.quad.min(axis=0).astype(int)
        right, bottom = line.quad.max(axis=0).astype(int)
        gray = page.image_rgb[top:bottom, left:right].max(axis=2)
        assert np.percentile(gray, 99) - np.percentile(gray, 2) > 70


def test_some_sheets_lie_at_a_slant_and_are_seen_whole():
    angles, seen = [], []
    for seed in range(400):
        view, (height, width) = paper_view(np.random.default_rng(seed), (480, 640), narrow=False)
        (x0, y0), (x1, y1) = project(view.homography, np.array([(0, 0), (width, 0)]))
        angles.append(abs(np.degrees(np.arctan2(y1 - y0, x1 - x0))))
        seen.append(view.sees(np.array([(width / 2, 0.05 * height), (width / 2, 0.95 * height)])))
    slanted = np.array(angles) > 20
    assert 0.005 < slanted.mean() < 0.06
    assert max(angles) < 50
    assert np.array(seen)[slanted].all()


def test_a_watermark_is_faint_and_no_line(faces):
    masks = [watermark_mask(np.random.default_rng(i), faces[0], 100, 300, 40.0) for i in range(10)]
    assert all(mask.shape == (100, 300) and mask.dtype == np.uint8 for mask in masks)
    assert np.mean([mask.max() > 200 for mask in masks]) > 0.7
