"""Size, speed and accuracy of slimmed models on the same images in one run.

    python benchmarks/slim.py --labels datasets/sroie/val/label.txt [--calibrate scans/] [--openvino] \\
        [--model NAME=DIR ...]

The first rows are the reference model (`--reference en`) with weights in float32, in half precision as shipped, and,
with `--calibrate`, quantized after training as by `ppocr-jax slim int8`. Other models, such as PACT runs or pruned
detectors exported by `ppocr-jax export`, are added with `--model`; networks that a folder lacks are taken from the
reference. `--openvino` adds the reference with OpenVINO, which reads each page once before it is measured, because it
compiles for each shape.

The models read the same images on one thread and take turns in random order for each image, so that other load affects
all equally. Medians of CPU time per image are compared. Line and box scores are those of `ppocr-jax eval` with
--ignore-case --ignore-space. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ppocr_jax import OCR
from ppocr_jax.data.images import evenly_spread, load_record_image
from ppocr_jax.data.labels import DetectionRecord, read_labels
from ppocr_jax.evaluation import evaluate_detection, evaluate_recognition, line_samples, score_pages
from ppocr_jax.images import find_inputs, read_pages
from ppocr_jax.inference.model_folder import TASKS, ModelFolder, load_model_folder, write_model_json
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.slim.int8 import quantize_to_folder, record_inputs

QUANTIZED = ("det", "rec")  # the default of `slim int8`


def main() -> None:
    """Prepare the models, run them in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", required=True, help="label file of pages")
    parser.add_argument("--limit", type=int, default=40, help="number of pages, evenly spread (default: %(default)s)")
    parser.add_argument(
        "--lines",
        type=int,
        default=800,
        help="number of lines for the recognizer alone, from the same pages (default: %(default)s)",
    )
    parser.add_argument(
        "--reference", default="en", help="built-in model or model folder to compare with (default: en)"
    )
    parser.add_argument("--calibrate", help="folder of training images for post-training quantization")
    parser.add_argument(
        "--calibrate-limit", type=int, default=12, help="number of these images, evenly spread (default: %(default)s)"
    )
    parser.add_argument("--openvino", action="store_true", help="also run the reference with OpenVINO")
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME=DIR", help="another model folder; may be repeated"
    )
    args = parser.parse_args()
    reference = load_model_folder(args.reference)
    with tempfile.TemporaryDirectory() as folder:
        models = {"float32": widened(reference, Path(folder) / "float32"), "float16, as shipped": reference}
        if args.calibrate:
            inputs = record_inputs(reference, calibration_images(args.calibrate, args.calibrate_limit), QUANTIZED)
            models["int8 after training"] = quantize_to_folder(reference, inputs, Path(folder) / "int8")
        for named in args.model:
            name, _, path = named.partition("=")
            models[name] = completed(load_model_folder(path), reference, Path(folder) / f"completed{len(models)}")
        records = evenly_spread(read_labels(args.labels).records, args.limit)
        readers = {name: OCR(str(model.path), threads=1) for name, model in models.items()}
        if args.openvino:
            models["OpenVINO"] = reference
            readers["OpenVINO"] = OCR(args.reference, backend="openvino", threads=1)
            for record in records:
                readers["OpenVINO"](load_record_image(record.image_path))
        print(table(models, readers, records, args.lines))


def calibration_images(folder: str, limit: int) -> list[Any]:
    """Return the pages of up to `limit` files of a folder, (H, W, 3) uint8."""
    return [page.image_rgb for source in evenly_spread(find_inputs([folder]), limit) for page in read_pages(source)]


def widened(model: ModelFolder, folder: Path) -> ModelFolder:
    """Write a model with all constants in float32, and return it."""
    folder.mkdir()
    for task in TASKS:
        (folder / f"{task}.onnx").write_bytes(Graph(model.file(task, "onnx").read_bytes()).to_bytes())
    networks = {task: replace(model.spec(task), onnx=f"{task}.onnx", safetensors=None) for task in TASKS}
    result = replace(model, path=folder, **networks)
    write_model_json(result)
    return result


def completed(model: ModelFolder, reference: ModelFolder, folder: Path) -> ModelFolder:
    """Write a model whose missing networks are taken from the reference, and return it."""
    folder.mkdir()
    networks = {}
    for task in TASKS:
        owner = model if getattr(model, task) is not None else reference
        shutil.copyfile(owner.file(task, "onnx"), folder / f"{task}.onnx")
        networks[task] = replace(owner.spec(task), onnx=f"{task}.onnx", safetensors=None)
    charset = model.charset if model.rec is not None else reference.charset
    result = replace(reference, path=folder, name=model.name, charset=charset, **networks)
    write_model_json(result)
    return result


def table(models: dict[str, ModelFolder], readers: dict[str, OCR], records: list[DetectionRecord], lines: int) -> str:
    """Read with all models and return the table."""
    pages: dict[str, list[Any]] = {name: [] for name in models}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    order, shuffle = list(models), random.Random(0).shuffle
    for record in records:
        image = load_record_image(record.image_path)
        shuffle(order)
        for name in order:
            start = time.process_time()
            pages[name].append(readers[name](image))
            seconds[name].append(time.process_time() - start)
    samples = list(islice(line_samples(records), lines))
    rows = ["| model | det, cls, rec MB | all MB | time | pages/s of CPU | det Hmean | by area | lines | end to end |"]
    rows.append("|" + "---|" * 9)
    slowest = statistics.median(seconds[next(iter(models))])
    for name, model in models.items():
        sizes = [model.file(task, "onnx").stat().st_size / 1e6 for task in TASKS]
        ocr = readers[name]
        found = evaluate_detection(ocr.detect, records)
        read = evaluate_recognition(partial(ocr.recognize), samples, ignore_case=True, ignore_space=True)
        whole = score_pages(records, pages[name], ignore_case=True, ignore_space=True)
        median = statistics.median(seconds[name])
        cells = [", ".join(f"{size:.2f}" for size in sizes), f"{sum(sizes):.2f}", f"{median / slowest:.2f}"]
        cells += [f"{1 / statistics.mean(seconds[name]):.2f}", f"{found['hmean']:.4f}", f"{found['area_hmean']:.4f}"]
        cells += [f"{read['accuracy']:.4f}", f"{whole['hmean']:.4f}"]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([f"{len(records)} pages, {len(samples)} lines, one thread, CPU time", "", *rows])


if __name__ == "__main__":
    main()
