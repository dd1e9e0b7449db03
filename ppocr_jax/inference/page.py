"""One picture through the three networks: look, turn, look again, cut, classify, recognize, place."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from ppocr_jax.document.page import Line, Quad
from ppocr_jax.geometry import (
    CROP_GROWTH,
    TALL_RATIO,
    CropGrowth,
    grow_quad,
    perspective_crop,
    quad_as_cropped,
    rotate_quad_180,
    turn_points,
)
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.check_boxes import (
    EMPTY,
    TICKED,
    CheckBox,
    around,
    boxes_of_lines,
    erased,
    find_check_boxes,
    frames_of,
    insides,
    is_letter,
)
from ppocr_jax.inference.classify import (
    Direction,
    TextClassifier,
    crop_angles,
    may_lie_sideways,
    page_rotation,
    shows_more_text,
)
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.decode import Decoded, put_spaces, with_sign
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.layout import READING_ORDERS
from ppocr_jax.inference.look import Look, look, share_covered, whole_line
from ppocr_jax.inference.many import CombinedStage
from ppocr_jax.inference.model_folder import ModelError
from ppocr_jax.inference.options import BATCH_SIZE, ReadSettings
from ppocr_jax.inference.recognize import TextRecognizer, line_words
from ppocr_jax.preprocess import more_contrast, with_margin

AnyRecognizer: TypeAlias = TextRecognizer | CombinedStage[Decoded]
AnyClassifier: TypeAlias = TextClassifier | CombinedStage[Direction]

_MARGIN = 16  # pixels as the detector sees them, where ink touches the picture's border
_COLUMN = 2.5  # heights in widths from which on a box may hold several characters below one another
_ROOM = (0.1, 0.05)  # left and right, and above and below, of a character that stands alone, in its heights
_BAR, _BAR_MEANS = "|", "I"  # a bar alone: nothing around it tells more, and it is that letter most often
# A circle alone is a zero, a capital or a small letter; a recognizer that cannot tell shares its confidence among them.
_CIRCLES, _UNDECIDED = frozenset("0Oo"), 2 / 3
_SQUARE = "口"  # the letter that looks like an empty box
_TURNS_INTO_ITSELF = frozenset(
    "0168925SNOHIXZosxzl|%=+-_/:.,'\"` "
)  # what reads alike, or as another of these, upside down
_FEW_LINES = 2  # of a picture: each is read both ways
_BETTER = 0.02  # in confidence: less says nothing of which way a line stands
_UPRIGHT = 0.1  # the same where the line stands upright, as nearly all do
_LEVEL = 0.36  # rise of a line beside its run, about 20 degrees, up to which it stands upright
_SAMPLE = 40  # boxes that tell whether a page is read well
_SPEAKERS = 8  # longest lines, of which the classifier knows most, that may say for all that a page stands upright
_CONVINCING = 0.9  # confidence that makes a box text of which the detector is unsure; see `look.Look`
_SHARED = 0.3  # share of its box that such a line may have in common with a better one
_INSIDE = 0.7  # share of a box inside another one that makes it a part of that


@dataclass(frozen=True)
class Stages:
    """The networks of a model with what belongs before and after each; a model may lack any of them."""

    detector: TextDetector | None
    recognizer: AnyRecognizer | None
    classifier: AnyClassifier | None

    def repairs(self) -> list[str]:
        """Return what is mended in the networks' files when they are opened, a line each."""
        stages = (self.detector, self.recognizer, self.classifier)
        backends = [getattr(stage, "backend", None) for stage in stages]
        opened = [backend for backend in backends if isinstance(backend, OnnxBackend)]
        return [f"{backend.path.name}: {repair}" for backend in opened for repair in backend.repairs]

    def load_ahead(self) -> None:
        """Begin to load the lines' networks, so that they are ready when the detector is done."""
        for stage in (self.classifier, self.recognizer):
            if isinstance(stage, TextClassifier | TextRecognizer):
                stage.load_ahead()

    def look(self, image_rgb: np.ndarray, settings: ReadSettings) -> Look:
        """Return the boxes of a picture; see `look.look`.

        Raises:
            ModelError: the model has no detector, and the picture is not said to be a single line.
        """
        if settings.single_line:
            return Look([whole_line(image_rgb)])
        return look(self.present_detector(), image_rgb, settings)

    def present_detector(self) -> TextDetector:
        """Return the detector.

        Raises:
            ModelError: the model has none.
        """
        if self.detector is None:
            raise ModelError("this model has no detector")
        return self.detector

    def classify(self, crops: Sequence[np.ndarray], settings: ReadSettings) -> list[Direction]:
        """Return how each crop lies.

        Raises:
            ModelError: the model has no direction classifier.
        """
        if self.classifier is None:
            raise ModelError("this model has no direction classifier")
        return self.classifier(crops, batch_size=settings.batch_size or _batch_size(self.classifier))

    def cls_threshold(self, settings: ReadSettings) -> float:
        """Return the probability above which the direction classifier is believed of a line alone; 1 without one."""
        if self.classifier is None:
            return 1.0
        return self.classifier.spec.threshold if settings.cls_threshold is None else settings.cls_threshold

    def recognize(self, crops: Sequence[np.ndarray], settings: ReadSettings) -> list[Decoded]:
        """Return the text of each crop.

        Raises:
            ModelError: the model has no recognizer.
        """
        if self.recognizer is None:
            raise ModelError("this model has no recognizer")
        texts = self.recognizer(crops, batch_size=settings.batch_size or _batch_size(self.recognizer))
        spaces = self.recognizer.spec.put_spaces if settings.put_spaces is None else settings.put_spaces
        return [put_spaces(text) for text in texts] if spaces else texts

    def writes_check_boxes(self, settings: ReadSettings) -> bool:
        """Whether check boxes are looked for; see `ReadSettings`."""
        if settings.check_boxes is not None or self.recognizer is None:
            return bool(settings.check_boxes and self.recognizer)
        known = self.recognizer.charset.characters
        return _SQUARE not in known and set(string.ascii_letters).issubset(known)


