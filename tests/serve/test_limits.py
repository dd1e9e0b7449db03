"""What the HTTP server refuses, and how it says so: sizes, waiting, time, passwords, tokens."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
from starlette.testclient import TestClient

from ppocr_jax.serve.app import create_app
from ppocr_jax.serve.settings import ServerSettings
from tests.serve.clients import ShadeReader, detail, png, send_slowly, shade_server, shades_of, tiff, until


def test_uploads_too_large_are_413_with_and_without_a_length():
    with shade_server(max_upload_mib=1) as (client, reader):
        large = bytes(2**20 + 1)
        assert "1 MiB" in detail(client.post("/ocr", content=large), 413)
        assert "1 MiB" in detail(client.post("/ocr", content=iter([large[: 2**19]] * 3)), 413)
        assert "1 MiB" in detail(client.post("/ocr", files={"file": large}), 413)
        assert client.post("/ocr", content=png(7)).status_code == 200
        assert reader.read == [7]


def test_too_many_pixels_and_pages_are_413():
    with shade_server(max_pixels=1000, max_pages=3) as (client, _):
        assert "million pixels" in detail(client.post("/ocr", content=png(7, (40, 30))), 413)
        assert "4 pages" in detail(client.post("/ocr", content=tiff([1, 2, 3, 4])), 413)
        assert shades_of(client.post("/ocr?pages=2-4", content=tiff([1, 2, 3, 4])).json()) == [2, 3, 4]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"hello", 415),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), 422),
        (b"%PDF-1.7 nothing", 422),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (png(5)[:60], 422),
    ],
)
def test_what_is_no_image(shades, data, status):
    detail(shades.post("/ocr", content=data), status)


def test_bytes_are_read_whatever_type_they_are_called(shades):
    for kind in ("application/x-www-form-urlencoded", "text/plain", "nonsense"):  # the first is curl's --data-binary
        assert shades_of(shades.post("/ocr", content=png(5), headers={"content-type": kind}).json()) == [5]


def test_forms_that_are_wrong(shades):
    assert "file" in detail(shades.post("/ocr", files={"image": png(5)}), 422)
    assert "no file" in detail(shades.post("/ocr", data={"file": "text"}, files={"password": b"x"}), 422)
    assert "empty" in detail(shades.post("/ocr", files={"file": b""}), 422)
    detail(shades.post("/ocr", data={"file": "text"}), 415)
    detail(shades.post("/ocr", content=png(5), headers={"content-type": "multipart/form-data"}), 422)
    broken = {"content-type": "multipart/form-data; boundary=x"}
    detail(shades.post("/ocr", content=b"--x\r\nnonsense", headers=broken), 422)


def test_encrypted_documents_need_their_password(shades):
    pikepdf = pytest.importorskip("pikepdf", reason="needs the extra pdf")
    out = io.BytesIO()
    pdf = pikepdf.new()
    pdf.add_blank_page(page_size=(50, 50))
    pdf.save(out, encryption=pikepdf.Encryption(owner="o", user="käse"))
    answer = shades.post("/ocr", content=out.getvalue())
    detail(answer, 422)
    assert answer.json()["code"] == "password"
    files = {"file": out.getvalue()}
    assert shades.post("/ocr", files=files, data={"password": "wrong"}).status_code == 422
    assert shades.post("/ocr", files=files, data={"password": "käse"}).status_code == 200
    for encoding in ("utf-8", "latin-1"):  # what curl sends; what old clients do
        header = {"X-Document-Password": "käse".encode(encoding)}
        assert shades.post("/ocr", content=out.getvalue(), headers=header).status_code == 200


def test_a_full_queue_is_429_and_what_waits_is_read():
    with shade_server(queue=3) as (client, reader), ThreadPoolExecutor(8) as pool:
        reader.gate.clear()
        waiting = [pool.submit(client.post, "/ocr", content=png(shade)) for shade in (1, 2, 3)]
        until(lambda: client.get("/metrics").text.count("ppocr_requests_in_flight 3.0") == 1)
        refused = client.post("/ocr", content=png(4))
        assert "3 requests are waiting" in detail(refused, 429)
        assert int(refused.headers["retry-after"]) > 0
        reader.gate.set()
        assert [shades_of(future.result().json()) for future in waiting] == [[1], [2], [3]]
        assert client.post("/ocr", content=png(5)).status_code == 200


def test_all_uploads_together_are_limited():
    with shade_server(max_upload_mib=1, max_held_mib=1) as (client, reader), ThreadPoolExecutor(2) as pool:
        reader.gate.clear()
        first = pool.submit(client.post, "/ocr", content=png(1) + bytes(700_000))
        until(lambda: reader.read == [1])
        assert "uploads" in detail(client.post("/ocr", content=png(2) + bytes(700_000)), 429)
        assert first.done() is False
        reader.gate.set()
        assert first.result().status_code == 200
        assert client.post("/ocr", content=png(2) + bytes(700_000)).status_code == 200


def test_reading_too_long_is_504_and_leaves_the_rest_undone():
    with shade_server(read_seconds=0.3, threads=1) as (client, reader):
        reader.gate.clear()
        assert "0.3 seconds" in detail(client.post("/ocr", content=tiff([1, 2, 3, 4])), 504)
        reader.gate.set()
        assert shades_of(client.post("/ocr", content=png(9)).json()) == [9]
        assert reader.read == [1, 9]


def test_a_slow_upload_is_408():
    async def run():
        app = create_app(ServerSettings(upload_seconds=0.2), load=lambda name: ShadeReader())
        async with app.router.lifespan_context(app):
            return await send_slowly(app, [b"a"] * 100, pause=0.05)

    answer = asyncio.run(run())
    assert answer[0]["status"] == 408


def test_before_the_models_are_loaded_and_after_it_is_stopped_it_is_503():
    app = create_app(ServerSettings(), load=lambda name: ShadeReader())
    client = TestClient(app)  # without `with`: not started
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503
    detail(client.post("/ocr", content=png(1)), 503)
    with client:
        assert client.get("/ready").status_code == 200
    assert client.get("/ready").status_code == 503


def test_the_token_guards_reading_and_not_probes():
    with shade_server(token="sesame") as (client, _):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic sesame"}):
            refused = client.post("/ocr", content=png(1), headers=headers)
            detail(refused, 401)
            assert refused.headers["www-authenticate"] == "Bearer"
            assert client.get("/metrics", headers=headers).status_code == 401
            assert client.get("/info", headers=headers).status_code == 401
        assert client.post("/ocr", content=png(1), headers={"authorization": "Bearer sesame"}).status_code == 200
        assert (
            client.get("/health").status_code == client.get("/ready").status_code == client.get("/").status_code == 200
        )


def test_other_sites_pages_may_not_read_answers(shades):
    answer = shades.post("/ocr", content=png(1), headers={"origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
