"""Types of what the losses take and give; the tests check them, with the shapes, at every call.

Sizes that a function compares itself, for a message that says what to do, are "_" in its annotations.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float

AnyArray = jax.Array | np.ndarray
"""What the losses take: arrays of JAX, traced or not, or of NumPy."""
Scalar = Float[jax.Array, ""]
