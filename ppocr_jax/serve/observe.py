"""Middleware with metrics, a log line per request, and security headers. Recognized text is never recorded."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
import uuid
from pathlib import Path

import prometheus_client
from prometheus_client import multiprocess
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ppocr_jax.serve.engine import ReadPage
from ppocr_jax.serve.schema import Problem

_SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own variable
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
_CLIENT_GONE = 499  # nginx's status for a client that closed the connection

# The web page loads only files of the server; the previews of pages are data and blob URLs.
_PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
_PAGE_POLICY += "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Results must not run scripts in a browser: hOCR is HTML that contains recognized text.
_RESULT_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"

_logger = logging.getLogger("ppocr_jax.serve")


class Metrics:
    """Prometheus metrics of a server, summed over its worker processes."""

    def __init__(self) -> None:
        self.registry = registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter(
            "ppocr_requests", "Requests to read, by the status of the answer", ["status"], registry=registry
        )
        self.request_seconds = prometheus_client.Histogram(
            "ppocr_request_seconds",
            "From a request to the end of its answer",
            buckets=_SECONDS,
            registry=registry,
        )
        self.pages = prometheus_client.Counter("ppocr_pages", "Pages read", ["result"], registry=registry)
        self.page_seconds = prometheus_client.Histogram(
            "ppocr_page_seconds", "Decoding and reading one page", buckets=_SECONDS, registry=registry
        )
        self.in_flight = prometheus_client.Gauge(
            "ppocr_requests_in_flight", "Requests not yet answered", registry=registry, multiprocess_mode="livesum"
        )

    def observe_page(self, page: ReadPage) -> None:
        """Count a page and record its time."""
        self.pages.labels("error" if page.page.error else "ok").inc()
        if page.image is not None:
            self.page_seconds.observe(page.seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        folder = os.environ.get(_SHARED_FOLDER)
        if not folder:
            return prometheus_client.generate_latest(self.registry)
        for path in Path(folder).glob("gauge_live*_*.db"):  # of workers that were killed
            process = re.search(r"_(\d+)\.db$", path.name)
            if process and not _alive(int(process[1])):
                multiprocess.mark_process_dead(int(process[1]), folder)
        registry = prometheus_client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, folder)
        return prometheus_client.generate_latest(registry)


class Observed:
    """ASGI middleware that records requests to /ocr and adds security headers to every response."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request as an ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, sent, started, ended = time.perf_counter(), 500, 0, False, False
        request_id = uuid.uuid4().hex[:12]
        reads = scope["path"] == "/ocr"

        async def guarded(message: Message) -> None:
            nonlocal status, sent, started, ended
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Content-Security-Policy"] = _RESULT_POLICY if reads else _PAGE_POLICY
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
                ended = not message.get("more_body", False)
            await send(message)

        if not reads:
            await self._app(scope, receive, guarded)
            return
        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, guarded)
            except asyncio.CancelledError:  # the server stops, and the time to finish requests is over
                if not started:  # otherwise the closed connection tells the client that the response is incomplete
                    problem = Problem(503, "the server stopped before it had read this; try again", retry_after=10)
                    await problem.response()(scope, receive, guarded)
            finally:
                seconds = time.perf_counter() - begun
                if not ended:
                    status = _CLIENT_GONE if status != 500 else status
                self._metrics.requests.labels(str(status)).inc()
                self._metrics.request_seconds.observe(seconds)
                _logger.info("%s %s %d, %d bytes, %.2f s", request_id, scope["method"], status, sent, seconds)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
