"""Export of networks into a model folder for `OCR`."""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ppocr_jax import __version__
from ppocr_jax.charset import Charset
from ppocr_jax.errors import UserError
from ppocr_jax.export.onnx import export_onnx
from ppocr_jax.export.parity import INT8_TOLERANCE, ParityRow, check_parity, parity_report, parity_shapes
from ppocr_jax.inference.model_folder import (
    METADATA_FILE,
    TASKS,
    ModelFolder,
    load_model_folder,
    with_language_of,
    write_model_json,
)
from ppocr_jax.models.io import round_kernels
from ppocr_jax.training.network import TrainedNetwork
from ppocr_jax.training.pact import is_quantized

FALLBACK_MODEL = "en"
"""The built-in model that provides the missing networks of a folder without a detector or recognizer."""
_CARD_MARK = "Trained for this model: "  # a card with this text was written here and may be overwritten
_logger = logging.getLogger("ppocr_jax")


def export_to_folder(
    networks: Sequence[TrainedNetwork],
    folder: str | Path,
    *,
    name: str | None = None,
    full_precision: bool = False,
    share: str | Path | None = None,
    complete: bool = False,
) -> dict[str, list[ParityRow]]:
    """Export networks into a model folder; networks of other tasks in the folder are kept.

    Nothing is written unless the outputs of all files match their networks. Networks trained for int8 (`training.pact`)
    become int8 files without a safetensors file, because their float weights would compute something else; these stay
    in the work folder.

    Args:
        networks: At most one network per task.
        folder: The model folder; created if it does not exist.
        name: Name of the model; default: its present name, or that of the folder.
        full_precision: Whether to write weights as they were trained; otherwise kernels are rounded to half precision,
            and both files are half as large.
        share: Another model folder. Files that are identical there are not written but referred to by relative paths,
            so that this folder depends on the other one.
        complete: Whether to complete the folder with the networks of the built-in model "en" that it lacks, and a
            recognizer of the same characters with its language model; the log, the folder's `card.md` and its
            provenance mention it.

    Returns:
        The differences between each task's file and its network.

    Raises:
        ParityError: The output of a file differs from that of its network.
        UserError: Two networks have the same task, a network is not for reading text, or `model.json` is invalid.
        OSError: The folder cannot be written.
    """
    tasks = [network.task for network in networks]
    for task in tasks:
        if task not in TASKS:
            raise UserError(
                f"the {task!r} network reads no text and cannot be part of a model folder; use it as train.init"
            )
    twice = {task for task in tasks if tasks.count(task) > 1}
    if twice:
        raise UserError(f"two networks for the same task: {', '.join(sorted(twice))}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = _model_folder(folder, name)
    reports: dict[str, list[ParityRow]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        for network in (network.for_reading() for network in networks):
            if not full_precision and not is_quantized(network.variables):
                network = replace(network, variables=round_kernels(network.variables))  # noqa: PLW2901
            _logger.info("%s: writing the file and comparing the outputs of JAX and ONNX Runtime", network.task)
            reports[network.task] = _write(network, Path(workspace))
            model = _with_network(model, network, reports[network.task])
        for file in Path(workspace).iterdir():
            shutil.copyfile(file, folder / file.name)  # not moved: safetensors files are readable only by their owner
    if complete:
        model = _completed(model, load_model_folder(FALLBACK_MODEL))
    if share is not None:
        model = _share_files(model, load_model_folder(share))
    write_model_json(model)
    return reports


def _completed(model: ModelFolder, fallback: ModelFolder) -> ModelFolder:
    """Copy missing networks and the language model from another model, and name them in a card unless there is one."""
    lacking = [task for task in TASKS if getattr(model, task) is None and getattr(fallback, task) is not None]
    for task in lacking:  # the direction classifier too: without one, pages are not rotated upright
        names = {kind: f"{task}.{kind}" for kind in ("onnx", "safetensors")}
        for kind, name in names.items():
            shutil.copyfile(fallback.file(task, kind), model.path / name)
        facts = {**fallback.provenance.get(task, {}), "model": fallback.name}
        spec = replace(fallback.spec(task), **names)
        model = replace(model, provenance={**model.provenance, task: facts}, **{task: spec})
        if task == "rec":
            model = replace(model, charset=fallback.charset)
    if model.language is None and model.charset == fallback.charset:
        model = with_language_of(model, fallback)
    taken = [task for task in TASKS if model.provenance.get(task, {}).get("model") == fallback.name]
    card = model.path / "card.md"
    if taken and (not card.exists() or _CARD_MARK in card.read_text(encoding="utf-8")):
        own = [task for task in TASKS if getattr(model, task) is not None and task not in taken]
        text = f"{_CARD_MARK}{', '.join(own)}. Taken from the model `{fallback.name}`: {', '.join(taken)}."
        card.write_text(f"# {model.name}\n\n{text}\n", encoding="utf-8")
        _logger.info("%s: adding %s of %r (--alone adds none)", model.name, ", ".join(taken), fallback.name)
    return model


def _share_files(model: ModelFolder, other: ModelFolder) -> ModelFolder:
    """Replace networks that another folder has, too, by references to its files.

    Only the safetensors files are compared: they contain the weights and their metadata, from which the ONNX files are
    made.
    """
    changes: dict[str, Any] = {}
    for task in TASKS:
        specs = getattr(model, task), getattr(other, task)
        if any(spec is None or spec.onnx is None or spec.safetensors is None for spec in specs):
            continue
        if not filecmp.cmp(model.file(task, "safetensors"), other.file(task, "safetensors"), shallow=False):
            continue
        names = {}
        for kind in ("onnx", "safetensors"):
            own, shared = model.file(task, kind).resolve(), other.file(task, kind).resolve()
            if own != shared:
                own.unlink()
            names[kind] = Path(os.path.relpath(shared, model.path.resolve())).as_posix()
        changes[task] = replace(specs[0], **names)
    return replace(model, **changes)


def _model_folder(folder: Path, name: str | None) -> ModelFolder:
    if (folder / METADATA_FILE).is_file():
        model = load_model_folder(folder)
        return replace(model, name=name or model.name)
    return ModelFolder(folder, name or folder.resolve().name, version="1", charset=Charset(()))


def _write(network: TrainedNetwork, folder: Path) -> list[ParityRow]:
    path = folder / f"{network.task}.onnx"
    export_onnx(network, path)
    rows = parity_report(path, network.compiled(), parity_shapes(network.spec))
    if is_quantized(network.variables):  # its float weights would compute something else
        check_parity(rows, path.name, tolerance=INT8_TOLERANCE)
        return rows
    check_parity(rows, path.name)
    network.save(path.with_suffix(".safetensors"))
    return rows


def _with_network(model: ModelFolder, network: TrainedNetwork, rows: Sequence[ParityRow]) -> ModelFolder:
    facts: dict[str, Any] = {
        **network.origin,
        "parity": max(row.max_abs_diff for row in rows),
        "ppocr_jax": __version__,
    }
    int8 = is_quantized(network.variables)
    if int8:
        facts["int8"] = "pact"
    weights = None if int8 else f"{network.task}.safetensors"
    spec = replace(network.spec, onnx=f"{network.task}.onnx", safetensors=weights)
    charset = network.charset or model.charset
    provenance = {**model.provenance, network.task: facts}
    return replace(model, charset=charset, provenance=provenance, **{network.task: spec})
