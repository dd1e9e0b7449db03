"""The HTTP server, in this process: answers, many clients at a time, and what is kept."""

import asyncio
import base64
import io
import json
import logging
import sys
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra serve")
from starlette.testclient import TestClient

from ppocr_jax import OCR
from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.images import read_pages
from ppocr_jax.inference.options import ReadOptions
from ppocr_jax.serve.app import create_app
from ppocr_jax.serve.schema import PageModel, ReadQuery, ReadResult
from ppocr_jax.serve.settings import ServerSettings
from tests.helpers import damaged_tiff
from tests.serve.clients import ShadeReader, detail, png, send_slowly, shade_server, shades_of, tiff, until
from tests.stripes import paint_page

RECEIPT = Path(__file__).parents[2] / "examples" / "receipt.jpg"


@pytest.fixture(scope="module")
def server():
    """With the real model."""
    with TestClient(create_app(ServerSettings(threads=2))) as client:
        yield client


@pytest.fixture(scope="module")
def receipt():
    """As the library reads it."""
    return OCR("en").single_threaded()(RECEIPT)


# --- answers ---------------------------------------------------------------------------------------------------------


def test_json_is_what_the_library_reads(server, receipt):
    answer = server.post("/ocr", content=RECEIPT.read_bytes())
    assert answer.status_code == 200
    ReadResult.model_validate(answer.json())
    (page,) = answer.json()["pages"]
    assert page == {**receipt.to_dict(), "image": ""}


