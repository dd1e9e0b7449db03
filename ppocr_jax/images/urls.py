"""A file from the web, with limits of size and time.

Which server is asked is the caller's decision: a program that takes URLs from strangers must not pass them on here, as
they may name machines of its own network.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from ppocr_jax.images.sources import ImageError, first_line, is_url, printable

MAX_URL_BYTES = 100 * 2**20
TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 2**16


def fetch(url: str, *, max_bytes: int = MAX_URL_BYTES, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
    """The bytes behind an http or https address. Redirections are followed, to such addresses only.

    Args:
        url: starts with http:// or https://.
        max_bytes: a larger file is refused, before it is read where the server tells its size.
        timeout_seconds: for the answer to begin, and again for all of it to arrive.

    Raises:
        ImageError: another kind of address, no answer, an error as the answer, or a limit passed.
    """
    name = printable(url)
    if not is_url(url):
        raise ImageError(f"{name} is not an http or https address")
    request_headers = {"User-Agent": "ppocr_jax", "Accept": "image/*, application/pdf"}
    try:
        request = urllib.request.Request(url, headers=request_headers)
        with _opener().open(request, timeout=timeout_seconds) as response:
            return _read(response, name, max_bytes, timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        reason = printable(str(error.reason).partition("\n")[0])
        raise ImageError(f"{name}: the server answers {error.code} {reason}") from error
    except ImageError:
        raise
    except TimeoutError as error:
        raise ImageError(f"{name}: no answer within {timeout_seconds:g} seconds") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: not a well-formed address
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise ImageError(f"{name}: no answer within {timeout_seconds:g} seconds") from error
        what = first_line(reason) if isinstance(reason, BaseException) else printable(reason)
        raise ImageError(f"{name} cannot be fetched: {what}") from error


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """The standard library's handler would follow a redirection to ftp, too."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise ImageError(f"{printable(req.full_url)} redirects to {printable(newurl)}, which is not on the web")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Knows http, https and the user's proxy, but neither files nor ftp, which `urlopen` knows."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _WebOnly,
    ):
        opener.add_handler(handler())
    return opener


def _read(response: http.client.HTTPResponse, name: str, max_bytes: int, timeout_seconds: float) -> bytes:
    too_large = ImageError(f"{name} is too large: more than {max_bytes / 2**20:g} MiB")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise too_large
    end, chunks, size = time.monotonic() + timeout_seconds, [], 0
    while chunk := response.read1(_CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise too_large
        if time.monotonic() > end:
            raise TimeoutError
    if length.isdecimal() and size < int(length[:20]):
        raise ImageError(f"{name}: the connection broke off after {size} of {length} bytes")
    if not size:
        raise ImageError(f"{name} is empty (0 bytes)")
    return b"".join(chunks)
