"""A complete training run: from a configuration to the best weights."""

from __future__ import annotations

import errno
import logging
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from ppocr_jax.charset import load_charset
from ppocr_jax.config import TaskConfig, TrainConfig
from ppocr_jax.config_io import save_config, to_dict
from ppocr_jax.errors import UserError
from ppocr_jax.models import MODELS, build_model
from ppocr_jax.models.io import save_safetensors
from ppocr_jax.models.ops import training_ops
from ppocr_jax.synth.fonts import NoFontsError
from ppocr_jax.training.checkpoint import BEST_STUDENT, Checkpointer, SavedNetwork
from ppocr_jax.training.detection import TEACHER
from ppocr_jax.training.learners import pick
from ppocr_jax.training.loggers import make_loggers
from ppocr_jax.training.loop import train
from ppocr_jax.training.material import Evaluate, Images
from ppocr_jax.training.optimizer import freeze_objective, make_optimizer, mask_of, matcher
from ppocr_jax.training.pact import QuantizedNetwork
from ppocr_jax.training.platform import prepare_cpu
from ppocr_jax.training.prefetch import BatchFunction
from ppocr_jax.training.sharding import Placement, connect, make_mesh, process_share
from ppocr_jax.training.step import Objective, TrainState, create_state, make_train_step
from ppocr_jax.training.tasks import kind_of
from ppocr_jax.training.trained import IMAGE, initial_variables, load_start, load_trained

_logger = logging.getLogger("ppocr_jax")
_CHECKPOINTS = 3  # on disk at a time: the best, the newest, and the one being written
_FULL = (errno.ENOSPC, errno.EDQUOT)  # by the log, for example, which is written oftener than checkpoints
_LEAST_USED = 0.05  # share of a label source; if less is usable, its charset, format or paths are probably wrong


@dataclass(frozen=True)
class Task:
    """The parts of a run; built by `prepare` from a configuration. Any part may be replaced.

    Attributes:
        variables: Initial "params" and "batch_stats", with a leading student axis for mutual learners.
        objective, batches: See `step` and `prefetch`.
        evaluate: Function from one network's variables to its metrics.
        images: Function from one network's variables and a batch to images for TensorBoard; None for no images.
        frozen: See `step.make_train_step`.
        placement: Placement of all arrays.
        charset: The recognizer's characters, stored in the checkpoints.
        l2_exempt, is_head: See `optimizer.make_optimizer`.
        optimizer: Replaces the optimizer and schedule of `config.optimizer`; for mutual learners every array has a
            leading student axis.
    """

    variables: Mapping[str, Any]
    objective: Objective
    batches: BatchFunction
    evaluate: Evaluate
    images: Images | None = None
    frozen: Any = None
    placement: Placement = field(default_factory=Placement)
    charset: Sequence[str] | None = None
    l2_exempt: Callable[[str], bool] = lambda path: False
    is_head: Callable[[str], bool] = lambda path: False
    optimizer: optax.GradientTransformation | None = None


def run(config: TaskConfig) -> Path:
    """Train as `config` describes; return the safetensors file with the best weights.

    Raises:
        UserError: If something the configuration names is missing or wrong.
    """
    prepare_cpu()
    connect(config.train.mesh)
    check(config)
    config = sized_as_start(config)
    work_dir = Path(config.train.work_dir)
    keep_compiled(work_dir / "compiled")
    task, path = prepare(config), work_dir / f"{config.task}.safetensors"
    try:
        variables = fit(config, task)
        if jax.process_index() == 0:
            save_safetensors(path, variables)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"train.work_dir: cannot write into {work_dir}: {error.strerror}; free space and run the same command to "
            f"continue from the last finished checkpoint"
        ) from error
    if jax.process_index() == 0:
        _logger.info("best weights: %s", path)
        if config.task != IMAGE:
            _logger.info("to use them: ppocr-jax export %s --output MODEL", shlex.quote(str(work_dir)))
    return path


def keep_compiled(folder: Path) -> None:
    """Cache compiled steps in `folder`, or in the folder set in JAX, so that a resumed run does not compile again.

    Steps for several CPU devices of one process are not cached: XLA (jaxlib 0.10) loses the order of a program's
    collectives when it stores it, and devices that run them in different orders wait for each other forever.
    """
    if jax.default_backend() == "cpu" and jax.local_device_count() > 1:
        jax.config.update("jax_enable_compilation_cache", False)
    elif jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))


