"""Every option of a training run: the schema, the defaults and what they mean, in one place.

A run is described by one frozen dataclass per task (`DetConfig`, `RecConfig`, `ClsConfig`). Values come from the
defaults here, then from a TOML file, then from command-line flags; `ppocr_jax.config_io` reads and writes them.
Steps are optimiser steps (one batch each); paths are relative to the folder the program runs in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ppocr_jax.errors import UserError


class ConfigError(UserError, ValueError):
    """A configuration value is missing, unknown or wrong; the message names it."""


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam and its learning-rate schedule.

    Adam with an initial rate of 0.001, cosine decay for detection and piecewise constant for recognition, each with a
    short warm-up: PP-OCRv2, section 3.1. L2 factors and the step-0 behaviour: PaddleOCR release/2.6.

    Attributes:
        name: the only optimiser so far is "adam" (beta 0.9 and 0.999, epsilon 1e-8).
        learning_rate: rate at the end of the warm-up; the cosine and constant schedules start from it.
        schedule: "cosine" falls to 0 over the run, "piecewise" takes `values` in turn, "constant" stays.
        warmup_steps: steps over which the rate rises linearly from exactly 0; the schedule's own step 0 comes after.
        boundaries: "piecewise" only: steps, counted after the warm-up, at which the next of `values` begins.
        values: "piecewise" only: one rate more than there are boundaries.
        l2: L2 factor added to the gradient (times the weight) before Adam, except on the parameters a task exempts.
        head_l2: L2 factor of the CTC head's two dense layers; `l2` if left out.
        clip_norm: clip gradients to this global norm; no clipping if left out, as in the paper.
    """

    name: Literal["adam"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "piecewise", "constant"] = "cosine"
    warmup_steps: int = 0
    boundaries: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    l2: float = 0.0
    head_l2: float | None = None
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.schedule == "piecewise" and len(self.values) != len(self.boundaries) + 1:
            raise ConfigError(
                f"optimizer: a piecewise schedule needs one value more than boundaries, "
                f"got {len(self.values)} values for {len(self.boundaries)} boundaries"
            )
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ConfigError(f"optimizer.boundaries must rise: {list(self.boundaries)}")


@dataclass(frozen=True)
class TrainConfig:
    """The loop: how long, how often, where.

    Attributes:
        steps: optimiser steps in all, warm-up included.
        batch_size: examples per step.
        seed: of the weights, the batches and the dropout.
        log_every: steps between log lines; each gives the mean over those steps.
        eval_every: steps between evaluations; 0 evaluates only at the end.
        save_every: steps between checkpoints; every evaluation saves one as well.
        key_metric: the evaluation's entry that decides which checkpoint is the best (higher is better).
        work_dir: folder for checkpoints, logs and the resolved configuration.
        workers: processes that prepare batches; 0 prepares them in a thread of the training process.
        init: weights to start from (a .safetensors file or a folder that holds one); random if left out.
        resume: go on from the newest checkpoint in `work_dir`, if there is one.
    """

    steps: int = 100_000
    batch_size: int = 128
    seed: int = 0
    log_every: int = 50
    eval_every: int = 2000
    save_every: int = 1000
    key_metric: str = "accuracy"
    work_dir: str = "runs/default"
    workers: int = 0
    init: str | None = None
    resume: bool = True

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("log_every", 1), ("save_every", 1), ("eval_every", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"train.{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True)
class LabelSource:
    """One label file, and what its labels can be trusted for.

    Attributes:
        path: the label file.
        kind: "det" for quads per picture (PPOCRLabel format; crops are cut from it), "rec" for crop and text.
        case: "blind" where the labels do not tell small letters from capitals, "keep" where they do.
        weight: how often its examples are drawn, relative to the other sources; 0 leaves the source out.
        granularity: what a box holds: a whole "line", or one "word".
    """

    path: str
    kind: Literal["det", "rec"] = "det"
    case: Literal["keep", "blind"] = "keep"
    weight: float = 1.0
    granularity: Literal["line", "word"] = "line"


@dataclass(frozen=True)
class SyntheticConfig:
    """What synthetic pictures are drawn from.

    Attributes:
        corpus: text files, one entry a line.
        fonts: font files or folders of them.
        backgrounds: folder of pictures without text; plain backgrounds only if left out.
    """

    corpus: tuple[str, ...] = ()
    fonts: tuple[str, ...] = ()
    backgrounds: str | None = None


@dataclass(frozen=True)
class DetModelConfig:
    """Detector: DB on MobileNetV3-large x0.5 with a 96-wide FPN, the student of PP-OCRv2, section 2.1.

    Attributes:
        name: an entry of `ppocr_jax.models`.
        scale: width multiplier of the backbone.
        neck_channels: inner width of the FPN.
    """

    name: str = "db_mobilenet_v3"
    scale: float = 0.5
    neck_channels: int = 96


@dataclass(frozen=True)
class DetDataConfig:
    """Detector data: PaddleOCR release/2.6, whose crop is EAST's "crop that keeps whole words".

    Attributes:
        train_labels: labelled pictures; empty with `synthetic_share` 1.
        val_labels: labelled pictures for the evaluation.
        synthetic: material of synthetic pages.
        synthetic_share: fraction of each batch that is synthetic.
        crop_size: side of the square training crop, pixels, a multiple of 32.
        scale_range: random rescaling before the crop.
    """

    train_labels: tuple[LabelSource, ...] = ()
    val_labels: tuple[LabelSource, ...] = ()
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    synthetic_share: float = 0.0
    crop_size: int = 960
    scale_range: tuple[float, float] = (0.5, 3.0)

    def __post_init__(self) -> None:
        if self.crop_size < 32 or self.crop_size % 32:
            raise ConfigError(f"data.crop_size must be a multiple of 32, not {self.crop_size}")
        _check_share("data.synthetic_share", self.synthetic_share)


@dataclass(frozen=True)
class DetLossConfig:
    """DB loss: the weights and the dice form of PaddleOCR release/2.6, which the paper's models were trained with.

    Attributes:
        main: loss on the probability map: "dice", or "bce" with hard-negative mining as in the DB paper.
        alpha: weight of the probability map.
        beta: weight of the threshold map.
        negative_ratio: hard negatives per positive pixel ("bce").
    """

    main: Literal["dice", "bce"] = "dice"
    alpha: float = 5.0
    beta: float = 10.0
    negative_ratio: float = 3.0


@dataclass(frozen=True)
class DetConfig:
    """Training of a text detector. Batch 8, cosine from 0.001 after two epochs' warm-up: PP-OCRv2, section 3.1.

    Attributes:
        name: name of the experiment and of the model it makes.
    """

    name: str = "det"
    model: DetModelConfig = field(default_factory=DetModelConfig)
    data: DetDataConfig = field(default_factory=DetDataConfig)
    loss: DetLossConfig = field(default_factory=DetLossConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(warmup_steps=300))
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(batch_size=8, key_metric="hmean", work_dir="runs/det")
    )


