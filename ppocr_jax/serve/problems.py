"""What a client did wrong, or the server cannot do now, as RFC 9457 says it (application/problem+json)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

PROBLEM_JSON = "application/problem+json"


class Problem(Exception):
    """An answer that is not a result: its status and one line for whoever reads it."""

    def __init__(self, status: int, detail: str, *, code: str = "", retry_after: int | None = None) -> None:
        """
        Args:
            status: of HTTP, 4xx or 5xx.
            detail: what is wrong and what to do.
            code: a word for programs, where the status alone does not tell.
            retry_after: seconds after which it may work.
        """
        super().__init__(detail)
        self.status, self.detail, self.code, self.retry_after = status, detail, code, retry_after

    def to_dict(self) -> dict[str, Any]:
        """The body's members."""
        values = {"type": "about:blank", "title": _title(self.status), "status": self.status, "detail": self.detail}
        return values | ({"code": self.code} if self.code else {})

    def response(self) -> JSONResponse:
        """The whole answer."""
        headers = {"Cache-Control": "no-store"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.to_dict(), self.status, headers, PROBLEM_JSON)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
