"""Checkpoints of a run: asynchronous, atomic, self-describing; the newest and the best are kept."""

from __future__ import annotations

import importlib.metadata
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from ppocr_jax import __version__
from ppocr_jax.errors import UserError
from ppocr_jax.training.learners import pick
from ppocr_jax.training.step import TrainState, path_of

_logger = logging.getLogger("ppocr_jax")
BEST_STUDENT = "best_student"
"""Name of the metric that holds the index of the best mutual learner."""


class CheckpointError(UserError):
    """A checkpoint is missing or does not fit the network."""


@dataclass(frozen=True)
class SavedNetwork:
    """A checkpoint without the optimizer's state.

    Attributes:
        step: Optimizer steps done.
        variables: "params" (the averaged ones if the run kept them) and "batch_stats", as NumPy arrays.
        metrics: Results of the evaluation; empty if there was none.
        description: Configuration, charset, versions.
    """

    step: int
    variables: dict[str, Any]
    metrics: dict[str, float]
    description: dict[str, Any]

    @property
    def network(self) -> dict[str, Any]:
        """Variables of one network; of mutual learners the best student's, or the first's if none was scored."""
        if self.description["config"].get("mutual", {}).get("students", 1) == 1:
            return self.variables
        return jax.device_get(pick(self.variables, int(self.metrics.get(BEST_STUDENT, 0))))


