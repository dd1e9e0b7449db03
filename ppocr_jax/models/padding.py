"""Networks on input that is larger than the image in it, as if it were not: few sizes to compile, equal results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ppocr_jax.models.ops import LSTMWeights, Ops, Strides

if TYPE_CHECKING:
    from ppocr_jax.models import Network

_NEVER = -1e30  # of a score before softmax: it becomes 0, and unlike minus infinity makes no NaN


class Extent:
    """How far the image reaches into the padded input, and with `ops` into everything made from it.

    XLA compiles anew for every size of an array, not for every value of a number: the padded size is fixed while a
    network is traced, the true one may be a traced number. A network of evaluation mode gives in the image's part,
    up to rounding, what it would give without the padding, because whatever looks beyond a cell finds what it would
    find at the border: convolutions and pooling zeros, means and attention nothing, the backward LSTM its start.

    Trace one network with one instance: sizes are noted as the layers come.
    """

    def __init__(
        self, padded: tuple[int, int], *, height: int | jax.Array | None = None, width: int | jax.Array | None = None
    ) -> None:
        """
        Args:
            padded: (height, width) of the input.
            height, width: of the image in its upper left corner; None: as the input.
        """
        self._rows = {} if height is None else {padded[0]: jnp.asarray(height)}
        self._columns = {} if width is None else {padded[1]: jnp.asarray(width)}

    def columns(self, padded: int) -> jax.Array:
        """Return how many of so many columns, of any layer's output, belong to the image."""
        return self._columns.get(padded, jnp.asarray(padded))

    def ops(self, ops: Ops) -> Ops:
        """Return `ops` in forms that do not see the padding.

        A layer that halves an odd size rounds as without the padding. Average pooling drops a last odd row or column,
        which no network has here: detectors see multiples of 32.
        """

        def conv(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
            seen = x if kernel.shape[:2] == (1, 1) else self._cut(x)
            return self._noted(x, ops.conv(seen, kernel, strides), strides, up=True)

        def depthwise_conv(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
            return self._noted(x, ops.depthwise_conv(self._cut(x), kernel, strides), strides, up=True)

        def average_pool(x: jax.Array, window: Strides) -> jax.Array:
            return self._noted(x, ops.average_pool(x, window), window, up=False)

        def bilstm(x: jax.Array, weights: LSTMWeights) -> jax.Array:
            frames = self._columns.get(x.shape[1])
            return ops.bilstm(x, weights) if frames is None else ops.bilstm(x, weights, frames=frames)

        def mean(x: jax.Array) -> jax.Array:
            share = 1.0  # of the cells that are the image's
            for true, axis in ((self._rows, 1), (self._columns, 2)):
                if x.shape[axis] in true:
                    share = share * true[x.shape[axis]] / x.shape[axis]
            return ops.mean(self._cut(x)) / share

        def softmax(scores: jax.Array) -> jax.Array:
            frames = scores.shape[-1]
            return ops.softmax(jnp.where(jnp.arange(frames) < self.columns(frames), scores, _NEVER))

        return ops._replace(
            conv=conv,
            depthwise_conv=depthwise_conv,
            max_pool=lambda x: self._noted(x, ops.max_pool(x), (2, 2), up=False),
            max_pool_3x3=lambda x: self._noted(x, ops.max_pool_3x3(self._cut(x)), (2, 2), up=True),
            average_pool=average_pool,
            bilstm=bilstm,
            mean=mean,
            softmax=softmax,
        )

    def _cut(self, x: jax.Array) -> jax.Array:
        """Return (B, H, W, C) with zeros in place of the padding."""
        for true, axis in ((self._rows, 1), (self._columns, 2)):
            size = x.shape[axis]
            if size in true:
                inside = lax.broadcasted_iota(jnp.int32, x.shape, axis) < true[size]
                x = jnp.where(inside, x, 0)
        return x

    def _noted(self, x: jax.Array, y: jax.Array, strides: Strides, *, up: bool) -> jax.Array:
        """Return `y`, made from `x` by a layer with `strides` that rounds sizes up or down, its true size noted."""
        for true, axis, stride in ((self._rows, 1, strides[0]), (self._columns, 2, strides[1])):
            if stride > 1 and x.shape[axis] in true:
                size = true[x.shape[axis]]
                true.setdefault(y.shape[axis], -(-size // stride) if up else size // stride)
        return y


def with_ops(model: Network, change: Callable[[Ops], Ops]) -> Network:
    """Return a network with other operations in all its parts; `change` is told what each part has.

    What stands for a network without being a linen module has a method of this name.
    """
    if not isinstance(model, nn.Module):
        return cast("Any", model).with_ops(change)
    changed: dict[str, Any] = {}
    for name in (field.name for field in dataclasses.fields(model) if field.name not in ("parent", "name")):
        value = getattr(model, name)
        if isinstance(value, Ops):
            changed[name] = change(value)
        elif isinstance(value, nn.Module):
            changed[name] = with_ops(value, change)
    return model.clone(**changed)
