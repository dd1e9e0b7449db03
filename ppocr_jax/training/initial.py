"""Where a run starts: random weights, or those of another network, as far as they fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from ppocr_jax.charset import Charset
from ppocr_jax.config import TrainConfig
from ppocr_jax.models import build_model
from ppocr_jax.models.io import WeightsError
from ppocr_jax.models.ops import training_ops
from ppocr_jax.training.learners import stack
from ppocr_jax.training.trained import load_trained

_logger = logging.getLogger("ppocr_jax")
# Any size the network takes: its parameters do not depend on it.
_INPUT_SHAPES = {"det": (1, 64, 64, 3), "rec": (1, 32, 64, 3), "cls": (1, 48, 192, 3)}
_LISTED = 8

Flat = dict[str, np.ndarray]


def initial_variables(
    model: nn.Module, task: str, config: TrainConfig, *, students: int = 1, charset: Charset | None = None
) -> Mapping[str, Any]:
    """Random weights, with those of `config.init` put over them.

    Of mutual learners the first takes all of `config.init`, its peers the backbone alone: students that start equal
    would stay equal, and learn nothing from each other.

    Args:
        model: one network.
        task: "det", "rec" or "cls".
        config: `seed` and `init` are read.
        students: with more than one, arrays get a leading student axis.
        charset: of a recognizer.

    Raises:
        UserError: `config.init` is missing, or nothing in it fits.
    """
    initialize = jax.jit(lambda key: model.init(key, jnp.zeros(_INPUT_SHAPES[task]), train=False))
    keys = [jax.random.key(config.seed)] + [
        jax.random.fold_in(jax.random.key(config.seed), i) for i in range(1, students)
    ]
    each = [initialize(key) for key in keys]
    if config.init is not None:
        source = load_trained(config.init, task=task)
        each[0] = transfer(source.variables, each[0], config.init, source.charset, charset)
        backbone = {name: {"backbone": tree["backbone"]} for name, tree in source.variables.items()}
        each[1:] = [transfer(backbone, random, config.init, None, None, quiet=True) for random in each[1:]]
    return each[0] if students == 1 else stack(each)


def transfer(
    source: Mapping[str, Any],
    like: Mapping[str, Any],
    origin: str | Path,
    source_charset: Charset | None,
    charset: Charset | None,
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """`like` with every array replaced that `source` has in the same shape; a recognizer's classes go by character.

    What is kept, new, dropped or not loaded is logged.

    Args:
        source, like: variables of networks.
        origin: where `source` comes from, for messages.
        source_charset, charset: of recognizers; where they differ, a character keeps its class's weights, a new one
            stays random.
        quiet: do not log.

    Raises:
        WeightsError: nothing fits.
    """
    have: Flat = cast("Flat", traverse_util.flatten_dict(dict(source), sep="/"))
    wanted: dict[str, Any] = traverse_util.flatten_dict(dict(like), sep="/")
    want: Flat = {name: np.asarray(value) for name, value in wanted.items()}
    if source_charset is not None and charset is not None and source_charset != charset:
        have = _map_classes(have, want, source_charset, charset)
        if not quiet:
            _log_charsets(source_charset, charset)
    fitting = {name: value for name, value in have.items() if name in want and np.shape(value) == want[name].shape}
    if not fitting:
        raise WeightsError(f"nothing in {origin} fits this network")
    if not quiet:
        _log_names(f"not in {origin}, or of another shape; stay random", sorted(want.keys() - fitting.keys()))
        _log_names(f"in {origin}, but not used", sorted(have.keys() - fitting.keys()))
    return traverse_util.unflatten_dict({**want, **fitting}, sep="/")


def _map_classes(have: Flat, want: Flat, old: Charset, new: Charset) -> Flat:
    """`have` with the head's last layer rearranged to the new classes, over the random values of `want`."""
    pairs = [(0, 0)] + [(old.ids[c], i) for c, i in new.ids.items() if c in old.ids]
    old_ids, new_ids = (np.array(ids) for ids in zip(*pairs, strict=True))
    mapped = dict(have)
    for name, value in have.items():
        is_class_layer = name.startswith("params/head/") and value.shape[-1] == old.num_classes
        if is_class_layer and name in want and want[name].shape == (*value.shape[:-1], new.num_classes):
            mapped[name] = want[name].copy()
            mapped[name][..., new_ids] = value[..., old_ids]
    return mapped


def _log_charsets(old: Charset, new: Charset) -> None:
    kept = [c for c in new.characters if c in old]
    added = [c for c in new.characters if c not in old]
    dropped = [c for c in old.characters if c not in new]
    _logger.info("characters: %d kept, %s new, %s dropped", len(kept), _some(added), _some(dropped))


def _some(characters: list[str]) -> str:
    shown = "".join(characters[:40]) + ("..." if len(characters) > 40 else "")
    return f"{len(characters)} ({shown})" if characters else "0"


def _log_names(what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        _logger.warning("%s: %s%s", what, ", ".join(names[:_LISTED]), more)


def load_teacher(path: str, compute: str) -> tuple[nn.Module, Mapping[str, Any]]:
    """A frozen detector and its variables.

    Raises:
        UserError: there is none at `path`.
    """
    teacher = load_trained(path, task="det")
    model = build_model(teacher.spec.network, ops=training_ops(compute), **teacher.spec.options)
    return model, jax.tree.map(jnp.asarray, dict(teacher.variables))


def load_centers(path: str, charset: Charset) -> jax.Array:
    """(K, D) centers of the center loss.

    Raises:
        WeightsError: there are none at `path`, or they are of other characters.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            centers, characters = file.get_tensor("centers"), (file.metadata() or {}).get("charset")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read centers from {path}: {error}") from error
    if characters != "".join(charset.characters):
        raise WeightsError(
            f"{path} holds centers of other characters: extract them anew with ppocr-jax extract-centers"
        )
    return jnp.asarray(centers)
