"""PP-OCRv3's recognizer, SVTR-LCNet, and the attention head that guides its training (arXiv 2206.03001, section 3).

Lines are 48 pixels high and a frame covers 8 columns. Backbone -> global self-attention blocks -> CTC head. In guided
training of CTC (GTC) the backbone gets gradients only from the attention head, whose gradients are better behaved; the
CTC branch learns from the backbone's output. Inference does not use the attention head.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ppocr_jax.models.crnn import CTCHead
from ppocr_jax.models.layers import ConvBN, Linear, kaiming_uniform, uniform
from ppocr_jax.models.ops import Ops
from ppocr_jax.models.pp_lcnet import LCNetRec

_DROPOUT = 0.1  # attention weights, projections, MLPs and the guide's predictions; PaddleOCR release/2.6
_MASKED_SCORE = -1e4  # before softmax: the weight becomes 0; in range for half precision
_small_normal = nn.initializers.truncated_normal(0.02)


class Dropout(nn.Module):
    """Dropout in training if `apply` gets a random key named "dropout"; otherwise the identity."""

    rate: float = _DROPOUT

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return nn.Dropout(self.rate, deterministic=not (train and self.has_rng("dropout")))(x)


class GlobalMixing(nn.Module):
    """Multi-head self-attention over all frames.

    Attributes:
        ops: The platform's operations.
        heads: Number of heads, of equal width.
    """

    ops: Ops
    heads: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, real: jax.Array | None = None) -> jax.Array:
        """Map (B, T, C) to (B, T, C), attending only to the frames `real` (B, T); None for all."""
        batch, frames, channels = x.shape
        width = channels // self.heads
        qkv = Linear(3 * channels, init=_small_normal, name="qkv")(x)
        # (B, T, 3 heads width) -> three of (B, heads, T, width)
        query, key, value = qkv.reshape(batch, frames, 3, self.heads, width).transpose(2, 0, 3, 1, 4)
        scores = query / math.sqrt(width) @ key.swapaxes(2, 3)
        if real is not None:
            scores = jnp.where(real[:, None, None], scores, _MASKED_SCORE)
        weights = self.ops.softmax(scores)
        mixed = Dropout()(weights, train=train) @ value
        joined = mixed.transpose(0, 2, 1, 3).reshape(batch, frames, channels)
        return Dropout()(Linear(channels, init=_small_normal, name="proj")(joined), train=train)


class MixingBlock(nn.Module):
    """Transformer block: x + attention(norm(x)), then x + MLP(norm(x)) with an MLP of twice the width."""

    ops: Ops
    heads: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, real: jax.Array | None = None) -> jax.Array:
        """Map (B, T, C) to (B, T, C); for `real` see `GlobalMixing`."""
        norm = partial(nn.LayerNorm, epsilon=1e-5, use_fast_variance=False)
        x = x + GlobalMixing(self.ops, self.heads, name="mixer")(norm(name="norm1")(x), train=train, real=real)
        y = nn.swish(Linear(2 * x.shape[-1], init=_small_normal, name="fc1")(norm(name="norm2")(x)))
        y = Linear(x.shape[-1], init=_small_normal, name="fc2")(Dropout()(y, train=train))
        return x + Dropout()(y, train=train)


class SVTREncoder(nn.Module):
    """PP-OCRv3's light SVTR: reduce the channels, mix, expand, concatenate with the input and reduce again.

    Attributes:
        ops: The platform's operations.
        hidden: Channels inside the blocks.
        depth: Number of blocks.
        heads: Attention heads of each block.
        features: Output channels.
    """

    ops: Ops
    hidden: int = 120
    depth: int = 2
    heads: int = 8
    features: int = 64

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, real: jax.Array | None = None) -> jax.Array:
        """Map (B, 1, T, C) to (B, T, features); for `real` see `GlobalMixing`."""
        channels = x.shape[-1]
        conv = partial(ConvBN, ops=self.ops, activation=nn.swish, init=kaiming_uniform)
        y = conv(channels // 8, kernel=3, name="conv1")(x, train=train)
        y = conv(self.hidden, name="conv2")(y, train=train).squeeze(1)
        for i in range(self.depth):
            y = MixingBlock(self.ops, self.heads, name=f"block_{i}")(y, train=train, real=real)
        y = nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, name="norm")(y)[:, None]
        y = conv(channels, name="conv3")(y, train=train)
        y = conv(channels // 8, kernel=3, name="conv4")(jnp.concatenate([x, y], axis=-1), train=train)
        return conv(self.features, name="conv5")(y, train=train).squeeze(1)


class ForwardLSTM(nn.Module):
    """Two LSTM layers from left to right, from zero states; gates and initialization as in `BiLSTMLayer`.

    Attributes:
        hidden: Width.
        dropout: Rate between the layers.
    """

    hidden: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, T, C) to (B, T, hidden)."""
        init = uniform(1 / math.sqrt(self.hidden))
        for i in range(2):
            kernel = self.param(f"input_kernel_{i}", init, (x.shape[-1], 4 * self.hidden))
            recurrent = self.param(f"recurrent_kernel_{i}", init, (self.hidden, 4 * self.hidden))
            input_bias, recurrent_bias = (
                self.param(f"{name}_bias_{i}", init, (4 * self.hidden,)) for name in ("input", "recurrent")
            )
            x = _lstm(x @ kernel + input_bias + recurrent_bias, recurrent)
            x = Dropout(self.dropout)(x, train=train) if i == 0 else x
        return x


