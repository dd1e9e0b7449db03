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
    check_share,
    check_students,
)


@dataclass(frozen=True)
class RecModelConfig:
    """Recognizer: CRNN on PP-LCNet x0.5, PP-OCRv2, section 2.2.

    Attributes:
        name: "crnn_lcnet", of PP-OCR "crnn_mobilenet_v3" (mobile) and "crnn_resnet34" (server), or of PP-OCRv3
            "svtr_lcnet", which reads lines 48 pixels high.
        charset: a built-in set ("en") or a file with one character a line.
        charset_space: a space is added to a charset file (PaddleOCR's `use_space_char`); built-in sets have theirs.
        scale: width multiplier of the backbone; the network's own (0.5) if left out.
        hidden: LSTM units per direction, or channels of the mixing blocks; the network's own (64, 48, 256 and 120) if
            left out.
        activation: of "crnn_lcnet" after its convolutions: "hard_swish", its own, or "relu", which computes faster with
            bytes (docs/slimming.md).
        mask_padding: the attention of "svtr_lcnet" leaves out columns beyond a line's end, in training and in reading;
            PP-OCRv3's own does not.
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
        train_labels: real lines; empty with synthetic lines alone.
        val_labels: real lines for the evaluation.
        synthetic: material of synthetic lines.
        synthetic_warm_steps: first steps, which see synthetic lines only.
        synthetic_share: fraction of synthetic lines after that.
        height: of a line picture, pixels.
        widths: buckets of a line picture's width, pixels, rising; a batch holds lines of one bucket.
        reference_width: batches of a bucket hold `batch_size * reference_width / width` lines, so that all cost the
            same; `batch_size` in every bucket if left out.
        max_label_length: longer labels are left out; 0 takes whatever the widest bucket can hold, see `longest_label`.
            In any bucket a label fills three quarters of the network's frames at most.
        join_probability: chance that up to two more lines are put behind a real line (TextConAug, PP-OCRv3; 0.5 there).
        augmentation: changes to real lines: "paper" is PP-OCR's base data augmentation with TIA, "paper-2.4" that of
            PaddleOCR 2.4, "bda" the same without TIA, "mild" and "strong" are ours; see `data.augment_rec`.
        drawn_augmentation: changes to drawn lines, which their generator has degraded already.
        augment_probability: chance of each change.
        val_limit: lines of each validation file to score while training, evenly spread; all if left out.
        val_ignore_case: score without regard to case.
        val_ignore_space: score without regard to spaces, as PaddleOCR does.
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
    drawn_augmentation: Recipe = "none"
    augment_probability: float = 0.4
    join_probability: float = 0.0
    val_limit: int | None = None
    val_ignore_case: bool = False
    val_ignore_space: bool = True

    def __post_init__(self) -> None:
        if not self.widths or list(self.widths) != sorted(set(self.widths)):
            raise ConfigError(f"data.widths must rise: {list(self.widths)}")
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
    a plateau for long; a frame-wise cross-entropy on the generator's character positions skips that.

    Attributes:
        align_steps: steps with the frame-wise loss; 0 for none.
        align_weight: its weight.
        ctc_from_step: step at which CTC joins.
        ctc_weight: weight of CTC while the frame-wise loss is on; 1 afterwards.
        focal: weigh each line's CTC loss l by (1 - exp(-l))^2, so that hard lines count more.
        center_weight: weight of the center loss (Enhanced CTC, PP-OCRv2 eq. 10 to 12; 0.05 there); 0 for none.
        centers: file of the centers, as `ppocr-jax extract-centers` writes it.
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
        students: S recognizers of one kind, from different random weights, that learn from each other; 1 learns alone.
        dml_weight: weight of the KL divergence between their outputs (eq. 7), those of their guides among them.
        feature_weight: weight of the distance between their backbones' features (eq. 9).
    """

    students: int = 1
    dml_weight: float = 1.0
    feature_weight: float = 1.0

    def __post_init__(self) -> None:
        check_students(self.students)


@dataclass(frozen=True)
class RecConfig(TaskConfig):
    """Training of a text recognizer. 0.001 for 700 of 800 epochs, then 0.0001, batch 128: PP-OCRv2, section 3.1.

    The defaults count 100 steps an epoch; L2 2e-5 is PaddleOCR release/2.6's.

    Attributes:
        name: name of the experiment and of the model it makes.
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