def test_a_form_with_words_and_a_preview(server, receipt):
    files = {"file": ("scans\\2024/receipt.jpg", RECEIPT.read_bytes(), "image/jpeg")}
    (page,) = server.post("/ocr?words=true&preview=200", files=files).json()["pages"]
    PageModel.model_validate(page)
    preview = page.pop("preview")
    assert page == {**receipt.to_dict(words=True), "image": "receipt.jpg"}
    image_rgb = next(read_pages(base64.b64decode(preview.partition(",")[2]))).image_rgb
    assert image_rgb.shape[0] == 200
    assert abs(image_rgb.shape[1] - 200 * receipt.width / receipt.height) <= 1


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/plain", "text/plain"),
        ("text/*", "text/plain"),
        ("text/plain;q=0.2, text/markdown", "text/markdown"),
        ("application/json;q=0, text/csv;q=0.1, */*;q=0.05", "text/csv"),
        ("text/tab-separated-values", "text/tab-separated-values"),
        ("text/html,application/xhtml+xml", "text/vnd.hocr+html"),
        ("application/xml", "application/alto+xml"),
        ("application/x-ndjson", "application/jsonl"),
        ("application/pdf, image/png", "application/pdf"),
        ("TEXT/PLAIN; charset=utf-8", "text/plain"),
    ],
)
def test_accept_chooses_the_format(shades, accept, content_type):
    answer = shades.post("/ocr", content=png(9), headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == content_type
    assert answer.headers["vary"] == "Accept"


def test_all_options_of_a_call_are_the_querys_too():
    assert set(ReadOptions.__annotations__) - {"batch_size", "max_pixels"} <= set(ReadQuery.model_fields)


def test_a_image_of_a_line_is_read_without_a_detector(server, receipt):
    x, y = zip(*receipt.lines[0].quad, strict=True)
    image = io.BytesIO()
    Image.open(RECEIPT).crop((min(x) - 4, min(y) - 4, max(x) + 4, max(y) + 4)).save(image, "PNG")
    answer = server.post("/ocr?single_line=1", content=image.getvalue()).json()
    assert [line["detection_score"] for line in answer["pages"][0]["lines"]] == [1.0]


def test_a_server_reads_the_letters_it_was_told(stripes_model):
    image = io.BytesIO()
    Image.fromarray(paint_page((64, 320), [("abcab", (160, 32), 0)])).save(image, "PNG")
    settings = ServerSettings(models=(str(stripes_model),), networks={"letters": "ab"}, threads=1)
    with TestClient(create_app(settings)) as client:
        answer = client.post("/ocr?drop_score=0", content=image.getvalue(), headers={"accept": "text/plain"})
    assert answer.status_code == 200
    assert set(answer.text) <= set("ab\n")


def test_a_server_reads_with_the_files_it_was_told(stripes_model):
    image = io.BytesIO()
    Image.fromarray(paint_page((64, 320), [("abcab", (160, 32), 0)])).save(image, "PNG")
    files = {task: str(stripes_model / f"{task}.onnx") for task in ("det", "cls", "rec")}
    with TestClient(create_app(ServerSettings(networks=files, threads=1))) as client:
        answer = client.post("/ocr", content=image.getvalue(), headers={"accept": "text/plain"})
    assert answer.text.split() == ["abcab"]
    with pytest.raises(UserError, match="det, cls, rec require a single model, not 2"):
        ServerSettings(models=("en", "ch"), networks=files)


def test_formats_hold_the_text(server, receipt):
    def read(name):
        answer = server.post(f"/ocr?format={name}", content=RECEIPT.read_bytes(), headers={"accept": "image/png"})
        assert answer.status_code == 200
        return answer.content

    assert read("text").decode().split("\n")[0] == receipt.lines[0].text
    assert read("layout").decode().rstrip("\n") == receipt.layout()
    assert "ocr_line" in read("hocr").decode()
    alto = ET.fromstring(read("alto"))
    assert len(alto.findall(".//{*}TextLine")) == len(receipt)
    assert Page.from_dict(json.loads(read("jsonl"))).text == receipt.text


def test_a_searchable_pdf_keeps_the_jpeg_and_can_be_searched(server, receipt):
    pdfium = pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    data = server.post("/ocr", content=RECEIPT.read_bytes(), headers={"accept": "application/pdf"}).content
    assert RECEIPT.read_bytes()[2000:4000] in data
    pdf = pdfium.PdfDocument(data)
    try:
        text = pdf[0].get_textpage().get_text_bounded()
    finally:
        pdf.close()
    assert receipt.lines[0].text.split()[0] in text


def test_nothing_acceptable_is_406(shades):
    assert "application/json" in detail(shades.post("/ocr", content=png(9), headers={"accept": "image/png"}), 406)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("x=1", "x"),
        ("threshold=2", "threshold"),
        ("drop_score=nan", "drop_score"),
        ("unclip_ratio=0", "unclip_ratio"),
        ("limit_side=99999", "limit_side"),
        ("reading_order=backwards", "reading_order"),
        ("pages=3-1", "backwards"),
        ("pages=2", "none of the requested ones"),
        ("dpi=5", "dpi"),
        ("model=../../etc", "no model"),
        ("format=exe", "format"),
        ("words=1&format=text", "words"),
        ("word=1", "word: there is no such option"),
    ],
)
def test_options_that_make_no_sense_are_422(shades, query, says):
    assert says in detail(shades.post(f"/ocr?{query}", content=png(9)), 422)


def test_pages_come_in_order_and_those_asked_for(shades):
    document = tiff(range(10, 30))
    assert shades_of(shades.post("/ocr", content=document).json()) == [*range(10, 30)]
    assert shades_of(shades.post("/ocr?pages=2-3,7", content=document).json()) == [11, 12, 16]


def test_a_damaged_page_is_a_page_with_an_error(shades):
    document = damaged_tiff(tiff([10, 11, 12], compression="tiff_adobe_deflate"), 1)
    pages = shades.post("/ocr", content=document).json()["pages"]
    assert [page["page"] for page in pages] == [1, 2, 3]
    assert ["damaged" in page.get("error", "") for page in pages] == [False, True, False]
    rows = shades.post("/ocr?format=jsonl", content=document).text.splitlines()
    assert [json.loads(row) for row in rows] == pages
    assert [page["page"] for page in shades.post("/ocr?pages=2-3", content=document).json()["pages"]] == [2, 3]
    for name in ("text", "md", "csv", "hocr", "json"):
        answer = shades.post(f"/ocr?format={name}", content=document)
        assert answer.headers["x-failed-pages"] == "2", "most formats have no place for it"
    assert "x-failed-pages" not in shades.post("/ocr?pages=1,3", content=document).headers
    alone = shades.post("/ocr?pages=2", content=document)
    assert "damaged" in detail(alone, 422)


