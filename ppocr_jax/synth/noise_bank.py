"""Normal noise that is drawn once per process; every use takes a random window of it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_SIDE = 1024


def normal_window(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width) float32 of standard normal values, not to be written to.

    Windows of up to 1024 x 1024 are cut out of a fixed field at a place that `rng` chooses, so that equal generators
    give equal windows in every process; larger ones are drawn.
    """
    if height > _SIDE or width > _SIDE:
        return rng.standard_normal((height, width), dtype=np.float32)
    y, x = int(rng.random() * (_SIDE - height + 1)), int(rng.random() * (_SIDE - width + 1))
    return _field()[y : y + height, x : x + width]


@lru_cache(maxsize=1)
def _field() -> np.ndarray:
    field = np.random.default_rng(20210907).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    field.setflags(write=False)
    return field