class Checkpointer:
    """Checkpoints in one folder. Use it as a context manager: leaving it waits for the save in progress.

    Each checkpoint also holds a description (the resolved configuration, the charset and the library versions), so it
    can be used without anything else.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        key_metric: str,
        config: Mapping[str, Any] | None = None,
        charset: Sequence[str] | None = None,
    ) -> None:
        """Open or create `folder`.

        Args:
            folder: Folder of the checkpoints.
            key_metric: The metric whose highest value makes a checkpoint the best.
            config: The resolved configuration as plain types, stored in every checkpoint.
            charset: The recognizer's characters, in the order of their classes.
        """
        self._key_metric = key_metric
        self._description = {
            "config": dict(config or {}),
            "charset": None if charset is None else list(charset),
            "versions": _versions(),
        }
        # `max_to_keep` together with `best_fn` can delete the newest checkpoint; this policy keeps both.
        best = BestN(get_metric_fn=self._score, n=1, keep_checkpoints_without_metrics=False)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy([LatestN(1), best]), best_fn=self._score
        )
        self._manager = ocp.CheckpointManager(
            Path(folder).absolute(), options=options, item_names=("state", "description")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._manager.close()
        except Exception:
            if error is None:  # otherwise it is the same failure again
                raise

    @property
    def latest_step(self) -> int | None:
        """Step of the newest checkpoint; None if there is none."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """Step of the checkpoint with the highest key metric; None if none was evaluated."""
        step = self._manager.best_step()
        return step if step is not None and self._manager.metrics(step) else None

    def save(self, state: TrainState, metrics: Mapping[str, float] | None = None) -> None:
        """Save under `state.step` in the background; do nothing if that step exists already.

        Args:
            state: The state to save; it may be donated right after.
            metrics: Results of evaluating this state.

        Raises:
            KeyError: If `metrics` lacks the key metric.
            CheckpointError: If this checkpoint or the previous one could not be written.
        """
        step = int(state.step)
        if metrics is not None and self._key_metric not in metrics:
            raise KeyError(f"evaluation gives {sorted(metrics)}, but not the key metric {self._key_metric!r}")
        if step in self._manager.all_steps():
            return
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), description=ocp.args.JsonSave(self._description))
        values = None if metrics is None else {name: float(value) for name, value in metrics.items()}
        with self._writing():
            self._manager.save(step, args=items, metrics=values, force=True)

    def restore_latest(self, like: TrainState) -> TrainState | None:
        """Return the newest state, in the structure and on the devices of `like`; None if there is no checkpoint.

        Raises:
            CheckpointError: If the checkpoint belongs to another network or optimizer.
        """
        return None if self.latest_step is None else self._restore(self.latest_step, like)

    def load_best(self) -> SavedNetwork:
        """Return the network with the highest key metric, or the newest if none was evaluated, saved from any devices.

        Raises:
            CheckpointError: If there is no checkpoint.
        """
        self.wait()
        step = self.best_step if self.best_step is not None else self.latest_step
        if step is None:
            raise CheckpointError(f"no finished checkpoint in {self._manager.directory}; train first")
        state = _load_arrays(Path(self._manager.directory) / str(step) / "state")
        params = state["params"] if state.get("average") is None else state["average"]
        variables = {"params": params, "batch_stats": state["batch_stats"]}
        return SavedNetwork(step, variables, dict(self._manager.metrics(step) or {}), self.describe(step))

    def describe(self, step: int) -> dict[str, Any]:
        """Return the configuration, charset and versions saved with the checkpoint of `step`."""
        items = ocp.args.Composite(description=ocp.args.JsonRestore())
        return self._manager.restore(step, args=items)["description"]

    def wait(self) -> None:
        """Wait until everything passed to `save` is on disk.

        Raises:
            CheckpointError: If it could not be written.
        """
        with self._writing():
            self._manager.wait_until_finished()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Reduce the errors of Orbax and TensorStore (full disk, folder not writable) to one line."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(
                f"cannot write a checkpoint to {self._manager.directory}: {reason}; the last finished one is intact"
            ) from error

    def _restore(self, step: int, like: TrainState) -> TrainState:
        self._warn_of_changes(step)
        if misfit := self._misfit(step, like):
            raise CheckpointError(
                f"checkpoint {step} in {self._manager.directory} does not fit this run ({misfit}); choose another "
                f"train.work_dir, or move that folder away"
            )
        template = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        try:
            restored = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(template)))
            state = restored["state"]
        except ValueError as error:
            state = self._restore_by_name(step, like)
            if state is None:
                raise CheckpointError(
                    f"checkpoint {step} in {self._manager.directory} does not fit this network and optimizer; choose "
                    f"another train.work_dir, or move that folder away ({str(error).splitlines()[0]})"
                ) from error
        _logger.info("restored step %d from %s", step, self._manager.directory)
        return state

    def _misfit(self, step: int, like: TrainState) -> str:
        """Return which array has another shape than in `like`, or that the charset is another one; "" if neither.

        Orbax would print pages about such an array. A charset of the same size would restore, with the classes of other
        characters.
        """
        before, now = self.describe(step)["charset"], self._description["charset"]
        if before and now and before != now:
            return f"its charset has {len(before)} characters, or they are in another order; this one has {len(now)}"
        with ocp.StandardCheckpointer() as reader:
            saved = reader.metadata(Path(self._manager.directory) / str(step) / "state").item_metadata.tree
        have = {path_of(path): tuple(leaf.shape) for path, leaf in jax.tree_util.tree_leaves_with_path(saved)}
        for path, leaf in jax.tree_util.tree_leaves_with_path(like):
            name, shape = path_of(path), np.shape(leaf)
            if have.get(name, shape) != shape:
                return f"{name} has the shape {have[name]} there and {shape} here"
        return ""

    def _restore_by_name(self, step: int, like: TrainState) -> TrainState | None:
        """Return the state if only the composition of the optimizer changed, as `train.frozen` does, not its arrays."""
        saved = _load_arrays(Path(self._manager.directory) / str(step) / "state")
        have = {path_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(saved)}
        paths, tree = jax.tree_util.tree_flatten_with_path(like)
        want = {path_of(path): leaf for path, leaf in paths}
        if {name: np.shape(leaf) for name, leaf in have.items()} != {n: np.shape(leaf) for n, leaf in want.items()}:
            return None
        return tree.unflatten([jax.device_put(have[name], leaf.sharding) for name, leaf in want.items()])

    def _warn_of_changes(self, step: int) -> None:
        before, now = (_flatten(config) for config in (self.describe(step)["config"], self._description["config"]))
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                _logger.warning("%s was %s in the checkpoint, is %s now", name, before.get(name), now.get(name))

    def _score(self, metrics: Mapping[str, float]) -> float:
        value = float(metrics[self._key_metric])
        return -math.inf if math.isnan(value) else value


def _load_arrays(folder: Path) -> Any:
    """Return every array of a checkpoint as nested dictionaries, on the host."""
    with ocp.StandardCheckpointer() as reader:
        saved = reader.metadata(folder).item_metadata.tree
        here = SingleDeviceSharding(jax.local_devices()[0])
        wanted = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), saved)
        return jax.device_get(reader.restore(folder, wanted))


def _versions() -> dict[str, str]:
    libraries = ("jax", "flax", "optax", "orbax-checkpoint", "numpy")
    return {"ppocr-jax": __version__, **{name: importlib.metadata.version(name) for name in libraries}}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested mappings as dotted names -> text."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = repr(value)
    return flat
