"""What requests may say and what answers hold, as the OpenAPI document describes them, and problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

PROBLEM_JSON = "application/problem+json"  # the media type of RFC 9457
_Share = Annotated[float, Field(ge=0, le=1)]

# Options of `ReadQuery` that are handed to `OCR.__call__`, and to `images.read_pages`.
_READ_OPTIONS = ("limit_side", "limit_type", "threshold", "box_threshold", "unclip_ratio", "look_again", "single_line")
_READ_OPTIONS += ("use_classifier", "page_direction", "cls_threshold", "drop_score", "reading_order")
_READ_OPTIONS += ("put_spaces", "check_boxes")
_PAGES = r"^(all|\d{1,9}(-(\d{1,9})?)?( ?, ?\d{1,9}(-(\d{1,9})?)?)*)$"  # as `images.pages.PageNumbers` reads it
_INPUT_OPTIONS = ("pages", "dpi", "frames")


class ReadQuery(BaseModel):
    """The query of POST /ocr; what is left out is as the model or the server has it."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="one of those that GET /info lists")
    format: Literal["text", "layout", "json", "jsonl", "csv", "tsv", "md", "hocr", "alto", "pdf"] | None = Field(
        None, description="of the answer, whatever Accept says"
    )
    words: bool = Field(False, description="words and characters too, in json, jsonl, csv, tsv, hocr and alto")
    preview: int = Field(0, ge=0, le=4096, description="longest side of a JPEG of each page, in json and jsonl; 0: no")
    pages: str | None = Field(
        None, pattern=_PAGES, max_length=1000, description="of a document, like 1-3,5,8-; all if left out"
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
    look_again: bool | None = Field(
        None, description="look again closer, from farther away and rotated where that may show more"
    )
    single_line: bool | None = Field(None, description="treat the image as a single line; no detector is used")
    use_classifier: bool | None = Field(None, description="turn upside-down lines")
    page_direction: bool | None = Field(None, description="turn whole pages")
    cls_threshold: _Share | None = Field(None, description="how sure the classifier must be to turn a line")
    drop_score: _Share | None = Field(None, description="drop lines read with less confidence; default: 0.5")
    reading_order: Literal["layout", "paddleocr"] | None = Field(None, description="columns and blocks, or by rows")
    put_spaces: bool | None = Field(None, description="restore spaces that the recognizer leaves out")
    check_boxes: bool | None = Field(None, description="write check boxes beside text as ☐ and ☑")

    def read_options(self) -> dict[str, Any]:
        """Return those that were given of `ReadOptions`."""
        return {name: value for name in _READ_OPTIONS if (value := getattr(self, name)) is not None}

    def input_options(self) -> dict[str, Any]:
        """Return those that were given of `images.read_pages`."""
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
    image: str = Field(description="the file's name")
    page: int = Field(description="its number in the document, from 1")
    width: int
    height: int
    rotation: Literal[0, 90, 180, 270]
    lines: list[LineModel] = Field(description="in reading order")
    warnings: list[str] | None = None
    error: str | None = Field(None, description="why the page could not be read")
    preview: str | None = Field(None, description="a data URL of the page as JPEG, where it was asked for")


class ReadResult(BaseModel):
    """The answer of POST /ocr in JSON."""

    model: str
    version: str
    pages: list[PageModel]


class ServerInfo(BaseModel):
    """What the server reads with and accepts."""

    models: list[str] = Field(description="the first is the default")
    max_upload_mib: int
    max_pages: int
    max_pixels: int


class Status(BaseModel):
    """Of the server."""

    status: Literal["ok", "not ready"]
    version: str


class ProblemModel(BaseModel):
    """What went wrong, as RFC 9457 says it."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str
    code: str | None = None


class Problem(Exception):
    """An answer that is not a result (RFC 9457): its status and one line for whoever reads it."""

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
        """Return the body's members."""
        values = {"type": "about:blank", "title": _title(self.status), "status": self.status, "detail": self.detail}
        return values | ({"code": self.code} if self.code else {})

    def response(self) -> JSONResponse:
        """Return the whole answer."""
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
