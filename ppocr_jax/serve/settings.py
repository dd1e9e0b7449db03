"""Models and limits of a server."""

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
        models: Built-in models or model folders; the first is used if a request names none.
        networks: Network options of `OCR`; files require a single model.
        threads: Pages that a process reads at a time; None: one per core, or 16 that share network calls on a GPU.
        combine: Whether pages read at the same time share network calls (`OCR.combined`); None: on a GPU only.
        max_upload_mib: Maximum size of a request body in MiB.
        max_held_mib: Maximum size in MiB of all bodies being received, waiting or being read; further requests get 429.
        max_pixels: Maximum pixels of an image or page, width x height. An A4 page at 600 dpi has 35 million.
        max_pages: Maximum pages of a document.
        queue: Maximum requests that wait or are being read; further requests get 429.
        upload_seconds: Time limit for receiving a request body.
        read_seconds: Time limit from then until the response is ready.
        grace_seconds: Time for running requests to finish when the server stops.
        token: Access token that requests must send; "" for none.
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
        """The options in `networks` that replace files of the model."""
        names = ("det", "cls", "rec", "charset", "rec_height")
        return {name: value for name, value in self.networks.items() if name in names}

    def to_json(self) -> str:
        """Return the settings as JSON, to pass them to worker processes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ServerSettings:
        """Return the settings from the text that `to_json` returned."""
        values = json.loads(text)
        return cls(**{**values, "models": tuple(values["models"])})