def _lstm(gates: jax.Array, recurrent: jax.Array) -> jax.Array:
    """Run one layer on the inputs' share of its gates: (B, T, 4H) -> (B, T, H)."""

    def step(carry: tuple[jax.Array, jax.Array], gate: jax.Array):
        h, c = carry
        i, f, g, o = jnp.split(gate + h @ recurrent, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((gates.shape[0], recurrent.shape[0]), gates.dtype)
    _, outputs = lax.scan(step, (zero, zero), gates.swapaxes(0, 1))
    return outputs.swapaxes(0, 1)


class AttentionGuide(nn.Module):
    """Attention head of SAR (arXiv 1811.00751), with the true text as the decoder's input; for training only.

    An LSTM reads the frames from left to right and returns one vector for the whole line. A decoder LSTM starts from it
    and attends to the frames by additive attention before each character.

    Classes are the K of CTC without the blank (CTC's number minus one), then unknown, begin-or-end, padding.

    Attributes:
        num_classes: K, blank included.
        ops: The platform's operations.
        width: Width of the LSTMs, the embedding and the attention.
    """

    num_classes: int
    ops: Ops
    width: int

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array, *, train: bool) -> jax.Array:
        """Predict the next character at each position of a label.

        Args:
            x: (B, 1, T, C), the backbone's output.
            labels: (B, L) CTC classes, padded with 0.
            train: Apply dropout.

        Returns:
            Logits (B, L + 1, K + 1); the last class ends the text.
        """
        sequence = x.squeeze(1)
        whole = ForwardLSTM(self.width, dropout=_DROPOUT, name="encoder")(sequence, train=train)[:, -1]
        whole = Linear(self.width, name="whole")(whole)

        begin, padding = self.num_classes, self.num_classes + 1
        given = jnp.where(labels > 0, labels - 1, padding)
        given = jnp.concatenate([jnp.full_like(given[:, :1], begin), given], axis=1)
        table = self.param("embedding", nn.initializers.xavier_uniform(), (self.num_classes + 2, self.width))
        inputs = jnp.concatenate([whole[:, None], table[given] * (given != padding)[..., None]], axis=1)
        decoded = ForwardLSTM(self.width, name="decoder")(inputs, train=train)[:, 1:]

        kernel_shape = (3, 3, x.shape[-1], self.width)
        kernel = self.param("key_kernel", kaiming_uniform(9 * x.shape[-1]), kernel_shape)
        key = self.ops.conv(x, kernel, (1, 1)).squeeze(1) + self.param("key_bias", nn.initializers.zeros, (self.width,))
        query = Linear(self.width, name="query")(decoded)
        scores = Linear(1, name="score")(jnp.tanh(query[:, :, None] + key[:, None])).squeeze(-1)
        seen = nn.softmax(scores, axis=-1) @ sequence
        every = jnp.broadcast_to(whole[:, None], decoded.shape)
        joined = jnp.concatenate([decoded, seen, every], axis=-1)
        return Dropout()(Linear(self.num_classes + 1, name="prediction")(joined), train=train)


