"""What one server reads with, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.inference.options import NetworkOptions

MIB = 2**20


@dataclass(frozen=True)
class ServerSettings:
    """Models and limits of a server; `ppocr-jax serve` has a flag for each.

    Attributes:
        models: built-in models or model folders; the first is read with where a request names none.
        networks: see `OCR`; files go with a single model.
        threads: pages read at a time by one process; None: one per core, or 16 that share calls on a GPU.
        combine: whether pages that are read at a time share the networks' calls (`OCR.combined`); None: on a GPU.
        max_upload_mib: size of one request's body.
        max_held_mib: bytes of all bodies that are being received, wait, or are read; beyond it requests get 429.
        max_pixels: of one image or page, width x height. An A4 page at 600 dots per inch has 35 million.
        max_pages: of one document.
        queue: requests that may wait or be read; more get 429.
        upload_seconds: time for a request's body to arrive.
        read_seconds: time from then until the answer is ready.
        grace_seconds: time that requests have to end when the server is told to stop.
        token: that requests must bear; "" for none.
    """

    models: tuple[str, ...] = ("en",)
    networks: NetworkOptions = field(default_factory=lambda: cast("NetworkOptions", {}))
    threads: int | None = None
    combine: bool | None = None
    max_upload_mib: int = 32
    max_held_mib: int = 512
    max_pixels: int = 50_000_000
    max_pages: int = 200
    queue: int = 64
    upload_seconds: float = 60.0
    read_seconds: float = 120.0
    grace_seconds: float = 30.0
    token: str = ""

    def __post_init__(self) -> None:
        for name in ("max_upload_mib", "max_held_mib", "max_pixels", "max_pages", "queue"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("upload_seconds", "read_seconds", "grace_seconds"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be positive, not {getattr(self, name)}")
        if self.threads is not None and self.threads < 1:
            raise UserError(f"threads must be at least 1, not {self.threads}")
        if not self.models:
            raise UserError("a server needs a model")
        if len(self.models) > 1 and self.files:
            raise UserError(f"{', '.join(self.files)} require a single model, not {len(self.models)}")
        if self.max_held_mib < self.max_upload_mib:
            raise UserError(f"max_held_mib ({self.max_held_mib}) is less than one upload ({self.max_upload_mib} MiB)")

    @property
    def files(self) -> dict[str, Any]:
        """Those of `networks` that take the place of parts of the model."""
        names = ("det", "cls", "rec", "charset", "rec_height")
        return {name: value for name, value in self.networks.items() if name in names}

    def to_json(self) -> str:
        """Return plain text, to hand the settings to worker processes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ServerSettings:
        """Inverse of `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "models": tuple(values["models"])})
