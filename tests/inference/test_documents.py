"""Documents, folders and lists of both: every page, in order, whoever asks."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.document import pages_in_jsonl, to_jsonl
from ppocr_jax.errors import UserError
from ppocr_jax.images.pages import ImageDocument
from ppocr_jax.inference.ocr import OCR
from tests.helpers import damaged_tiff

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")

TEXTS = ("abc", "ccab", "bab")


@pytest.fixture(scope="module")
def ocr(stripes_model) -> OCR:
    return OCR(stripes_model, threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """b.tif of three pages, and between a.png and z.png; sub/deep.png below."""
    images = [Image.fromarray(stripes.paint_page((200, 400), [(text, (200, 100), 0)])) for text in TEXTS]
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "z.png", "sub/deep.png"):
        images[0].save(tmp_path / name)
    images[0].save(tmp_path / "b.tif", save_all=True, append_images=images[1:])
    return tmp_path


def told(pages) -> list[tuple[str, int, str]]:
    return [(Path(page.source).name, page.number, page.text) for page in pages]


IN_FOLDER = [
    ("a.png", 1, "abc"),
    *[("b.tif", number, text) for number, text in enumerate(TEXTS, start=1)],
    ("z.png", 1, "abc"),
]


def test_a_folder_gives_every_page_of_its_files(ocr, folder):
    assert told(ocr.read(folder)) == IN_FOLDER
    assert told(ocr.read(str(folder), recursive=True)) == [*IN_FOLDER, ("deep.png", 1, "abc")]


def test_lists_may_mix_folders_files_and_images(ocr, folder):
    image = np.asarray(Image.open(folder / "a.png"))
    pages = list(ocr.read([image, folder / "b.tif", folder / "sub"]))
    assert told(pages) == [("", 1, "abc"), *IN_FOLDER[1:4], ("deep.png", 1, "abc")]
    assert pages[0].lines == ocr(image).lines
    assert list(ocr.read([])) == []


def test_one_document_alone(ocr, folder):
    assert told(ocr.read(folder / "b.tif")) == IN_FOLDER[1:4]
    assert told(ocr.read(folder / "b.tif", pages="2-3")) == IN_FOLDER[2:4]
    assert told(ocr.read(folder / "a.png")) == IN_FOLDER[:1]


def test_options_reach_the_pages_and_mistakes_are_said_at_once(ocr, folder):
    assert all(len(page) == 0 for page in ocr.read(folder, drop_score=1.0))
    with pytest.raises(TypeError, match="no option 'drop'"):
        ocr.read(folder, drop=1)
    with pytest.raises(ValueError, match="on_error must be one of"):
        ocr.read(folder, on_error="ignore")
    with pytest.raises(ValueError, match="workers must be at least 1"):
        ocr.read(folder, workers=0)


def test_an_error_is_raised_in_its_turn_or_becomes_a_page(ocr, folder):
    (folder / "c.png").write_text("no image")
    pages = ocr.read(folder)
    assert told(next(pages) for _ in range(4)) == IN_FOLDER[:4]
    with pytest.raises(UserError, match=r"c\.png is not a readable image"):
        next(pages)
    names = [page.error and Path(page.source).name for page in ocr.read(folder, on_error="page")]
    assert names == ["", "", "", "", "c.png", ""]


def test_pages_of_an_earlier_output_are_skipped(ocr, folder):
    earlier = folder / "out.jsonl"
    rows = list(to_jsonl(ocr.read(folder)))
    earlier.write_text("".join(rows[:2]) + rows[2][:30], encoding="utf-8")
    done = pages_in_jsonl(earlier)
    assert len(done) == 2
    seen = []
    assert told(ocr.read(folder, skip=done, progress=seen.append)) == IN_FOLDER[2:]
    assert [step.done for step in seen] == [1, 2, 3]
    assert seen[-1].total == 3, "pages that are skipped are not to be read"


def test_pages_that_are_skipped_are_not_decoded(ocr, folder, monkeypatch):
    decoded = []
    true_read = ImageDocument.read
    monkeypatch.setattr(ImageDocument, "read", lambda self, n: decoded.append(n) or true_read(self, n))
    skip = {(str(folder / "b.tif"), 1), (str(folder / "b.tif"), 3)}
    assert len(list(ocr.read(folder / "b.tif", skip=skip))) == 1
    assert decoded == [2]


def test_a_page_that_cannot_be_read_has_its_own_number(ocr, folder):
    path = folder / "b.tif"
    blank = Image.new("L", (400, 200))
    blank.save(path, save_all=True, append_images=[blank, blank], compression="tiff_adobe_deflate")
    path.write_bytes(damaged_tiff(path.read_bytes(), 1))
    pages = list(ocr.read([path, folder / "missing.png"], pages="2-3", on_error="page"))
    assert [(page.number, bool(page.error)) for page in pages] == [(2, True), (3, False), (1, True)]
    rows = folder / "out.jsonl"
    rows.write_text("".join(to_jsonl(pages)), encoding="utf-8")
    assert pages_in_jsonl(rows) == {(str(path), 3)}, "what could not be read is not done"


def test_progress_counts_pages_and_knows_how_many_there_are(ocr, folder):
    seen = []
    pages = list(ocr.read(folder, progress=seen.append))
    assert [step.done for step in seen] == [1, 2, 3, 4, 5]
    assert [step.page for step in seen] == pages
    assert seen[-1].total == 5
    seen.clear()
    list(ocr.read(iter([folder / "b.tif", folder / "a.png"]), progress=seen.append))
    assert [step.total for step in seen] == [None] * 4


def test_pages_come_with_their_images(ocr, folder):
    found = list(ocr.read_with_images([folder / "b.tif", folder / "missing.png"], on_error="page"))
    assert [image is not None and image.image_rgb.shape for _, image in found] == [(200, 400, 3)] * 3 + [False]


def test_an_event_loop_is_not_kept_waiting(ocr, folder):
    ticks = 0

    async def read() -> list:
        nonlocal ticks

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        beside = asyncio.create_task(tick())
        pages = [page async for page in ocr.aread(folder)]
        beside.cancel()
        return pages

    assert told(asyncio.run(read())) == IN_FOLDER
    assert ticks > 5


def test_a_cancelled_read_ends_with_the_page_under_way(ocr, folder):
    async def read():
        begun, go_on = threading.Event(), threading.Event()

        def sources():
            begun.set()
            go_on.wait(timeout=60)
            yield folder / "a.png"

        reading = asyncio.create_task(anext(ocr.aread(sources())))
        await asyncio.to_thread(begun.wait)
        reading.cancel()
        await asyncio.sleep(0.01)
        assert not reading.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(read())


def test_how_a_page_was_read_is_written_on_request(ocr, folder, tmp_path):
    list(ocr.read(folder / "b.tif", explain=tmp_path / "why"))
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == ["b", "b-page2", "b-page3"]
    assert "ccab" in (tmp_path / "why" / "b-page2" / "lines.csv").read_text()


def test_an_empty_folder_name_is_not_the_current_folder(ocr, folder):
    with pytest.raises(UserError, match="explain: the path is empty"):
        list(ocr.read(folder / "a.png", explain=""))


def test_explanations_of_files_of_one_name_do_not_replace_each_other(ocr, folder, tmp_path):
    Image.fromarray(stripes.paint_page((200, 400), [("bba", (200, 100), 0)])).save(folder / "sub" / "B.png")
    files = [folder / "a.png", folder / "sub" / "B.png", folder / "b.tif"]
    list(ocr.read(files, explain=tmp_path / "why"))
    names = {path.name: (path / "lines.csv").read_text() for path in (tmp_path / "why").iterdir()}
    assert sorted(names) == ["B", "a", "b-2", "b-2-page2", "b-2-page3"]
    for name, text in (("a", "abc"), ("B", "bba"), ("b-2", "abc"), ("b-2-page2", "ccab"), ("b-2-page3", "bab")):
        assert text in names[name]


def test_a_password_reaches_the_document(ocr, tmp_path):
    pytest.importorskip("pypdfium2", reason="needs the [pdf] extra")
    from tests.images.odd_images import LOCKED_PDF, PASSWORD

    path = tmp_path / "locked.pdf"
    path.write_bytes(LOCKED_PDF() if callable(LOCKED_PDF) else LOCKED_PDF)
    assert len(list(ocr.read(path, password=PASSWORD))) == 1
    (page,) = ocr.read([path], on_error="page")
    assert "is encrypted" in page.error
    assert json.loads(next(to_jsonl([page])))["error"] == page.error