def real_frames(images: jax.Array, ops: Ops) -> jax.Array:
    """Return which frames show part of the line, (B, T) bool; the others show only padding.

    Padding is 0 in all channels of a column. No pixel is 0, because normalized ones are (2 v - 255) / 255. The marks
    pass the same reductions as the image, two that halve the width rounding up and one rounding down, which gives T of
    them for any width.
    """
    marks = jnp.max(jnp.abs(images), axis=(1, 3), keepdims=True)
    marks = jnp.concatenate([marks] * 8, axis=1)  # enough rows to be halved three times
    pick = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    for _ in range(2):
        marks = ops.conv(marks, pick, (2, 2))
    width = marks.shape[2] // 2 * 2
    return ops.average_pool(marks[:, :, :width], (2, 2))[:, 0, :, 0] > 0


class SVTRLCNet(nn.Module):
    """PP-OCRv3's recognizer.

    Attributes:
        num_classes: K, blank included.
        ops: The platform's operations.
        scale: Backbone width multiplier.
        hidden: Channels of the encoder's blocks.
        guided: Train the backbone by an attention head and stop CTC's gradient before it.
        guide_width: Width of that head's LSTMs, embedding and attention.
        mask_padding: Attend only to frames that are not pure padding; PP-OCRv3 attends to all.
    """

    num_classes: int
    ops: Ops
    scale: float = 0.5
    hidden: int = 120
    guided: bool = False
    guide_width: int = 512
    mask_padding: bool = False

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool, labels: jax.Array | None = None) -> dict[str, jax.Array]:
        """Recognize a batch of line images.

        Args:
            images: (B, 48, W, 3) float32, normalized; W a multiple of 8.
            train: Use batch statistics, and dropout if there is a random key named "dropout".
            labels: (B, L) CTC classes, padded with 0; required to train a guided network.

        Returns:
            `logits` (B, W/8, K); `backbone` (B, W/8, C); `neck` and `features`, both the input of the head's layer
            (B, W/8, 64); in evaluation mode `probabilities` (B, W/8, K); in guided training `guide_logits`, see
            `AttentionGuide`.

        Raises:
            ValueError: If a guided network is trained without labels.
        """
        maps = LCNetRec(self.ops, scale=self.scale, tall=True, name="backbone")(images, train=train)
        outputs = {"backbone": maps.squeeze(1)}
        if self.guided and (train or self.is_initializing()):
            if labels is None and not self.is_initializing():
                raise ValueError("guided training needs the labels: model.apply(..., labels=labels)")
            known_labels = jnp.zeros((maps.shape[0], 1), jnp.int32) if labels is None else labels
            guide = AttentionGuide(self.num_classes, self.ops, self.guide_width, name="guide")
            outputs["guide_logits"] = guide(maps, known_labels, train=train)
            maps = lax.stop_gradient(maps)
        real = real_frames(images, self.ops) if self.mask_padding else None
        neck = SVTREncoder(self.ops, hidden=self.hidden, name="neck")(maps, train=train, real=real)
        features, logits = CTCHead(self.num_classes, name="head")(neck)
        outputs |= {"logits": logits, "features": features, "neck": neck}
        return outputs if train else {**outputs, "probabilities": nn.softmax(logits)}
