"""Options of training an image classifier, whose backbone a text network then starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ppocr_jax.config.common import ConfigError, OptimizerConfig, TaskConfig, TrainConfig, check_share


@dataclass(frozen=True)
class ImageModelConfig:
    """Image classifier: PP-LCNet x1.0 (arXiv 2109.15099), whose backbone is that of PP-OCRv2's recognizer x0.5.

    Attributes:
        name: "pp_lcnet", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large" or "ghostnet".
        num_classes: folders of pictures.
        scale: width multiplier of the backbone; the network's own if left out.
    """

    name: str = "pp_lcnet"
    num_classes: int = 1000
    scale: float | None = None


@dataclass(frozen=True)
class ImageDataConfig:
    """Pictures in one folder for each class. Size, crops and mirroring: the usual ImageNet training.

    Attributes:
        train_folder: holds the folders of classes, which are numbered by name.
        val_folder: the same for the evaluation.
        size: side of the square that the network sees, pixels.
        least_area: of a training picture, the smallest share that a crop shows.
        mirror: chance that a training picture is mirrored; 0 for pictures of text.
    """

    train_folder: str = "train_data/image/train"
    val_folder: str = "train_data/image/val"
    size: int = 224
    least_area: float = 0.08
    mirror: float = 0.5

    def __post_init__(self) -> None:
        check_share("data.mirror", self.mirror)
        if not 0 < self.least_area <= 1:
            raise ConfigError(f"data.least_area is a share above 0 and up to 1, not {self.least_area}")


@dataclass(frozen=True)
class ImageLossConfig:
    """Cross-entropy.

    Attributes:
        smoothing: share of each label's weight that all classes get alike; 0.1 in PP-LCNet's training.
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        check_share("loss.smoothing", self.smoothing)


@dataclass(frozen=True)
class ImageConfig(TaskConfig):
    """Training of an image classifier. The papers use SGD and 360 epochs; here it is Adam, as for the text networks.

    Attributes:
        name: name of the experiment and of the model it makes.
    """

    task: ClassVar[str] = "image"
    name: str = "image"
    model: ImageModelConfig = field(default_factory=ImageModelConfig)
    data: ImageDataConfig = field(default_factory=ImageDataConfig)
    loss: ImageLossConfig = field(default_factory=ImageLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=256, work_dir="runs/image"))
