"""Networks on padded input with the results of the unpadded image, so that few sizes need to be compiled."""

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

_MASKED_SCORE = -1e30  # before softmax: the weight becomes 0; minus infinity could give NaN


class Extent:
    """Size of the image inside the padded input, and with `ops` inside every feature map made from it.

    XLA compiles once per array size but not per value of a number, so the padded size is fixed while a network is
    traced and the true size may be traced. In evaluation mode a network returns, in the image's part, what it would
    return without the padding, up to rounding. For this, the padding looks like the border of the image to every
    operation that reaches beyond a cell: zeros to convolutions and pooling, nothing to means and attention, and the
    backward LSTM starts at the last column of the image.

    Trace one network with one instance: the sizes are recorded layer by layer.
    """

    def __init__(
        self, padded: tuple[int, int], *, height: int | jax.Array | None = None, width: int | jax.Array | None = None
    ) -> None:
        """Start with the size of the input.

        Args:
            padded: (height, width) of the input.
            height, width: Size of the image in the input's upper left corner; None if it is that of the input.
        """
        self._rows = {} if height is None else {padded[0]: jnp.asarray(height)}
        self._columns = {} if width is None else {padded[1]: jnp.asarray(width)}

    def columns(self, padded: int) -> jax.Array:
        """Return how many of a layer's `padded` output columns belong to the image."""
        return self._columns.get(padded, jnp.asarray(padded))

    def ops(self, ops: Ops) -> Ops:
        """Return `ops` in forms that ignore the padding.

        A layer that halves an odd size rounds as it does without padding. Average pooling drops a last odd row or
        column of the image, which does not occur in our networks because detectors get multiples of 32.
        """

        def conv(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
            seen = x if kernel.shape[:2] == (1, 1) else self._zero_padding(x)
            return self._record_size(x, ops.conv(seen, kernel, strides), strides, up=True)

        def depthwise_conv(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
            return self._record_size(x, ops.depthwise_conv(self._zero_padding(x), kernel, strides), strides, up=True)

        def average_pool(x: jax.Array, window: Strides) -> jax.Array:
            return self._record_size(x, ops.average_pool(x, window), window, up=False)

        def bilstm(x: jax.Array, weights: LSTMWeights) -> jax.Array:
            frames = self._columns.get(x.shape[1])
            return ops.bilstm(x, weights) if frames is None else ops.bilstm(x, weights, frames=frames)

        def mean(x: jax.Array) -> jax.Array:
            share = 1.0  # of the cells that belong to the image
            for true, axis in ((self._rows, 1), (self._columns, 2)):
                if x.shape[axis] in true:
                    share = share * true[x.shape[axis]] / x.shape[axis]
            return ops.mean(self._zero_padding(x)) / share

        def softmax(scores: jax.Array) -> jax.Array:
            frames = scores.shape[-1]
            return ops.softmax(jnp.where(jnp.arange(frames) < self.columns(frames), scores, _MASKED_SCORE))

        return ops._replace(
            conv=conv,
            depthwise_conv=depthwise_conv,
            max_pool=lambda x: self._record_size(x, ops.max_pool(x), (2, 2), up=False),
            max_pool_3x3=lambda x: self._record_size(x, ops.max_pool_3x3(self._zero_padding(x)), (2, 2), up=True),
            average_pool=average_pool,
            bilstm=bilstm,
            mean=mean,
            softmax=softmax,
        )

    def _zero_padding(self, x: jax.Array) -> jax.Array:
        """Return (B, H, W, C) with zeros in the padding."""
        for true, axis in ((self._rows, 1), (self._columns, 2)):
            size = x.shape[axis]
            if size in true:
                inside = lax.broadcasted_iota(jnp.int32, x.shape, axis) < true[size]
                x = jnp.where(inside, x, 0)
        return x

    def _record_size(self, x: jax.Array, y: jax.Array, strides: Strides, *, up: bool) -> jax.Array:
        """Return `y`, a layer's output for `x`, and record its true size; the layer rounds sizes up or down (`up`)."""
        for true, axis, stride in ((self._rows, 1, strides[0]), (self._columns, 2, strides[1])):
            if stride > 1 and x.shape[axis] in true:
                size = true[x.shape[axis]]
                true.setdefault(y.shape[axis], -(-size // stride) if up else size // stride)
        return y


def with_ops(model: Network, change: Callable[[Ops], Ops]) -> Network:
    """Return a network with other operations in all its parts; `change` gets the operations of each part.

    An object that is not a linen module must have a method of this name (`training.pact.QuantizedNetwork`).
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
