"""`ppocr-jax models`: list the available networks and systems with parameters, cost and purpose."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.models.systems import NetworkSize

_CHINESE_CLASSES = 6625  # classes of PP-OCR's Chinese and English recognizer, as in the papers
_IMAGES = {"db": (960, 960), "crnn": (32, 320), "svtr": (48, 320), "direction": (48, 192)}
_IMAGE = (224, 224)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `models`."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="show the details of this network or system (default: list all)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the list, or the details of one network or system.

    Raises:
        UserError: There is no network or system of that name.
    """
    from ppocr_jax.models import MODELS
    from ppocr_jax.models.systems import SYSTEMS

    if args.name is None:
        print(_row("network", "parameters", "MACs", "image", "description"))
        for name in MODELS:
            print(_network_row(name))
        print("\nA system is a detector, a direction classifier and a recognizer:")
        for name, system in SYSTEMS.items():
            print(f"  {name:<14} {system.about}: {system.det.network}, {system.cls.network}, {system.rec.network}")
        print("\n`ppocr-jax models NAME` shows details of a network, or how to build, train and export a system.")
    elif args.name in SYSTEMS:
        print("\n".join(_system_lines(args.name)))
    elif args.name in MODELS:
        print("\n".join(_network_lines(args.name)))
    else:
        raise UserError(f"no network or system {args.name!r}; choose from {', '.join((*MODELS, *SYSTEMS))}")
    return 0


def _measured(name: str) -> tuple[NetworkSize, tuple[int, int]]:
    """Return the size of a network with its default options, and the (height, width) for which MACs were counted."""
    from ppocr_jax.models import MODELS, build_model
    from ppocr_jax.models.ops import native_ops
    from ppocr_jax.models.systems import network_size

    needs_classes = inspect.signature(MODELS[name]).parameters.get("num_classes")
    wanted = needs_classes is not None and needs_classes.default is inspect.Parameter.empty
    options: dict[str, Any] = {"num_classes": _CHINESE_CLASSES} if wanted else {}
    image = _IMAGES.get(name.partition("_")[0], _IMAGE)
    return network_size(build_model(name, ops=native_ops, **options), image), image


def _network_row(name: str) -> str:
    size, (height, width) = _measured(name)
    return _row(name, f"{size.parameters / 1e6:.2f} M", _macs(size), f"{height} x {width}", _about(name))


def _row(*cells: str) -> str:
    name, parameters, macs, image, about = cells
    return f"{name:<22} {parameters:>10} {macs:>9}  {image:<10} {about}"


def _macs(size: NetworkSize) -> str:
    return f"{size.macs / 1e9:.2f} G" if size.macs >= 1e9 else f"{size.macs / 1e6:.0f} M"


def _about(name: str) -> str:
    """Return the description of a network from the first line of its builder's docstring."""
    from ppocr_jax.models import MODELS

    first = (inspect.getdoc(MODELS[name]) or "").splitlines()[0]
    return first.removeprefix("Build ").rstrip(".").partition("; arguments")[0]


def _network_lines(name: str) -> Iterator[str]:
    from ppocr_jax.models import MODELS
    from ppocr_jax.models.systems import SYSTEMS

    size, (height, width) = _measured(name)
    yield f"{name}: {_about(name)}"
    yield f"parameters  {size.parameters:,}, and {size.statistics:,} BatchNorm statistics"
    if size.training_only:
        yield f"            {size.training_only:,} more used only in training"
    yield f"in a file   {4 * (size.parameters + size.statistics) / 1e6:.1f} MB as float32"
    yield f"cost        {_macs(size)} multiply-accumulate operations for an image of {height} x {width}"
    hidden = ("ops", "parent", "name")
    options = [p for key, p in inspect.signature(MODELS[name]).parameters.items() if key not in hidden]
    yield f"options     {', '.join(str(p.replace(annotation=inspect.Parameter.empty)) for p in options)}"
    used = [system for system, parts in SYSTEMS.items() if name in (part.network for part in parts[1:])]
    if used:
        yield f"part of     {', '.join(used)}"


def _system_lines(name: str) -> Iterator[str]:
    from ppocr_jax.models.systems import SYSTEMS

    system = SYSTEMS[name]
    yield f"{name}: {system.about}"
    total = 0
    for part in (system.det, system.cls, system.rec):
        size, _ = _measured(part.network)
        total += size.parameters + size.statistics
        yield "  " + _network_row(part.network)
    yield f"  together {4 * total / 1e6:.1f} MB as float32, with {_CHINESE_CLASSES:,} classes"
    yield f'build   build_system("{name}", num_classes=...)  # ppocr_jax.models.systems'
    yield f"train   python train_det.py --config {system.det.config}"
    yield f"        ppocr-jax train-cls --config {system.cls.config}"
    yield f"        python train_rec.py --config {system.rec.config}"
    yield f"export  ppocr-jax export DET_RUN CLS_RUN REC_RUN --output {name}"
    yield f"read    python infer.py --image IMAGE --model {name}"