def check(config: TaskConfig) -> None:
    """Check the values and names in a configuration before anything is read or compiled.

    Raises:
        UserError: If there is no such network, option or metric, or the work folder cannot be written.
    """
    kind, options, work_dir = kind_of(config), config.train, Path(config.train.work_dir)
    if config.model.name not in MODELS:
        raise UserError(f"model.name: no network {config.model.name!r}; choose from {', '.join(MODELS)}")
    if options.key_metric not in kind.metrics:
        raise UserError(f"train.key_metric: no metric {options.key_metric!r}; choose from {', '.join(kind.metrics)}")
    if config.slim.pact and options.init is None:
        raise UserError("slim.pact needs a trained network to start from: set train.init")
    if config.slim.pact and options.compute != "float32":
        raise UserError(f"slim.pact requires train.compute float32, not {options.compute}")
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        raise UserError(f"train.work_dir: cannot write into {work_dir}: {error.strerror}") from error


def sized_as_start(config: TaskConfig) -> TaskConfig:
    """Return the configuration with the sizes that are not set taken from the network named by `train.init`.

    A pruned network then continues with its own sizes; otherwise its resized layers would start from random weights.

    Raises:
        UserError: If there is no such network.
    """
    if config.train.init is None:
        return config
    start = load_start(config.train.init, config.task)
    if start.spec.network != config.model.name:
        return config
    theirs = kind_of(config).sizes(start.spec.options)
    taken = {name: n for name, n in theirs.items() if n is not None and getattr(config.model, name) in (None, ())}
    if taken:
        listed = ", ".join(f"model.{name} {n}" for name, n in taken.items())
        _logger.info("sizes not set in the configuration are taken from %s: %s", config.train.init, listed)
    height, ours = (getattr(of, "height", None) for of in (start.spec, cast("Any", config).data))
    if height and ours and height != ours:
        text = "%s reads lines %d pixels high; this training uses %d (data.height)"
        _logger.info(text, config.train.init, height, ours)
    return replace(cast("Any", config), model=replace(config.model, **taken))


