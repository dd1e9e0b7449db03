"""Array types of the loss functions; the tests check them and the shapes at every call.

A size that a function checks itself, to raise a helpful message, is "_" in its annotations.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Float

AnyArray = jax.Array | np.ndarray
"""Input of the losses: a JAX array, traced or not, or a NumPy array."""
Scalar = Float[jax.Array, ""]
