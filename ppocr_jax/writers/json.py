"""JSON: one object per picture."""

from __future__ import annotations

import json

from ppocr_jax.results import Page


def to_json(page: Page) -> str:
    """The page's `to_dict` as one row of JSON, ended by a line break, so that many pages make a JSON Lines file."""
    return json.dumps(page.to_dict(), ensure_ascii=False) + "\n"
