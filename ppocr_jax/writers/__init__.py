"""A `Page` in the formats people use. Each writer is a function from `Page` to `str`."""

from __future__ import annotations

from collections.abc import Callable

from ppocr_jax.results import Page
from ppocr_jax.writers.json import to_json
from ppocr_jax.writers.text import to_text

WRITERS: dict[str, Callable[[Page], str]] = {"text": to_text, "json": to_json}

__all__ = ["WRITERS", "to_json", "to_text"]
