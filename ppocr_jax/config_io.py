"""Input of configurations from TOML, JSON and the command line, and output as JSON.

The dataclasses of `ppocr_jax.config` are the schema. Unknown keys and values of another type are errors.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import sys
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ppocr_jax.config import ConfigError, TaskConfig

T = TypeVar("T")
_LABEL_FLAGS = ("train_labels", "val_labels")
# Options with paths of input files. In the second list, a single word is the name of something built in.
_PATHS = ("path", "corpus", "fonts", "backgrounds", "train_folder", "val_folder", "centers")
_PATHS_OR_NAMES = ("charset", "synthetic_charset", "init", "teacher")


def from_dict(schema: type[T], values: Mapping[str, Any], *, source: str = "configuration") -> T:
    """Build the dataclass `schema` from plain values. Missing values keep the defaults of the schema.

    Args:
        schema: A dataclass of `ppocr_jax.config`.
        values: Nested mappings, as read from TOML or JSON.
        source: Origin of the values, for messages.

    Raises:
        ConfigError: If a key is unknown, a key without a default is missing, or a value has the wrong type.
    """
    if issubclass(schema, TaskConfig) and isinstance(values, Mapping):
        values = dict(values)
        task = values.pop("task", schema.task)
        if not _has_keys(schema, values):  # of another task, which is reported instead of its first unknown key
            task = next((other.task for other in TaskConfig.__subclasses__() if _has_keys(other, values)), task)
        if task != schema.task:
            raise ConfigError(f'{source} is a configuration for the task "{task}", not "{schema.task}"')
    return _build(schema, None, values, prefix="", source=source)


def _has_keys(schema: type, values: Mapping[str, Any]) -> bool:
    """Return whether the dataclass `schema` has all keys in nested `values`."""
    hints = get_type_hints(schema)
    return values.keys() <= {field.name for field in dataclasses.fields(schema)} and all(
        _has_keys(hints[key], value)
        for key, value in values.items()
        if isinstance(value, Mapping) and dataclasses.is_dataclass(hints[key])
    )


def to_dict(config: Any) -> dict[str, Any]:
    """Return the configuration as plain types, for JSON; inverse of `from_dict`. It includes the task, if any."""
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    return {"task": config.task, **values} if isinstance(config, TaskConfig) else values


def load_config(schema: type[T], path: str | Path) -> T:
    """Read a configuration file, `.toml` or (as saved with a run) `.json`.

    Relative paths in it refer to the working folder. If they do not exist there, paths in a `.toml` file may refer to
    the folder of the file.

    Raises:
        ConfigError: If the file does not exist, has invalid syntax, or does not fit the schema.
    """
    values = read_values(path)
    if Path(path).suffix != ".json":
        values = _with_found_paths(Path(path).parent, values)
    return from_dict(schema, values, source=str(path))


def _with_found_paths(folder: Path, value: Any, key: str = "") -> Any:
    """Return `value` of the option `key`, with paths that exist only in `folder` changed to paths in that folder."""
    if isinstance(value, dict):
        return {name: _with_found_paths(folder, inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_found_paths(folder, item, key) for item in value]
    if not isinstance(value, str) or not value:
        return value
    is_word = Path(value).name == value and not Path(value).suffix
    if key in _PATHS or (key in _PATHS_OR_NAMES and not is_word):
        return value if Path(value).exists() or not (folder / value).exists() else str(folder / value)
    return value


def read_values(path: str | Path) -> dict[str, Any]:
    """Return the contents of a configuration file as plain types, of any schema.

    Raises:
        ConfigError: If the file does not exist or has invalid syntax.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"configuration file {path} not found")
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors on Windows write a byte order mark
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}; save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} is not valid {path.suffix.lstrip('.') or 'TOML'}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a table of options")
    return values


