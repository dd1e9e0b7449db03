"""Options of training classifiers: of the direction of lines, or of images, for a backbone to start from."""

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
    check_share,
)


@dataclass(frozen=True)
class ClsModelConfig:
    """Direction classifier: MobileNetV3-small x0.35, PP-OCR (arXiv 2009.09941), section 2.2.

    Attributes:
        name: an entry of `ppocr_jax.models`.
        scale: width multiplier of the backbone.
    """

    name: str = "direction_mobilenet_v3"
    scale: float = 0.35


@dataclass(frozen=True)
class ClsDataConfig:
    """Classifier data: line pictures upright and turned by 180 degrees, half each. Size: PaddleOCR release/2.6.

    Attributes:
        train_labels: real lines; empty with synthetic lines alone.
        val_labels: real lines for the evaluation, every second one turned; drawn lines where there are none.
        charset: characters of the lines: a built-in set ("en") or a file with one character a line.
        charset_space: a space is added to a charset file (PaddleOCR's `use_space_char`); built-in sets have theirs.
        synthetic: material of synthetic lines.
        synthetic_share: fraction of synthetic lines.
        height: of a line picture, pixels.
        width: of a line picture, pixels.
        long_lines: how a line wider than `width` is shown: "squeeze" it (PaddleOCR), or up to three
            "windows" of it, together; training sees one of them.
        augmentation: changes to real lines, as for the recognizer.
        drawn_augmentation: changes to drawn lines.
        rand_augment: after that, two random operations on half of the lines (PP-OCR, section 2.2).
        augment_probability: chance of each change.
        val_synthetic: drawn lines, in fonts that training does not see, for the evaluation.
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
    drawn_augmentation: Recipe = "none"
    rand_augment: bool = False
    augment_probability: float = 0.4
    val_synthetic: int = 1000

    def __post_init__(self) -> None:
        check_share("data.synthetic_share", self.synthetic_share)


@dataclass(frozen=True)
class ClsLossConfig:
    """Cross-entropy of the direction, with an optional auxiliary loss on drawn lines (not the paper's).

    One bit a line teaches the shapes of letters slowly. A drawn line's generator knows every character's position, so
    an auxiliary head can learn, column by column, which character stands there and whether it is turned.

    Attributes:
        frame_weight: weight of the auxiliary loss; 0 trains without the head.
    """

    frame_weight: float = 0.0


@dataclass(frozen=True)
class ClsConfig(TaskConfig):
    """Training of the direction classifier. Cosine from 0.001 without warm-up, batch 512: PaddleOCR release/2.6.

    Attributes:
        name: name of the experiment and of the model it makes.
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
