"""Models of requests and responses for validation and the OpenAPI document, and the error `Problem`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

PROBLEM_JSON = "application/problem+json"  # the media type of RFC 9457
_Share = Annotated[float, Field(ge=0, le=1)]

# Options of `ReadQuery` that are passed to `OCR.__call__` and to `images.read_pages`.
_READ_OPTIONS = ("limit_side", "limit_type", "threshold", "box_threshold", "unclip_ratio", "look_again", "single_line")
_READ_OPTIONS += ("use_classifier", "page_direction", "cls_threshold", "drop_score", "reading_order")
_READ_OPTIONS += ("put_spaces", "check_boxes")
_PAGES = r"^(all|\d{1,9}(-(\d{1,9})?)?( ?, ?\d{1,9}(-(\d{1,9})?)?)*)$"  # as `images.pages.PageNumbers` reads it
_INPUT_OPTIONS = ("pages", "dpi", "frames")


class ReadQuery(BaseModel):
    """Query parameters of POST /ocr; omitted ones have the defaults of the model or server."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="a model that GET /info lists; default: the first")
    format: Literal["text", "layout", "json", "jsonl", "csv", "tsv", "md", "hocr", "alto", "pdf"] | None = Field(
        None, description="format of the response; overrides the Accept header"
    )
    words: bool = Field(False, description="include words and characters, in json, jsonl, csv, tsv, hocr and alto")
    preview: int = Field(0, ge=0, le=4096, description="longest side of a JPEG per page, in json and jsonl; 0: none")
    pages: str | None = Field(
        None, pattern=_PAGES, max_length=1000, description="pages to read, like 1-3,5,8-; default: all"
    )
    dpi: float | None = Field(
        None,
        ge=10,
        le=1200,
        description="resolution at which PDF pages are rendered; default: that of the scan, otherwise 200",
    )
    frames: Literal["first", "all"] = Field("first", description="frames to read of an animation")
    limit_side: int | None = Field(None, ge=32, le=8192, description="longest side that the detector sees, pixels")
    limit_type: Literal["max", "min", "resize_long"] | None = Field(None, description="which side limit_side limits")
    threshold: _Share | None = Field(None, description="pixels with a text probability above this are text")
    box_threshold: _Share | None = Field(None, description="drop boxes with a lower score")
    unclip_ratio: float | None = Field(
        None, ge=0.1, le=10, description="how far boxes are expanded beyond their text kernels"
    )
    look_again: bool | None = Field(None, description="read difficult text again at other resolutions and rotated")
    single_line: bool | None = Field(None, description="treat the image as a single line; no detector is used")
    use_classifier: bool | None = Field(None, description="rotate upside-down lines")
    page_direction: bool | None = Field(None, description="rotate whole pages upright")
    cls_threshold: _Share | None = Field(None, description="confidence above which the classifier rotates a line")
    drop_score: _Share | None = Field(None, description="drop lines read with less confidence; default: 0.5")
    reading_order: Literal["layout", "paddleocr"] | None = Field(None, description="by columns and blocks, or by rows")
    put_spaces: bool | None = Field(None, description="restore spaces that the recognizer leaves out")
    check_boxes: bool | None = Field(None, description="write check boxes beside text as ☐ and ☑")

    def read_options(self) -> dict[str, Any]:
        """Return the given options of `OCR.__call__`."""
        return {name: value for name in _READ_OPTIONS if (value := getattr(self, name)) is not None}

    def input_options(self) -> dict[str, Any]:
        """Return the given options of `images.read_pages`."""
        return {name: value for name in _INPUT_OPTIONS if (value := getattr(self, name)) is not None}


_Point = Annotated[list[float], Field(min_length=2, max_length=2)]
_Quad = Annotated[
    list[_Point], Field(min_length=4, max_length=4, description="(x, y) pixels, clockwise from where reading starts")
]


class CharModel(BaseModel):
    """A character as `Char.to_dict` writes it."""

    model_config = ConfigDict(title="Char")

    text: str
    quad: _Quad
    confidence: float


class WordModel(BaseModel):
    """A word as `Word.to_dict` writes it."""

    model_config = ConfigDict(title="Word")

    text: str
    quad: _Quad
    confidence: float
    chars: list[CharModel]


class LineModel(BaseModel):
    """A line as `Line.to_dict` writes it."""

    model_config = ConfigDict(title="Line")

    quad: _Quad
    text: str
    confidence: float
    detection_score: float
    angle: int
    words: list[WordModel] | None = None


class PageModel(BaseModel):
    """A page as `Page.to_dict` writes it."""

    model_config = ConfigDict(title="Page")

    schema_: int = Field(alias="schema")
    image: str = Field(description="file name")
    page: int = Field(description="page number in the document, from 1")
    width: int
    height: int
    rotation: Literal[0, 90, 180, 270]
    lines: list[LineModel] = Field(description="in reading order")
    warnings: list[str] | None = None
    error: str | None = Field(None, description="why the page could not be read")
    preview: str | None = Field(None, description="data URL of the page as JPEG, if requested")


class ReadResult(BaseModel):
    """The JSON response of POST /ocr."""

    model: str
    version: str
    pages: list[PageModel]


class ServerInfo(BaseModel):
    """Models and limits of the server."""

    models: list[str] = Field(description="the first is the default")
    max_upload_mib: int
    max_pages: int
    max_pixels: int


class Status(BaseModel):
    """Status of the server."""

    status: Literal["ok", "not ready"]
    version: str


class ProblemModel(BaseModel):
    """Error response (RFC 9457)."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str
    code: str | None = None


class Problem(Exception):
    """Error with an HTTP status and a one-line message, sent as a problem response (RFC 9457)."""

    def __init__(self, status: int, detail: str, *, code: str = "", retry_after: int | None = None) -> None:
        """
        Args:
            status: HTTP status, 4xx or 5xx.
            detail: Cause and remedy.
            code: Machine-readable cause if the status alone is ambiguous; "" for none.
            retry_after: Seconds after which a retry may succeed.
        """
        super().__init__(detail)
        self.status, self.detail, self.code, self.retry_after = status, detail, code, retry_after

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the response body."""
        values = {"type": "about:blank", "title": _title(self.status), "status": self.status, "detail": self.detail}
        return values | ({"code": self.code} if self.code else {})

    def response(self) -> JSONResponse:
        """Return the response with its headers."""
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
