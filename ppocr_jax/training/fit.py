"""A whole run: from initial weights and a configuration to the best weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppocr_jax.config import ClsConfig, DetConfig, RecConfig
from ppocr_jax.config_io import save_config, to_dict
from ppocr_jax.errors import UserError
from ppocr_jax.training.checkpoint import Checkpointer
from ppocr_jax.training.loggers import make_loggers
from ppocr_jax.training.loop import train
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.prefetch import BatchFunction
from ppocr_jax.training.state import TrainState, create_state
from ppocr_jax.training.step import Objective, make_train_step

_logger = logging.getLogger("ppocr_jax")


def fit(
    config: DetConfig | RecConfig | ClsConfig,
    *,
    variables: Mapping[str, Any],
    objective: Objective,
    batches: BatchFunction,
    evaluate: Callable[[TrainState], Mapping[str, float]],
    charset: Sequence[str] | None = None,
    l2_exempt: Callable[[str], bool] = lambda path: False,
    is_head: Callable[[str], bool] = lambda path: False,
) -> dict[str, Any]:
    """Train as `config` says, or go on with the run in its `work_dir`, and return the best variables.

    The folder then holds `config.json` (resolved), `checkpoints/`, `log.jsonl` and `tensorboard/`.

    Args:
        config: of any task; only `optimizer` and `train` are read here, all of it is recorded.
        variables: initial "params" and "batch_stats".
        objective, batches, evaluate: the task, see `step`, `prefetch` and `loop`.
        charset: the recogniser's characters, recorded in the checkpoints.
        l2_exempt, is_head: see `optimizer.make_optimizer`.

    Raises:
        UserError: the folder holds a run already and `config.train.resume` is false.
        NonFiniteError: see `loop.train`.
    """
    work_dir = Path(config.train.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    tx = make_optimizer(config.optimizer, config.train.steps, l2_exempt=l2_exempt, is_head=is_head)
    state = create_state(variables, tx)
    with (
        Checkpointer(
            work_dir / "checkpoints", key_metric=config.train.key_metric, config=to_dict(config), charset=charset
        ) as checkpointer,
        make_loggers(work_dir, config.train.steps) as loggers,
    ):
        state = _start(state, checkpointer, config.train.resume, work_dir)
        save_config(config, work_dir / "config.json")
        state = train(
            state=state,
            train_step=make_train_step(objective, tx),
            batches=batches,
            evaluate=evaluate,
            config=config.train,
            checkpointer=checkpointer,
            loggers=loggers,
        )
        return checkpointer.restore_best(state).variables


def _start(state: TrainState, checkpointer: Checkpointer, resume: bool, work_dir: Path) -> TrainState:
    if checkpointer.latest_step is None:
        return state
    if not resume:
        raise UserError(f"{work_dir} holds a run already: choose another train.work_dir, or set train.resume to true")
    return checkpointer.restore_latest(state) or state