def _batch_size(stage: AnyClassifier | AnyRecognizer) -> int:
    return getattr(stage.backend, "batch_size", BATCH_SIZE)


class _Attempt(NamedTuple):
    """A box read one way: by how many degrees its crop was turned, its quad from where the text starts, crop, text."""

    angle: int
    quad: np.ndarray
    crop: np.ndarray
    text: Decoded


@dataclass(frozen=True)
class LineReading:
    """One found line: the picture that the recognizer saw of it, and whether it was kept."""

    line: Line
    crop: np.ndarray
    kept: bool


@dataclass(frozen=True)
class PageReading:
    """What was read in a picture.

    Attributes:
        found: every line that was found, in reading order, also those read with too little confidence.
        rotation: degrees clockwise, 0, 90, 180 or 270, by which the picture's text was turned.
        warnings: what may be missing.
    """

    found: tuple[LineReading, ...]
    rotation: int
    warnings: tuple[str, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines that were kept."""
        return tuple(reading.line for reading in self.found if reading.kept)


def prepared(stages: Stages, image_rgb: np.ndarray, settings: ReadSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (H, W, 3) uint8 as networks see it best, and how much (x, y) was put before its first pixel.

    What is faint gets contrast, and letters at the border, or in a narrow picture, get something around them.
    """
    side = settings.limit_side or (stages.detector.spec.limit_side if stages.detector else 0)
    reduced = max(1.0, max(image_rgb.shape[:2]) / side) if side else 1.0
    picture, before = with_margin(more_contrast(image_rgb), margin=math.ceil(_MARGIN * reduced))
    return picture, np.array(before, np.float32)


def read_page(stages: Stages, image_rgb: np.ndarray, settings: ReadSettings) -> PageReading:
    """Read the lines of a picture (H, W, 3) uint8.

    Raises:
        ModelError: the model lacks a detector or a recognizer.
    """
    stages.load_ahead()
    size = image_rgb.shape[:2]
    image_rgb, before = prepared(stages, image_rgb, settings)
    upright, seen = image_rgb, stages.look(image_rgb, settings)
    classifier = stages.classifier if settings.use_classifier else None
    quarter_turns = 0  # counter-clockwise, that made the picture upright

    # A page on its side shows fragments: where that may be so, look at it turned and keep what shows more text.
    pages = settings.page_direction and not settings.single_line  # a line alone is no page that could lie some way
    if classifier is not None and pages and may_lie_sideways(seen.boxes):
        sideways = np.ascontiguousarray(np.rot90(image_rgb))
        seen_sideways = stages.look(sideways, settings)
        if shows_more_text(seen_sideways.boxes, seen.boxes) and not _is_read_well(
            stages, settings, upright, seen.boxes
        ):
            quarter_turns, upright, seen = 1, sideways, seen_sideways
    boxes = [*seen.boxes, *seen.unsure]
    quads = line_quads(boxes)
    directions, rotation = _ask(stages, settings, upright, quads, len(seen.boxes))
    # A turned page is looked at again, for networks find and frame upright lines best; the directions of its lines are
    # asked anew, as some may be against the others.
    if rotation:
        quarter_turns += rotation // 90
        upright = np.ascontiguousarray(np.rot90(upright, rotation // 90))
        seen = stages.look(upright, settings)
        boxes = [*seen.boxes, *seen.unsure]
        quads = line_quads(boxes)
        directions, _ = _ask(stages, settings, upright, quads, len(seen.boxes))

    threshold = stages.cls_threshold(settings)
    angles = crop_angles(quads, directions, page_known=rotation is not None, threshold=threshold)
    # Boxes end with the ink, and just there a recognizer is least sure: it sees a little more of what is around a line.
    starts = as_quads([rotate_quad_180(quad) if angle else quad for quad, angle in zip(quads, angles, strict=True)])
    growth = stages.recognizer.spec.growth if stages.recognizer is not None else CROP_GROWTH
    check_boxes = _check_boxes(stages, settings, upright, starts, len(seen.boxes))
    if check_boxes:
        upright = erased(upright, [box for those in check_boxes.values() for box in those])
        starts = as_quads([around(quad, check_boxes.get(i, ())) for i, quad in enumerate(starts)])
    crops = [perspective_crop(upright, grow_quad(quad, growth)) for quad in starts]
    texts = stages.recognize(crops, settings)
    attempts = [_Attempt(*parts) for parts in zip(angles, starts, crops, texts, strict=True)]
    if classifier is not None and rotation is None:
        attempts = _turned_by_text(stages, settings, attempts)
    if classifier is not None and None in directions:
        attempts = _turned_late(stages, settings, upright, quads, directions, attempts)
    attempts = _read_standing(stages, settings, upright, boxes, attempts)
    for i, those in check_boxes.items():
        attempts[i] = _with_check_boxes(attempts[i], those, growth)

    kept = _choose(boxes, [attempt.text for attempt in attempts], len(seen.boxes), settings.drop_score)
    degrees = 90 * quarter_turns % 360
    starts = as_quads([attempt.quad for attempt in attempts])
    placed = turn_points(starts, -degrees, upright.shape) - before
    placed = placed.clip(0, [size[1] - 1, size[0] - 1])
    # PaddleOCR orders boxes as they were found, before it knows which ones stand on their head.
    ordered = READING_ORDERS[settings.reading_order](starts if settings.reading_order == "layout" else quads)
    found = tuple(
        LineReading(_line(placed[i], attempts[i], boxes[i].score, growth), attempts[i].crop, kept[i])
        for i in ordered.tolist()
    )
    return PageReading(found, degrees, (seen.warning,) if seen.warning else ())


def _check_boxes(
    stages: Stages, settings: ReadSettings, image_rgb: np.ndarray, quads: np.ndarray, sure: int
) -> dict[int, list[CheckBox]]:
    """Return the check boxes of each line that has some, if they are looked for; frames of letters are none."""
    if settings.single_line or not stages.writes_check_boxes(settings):
        return {}
    found = find_check_boxes(image_rgb, np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1))
    ticked = [box for box in found if box.ticked]
    texts = stages.recognize(insides(image_rgb, ticked), settings) if ticked else []
    letters = [box for box, text in zip(ticked, texts, strict=True) if is_letter(text.text, text.confidence)]
    return boxes_of_lines([box for box in found if box not in letters], quads, sure)


def _with_check_boxes(attempt: _Attempt, boxes: Sequence[CheckBox], growth: CropGrowth) -> _Attempt:
    """Return a line's reading with its check boxes, which the recognizer has not seen, among its characters."""
    text = attempt.text if boxes else Decoded("", 0.0, (), ())  # nothing but a box, which is another line's
    for box in boxes:
        sign = TICKED if box.ticked else EMPTY
        text = with_sign(text, sign, *frames_of(box, attempt.quad, text.extent, growth))
    return attempt._replace(text=text)


def _is_read_well(stages: Stages, settings: ReadSettings, image_rgb: np.ndarray, boxes: Sequence[TextBox]) -> bool:
    """Return whether boxes hardly longer than high are text: a column of short numbers, not fragments of lines.

    Measured: mean confidences of 0.2 to 0.6 on receipts that lie on their side, 0.99 on columns of numbers.
    """
    if stages.recognizer is None or not boxes:
        return False
    crops = cut_lines(image_rgb, line_quads(boxes[:_SAMPLE]))
    return float(np.mean([text.confidence for text in stages.recognize(crops, settings)])) > _CONVINCING


def _ask(
    stages: Stages, settings: ReadSettings, image_rgb: np.ndarray, quads: np.ndarray, sure: int
) -> tuple[list[Direction | None], int | None]:
    """Return how each line of a page lies, None where it was not asked, and by how many degrees the page is turned.

    Where the longest lines say that the page stands upright, the others that run along it are not asked: nearly all
    follow it, and those that do not are told by what they read, see `_turned_late`.

    Args:
        stages, settings: of the reading; with no classifier no line is asked.
        image_rgb: (H, W, 3) uint8.
        quads: (n, 4, 2) of the lines, each from the corner that becomes its crop's top-left.
        sure: how many of them, the first ones, may speak for the page.

    Returns:
        a direction or None for each line; 0, 90, 180 or 270, or None where the lines do not agree, or are not asked.
    """
    if stages.classifier is None or not settings.use_classifier:
        return [None] * len(quads), None
    found: dict[int, Direction] = {}

    def ask(lines: Sequence[int]) -> None:
        found.update(zip(lines, stages.classify(cut_lines(image_rgb, quads[lines]), settings), strict=True))

    pages = settings.page_direction and not settings.single_line  # a line alone is no page that could lie some way
    along = quads[:, 1] - quads[:, 0]
    speakers = np.argsort(-np.linalg.norm(along[:sure], axis=1), kind="stable")[:_SPEAKERS].tolist() if pages else []
    ask(speakers)
    upright = page_rotation(quads[speakers], [found[i] for i in speakers]) == 0
    lying = np.abs(along[:, 0]) > np.abs(along[:, 1])
    ask([i for i in range(len(quads)) if i not in found and not (upright and lying[i])])
    rotation = 0 if upright else page_rotation(quads[:sure], [found[i] for i in range(sure)]) if pages else None
    return [found.get(i) for i in range(len(quads))], rotation


def _turned_late(
    stages: Stages,
    settings: ReadSettings,
    image_rgb: np.ndarray,
    quads: np.ndarray,
    directions: Sequence[Direction | None],
    attempts: Sequence[_Attempt],
) -> list[_Attempt]:
    """Ask how lines lie that followed the page unasked, where they are not read with confidence, and turn them.

    Where one of them is against the page, all are asked: one in ten is read with confidence upside down.
    """
    attempts = list(attempts)
    unasked = [i for i, direction in enumerate(directions) if direction is None]
    doubtful = [i for i in unasked if attempts[i].text.confidence < _CONVINCING]
    for lines in (doubtful, [i for i in unasked if i not in doubtful]):
        found = stages.classify(cut_lines(image_rgb, quads[lines]), settings)
        angles = crop_angles(quads[lines], found, page_known=True, threshold=stages.cls_threshold(settings))
        turned = [i for i, angle in zip(lines, angles, strict=True) if angle != attempts[i].angle]
        other = [np.ascontiguousarray(attempts[i].crop[::-1, ::-1]) for i in turned]
        texts = dict(zip(turned, stages.recognize(other, settings), strict=True))
        surer = [i for i in turned if texts[i].confidence > attempts[i].text.confidence]
        for i, crop in zip(turned, other, strict=True):
            if i in surer:
                angle, quad, *_ = attempts[i]
                attempts[i] = _Attempt(180 - angle, rotate_quad_180(quad), crop, texts[i])
        if not surer:
            break
    return attempts


def _turned_by_text(stages: Stages, settings: ReadSettings, attempts: Sequence[_Attempt]) -> list[_Attempt]:
    """Turn lines that no page speaks for by what they read: the classifier knows less of a word than the recognizer.

    Text that would read as well upside down, as 9.99, stays as it is. The few lines of a picture that has no more, and
    what was turned and is not read with confidence, are read the other way round, too. The surer reading counts;
    upside down it must be a good deal surer.
    """
    few = len(attempts) <= _FEW_LINES
    same = [bool(one.angle) and _TURNS_INTO_ITSELF.issuperset(one.text.text) for one in attempts]
    unsure = [bool(one.angle) and one.text.confidence < _CONVINCING for one in attempts]
    doubtful = [i for i in range(len(attempts)) if few or same[i] or unsure[i]]
    other = [np.ascontiguousarray(attempts[i].crop[::-1, ::-1]) for i in doubtful]
    attempts = list(attempts)
    for i, crop, text in zip(doubtful, other, stages.recognize(other, settings), strict=True):
        angle, quad, _, before = attempts[i]
        run, rise = quad[1] - quad[0]
        level = abs(rise) < _LEVEL * abs(run)
        better = _UPRIGHT if level and run > 0 else _BETTER
        if same[i] or text.confidence > before.confidence + better:
            attempts[i] = _Attempt(180 - angle, rotate_quad_180(quad), crop, text)
    return attempts


def _read_standing(
    stages: Stages,
    settings: ReadSettings,
    image_rgb: np.ndarray,
    boxes: Sequence[TextBox],
    attempts: Sequence[_Attempt],
) -> list[_Attempt]:
    """Read boxes a little higher than wide, turned to lie as columns are, also as single characters that stand."""
    tall = [i for i, box in enumerate(boxes) if TALL_RATIO <= _steepness(box.points) < _COLUMN]
    standing = [perspective_crop(image_rgb, _with_room(boxes[i].points), turn_tall=False) for i in tall]
    attempts = list(attempts)
    for i, crop, text in zip(tall, standing, stages.recognize(standing, settings), strict=True):
        lying = attempts[i].text
        sign = not any(c.isalnum() for c in lying.text)  # a bar that lies is a dash, whatever it was
        if len(text.text) == 1 and (text.confidence > lying.confidence or sign):
            attempts[i] = _Attempt(0, boxes[i].points, crop, text)
    for i, attempt in enumerate(attempts):
        if attempt.text.text == _BAR and _steepness(boxes[i].points) < _COLUMN:
            attempts[i] = attempt._replace(text=replace(attempt.text, text=_BAR_MEANS))
    return attempts


def _steepness(quad: np.ndarray) -> float:
    """Return how many times as high as wide a quad (4, 2), clockwise from top-left, is."""
    across, down = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    return float(down / max(across, 1e-6))


def _with_room(quad: np.ndarray) -> np.ndarray:
    """Return a character's quad (4, 2), clockwise from top-left, with some room around."""
    across, down = quad[1] - quad[0], quad[3] - quad[0]
    down_length = float(np.linalg.norm(down))
    aside, above = _ROOM[0] * down_length / max(float(np.linalg.norm(across)), 1e-6) * across, _ROOM[1] * down
    return quad + np.stack([-aside - above, aside - above, aside + above, -aside + above])


def _choose(boxes: Sequence[TextBox], texts: Sequence[Decoded], sure: int, drop_score: float) -> list[bool]:
    """Return which lines are text.

    Args:
        boxes: of the lines: first those that the detector is sure of, then the others.
        texts: of the lines.
        sure: how many the detector is sure of.
        drop_score: the least confidence of those; of the others more is asked.
    """
    kept = [text.confidence >= drop_score * (_UNDECIDED if text.text in _CIRCLES else 1) for text in texts]
    signs = [k for k in range(sure) if kept[k] and not any(c.isalnum() for c in texts[k].text)]
    for k in signs:  # a dash or a dot inside of another line is a part of its letters
        others = [boxes[i] for i in range(sure) if i != k and kept[i]]
        kept[k] = share_covered(boxes[k], others) < _INSIDE
    for i in sorted(range(sure, len(texts)), key=lambda i: -texts[i].confidence):
        sign = any(c.isalnum() for c in texts[i].text)  # edges of things are read as - or : with confidence
        chosen = [boxes[k] for k in range(sure, len(texts)) if kept[k] and texts[k].confidence > texts[i].confidence]
        convincing = sign and texts[i].confidence >= max(_CONVINCING, drop_score)
        kept[i] = convincing and share_covered(boxes[i], chosen) < _SHARED
        inside = [k for k in range(sure) if kept[i] and kept[k] and share_covered(boxes[k], [boxes[i]]) >= _INSIDE]
        if _reads_better([texts[k] for k in inside], texts[i]):  # letters in circles, which look like others from afar
            kept[i] = False
        else:  # what was found inside of its letters, from too near, were fragments
            for k in inside:
                kept[k] = False
    return kept


def _reads_better(parts: Sequence[Decoded], whole: Decoded) -> bool:
    """Return whether parts of a line hold as much text as it does, read with more confidence."""
    letters = sum(len(part.text.replace(" ", "")) for part in parts)
    surest = sum(len(part.text) * part.confidence for part in parts) / max(sum(len(part.text) for part in parts), 1)
    return letters >= len(whole.text.replace(" ", "")) and surest > whole.confidence


def cut_lines(image_rgb: np.ndarray, quads: np.ndarray) -> list[np.ndarray]:
    """Cut lines out of a picture, each quad (n, 4, 2) from the corner that becomes its crop's top-left."""
    return [perspective_crop(image_rgb, quad, turn_tall=False) for quad in quads]


def line_quads(boxes: Sequence[TextBox]) -> np.ndarray:
    """Return the quads (n, 4, 2) of boxes, each from the corner where its text starts if it stands upright."""
    return as_quads([quad_as_cropped(box.points) for box in boxes])


def as_quads(quads: Sequence[np.ndarray]) -> np.ndarray:
    """Return quads as (n, 4, 2) float32, also where there are none."""
    return np.array(quads, np.float32).reshape(-1, 4, 2)


def _line(quad: np.ndarray, attempt: _Attempt, score: float, growth: CropGrowth) -> Line:
    corners, text = tuple((float(x), float(y)) for x, y in quad), attempt.text
    words = line_words(text, quad, margins=(growth.left, growth.right))
    return Line(cast(Quad, corners), text.text, text.confidence, score, attempt.angle, words)