@dataclass(frozen=True)
class RecModelConfig:
    """Recogniser: CRNN on PP-LCNet x0.5, PP-OCRv2, section 2.2.

    Attributes:
        name: an entry of `ppocr_jax.models`.
        charset: a built-in set ("en") or a file with one character a line.
        scale: width multiplier of the backbone.
        hidden: LSTM units per direction.
        head_channels: width of the dense layer between the LSTM and the classes.
    """

    name: str = "crnn_lcnet"
    charset: str = "en"
    scale: float = 0.5
    hidden: int = 64
    head_channels: int = 96


@dataclass(frozen=True)
class RecDataConfig:
    """Recogniser data. Height 32, widths up to 320 and labels of 25 characters: PaddleOCR release/2.6.

    Attributes:
        train_labels: real lines; empty with synthetic lines alone.
        val_labels: real lines for the evaluation.
        synthetic: material of synthetic lines.
        synthetic_warm_steps: first steps, which see synthetic lines only.
        synthetic_share: fraction of synthetic lines after that.
        height: of a line picture, pixels.
        widths: buckets of a line picture's width, pixels, rising; a batch holds lines of one bucket.
        max_label_length: longer labels are left out.
        augment_probability: chance of each augmentation.
    """

    train_labels: tuple[LabelSource, ...] = ()
    val_labels: tuple[LabelSource, ...] = ()
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    synthetic_warm_steps: int = 0
    synthetic_share: float = 0.5
    height: int = 32
    widths: tuple[int, ...] = (64, 96, 128, 160, 240, 320, 480)
    max_label_length: int = 25
    augment_probability: float = 0.4

    def __post_init__(self) -> None:
        if not self.widths or list(self.widths) != sorted(set(self.widths)):
            raise ConfigError(f"data.widths must rise: {list(self.widths)}")
        _check_share("data.synthetic_share", self.synthetic_share)


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
    """

    align_steps: int = 0
    align_weight: float = 10.0
    ctc_from_step: int = 0
    ctc_weight: float = 1.0


@dataclass(frozen=True)
class RecConfig:
    """Training of a text recogniser. 0.001 for 700 of 800 epochs, then 0.0001, batch 128: PP-OCRv2, section 3.1.

    The defaults count 100 steps an epoch; L2 2e-5 is PaddleOCR release/2.6's.

    Attributes:
        name: name of the experiment and of the model it makes.
    """

    name: str = "rec"
    model: RecModelConfig = field(default_factory=RecModelConfig)
    data: RecDataConfig = field(default_factory=RecDataConfig)
    loss: RecLossConfig = field(default_factory=RecLossConfig)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            schedule="piecewise", warmup_steps=500, boundaries=(70_000,), values=(1e-3, 1e-4), l2=2e-5
        )
    )
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=80_500, work_dir="runs/rec"))


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
        val_labels: real lines for the evaluation.
        synthetic: material of synthetic lines.
        synthetic_share: fraction of synthetic lines.
        height: of a line picture, pixels.
        width: of a line picture, pixels.
        augment_probability: chance of each augmentation.
    """

    train_labels: tuple[LabelSource, ...] = ()
    val_labels: tuple[LabelSource, ...] = ()
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    synthetic_share: float = 0.5
    height: int = 48
    width: int = 192
    augment_probability: float = 0.4

    def __post_init__(self) -> None:
        _check_share("data.synthetic_share", self.synthetic_share)


@dataclass(frozen=True)
class ClsConfig:
    """Training of the direction classifier. Cosine from 0.001 without warm-up, batch 512: PaddleOCR release/2.6.

    Attributes:
        name: name of the experiment and of the model it makes.
    """

    name: str = "cls"
    model: ClsModelConfig = field(default_factory=ClsModelConfig)
    data: ClsDataConfig = field(default_factory=ClsDataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=20_000, batch_size=512, work_dir="runs/cls"))


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} is a fraction between 0 and 1, not {share}")
