"""Options shared by all training tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ppocr_jax.errors import UserError

LabelFormat = Literal[
    "auto",
    "ppocr-det",
    "ppocr-rec",
    "icdar2013",
    "icdar2015",
    "icdar-mlt",
    "icdar-words",
    "total-text",
    "ctw1500",
    "coco-text",
    "doctr-det",
    "doctr-rec",
    "lmdb",
]
"""One of `data.labels.FORMATS`; "auto" detects it."""
Recipe = Literal["none", "mild", "bda", "paper", "paper-2.4", "strong"]
"""One of `data.augment_rec.RECIPES`."""


class ConfigError(UserError, ValueError):
    """A configuration value is missing, unknown or wrong; the message names it."""


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam and its learning-rate schedule.

    Adam with an initial rate of 0.001, cosine decay for detection and piecewise constant for recognition, each with a
    short warmup: PP-OCRv2, section 3.1. L2 factors and the step-0 behavior: PaddleOCR release/2.6.

    Attributes:
        name: "adam" is the only one so far (beta 0.9 and 0.999, epsilon 1e-8).
        learning_rate: rate at the end of the warmup, from which the cosine and constant schedules start.
        schedule: "cosine" falls to 0 over the run, "piecewise" steps through `values`, "constant" keeps the rate.
        warmup_steps: steps over which the rate rises linearly from exactly 0; the schedule starts after them.
        boundaries: "piecewise" only: steps, counted from the end of the warmup, at which the next of `values` applies.
        values: "piecewise" only: learning rates, one more than there are boundaries.
        l2: L2 factor added to the gradient (times the weight) before Adam, except for parameters that the task exempts.
        head_l2: L2 factor of the two dense layers of the CTC head; `l2` if not set.
        clip_norm: clip gradients to this global norm; no clipping if not set, as in the paper.
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
        check_least("optimizer", self, learning_rate=0, warmup_steps=0)
        if self.schedule == "piecewise" and len(self.values) != len(self.boundaries) + 1:
            raise ConfigError(
                f"optimizer: a piecewise schedule needs one more value than boundaries, "
                f"got {len(self.values)} values for {len(self.boundaries)} boundaries"
            )
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ConfigError(f"optimizer.boundaries must be in increasing order, not {list(self.boundaries)}")


@dataclass(frozen=True)
class MeshConfig:
    """Devices of a run: a `jax.sharding.Mesh` with the axes "data" and "student".

    Attributes:
        data: devices that share each batch; 0 takes as many of the remaining ones as the batch can be split over.
        student: groups of devices over which mutual learners are spread; with 1, every device holds all of them.
        coordinator: "host:port" of process 0 in a run of several processes, or "auto" if the cluster provides it (TPU
            pods, Slurm); a single process if not set.
        processes: number of processes, if `coordinator` is a "host:port".
        process: index of this process, from 0, if `coordinator` is a "host:port".
    """

    data: int = 0
    student: int = 1
    coordinator: str | None = None
    processes: int = 1
    process: int = 0

    def __post_init__(self) -> None:
        if self.data < 0 or self.student < 1:
            raise ConfigError(f"train.mesh: data must be 0 or more and student at least 1, not {self}")
        if not 0 <= self.process < self.processes:
            raise ConfigError(f"train.mesh: process {self.process} is not one of {self.processes} processes")


@dataclass(frozen=True)
class TrainConfig:
    """Training loop: length, intervals, output folder.

    Attributes:
        steps: total optimizer steps, including the warmup.
        batch_size: examples per step.
        seed: random seed of weights, batches and dropout.
        log_every: steps between log lines; each line shows means over those steps.
        eval_every: steps between evaluations; 0 evaluates only at the end.
        save_every: steps between checkpoints; every evaluation saves one, too.
        key_metric: score that decides which checkpoint is the best (higher is better).
        work_dir: folder for checkpoints, logs and the resolved configuration.
        workers: processes that prepare batches; 0 uses a thread of the training process.
        init: weights to start from: a .safetensors file, a model folder, or the folder of another run; random if not
            set. If the charset differs, the recognizer's head is mapped by character; other parts that do not fit stay
            random.
        frozen: parameters to freeze: shell-style patterns of their paths, such as "backbone/*".
        frozen_statistics: BatchNorm uses its running statistics and does not update them while the weights train; for
            small batches, and for trained weights whose statistics are already good.
        compute: data type of the convolutions; losses, BatchNorm statistics and parameters are always float32.
        accumulate: parts into which each batch is split to save memory; gradients are averaged over them.
            BatchNorm and losses that are ratios over a batch (DB's) see one part at a time.
        ema_decay: evaluate and save a moving average of the parameters with this decay per step; the parameters
            themselves if not set, as in the paper.
        mesh: devices to train on.
        resume: continue from the newest checkpoint in `work_dir`, if there is one.
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
    frozen: tuple[str, ...] = ()
    frozen_statistics: bool = False
    compute: Literal["float32", "bfloat16"] = "float32"
    accumulate: int = 1
    ema_decay: float | None = None
    mesh: MeshConfig = field(default_factory=MeshConfig)
    resume: bool = True

    def __post_init__(self) -> None:
        check_least("train", self, steps=1, batch_size=1, log_every=1, save_every=1, accumulate=1)
        check_least("train", self, eval_every=0, seed=0, workers=0)
        if self.batch_size % self.accumulate:
            raise ConfigError(f"train.accumulate {self.accumulate} does not divide train.batch_size {self.batch_size}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ConfigError(f"train.ema_decay must be between 0 and 1, not {self.ema_decay}")


@dataclass(frozen=True)
class LabelSource:
    """A label file and the properties of its labels.

    Attributes:
        path: label file, folder or database; for a detector with ONNX teachers, also a folder of images without
            labels, including its subfolders.
        format: see `data.labels.FORMATS`. Formats with regions can train the recognizer, too: lines are cut from them.
        case: "blind" if the labels do not distinguish uppercase from lowercase, "keep" if they do.
        weight: how often its examples are used, relative to the other sources; 0 excludes the source.
        granularity: what a bounding box contains: a whole "line" or one "word".
    """

    path: str
    format: LabelFormat = "auto"
    case: Literal["keep", "blind"] = "keep"
    weight: float = 1.0
    granularity: Literal["line", "word"] = "line"

    def __post_init__(self) -> None:
        check_least("data.train_labels", self, weight=0)


@dataclass(frozen=True)
class SyntheticConfig:
    """Sources of synthetic images.

    Attributes:
        corpus: text files in UTF-8 with one entry per line, or folders of .txt files.
        fonts: font files, or folders of font files.
        backgrounds: folder of images without text; only plain backgrounds if not set.
        vertical: share of vertical text among synthetic lines of ideographs; on pages the generator decides.
    """

    corpus: tuple[str, ...] = ()
    fonts: tuple[str, ...] = ()
    backgrounds: str | None = None
    vertical: float = 0.0

    def __post_init__(self) -> None:
        check_share("data.synthetic.vertical", self.vertical)


@dataclass(frozen=True)
class SlimConfig:
    """Training for int8 (`training.pact`): PACT, arXiv 1805.06085, with PaddleSlim's values.

    It starts from trained weights (`train.init`) and needs a small learning rate. BatchNorm keeps its running
    statistics. `ppocr-jax export` writes such a run as an int8 file.

    Attributes:
        pact: train with feature maps and weights rounded to int8.
        initial_clip: initial clip value of every feature map; if not set, 20 (as in PaddleSlim), or 500 for a detector.
        clip_l2: L2 factor of the clip values.
    """

    pact: bool = False
    initial_clip: float | None = None
    clip_l2: float = 2e-5

    def __post_init__(self) -> None:
        if self.initial_clip is not None and self.initial_clip <= 0:
            raise ConfigError(f"slim.initial_clip must be positive, not {self.initial_clip}")


class TaskConfig:
    """Options common to the configurations of all tasks.

    Attributes:
        task: "det", "rec", "cls" or "image", a key of `training.tasks.TASKS`; saved with a run, optional in a file.
        name: name of the experiment and of the resulting model.
        model: the network: its `name`, one of `ppocr_jax.models.MODELS`, and its options.
        optimizer, train: optimizer and training loop.
        slim: quantization-aware training for int8.
    """

    task: ClassVar[str]
    name: str
    model: Any
    optimizer: OptimizerConfig
    train: TrainConfig
    slim: SlimConfig = SlimConfig()

    @property
    def students(self) -> int:
        """Number of networks that learn from each other; 1 for a single network."""
        return 1

    @property
    def charset_name(self) -> str | None:
        """Name or file of the charset that the network depends on; None if it depends on none."""
        return None

    @property
    def charset_space(self) -> bool:
        """Whether to add a space to a charset file, as `use_space_char` of PaddleOCR does."""
        return False


def check_least(table: str, config: Any, **least: float) -> None:
    """Raise `ConfigError` unless the named options of `config`, the table of that name, have these values or more.

    An option that may be left out (None) is not checked.
    """
    for name, lowest in least.items():
        value = getattr(config, name)
        if value is not None and value < lowest:
            raise ConfigError(f"{table}.{name} must be at least {lowest}, not {value}")


def check_share(name: str, share: float) -> None:
    """Raise `ConfigError` unless `share` is a fraction."""
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} must be between 0 and 1, not {share}")


def check_students(students: int) -> None:
    """Raise `ConfigError` unless there is at least one student."""
    if students < 1:
        raise ConfigError(f"mutual.students must be at least 1, not {students}")