def save_config(config: Any, path: str | Path) -> None:
    """Write the resolved configuration as JSON, one key per line."""
    Path(path).write_text(json.dumps(to_dict(config), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def parse_command_line(
    schema: type[T], description: str, arguments: Sequence[str] | None = None, *, prog: str | None = None
) -> T | None:
    """Return the configuration of a training command: defaults, `--config FILE`, then flags (`--train.steps 100`).

    Label files can be given as plain paths, `--data.train-labels A B`. The flag alone removes those of the file.

    Args:
        schema: A dataclass of `ppocr_jax.config`.
        description: Text shown by `--help`.
        arguments: Command-line arguments. Default: those of the process.
        prog: Name of the program in messages.

    Returns:
        The configuration, or None without arguments.

    Raises:
        ConfigError: See `load_config`.
        SystemExit: If a flag is unknown, or after `--help`.
    """
    import tyro

    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words:
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    for name in _LABEL_FLAGS:
        parser.add_argument(f"--data.{name}", f"--data.{name.replace('_', '-')}", nargs="*", dest=name)
    known, flags = parser.parse_known_args(words)
    default = load_config(schema, find_config(known.config)) if known.config else schema()
    labels = {name: getattr(known, name) for name in _LABEL_FLAGS if getattr(known, name) is not None}
    if labels:
        sources = {name: [{"path": path} for path in paths] for name, paths in labels.items()}
        default = _build(schema, default, {"data": sources}, prefix="", source="the command line")
    description += " Use --config FILE_OR_PRESET to read a TOML file or preset first; the options below override it."
    data = get_type_hints(schema).get("data")
    given = [f"--data.{name.replace('_', '-')}" for name in _LABEL_FLAGS if hasattr(data, name)]
    if given:
        description += (
            f" Label files can be given as paths: {' A B, '.join(given)} A B; without a path, there are none."
        )
    return tyro.cli(schema, default=default, args=flags, description=description, prog=prog)


def find_config(name: str) -> Path:
    """Return the path of a configuration file, given by its path or by the name of a preset, such as "det/en".

    Raises:
        ConfigError: If neither exists.
    """
    path = Path(name)
    if path.is_file():
        return path
    preset = _preset_folder() / name.removesuffix(".toml").removeprefix("configs/")
    if preset.with_name(f"{preset.name}.toml").is_file():
        return preset.with_name(f"{preset.name}.toml")
    raise ConfigError(f"no configuration file or preset {name}; the presets are {', '.join(presets())}")


def presets(task: str = "*") -> list[str]:
    """Return the names of the presets, such as "det/en"."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in _preset_folder().glob(f"{task}/*.toml"))


def _preset_folder() -> Path:
    """Return the folder of the presets: inside an installed package, or beside it in the repository."""
    package = Path(__file__).resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def _build(schema: type[T], base: T | None, values: Any, *, prefix: str, source: str) -> T:
    """Build `schema` from `values` over `base`, or over the defaults of the schema if `base` is None."""
    if not isinstance(values, Mapping):
        raise ConfigError(f'"{prefix.rstrip(".")}" in {source} must be a table, not {values!r}')
    fields = {field.name: field for field in dataclasses.fields(schema)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f'unknown key "{prefix}{key}" in {source}{_suggestion(key, fields)}')
    if base is None:
        missing = [name for name, field in fields.items() if _required(field) and name not in values]
        if missing:
            raise ConfigError(f'"{prefix}{missing[0]}" is missing in {source}')
        base = None if any(_required(field) for field in fields.values()) else schema()
    hints = get_type_hints(schema)
    arguments = {
        name: _convert(value, hints[name], getattr(base, name, None), where=f"{prefix}{name}", source=source)
        for name, value in values.items()
    }
    return schema(**arguments) if base is None else dataclasses.replace(base, **arguments)  # type: ignore[type-var]


def _convert(value: Any, hint: Any, base: Any, *, where: str, source: str) -> Any:
    """Convert `value` to the type `hint`. `base` provides the defaults of a table."""
    origin, options = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _build(hint, base, value, prefix=f"{where}.", source=source)
    if origin in (Union, types.UnionType):
        inner = next(option for option in options if option is not type(None))
        return None if value is None else _convert(value, inner, base, where=where, source=source)
    if options == (str, Ellipsis) and (value is None or isinstance(value, str)):
        value = [] if value is None else [value]  # a string stands for a list of one, null for an empty list
    if origin is tuple and isinstance(value, list | tuple):
        items = [options[0]] * len(value) if options[-1] is Ellipsis else list(options)
        if len(items) == len(value):
            return tuple(
                _convert(item, item_hint, None, where=f"{where}[{i}]", source=source)
                for i, (item, item_hint) in enumerate(zip(value, items, strict=True))
            )
    elif origin is Literal and value in options:
        return value
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint in (int, str, bool) and type(value) is hint:
        return value
    raise ConfigError(f'"{where}" in {source} must be {_describe(hint)}, not {value!r}')


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _describe(hint: Any) -> str:
    options = get_args(hint)
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(option) for option in options)
    if get_origin(hint) is tuple:
        count = "" if options[-1] is Ellipsis else f"{len(options)} "
        return f"a list of {count}{_describe(options[0])}"
    return {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}.get(hint, str(hint))


def _suggestion(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; the keys are {', '.join(known)}"
