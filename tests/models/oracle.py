"""PP-OCR's networks a second time: NumPy in float64, one cell or kernel tap after another, from the published layers.

Tensors go by PaddleOCR's names and layouts; images are (N, C, H, W). Nothing here comes from the package.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Tensors = Mapping[str, np.ndarray]
Pair = tuple[int, int]


def conv(x: np.ndarray, weight: np.ndarray, strides: Pair = (1, 1)) -> np.ndarray:
    """Convolution with padding (k - 1) // 2; a weight [C, 1, k, k] is a depthwise one."""
    outputs, per_group, kh, kw = weight.shape
    height, width = (-(-size // stride) for size, stride in zip(x.shape[2:], strides, strict=True))
    padded = np.pad(x, ((0, 0), (0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2)))
    y = np.zeros((len(x), outputs, height, width))
    for i in range(kh):
        for j in range(kw):
            rows = slice(i, i + (height - 1) * strides[0] + 1, strides[0])
            seen = padded[:, :, rows, j : j + (width - 1) * strides[1] + 1 : strides[1]]
            if per_group == x.shape[1]:
                y += np.einsum("nchw,oc->nohw", seen, weight[:, :, i, j], optimize=True)
            else:
                y += seen * weight[:, 0, i, j][:, None, None]
    return y


def deconv_2x2(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """2x2 transposed convolution of stride 2; weight [C, D, 2, 2]."""
    y = np.zeros((len(x), weight.shape[1], 2 * x.shape[2], 2 * x.shape[3]))
    for i in range(2):
        for j in range(2):
            y[:, :, i::2, j::2] = np.einsum("nchw,cd->ndhw", x, weight[:, :, i, j], optimize=True)
    return y + bias[:, None, None]


def pool(x: np.ndarray, reduce: str, window: Pair, strides: Pair, padding: int = 0) -> np.ndarray:
    """Pooling cell by cell; windows that reach over an edge see the cells inside alone (so sizes round up)."""
    sizes = [
        -(-(n + 2 * padding - k) // s) + 1 if padding == 0 else (n + 2 * padding - k) // s + 1
        for n, k, s in zip(x.shape[2:], window, strides, strict=True)
    ]
    y = np.zeros((*x.shape[:2], *sizes))
    for row in range(sizes[0]):
        for column in range(sizes[1]):
            top, left = row * strides[0] - padding, column * strides[1] - padding
            seen = x[:, :, max(top, 0) : top + window[0], max(left, 0) : left + window[1]]
            y[:, :, row, column] = getattr(seen, reduce)((2, 3))
    return y


def norm(t: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    """Batch norm with running statistics."""
    weight, bias, mean, var = (t[f"{name}.{leaf}"][:, None, None] for leaf in ("weight", "bias", "_mean", "_variance"))
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def hardswish(x: np.ndarray) -> np.ndarray:
    return x * np.clip(x + 3, 0, 6) / 6


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def resnet_vd(t: Tensors, x: np.ndarray, depths: tuple[int, ...], stem: Pair, down: Pair) -> list[np.ndarray]:
    """The four stages' outputs; `stem`: strides of the first convolution, `down`: of stages 2 to 4."""

    def conv_norm(name: str, x: np.ndarray, strides: Pair = (1, 1)) -> np.ndarray:
        name = f"backbone.{name}"
        return norm(t, f"{name}._batch_norm", conv(x, t[f"{name}._conv.weight"], strides))

    x = relu(conv_norm("conv1_1", x, stem))
    x = relu(conv_norm("conv1_2", x))
    x = relu(conv_norm("conv1_3", x))
    x = pool(x, "max", (3, 3), (2, 2), padding=1)
    maps = []
    for stage, depth in enumerate(depths):
        for block in range(depth):
            name, shortcut = f"bb_{stage}_{block}", x
            strides = down if stage > 0 and block == 0 else (1, 1)
            if block == 0:
                if stage > 0:
                    shortcut = pool(x, "mean", strides, strides)
                shortcut = conv_norm(f"{name}.short", shortcut)
            x = relu(conv_norm(f"{name}.conv0", x, strides))
            x = relu(conv_norm(f"{name}.conv1", x) + shortcut)
        maps.append(x)
    return maps


# Kernel, squeeze-and-excite, activation, strides, shortcut of the mobile recognizer's units.
MOBILE_UNITS = (
    (3, True, relu, (1, 1), False),
    (3, False, relu, (2, 1), False),
    (3, False, relu, (1, 1), True),
    (5, True, hardswish, (2, 1), False),
    (5, True, hardswish, (1, 1), True),
    (5, True, hardswish, (1, 1), True),
    (5, True, hardswish, (1, 1), True),
    (5, True, hardswish, (1, 1), True),
    (5, True, hardswish, (2, 1), False),
    (5, True, hardswish, (1, 1), True),
    (5, True, hardswish, (1, 1), True),
)


def mobilenet_v3_text(t: Tensors, x: np.ndarray) -> np.ndarray:
    """The mobile recognizer's backbone, (N, 3, 32, W) -> (N, 288, 1, W / 4)."""

    def conv_norm(name: str, x: np.ndarray, strides: Pair = (1, 1)) -> np.ndarray:
        name = f"backbone.{name}"
        return norm(t, f"{name}.bn", conv(x, t[f"{name}.conv.weight"], strides))

    def squeeze_excite(name: str, x: np.ndarray) -> np.ndarray:
        weights, biases = ([t[f"backbone.{name}.conv{i}.{kind}"] for i in (1, 2)] for kind in ("weight", "bias"))
        hidden = relu(conv(x.mean((2, 3), keepdims=True), weights[0]) + biases[0][:, None, None])
        return x * np.clip(0.2 * (conv(hidden, weights[1]) + biases[1][:, None, None]) + 0.5, 0, 1)

    x = hardswish(conv_norm("conv1", x, (2, 2)))
    for i, (kernel, excite, activation, strides, shortcut) in enumerate(MOBILE_UNITS):
        name, before = f"blocks.{i}", x
        assert t[f"backbone.{name}.bottleneck_conv.conv.weight"].shape[2] == kernel
        x = activation(conv_norm(f"{name}.expand_conv", x))
        x = activation(conv_norm(f"{name}.bottleneck_conv", x, strides))
        x = squeeze_excite(f"{name}.mid_se", x) if excite else x
        x = conv_norm(f"{name}.linear_conv", x)
        x = before + x if shortcut else x
    return pool(hardswish(conv_norm("conv2", x)), "max", (2, 2), (2, 2))


def db_probability(t: Tensors, maps: list[np.ndarray]) -> np.ndarray:
    """FPN and the probability branch: (N, H, W)."""

    def larger(x: np.ndarray, factor: int) -> np.ndarray:
        return x.repeat(factor, 2).repeat(factor, 3)

    in2, in3, in4, in5 = (conv(x, t[f"neck.in{i}_conv.weight"]) for i, x in enumerate(maps, start=2))
    out4 = in4 + larger(in5, 2)
    out3 = in3 + larger(out4, 2)
    out2 = in2 + larger(out3, 2)
    p5, p4, p3, p2 = (
        conv(x, t[f"neck.p{i}_conv.weight"]) for i, x in zip((5, 4, 3, 2), (in5, out4, out3, out2), strict=True)
    )
    x = np.concatenate([larger(p5, 8), larger(p4, 4), larger(p3, 2), p2], axis=1)
    x = relu(norm(t, "head.binarize.conv_bn1", conv(x, t["head.binarize.conv1.weight"])))
    x = deconv_2x2(x, t["head.binarize.conv2.weight"], t["head.binarize.conv2.bias"])
    x = relu(norm(t, "head.binarize.conv_bn2", x))
    return sigmoid(deconv_2x2(x, t["head.binarize.conv3.weight"], t["head.binarize.conv3.bias"])[:, 0])


def bilstm(t: Tensors, layer: int, x: np.ndarray) -> np.ndarray:
    """One bidirectional layer of the neck, (N, T, C) -> (N, T, 2H), time step after time step."""
    sides = []
    for suffix in ("", "_reverse"):
        leaves = (
            f"neck.encoder.lstm.{kind}_l{layer}{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        weight_ih, weight_hh, bias_ih, bias_hh = (t[leaf] for leaf in leaves)
        h = c = np.zeros((len(x), weight_hh.shape[1]))
        y = np.zeros((*x.shape[:2], weight_hh.shape[1]))
        for step in range(x.shape[1])[:: -1 if suffix else 1]:
            gates = x[:, step] @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh
            i, f, g, o = np.split(gates, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            y[:, step] = h
        sides.append(y)
    return np.concatenate(sides, axis=2)


def read(t: Tensors, backbone: np.ndarray) -> dict[str, np.ndarray]:
    """What a recognizer with a head of one layer makes of its backbone's output (N, C, 1, T)."""
    sequence = backbone[:, :, 0].transpose(0, 2, 1)
    neck = bilstm(t, 1, bilstm(t, 0, sequence))
    logits = neck @ t["head.fc.weight"] + t["head.fc.bias"]
    return {"backbone": sequence, "neck": neck, "logits": logits, "probabilities": softmax(logits)}
