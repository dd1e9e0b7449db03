"""The two networks of train_speed.py and their losses in plain PyTorch, for comparison with ppocr_jax.

They are written for a fair comparison, not for use: ordinary PyTorch modules in channels_last with PyTorch's fused
kernels (hard swish, LSTM, CTC, Adam). Widths are those of the published tables at scale 0.5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# PP-LCNet blocks: kernel side, channels, strides, squeeze-and-excite.
_LCNET = (
    (3, 32, (1, 1), False),
    (3, 64, (1, 1), False),
    (3, 64, (1, 1), False),
    (3, 128, (2, 1), False),
    (3, 128, (1, 1), False),
    (3, 256, (2, 1), False),
    *((5, 256, (1, 1), False) for _ in range(5)),
    (5, 512, (2, 1), True),
    (5, 512, (1, 1), True),
)
# MobileNetV3-large units: kernel side, expanded channels, channels, activation, stride.
_MOBILENET = (
    (3, 8, 8, nn.ReLU, 1),
    (3, 32, 16, nn.ReLU, 2),
    (3, 40, 16, nn.ReLU, 1),
    (5, 40, 24, nn.ReLU, 2),
    (5, 64, 24, nn.ReLU, 1),
    (5, 64, 24, nn.ReLU, 1),
    (3, 120, 40, nn.Hardswish, 2),
    (3, 104, 40, nn.Hardswish, 1),
    (3, 96, 40, nn.Hardswish, 1),
    (3, 96, 40, nn.Hardswish, 1),
    (3, 240, 56, nn.Hardswish, 1),
    (3, 336, 56, nn.Hardswish, 1),
    (5, 336, 80, nn.Hardswish, 2),
    (5, 480, 80, nn.Hardswish, 1),
    (5, 480, 80, nn.Hardswish, 1),
)
_DB_K = 50


def _conv_bn(cin: int, cout: int, kernel: int = 1, stride=1, *, groups: int = 1, activation=nn.Hardswish):
    conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(cout), activation())


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class Recognizer(nn.Module):
    """PP-LCNet x0.5 -> two bidirectional LSTM layers -> CTC head; (B, 3, 32, W) -> logits (B, W / 4, K)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers, width = [_conv_bn(3, 16, 3, 2)], 16
        for kernel, channels, strides, squeeze_excite in _LCNET:
            layers.append(_conv_bn(width, width, kernel, strides, groups=width))
            layers += [SqueezeExcite(width)] if squeeze_excite else []
            layers.append(_conv_bn(width, channels))
            width = channels
        self.backbone = nn.Sequential(*layers, nn.MaxPool2d(2))
        self.lstm = nn.LSTM(width, 64, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Sequential(nn.Linear(128, 96), nn.Linear(96, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone(images).squeeze(2).transpose(1, 2)
        return self.head(self.lstm(features)[0])


class InvertedResidual(nn.Module):
    def __init__(self, cin: int, unit: tuple[int, int, int, type, int]) -> None:
        super().__init__()
        kernel, expanded, cout, activation, stride = unit
        self.body = nn.Sequential(
            _conv_bn(cin, expanded, activation=activation),
            _conv_bn(expanded, expanded, kernel, stride, groups=expanded, activation=activation),
            _conv_bn(expanded, cout, activation=nn.Identity),
        )
        self.shortcut = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


def _db_branch(channels: int) -> nn.Module:
    quarter = channels // 4
    return nn.Sequential(
        _conv_bn(channels, quarter, 3, activation=nn.ReLU),
        nn.ConvTranspose2d(quarter, quarter, 2, 2),
        nn.BatchNorm2d(quarter),
        nn.ReLU(),
        nn.ConvTranspose2d(quarter, 1, 2, 2),
        nn.Sigmoid(),
    )


class Detector(nn.Module):
    """MobileNetV3-large x0.5 without squeeze-and-excite -> FPN -> DB head; (B, 3, H, W) -> three maps (B, H, W)."""

    def __init__(self, channels: int = 96) -> None:
        super().__init__()
        stages, layers, width = [], [_conv_bn(3, 8, 3, 2)], 8
        widths = []
        for i, unit in enumerate(_MOBILENET):
            if unit[-1] == 2 and i > 1:
                stages.append(nn.Sequential(*layers))
                widths.append(width)
                layers = []
            layers.append(InvertedResidual(width, unit))
            width = unit[2]
        stages.append(nn.Sequential(*layers, _conv_bn(width, 480)))
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(nn.Conv2d(w, channels, 1, bias=False) for w in (*widths, 480))
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels // 4, 3, 1, 1, bias=False) for _ in range(4))
        self.probability, self.threshold = _db_branch(channels), _db_branch(channels)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps, x = [], images
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        for level in (2, 1, 0):
            maps[level] = maps[level] + F.interpolate(maps[level + 1], scale_factor=2)
        smooth = [conv(x) for conv, x in zip(self.smooth, maps, strict=True)]
        fused = torch.cat([F.interpolate(smooth[i], scale_factor=2**i) for i in (3, 2, 1)] + [smooth[0]], 1)
        probability, threshold = self.probability(fused).squeeze(1), self.threshold(fused).squeeze(1)
        return probability, threshold, torch.sigmoid(_DB_K * (probability - threshold))


def ctc_loss(logits: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean negative log-likelihood over the batch, with blank 0."""
    log_probabilities = logits.log_softmax(-1).transpose(0, 1)
    frames = torch.full_like(lengths, logits.shape[1])
    return F.ctc_loss(log_probabilities, labels, frames, lengths, reduction="sum", zero_infinity=True) / len(labels)


def _dice(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    overlap = (pred * target * mask).sum()
    return 1 - 2 * overlap / ((pred * mask).sum() + (target * mask).sum() + 1e-6)


def db_loss(outputs: tuple[Tensor, Tensor, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Return 5 dice(P, g) + 10 L1(T, t) + dice(B, g), PP-OCR's form of the DB loss for a batch with text."""
    probability, threshold, binary = outputs
    shrink, mask = targets["shrink_map"], targets["shrink_mask"]
    difference = ((threshold - targets["threshold_map"]).abs() * targets["threshold_mask"]).sum()
    l1 = difference / (targets["threshold_mask"].sum() + 1e-6)
    return 5 * _dice(probability, shrink, mask) + 10 * l1 + _dice(binary, shrink, mask)
