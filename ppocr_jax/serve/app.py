"""FastAPI application with POST /ocr, endpoints for monitoring, and a web page."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ppocr_jax import __version__
from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.images.pages import PageNumbers
from ppocr_jax.images.sources import ImageError, PasswordError, TooLargeError, UnknownFormatError, printable
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.serve import answers
from ppocr_jax.serve.engine import Engine, Job, ReadPage
from ppocr_jax.serve.observe import Metrics, Observed
from ppocr_jax.serve.schema import PROBLEM_JSON, Problem, ProblemModel, ReadQuery, ReadResult, ServerInfo, Status
from ppocr_jax.serve.settings import MIB, ServerSettings
from ppocr_jax.serve.upload import HeldBytes, receive

STATIC = Path(__file__).parent / "static"
_CLIENT_GONE = 499
_BEARER = HTTPBearer(auto_error=False, description="required if the server was started with a token")
_T = TypeVar("_T")


def create_app(settings: ServerSettings, *, load: Callable[[str], OCR] | None = None) -> FastAPI:
    """Return the server as an ASGI application.

    Args:
        settings: Models and limits.
        load: See `Engine`.
    """
    engine, metrics = Engine(settings, load), Metrics()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        yield
        await engine.stop()

    app = FastAPI(
        title="ppocr_jax",
        version=__version__,
        summary="Reads the text of images and documents; keeps none of them.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from another host
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,  # generated clients name their functions by it
    )
    app.add_middleware(Observed, metrics=metrics)
    _answer_problems(app)
    guard = [Depends(_token_check(settings.token))] if settings.token else []
    _add_operations(app, engine, metrics, guard)
    _add_reading(app, engine, metrics, guard)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.openapi = lambda: _openapi(app, settings)
    return app


def _token_check(token: str) -> Callable[..., None]:
    """Return a dependency that rejects requests without the token."""

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if not (given and secrets.compare_digest(given.credentials.encode(), token.encode())):
            raise Problem(401, "this server needs a token: Authorization: Bearer TOKEN")

    return check


def _add_operations(app: FastAPI, engine: Engine, metrics: Metrics, guard: Sequence[Any]) -> None:
    """Add the endpoints for operators: /info, /health, /ready and /metrics."""
    settings = engine.settings

    @app.get("/info", dependencies=guard, responses=_problems(401))
    async def info() -> ServerInfo:
        """Return the server's models and limits."""
        limits = {name: getattr(settings, name) for name in ("max_upload_mib", "max_pages", "max_pixels")}
        return ServerInfo(models=list(settings.models), **limits)

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    async def health() -> Status:
        """Return the status "ok" as long as the process runs."""
        return Status(status="ok", version=__version__)

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", responses={503: {"model": Status, "description": "not ready"}})
    async def ready(response: Response) -> Status:
        """Return whether the server accepts requests to /ocr; the status code is 503 if not."""
        response.status_code = 200 if engine.ready else 503
        return Status(status="ok" if engine.ready else "not ready", version=__version__)

    @app.get(
        "/metrics",
        name="metrics",
        dependencies=guard,
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_problems(401)},
    )
    def metrics_text() -> Response:
        """Return counts and times in the text format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_reading(app: FastAPI, engine: Engine, metrics: Metrics, guard: Sequence[Any]) -> None:
    """Add POST /ocr."""
    settings = engine.settings
    held = HeldBytes(settings.max_held_mib * MIB)

    def admit() -> None:
        if not engine.ready:
            raise Problem(503, "the server is not ready", retry_after=10)
        if engine.full:
            raise Problem(429, f"{settings.queue} requests are waiting; try again later", retry_after=2)

    @app.post(
        "/ocr",
        dependencies=guard,
        summary="Read an image or a document",
        description=_DESCRIPTION,
        responses={200: _RESULTS, **_problems(401, 406, 408, 413, 415, 422, 429, 503, 504)},
        openapi_extra={"requestBody": _REQUEST_BODY, "parameters": [_PASSWORD]},
    )
    async def ocr(request: Request, query: Annotated[ReadQuery, Query()]) -> Response:
        name = answers.chosen_format(query.format, ",".join(request.headers.getlist("accept")))
        answers.check_words(name, query.words)
        model = _known_model(query.model, settings)
        numbers = _page_numbers(query.pages)
        admit()  # before the upload, which may take long
        async with AsyncExitStack() as stack:
            upload = await receive(request, settings, stack.enter_context(held.share()))
            admit()
            inputs = query.input_options() | ({"password": upload.password} if upload.password else {})
            job = Job(upload.data, model, upload.name, query.read_options(), inputs)
            reading = _within(settings.read_seconds, engine.read(job), metrics)
            pages = await stack.enter_async_context(aclosing(reading))
            first = await _unless_gone(request, anext(pages))
            headers = {"Cache-Control": "no-store", "Vary": "Accept"}
            if name == "jsonl":
                if first.image is not None:
                    headers["X-Page-Count"] = str(len(numbers.of(first.image.page_count)))
                rows = _rows(first, pages, query)
                return _Streamed(rows, stack.pop_all(), media_type=answers.content_type(name), headers=headers)
            everything = [first, *await _unless_gone(request, _all(pages))]
            if failed := [str(page.page.number) for page in everything if page.page.error]:
                headers["X-Failed-Pages"] = ",".join(failed)
            body = await asyncio.to_thread(
                answers.body,
                everything,
                name,
                model=model,
                words=query.words,
                preview=query.preview,
                original=upload.data,
            )
            return Response(body, media_type=answers.content_type(name), headers=headers)


async def _within(seconds: float, pages: AsyncGenerator[ReadPage], metrics: Metrics) -> AsyncGenerator[ReadPage]:
    """Yield the pages and record their metrics, within a time limit.

    Raises:
        Problem: 504 when the time is over; 413, 415 or 422 if the document cannot be read.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    async with aclosing(pages):
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    page = await anext(pages)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise Problem(504, f"not read within {seconds:g} seconds; send fewer pages or smaller ones") from error
            except UserError as error:
                raise _problem_of(error) from error
            metrics.observe_page(page)
            yield page


