"""Image labels: the records used in training and evaluation, and the file formats that they are read from."""

from ppocr_jax.data.labels.bad_entries import BadEntry
from ppocr_jax.data.labels.coco_text import read_coco_text_labels
from ppocr_jax.data.labels.formats import FORMATS, LabelFormat, LabelSet, detect_format, read_labels, write_labels
from ppocr_jax.data.labels.ppocr import (
    read_detection_labels,
    read_recognition_labels,
    write_detection_labels,
    write_recognition_labels,
)
from ppocr_jax.data.labels.records import (
    IGNORE_TEXTS,
    DetectionRecord,
    LabelError,
    RecognitionRecord,
    Record,
    Region,
)

__all__ = [
    "FORMATS",
    "IGNORE_TEXTS",
    "BadEntry",
    "DetectionRecord",
    "LabelError",
    "LabelFormat",
    "LabelSet",
    "RecognitionRecord",
    "Record",
    "Region",
    "detect_format",
    "read_coco_text_labels",
    "read_detection_labels",
    "read_labels",
    "read_recognition_labels",
    "write_detection_labels",
    "write_labels",
    "write_recognition_labels",
]