def prepare(config: TaskConfig) -> Task:
    """Return everything a run needs, as described by `config`. Quick steps that may fail come first, slow ones last.

    Raises:
        UserError: If something the configuration names is missing or wrong.
    """
    kind, options = kind_of(config), config.train
    mesh = make_mesh(options.mesh, options.batch_size // options.accumulate)
    placement = Placement(mesh, config.students)
    try:
        name = config.charset_name
        charset = None if name is None else load_charset(name, space=config.charset_space)
        build = partial(build_model, config.model.name, **kind.model_options(config, charset))
        if config.slim.pact:
            build = partial(QuantizedNetwork, build)
        model, ops = build(), training_ops(options.compute)
        spec = kind.network_spec(config, charset)
        batches = kind.batches(config, charset, process_share(mesh))
        report_use(batches)
        evaluate = kind.evaluation(model, config, charset)
        frozen = dict(kind.constants(config, charset))
    except UserError:
        raise
    except (OSError, ValueError, NoFontsError) as error:  # their messages name what is missing or wrong
        raise UserError(str(error)) from error
    teacher, teacher_path = None, kind.teacher(config)
    if teacher_path is not None:
        trained = load_trained(teacher_path, task=config.task)
        teacher = build_model(trained.spec.network, ops=ops, **trained.spec.options)
        frozen[TEACHER] = jax.tree.map(jnp.asarray, dict(trained.variables))
    variables = initial_variables(model, spec, options, students=config.students, charset=charset)
    if config.slim.pact:
        alpha = config.slim.initial_clip or kind.initial_clip
        variables = model.with_clips(variables, spec, alpha, students=config.students)
    return Task(
        variables=variables,
        objective=kind.objective(build(ops=ops), config, charset, teacher=teacher, mesh=mesh),
        batches=batches,
        images=None if kind.images is None else kind.images(model, config, charset),
        evaluate=evaluate,
        frozen=frozen or None,
        placement=placement,
        charset=charset.characters if charset is not None and kind.writes_text else None,
        l2_exempt=partial(kind.is_exempt_from_l2, config),
        is_head=partial(kind.is_head, config),
    )


def report_use(batches: BatchFunction) -> None:
    """Log how much of each label source is used and why the rest is not.

    Raises:
        UserError: If almost nothing of a source can be used.
    """
    for use in batches.uses() if hasattr(batches, "uses") else ():
        _logger.info("%s", use)
        if use.used < _LEAST_USED * use.total or not use.total:
            raise UserError(f"{use}: too few to be intended; run `ppocr-jax check-labels {use.path}` for details")


def fit(config: TaskConfig, task: Task) -> dict[str, Any]:
    """Train as `config` describes, or continue the run in its `work_dir`, and return the best variables.

    The folder then holds `config.json` (resolved), `checkpoints/`, `log.jsonl` and `tensorboard/`. Of mutual learners
    the one with the best key metric is returned.

    Args:
        config: Configuration of any task; only `optimizer`, `slim` and `train` are used here, all of it is recorded.
        task: The parts of the run.

    Raises:
        UserError: If the folder holds a run already and `config.train.resume` is false, or the disk is too full.
        NonFiniteError, Interrupted: See `loop.train`.
    """
    options, placement = config.train, task.placement
    work_dir = Path(options.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    is_frozen = matcher(options.frozen, task.variables["params"])
    optimizer = task.optimizer or make_optimizer(
        config.optimizer,
        options.steps,
        l2_exempt=task.l2_exempt,
        is_head=task.is_head,
        students=placement.students,
        clip_l2=config.slim.clip_l2 if config.slim.pact else None,
    )
    # Frozen parameters have no gradient, but weight decay would still change them.
    hold = optax.transforms.freeze(mask_of(is_frozen)(task.variables["params"])) if options.frozen else optax.identity()
    tx = optax.chain(optimizer, hold)
    state = placement.state(create_state(task.variables, tx, averaged=options.ema_decay is not None))
    needed = _CHECKPOINTS * sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    free = shutil.disk_usage(work_dir).free
    if free < needed:
        raise UserError(f"train.work_dir: {work_dir} has {free >> 20} MiB free, checkpoints take {needed >> 20} MiB")
    objective = freeze_objective(task.objective, is_frozen) if options.frozen else task.objective
    train_step = make_train_step(
        objective,
        tx,
        accumulate=options.accumulate,
        ema_decay=options.ema_decay,
        constrain=placement.constrain,
    )
    with (
        Checkpointer(
            work_dir / "checkpoints", key_metric=options.key_metric, config=to_dict(config), charset=task.charset
        ) as checkpointer,
        make_loggers(work_dir, options.steps) as loggers,
    ):
        state = _start(state, checkpointer, options.resume, work_dir)
        save_config(config, work_dir / "config.json")
        state = train(
            state=state,
            train_step=partial(train_step, frozen=placement.everywhere(task.frozen)),
            batches=task.batches,
            place=placement.batch,
            images=images_of_state(task.images, placement),
            evaluate=evaluate_students(task.evaluate, placement, options.key_metric),
            config=options,
            checkpointer=checkpointer,
            loggers=loggers,
        )
        best = checkpointer.load_best()
        if jax.process_index() == 0:
            _logger.info("%s", _describe_best(best, options))
        return best.network


def _describe_best(best: SavedNetwork, options: TrainConfig) -> str:
    if not best.metrics:
        return f"nothing was scored: the weights of step {best.step} are taken"
    student = f", student {best.metrics[BEST_STUDENT]:.0f}" if BEST_STUDENT in best.metrics else ""
    score = f"{options.key_metric} {best.metrics[options.key_metric]:.4g}"
    return f"best {score} at step {best.step} of {options.steps}{student}"


def _start(state: TrainState, checkpointer: Checkpointer, resume: bool, work_dir: Path) -> TrainState:
    if checkpointer.latest_step is None:
        return state
    if not resume:
        raise UserError(f"{work_dir} already contains a run, and train.resume is false: choose another train.work_dir")
    return checkpointer.restore_latest(state) or state


def evaluate_students(
    evaluate: Evaluate, placement: Placement, key_metric: str
) -> Callable[[TrainState], dict[str, float]]:
    """Return a function from a state to metrics, given one from a network's variables to metrics.

    Returns:
        The function. For mutual learners its result holds the best student's metrics under their own names, each
        student's as "accuracy_0", "accuracy_1", ..., and the best student's index as "best_student".
    """

    def of_state(state: TrainState) -> dict[str, float]:
        variables = placement.host(state.variables)
        if placement.students == 1:
            return dict(evaluate(variables))
        each = [evaluate(pick(variables, i)) for i in range(placement.students)]
        if not each[0]:
            return {}
        best = max(range(placement.students), key=lambda i: each[i][key_metric])
        named = {f"{name}_{i}": value for i, metrics in enumerate(each) for name, value in metrics.items()}
        return {**each[best], **named, BEST_STUDENT: float(best)}

    return of_state


def images_of_state(images: Images | None, placement: Placement) -> Callable[..., dict[str, Any]] | None:
    """Return a function from a state and a batch to images, given one from a network's variables and a batch."""
    if images is None:
        return None
    return lambda state, batch: images(first_student(placement, state), batch)


def first_student(placement: Placement, state: TrainState) -> Mapping[str, Any]:
    """Return the variables of the only network, or of the first student."""
    variables = placement.host(state.variables)
    return variables if placement.students == 1 else pick(variables, 0)
