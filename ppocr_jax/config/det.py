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
    check_share,
    check_students,
)


@dataclass(frozen=True)
class DetModelConfig:
    """Detector: DB on MobileNetV3-large x0.5 with a 96-wide FPN, the student of PP-OCRv2, section 2.1.

    Attributes:
        name: "db_mobilenet_v3", or "db_resnet18", the teacher.
        scale: width multiplier of a MobileNetV3 backbone; the network's own (0.5) if left out.
        neck_channels: inner width of the FPN; the network's own (96, the teacher's 256) if left out.
        expansions: channels of a pruned MobileNetV3 backbone, as `ppocr-jax slim prune` prints them; a start from a
            pruned file brings them along.
        features: goes with `expansions`.
        last: goes with `expansions`.
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
            raise ConfigError("model.expansions, model.features and model.last go together")


@dataclass(frozen=True)
class DetDataConfig:
    """Detector data: PaddleOCR release/2.6, whose crop is EAST's "crop that keeps whole words".

    Attributes:
        train_labels: labeled pictures; empty with `synthetic_share` 1.
        val_labels: labeled pictures for the evaluation.
        synthetic: material of synthetic pages.
        synthetic_share: fraction of each batch that is synthetic.
        synthetic_charset: characters of synthetic pages, a built-in charset or a file; with "ch" most are in Chinese.
        crop_size: side of the square training crop, pixels, a multiple of 32.
        crop: "reference" draws crops as PaddleOCR does, scaling the picture as it is stored; "page" first brings it to
            the size at which pages are read (long side 960), so that text in training is as large as in use.
        scale_range: random rescaling before the crop.
        copy_paste: paste text regions of one labeled picture onto another (PP-OCRv2 section 2.1).
        photometric: also jitter contrast, blur, noise and compression.
        val_limit: pictures of each validation file to score while training, evenly spread; all if left out.
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
    val_limit: int | None = None

    def __post_init__(self) -> None:
        if self.crop_size < 32 or self.crop_size % 32:
            raise ConfigError(f"data.crop_size must be a multiple of 32, not {self.crop_size}")
        check_share("data.synthetic_share", self.synthetic_share)


@dataclass(frozen=True)
class DetLossConfig:
    """DB loss: the weights and the dice form of PaddleOCR release/2.6, which the paper's models were trained with.

    Attributes:
        main: loss on the probability map: "dice", or "bce" with hard-negative mining as in the DB paper.
        alpha: weight of the probability map; with 0 (and `beta` 0) only the teacher teaches, and labels are not used.
        beta: weight of the threshold map; with 0 the network has no branch for it (nor the binary map made from it).
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
        students: S detectors of one kind, from different random weights, that learn from each other; 1 learns alone.
        dml_weight: weight of what the students say of each other's probability maps (eq. 2).
        dml_form: "code" compares the text class alone, as PaddleOCR; "paper" the symmetric KL divergence of both.
        teacher: a frozen detector, in any form that `train.init` takes; or one or several ONNX detectors, whose maps
            ONNX Runtime makes in the data workers and whose mean teaches: files, or the names of PP-OCR's released
            models such as "ppocr-v4"; none if left out.
        teacher_mode: "eval", or "train" for BatchNorm by the batch's statistics, as PaddleOCR happens to do; not of
            ONNX detectors.
        teacher_weight: weight of what the teacher's map says (eq. 3 and 4).
        teacher_form: what of the teacher's map is the target: "dilated" as in PP-OCRv2 (eq. 3), the map itself
            ("soft"), or its pixels above `teacher_threshold` ("hard"). See `losses.distillation`.
        teacher_threshold: "hard" only.
        teacher_disagreement: pixels at which ONNX teachers differ by more than this teach nothing; 1 keeps all.
        binarize_teacher: "dilated" only: dilate the map's pixels above 0.3 (PaddleOCR), not the map itself (the
            paper's text).
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
    """How the probability map becomes boxes, in validation and in the exported model; PaddleOCR release/2.6's values.

    A detector trained for a short time is less sure of itself, and wants a lower `box_threshold`.

    Attributes:
        threshold: pixels above it are text.
        box_threshold: boxes whose mean probability is below it are dropped.
        unclip_ratio: how far a box grows back, the shrinking of the targets undone.
    """

    threshold: float = 0.3
    box_threshold: float = 0.6
    unclip_ratio: float = 1.5


@dataclass(frozen=True)
class DetConfig(TaskConfig):
    """Training of a text detector. Batch 8, cosine from 0.001 after two epochs' warm-up: PP-OCRv2, section 3.1.

    Attributes:
        name: name of the experiment and of the model it makes.
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
            raise ConfigError("loss.alpha and loss.beta are 0 and there is no mutual.teacher: nothing would be learned")

    @property
    def students(self) -> int:
        return self.mutual.students