# --- many clients ----------------------------------------------------------------------------------------------------


def test_options_of_requests_at_the_same_time_never_mix():
    with shade_server(threads=8) as (client, _), ThreadPoolExecutor(16) as pool:

        def ask(number):
            answer = client.post(f"/ocr?drop_score={number / 100:g}", content=tiff([number, number + 100])).json()
            return [line["text"] for page in answer["pages"] for line in page["lines"]]

        for number, texts in zip(range(100), pool.map(ask, range(100)), strict=True):
            assert texts == [f"shade {shade} drop {number / 100:g}" for shade in (number, number + 100)]


def test_calls_shared_by_requests_give_what_single_calls_give(receipt):
    with TestClient(create_app(ServerSettings(threads=4, combine=True))) as client, ThreadPoolExecutor(4) as pool:
        images = [RECEIPT.read_bytes(), (RECEIPT.parent / "sign.jpg").read_bytes()] * 2
        answers = list(pool.map(lambda data: client.post("/ocr", content=data).json()["pages"][0], images))
    texts = ["\n".join(line["text"] for line in page["lines"]) for page in answers]
    sign = OCR("en").single_threaded()(RECEIPT.parent / "sign.jpg").text
    # A confidence's last digits, and a space that is as likely as not, do depend on what else is in a batch.
    assert ["".join(text.split()) for text in texts] == ["".join(text.split()) for text in (receipt.text, sign)] * 2


def test_a_image_does_not_wait_for_a_whole_document():
    with shade_server(threads=2) as (client, reader), ThreadPoolExecutor(2) as pool:
        reader.gate.clear()
        document = pool.submit(client.post, "/ocr", content=tiff(range(100, 200)))
        until(lambda: len(reader.read) == 2)
        image = pool.submit(client.post, "/ocr", content=png(7))
        until(lambda: "ppocr_requests_in_flight 2.0" in client.get("/metrics").text)
        time.sleep(0.05)
        reader.gate.set()
        assert shades_of(image.result().json()) == [7]
        assert shades_of(document.result().json()) == [*range(100, 200)]
        assert reader.read.index(7) <= 6


def test_rows_are_sent_as_pages_are_read():
    async def run():
        reader = ShadeReader()
        app = create_app(ServerSettings(threads=1), load=lambda name: reader)
        reader.gate.clear()
        async with app.router.lifespan_context(app):
            task = asyncio.create_task(send_slowly(app, [tiff([1, 2, 3])], accept="application/jsonl"))
            threading.Timer(0.1, reader.gate.set).start()
            return await task

    start, *rows = asyncio.run(run())
    assert (b"x-page-count", b"3") in start["headers"]
    assert [json.loads(row["body"])["page"] for row in rows if row["body"]] == [1, 2, 3]


@pytest.mark.parametrize("accept", ["application/json", "application/jsonl"])
def test_a_client_that_goes_away_is_read_no_further(accept):
    async def run():
        reader, gone = ShadeReader(), asyncio.Event()
        app = create_app(ServerSettings(threads=1, queue=1), load=lambda name: reader)
        reader.gate.clear()
        async with app.router.lifespan_context(app):
            task = asyncio.create_task(send_slowly(app, [tiff([*range(1, 50)])], gone=gone, accept=accept))
            while not reader.read:
                await asyncio.sleep(0.01)
            if accept == "application/jsonl":
                reader.gate.set()
                while len(reader.read) < 3:
                    await asyncio.sleep(0.001)
            gone.set()
            await asyncio.wait_for(task, 5)
            reader.gate.set()
            again = await send_slowly(app, [png(99)])
        return reader.read, again

    read, again = asyncio.run(run())
    assert again[0]["status"] == 200  # its place in the queue is free
    assert len(read) < 40
    assert read[-1] == 99


