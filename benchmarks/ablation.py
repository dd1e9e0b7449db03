"""Gain of each step of PP-OCRv2: rows of the paper's Tables 2 and 3, trained from random weights in minutes.

    python benchmarks/ablation.py                                             # on synthetic text only
    python benchmarks/ablation.py --det-train a/label.txt --det-val b/label.txt --rec-train a/label.txt,case=blind \\
        --rec-val b/label.txt --seeds 0 1 2
    python benchmarks/ablation.py --table --plot curves.svg                   # print the results so far

Each row is an ordinary run: a preset of `configs/` with the smaller sizes of this budget, trained, exported and scored
with the usual commands. The rows of a table see the same batches (same data and seed) for the same number of steps; the
last row of each table gives the single network as much CPU time as the mutual one had. A label file may be followed by
options: `case=blind`, `granularity=word`, `weight=3`, see `ppocr_jax.config.LabelSource`.

When started again, it continues the interrupted row and skips finished rows. Two processes may share an --output if
they run different rows (--only, --rows). Results are written to `results/ablation.json`, runs to --work.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import itertools
import json
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ablation_tables import METRICS, TABLES, Row, curves, markdown

from ppocr_jax import OCR
from ppocr_jax.config import DetConfig, LabelSource, RecConfig, TaskConfig
from ppocr_jax.config_io import find_config, from_dict, load_config, save_config, to_dict
from ppocr_jax.data.detection import merge_words_into_lines
from ppocr_jax.data.images import evenly_spread, load_record_image
from ppocr_jax.data.labels import DetectionRecord, read_labels
from ppocr_jax.evaluation import evaluate_detection, evaluate_recognition, line_samples
from ppocr_jax.inference.model_folder import load_model_folder

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "ablation.json"
SCHEMAS = {"det": DetConfig, "rec": RecConfig}
SYNTHETIC_VAL = {"det": 40, "rec": 400}  # synthetic pages and lines for validation if no labels are given
SYNTHETIC_SEEDS = {"val": 900_000_001, "center_lines": 900_000_002}  # not used by any training
CENTER_LINES = {"synthetic": 1500, "all": 4000}  # lines from which centers are extracted
TIMED = {"det": 8, "rec": 200}  # images and lines for comparing the time of reading


def main() -> None:
    """Run the missing rows, then print the tables."""
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if not options.table:
        for task in tasks_of(options):
            run_table(task, options)
    results = load_results(options.output)
    if options.plot:
        options.plot.write_text(curves(results), encoding="utf-8")
    print(markdown(results))


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--table", action="store_true", help="only print the table of the results in --output")
    add("--plot", type=Path, metavar="FILE.svg", help="plot the scores during training against CPU time")
    add("--only", choices=list(TABLES), help="run only this table")
    add("--rows", nargs="+", metavar="ROW", help="run only these rows; those that they depend on must be finished")
    add("--seeds", nargs="+", type=int, default=[0], help="random seeds; each row is run with each (default: 0)")
    for task in TABLES:
        for split in ("train", "val"):
            text = f"label files of the {task} {split} split (default: synthetic samples)"
            add(f"--{task}-{split}", nargs="+", type=label_source, default=[], metavar="FILE", help=text)
    add(
        "--synthetic-share",
        type=float,
        default=0.5,
        help="share of synthetic lines in recognizer batches, next to labels (default: %(default)s)",
    )
    add(
        "--synthetic-pages",
        type=float,
        default=0.0,
        help="share of synthetic pages in detector batches (default: %(default)s)",
    )
    add(
        "--corpus",
        nargs="+",
        default=[],
        metavar="FILE",
        help="texts of synthetic lines and pages (default: generated)",
    )
    add("--backgrounds", metavar="DIR", help="images without text")
    add("--det-steps", type=int, default=600, help="training steps of a detector (default: %(default)s)")
    add("--rec-steps", type=int, default=1000, help="training steps of a recognizer (default: %(default)s)")
    add("--crop", type=int, default=320, help="side of the detector's crops (default: %(default)s)")
    add("--det-batch", type=int, default=8, help="crops per step (default: %(default)s)")
    add("--rec-batch", type=int, default=48, help="lines per step (default: %(default)s)")
    add(
        "--widths",
        nargs="+",
        type=int,
        default=[64, 128, 256],
        help="width buckets of lines; each is compiled separately (default: 64 128 256)",
    )
    add("--learning-rate", type=float, default=2e-3, help="largest learning rate (default: %(default)s)")
    add(
        "--evaluations",
        type=int,
        default=5,
        help="evaluations during each run, on --curve-limit images or 10 times as many lines (default: %(default)s)",
    )
    add(
        "--curve-limit",
        type=int,
        default=12,
        help="images of each --det-val file in these evaluations (default: %(default)s)",
    )
    add("--val-limit", type=int, help="images and lines of each val file to score rows on (default: all)")
    add("--work", type=Path, default=Path("runs/ablation"), help="folder for the runs (default: %(default)s)")
    add("--output", type=Path, default=RESULTS, help="JSON file of the results (default: results/ablation.json)")
    options = parser.parse_args(arguments)
    known = {row.key for rows in TABLES.values() for row in rows}
    if unknown := set(options.rows or ()) - known:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return options


def label_source(text: str) -> LabelSource:
    """Return a label source from PATH[,NAME=VALUE...]."""
    path, *pairs = text.split(",")
    types = {f.name: float if f.name == "weight" else str for f in dataclasses.fields(LabelSource)}
    values = dict(pair.split("=", 1) for pair in pairs)
    if not values.keys() <= types.keys():
        raise argparse.ArgumentTypeError(f"{text!r}: options are {', '.join(types)}")
    return LabelSource(path, **{name: types[name](value) for name, value in values.items()})


def tasks_of(options: argparse.Namespace) -> list[str]:
    """Return the tables from which rows are requested."""
    return [task for task in TABLES if options.only in (None, task) and rows_of(task, options)]


def rows_of(task: str, options: argparse.Namespace) -> list[Row]:
    """Return the requested rows of a table."""
    return [row for row in TABLES[task] if options.rows is None or row.key in options.rows]


def run_table(task: str, options: argparse.Namespace) -> None:
    """Train, export and score each requested row that is not finished, then compare the time of reading.

    Raises:
        SystemExit: The results were made with other settings, or a row needs another that is not finished.
    """
    settings = settings_of(task, options)
    with results_locked(options.output) as results:
        table = results.setdefault(task, {"settings": settings, "rows": {}})
        if table["settings"] != settings:
            sys.exit(f"{options.output} was made with other settings ({table['settings']}): name another --output")
    for seed in options.seeds:
        for row in rows_of(task, options):
            done = load_results(options.output)[task]["rows"]
            if str(seed) in done.get(row.key, {}):
                continue
            if missing := [name for name in row.needs if str(seed) not in done.get(name, {})]:
                sys.exit(f"{row.key} needs {', '.join(missing)} of seed {seed}: run that first")
            say(f"{task} {row.key}, seed {seed}")
            measured = measure(task, row, seed, done, options)
            with results_locked(options.output) as results:
                results[task]["rows"].setdefault(row.key, {})[str(seed)] = measured
            say(f"{task} {row.key}, seed {seed}: {METRICS[task]} {measured['scores'][METRICS[task]]:.4f}")
    costs = compare_reading(task, options)
    with results_locked(options.output) as results:
        results[task]["reading_ms"] = costs


def settings_of(task: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that all rows of a table must share; of paths only the last parts."""
    names = {"det": ("det_steps", "crop", "det_batch", "synthetic_pages"), "rec": ("rec_steps", "widths", "rec_batch")}[
        task
    ]
    shared = ("learning_rate", "synthetic_share", "val_limit", "evaluations", "curve_limit")
    settings = {name: getattr(options, name) for name in (*names, *shared)}
    for split in ("train", "val"):
        sources = getattr(options, f"{task}_{split}")
        settings[split] = [{**dataclasses.asdict(s), "path": "/".join(Path(s.path).parts[-3:])} for s in sources]
    return settings | {"corpus": [Path(path).name for path in options.corpus]}


