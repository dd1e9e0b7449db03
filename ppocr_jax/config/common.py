"""Options that all three tasks share."""

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
"""Of `data.labels.FORMATS`; "auto" finds out."""
Recipe = Literal["none", "mild", "bda", "paper", "paper-2.4", "strong"]
"""Of `data.augment_rec.RECIPES`."""


class ConfigError(UserError, ValueError):
    """A configuration value is missing, unknown or wrong; the message names it."""


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam and its learning-rate schedule.

    Adam with an initial rate of 0.001, cosine decay for detection and piecewise constant for recognition, each with a
    short warm-up: PP-OCRv2, section 3.1. L2 factors and the step-0 behavior: PaddleOCR release/2.6.

    Attributes:
        name: the only optimizer so far is "adam" (beta 0.9 and 0.999, epsilon 1e-8).
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
class MeshConfig:
    """Devices of a run: a `jax.sharding.Mesh` with the axes "data" and "student".

    Attributes:
        data: devices that share each batch; 0 takes all that `student` leaves and the batch can be split over.
        student: groups of devices over which mutual learners are spread; with 1 every device holds all of them.
        coordinator: "host:port" of process 0 in a run of several processes, or "auto" where the cluster tells (TPU
            pods, Slurm); one process if left out.
        processes: number of processes, with a "host:port".
        process: number of this one, from 0, with a "host:port".
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
    """The loop: how long, how often, where.

    Attributes:
        steps: optimizer steps in all, warm-up included.
        batch_size: examples per step.
        seed: of the weights, the batches and the dropout.
        log_every: steps between log lines; each gives the mean over those steps.
        eval_every: steps between evaluations; 0 evaluates only at the end.
        save_every: steps between checkpoints; every evaluation saves one as well.
        key_metric: the evaluation's entry that decides which checkpoint is the best (higher is better).
        work_dir: folder for checkpoints, logs and the resolved configuration.
        workers: processes that prepare batches; 0 prepares them in a thread of the training process.
        init: weights to start from: a .safetensors file, a model folder, or another run's folder; random if left out.
            A recognizer's head is mapped by character where the charset differs; what else does not fit stays random.
        frozen: parameters that stay as they are: shell-style patterns of their paths, such as "backbone/*".
        frozen_statistics: BatchNorm uses its running statistics and keeps them while the weights train: for small
            batches, and for trained weights whose statistics are good already.
        compute: type of the convolutions; losses, BatchNorm statistics and parameters are float32 always.
        accumulate: parts that each batch is split into, one after the other, to save memory; gradients are averaged.
            BatchNorm and losses that are ratios over a batch (DB's) see one part at a time.
        ema_decay: evaluate and keep a moving average of the parameters, this much of which stays at each step; the
            parameters themselves if left out, as in the paper.
        mesh: the devices.
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
    frozen: tuple[str, ...] = ()
    frozen_statistics: bool = False
    compute: Literal["float32", "bfloat16"] = "float32"
    accumulate: int = 1
    ema_decay: float | None = None
    mesh: MeshConfig = field(default_factory=MeshConfig)
    resume: bool = True

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch_size": 1, "log_every": 1, "save_every": 1, "eval_every": 0, "accumulate": 1}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ConfigError(f"train.{name} must be at least {lowest}, not {getattr(self, name)}")
        if self.batch_size % self.accumulate:
            raise ConfigError(f"train.accumulate {self.accumulate} does not divide train.batch_size {self.batch_size}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ConfigError(f"train.ema_decay must lie between 0 and 1, not {self.ema_decay}")


@dataclass(frozen=True)
class LabelSource:
    """One label file, and what its labels can be trusted for.

    Attributes:
        path: the label file, folder or database; for a detector that ONNX teachers teach, also a folder of pictures
            without labels, with its subfolders.
        format: see `data.labels.FORMATS`. Formats with regions serve the recognizer too: lines are cut from them.
        case: "blind" where the labels do not tell small letters from capitals, "keep" where they do.
        weight: how often its examples are drawn, relative to the other sources; 0 leaves the source out.
        granularity: what a box holds: a whole "line", or one "word".
    """

    path: str
    format: LabelFormat = "auto"
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
        vertical: share of columns, from top to bottom, among drawn lines of ideographs; on pages the generator decides.
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

    It begins with trained weights, `train.init`, and wants a small learning rate. BatchNorm keeps its running
    statistics. `ppocr-jax export` writes such a run as an int8 file.

    Attributes:
        pact: train with feature maps and weights rounded to bytes.
        initial_clip: where the clip value of every feature map starts; None: at 20, PaddleSlim's, of a detector at 500.
        clip_l2: L2 factor of the clip values.
    """

    pact: bool = False
    initial_clip: float | None = None
    clip_l2: float = 2e-5

    def __post_init__(self) -> None:
        if self.initial_clip is not None and self.initial_clip <= 0:
            raise ConfigError(f"slim.initial_clip must be positive, not {self.initial_clip}")


class TaskConfig:
    """What the configurations of all tasks have alike.

    Attributes:
        task: "det", "rec", "cls" or "image", the key of `training.tasks.TASKS`; saved with a run, may stand in a file.
        name: name of the experiment and of the model it makes.
        model: the network: `name`, an entry of `ppocr_jax.models.MODELS`, and its options.
        optimizer, train: how it learns.
        slim: whether it learns for int8.
    """

    task: ClassVar[str]
    name: str
    model: Any
    optimizer: OptimizerConfig
    train: TrainConfig
    slim: SlimConfig = SlimConfig()

    @property
    def students(self) -> int:
        """Networks that learn from each other; 1 for a network alone."""
        return 1

    @property
    def charset_name(self) -> str | None:
        """The charset, by name or file, that the network depends on; None where it depends on none."""
        return None

    @property
    def charset_space(self) -> bool:
        """Whether a space is added to a charset file, as PaddleOCR's `use_space_char` does."""
        return False


def check_share(name: str, share: float) -> None:
    """Raise `ConfigError` unless `share` is a fraction."""
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} is a fraction between 0 and 1, not {share}")


def check_students(students: int) -> None:
    """Raise `ConfigError` unless there is at least one student."""
    if students < 1:
        raise ConfigError(f"mutual.students must be at least 1, not {students}")
