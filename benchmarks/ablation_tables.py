"""Rows of the paper's Tables 2 and 3 for `ablation.py`, and their results as Markdown and as curves."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

METRICS = {"det": "hmean", "rec": "accuracy"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run of a table.

    Attributes:
        key: Name in the results and of the folder.
        title: Title in the table.
        preset: Name of the configuration in `configs/`.
        needs: Rows that must be finished before, for example the row of the teacher.
        paper: Score in PP-OCRv2's Table 2 or 3; None if it is not there.
        as_long_as: (single network, mutual one): train as long as the second row did in CPU time, given the time per
            step of the first; None: the same number of steps as the other rows.
    """

    key: str
    title: str
    preset: str
    needs: tuple[str, ...] = ()
    paper: float | None = None
    as_long_as: tuple[str, str] | None = None


TABLES: dict[str, tuple[Row, ...]] = {
    "det": (
        Row(key="alone", title="PP-OCR's detector", preset="det/pp_ocr", paper=0.759),
        Row(key="dml", title="+ DML", preset="det/pp_ocr_dml", paper=0.777),
        Row(key="teacher", title="(CML's teacher, ResNet18)", preset="det/teacher_resnet18"),
        Row(key="cml", title="+ CML", preset="det/ppocr_v2_cml", needs=("teacher",), paper=0.789),
        Row(
            key="copy_paste",
            title="+ CopyPaste",
            preset="det/ppocr_v2_cml_copy_paste",
            needs=("teacher",),
            paper=0.795,
        ),
        Row(
            key="alone_longer",
            title="(alone, in the time of DML)",
            preset="det/pp_ocr",
            needs=("alone", "dml"),
            as_long_as=("alone", "dml"),
        ),
    ),
    "rec": (
        Row(key="mobilenet_v3", title="PP-OCR's recognizer (MobileNetV3)", preset="rec/pp_ocr_mv3", paper=0.667),
        Row(key="pp_lcnet", title="PP-LCNet", preset="rec/pp_lcnet", paper=0.693),
        Row(key="udml", title="+ U-DML", preset="rec/pp_lcnet_udml", paper=0.739),
        Row(
            key="enhanced_ctc",
            title="+ Enhanced CTC",
            preset="rec/ppocr_v2_enhanced_ctc",
            needs=("udml",),
            paper=0.748,
        ),
        Row(
            key="pp_lcnet_longer",
            title="(PP-LCNet alone, in the time of U-DML)",
            preset="rec/pp_lcnet",
            needs=("pp_lcnet", "udml"),
            as_long_as=("pp_lcnet", "udml"),
        ),
    ),
}


def markdown(results: Mapping[str, Any]) -> str:
    """Return tables of the results, with the paper's gains."""
    return "\n\n".join(table_of(task, results[task]) for task in TABLES if task in results)


def table_of(task: str, table: Mapping[str, Any]) -> str:
    """Return one table. Gains are in percentage points over the first row with the same seed."""
    metric, rows, reading = METRICS[task], table["rows"], table.get("reading_ms", {})
    title = {"det": "detector", "rec": "recognizer"}[task]
    columns = {"det": ["Hmean", "by area"], "rec": ["accuracy", "1 - NED"]}[task]
    names = {"det": ["hmean", "area_hmean"], "rec": ["accuracy", "one_minus_ned"]}[task]
    header = [title, *columns, "gain", "paper's gain", "seeds", "steps", "CPU s a step", "CPU min"]
    header += ["parameters", "ONNX MB", "reading"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    first = TABLES[task][0]
    for row in TABLES[task]:
        runs = rows.get(row.key, {})
        if not runs:
            continue
        base = rows.get(first.key, {})
        gains = [100 * (r["scores"][metric] - base[s]["scores"][metric]) for s, r in runs.items() if s in base]
        cells = [row.title, *(spread_text([r["scores"][name] for r in runs.values()]) for name in names)]
        cells += ["" if row is first else spread_text(gains, "+.1f")]
        cells += ["" if row.paper is None or row is first else f"{100 * (row.paper - first.paper):+.1f}"]
        one = next(iter(runs.values()))
        cells += [str(len(runs)), str(one["steps"])]
        step = statistics.median(r["step_cpu_seconds"] or 0 for r in runs.values())
        cells += [f"{step:.2f}", f"{step * one['steps'] / 60:.1f}"]
        cells += [f"{one['parameters'] / 1e6:.2f} M", f"{one['onnx_bytes'] / 1e6:.1f}"]
        cells += [
            f"{reading[row.key] / reading[first.key]:.2f}x" if row.key in reading and first.key in reading else ""
        ]
        lines.append(cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread_text(values: list[float], form: str = ".3f") -> str:
    """Return a mean, followed by the range if there are several values."""
    if not values:
        return ""
    text = format(statistics.mean(values), form)
    return text if len(values) == 1 else f"{text} ({format(min(values), form)} to {format(max(values), form)})"


def curves(results: Mapping[str, Any]) -> str:
    """Return an SVG image with a panel per table: the score of each run during training over CPU minutes."""
    panels = [task for task in TABLES if results.get(task, {}).get("rows")]
    width, height, left, top = 460, 300, 46, 22  # size and margins of a panel, pixels
    colors = ("#888888", "#1f77b4", "#2ca02c", "#d62728", "#9467bd", "#e69f00")  # the first row is gray
    parts = []
    for panel, task in enumerate(panels):
        table, x0, y1 = results[task]["rows"], panel * width + left, height - 34
        lines = {
            (row, seed): [(step * run["step_cpu_seconds"] / 60, value) for step, value in run["curve"]]
            for row in TABLES[task]
            for seed, run in table.get(row.key, {}).items()
            if run["step_cpu_seconds"]
        }
        points = [point for line in lines.values() for point in line] or [(1.0, 1.0)]
        x_scale = (width - left - 12) / max(x for x, _ in points)
        y_most = max(0.1, *(y for _, y in points))
        y_scale = (y1 - top) / y_most
        parts.append(f'<path d="M{x0} {top}V{y1}H{x0 + width - left - 12}" fill="none" stroke="#444"/>')
        parts.append(f'<text x="{x0}" y="{top - 8}">{METRICS[task]}, on part of val</text>')
        parts.append(f'<text x="{x0 + width - left - 12}" y="{y1 + 28}" text-anchor="end">CPU minutes</text>')
        for part in range(5):
            x, y = part / 4 * max(x for x, _ in points), part / 4 * y_most
            parts.append(f'<text x="{x0 - 4}" y="{y1 - y * y_scale + 4:.0f}" text-anchor="end">{y:.2f}</text>')
            parts.append(f'<text x="{x0 + x * x_scale:.0f}" y="{y1 + 14}" text-anchor="middle">{x:.1f}</text>')
        named: list[str] = []
        for (row, _), line in lines.items():
            color = colors[TABLES[task].index(row)]
            path = " ".join(f"{x0 + x * x_scale:.1f},{y1 - y * y_scale:.1f}" for x, y in [(0.0, 0.0), *line])
            parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6"/>')
            if row.key not in named:
                named.append(row.key)
                text = f'<text x="{x0 + 10}" y="{top + 14 * len(named)}" fill="{color}">{row.title}</text>'
                parts.append(text)
    size = f'width="{max(1, len(panels)) * width}" height="{height}"'
    style = 'font-family="sans-serif" font-size="11"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{ground}{"".join(parts)}</svg>\n'