async def _all(pages: AsyncIterator[ReadPage]) -> list[ReadPage]:
    return [page async for page in pages]


async def _rows(first: ReadPage, pages: AsyncIterator[ReadPage], query: ReadQuery) -> AsyncIterator[bytes]:
    """Yield a row of JSON Lines per page; an error after the first page is reported in a last row with an `error`."""
    yield await asyncio.to_thread(answers.jsonl_row, first, words=query.words, preview=query.preview)
    try:
        async for page in pages:
            yield await asyncio.to_thread(answers.jsonl_row, page, words=query.words, preview=query.preview)
    except Problem as problem:
        failed = ReadPage(Page.of_error(problem.detail, first.page.source), None)
        yield answers.jsonl_row(failed, words=False, preview=0)


class _Streamed(StreamingResponse):
    """Streaming response that keeps its resources open until it is sent or the client disconnects."""

    def __init__(self, content: AsyncIterator[bytes], stack: AsyncExitStack, **arguments: Any) -> None:
        super().__init__(content, **arguments)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response as an ASGI application, then close the resources."""
        async with self._stack:
            await super().__call__(scope, receive, send)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of `work`, which is canceled if the client disconnects.

    Raises:
        ClientDisconnect: The client disconnected.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


def _known_model(name: str | None, settings: ServerSettings) -> str:
    if name is None:
        return settings.models[0]
    if name not in settings.models:
        raise Problem(422, f"no model {printable(name)!r}; choose from {', '.join(settings.models)}")
    return name


def _page_numbers(pages: str | None) -> PageNumbers:
    try:
        return PageNumbers(pages)
    except UserError as error:
        raise Problem(422, str(error)) from error


def _problem_of(error: UserError) -> Problem:
    """Return the response for a file that cannot be read."""
    kinds = {
        TooLargeError: (413, "too_large"),
        UnknownFormatError: (415, "unknown_format"),
        PasswordError: (422, "password"),
        ImageError: (422, "damaged"),
        UserError: (415, "not_installed"),  # the package for this kind of file
    }
    status, code = next(value for kind, value in kinds.items() if isinstance(error, kind))
    return Problem(status, str(error), code=code)


def _answer_problems(app: FastAPI) -> None:
    """Add exception handlers that return every error as `application/problem+json`."""

    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        what = "there is no such option" if first["type"] == "extra_forbidden" else printable(first["msg"])
        return Problem(422, f"{printable(where)}: {what}", code="invalid").response()

    @app.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> Response:
        response = Problem(error.status_code, printable(error.detail)).response()
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_GONE)  # nobody receives it, but the metrics count it

    @app.exception_handler(Exception)
    async def fault(_request: Request, _error: Exception) -> Response:
        return Problem(500, "internal server error; see the server's log").response()


_DESCRIPTION = (
    "Send the bytes of an image or PDF document as they are, or a form with a field `file`. "
    "The answer's format is the one that Accept prefers: JSON, JSON Lines (a row as soon as a page is read), text, "
    "Markdown, CSV, TSV, hOCR, ALTO, or a searchable PDF."
)
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"schema": {"type": "string"}}
_PASSWORD = {
    "name": "X-Document-Password",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "password of an encrypted PDF document whose bytes are sent as they are",
}
_REQUEST_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "password": {"type": "string", "description": "password of an encrypted PDF document"},
                },
            }
        },
        "application/octet-stream": _BYTES,
        "application/pdf": _BYTES,
        "image/*": _BYTES,
    },
}
_RESULTS: dict[str, Any] = {
    "model": ReadResult,
    "description": "the recognized text",
    "content": {
        types[0]: _BYTES if name == "pdf" else _TEXT for name, types in answers.MEDIA_TYPES.items() if name != "json"
    },
    "headers": {
        "X-Page-Count": {"schema": {"type": "integer"}, "description": "with JSON Lines: how many rows there will be"},
        "X-Failed-Pages": {
            "schema": {"type": "string"},
            "description": "numbers of the pages that could not be read, like 2,5; not with JSON Lines",
        },
    },
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI descriptions of error responses."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": Problem(status, "").to_dict()["title"], "content": content} for status in statuses}


def _openapi(app: FastAPI, settings: ServerSettings) -> dict[str, Any]:
    """Return the OpenAPI document, with the schema that `_problems` refers to and the models of this server."""
    if not app.openapi_schema:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes, openapi_version="3.1.0"
        )
        document["components"]["schemas"]["Problem"] = ProblemModel.model_json_schema()
        for parameter in document["paths"]["/ocr"]["post"]["parameters"]:
            if parameter["name"] == "model":
                parameter["schema"] = {"type": "string", "enum": list(settings.models), "default": settings.models[0]}
        app.openapi_schema = document
    return app.openapi_schema
