"""Mutual learners: S networks of one architecture in one pytree whose arrays have a leading student axis.

Each student computes its share of the total loss from its own outputs and those of its peers. On one group of devices
the students run one after the other. On a mesh with a "student" axis each group of devices holds its own students and
`all_gather` exchanges the outputs. The shares add up to the same total either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from ppocr_jax.training.pact import QuantizedNetwork
from ppocr_jax.training.step import Batch, Objective, Terms

STUDENT_AXIS = "student"

Outputs = Mapping[str, jax.Array]
# forward(params, batch_stats, batch, rng) -> (outputs, new_batch_stats), in training mode; `rng` for dropout
Forward = Callable[[Any, Any, Batch, jax.Array], tuple[Outputs, Any]]
# (frozen, batch) -> arrays that all students share, such as a teacher's maps
Context = Callable[[Any, Batch], Mapping[str, jax.Array]]


class Share(Protocol):
    """One student's share of the total loss, and its unweighted terms."""

    def __call__(
        self, own: Outputs, peers: Sequence[Outputs], batch: Batch, context: Mapping[str, jax.Array], step: jax.Array
    ) -> tuple[jax.Array, Terms]:
        """Return the share and its terms; `peers` are the exchanged outputs of the other students."""
        ...


def stack(trees: Sequence[Any]) -> Any:
    """Stack pytrees of the same structure into one with a leading axis.

    NumPy arrays stay NumPy arrays: outside `jit`, JAX would compile a program for each shape, which takes seconds.
    """

    def stacked(*arrays: Any) -> Any:
        return (np if all(isinstance(array, np.ndarray) for array in arrays) else jnp).stack(arrays)

    return jax.tree.map(stacked, *trees)


def pick(tree: Any, index: Any) -> Any:
    """Return one student of a stacked pytree; `index` may be traced. NumPy arrays stay NumPy arrays, as in `stack`."""

    def of_student(x: Any) -> Any:
        if isinstance(index, int):
            return x[index, ...] if isinstance(x, np.ndarray) else lax.index_in_dim(x, index, keepdims=False)
        return lax.dynamic_index_in_dim(jnp.asarray(x), index, keepdims=False)

    return jax.tree.map(of_student, tree)


def mutual_objective(
    forward: Forward,
    share: Share,
    *,
    exchanged: Sequence[str],
    students: int,
    mesh: Mesh | None = None,
    context: Context = lambda frozen, batch: {},
) -> Objective:
    """Return an objective that sums the shares of all students.

    Args:
        forward: Forward pass of one student.
        share: Share of one student; gradients flow to its peers as well.
        exchanged: Names of the outputs that peers receive.
        students: S.
        mesh: If its "student" axis has more than one group, each group of devices computes only its own students.
        context: Evaluated once for all students.

    Returns:
        An objective over params and batch_stats with a leading axis of S; a term "ctc" of student 0 becomes "ctc_0".

    Raises:
        ValueError: If the mesh's student axis does not divide S.
    """
    groups = 1 if mesh is None else mesh.shape[STUDENT_AXIS]
    if students % groups:
        raise ValueError(f"{students} students cannot be spread over {groups} groups of devices")

    def of_group(params: Any, batch_stats: Any, batch: Batch, context: Any, rng: jax.Array, step: jax.Array):
        count = students // groups
        first = lax.axis_index(STUDENT_AXIS) * count if groups > 1 else 0
        runs = [
            forward(pick(params, i), pick(batch_stats, i), batch, jax.random.fold_in(rng, first + i))
            for i in range(count)
        ]
        exchanged_outputs = stack([{name: outputs[name] for name in exchanged} for outputs, _ in runs])
        if groups > 1:
            exchanged_outputs = lax.all_gather(exchanged_outputs, STUDENT_AXIS, tiled=True)
        shares = []
        for i, (outputs, _) in enumerate(runs):
            peers = [pick(exchanged_outputs, (first + i + k) % students) for k in range(1, students)]
            shares.append(share(outputs, peers, batch, context, step))
        return stack(shares), stack([statistics for _, statistics in runs])

    if groups > 1:
        own, everyone = PartitionSpec(STUDENT_AXIS), PartitionSpec()
        of_group = jax.shard_map(
            of_group,
            mesh=mesh,
            in_specs=(own, own, everyone, everyone, everyone, everyone),
            out_specs=own,
            axis_names={STUDENT_AXIS},
            check_vma=False,
        )

    def objective(params: Any, frozen: Any, batch_stats: Any, batch: Batch, rng: jax.Array, step: jax.Array):
        shared = context(frozen, batch)
        (shares, terms), batch_stats = of_group(params, batch_stats, dict(batch), dict(shared), rng, step)
        named = {f"{name}_{i}": values[i] for name, values in terms.items() for i in range(students)}
        return shares.sum(), (batch_stats, named)

    return objective


def training_forward(model: nn.Module | QuantizedNetwork, *, frozen_statistics: bool = False) -> Forward:
    """Return `model` in training mode as a function of its two collections, the batch and a key for dropout.

    A guided recognizer also gets the batch's labels.

    Args:
        model: One network.
        frozen_statistics: Every BatchNorm normalizes by its running statistics and does not update them; a
            `QuantizedNetwork` always does so.
    """
    frozen_statistics = frozen_statistics and not isinstance(model, QuantizedNetwork)
    inputs = ("labels",) if getattr(model, "guided", False) else ()

    def forward(params: Any, batch_stats: Any, batch: Batch, rng: jax.Array):
        variables = {"params": params, "batch_stats": batch_stats}
        labels = {name: batch[name] for name in inputs}
        with nn.intercept_methods(_by_running_statistics) if frozen_statistics else nullcontext():
            outputs, changed = model.apply(
                variables, batch["images"], train=True, **labels, rngs={"dropout": rng}, mutable=["batch_stats"]
            )
        if frozen_statistics:
            return outputs, batch_stats
        return outputs, changed["batch_stats"]

    return forward


def _by_running_statistics(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """Replace `nn.BatchNorm.__call__` by scale * (x - mean) / sqrt(var + epsilon) + bias, whatever `train` is."""
    norm = context.module
    if not isinstance(norm, nn.BatchNorm) or context.method_name != "__call__":
        return call(*args, **kwargs)
    statistics, parameters = norm.variables["batch_stats"], norm.variables.get("params", {})
    factor = lax.rsqrt(statistics["var"] + norm.epsilon) * parameters.get("scale", 1.0)
    return (args[0] - statistics["mean"]) * factor + parameters.get("bias", 0.0)


def objective_alone(forward: Forward, share: Share, context: Context = lambda frozen, batch: {}) -> Objective:
    """Return the objective of a single network: the share of a mutual learner without peers or a student axis."""

    def objective(params: Any, frozen: Any, batch_stats: Any, batch: Batch, rng: jax.Array, step: jax.Array):
        outputs, batch_stats = forward(params, batch_stats, batch, rng)
        loss, terms = share(outputs, (), batch, context(frozen, batch), step)
        return loss, (batch_stats, terms)

    return objective
