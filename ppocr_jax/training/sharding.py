"""Placement of a run's arrays: on one device, or on a mesh of devices and processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppocr_jax.config import MeshConfig
from ppocr_jax.data.batches import ProcessShare
from ppocr_jax.errors import UserError
from ppocr_jax.training.learners import STUDENT_AXIS
from ppocr_jax.training.step import TrainState

DATA_AXIS = "data"


class MeshError(UserError):
    """The requested devices are not available, or do not divide the batch or the students."""


def connect(config: MeshConfig) -> None:
    """Join the other processes of the run; call it before a device is used. A single process does nothing.

    Raises:
        MeshError: If the other processes do not respond.
    """
    if config.coordinator is None:
        return
    try:
        if config.coordinator == "auto":
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(config.coordinator, config.processes, config.process)
    except (RuntimeError, ValueError) as error:
        if config.coordinator == "auto" and isinstance(error, ValueError):  # JAX found no coordinator
            raise MeshError(
                "train.mesh.coordinator is auto, but neither Slurm nor a TPU pod describes the other processes: set it "
                "to HOST:PORT of process 0, and set train.mesh.processes and train.mesh.process"
            ) from error
        raise MeshError(f"cannot join the run at {config.coordinator}: {error}") from error


def make_mesh(config: MeshConfig, batch_size: int = 0) -> Mesh | None:
    """Return a mesh with the axes "data" and "student"; None if a single device does all the work.

    Every process contributes the same number of devices.

    Args:
        config: The number of devices; if not set, the largest number that divides `batch_size` evenly.
        batch_size: Examples that the network sees at once, `train.batch_size` / `train.accumulate`; 0 if that does not
            matter.

    Raises:
        MeshError: If there are fewer devices than requested, or they do not divide the batch, or the processes do not
            divide them.
    """
    count, processes, student = jax.device_count(), jax.process_count(), config.student

    def is_even(data: int) -> bool:
        # Each process has whole rows of the mesh, or a part of one row.
        own, rest = divmod(data * student, processes)
        return rest == 0 and (own % student == 0 or student % own == 0) and batch_size % data == 0

    data = config.data or next((d for d in range(max(1, count // student), 0, -1) if is_even(d)), 0)
    if data * student > count:
        raise MeshError(
            f"train.mesh asks for {data} x {student} devices, but there are {count} ({jax.devices()[0].platform})"
        )
    if not data or not is_even(data):
        over = f"{data} x {student} devices" if data else "the devices"
        of = f"{over} of {processes} processes" if processes > 1 else over
        raise MeshError(
            f"{batch_size} examples at a time (train.batch_size / train.accumulate) cannot be split evenly over {of}: "
            f"change train.batch_size, train.accumulate or train.mesh"
        )
    if data * student == 1:
        return None
    by_process = defaultdict(list)
    for device in jax.devices():
        by_process[device.process_index].append(device)
    each = data * student // processes
    devices = [device for process in sorted(by_process) for device in by_process[process][:each]]
    return Mesh(np.array(devices).reshape(data, student), (DATA_AXIS, STUDENT_AXIS))


def process_share(mesh: Mesh | None) -> ProcessShare:
    """Return which rows of a batch this process makes: those of its devices' positions along "data".

    Processes that hold other students of the same rows make the same rows.
    """
    if mesh is None or jax.process_count() == 1:
        return ProcessShare()
    own = [i for i, row in enumerate(mesh.devices) if any(d.process_index == jax.process_index() for d in row)]
    return ProcessShare(own[0] // len(own), mesh.shape[DATA_AXIS] // len(own))


@dataclass(frozen=True)
class Placement:
    """Places states, batches and frozen arrays on a mesh.

    The first axis of batches is split over "data", the student axis of mutual learners over "student"; everything else
    is replicated.

    Attributes:
        mesh: None for a single device.
        students: S; 1 for a single network, whose arrays have no student axis.

    Raises:
        MeshError: If the mesh's student axis does not divide S.
    """

    mesh: Mesh | None = None
    students: int = 1

    def __post_init__(self) -> None:
        groups = 1 if self.mesh is None else self.mesh.shape[STUDENT_AXIS]
        if self.students % groups:
            raise MeshError(
                f"train.mesh.student: {self.students} mutual students cannot be spread over {groups} groups of devices"
            )

    def state(self, state: TrainState) -> TrainState:
        """Place a state that is the same in every process."""
        if self.mesh is None:
            # Restored states are bound to their device. One that is not would give another program, so that the first
            # resumed run would not find its steps in the cache and compile them all again.
            return jax.device_put(state, jax.local_devices()[0])
        return jax.tree.map(lambda x: self._put(x, self._spec_of(x)), state)

    def constrain(self, state: TrainState) -> TrainState:
        """Keep a state in its place under `jit`."""
        if self.mesh is None:
            return state
        mesh = self.mesh
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, NamedSharding(mesh, self._spec_of(x))), state)

    def everywhere(self, tree: Any) -> Any:
        """Replicate arrays on every device."""
        return tree if self.mesh is None else jax.tree.map(lambda x: self._put(x, PartitionSpec()), tree)

    def batch(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """Place a batch; in a run of several processes each provides its own rows.

        Raises:
            MeshError: If the rows cannot be split evenly.
        """
        if self.mesh is None:
            return batch
        rows, shards = len(next(iter(batch.values()))) * process_share(self.mesh).count, self.mesh.shape[DATA_AXIS]
        if rows % shards:
            raise MeshError(f"a batch of {rows} cannot be split over {shards} devices: change train.batch_size")
        sharding = NamedSharding(self.mesh, PartitionSpec(DATA_AXIS))
        return {name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()}

    def host(self, tree: Any) -> Any:
        """Return NumPy arrays of a tree that may be spread over devices and processes."""
        if self.mesh is None or jax.process_count() == 1:
            return jax.device_get(tree)
        whole = NamedSharding(self.mesh, PartitionSpec())
        return jax.device_get(jax.jit(lambda x: x, out_shardings=whole)(tree))

    def _spec_of(self, x: Any) -> PartitionSpec:
        """Return the student axis for arrays of mutual learners; counters, the learning rate etc. are replicated."""
        is_of_students = self.students > 1 and np.shape(x)[:1] == (self.students,)
        return PartitionSpec(STUDENT_AXIS) if is_of_students else PartitionSpec()

    def _put(self, x: Any, spec: PartitionSpec) -> jax.Array:
        assert self.mesh is not None
        sharding = NamedSharding(self.mesh, spec)
        value = np.asarray(x)
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])
