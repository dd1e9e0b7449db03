"""Options that all three tasks share."""

from __future__ import annotations

from dataclasses import dataclass
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


def check_share(name: str, share: float) -> None:
    """Raise `ConfigError` unless `share` is a fraction."""
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} is a fraction between 0 and 1, not {share}")
