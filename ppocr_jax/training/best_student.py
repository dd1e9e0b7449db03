"""Of mutual learners the one that reads best: it is what evaluation, reading and export take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from ppocr_jax.training.checkpoint import SavedNetwork
from ppocr_jax.training.learners import pick
from ppocr_jax.training.sharding import Placement
from ppocr_jax.training.state import TrainState

BEST_STUDENT = "best_student"

Variables = Mapping[str, Any]


def evaluate_students(
    evaluate: Callable[[Variables], Mapping[str, float]], placement: Placement, key_metric: str
) -> Callable[[TrainState], dict[str, float]]:
    """From metrics of a network to metrics of a state.

    Returns:
        A function whose result for mutual learners holds the best student's metrics under their own names, each
        student's as "accuracy_0", "accuracy_1", ..., and the best one's number as "best_student".
    """

    def of_state(state: TrainState) -> dict[str, float]:
        variables = placement.host(state.variables)
        if placement.students == 1:
            return dict(evaluate(variables))
        each = [evaluate(pick(variables, i)) for i in range(placement.students)]
        best = max(range(placement.students), key=lambda i: each[i][key_metric])
        named = {f"{name}_{i}": value for i, metrics in enumerate(each) for name, value in metrics.items()}
        return {**each[best], **named, BEST_STUDENT: float(best)}

    return of_state


def first_student(placement: Placement, state: TrainState) -> Variables:
    """Variables of the only network, or of the first student."""
    variables = placement.host(state.variables)
    return variables if placement.students == 1 else pick(variables, 0)


def best_network(saved: SavedNetwork) -> dict[str, Any]:
    """Variables of one network: of mutual learners those of the best student, the first where none was evaluated."""
    if saved.description["config"].get("mutual", {}).get("students", 1) == 1:
        return saved.variables
    return jax.device_get(pick(saved.variables, int(saved.metrics.get(BEST_STUDENT, 0))))
