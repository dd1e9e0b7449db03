"""Options that may change from one call of `OCR` to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypedDict, Unpack

from ppocr_jax.errors import OptionError, check_number
from ppocr_jax.images import MAX_PIXELS
from ppocr_jax.inference.layout import READING_ORDERS
from ppocr_jax.preprocess import LIMIT_TYPES

# Numeric options: name, least, most, whole. Options outside `_NEEDED` may be None: the value of the model.
_NUMBERS: tuple[tuple[str, float, float, bool], ...] = (
    ("limit_side", 1, math.inf, True),
    ("threshold", 0, 1, False),
    ("box_threshold", 0, 1, False),
    ("unclip_ratio", 0, math.inf, False),
    ("cls_threshold", 0, 1, False),
    ("drop_score", 0, 1, False),
    ("batch_size", 1, math.inf, True),
    ("max_pixels", 1, math.inf, True),
)
_SWITCHES = ("look_again", "single_line", "use_classifier", "page_direction", "put_spaces", "check_boxes")
_NEEDED = frozenset({"drop_score", "max_pixels", "look_again", "single_line", "use_classifier", "page_direction"})

BATCH_SIZE = 2
"""Lines per call of a network. Small batches need little padding, stay in the cache, and keep more cores busy."""


class NetworkOptions(TypedDict, total=False):
    """Options of `OCR` about its networks, for functions that create one. `OCR` documents them."""

    det: str
    cls: str
    rec: str
    charset: str
    rec_height: int
    letters: str
    language_model: str
    backend: str
    device: str
    precision: Literal["auto", "float32"]
    cache_dir: str


class ReadOptions(TypedDict, total=False):
    """Options of one call, by keyword. `ReadSettings` documents them and their defaults."""

    limit_side: int | None
    limit_type: Literal["max", "min", "resize_long"] | None
    threshold: float | None
    box_threshold: float | None
    unclip_ratio: float | None
    look_again: bool
    single_line: bool
    use_classifier: bool
    page_direction: bool
    cls_threshold: float | None
    drop_score: float
    reading_order: Literal["layout", "paddleocr"]
    put_spaces: bool | None
    check_boxes: bool | None
    batch_size: int | None
    max_pixels: int


@dataclass(frozen=True)
class ReadSettings:
    """`ReadOptions` with every value filled in. None stands for the value in the model folder.

    Attributes:
        limit_side, limit_type: Size in pixels at which the detector sees the image first (`preprocess.detector_size`).
        threshold: Pixels of the probability map above this value are text.
        box_threshold: Boxes with a mean probability below this value are dropped. None: the model's threshold; boxes
            slightly below it are kept if the recognizer is confident of their text.
        unclip_ratio: How far a box grows beyond its shrunk text kernel.
        look_again: Detect again at other scales and rotated, if the image requires it (`detect_lines.detect_lines`).
        single_line: The image is a single line, which is recognized without a detector.
        use_classifier: Rotate upside-down crops. No effect for a model without a direction classifier.
        page_direction: Determine the rotation of the page from all its lines (`classify.page_rotation`). On an upright
            page, only lines recognized with low confidence are classified on their own.
        cls_threshold: Probability above which the direction classifier rotates a crop.
        drop_score: Lines with a lower confidence are dropped. For a single circle (zero or letter O), two thirds of it
            are enough.
        reading_order: "layout" (`layout.layout_order`) or "paddleocr" (`layout.paddleocr_order`).
        put_spaces: Insert spaces between words if the recognizer leaves them out. None: only for models not trained
            by this project.
        check_boxes: Write check boxes beside text as ☐, or as ☑ if they contain a mark. None: only if the recognizer
            reads Latin letters and no ideographs, because some ideographs look like boxes.
        batch_size: Crops per call of the classifier and the recognizer. None: 2, 8 with OpenVINO, and 32 if images
            share calls (`OCR.read_many`).
        max_pixels: Largest accepted image, width x height.
    """

    limit_side: int | None = None
    limit_type: str | None = None
    threshold: float | None = None
    box_threshold: float | None = None
    unclip_ratio: float | None = None
    look_again: bool = True
    single_line: bool = False
    use_classifier: bool = True
    page_direction: bool = True
    cls_threshold: float | None = None
    drop_score: float = 0.5
    reading_order: str = "layout"
    put_spaces: bool | None = None
    check_boxes: bool | None = None
    batch_size: int | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        for name, least, most, whole in _NUMBERS:
            value = getattr(self, name)
            if value is not None or name in _NEEDED:
                check_number(name, value, least=least, most=most, whole=whole)
        if self.unclip_ratio is not None and not self.unclip_ratio > 0:
            raise OptionError(f"unclip_ratio must be positive, not {self.unclip_ratio}")
        for name in _SWITCHES:
            value = getattr(self, name)
            if value not in (True, False) and (value is not None or name in _NEEDED):
                raise OptionError(f"{name} must be True or False, not {value!r}")
        if self.limit_type is not None and self.limit_type not in LIMIT_TYPES:
            raise OptionError(f"limit_type must be one of {', '.join(LIMIT_TYPES)}, not {self.limit_type!r}")
        if self.reading_order not in READING_ORDERS:
            raise OptionError(f"reading_order must be one of {', '.join(READING_ORDERS)}, not {self.reading_order!r}")

    def changed(self, **options: Unpack[ReadOptions]) -> ReadSettings:
        """Return a copy with some options changed.

        Raises:
            TypeError: If there is no such option.
            OptionError: If a value has the wrong type or is out of range.
        """
        names = [f.name for f in fields(self)]
        for name in options:
            if name not in names:
                raise TypeError(f"OCR has no option {name!r}; the options are {', '.join(names)}")
        return replace(self, **options)

    def detector_arguments(self) -> dict[str, Any]:
        """Return the arguments of `TextDetector` that are not None."""
        names = ("limit_side", "limit_type", "threshold", "box_threshold", "unclip_ratio")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
