"""Finding a trained network: a training run's folder, or a file of weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.config import ClsConfig, DetConfig, RecConfig
from ppocr_jax.config_io import load_config
from ppocr_jax.errors import UserError
from ppocr_jax.inference.db_postprocess import DBOptions
from ppocr_jax.inference.model_folder import (
    METADATA_FILE,
    SPECS,
    ClassifierSpec,
    DetectorSpec,
    NetworkSpec,
    RecognizerSpec,
    load_model_folder,
    parse_spec,
)
from ppocr_jax.models.io import check_same_structure, load_safetensors
from ppocr_jax.models.options import builder_options
from ppocr_jax.training.network import TrainedNetwork, variable_shapes

Config = DetConfig | RecConfig | ClsConfig

_CONFIGS: dict[str, type[Config]] = {"det": DetConfig, "rec": RecConfig, "cls": ClsConfig}
_CONFIG_FILE = "config.json"


def load_trained(path: str | Path, *, task: str | None = None, charset: str | Path | None = None) -> TrainedNetwork:
    """A network from a training run's folder or from a .safetensors file.

    A folder gives its best checkpoint, or the weights it holds where there are no checkpoints. A file is described by
    the `model.json` or the run's `config.json` beside it, else by its own metadata, else by `task`.

    Args:
        path: the folder or file.
        task: "det", "cls" or "rec": what a file without description is, in the default size.
        charset: of a recognizer, where it is not described: a built-in name or a file.

    Raises:
        UserError: there is no network, or it is not clear which, or its weights do not fit it.
    """
    path = Path(path)
    if path.is_dir():
        network = _from_run(path, charset)
    elif path.is_file():
        network = _from_file(path, task, charset)
    else:
        raise UserError(f"no training run or weights file {path}")
    if task is not None and task != network.task:
        raise UserError(f"{path} holds a {network.task!r} network, not {task!r}")
    check_same_structure(network.variables, variable_shapes(network.spec), path)
    return network


def _from_run(folder: Path, charset: str | Path | None) -> TrainedNetwork:
    config = _read_config(folder / _CONFIG_FILE)
    if any(folder.glob("checkpoints/*")):
        return _from_checkpoint(folder, config, charset)
    file = folder / f"{_task(config)}.safetensors"
    if not file.is_file():
        raise UserError(f"{folder} holds neither checkpoints nor {file.name}: train first")
    return _from_config(config, load_safetensors(file), charset, file)


def _from_file(path: Path, task: str | None, charset: str | Path | None) -> TrainedNetwork:
    variables = load_safetensors(path)
    if (path.parent / METADATA_FILE).is_file():
        return _from_model_folder(path, variables)
    if (path.parent / _CONFIG_FILE).is_file():
        return _from_config(_read_config(path.parent / _CONFIG_FILE), variables, charset, path)
    description = _description(path)
    if "spec" in description:
        return _from_description(path, description, variables)
    task = task or path.stem
    if task not in _CONFIGS:
        raise UserError(f"{path} does not say what network it holds: add --task det, cls or rec")
    if task == "rec" and charset is None:
        raise UserError(f"{path} does not say what its characters are: add --charset NAME_OR_FILE")
    return _from_config(_CONFIGS[task](), variables, charset, path)


def _from_model_folder(path: Path, variables: Mapping[str, Any]) -> TrainedNetwork:
    model = load_model_folder(path.parent)
    for spec in (model.det, model.cls, model.rec):
        if spec is not None and spec.safetensors == path.name:
            charset = model.charset if spec.task == "rec" else None
            return TrainedNetwork(spec, variables, charset, model.provenance.get(spec.task, {}))
    raise UserError(f"{path.parent / METADATA_FILE} does not name {path.name}")


def _from_description(path: Path, description: Mapping[str, str], variables: Mapping[str, Any]) -> TrainedNetwork:
    try:
        spec = parse_spec(SPECS[description["task"]], json.loads(description["spec"]))
        charset = Charset(tuple(json.loads(description["charset"]))) if "charset" in description else None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the description inside {path} is broken: {error!r}") from error
    return TrainedNetwork(spec, variables, charset, {"from": path.name})


def _from_config(
    config: Config, variables: Mapping[str, Any], charset: str | Path | None, path: Path
) -> TrainedNetwork:
    characters = _charset(config, charset)
    return _network(config, variables, characters, {"from": path.name})


def _from_checkpoint(folder: Path, config: Config, charset: str | Path | None) -> TrainedNetwork:
    from ppocr_jax.training.best_student import best_network
    from ppocr_jax.training.checkpoint import Checkpointer

    with Checkpointer(folder / "checkpoints", key_metric=config.train.key_metric) as checkpointer:
        saved = checkpointer.load_best()
    stored = saved.description["charset"]
    characters = Charset(tuple(stored)) if stored else _charset(config, charset)
    return _network(config, best_network(saved), characters, {"from": folder.resolve().name, "step": saved.step})


def _network(
    config: Config, variables: Mapping[str, Any], charset: Charset | None, provenance: Mapping[str, Any]
) -> TrainedNetwork:
    reads = charset if isinstance(config, RecConfig) else None
    return TrainedNetwork(_spec(config, charset), variables, reads, provenance)


def _spec(config: Config, charset: Charset | None) -> NetworkSpec:
    """What `model.json` will say of a network trained with `config`."""
    model, options = config.model, builder_options(config, charset)
    if isinstance(config, DetConfig):
        return DetectorSpec(
            network=model.name,
            options=options,
            postprocess=DBOptions(**asdict(config.reading)),
        )
    if isinstance(config, ClsConfig):
        data = config.data
        size = {"height": data.height, "width": data.width, "long_lines": data.long_lines}
        return ClassifierSpec(network=model.name, options=options, **size)
    # Lines narrower than any in training would be padded to a width the network never saw.
    return RecognizerSpec(
        network=model.name, options=options, height=config.data.height, min_width=min(320, config.data.widths[0])
    )


def _charset(config: Config, charset: str | Path | None) -> Charset | None:
    """The characters of the recognizer's classes, or of the lines that the classifier was trained on."""
    if isinstance(config, DetConfig):
        return None
    own = config.model.charset if isinstance(config, RecConfig) else config.data.charset
    try:
        return load_charset(charset or own)
    except (OSError, ValueError) as error:
        raise UserError(f"{error}; name the characters of the recognizer with --charset") from error


def _task(config: Config) -> str:
    return next(task for task, kind in _CONFIGS.items() if isinstance(config, kind))


def _read_config(path: Path) -> Config:
    """A run's configuration, of whichever task its network is."""
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["model"]["name"]
    except OSError as error:
        raise UserError(f"{path.parent} is not a training run: it holds no {path.name}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not the configuration of a training run: {error!r}") from error
    for kind in _CONFIGS.values():
        if kind().model.name == name:
            return load_config(kind, path)
    raise UserError(f"{path} names the network {name!r}, which this version does not know")


def _description(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return file.metadata() or {}
