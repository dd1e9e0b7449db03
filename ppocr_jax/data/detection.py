"""Detector training batches: cropped labeled images and synthetic pages, with their targets.

With a teacher, images without labels can be used: the teacher sees the same crops as the student, and its maps are
part of the batch.

The scale of the text in training: at inference, the longer side of an image is limited to 960 pixels. With
`crop="page"`, training uses images at that scale, times a random factor (`scale_range`, e.g. 0.7 to 1.4), through a
random window of `crop_size`. Text then has the size that it has at inference, whatever the window. `crop="reference"`
is PaddleOCR release/2.6's recipe: the original image times 0.5 to 3, then a crop between text regions that is scaled to
fit `crop_size` (960 there). Text sizes vary far more, which makes the detector more robust in a long training, but not
in a short one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ppocr_jax.config import LabelSource
from ppocr_jax.data import augment_det as augment
from ppocr_jax.data.batches import WHOLE_BATCH, LabelUse, ProcessShare
from ppocr_jax.data.copy_paste import can_donate, copy_paste
from ppocr_jax.data.images import ImageCache, any_readable, has_image, with_images
from ppocr_jax.data.labels import DetectionRecord, LabelError, LabelSet, Region, detect_format, read_labels
from ppocr_jax.data.targets import SHRINK_RATIO, detection_targets
from ppocr_jax.images import ImageError, find_inputs
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION, Normalization

if TYPE_CHECKING:
    from ppocr_jax.synth.page import PageGenerator

logger = logging.getLogger("ppocr_jax")

# Images tried until one can give regions to CopyPaste.
_DONOR_TRIES = 8
# Limits for joining words into a line, see `merge_words_into_lines`.
_MOST_GAP, _LEAST_OVERLAP, _LEAST_HEIGHT_RATIO, _MOST_ANGLE = 1.0, 0.5, 0.5, 15.0
# Images tried until one can be read; if all of these fail, many images are damaged.
_READ_TRIES = 32

Batch = dict[str, np.ndarray]
Sample = tuple[np.ndarray, list[np.ndarray], list[bool]]
Teach = Callable[[np.ndarray], Batch]


class UnlabeledImage(DetectionRecord):
    """Image without labels."""


@dataclass(frozen=True, eq=False)
class DetectionSource:
    """Images, labeled or not; each is drawn `weight` times as often as an image of a source with weight 1."""

    records: tuple[DetectionRecord, ...]
    weight: float = 1.0
    use: LabelUse | None = None

    @classmethod
    def read(cls, source: LabelSource) -> DetectionSource:
        """Read a label file; if it labels words, merge them into text lines.

        Entries that cannot be used and missing images are left out and counted in `use`. From a folder that contains
        images but no labels, the images are read as `UnlabeledImage`s, including those in its subfolders.

        Raises:
            LabelError: Labels without regions.
            OSError: The file cannot be read.
        """
        if source.format == "auto" and (images := _unlabeled(Path(source.path))):
            use = LabelUse(str(source.path), "images without labels", len(images), _all_broken(images))
            return cls(images, source.weight, use)
        labels = _detection_labels(source, strict=False)
        records = [record for record in labels.records if isinstance(record, DetectionRecord)]
        there = [record for record in records if has_image(record.image_path)]
        bad = len(labels.bad_entries)
        left_out = {"in entries that cannot be used": bad, **_all_broken(there)}
        if lost := [record.image_path for record in records if not has_image(record.image_path)]:
            left_out[f"missing (such as {lost[0]})"] = len(lost)
        use = LabelUse(str(source.path), "images", len(records) + bad, left_out)
        if source.granularity == "word":
            there = [DetectionRecord(r.image_path, merge_words_into_lines(r.regions)) for r in there]
        return cls(tuple(there), source.weight, use)


def _all_broken(records: Sequence[DetectionRecord]) -> dict[str, int]:
    """Return the entry of `LabelUse.left_out` if no image can be read; single broken ones are found when drawn."""
    readable = any_readable(record.image_path for record in records)
    return {} if readable or not records else {"that cannot be read": len(records)}


def _unlabeled(path: Path) -> tuple[UnlabeledImage, ...]:
    """Return the images in a folder without labels, including its subfolders; an empty tuple for other paths."""
    if not path.is_dir():
        return ()
    try:
        detect_format(path)
        return ()
    except LabelError:
        pass
    files = [Path(file) for file in find_inputs([path], recursive=True)]
    texts = sorted(file.name for file in path.iterdir() if file.suffix.lower() in (".txt", ".json"))
    if texts:
        logger.warning("%s: using its images as unlabeled; if %s contains labels, pass that file", path, texts[0])
    return tuple(UnlabeledImage(file, ()) for file in files if file.suffix.lower() != ".pdf")


def detection_records(source: LabelSource) -> list[DetectionRecord]:
    """Return the labeled images of a file; missing images are left out with a warning.

    Raises:
        LabelError: A bad entry, or labels without regions.
        OSError: The file cannot be read.
    """
    records = [r for r in _detection_labels(source, strict=True).records if isinstance(r, DetectionRecord)]
    return with_images(records, source.path)


def _detection_labels(source: LabelSource, *, strict: bool) -> LabelSet:
    labels = read_labels(source.path, source.format, strict=strict)
    if labels.task != "det":
        raise LabelError(
            f"{source.path} ({labels.format}) contains labels of lines; a detector needs images with regions"
        )
    return labels


class _WeightedRecords:
    """All records of the sources, drawn at random by the weights of the sources."""

    def __init__(self, sources: Sequence[DetectionSource]) -> None:
        used = [source for source in sources if source.records and source.weight > 0]
        self.records = tuple(record for source in used for record in source.records)
        weights = [source.weight for source in used for _ in source.records]
        self._cumulative = np.cumsum(weights) / max(sum(weights), 1e-12)

    def draw(self, rng: np.random.Generator) -> DetectionRecord:
        index = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        return self.records[min(index, len(self.records) - 1)]


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionBatches:
    """Batch number `step` of the endless sequence of a seed: `batches(step)`.

    A pure function of (seed, step), so that a resumed run gets the same batches as an uninterrupted one. Picklable, for
    worker processes, if `page_generator` is.

    Attributes:
        seed: Seed of all randomness.
        batch_size: Samples per batch.
        crop_size: Side of the square training images, pixels; a multiple of 32.
        scale_range: Range of the random rescaling that belongs to `crop`.
        crop: Scaling and cropping of labeled images, see the module's docstring.
        sources: Labeled images; with `teach`, also images without labels.
        page_generator: Synthetic pages. They are generated at `crop_size`, flipped and rotated, but not rescaled or
            degraded, because the generator does that.
        synthetic_share: Fraction of the samples that are synthetic pages.
        copy_paste: Whether text of other images is pasted onto labeled images.
        photometric: Whether the tone of labeled images is changed and blur, noise and JPEG compression are added.
        limit_side: Limit of the longer side at inference ("page" only).
        shrink_ratio: How far text shrinks in the targets, see `targets.offset_distance`.
        normalization: Normalization of the images.
        process: Rows of the batches that this process makes.
        teach: Function from images (B, S, S, 3) uint8 RGB to a teacher's maps (B, S, S), which are added to the batch.

    Raises:
        ValueError: There is nothing to draw samples from, a value is out of range, or there are images without labels
            but no `teach`.
    """

    seed: int
    batch_size: int
    crop_size: int
    scale_range: tuple[float, float]
    crop: Literal["reference", "page"] = "reference"
    sources: Sequence[DetectionSource] = ()
    page_generator: PageGenerator | None = None
    synthetic_share: float = 0.0
    copy_paste: bool = False
    photometric: bool = False
    limit_side: int = 960
    shrink_ratio: float = SHRINK_RATIO
    normalization: Normalization = DETECTOR_NORMALIZATION
    process: ProcessShare = WHOLE_BATCH
    teach: Teach | None = None
    _records: _WeightedRecords = field(init=False, repr=False)
    _load: ImageCache = field(init=False, repr=False, default_factory=ImageCache)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_records", _WeightedRecords(self.sources))
        share = self.synthetic_share
        if not 0 <= share <= 1:
            raise ValueError(f"synthetic_share must be between 0 and 1, not {share}")
        if share > 0 and self.page_generator is None:
            raise ValueError(f"synthetic_share is {share}, but there is no page generator")
        if share < 1 and not self._records.records:
            uses = "; ".join(str(source.use) for source in self.sources if source.use)
            if uses:
                raise ValueError(f"data.train_labels: {uses}; run `ppocr-jax check-labels` on it for details")
            raise ValueError(f"synthetic_share is {share}, but there are no labeled images; set it to 1")
        if self.teach is None:
            for source in self.sources:
                if any(isinstance(record, UnlabeledImage) for record in source.records):
                    path = source.use.path if source.use else source.records[0].image_path
                    raise ValueError(
                        f"data.train_labels: {path} contains images without labels, which only ONNX detectors as "
                        f"mutual.teacher can teach (such as ppocr-v4); name a label file, or the format of these labels"
                    )
        if self.crop_size < 32 or self.crop_size % 32:
            raise ValueError(f"crop_size must be a multiple of 32, not {self.crop_size}")
        if not 0 < self.shrink_ratio < 1:
            raise ValueError(f"shrink_ratio must be between 0 and 1, not {self.shrink_ratio}")
        if self.crop not in ("reference", "page"):
            raise ValueError(f'crop must be "reference" or "page", not {self.crop!r}')

    def __call__(self, step: int) -> Batch:
        """Return the batch of `step`.

        Returns:
            "images" (B, S, S, 3) float32, normalized; "shrink_map", "shrink_mask" (B, S, S) uint8; "threshold_map"
            (B, S, S) float32; "threshold_mask" (B, S, S) uint8; with S = `crop_size`; and the maps of `teach`. The
            masks of an image without labels are 0.

        Raises:
            ImageError: Hardly any image can be read.
        """
        samples = [self._sample(step, i) for i in self.process.rows(self.batch_size)]
        batch = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
        images = batch.pop("images")
        batch["images"] = np.stack([self.normalization(image) for image in images])
        return batch if self.teach is None else {**batch, **self.teach(images)}

    def uses(self) -> tuple[LabelUse, ...]:
        """Return the use of each source that was read from labels."""
        return tuple(source.use for source in self.sources if source.use is not None)

    def _sample(self, step: int, i: int) -> Batch:
        rng = np.random.default_rng((self.seed, step, i))
        index = step * self.batch_size + i
        # The share is met exactly over any run of samples, not only on average.
        synthetic = int((index + 1) * self.synthetic_share) > int(index * self.synthetic_share)
        if synthetic:
            record, (image, polygons, ignore) = None, self._draw_page(rng, index)
        else:
            record, (image, polygons, ignore) = self._draw_record(rng)
        targets = detection_targets(polygons, ignore, image.shape[:2], shrink_ratio=self.shrink_ratio)
        if isinstance(record, UnlabeledImage):
            targets |= {name: np.zeros_like(targets[name]) for name in ("shrink_mask", "threshold_mask")}
        return {"images": image, **targets}

    def _draw_page(self, rng: np.random.Generator, index: int) -> Sample:
        assert self.page_generator is not None
        page = self.page_generator(self.seed, index, size=(self.crop_size, self.crop_size))
        polygons = [np.asarray(line.quad, np.float64) for line in page.lines]
        view = _flip_and_rotate(rng, augment.View.of(page.image_rgb))
        kept, ignore = augment.clipped_polygons(view, polygons, [False] * len(polygons))
        return augment.render(page.image_rgb, view, self.crop_size), kept, ignore

    def _draw_record(self, rng: np.random.Generator) -> tuple[DetectionRecord, Sample]:
        record, image = self._draw_readable(rng)
        regions = record.regions
        donor = self._donor(rng) if self.copy_paste and not isinstance(record, UnlabeledImage) else None
        if donor is not None:
            image, regions = copy_paste(rng, image, regions, donor[1], donor[0].regions)
        polygons = [region.points.astype(np.float64) for region in regions]
        ignore = [region.ignore for region in regions]
        guides = [polygon for polygon, ignored in zip(polygons, ignore, strict=True) if not ignored]
        view = _flip_and_rotate(rng, augment.View.of(image))
        if self.crop == "reference":
            view = augment.random_scale(rng, view, factors=self.scale_range)
            view = augment.random_text_crop(rng, view, guides, size=self.crop_size)
            kept, ignore = augment.visible_polygons(view, polygons, ignore)
        else:
            inference_scale = min(1.0, self.limit_side / max(image.shape[:2]))
            low, high = (factor * inference_scale for factor in self.scale_range)
            view = augment.random_scale(rng, view, factors=(low, high))
            view = augment.random_window(rng, view, guides, size=self.crop_size)
            kept, ignore = augment.clipped_polygons(view, polygons, ignore)
        rendered = augment.render(image, view, self.crop_size)
        if self.photometric:
            rendered = augment.jitter_photometric(rng, rendered, kept)
        return record, (rendered, kept, ignore)

    def _draw_readable(self, rng: np.random.Generator) -> tuple[DetectionRecord, np.ndarray]:
        """Return a random record and its image; unreadable ones are skipped (the cache warns of each once)."""
        for attempt in range(_READ_TRIES):
            record = self._records.draw(rng)
            try:
                return record, self._load(record.image_path)
            except ImageError:
                if attempt == _READ_TRIES - 1:
                    raise
        raise AssertionError

    def _donor(self, rng: np.random.Generator) -> tuple[DetectionRecord, np.ndarray] | None:
        """Return a random record that can donate regions, and its image; None if none was found."""
        tries = (self._records.draw(rng) for _ in range(_DONOR_TRIES))
        record = next((record for record in tries if can_donate(record.regions)), None)
        try:
            return None if record is None else (record, self._load(record.image_path))
        except ImageError:
            return None


def _flip_and_rotate(rng: np.random.Generator, view: augment.View) -> augment.View:
    return augment.random_rotation(rng, augment.random_flip(rng, view))


def merge_words_into_lines(regions: Sequence[Region]) -> tuple[Region, ...]:
    """Join neighboring words of one row into one region each.

    Two words are joined if, along the first one's reading direction, the gap between them is smaller than the smaller
    height, they share half of that height, their heights differ by a factor of 2 at most, and their directions by 15
    degrees at most. Ignored words are joined with ignored words only, so that no region is partly legible. Regions that
    are not quads stay unchanged.

    Args:
        regions: Words; quads run clockwise from the corner where reading starts.

    Returns:
        Lines, in the order of their first words. A joined line is the smallest rectangle around its words along the
        line's direction; its text is the words with spaces between them, or "" if one of them is not known.
    """
    quads = [i for i, region in enumerate(regions) if len(region.points) == 4]
    groups = {i: [i] for i in range(len(regions))}
    if len(quads) > 1:
        frames = _Frames(np.stack([regions[i].points for i in quads]).astype(np.float64))
        ignore = np.array([regions[i].ignore for i in quads])
        linked = frames.neighbors()
        for a, b in np.argwhere(linked & (ignore[:, None] == ignore)):
            _join(groups, quads[a], quads[b])
    lines = {id(group): group for group in groups.values()}.values()
    return tuple(_line([regions[i] for i in group]) for group in sorted(lines, key=min))


class _Frames:
    """Quads (n, 4, 2) as centers, unit reading directions and heights."""

    def __init__(self, quads: np.ndarray) -> None:
        along = quads[:, 1] + quads[:, 2] - quads[:, 0] - quads[:, 3]
        down = quads[:, 3] + quads[:, 2] - quads[:, 0] - quads[:, 1]
        self.quads = quads
        self.centers = quads.mean(axis=1)
        self.direction = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
        self.heights = np.linalg.norm(down, axis=1) / 2

    def neighbors(self) -> np.ndarray:
        """Return (n, n) bool: whether word b follows word a; see `merge_words_into_lines`."""
        normal = self.direction[:, ::-1] * (-1, 1)
        # [a, b, corner]: the corners of b in the frame of a.
        offsets = self.quads[None] - self.centers[:, None, None]
        xs = np.einsum("abck,ak->abc", offsets, self.direction)
        ys = np.einsum("abck,ak->abc", offsets, normal)
        left, right, top, bottom = xs.min(-1), xs.max(-1), ys.min(-1), ys.max(-1)
        own = np.arange(len(self.quads))
        gap = left - right[own, own][:, None]
        overlap = np.minimum(bottom, bottom[own, own][:, None]) - np.maximum(top, top[own, own][:, None])
        smaller = np.minimum(self.heights[:, None], self.heights)
        larger = np.maximum(self.heights[:, None], self.heights)
        return (
            (np.abs(gap) < _MOST_GAP * smaller)
            & (overlap > _LEAST_OVERLAP * smaller)
            & (smaller > _LEAST_HEIGHT_RATIO * larger)
            & (self.direction @ self.direction.T > np.cos(np.deg2rad(_MOST_ANGLE)))
        )


def _join(groups: dict[int, list[int]], a: int, b: int) -> None:
    if groups[a] is groups[b]:
        return
    merged = groups[a] + groups[b]
    groups.update(dict.fromkeys(merged, merged))


def _line(words: list[Region]) -> Region:
    if len(words) == 1:
        return words[0]
    quads = np.stack([word.points for word in words]).astype(np.float64)
    direction = (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]).sum(axis=0)
    order = np.argsort(quads.mean(axis=1) @ direction)
    # The directions of short words are imprecise; the line from the first word's start to the last word's end is not.
    start = quads[order[0], [0, 3]].mean(axis=0)
    end = quads[order[-1], [1, 2]].mean(axis=0)
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
    axes = np.stack([along, along[::-1] * (-1, 1)])
    corners = quads.reshape(-1, 2) @ axes.T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) @ axes
    texts = [words[i].text for i in order]
    text = " ".join(texts) if all(texts) else ""
    return Region(points.astype(np.float32), words[0].text if words[0].ignore else text, words[0].ignore)
