import pickle
import re

import numpy as np
import pytest

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.effects import FINISHES, LUMINANCE, draw_rules
from ppocr_jax.synth.glyphs import Lettering, draw_text
from ppocr_jax.synth.line import LineGenerator, LineTexts
from ppocr_jax.synth.style import random_colors, random_style


@pytest.fixture(scope="module")
def generator(faces, charset, corpus):
    return LineGenerator(charset=charset, fonts=faces, corpus=corpus)


@pytest.fixture(scope="module")
def samples(generator):
    return [generator(1, i) for i in range(500)]


def test_equal_seed_and_index_give_equal_bytes_in_any_order_and_process(generator):
    copy = pickle.loads(pickle.dumps(generator))
    forward = [generator(5, i) for i in range(20)]
    backward = [copy(5, i) for i in reversed(range(20))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert a.text == b.text
        assert a.image_rgb.tobytes() == b.image_rgb.tobytes()
        assert a.char_centers.tobytes() == b.char_centers.tobytes()
    assert len({s.image_rgb.tobytes() for s in forward + [generator(6, i) for i in range(20)]}) == 40


def test_labels_and_shapes(samples, charset):
    for sample in samples:
        assert sample.image_rgb.dtype == np.uint8
        assert sample.image_rgb.shape[2] == 3
        assert 10 <= sample.image_rgb.shape[0] <= 60
        assert sample.text == " ".join(sample.text.split())
        assert sample.text
        assert all(c in charset for c in sample.text)
        assert sample.char_centers.shape == (len(sample.text),)
        assert sample.char_centers.dtype == np.float32


def test_centers_are_inside_and_increase(samples):
    for sample in samples:
        assert sample.char_centers.min() >= 0
        assert sample.char_centers.max() <= sample.image_rgb.shape[1] - 1
        # Kerned pairs such as "`j" may nearly share a place; no character stands before its predecessor.
        assert (np.diff(sample.char_centers) > -0.5).all(), sample.text
    steps = np.concatenate([np.diff(s.char_centers) for s in samples])
    assert (steps > 0).mean() > 0.995


def test_all_characters_of_the_charset_occur(generator, samples, charset):
    missing = set(charset.characters) - {c for s in samples for c in s.text}
    assert len(missing) < 5
    later = (c for i in range(500, 3000) for c in generator(1, i).text)
    while missing:
        missing.discard(next(later))


def test_letters_stand_out_from_what_is_around_them(generator):
    """Mean luminance of the inked pixels against that of a narrow band around them, after all degradation."""
    contrasts = [contrast(*generator.with_ink(1, i)) for i in range(500)]
    assert np.mean(np.array(contrasts) > 12) >= 0.98
    assert np.median(contrasts) > 50


def contrast(sample, ink):
    import cv2

    gray = cv2.cvtColor(sample.image_rgb, cv2.COLOR_RGB2GRAY).astype(float)
    reach = max(1, round(0.12 * ink.shape[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inked, touched = ink > 96, ink > 24
    around = (cv2.dilate(touched.astype(np.uint8), kernel) > 0) & ~touched
    return abs(gray[inked].mean() - gray[around].mean()) if inked.any() and around.any() else 0.0


def test_the_ink_has_the_shape_of_its_image_and_lies_between_the_outer_characters(generator):
    for i in range(60):
        sample, ink = generator.with_ink(1, i)
        assert ink.shape == sample.image_rgb.shape[:2]
        assert ink.dtype == np.uint8
        np.testing.assert_array_equal(sample.image_rgb, generator(1, i).image_rgb)
        assert ink.max() > 60


def test_most_lines_stay_plain_and_the_rest_fits_its_kind():
    styles = [random_style(np.random.default_rng((9, i))) for i in range(3000)]
    assert {s.finish for s in styles} == set(FINISHES)
    plain = [s.finish == "plain" and not s.two_colors for s in styles]
    assert 0.85 < np.mean(plain) < 0.92
    scenes = [p for p, s in zip(plain, styles, strict=True) if s.kind == "scene"]
    assert 0.5 < np.mean(scenes) < 0.65
    assert all(p for p, s in zip(plain, styles, strict=True) if s.kind == "receipt")
    bands = [s.rules == "band" for s in styles]
    assert 0.01 < np.mean(bands) < 0.03
    assert not any(band and s.kind == "scene" for band, s in zip(bands, styles, strict=True))
    small = [s for s in styles if s.fill * s.height < 20]
    assert not {s.finish for s in small} & {"hollow", "emboss", "engrave"}


def test_a_band_leaves_its_text_blank(faces):
    ink = draw_text("HI", Lettering(faces[0], 40), margin=30)
    band = draw_rules(np.random.default_rng(0), "band", ink)
    left, top, right, bottom = (int(v) for v in ink.box)
    inside = np.s_[top:bottom, left:right]
    np.testing.assert_array_equal(band[inside], 255 - ink.mask[inside])


def test_a_struck_text_is_crossed_by_a_rule_that_leaves_it_legible(faces):
    ink = draw_text("Hxo", Lettering(faces[0], 40), margin=38)
    left, top, right, bottom = (int(v) for v in ink.box)
    for seed in range(8):
        struck = draw_rules(np.random.default_rng(seed), "strike", ink)
        crossed = (struck[top:bottom, left:right] > 140).all(axis=1)
        assert crossed.any()
        assert crossed.sum() < 0.3 * (bottom - top)
        assert top + 0.2 * (bottom - top) < top + np.flatnonzero(crossed).mean() < ink.baseline


def test_rules_often_cover_some_words_only_and_then_whole_ones(faces):
    ink = draw_text("II II II", Lettering(faces[0], 40), margin=38)
    words = [
        np.flatnonzero(ink.mask[:, int(a) - 8 : int(b) + 9].any(axis=0)) + int(a) - 8
        for a, b in zip(ink.centers[0::3], ink.centers[1::3], strict=True)
    ]
    covered = set()
    for seed in range(40):
        added = draw_rules(np.random.default_rng(seed), "underline", ink).astype(int) - ink.mask
        columns = np.flatnonzero(added.any(axis=0))
        touched = [np.isin(word, columns).mean() for word in words]
        assert all(share < 0.1 or share > 0.9 for share in touched), seed  # a rule's ends are round
        covered.add(tuple(share > 0.9 for share in touched))
    assert {(True, True, True), (True, False, False), (False, True, False), (False, True, True)} <= covered
    assert (True, False, True) not in covered


def test_every_kind_of_line_is_drawn_with_its_colors():
    """Editors and displays light on dark and dark on light; subtitles light, whatever they stand on."""
    for kind, dark_share in (("screen", (0.4, 0.7)), ("display", (0.4, 0.7))):
        colors = [random_colors(np.random.default_rng((1, i)), kind) for i in range(400)]
        dark = np.mean([paper.mean() < ink.mean() for paper, ink in colors])
        assert dark_share[0] < dark < dark_share[1]
    inks = [random_colors(np.random.default_rng((1, i)), "subtitle")[1] for i in range(100)]
    assert min(ink @ LUMINANCE for ink in inks) > 180


def test_lines_of_programs_and_displays_occur(generator):
    texts = [generator(2, i).text for i in range(1500)]
    assert sum("_" in text or "[" in text or "{" in text for text in texts) > 60
    assert sum(re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", text) is not None for text in texts) > 3
    assert sum(re.search(r"\d,\d\d\b", text) is not None for text in texts) > 15


@pytest.mark.parametrize(("kind", "side"), [("underline", "below"), ("box", "around"), ("side", "beside")])
def test_rules_leave_the_text_alone(faces, kind, side):
    ink = draw_text("HI", Lettering(faces[0], 40), margin=38)
    left, top, right, bottom = (int(v) for v in ink.box)
    for seed in range(8):
        added = draw_rules(np.random.default_rng(seed), kind, ink).astype(int) - ink.mask
        assert not added[top:bottom, left:right].any()
        ys, xs = np.nonzero(added)
        assert len(ys)
        if side == "below":
            assert ys.min() > ink.baseline
        elif side == "around":
            assert ys.min() < top
            assert ys.max() > bottom
        else:
            assert xs.max() < left or xs.min() > right


@pytest.mark.parametrize("aspect", [(0.5, 1.5), (1.5, 3), (3, 5), (5, 8), (8, 12), (12, 20)])
def test_aspect_is_mostly_respected(generator, aspect):
    ratios = []
    for i in range(60):
        height, width = generator(2, i, aspect=aspect).image_rgb.shape[:2]
        ratios.append(width / height)
    inside = [aspect[0] - 0.05 <= r <= aspect[1] + 0.05 for r in ratios]
    assert np.mean(inside) > 0.85


def test_default_aspects_are_those_of_receipts(samples):
    ratios = np.array([s.image_rgb.shape[1] / s.image_rgb.shape[0] for s in samples])
    assert 3 < np.median(ratios) < 5.5
    assert 0.05 < np.mean(ratios < 1.4) < 0.2


def test_wrong_aspect_is_refused(generator):
    with pytest.raises(ValueError, match="aspect"):
        generator(0, 0, aspect=(3, 2))


def test_characters_no_font_has_never_occur(faces, corpus):
    tofu = "\U0010fffd"
    charset = Charset((*"abcdefghij", tofu, " "))
    generator = LineGenerator(charset=charset, fonts=faces, corpus=corpus)
    texts = [generator(0, i).text for i in range(150)]
    assert all(tofu not in text for text in texts)


def test_no_usable_font_is_refused(faces, corpus):
    with pytest.raises(ValueError, match="no font"):
        LineGenerator(charset=Charset(("\U0010fffd",)), fonts=faces, corpus=corpus)
    with pytest.raises(ValueError, match="no font"):
        LineGenerator(charset=Charset(("a",)), fonts=[], corpus=corpus)


def test_centers_follow_the_ink_of_whole_samples(faces):
    """Lines of capital I far apart: the darkest (or brightest) column near each center is at the center."""
    generator = LineGenerator(charset=Charset(("l", " ")), fonts=faces[:6], corpus=Corpus(entries=("l l l l l l",)))
    offsets = []
    for i in range(150):
        sample = generator(3, i, aspect=(6, 12))
        height, width = sample.image_rgb.shape[:2]
        columns = sample.image_rgb[height // 4 : -height // 4].mean(axis=(0, 2))
        difference = np.abs(columns - np.median(columns))
        gap = np.median(np.diff(sample.char_centers)) if len(sample.text) > 1 else 0
        for character, x in zip(sample.text, sample.char_centers, strict=True):
            reach = int(0.8 * gap)
            if character == "l" and reach >= 2 and reach < x < width - reach - 1:
                near = difference[round(x) - reach : round(x) + reach + 1]
                offsets.append((near.argmax() - reach) / gap)
    assert len(offsets) > 200
    assert abs(np.median(offsets)) < 0.12
    assert np.percentile(np.abs(offsets), 75) < 0.4


def test_signs_that_the_charset_lacks_are_drawn_for_those_of_ascii(faces):
    """A charset that has them draws what is written."""
    text = '* it\'s a "fine" day - 3-4'
    ascii_texts = LineTexts(charset=load_charset("en"), fonts=faces, corpus=Corpus(entries=("x",)))
    face = next(face for face in faces if face.covers("•’“”–"))
    drawn = {ascii_texts.typeset(np.random.default_rng(seed), text, face) for seed in range(200)}
    assert all(len(other) == len(text) for other in drawn)
    assert text in drawn
    assert any(other.startswith("• it") for other in drawn)
    assert any("“fine”" in other for other in drawn)
    assert any("it’s" in other for other in drawn)
    assert any("3–4" in other for other in drawn)
    latin_texts = LineTexts(charset=load_charset("latin"), fonts=faces, corpus=Corpus(entries=("x",)))
    kept = {latin_texts.typeset(np.random.default_rng(seed), 'it\'s "fine"', face) for seed in range(50)}
    assert kept == {'it\'s "fine"'}