def test_a_half_sent_upload_leaves_nothing_behind():
    async def run():
        reader, gone = ShadeReader(), asyncio.Event()
        app = create_app(ServerSettings(max_upload_mib=1, max_held_mib=1), load=lambda name: reader)
        async with app.router.lifespan_context(app):
            for _ in range(5):
                gone.set()
                await send_slowly(app, [bytes(900_000), b""], gone=gone)
            return await send_slowly(app, [png(3)])

    assert asyncio.run(run())[0]["status"] == 200


# --- what is kept, and what is said ----------------------------------------------------------------------------------


def test_no_image_is_kept_and_no_text_logged(server, receipt, caplog):
    written = []
    watching = True

    def hook(event, arguments):
        if watching and event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            written.append(arguments[0])

    sys.addaudithook(hook)
    try:
        with caplog.at_level(logging.DEBUG):
            files = {"file": ("secret-name.jpg", RECEIPT.read_bytes() + bytes(2**21))}
            for accept in ("application/json", "application/pdf"):
                assert server.post("/ocr", files=files, headers={"accept": accept}).status_code == 200
            server.post("/ocr", files={"file": ("secret-name.jpg", b"damaged")})
    finally:
        watching = False
    assert written == []
    logged = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert [record.name for record in logged].count("ppocr_jax.serve") == 3
    said = "\n".join(record.getMessage() for record in logged)
    assert "secret-name" not in said
    # Letters: an amount such as 0.60 may be a time in the log, too.
    words = [word.text for word in receipt.words if len(word.text) > 3 and word.text.isalpha()]
    assert len(words) > 5
    assert not [word for word in words if word in said]


def test_metrics_count_requests_and_pages():
    with shade_server() as (client, _):
        client.post("/ocr", content=tiff([1, 2, 3]))
        client.post("/ocr", content=b"hello")
        client.post("/ocr?x=1", content=png(1))
        text = client.get("/metrics").text
        assert 'ppocr_requests_total{status="200"} 1.0' in text
        assert 'ppocr_requests_total{status="415"} 1.0' in text
        assert 'ppocr_requests_total{status="422"} 1.0' in text
        assert 'ppocr_pages_total{result="ok"} 3.0' in text
        assert "ppocr_request_seconds_count 3.0" in text
        assert "ppocr_requests_in_flight 0.0" in text


def test_the_openapi_document_names_every_status_and_option(shades):
    document = shades.get("/openapi.json").json()
    read = document["paths"]["/ocr"]["post"]
    assert set(read["responses"]) == {"200", "401", "406", "408", "413", "415", "422", "429", "503", "504"}
    assert {"application/json", "application/pdf", "text/plain"} <= set(read["responses"]["200"]["content"])
    assert {"drop_score", "pages", "words", "model", "X-Document-Password"} <= {
        parameter["name"] for parameter in read["parameters"]
    }
    assert read["responses"]["200"]["content"]["application/pdf"]["schema"]["format"] == "binary"
    assert "$ref" in json.dumps(read["responses"]["422"]["content"]["application/problem+json"])
    for reference in {part.split('"')[0] for part in json.dumps(document).split('"$ref": "#/components/schemas/')[1:]}:
        assert reference in document["components"]["schemas"]


def test_names_of_the_openapi_document_are_good_for_generated_clients(shades):
    document = shades.get("/openapi.json").json()
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert sorted(names) == ["health", "info", "metrics", "ocr", "ready"]
    assert all(name[0].isupper() for name in document["components"]["schemas"])
    quad = document["components"]["schemas"]["CharModel"]["properties"]["quad"]
    assert (quad["minItems"], quad["maxItems"], quad["items"]["minItems"], quad["items"]["maxItems"]) == (4, 4, 2, 2)


def test_probes_may_ask_for_the_head_alone(shades):
    for path in ("/health", "/ready"):
        answer = shades.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_errors_of_paths_and_methods_are_problems_too(shades):
    detail(shades.get("/nowhere"), 404)
    answer = shades.get("/ocr")
    detail(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_settings_come_back_from_json():
    settings = ServerSettings(models=("en", "ch"), token="x", threads=3, combine=True, networks={"letters": "ab"})
    assert ServerSettings.from_json(settings.to_json()) == settings
