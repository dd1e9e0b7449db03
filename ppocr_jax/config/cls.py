"""Options of training the direction classifier, or an image classifier to pretrain a backbone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ppocr_jax.config.common import (
    ConfigError,
    LabelSource,
    OptimizerConfig,
    Recipe,
    SlimConfig,
    SyntheticConfig,
    TaskConfig,
    TrainConfig,
    check_least,
    check_share,
)


@dataclass(frozen=True)
class ClsModelConfig:
    """Direction classifier: MobileNetV3-small x0.35, PP-OCR (arXiv 2009.09941), section 2.2.

    Attributes:
        name: one of `ppocr_jax.models.MODELS`.
        scale: width multiplier of the backbone.
    """

    name: str = "direction_mobilenet_v3"
    scale: float = 0.35


@dataclass(frozen=True)
class ClsDataConfig:
    """Classifier data: line images, half of them upright and half rotated by 180 degrees. Size: PaddleOCR release/2.6.

    Attributes:
        train_labels: real lines; empty for synthetic lines only.
        val_labels: real lines for validation, every second one rotated; synthetic lines if empty.
        charset: characters of the lines: a built-in charset ("en") or a file with one character per line.
        charset_space: add a space to a charset file (`use_space_char` of PaddleOCR); built-in charsets have one.
        synthetic: sources of synthetic lines.
        synthetic_share: fraction of synthetic lines.
        height: height of a line image in pixels.
        width: width of a line image in pixels.
        long_lines: treatment of lines wider than `width`: "squeeze" them (PaddleOCR), or show up to three "windows" of
            them together; training sees one of these.
        augmentation: augmentation of real lines, as for the recognizer.
        synthetic_augmentation: augmentation of synthetic lines.
        rand_augment: then apply two random operations to half of the lines (PP-OCR, section 2.2).
        augment_probability: probability of each augmentation.
        val_synthetic: number of synthetic lines for validation, in fonts that training does not see.
    """

    train_labels: tuple[LabelSource, ...] = ()
    val_labels: tuple[LabelSource, ...] = ()
    charset: str = "en"
    charset_space: bool = False
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    synthetic_share: float = 0.5
    height: int = 48
    width: int = 192
    long_lines: Literal["squeeze", "windows"] = "squeeze"
    augmentation: Recipe = "mild"
    synthetic_augmentation: Recipe = "none"
    rand_augment: bool = False
    augment_probability: float = 0.4
    val_synthetic: int = 1000

    def __post_init__(self) -> None:
        check_least("data", self, height=1, width=1, val_synthetic=1)
        check_share("data.augment_probability", self.augment_probability)
        check_share("data.synthetic_share", self.synthetic_share)


@dataclass(frozen=True)
class ClsLossConfig:
    """Cross-entropy of the direction, with an optional auxiliary loss on synthetic lines (not in the paper).

    One bit per line teaches the shapes of letters slowly. The generator of a synthetic line knows the position of every
    character, so an auxiliary head can learn, column by column, which character is there and whether it is rotated.

    Attributes:
        frame_weight: weight of the auxiliary loss; with 0, there is no auxiliary head.
    """

    frame_weight: float = 0.0


@dataclass(frozen=True)
class ClsConfig(TaskConfig):
    """Training of the direction classifier. Cosine from 0.001 without warmup, batch 512: PaddleOCR release/2.6.

    Attributes:
        name: name of the experiment and of the resulting model.
    """

    task: ClassVar[str] = "cls"
    name: str = "cls"
    model: ClsModelConfig = field(default_factory=ClsModelConfig)
    data: ClsDataConfig = field(default_factory=ClsDataConfig)
    loss: ClsLossConfig = field(default_factory=ClsLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=20_000, batch_size=512, work_dir="runs/cls"))
    slim: SlimConfig = field(default_factory=SlimConfig)

    @property
    def charset_name(self) -> str:
        return self.data.charset

    @property
    def charset_space(self) -> bool:
        return self.data.charset_space


@dataclass(frozen=True)
class ImageModelConfig:
    """Image classifier: PP-LCNet x1.0 (arXiv 2109.15099), whose backbone at x0.5 is that of the PP-OCRv2 recognizer.

    Attributes:
        name: "pp_lcnet", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large" or "ghostnet".
        num_classes: number of classes, one folder of images each.
        scale: width multiplier of the backbone; the network's default if not set.
    """

    name: str = "pp_lcnet"
    num_classes: int = 1000
    scale: float | None = None


@dataclass(frozen=True)
class ImageDataConfig:
    """Image folders, one per class. Size, crops and mirroring: the usual ImageNet training.

    Attributes:
        train_folder: folder that contains a folder per class; classes are numbered by name.
        val_folder: the same for validation.
        size: side of the square network input in pixels.
        least_area: smallest share of a training image that a crop covers.
        mirror: probability of mirroring a training image; 0 for images of text.
    """

    train_folder: str = "train_data/image/train"
    val_folder: str = "train_data/image/val"
    size: int = 224
    least_area: float = 0.08
    mirror: float = 0.5

    def __post_init__(self) -> None:
        check_share("data.mirror", self.mirror)
        if not 0 < self.least_area <= 1:
            raise ConfigError(f"data.least_area must be above 0 and at most 1, not {self.least_area}")


@dataclass(frozen=True)
class ImageLossConfig:
    """Cross-entropy.

    Attributes:
        smoothing: label smoothing: share of each label's weight spread over all classes; 0.1 in PP-LCNet's training.
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        check_share("loss.smoothing", self.smoothing)


@dataclass(frozen=True)
class ImageConfig(TaskConfig):
    """Training of an image classifier. The papers use SGD and 360 epochs; here it is Adam, as for the text networks.

    Attributes:
        name: name of the experiment and of the resulting model.
    """

    task: ClassVar[str] = "image"
    name: str = "image"
    model: ImageModelConfig = field(default_factory=ImageModelConfig)
    data: ImageDataConfig = field(default_factory=ImageDataConfig)
    loss: ImageLossConfig = field(default_factory=ImageLossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch_size=256, work_dir="runs/image"))
