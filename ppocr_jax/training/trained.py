"""Networks from files: load a training run or weights file, and start a new run from it."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from flax import traverse_util

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.config import ConfigError, TaskConfig, TrainConfig
from ppocr_jax.config_io import from_dict, read_values
from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import (
    BUILTIN_FOLDER,
    METADATA_FILE,
    NetworkSpec,
    builtin_models,
    load_model_folder,
    parse_spec,
)
from ppocr_jax.models import MODELS, Network
from ppocr_jax.models.io import WeightsError, check_same_structure, load_safetensors
from ppocr_jax.training.learners import stack
from ppocr_jax.training.network import TrainedNetwork, initialize, quick_compile, variable_shapes
from ppocr_jax.training.pact import without_clips
from ppocr_jax.training.tasks import TASKS, kind_of

_logger = logging.getLogger("ppocr_jax")
_CONFIG_FILE = "config.json"
IMAGE = "image"
_LISTED = 8
# Smallest share of a network's arrays that a start must fill; networks without a common backbone share fewer by chance.
_LEAST_FITTING = 0.1
_FOREIGN = (".pdparams", ".pdmodel", ".pdiparams", ".onnx")  # formats that `ppocr-jax convert` reads
_PEERS = 2**31  # folded into the seed's key; steps fold in their own number, which never gets this large

Flat = dict[str, np.ndarray]


def load_trained(path: str | Path, *, task: str | None = None, charset: str | Path | None = None) -> TrainedNetwork:
    """Load a network from a training run's folder, a .safetensors file, or a model (a folder or a built-in one).

    From a training run it loads the best checkpoint, or the weights file if there are no checkpoints. A file is
    described by the `model.json` or the run's `config.json` in its folder, else by its own metadata, else by `task`.

    Args:
        path: The folder or file, or the name of a built-in model.
        task: "det", "cls" or "rec": which network of a model to load, or the task (in its default size) of a file
            without description.
        charset: Characters of a recognizer without description: a built-in name or a file.

    Raises:
        UserError: If there is no network, it is ambiguous which one is meant, or its weights do not fit it.
    """
    name, path = str(path), Path(path)
    if not path.exists() and name in builtin_models():
        path = BUILTIN_FOLDER / name
    if (path / METADATA_FILE).is_file():
        network = _from_model(path, task)
    elif path.is_dir():
        network = _from_run(path, charset)
    elif path.is_file():
        network = _from_file(path, task, charset)
    else:
        raise UserError(f"no training run or weights file {path}")
    if task is not None and task != network.task:
        raise UserError(f"{path} contains a {network.task!r} network, not {task!r}")
    if network.task == "det" and "threshold" not in network.variables["params"]:  # complete for inference
        options = {**network.spec.options, "threshold": False}
        network = replace(network, spec=replace(network.spec, options=options))
    if network.spec.network not in MODELS:
        raise UserError(
            f"{path} contains a network {network.spec.network!r}, which this version does not know; register your "
            f"own networks in ppocr_jax.models.MODELS first"
        )
    check_same_structure(without_clips(network.variables), variable_shapes(network.spec), path)
    return network


def _from_run(folder: Path, charset: str | Path | None) -> TrainedNetwork:
    config = _read_config(folder / _CONFIG_FILE)
    if any(folder.glob("checkpoints/*")):
        from ppocr_jax.training.checkpoint import Checkpointer

        with Checkpointer(folder / "checkpoints", key_metric=config.train.key_metric) as checkpointer:
            saved = checkpointer.load_best()
        stored = saved.description["charset"]
        characters = Charset(tuple(stored)) if stored else _charset(config, charset)
        return _from_config(config, saved.network, characters, {"from": folder.resolve().name, "step": saved.step})
    file = folder / f"{config.task}.safetensors"
    if not file.is_file():
        raise UserError(f"{folder} contains neither checkpoints nor {file.name}: train first")
    return _from_config(config, load_safetensors(file), _charset(config, charset), {"from": file.name})


def _from_model(folder: Path, task: str | None) -> TrainedNetwork:
    if task is None:
        raise UserError(f"{folder} is a model with several networks: pass one of its .safetensors files")
    model = load_model_folder(folder)
    spec = model.spec(task)
    if spec.safetensors is None:
        facts = model.provenance.get(task)
        int8 = facts.get("int8") if isinstance(facts, Mapping) else None
        source = f" of {int8['of']}" if isinstance(int8, Mapping) and "of" in int8 else ""
        hint = f"; it is int8: use the weights of the float network{source} (docs/slimming.md)" if int8 else ""
        raise UserError(f"{folder} has no weights for training of its {task!r} network, only an ONNX file{hint}")
    return _from_model_folder(folder / spec.safetensors, load_safetensors(folder / spec.safetensors))


def _from_file(path: Path, task: str | None, charset: str | Path | None) -> TrainedNetwork:
    if path.suffix in _FOREIGN:
        raise UserError(
            f"{path} is no .safetensors file: `ppocr-jax convert {path} --output {path.stem}.safetensors` makes one of "
            f"PaddleOCR's weights"
        )
    variables = load_safetensors(path)
    if (path.parent / METADATA_FILE).is_file():
        return _from_model_folder(path, variables)
    if (path.parent / _CONFIG_FILE).is_file():
        config = _read_config(path.parent / _CONFIG_FILE)
        return _from_config(config, variables, _charset(config, charset), {"from": path.name})
    description = _description(path)
    if "spec" in description:
        return _from_description(path, description, variables)
    task = task or path.stem
    if task not in TASKS:
        raise UserError(f"{path} does not state its task: add --task det, cls or rec")
    if task == "rec" and charset is None:
        raise UserError(f"{path} does not state its characters: add --charset NAME_OR_FILE")
    config = TASKS[task].config()
    return _from_config(config, variables, _charset(config, charset), {"from": path.name})


def _from_model_folder(path: Path, variables: Mapping[str, Any]) -> TrainedNetwork:
    model = load_model_folder(path.parent)
    for spec in (model.det, model.cls, model.rec):
        if spec is not None and spec.safetensors == path.name:
            charset = model.charset if spec.task == "rec" else None
            return TrainedNetwork(spec, variables, charset, model.provenance.get(spec.task, {}))
    raise UserError(f"{path.parent / METADATA_FILE} does not name {path.name}")


def _from_description(path: Path, description: Mapping[str, str], variables: Mapping[str, Any]) -> TrainedNetwork:
    try:
        spec = parse_spec(TASKS[description["task"]].spec, json.loads(description["spec"]))
        charset = Charset(tuple(json.loads(description["charset"]))) if "charset" in description else None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the description inside {path} is broken: {error!r}") from error
    return TrainedNetwork(spec, variables, charset, {"from": path.name})


def _from_config(
    config: TaskConfig, variables: Mapping[str, Any], charset: Charset | None, origin: Mapping[str, Any]
) -> TrainedNetwork:
    kind = kind_of(config)
    spec = kind.network_spec(config, charset)
    return TrainedNetwork(spec, variables, charset if kind.writes_text else None, origin)


def _charset(config: TaskConfig, charset: str | Path | None) -> Charset | None:
    """Return the characters of the recognizer's classes, or of the classifier's training lines."""
    if config.charset_name is None:
        return None
    try:
        return load_charset(charset or config.charset_name, space=config.charset_space)
    except (OSError, ValueError) as error:
        raise UserError(f"{error}; pass the characters of the recognizer with --charset") from error


def _read_config(path: Path) -> TaskConfig:
    """Return a run's configuration, whatever its task."""
    try:
        values = read_values(path)
    except ConfigError as error:
        problem = f"it holds no {path.name}" if not path.is_file() else str(error)
        raise UserError(f"{path.parent} is not a training run: {problem}") from error
    task = values.get("task")
    if task not in TASKS:
        raise UserError(f'{path} does not state the task of the run: add "task": "det", "rec" or "cls"')
    return from_dict(TASKS[task].config, values, source=str(path))


