"""What the server's tests share: readers that do as they are told, documents, and requests in pieces."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from ppocr_jax.document.page import Line, Page
from ppocr_jax.inference.options import ReadSettings

QUAD = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))


class ShadeReader:
    """In the place of an `OCR`: "reads" a page's gray value, and the `drop_score` it was called with.

    Attributes:
        read: the gray values in the order in which reading began.
        gate: pages wait until it is open.
    """

    def __init__(self) -> None:
        self.read: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, image_rgb: np.ndarray, **options: Any) -> Page:
        chosen = ReadSettings().changed(**options)
        shade = int(image_rgb[0, 0, 0])
        self.read.append(shade)
        assert self.gate.wait(20)
        line = Line(QUAD, f"shade {shade} drop {chosen.drop_score:g}", 1.0)
        return Page(image_rgb.shape[1], image_rgb.shape[0], (line,))


def png(shade: int, size: tuple[int, int] = (20, 30)) -> bytes:
    """An image of one gray value; `size` is (height, width)."""
    out = io.BytesIO()
    Image.fromarray(np.full((*size, 3), shade, np.uint8)).save(out, "PNG")
    return out.getvalue()


def tiff(shades: Sequence[int], *, compression: str | None = None) -> bytes:
    """A document of one page for each gray value."""
    pages = [Image.fromarray(np.full((20, 30), shade, np.uint8)) for shade in shades]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:], compression=compression)
    return out.getvalue()


def shades_of(answer: dict[str, Any]) -> list[int]:
    """The gray values that the pages of a JSON answer were read as."""
    return [int(page["lines"][0]["text"].split()[1]) for page in answer["pages"]]


async def send_slowly(
    app: Any, pieces: Sequence[bytes], *, pause: float = 0.0, gone: asyncio.Event | None = None, accept: str = "*/*"
) -> list[dict[str, Any]]:
    """POST /ocr to an ASGI application piece by piece, the length not told; gives the messages of the answer.

    Args:
        pause: seconds before each piece.
        gone: once set, the client has broken the connection; where it is given the body never ends by itself if there
            are no pieces.
    """
    waiting = list(pieces)
    answer: list[dict[str, Any]] = []
    never = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if waiting:
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or not pieces[-1]}
        await (gone or never).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/ocr",
        "raw_path": b"/ocr",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"accept", accept.encode()), (b"content-type", b"application/octet-stream")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    await app(scope, receive, send)
    return answer


@contextmanager
def shade_server(**settings: Any) -> Iterator[tuple[Any, ShadeReader]]:
    """A server of a `ShadeReader`, and that reader."""
    from starlette.testclient import TestClient

    from ppocr_jax.serve.app import create_app
    from ppocr_jax.serve.settings import ServerSettings

    reader = ShadeReader()
    chosen = ServerSettings(**{"threads": 2, "queue": 1000, **settings})
    with TestClient(create_app(chosen, load=lambda name: reader)) as client:  # type: ignore[arg-type, return-value]
        yield client, reader


def detail(response: Any, status: int) -> str:
    """What an answer that is no result says, which has this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    return response.json()["detail"]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)
