"""What happened to a picture on its way to text: probability map, boxes, crops, as files to look at."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ppocr_jax.errors import UserError
from ppocr_jax.inference.options import ReadSettings
from ppocr_jax.inference.page import PageReading, Stages

_KEPT, _DROPPED = (0, 150, 60), (220, 0, 0)


def write_explanation(
    stages: Stages, settings: ReadSettings, image_rgb: np.ndarray, reading: PageReading, folder: Path
) -> None:
    """Write into a folder, which is made:

    - probability.png: the detector's map, white where it is sure of text, in the size at which it saw the picture;
    - boxes.png: lines that were read, green and numbered, and red the boxes that came to nothing;
    - line-001.png ...: what the recognizer saw of each line, upright;
    - repairs.txt: what of the networks' files is mended when they are opened, where there is such a thing;
    - lines.csv: number, text, confidence, detection score and angle of each; lines that were dropped have no number.

    Args:
        stages: what read the page.
        settings: with which.
        image_rgb: (H, W, 3) uint8.
        reading: what was read.
        folder: where to write.

    Raises:
        UserError: a file cannot be written.
    """
    import cv2
    from PIL import Image

    probability = stages.present_detector().probability_map(
        image_rgb, limit_side=settings.limit_side, limit_type=settings.limit_type
    )
    boxes = image_rgb.copy()
    rows, pictures = [], {"probability": np.round(255 * probability).astype(np.uint8)}
    numbers = iter(range(1, len(reading.found) + 1))
    for found in reading.found:
        line, number = found.line, next(numbers) if found.kept else ""
        quad = np.round(np.array(line.quad)).astype(np.int32)
        cv2.polylines(boxes, [quad], True, _KEPT if found.kept else _DROPPED, 1 + found.kept, cv2.LINE_AA)
        rows.append((number, line.text, f"{line.confidence:.4f}", f"{line.detection_score:.4f}", line.angle))
        if found.kept:
            corner = int(quad[0, 0]), max(10, int(quad[0, 1]) - 2)
            cv2.putText(boxes, str(number), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _KEPT, 1, cv2.LINE_AA)
            pictures[f"line-{number:03}"] = found.crop
    repairs = stages.repairs()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if repairs:
            (folder / "repairs.txt").write_text("".join(f"{line}\n" for line in repairs), encoding="utf-8")
        with (folder / "lines.csv").open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([("line", "text", "confidence", "detection_score", "angle"), *rows])
        for name, picture in {**pictures, "boxes": boxes}.items():
            Image.fromarray(picture).save(folder / f"{name}.png")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
