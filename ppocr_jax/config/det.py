"""Options of training a text detector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ppocr_jax.config.common import (
    ConfigError,
    LabelSource,
    OptimizerConfig,
    SlimConfig,
    SyntheticConfig,
    TaskConfig,
    TrainConfig,
    check_least,
    check_share,
    check_students,
)


@dataclass(frozen=True)
class DetModelConfig:
    """Detector: DB on MobileNetV3-large x0.5 with a 96-wide FPN, the student of PP-OCRv2, section 2.1.

    Attributes:
        name: "db_mobilenet_v3", or "db_resnet18" (the teacher).
        scale: width multiplier of a MobileNetV3 backbone; the network's default (0.5) if not set.
        neck_channels: inner width of the FPN; the network's default (96, or 256 for the teacher) if not set.
        expansions: channels of a pruned MobileNetV3 backbone, as printed by `ppocr-jax slim prune`; taken from the file
            if training starts from a pruned one.
        features: used together with `expansions`.
        last: used together with `expansions`.
    """

    name: str = "db_mobilenet_v3"
    scale: float | None = None
    neck_channels: int | None = None
    expansions: tuple[int, ...] = ()
    features: tuple[int, ...] = ()
    last: int | None = None

    def __post_init__(self) -> None:
        given = [bool(self.expansions), bool(self.features), self.last is not None]
        if any(given) and not all(given):
            raise ConfigError("model.expansions, model.features and model.last must be set together")


@dataclass(frozen=True)
class DetDataConfig:
    """Detector data: PaddleOCR release/2.6, whose crop is EAST's "crop that keeps whole words".

    Attributes:
        train_labels: labeled images; empty if `synthetic_share` is 1.
        val_labels: labeled images for validation.
        synthetic: sources of synthetic pages.
        synthetic_share: fraction of each batch that is synthetic.
        synthetic_charset: charset of synthetic pages, built-in or a file; with "ch", most pages are in Chinese.
        crop_size: side of the square training crop in pixels, a multiple of 32.
        crop: "reference" samples crops as PaddleOCR does, scaling the image as stored; "page" first scales it to the
            size at which pages are read (long side 960), so that text is as large in training as in use.
        scale_range: random rescaling before the crop.
        copy_paste: paste text regions of one labeled image onto another (PP-OCRv2, section 2.1).
        photometric: also vary contrast, blur, noise and compression.
        shrink_ratio: r in the distance A (1 - r^2) / L by which text of area A and perimeter L shrinks in the targets;
            0.4 in DB and PaddleOCR. Use 0.55 for labels beside the maps of PP-OCRv4's and PP-OCRv6's detectors, and for
            detectors taught by them (`en`), whose text is less shrunk: reading them needs no other `unclip_ratio`.
        val_limit: images of each validation file to score during training, evenly spread; all if not set.
    """

    train_labels: tuple[LabelSource, ...] = ()
    val_labels: tuple[LabelSource, ...] = ()
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    synthetic_share: float = 0.0
    synthetic_charset: str = "en"
    crop_size: int = 960
    crop: Literal["reference", "page"] = "reference"
    scale_range: tuple[float, float] = (0.5, 3.0)
    copy_paste: bool = False
    photometric: bool = False
    shrink_ratio: float = 0.4
    val_limit: int | None = None

    def __post_init__(self) -> None:
        if self.crop_size < 32 or self.crop_size % 32:
            raise ConfigError(f"data.crop_size must be a multiple of 32, not {self.crop_size}")
        check_least("data", self, val_limit=1)
        check_share("data.synthetic_share", self.synthetic_share)
        if not 0 < self.shrink_ratio < 1:
            raise ConfigError(f"data.shrink_ratio must be between 0 and 1, not {self.shrink_ratio}")
        if not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise ConfigError(f"data.scale_range must be (least, greatest) above 0, not {list(self.scale_range)}")


@dataclass(frozen=True)
class DetLossConfig:
    """DB loss: the weights and the dice form of PaddleOCR release/2.6, which the paper's models were trained with.

    Attributes:
        main: loss on the probability map: "dice", or "bce" with hard-negative mining as in the DB paper.
        alpha: weight of the probability map; if this and `beta` are 0, only the teacher is used, no labels.
        beta: weight of the threshold map; with 0, the network has no branch for it (nor the binary map made from it).
        negative_ratio: hard negatives per positive pixel ("bce").
    """

    main: Literal["dice", "bce"] = "dice"
    alpha: float = 5.0
    beta: float = 10.0
    negative_ratio: float = 3.0


@dataclass(frozen=True)
class DetMutualConfig:
    """Mutual learning: DML between students and, with a teacher, CML (PP-OCRv2 section 2.1, eq. 1 to 4).

    Attributes:
        students: number of identical detectors with different random weights that learn from each other; 1 for none.
        dml_weight: weight of the loss between the probability maps of the students (eq. 2).
        dml_form: "code" compares only the text class (PaddleOCR); "paper" uses the symmetric KL divergence of both.
        teacher: a frozen detector, in any form that `train.init` accepts; or one or several ONNX detectors, which
            ONNX Runtime runs in the data workers and whose mean map is the target: files, or names of released PP-OCR
            models such as "ppocr-v4"; none if not set.
        teacher_mode: "eval", or "train" for BatchNorm with batch statistics, as PaddleOCR happens to do; not for ONNX
            detectors.
        teacher_weight: weight of the loss against the teacher's map (eq. 3 and 4).
        teacher_form: target derived from the teacher's map: "dilated" as in PP-OCRv2 (eq. 3), the map itself ("soft"),
            or its pixels above `teacher_threshold` ("hard"). See `losses.distillation`.
        teacher_threshold: "hard" only: threshold of the teacher's map.
        teacher_disagreement: ignore pixels at which ONNX teachers differ by more than this; 1 keeps all.
        binarize_teacher: "dilated" only: dilate the pixels of the map above 0.3 (PaddleOCR) instead of the map itself
            (the text of the paper).
    """

    students: int = 1
    dml_weight: float = 1.0
    dml_form: Literal["code", "paper"] = "code"
    teacher: tuple[str, ...] = ()
    teacher_mode: Literal["eval", "train"] = "eval"
    teacher_weight: float = 1.0
    teacher_form: Literal["dilated", "soft", "hard"] = "dilated"
    teacher_threshold: float = 0.5
    teacher_disagreement: float = 1.0
    binarize_teacher: bool = True

    def __post_init__(self) -> None:
        check_students(self.students)
        check_share("mutual.teacher_threshold", self.teacher_threshold)
        check_share("mutual.teacher_disagreement", self.teacher_disagreement)


@dataclass(frozen=True)
class DetReadingConfig:
    """Conversion of the probability map to boxes in validation and export; values of PaddleOCR release/2.6.

    A briefly trained detector is less confident and needs a lower `box_threshold`.

    Attributes:
        threshold: pixels with a probability above this are text.
        box_threshold: drop boxes with a mean probability below this.
        unclip_ratio: how far a box is expanded, to undo the shrinking of the targets.
    """

    threshold: float = 0.3
    box_threshold: float = 0.6
    unclip_ratio: float = 1.5


@dataclass(frozen=True)
class DetConfig(TaskConfig):
    """Training of a text detector. Batch 8, cosine from 0.001 after two epochs of warmup: PP-OCRv2, section 3.1.

    Attributes:
        name: name of the experiment and of the resulting model.
    """

    task: ClassVar[str] = "det"
    name: str = "det"
    model: DetModelConfig = field(default_factory=DetModelConfig)
    data: DetDataConfig = field(default_factory=DetDataConfig)
    loss: DetLossConfig = field(default_factory=DetLossConfig)
    mutual: DetMutualConfig = field(default_factory=DetMutualConfig)
    reading: DetReadingConfig = field(default_factory=DetReadingConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(warmup_steps=300))
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(batch_size=8, key_metric="hmean", work_dir="runs/det")
    )
    slim: SlimConfig = field(default_factory=SlimConfig)

    def __post_init__(self) -> None:
        if self.loss.alpha == self.loss.beta == 0 and not (self.mutual.teacher and self.mutual.teacher_weight):
            raise ConfigError(
                "loss.alpha and loss.beta are 0 and mutual.teacher is not set: nothing would be learned; set one"
            )

    @property
    def students(self) -> int:
        return self.mutual.students