def _description(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return file.metadata() or {}


def initial_variables(
    model: Network, spec: NetworkSpec, config: TrainConfig, *, students: int = 1, charset: Charset | None = None
) -> Mapping[str, Any]:
    """Return random weights, replaced by those of `config.init` where they fit.

    Of mutual learners the first takes all of `config.init` and its peers only the backbone, because students that start
    equal would stay equal and learn nothing from each other.

    Args:
        model: One network.
        spec: Its description.
        config: `seed` and `init` are used.
        students: With more than one, arrays get a leading student axis.
        charset: Characters of a recognizer.

    Raises:
        UserError: If `config.init` is missing, or almost nothing in it fits.
    """
    source = None if config.init is None else load_start(config.init, spec.task)
    # It runs only once, so it is compiled quickly, in a quarter of the time or less.
    random = jax.jit(partial(initialize, model, spec), compiler_options=quick_compile())
    key = jax.random.key(config.seed)
    peers = jax.random.fold_in(key, _PEERS)
    keys = [key, *(jax.random.fold_in(peers, i) for i in range(1, students))]
    each = jax.device_get([random(key) for key in keys])
    if source is not None:
        origin = str(config.init)
        each[0] = transfer(source.variables, each[0], origin, source.charset, charset)
        backbone = _backbone_alone(source).variables
        each[1:] = [transfer(backbone, peer, origin, None, None, quiet=True) for peer in each[1:]]
    return each[0] if students == 1 else stack(each)


def load_start(path: str, task: str) -> TrainedNetwork:
    """Return the network that a run of `task` starts from: one of the same task, or only a backbone.

    A text network takes the backbone of an image classifier, and an image classifier that of a text network's file.
    """
    folder = Path(path)
    if task == IMAGE:
        described = _description(folder).get("task", IMAGE) if folder.is_file() else IMAGE
        return load_trained(path, task=IMAGE) if described == IMAGE else _backbone_alone(load_trained(path))
    config = (folder if folder.is_dir() else folder.parent) / _CONFIG_FILE
    if not config.is_file() or _read_config(config).task != IMAGE:
        return load_trained(path, task=task)
    return _backbone_alone(load_trained(path, task=IMAGE))


def _backbone_alone(network: TrainedNetwork) -> TrainedNetwork:
    backbone = {name: {"backbone": tree["backbone"]} for name, tree in network.variables.items()}
    return replace(network, variables=backbone, charset=None)


def transfer(
    source: Mapping[str, Any],
    like: Mapping[str, Any],
    origin: str | Path,
    source_charset: Charset | None,
    charset: Charset | None,
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """Return `like` with every array replaced for which `source` has one of the same shape; classes match by character.

    Logs which arrays are new or not used and, if the charsets differ, which characters are kept, new or dropped.

    Args:
        source, like: Variables of networks.
        origin: Name of `source` for messages.
        source_charset, charset: Charsets of recognizers. If they differ, a character keeps the weights of its class,
            and a new character stays random.
        quiet: Do not log.

    Raises:
        WeightsError: If nothing or almost nothing fits.
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
    if len(fitting) < _LEAST_FITTING * len(want):
        raise WeightsError(
            f"only {len(fitting)} of this network's {len(want)} arrays fit in {origin}, of another architecture or "
            f"size: set train.init to a network like this one, or model.name to that of {origin}"
        )
    if not quiet:
        _log_names(f"not in {origin}, or of another shape; stay random", want.keys() - fitting.keys(), want.keys())
        _log_names(f"in {origin}, but not used", have.keys() - fitting.keys(), have.keys())
    return traverse_util.unflatten_dict({**want, **fitting}, sep="/")


def _map_classes(have: Flat, want: Flat, old: Charset, new: Charset) -> Flat:
    """Return `have` with the head's last layer rearranged to the new classes, over the random values of `want`."""
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


def _log_names(what: str, names: Set[str], of: Set[str]) -> None:
    """Log arrays of a network; if all arrays `of` a part are listed, only the part: "threshold (13 arrays)"."""
    whole, here = Counter(map(_part, of)), Counter(map(_part, names))
    parts = {part for part, count in here.items() if count > 1 and count == whole[part]}
    listed = [f"{part} ({here[part]} arrays)" for part in sorted(parts)]
    listed += sorted(name for name in names if _part(name) not in parts)
    if listed:
        more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
        count = f"{len(names)} of {len(of)} arrays: " if more else ""
        _logger.warning("%s: %s%s%s", what, count, ", ".join(listed[:_LISTED]), more)


def _part(name: str) -> str:
    """Return the part of the network, such as "backbone", of an array named like "params/backbone/..."."""
    return name.split("/")[1] if "/" in name else name