def load_results(path: Path) -> dict[str, Any]:
    """Return the results so far."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


@contextmanager
def results_locked(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the results for changes and write them afterwards, under a lock against other processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = load_results(path)
        yield results
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        whole.replace(path)


def measure(task: str, row: Row, seed: int, done: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train or continue one row, export it, and return its figures."""
    run = options.work / f"{task}_{row.key}_{seed}"
    config = configure(task, row, seed, done, options, run)
    run.mkdir(parents=True, exist_ok=True)
    save_config(config, run / "ablation.json")
    command(options, f"train-{task}", "--config", run / "ablation.json", log=run / "output.txt")
    model = model_of(options, task, row, seed)
    if not model.is_dir():
        command(options, "export", run, "--output", model, "--alone", log=run / "output.txt")
    records = read_log(run / "log.jsonl")
    step_cpu = step_cpu_seconds(records)
    folder = load_model_folder(str(model))
    return {
        "steps": config.train.steps,
        "step_cpu_seconds": step_cpu,
        "train_cpu_seconds": None if step_cpu is None else step_cpu * config.train.steps,
        "parameters": parameters(folder.file(task, "safetensors"), task),
        "onnx_bytes": folder.file(task, "onnx").stat().st_size,
        "scores": score(task, model, options),
        "students": student_scores(task, records, config.students),
        "curve": [[r["step"], r[METRICS[task]]] for r in records if r["kind"] == "eval" and METRICS[task] in r],
    }


