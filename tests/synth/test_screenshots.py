"""Screenshots of pages whose texts, places and colors are known."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.errors import UserError
from ppocr_jax.synth import browser as browser_module
from ppocr_jax.synth import screenshots
from ppocr_jax.synth.browser import Browser, PageError, Window
from ppocr_jax.synth.screenshots import ScreenshotSeries, find_families, find_pages, folded

ARABIC, HEBREW = "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd"
PARAGRAPH = "<p>" + "The quick brown fox jumps over the lazy dog. " * 12 + "</p>"


@pytest.fixture(scope="module")
def chromium():
    pytest.importorskip("selenium", reason="needs selenium")
    if not any(map(shutil.which, browser_module.PROGRAMS)) or not any(map(shutil.which, browser_module.DRIVERS)):
        pytest.skip("needs Chromium (apt-get install chromium chromium-driver)")
    with Browser() as started:
        yield started


@pytest.fixture
def shoot(chromium, tmp_path):
    """Render the body of a page: black text of 20 pixels on white, without margins."""

    def render(body: str, head: str = "", **options):
        style = {name: options.pop(name) for name in ("css", "ground") if name in options}
        base = "<style>body { margin: 0; font: 20px 'DejaVu Sans', sans-serif; background: #fff; color: #000; }</style>"
        page = tmp_path / "page.html"
        page.write_text(f"<!doctype html><meta charset=utf-8>{base}{head}<body>{body}</body>", encoding="utf-8")
        return chromium.screenshot(page, Window(**{"width": 600, "height": 400, **options}), **style)

    return render


@pytest.fixture
def small(monkeypatch):
    """Two common families, where they are installed, and small windows: many fonts and pixels take seconds."""
    folders = [Path(f"/usr/share/fonts/truetype/{name}") for name in ("dejavu", "liberation")]
    files = [file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.ttf"))]
    monkeypatch.setattr(screenshots, "installed_fonts", lambda: files or None)
    monkeypatch.setattr(screenshots, "_WINDOWS", ((1.0, (320, 480), (400, 600), (1.0, 1.25)),))


def texts(shot) -> list[str]:
    """Texts of the lines that are not ignored."""
    return [region.text for region in shot.lines if not region.ignore]


def boxes(shot, *, ignored: bool) -> list[list[float]]:
    """Left, top, right, bottom of the lines."""
    found = [r.points for r in shot.lines if r.ignore == ignored]
    return [[*points.min(0).tolist(), *points.max(0).tolist()] for points in found]


def placed(left: int, top: int, text: str, style: str = "") -> str:
    return f'<div style="position:absolute;white-space:nowrap;left:{left}px;top:{top}px;{style}">{text}</div>'


def has(channels: str, image: np.ndarray) -> np.ndarray:
    """Mask of the pixels that are nearer to a pure color ("r" for red) than to white."""
    off = [image[..., i] < 128 for i, name in enumerate("rgb") if name not in channels]
    return np.logical_and.reduce(off)


@pytest.mark.parametrize("scale", [1, 2, 1.25])
def test_a_box_contains_all_ink_of_its_line_and_no_other(shoot, scale):
    body = (
        placed(30, 40, "Hjälpa gypsy (Å)", "color:#f00")
        + placed(30, 64, "Qualify this, jg", "color:#0f0")
        + placed(300, 40, "are we seen", "color:#00f;font-size:40px")
    )
    shot = shoot(body, scale=scale)
    assert shot.image_rgb.shape == (400 * scale, 600 * scale, 3)
    assert texts(shot) == ["Hjälpa gypsy (Å)", "Qualify this, jg", "are we seen"]
    for channel, (left, top, right, bottom) in zip("rgb", boxes(shot, ignored=False), strict=True):
        ink = has(channel, shot.image_rgb)
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        assert left <= columns[0] <= left + 3 * scale
        assert right - 3 * scale <= columns[-1] + 1 <= right
        assert top <= rows[0]
        assert rows[-1] + 1 <= bottom
        assert (rows[-1] + 1 - rows[0]) / (bottom - top) > 0.75  # as tight as the boxes of labeled receipts
        for other in set("rgb") - {channel}:
            assert not has(other, shot.image_rgb)[int(top) : int(bottom), int(left) : int(right)].any()


def test_ink_beyond_its_place_in_the_layout_is_in_the_box_if_there_is_room(shoot):
    source = "src: local('DejaVu Sans'), local('Liberation Sans')"
    head = f"<style>@font-face {{ font-family: Low; ascent-override: 60%; {source} }}</style>"
    style = "font-family:Low;line-height:1;color:"
    alone, above, below = ("Hall", 40, "#f00"), ("Hygge", 100, "#0f0"), ("Hall", 118, "#00f")
    shot = shoot("".join(placed(30, top, text, style + color) for text, top, color in (alone, above, below)), head)
    (left, top, right, bottom), _, lowest = boxes(shot, ignored=False)
    rows, columns = (np.flatnonzero(has("r", shot.image_rgb).any(axis)) for axis in (1, 0))
    assert rows[0] < 40  # the ink begins above its line
    assert (top, bottom) == (pytest.approx(rows[0], abs=2), pytest.approx(rows[-1] + 1, abs=2))
    assert top <= rows[0]
    assert left <= columns[0]
    assert columns[-1] < right
    assert lowest[1] >= 118  # the line above it leaves no room


def test_places_scale_with_the_window(shoot):
    body = placed(50, 100, "Place") + placed(200, 300, "Other place")
    once, twice = (boxes(shoot(body, scale=scale), ignored=False) for scale in (1, 2))
    np.testing.assert_allclose(np.array(twice), 2 * np.array(once), atol=3)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<b>foo</b>, <i>b</i>ar <a href=x>baz</a>.", "foo, bar baz."),
        ("<code style='padding: 0 .3em'>main</code>, (<code>x</code>)", "main, (x)"),
        ("two&nbsp;words and\n   more", "two words and more"),
        ("Donau&shy;dampf&#8203;schiff&zwnj;fahrt", "Donaudampfschifffahrt"),
        ("<span style='text-transform:uppercase'>straße ß</span>", "STRASSE SS"),
        ("<span lang=tr style='text-transform:uppercase'>ilk</span>", "İLK"),
        ("<span style='text-transform:lowercase'>LOUD</span>", "loud"),
        ("<span style='text-transform:capitalize'>good <b>mor</b>ning, all</span>", None),
        ("<span style='text-transform:capitalize'>good morning</span>", "Good Morning"),
        ("e\u0301te\u0301", "été"),
        ("x<!-- no -->y<wbr>z", "xyz"),
        ("<q>quoted</q> text", "quoted text"),  # the marks are generated: they are not drawn
        ("a <button>Save</button>", "Save"),
        ("<input type=checkbox><a href=x><i>under</i>lined link</a>", "underlined link"),
        ("中文和 English 在一起", "中文和 English 在一起"),
    ],
)
def test_text_is_what_is_seen(shoot, body, text):
    assert texts(shoot(f"<p>{body}</p>"))[-1:] == ([] if text is None else [text])


def test_generated_text_is_removed(shoot):
    head = "<style>p::before { content: 'Nr. ' counter(x) } b::after { content: ' / ' }</style>"
    shot = shoot("<p>one <b>two</b> three</p>", head)
    assert texts(shot) == ["one two three"]
    left, _, right, _ = boxes(shot, ignored=False)[0]
    columns = np.flatnonzero((shot.image_rgb < 128).any((0, 2)))
    assert left <= columns[0]
    assert columns[-1] < right


def test_hidden_text_is_not_labeled(shoot):
    hidden = [
        placed(10, 60, "none", "display:none"),
        placed(10, 80, "invisible", "visibility:hidden"),
        placed(10, 100, "<b>faded</b>", "opacity:0"),
        placed(10, 120, "clear", "color:transparent"),
        placed(10, 140, "white", "color:#fff"),
        placed(200, 140, "striped", "color:#fff;background:linear-gradient(#000,#000) 0 50%/100% 2px no-repeat #fff"),
        placed(10, 160, "covered") + placed(0, 155, "", "width:200px;height:40px;background:#eee"),
        placed(10, 220, "clipped", "width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"),
        placed(10, 240, "<script>var script;</script><noscript>noscript</noscript><template>t</template>"),
        placed(10, 260, "far", "text-indent:-5000px"),
        placed(-300, 280, "outside"),
    ]
    shot = shoot(placed(10, 10, "seen") + "".join(hidden))
    assert texts(shot) == ["seen"]
    assert not boxes(shot, ignored=True)


def test_text_under_what_lets_it_through_is_labeled(shoot):
    veil = placed(0, 0, "", "width:400px;height:300px;background:rgba(0,0,0,.05)")
    link = "<a href=x style='position:absolute;inset:0;pointer-events:none'></a>"
    assert texts(shoot(placed(10, 10, "seen", "pointer-events:none") + veil + link)) == ["seen"]


def test_doubtful_text_is_ignored(shoot):
    doubtful = [
        placed(10, 40, "covered in part") + placed(60, 30, "", "width:40px;height:40px;background:#eee"),
        placed(10, 80, "turned", "transform:rotate(4deg)"),
        placed(10, 120, HEBREW) + placed(200, 120, ARABIC) + placed(300, 120, "English", "direction:rtl"),
        placed(10, 160, "Small Capitals", "font-variant:small-caps"),
        placed(10, 200, "this text is too long", "width:90px;overflow:hidden;text-overflow:ellipsis"),
        placed(10, 240, "cut off by its box", "width:84px;overflow:hidden"),
        placed(10, 280, "one over") + placed(14, 282, "the other"),
        placed(10, 320, "faint", "color:#eee"),
        placed(300, 200, "down", "writing-mode:vertical-rl"),
        placed(400, 200, "tiny print", "font-size:5px"),
    ]
    shot = shoot(placed(10, 10, "seen") + "".join(doubtful))
    assert texts(shot) == ["seen"]
    for left, top in ((10, 40), (10, 80), (10, 120), (200, 120), (300, 120), (10, 160), (10, 280), (10, 320)):
        assert any(abs(x - left) < 12 and abs(y - top) < 16 for x, y, _, _ in boxes(shot, ignored=True)), (
            f"no ignored region at {left}, {top}"
        )


def test_a_line_that_the_window_cuts_off_is_ignored_up_to_the_edge(shoot):
    bottom = placed(10, 388, "bottom")
    right = placed(500, 100, "some words that go on and on")
    top = placed(10, -12, "top gypsy")
    shot = shoot(bottom + right + top + placed(10, 200, "whole"))
    assert texts(shot) == ["whole"]
    (_, y, _, end), (x, _, edge, _), (_, begin, _, _) = boxes(shot, ignored=True)
    assert (y, end, edge, begin) == (pytest.approx(392, abs=4), 400, 600, 0)
    assert x == pytest.approx(500, abs=3)


def test_pictures_and_fields_are_ignored(shoot):
    picture = "<svg width=80 height=50><rect width=80 height=50 fill='red'/><text x=5 y=30>in it</text></svg>"
    fields = "<input value=typed><textarea>area</textarea><select><option>choice</select><input type=checkbox>"
    shot = shoot(placed(100, 50, picture) + placed(100, 150, fields) + placed(10, 300, "text"))
    assert texts(shot) == ["text"]
    found = boxes(shot, ignored=True)
    assert len(found) == 4
    assert found[0] == [100, 50, 180, 100]


def test_a_word_on_two_rows_is_two_pieces(shoot):
    body = "<div style='width:120px;overflow-wrap:anywhere'>abcdefghijklmnopqrst</div>"
    shot = shoot(body)
    assert "".join(texts(shot)) == "abcdefghijklmnopqrst"
    assert len(texts(shot)) >= 2
    assert max(box[2] for box in boxes(shot, ignored=False)) <= 121


def test_bullets_are_not_part_of_lines_and_numbers_are_ignored(shoot):
    shot = shoot("<ul><li>point</ul><ol><li>first<li>second</ol>")
    assert texts(shot) == ["point", "first", "second"]
    numbers = boxes(shot, ignored=True)
    assert len(numbers) == 2
    for number, line in zip(numbers, boxes(shot, ignored=False)[1:], strict=True):
        assert number[2] < line[0]
        assert abs(number[1] - line[1]) < 8
    dark = (shot.image_rgb < 128).all(-1)
    for left, top, right, bottom in [*numbers, *boxes(shot, ignored=False)]:
        dark[int(top) : int(bottom), int(left) : int(right)] = False
    assert np.argwhere(dark)[:, 0].max() < 60  # only the bullet of the first row is left


def test_columns_are_lines_of_their_own_and_justified_text_is_one(shoot):
    table = "<table cellspacing=0 cellpadding=1><tr><td>left<td>right</table>"
    tabs = "<nav><a style='margin-right:40px'>Home</a> <a>About</a></nav>"
    justified = "<p style='text-align:justify;width:230px'>These words of an incomprehensibilities</p>"
    assert texts(shoot(table + tabs + justified)) == [
        *("left", "right", "Home", "About"),
        *("These words of an", "incomprehensibilities"),
    ]


def test_words_are_as_high_as_their_line(shoot):
    shot = shoot("<p>are <b>g</b>ypsy</p>")
    assert [region.text for region in shot.words] == ["are", "gypsy"]
    (line,) = shot.lines
    for word in shot.words:
        assert word.points[:, 1].tolist() == line.points[:, 1].tolist()
    assert shot.words[0].points[1, 0] < shot.words[1].points[0, 0]
    assert shot.words[1].points[1, 0] == line.points[1, 0]


def test_dark_pages(shoot):
    body = placed(30, 40, "Light on dark") + placed(30, 80, "Sheet", "background:#fff;z-index:2")
    css = "html, body { background: #101010 !important } * { color: #eee !important }"
    shot = shoot(body, css=css, ground="#102030")
    assert texts(shot) == ["Light on dark", "Sheet"]
    assert shot.image_rgb[0, 0].tolist() == [16, 16, 16]
    assert shot.image_rgb[82, 31].tolist() == [16, 32, 48]  # not the page's white
    for left, top, right, bottom in boxes(shot, ignored=False):
        assert (shot.image_rgb[int(top) : int(bottom), int(left) : int(right)] > 160).all(-1).any()


def test_scrolling_shows_another_part(shoot):
    body = "".join(f"<p>row {i}</p>" for i in range(100))
    begin, end = (texts(shoot(body, scroll=scroll)) for scroll in (0, 1))
    assert begin[0] == "row 0"
    assert end[-1] == "row 99"


def test_nothing_comes_from_the_network(shoot):
    shot = shoot("<img src='http://127.0.0.1:9/x.png' width=100 height=50 alt=''><p>text</p>")
    assert texts(shot) == ["text"]


def series_of(chromium, pages, **options) -> ScreenshotSeries:
    fonts, drawable = find_families(options.get("charset"))
    return ScreenshotSeries(pages, chromium, fonts, drawable, **options)


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "long.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><h1>A heading</h1>{PARAGRAPH * 4}", encoding="utf-8")
    return file


def test_a_sample_depends_on_seed_and_index(chromium, small, page):
    def sample(index, **options):
        image, regions = series_of(chromium, [page], **options).sample(index)
        return image.shape, [(r.text, r.points.tolist()) for r in regions]

    first, again, second, other = sample(0), sample(0), sample(1), sample(0, seed=1)
    assert first == again
    assert first != second
    assert first != other
    assert sum("fox" in text for text, _ in first[1]) >= 2


def test_plain_pages_keep_their_style(chromium, small, page):
    image, _ = series_of(chromium, [page], plain=True).sample(2)
    assert image[0, 0].tolist() == [255, 255, 255]
    styled, _ = series_of(chromium, [page]).sample(2)
    assert styled[0, 0].tolist() != [255, 255, 255]


def test_lines_outside_the_charset_are_ignored(chromium, small, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><body>" + "<p>“fine” – it’s</p><p>Größe</p><p>\U000f0001 unknown</p>" * 30,
        encoding="utf-8",
    )
    for charset, kept in ((load_charset("en"), {'"fine" - it\'s'}), (None, {"“fine” – it’s", "Größe"})):
        _, regions = series_of(chromium, [page], charset=charset).sample(0)
        assert {r.text.upper() for r in regions if not r.ignore} == {text.upper() for text in kept}
        assert any(r.ignore for r in regions)


def test_pages_that_cannot_be_opened_are_left_out_with_a_warning(chromium, small, page, caplog):
    lost = page.with_name("lost.html")
    series = series_of(chromium, [*[lost] * 9, page])
    with caplog.at_level(logging.WARNING, "ppocr_jax"):
        assert all(series.sample(index)[1] for index in range(2))
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"cannot open {lost}: ")
    assert "ERR_FILE_NOT_FOUND" in message
    with pytest.raises(UserError, match="none of the pages can be opened"):
        series_of(chromium, [lost]).sample(0)


def test_a_page_that_never_ends(chromium, page, tmp_path):
    endless = tmp_path / "endless.html"
    endless.write_text("<p>text</p><script>while (true);</script>")
    chromium._driver.set_page_load_timeout(1)
    with pytest.raises(PageError, match=r"cannot open .*endless.html: .*[Tt]imed out"):
        chromium.screenshot(endless)
    assert "A heading" in texts(chromium.screenshot(page))


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.html", "<frameset cols='1,2'><frame src=x></frameset>"), ("a.xhtml", "<html><p>text</html>")],
)
def test_what_is_not_a_page(chromium, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(PageError, match="it is not a whole HTML document"):
        chromium.screenshot(tmp_path / name)


def test_pages_without_text(chromium, small, tmp_path, monkeypatch):
    monkeypatch.setattr(screenshots, "_TRIES", 3)
    page = tmp_path / "empty.html"
    page.write_text("<p>few</p>")
    with pytest.raises(UserError, match="none of 3 windows on 1 pages shows enough text"):
        series_of(chromium, [page]).sample(0)


def test_without_selenium_or_chromium(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "selenium", None)
        with pytest.raises(UserError, match=r'pip install "ppocr-jax\[screenshots\]"'):
            Browser()
    pytest.importorskip("selenium", reason="needs selenium")
    for there, name in (("chromedriver", "need Chromium:"), ("chromium", r"need Chromium's driver \(chromedriver\):")):
        monkeypatch.setattr(browser_module.shutil, "which", {there: f"/usr/bin/{there}"}.get)
        with pytest.raises(UserError, match=f"{name} apt-get install chromium chromium-driver"):
            Browser()


@pytest.mark.parametrize(
    ("text", "charset", "expected"),
    [
        ("“fine” – 5…", "en", '"fine" - 5...'),
        ("„Größe“ – 5", "latin", "„Größe“ – 5"),
        ("Größe", "en", None),
        ("ﬁne ＡＢ", "en", "fine AB"),
        ("Read 5", "alphanumeric", None),  # it has no space
        ("READ", "alphanumeric", "read"),
        ("e\u0301", "latin", "é"),
    ],
)
def test_folding(text, charset, expected):
    assert folded(text, load_charset(charset)) == expected


def test_pages_are_found_in_folders(tmp_path):
    for name in ("b.html", "a.HTM", "notes.txt", "inner/c.xhtml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    empty = tmp_path / "empty"
    empty.mkdir()
    names = [str(p.relative_to(tmp_path)) for p in find_pages([tmp_path / "b.html", tmp_path])]
    assert names == ["b.html", "a.HTM", "inner/c.xhtml"]
    with pytest.raises(UserError, match="no such file or folder"):
        find_pages([tmp_path / "missing"])
    with pytest.raises(UserError, match="no HTML files"):
        find_pages([empty])


def test_fonts_have_the_letters_of_the_charset(small):
    fonts, drawable = find_families(load_charset("latin"))
    assert {"ő", "Ł"} <= drawable
    assert all({"é", "ß"} <= face.characters for face in fonts)
    with pytest.raises(UserError, match="no font has the letters"):
        find_families(Charset(tuple("中文字")))
