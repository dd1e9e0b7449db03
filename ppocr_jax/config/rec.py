"""Options of training a text recognizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

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
    check_students,
)


@dataclass(frozen=True)
class RecModelConfig:
    """Recognizer: CRNN on PP-LCNet x0.5, PP-OCRv2, section 2.2.

    Attributes:
        name: "crnn_lcnet"; "crnn_mobilenet_v3" (mobile) or "crnn_resnet34" (server) of PP-OCR; or "svtr_lcnet" of
            PP-OCRv3, which reads lines 48 pixels high.
        charset: a built-in charset ("en"), a file with one character per line, or a `model.json`.
        charset_space: add a space to a charset file (`use_space_char` of PaddleOCR); built-in charsets have one.
        scale: width multiplier of the backbone; the network's default (0.5) if not set.
        hidden: LSTM units per direction, or channels of the mixing blocks; the network's default (64, 48, 256 and 120)
            if not set.
        activation: activation after the convolutions of "crnn_lcnet": "hard_swish" (its default), or "relu", which is
            faster in int8 (docs/slimming.md).
        mask_padding: exclude columns beyond the end of a line from the attention of "svtr_lcnet", in training and in
            reading; PP-OCRv3 does not.
    """

    name: str = "crnn_lcnet"
    charset: str = "en"
    charset_space: bool = False
    scale: float | None = None
    hidden: int | None = None
    activation: str | None = None
    mask_padding: bool = False


@dataclass(frozen=True)
class RecDataConfig:
    """Recognizer data. Height 32, widths up to 320 and labels of 25 characters: PaddleOCR release/2.6.

    Attributes:
        train_labels: real lines; empty for synthetic lines only.
        val_labels: real lines for validation.
        synthetic: sources of synthetic lines.
        synthetic_warm_steps: number of first steps that see only synthetic lines.
        synthetic_share: fraction of synthetic lines after those steps.
        height: height of a line image in pixels.
        widths: width buckets of line images in pixels, increasing; a batch contains lines of one bucket.
        reference_width: batches of a bucket contain `batch_size * reference_width / width` lines, so that all cost the
            same; `batch_size` in every bucket if not set.
        max_label_length: skip longer labels; 0 allows what the widest bucket can hold, see `longest_label`. In any
            bucket, a label fills at most three quarters of the network's frames.
        join_probability: probability of appending up to two more lines to a real line (TextConAug; 0.5 in PP-OCRv3).
        augmentation: augmentation of real lines: "paper" is the base data augmentation of PP-OCR with TIA, "paper-2.4"
            that of PaddleOCR 2.4, "bda" the same without TIA; "mild" and "strong" are our own. See `data.augment_rec`.
        synthetic_augmentation: augmentation of synthetic lines, which the generator has already degraded.
        augment_probability: probability of each augmentation.
        val_limit: lines of each validation file to score during training, evenly spread; all if not set.
        val_ignore_case: ignore case in scores.
        val_ignore_space: ignore spaces in scores, as PaddleOCR does.
    """

    train_labels: tuple[LabelSource, ...] = ()
    val_labels: tuple[LabelSource, ...] = ()
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    synthetic_warm_steps: int = 0
    synthetic_share: float = 0.5
    height: int = 32
    widths: tuple[int, ...] = (64, 96, 128, 160, 240, 320, 480)
    reference_width: int | None = None
    max_label_length: int = 25
    augmentation: Recipe = "mild"
    synthetic_augmentation: Recipe = "none"
    augment_probability: float = 0.4
    join_probability: float = 0.0
    val_limit: int | None = None
    val_ignore_case: bool = False
    val_ignore_space: bool = True

    def __post_init__(self) -> None:
        check_least("data", self, height=1, reference_width=1, max_label_length=0, val_limit=1)
        check_share("data.augment_probability", self.augment_probability)
        if not self.widths or list(self.widths) != sorted(set(self.widths)):
            raise ConfigError(f"data.widths must be in increasing order, not {list(self.widths)}")
        check_share("data.synthetic_share", self.synthetic_share)
        check_share("data.join_probability", self.join_probability)

    def longest_label(self, frame_width: int) -> int:
        """Return the characters of the longest label that is used.

        Args:
            frame_width: pixels of a line for each frame of the network's output, of which three in four may be
                characters, as CTC wants blanks between those that repeat.
        """
        return self.max_label_length or self.widths[-1] // frame_width * 3 // 4


@dataclass(frozen=True)
class RecLossConfig:
    """CTC, with an optional frame-wise warm start on synthetic lines, whose alignment is known.

    The paper trains with CTC alone (`align_steps` 0). CTC from scratch must find the alignment by itself and stays on
    a plateau for a long time; a frame-wise cross-entropy on the generator's character positions avoids that.

    Attributes:
        align_steps: number of steps with the frame-wise loss; 0 for none.
        align_weight: weight of the frame-wise loss.
        ctc_from_step: step from which on CTC is used.
        ctc_weight: weight of CTC during the frame-wise loss; 1 afterwards.
        focal: weight the CTC loss l of each line by (1 - exp(-l))^2, so that hard lines count more.
        center_weight: weight of the center loss (Enhanced CTC, PP-OCRv2 eq. 10 to 12; 0.05 there); 0 for none.
        centers: file of the centers, written by `ppocr-jax extract-centers`.
        ace_weight: weight of the aggregation cross-entropy (an option of PaddleOCR, 0.1 there); 0 for none.
        guide_weight: weight of the attention head that trains the backbone of "svtr_lcnet" (guided training of CTC,
            PP-OCRv3; 1 there); 0 for none.
    """

    align_steps: int = 0
    align_weight: float = 10.0
    ctc_from_step: int = 0
    ctc_weight: float = 1.0
    focal: bool = False
    center_weight: float = 0.0
    centers: str | None = None
    ace_weight: float = 0.0
    guide_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.center_weight > 0 and self.centers is None:
            raise ConfigError("loss.center_weight needs loss.centers: make them with `ppocr-jax extract-centers`")


@dataclass(frozen=True)
class RecMutualConfig:
    """Unified deep mutual learning of recognizers (U-DML, PP-OCRv2 section 2.2, eq. 5 to 9).

    Attributes:
        students: number of identical recognizers with different random weights that learn from each other; 1 for none.
        dml_weight: weight of the KL divergence between their outputs (eq. 7), including those of their guides.
        feature_weight: weight of the distance between the features of their backbones (eq. 9).
    """

    students: int = 1
    dml_weight: float = 1.0
    feature_weight: float = 1.0

    def __post_init__(self) -> None:
        check_students(self.students)


@dataclass(frozen=True)
class RecConfig(TaskConfig):
    """Training of a text recognizer. 0.001 for 700 of 800 epochs, then 0.0001, batch 128: PP-OCRv2, section 3.1.

    The defaults assume 100 steps per epoch; L2 2e-5 is from PaddleOCR release/2.6.

    Attributes:
        name: name of the experiment and of the resulting model.
    """

    task: ClassVar[str] = "rec"
    name: str = "rec"
    model: RecModelConfig = field(default_factory=RecModelConfig)
    data: RecDataConfig = field(default_factory=RecDataConfig)
    loss: RecLossConfig = field(default_factory=RecLossConfig)
    mutual: RecMutualConfig = field(default_factory=RecMutualConfig)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            schedule="piecewise", warmup_steps=500, boundaries=(70_000,), values=(1e-3, 1e-4), l2=2e-5
        )
    )
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=80_500, work_dir="runs/rec"))
    slim: SlimConfig = field(default_factory=SlimConfig)

    def __post_init__(self) -> None:
        if self.model.name != "svtr_lcnet" and self.model.mask_padding:
            raise ConfigError(f"model.mask_padding is for svtr_lcnet; {self.model.name} has no attention")
        if self.model.name != "svtr_lcnet" and self.loss.guide_weight > 0:
            raise ConfigError(f"loss.guide_weight is for svtr_lcnet; {self.model.name} has no attention head")

    @property
    def students(self) -> int:
        return self.mutual.students

    @property
    def charset_name(self) -> str:
        return self.model.charset

    @property
    def charset_space(self) -> bool:
        return self.model.charset_space
