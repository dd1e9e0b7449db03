"""`ppocr-jax doctor`: report on packages, processor, backends and model files, and read a test image."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppocr_jax import __version__
from ppocr_jax.errors import UserError

_PACKAGES = {
    "reading": ("numpy", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "pyclipper", "shapely", "Pillow"),
    "PDF, HEIC": ("pypdfium2", "pikepdf", "pillow-heif"),
    "OpenVINO": ("openvino",),
    "training": ("jax", "flax", "optax", "orbax-checkpoint", "grain", "safetensors", "tyro"),
    "export": ("onnx", "jax2onnx", "tensorflow-cpu", "tf2onnx"),
}
# Processor feature -> its flags in Linux's /proc/cpuinfo, on x86 and ARM.
_FEATURES = {
    "AVX2": {"avx2"},
    "AVX512": {"avx512f"},
    "VNNI (int8)": {"avx512_vnni", "avx_vnni", "asimddp"},
    "bfloat16": {"avx512_bf16", "bf16"},
    "AMX": {"amx_tile"},
}
_CPUINFO = Path("/proc/cpuinfo")
_ROLES = {"det": "detector", "cls": "direction classifier", "rec": "recognizer"}
_WORD = "Doctor 2468"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `doctor`."""
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.onnx", help="ONNX files to inspect")
    parser.add_argument("--charset", metavar="NAME_OR_FILE", help="charset to check against the recognizers among them")
    parser.add_argument("--model", default="en", metavar="NAME_OR_DIR", help="model for the test reading (default: en)")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="report format (default: text)")


def run(args: argparse.Namespace) -> int:
    """Print a report; return 1 if the test line was misread or a file cannot be used.

    Raises:
        UserError: The model cannot be loaded.
    """
    features = _features()
    report = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {purpose: dict(map(_version, names)) for purpose, names in _PACKAGES.items()},
        "processor": features,
        "backends": _backends(),
        "models": _models(),
        "files": [_describe(path, args.charset) for path in args.files],
        "reading": _try_reading(args.model),
    }
    report["advice"] = list(_advice(features, report["backends"]))
    print(json.dumps(report, ensure_ascii=False, indent=1) if args.format == "json" else "\n".join(_lines(report)))
    if not report["reading"]["right"]:
        sys.stderr.write(
            "ppocr-jax doctor: the test line was misread; is the model for another language, or poorly trained?\n"
        )
    return int(not report["reading"]["right"] or any("error" in file for file in report["files"]))


def _version(name: str) -> tuple[str, str | None]:
    try:
        return name, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return name, None