def configure(
    task: str, row: Row, seed: int, done: Mapping[str, Any], options: argparse.Namespace, run: Path
) -> TaskConfig:
    """Return the preset of a row with the settings of this budget."""
    steps = getattr(options, f"{task}_steps")
    if row.as_long_as is not None:
        single, mutual = (done[name][str(seed)]["step_cpu_seconds"] for name in row.as_long_as)
        steps = round(steps * mutual / single) if single and mutual else 2 * steps
    train_sources, val_sources = getattr(options, f"{task}_train"), val_of(task, options)
    share = {"det": options.synthetic_pages, "rec": options.synthetic_share}[task] if train_sources else 1.0
    values: dict[str, Any] = {
        "name": row.key,
        "data": {
            "train_labels": [dataclasses.asdict(source) for source in train_sources],
            "val_labels": [dataclasses.asdict(source) for source in val_sources],
            "synthetic_share": share,
            "synthetic": {"corpus": options.corpus, "backgrounds": options.backgrounds},
        },
        # All rows use the cosine schedule of the paper's detector; a drop to a tenth needs more steps than these.
        "optimizer": {
            "learning_rate": options.learning_rate,
            "schedule": "cosine",
            "boundaries": [],
            "values": [],
            "warmup_steps": steps // 20,
            "clip_norm": 20.0,
        },
        "train": {
            "steps": steps,
            "seed": seed,
            "batch_size": getattr(options, f"{task}_batch"),
            "log_every": max(1, steps // 60),
            "eval_every": math.ceil(steps / options.evaluations),
            "save_every": max(1, steps // 10),
            "workers": 0,  # so that the process's CPU time includes the input pipeline
            "work_dir": str(run),
        },
    }
    if task == "det":
        # As in det/en.toml, for a short run on small crops: text of realistic size, BCE, thresholds for unsure maps.
        values["data"] |= {"crop_size": options.crop, "crop": "page", "scale_range": [0.7, 1.4]}
        values["data"] |= {"val_limit": options.curve_limit}
        values["loss"] = {"main": "bce"}
        values["reading"] = {"threshold": 0.3, "box_threshold": 0.45, "unclip_ratio": 1.5}
        if "teacher" in row.needs:
            values["mutual"] = {"teacher": [str(options.work / f"det_teacher_{seed}")]}
    else:
        # As in rec/en.toml: CTC finds no alignment in so few steps, so that of synthetic lines is taught first.
        values["model"] = {"charset": "en"}
        values["data"] |= {"widths": options.widths, "max_label_length": 0}
        values["data"] |= {"augmentation": "mild", "synthetic_warm_steps": steps // 4}
        values["data"] |= {"val_limit": 10 * options.curve_limit, "val_ignore_case": True, "val_ignore_space": True}
        values["loss"] = {"align_steps": 2 * steps // 5, "ctc_from_step": steps // 7, "ctc_weight": 0.3}
        if row.key == "enhanced_ctc":
            values["loss"]["centers"] = str(centers(seed, options))
    preset = load_config(SCHEMAS[task], find_config(row.preset))
    return from_dict(SCHEMAS[task], merged(to_dict(preset), values))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables updated with the values of `over`."""
    tables = {name: merged(base[name], value) for name, value in over.items() if isinstance(value, Mapping)}
    return {**base, **over, **tables}


def val_of(task: str, options: argparse.Namespace) -> list[LabelSource]:
    """Return the given validation labels; if there are none, synthetic ones with a seed that no training uses."""
    return getattr(options, f"{task}_val") or [
        LabelSource(str(synthetic_labels(task, "val", SYNTHETIC_VAL[task], options)))
    ]


def synthetic_labels(task: str, name: str, count: int, options: argparse.Namespace) -> Path:
    """Generate synthetic pages or lines, unless they exist, and return their label file."""
    folder = options.work / f"{name}_{task}"
    labels = folder / {"det": "label.txt", "rec": "rec_label.txt"}[task]
    if not labels.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        corpus = ["--corpus", *options.corpus] if options.corpus else []
        words = ["synth", task, "--count", count, "--seed", SYNTHETIC_SEEDS[name], "--output", folder, *corpus]
        command(options, *words, log=options.work / "output.txt")
    return labels


def centers(seed: int, options: argparse.Namespace) -> Path:
    """Extract centers with the best student of the U-DML row from synthetic and labeled lines; return their file."""
    path = options.work / f"centers_{seed}.safetensors"
    if not path.is_file():
        files = [
            synthetic_labels("rec", "center_lines", CENTER_LINES["synthetic"], options),
            *(s.path for s in options.rec_train),
        ]
        labels = [word for file in files for word in ("--labels", file)]
        run = options.work / f"rec_udml_{seed}"
        words = ["extract-centers", run, *labels, "--limit", CENTER_LINES["all"], "--output", path]
        command(options, *words, log=options.work / "output.txt")
    return path


def model_of(options: argparse.Namespace, task: str, row: Row, seed: int) -> Path:
    """Return the path of a row's model folder."""
    return options.work / "models" / f"{task}_{row.key}_{seed}"


def command(options: argparse.Namespace, *words: Any, log: Path) -> None:
    """Run a `ppocr-jax` command, which continues existing runs; terminate it if this program is stopped.

    Raises:
        SystemExit: The command failed; the message has the end of its output.
    """
    options.work.mkdir(parents=True, exist_ok=True)
    compiled = str((options.work / "compiled").absolute())  # all seeds of a row share the compiled programs
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])),
        "JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", compiled),
    }
    program = [sys.executable, "-m", "ppocr_jax", *map(str, words)]
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(program, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        sys.exit("\n".join([*lines[-12:], f"`ppocr-jax {words[0]}` failed with {code}; see {log}"]))


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a run in order; of steps repeated after an interruption, the later ones."""
    records: dict[tuple[str, int], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        records[record["kind"], record["step"]] = record
    return sorted(records.values(), key=lambda record: (record["step"], record["kind"] == "eval"))


def step_cpu_seconds(records: list[dict[str, Any]]) -> float | None:
    """Return the median CPU time of a step over the intervals between two training records.

    Intervals with an evaluation or an interruption are left out. Few include a compilation, so that the median is not
    affected.
    """
    seconds = [
        (b["cpu_seconds"] - a["cpu_seconds"]) / (b["step"] - a["step"])
        for a, b in itertools.pairwise(records)
        if a["kind"] == b["kind"] == "train" and b["cpu_seconds"] > a["cpu_seconds"]
    ]
    return statistics.median(seconds) if seconds else None


def parameters(path: Path, task: str) -> int:
    """Return the number of parameters for inference, without the threshold branch of a detector."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        kept = [name for name in file.keys() if name.startswith("params/")]  # noqa: SIM118
        names = [name for name in kept if not name.startswith("params/threshold/")]
        return sum(math.prod(file.get_slice(name).get_shape()) for name in names)


def student_scores(task: str, records: list[dict[str, Any]], students: int) -> list[float] | None:
    """Return the score of each student in the best evaluation of the run; None for a single network."""
    metric = METRICS[task]
    scored = [record for record in records if record["kind"] == "eval" and metric in record]
    if students == 1 or not scored:
        return None
    best = max(scored, key=lambda record: record[metric])
    return [best[f"{metric}_{i}"] for i in range(students)]


def score(task: str, model: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return the scores of an exported model on all validation labels together."""
    ocr = OCR(str(model))
    if task == "det":
        return evaluate_detection(ocr.detect, val_pages(options))
    return evaluate_recognition(ocr.recognize, val_lines(options), ignore_case=True, ignore_space=True)


def val_pages(options: argparse.Namespace, limit: int | None = None) -> list[DetectionRecord]:
    """Return labeled pages; if a file labels words, they are merged into lines."""
    pages = []
    for source in val_of("det", options):
        records = evenly_spread(list(read_labels(source.path, source.format).records), limit or options.val_limit)
        if source.granularity == "word":
            records = [DetectionRecord(r.image_path, merge_words_into_lines(r.regions)) for r in records]
        pages += records
    return pages


def val_lines(options: argparse.Namespace, limit: int | None = None) -> list[Any]:
    """Return the images and texts of labeled lines."""
    lines = []
    for source in val_of("rec", options):
        records = read_labels(source.path, source.format).records
        lines += evenly_spread(list(line_samples(records)), limit or options.val_limit)
    return lines


def compare_reading(task: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the median CPU time, in ms, of each finished row's model for an image or line, on one thread.

    The models take turns in random order, so that other load affects them equally.
    """
    done = load_results(options.output)[task]["rows"]
    seed = options.seeds[0]
    paths = {row.key: model_of(options, task, row, seed) for row in TABLES[task] if row.key in done}
    readers = {key: OCR(str(path), threads=1) for key, path in paths.items() if path.is_dir()}
    if task == "det":
        items = [load_record_image(r.image_path) for r in evenly_spread(val_pages(options), TIMED[task])]
    else:
        items = [image for image, _ in evenly_spread(val_lines(options), TIMED[task])]
    spent: dict[str, list[float]] = {key: [] for key in readers}
    order, shuffle = list(readers), random.Random(0).shuffle
    for item in items:
        shuffle(order)
        for key in order:
            began = time.process_time()
            readers[key].detect(item) if task == "det" else readers[key].recognize([item])
            spent[key].append(1000 * (time.process_time() - began))
    return {key: round(statistics.median(values), 3) for key, values in spent.items()}


def say(text: str) -> None:
    """Print a progress message to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
