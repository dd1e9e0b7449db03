"""Receive request bodies, in memory only and within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ppocr_jax.images.sources import printable
from ppocr_jax.serve.schema import Problem
from ppocr_jax.serve.settings import MIB, ServerSettings

_LONGEST_NAME = 200  # characters


@dataclass(frozen=True)
class Upload:
    """The file in a request.

    Attributes:
        data: Bytes of the image or document.
        name: File name given by the client, without folders; "" for none.
        password: Password of an encrypted document; None for none.
    """

    data: bytes
    name: str
    password: str | None


class HeldBytes:
    """Counter, with a limit, of the bytes of all request bodies in memory."""

    def __init__(self, limit: int) -> None:
        self._limit, self.held = limit, 0

    @contextmanager
    def share(self) -> Iterator[HeldShare]:
        """Yield the share of one request, which is released at the end."""
        share = HeldShare(self)
        try:
            yield share
        finally:
            self.held -= share.size


class HeldShare:
    """Number of bytes that one request holds."""

    def __init__(self, total: HeldBytes) -> None:
        self._total, self.size = total, 0

    def add(self, size: int) -> None:
        """Add `size` bytes.

        Raises:
            Problem: 429, all requests together would exceed the limit.
        """
        if self._total.held + size > self._total._limit:
            raise Problem(429, "the server cannot accept more uploads at the moment; try again later", retry_after=2)
        self._total.held += size
        self.size += size


async def receive(request: Request, settings: ServerSettings, share: HeldShare) -> Upload:
    """Receive the body of a request: a form with a field `file`, or the bytes of the file.

    Raises:
        Problem: 408 if it arrives too slowly, 413 if it is too large, 422 if it contains no file or an invalid form,
            429 if all requests together hold too many bytes.
        starlette.requests.ClientDisconnect: The client disconnected.
    """
    limit = settings.max_upload_mib * MIB
    too_large = Problem(413, f"the upload is larger than {settings.max_upload_mib} MiB, the limit of this server")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise too_large

    async def pieces() -> AsyncGenerator[bytes]:
        size = 0
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise too_large
            share.add(len(piece))
            yield piece

    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    password = _header_text(request.headers.get("x-document-password"))
    try:
        async with asyncio.timeout(settings.upload_seconds):
            if kind == b"multipart/form-data":
                return await _of_form(request, pieces(), password, limit)
            # Any other content type is ignored: curl --data-binary sends application/x-www-form-urlencoded.
            data = b"".join([piece async for piece in pieces()])
    except TimeoutError as error:
        raise Problem(408, f"the upload did not arrive within {settings.upload_seconds:g} seconds") from error
    if not data:
        raise Problem(422, "the request has no body; send an image or a PDF document")
    return Upload(data, "", password)


def _header_text(value: str | None) -> str | None:
    """Return a header's value, which Starlette decodes as Latin-1, decoded as UTF-8 if it is valid UTF-8."""
    try:
        return value and value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


class _InMemory(MultiPartParser):
    spool_max_size = 2**62  # uploads are never written to disk


async def _of_form(request: Request, pieces: AsyncGenerator[bytes], password: str | None, limit: int) -> Upload:
    parser = _InMemory(request.headers, pieces, max_files=1, max_fields=4, max_part_size=limit)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:  # KeyError: no boundary
        message = getattr(error, "message", "it has no boundary")
        raise Problem(422, f"the form cannot be read: {printable(message)}") from error
    unknown = sorted(name for name in form if name not in ("file", "password"))
    if unknown:
        raise Problem(422, f"the form has an unknown field {printable(unknown[0])!r}; the fields are file and password")
    file, given = form.get("file"), form.get("password")
    if not isinstance(file, UploadFile):
        raise Problem(422, "the form has no file; send it in a field named file")
    if given is not None and not isinstance(given, str):
        raise Problem(422, "the password must be text")
    data = await file.read()
    if not data:
        raise Problem(422, "the file is empty (0 bytes)")
    return Upload(data, _base_name(file.filename or ""), given or password)


def _base_name(name: str) -> str:
    """Return the end of a file name, without folders and with unprintable characters escaped."""
    return printable(PureWindowsPath(PurePosixPath(name).name).name)[-_LONGEST_NAME:]
