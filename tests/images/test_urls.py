"""Fetching, from a server on this machine's loopback address."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageError, fetch, load_image, read_pages
from tests.images.odd_images import CLEAN_ARRAY, PNG


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        getattr(self, "get_" + self.path.strip("/").split("/")[0])()

    def send(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def get_image(self) -> None:
        self.send(PNG, Content_Length=str(len(PNG)), Content_Type="text/lies")

    def get_missing(self) -> None:
        self.send(b"", 404)

    def get_moved(self) -> None:
        self.send(b"", 302, Location="/image")

    def get_loop(self) -> None:
        self.send(b"", 302, Location="/loop")

    def get_file(self) -> None:
        self.send(b"", 302, Location="file:///etc/hostname")

    def get_ftp(self) -> None:
        self.send(b"", 302, Location="ftp://127.0.0.1/a.png")

    def get_announced(self) -> None:
        self.send(b"x", Content_Length=str(10**9))

    def get_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(1000):
                self.wfile.write(bytes(10_000))
        except OSError:  # the client has gone
            pass

    def get_short(self) -> None:
        self.send(PNG[:100], Content_Length=str(len(PNG)))

    def get_page(self) -> None:
        self.send(b"<html>Not here</html>")

    def get_empty(self) -> None:
        self.send(b"", Content_Length="0")

    def get_garbage(self) -> None:
        self.wfile.write(b"\x00\xff no http\r\n\r\n")

    def get_slow(self) -> None:
        self.server.gone.wait(5)

    def get_dripping(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.server.gone.wait(0.02):
                self.wfile.write(b"x")
        except OSError:
            pass

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.gone = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.gone.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize("path", ["image", "moved"])
def test_images_are_fetched(server, path):
    (page,) = read_pages(f"{server}/{path}", allow_url=True)
    assert np.array_equal(page.image_rgb[..., 0], CLEAN_ARRAY)
    assert page.source == f"{server}/{path}"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "the server answered 404 Not Found"),
        ("loop", "the server answered 302"),
        ("file", "Redirection to url 'file:///etc/hostname' is not allowed"),
        ("ftp", "redirects to ftp://127.0.0.1/a.png, which is not an HTTP address"),
        ("announced", "is too large: more than 100 MiB"),
        ("short", "the connection was closed after 100 of"),
        ("empty", r"is empty \(0 bytes\)"),
        ("garbage", "cannot be fetched"),
        ("page", "is not a readable image"),
    ],
)
def test_answers_that_are_no_images(server, path, message):
    with pytest.raises(ImageError, match=message) as error:
        list(read_pages(f"{server}/{path}", allow_url=True))
    assert str(error.value).startswith(f"{server}/{path}")
    assert str(error.value).isprintable()


def test_an_endless_answer_ends_at_the_limit(server):
    with pytest.raises(ImageError, match=r"more than 0\.5 MiB"):
        fetch(f"{server}/endless", max_bytes=2**19)


@pytest.mark.parametrize("path", ["slow", "dripping"])
def test_slow_answers_end_at_the_limit(server, path):
    start = time.monotonic()
    with pytest.raises(ImageError, match=r"no answer within 0\.2 seconds"):
        fetch(f"{server}/{path}", timeout_seconds=0.2)
    assert time.monotonic() - start < 4, "the server would go on for longer"


def test_addresses_that_lead_nowhere(server):
    port = int(server.rsplit(":", 1)[1])
    for url in ["http://127.0.0.1:1/a", "http:///a", "http://[::1", f"http://127.0.0.1:{port}0000/", "http://a b/"]:
        with pytest.raises(ImageError, match="cannot be fetched"):
            fetch(url)
    for url in ["ftp://127.0.0.1/a.png", "file:///etc/hostname", "a.png"]:
        with pytest.raises(ImageError, match="is not an http or https address"):
            fetch(url)


def test_nothing_is_fetched_unasked(server):
    with pytest.raises(UserError, match="URLs are fetched only with --allow-url"):
        read_pages(f"{server}/image")
    with pytest.raises(ImageError, match="URLs are fetched only with --allow-url"):
        load_image(f"{server}/image")
