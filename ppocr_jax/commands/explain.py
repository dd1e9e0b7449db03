"""What happened to a picture on its way to text: probability map, boxes, crops, as files to look at."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.commands.common import write_image
from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.geometry import perspective_crop

if TYPE_CHECKING:
    from ppocr_jax.inference.pipeline import OCR

_KEPT, _DROPPED = (0, 150, 60), (220, 0, 0)


def explain(ocr: OCR, image_rgb: np.ndarray, page: Page, folder: Path) -> None:
    """Write into a folder, which is made:

    - probability.png: the detector's map, white where it is sure of text, in the size at which it saw the picture;
    - boxes.png: lines that were read, green and numbered, and red the boxes that came to nothing;
    - line-001.png ...: what the recognizer saw of each line, upright;
    - lines.csv: number, text, confidence and detection score of each.

    Args:
        ocr: what read the page.
        image_rgb: (H, W, 3) uint8.
        page: what it read.
        folder: where to write.

    Raises:
        UserError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lines.csv").open("w", encoding="utf-8", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(("line", "text", "confidence", "detection_score", "angle"))
            for k, line in enumerate(page, start=1):
                rows.writerow((k, line.text, f"{line.confidence:.4f}", f"{line.detection_score:.4f}", line.angle))
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    probability = np.round(255 * ocr.probability_map(image_rgb)).astype(np.uint8)
    write_image(folder / "probability.png", probability[..., None].repeat(3, axis=2))
    write_image(folder / "boxes.png", _boxes(ocr, image_rgb, page))
    for k, line in enumerate(page, start=1):
        write_image(folder / f"line-{k:03}.png", perspective_crop(image_rgb, np.array(line.quad)))


def _boxes(ocr: OCR, image_rgb: np.ndarray, page: Page) -> np.ndarray:
    import cv2

    drawn = image_rgb.copy()
    for box in ocr.detect(image_rgb):
        cv2.polylines(drawn, [np.round(box.points).astype(np.int32)], True, _DROPPED, 1, cv2.LINE_AA)
    for k, line in enumerate(page, start=1):
        quad = np.round(np.array(line.quad)).astype(np.int32)
        cv2.polylines(drawn, [quad], True, _KEPT, 2, cv2.LINE_AA)
        corner = int(quad[0, 0]), max(10, int(quad[0, 1]) - 2)
        cv2.putText(drawn, str(k), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _KEPT, 1, cv2.LINE_AA)
    return drawn