def _features() -> dict[str, bool] | None:
    """Return whether the processor has each feature; None if that is unknown, as outside Linux."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    flags = next(
        (set(line.partition(":")[2].split()) for line in lines if line.lower().startswith(("flags", "features"))), None
    )
    return None if flags is None else {name: bool(flags & names) for name, names in _FEATURES.items()}


def _backends() -> dict[str, list[str]]:
    """Return the devices of each installed backend."""
    import onnxruntime

    found = {"onnx": list(onnxruntime.get_available_providers())}
    if importlib.util.find_spec("openvino") is not None:
        from ppocr_jax.inference.openvino_backend import openvino_core

        core = openvino_core()
        found["openvino"] = [
            f"{name}: {core.get_property(name, 'FULL_DEVICE_NAME')}" for name in core.available_devices
        ]
    if importlib.util.find_spec("jax") is not None and importlib.util.find_spec("flax") is not None:
        import jax

        try:
            found["jax"] = [f"{device.platform}: {device.device_kind}" for device in jax.devices()]
        except RuntimeError as error:  # a device was requested (JAX_PLATFORMS) that is missing
            found["jax"] = [f"none: {str(error).splitlines()[0]}"]
    return found


def _advice(features: dict[str, bool] | None, backends: dict[str, list[str]]) -> Iterator[str]:
    """Yield recommended options for this machine; docs/openvino.md and docs/slimming.md have the measurements."""
    if "CUDAExecutionProvider" in backends["onnx"]:
        yield "--backend onnx --device cuda: the networks run on the GPU"
        return
    if any(not device.startswith(("cpu", "none")) for device in backends.get("jax", [])):
        yield "--backend jax: the networks run on JAX's device"
    has = features or {}
    if has.get("bfloat16") and "openvino" in backends:
        yield "--backend openvino for many pages with a large model: this processor multiplies in bfloat16"
    elif has.get("bfloat16"):
        yield "for many pages with a large model install ppocr-jax[openvino]: this processor multiplies in bfloat16"
    else:
        yield "--backend onnx"
    if has.get("VNNI (int8)"):
        yield "ppocr-jax slim int8 makes networks faster here: this processor has instructions for int8"
    elif features is not None:
        yield "int8 networks are smaller, but hardly faster here: this processor has no instructions for int8"


def _models() -> list[str]:
    from ppocr_jax.inference.model_folder import builtin_models
    from ppocr_jax.inference.released import RELEASES, ReleaseError, find_release

    found = list(builtin_models())
    for name in RELEASES:
        try:
            find_release(name)
        except ReleaseError:
            continue
        found.append(name)
    return found


def _describe(path: Path, charset: str | None) -> dict[str, Any]:
    """Return a description of an ONNX file, with an `error` if it cannot be used."""
    from ppocr_jax.inference.backends import OnnxBackend
    from ppocr_jax.inference.model_folder import load_model_folder
    from ppocr_jax.inference.onnx_files import with_onnx_files
    from ppocr_jax.inference.recognize import TextRecognizer
    from ppocr_jax.inference.released import release_of

    said: dict[str, Any] = {"file": str(path)}
    try:
        backend = OnnxBackend(path, threads=1, device="cpu")
        metadata = backend.header.metadata
        said["made_by"] = "ppocr_jax" if "ppocr_jax_version" in metadata else release_of(path)
        # Third-party files have no task; the output's rank tells it: map (4), directions (2), classes per frame (3).
        task = metadata.get("task", {2: "cls", 4: "det"}.get(len(backend.output_shape), "rec")).strip('"')
        if "task" not in metadata and len(backend.output_shape) == 3 and backend.num_classes is None:
            task = "det"  # (B, H, W): the last axis is not a number of classes
        said["network"] = _ROLES.get(task, task)
        said["input"], said["output"] = list(backend.header.inputs[0].shape or ()), list(backend.output_shape)
        said["repaired"] = list(backend.repairs)
        given = {task: path, **({"charset": charset} if task == "rec" and charset is not None else {})}
        model, opened = with_onnx_files(load_model_folder("en"), device="cpu", **given)
        if task == "rec":
            said["height"] = TextRecognizer(opened["rec"], model.spec("rec"), model.charset).height
            said["classes"], said["characters"] = opened["rec"].num_classes, len(model.charset)
        elif task == "cls":
            said["height"] = model.spec("cls").height
    except (UserError, RuntimeError) as error:
        said["error"] = str(error).splitlines()[0]
    return said


def _try_reading(name: str) -> dict[str, Any]:
    """Render a line of text, read it, and return the result with the time it took."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    from ppocr_jax.inference.ocr import OCR

    image = Image.new("RGB", (320, 96), "white")
    ImageDraw.Draw(image).text((30, 30), _WORD, fill="black", font=ImageFont.load_default(32))
    start = time.perf_counter()
    ocr = OCR(name)
    text = ocr(np.asarray(image)).text
    return {
        "model": name,
        "synthetic": _WORD,
        "recognized": text,
        "right": text.replace(" ", "") == _WORD.replace(" ", ""),
        "seconds": round(time.perf_counter() - start, 3),
        "repaired": ocr.stages.repairs(),
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"ppocr_jax {report['version']}, Python {report['python']} on {report['platform']}, {report['cores']} cores"
    for purpose, packages in report["packages"].items():
        # One of the two packages of ONNX Runtime is enough.
        shown = {name: version for name, version in packages.items() if version or name != "onnxruntime-gpu"}
        yield _row(purpose, ", ".join(f"{name} {version or 'not installed'}" for name, version in shown.items()))
    features = report["processor"]
    has = None if features is None else [name for name, there in features.items() if there]
    lacks = "" if features is None else ", ".join(name for name, there in features.items() if not there)
    yield _row("processor", "unknown" if has is None else ", ".join(has) + (f"; without {lacks}" if lacks else ""))
    for backend, devices in report["backends"].items():
        yield _row(backend, ", ".join(devices))
    for advice in report["advice"]:
        yield _row("choose", advice)
    yield _row("models", ", ".join(report["models"]))
    for file in report["files"]:
        made_by = f"of {file['made_by']}" if file.get("made_by") else ""
        yield _row("file", " ".join(filter(None, [file["file"] + ":", file.get("network"), made_by])))
        details = [
            f"{key} {file[key]}" for key in ("input", "output", "height", "classes", "characters") if key in file
        ]
        yield from (_row("", detail) for detail in details)
        yield from (_row("", f"repaired: {repair}") for repair in file.get("repaired", ()))
        if "error" in file:
            yield _row("", f"cannot be used: {file['error']}")
    reading = report["reading"]
    yield from (_row("repaired", repair) for repair in reading["repaired"])
    seconds = f"{reading['seconds']:.2f} s from loading {reading['model']}"
    yield f"recognized {reading['recognized']!r} in an image of {reading['synthetic']!r}, in {seconds}"


def _row(name: str, text: str) -> str:
    return f"{name + ':' if name else '':<12} {text}"
