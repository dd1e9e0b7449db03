"""Label folders: one label file per image, with the same name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ppocr_jax.data.labels.bad_entries import BadEntries, decode_line, numbered_lines, warn_of_skipped
from ppocr_jax.data.labels.records import DetectionRecord, LabelError, Region

logger = logging.getLogger("ppocr_jax")

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_LABEL_PREFIXES = ("poly_gt_", "gt_")
_ENDING_IF_UNKNOWN = ".jpg"


def label_files(path: Path, suffix: str) -> list[Path]:
    """Return the label files of a folder, sorted; if any are named `gt_*` or `poly_gt_*`, only those.

    Args:
        path: The folder, or a label file, which is then returned alone.
        suffix: Suffix of the label files, with the dot.

    Raises:
        LabelError: The folder contains no label files.
    """
    if path.is_file():
        return [path]
    found = sorted(file for file in path.glob(f"*{suffix}") if file.is_file())
    named = [file for file in found if file.name.startswith(_LABEL_PREFIXES)]
    if not found:
        raise LabelError(f"{path}: contains no label files (*{suffix})")
    return named or found


def image_stem(label_path: Path) -> str:
    """Return the name of the image, without suffix, that belongs to a label file."""
    stem = label_path.stem
    for prefix in _LABEL_PREFIXES:
        stem = stem.removeprefix(prefix)
    return stem


@dataclass(frozen=True)
class ImageFolder:
    """Folder of images that are looked up by name without suffix."""

    folder: Path

    @cached_property
    def _names(self) -> dict[str, str]:
        names = (file.name for file in sorted(self.folder.iterdir(), reverse=True))
        return {Path(name).stem: name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES}

    def __contains__(self, stem: str) -> bool:
        return stem in self._names

    def path(self, stem: str) -> Path:
        """Return the path of an image; a missing one gets the suffix `.jpg`, and opening it will fail."""
        return self.folder / self._names.get(stem, stem + _ENDING_IF_UNKNOWN)

    def warn_of_unlabeled(self, stems: Iterable[str]) -> None:
        """Warn of the number of images that have none of the given names."""
        rest = self._names.keys() - set(stems)
        if rest:
            logger.warning("%s: %d images have no label file, such as %s", self.folder, len(rest), self.path(min(rest)))


def find_images(labels: Path, stems: Iterable[str], image_root: Path | None) -> ImageFolder:
    """Return the folder that contains the images of label files.

    Without `image_root`, it is the first one that contains any of the images among: the label files' folder, the folder
    `images` in it or next to it, the parent folder; otherwise the only folder next to it that contains any.

    Args:
        labels: Folder of the label files.
        stems: Names of images, without suffixes.
        image_root: The folder, if the user gave one.

    Raises:
        LabelError: Several folders next to the label files contain images with these names.
        OSError: A folder cannot be read.
    """
    if image_root is not None:
        return ImageFolder(image_root)
    stems, above = list(stems), labels.resolve().parent
    usual = [labels, labels / "images", above / "images", above]
    for folder in filter(Path.is_dir, usual):
        if _holds_any(folder, stems):
            return ImageFolder(folder)
    beside = [folder for folder in sorted(above.iterdir()) if folder.is_dir() and _holds_any(folder, stems)]
    if len(beside) > 1:
        raise LabelError(
            f"{labels}: images of these names are in {beside[0]} and in {beside[1]}; choose the image folder "
            "(`image_root`; on the command line, --images)"
        )
    if not beside:
        logger.warning("%s: no images for these labels in this folder, in images/ or in a folder next to it", labels)
    return ImageFolder(beside[0] if beside else labels)


def _holds_any(folder: Path, stems: Iterable[str]) -> bool:
    images = ImageFolder(folder)
    return any(stem in images for stem in stems)


def read_label_folder(
    path: Path,
    image_root: Path | None,
    bad: BadEntries,
    read_regions: Callable[[Path, BadEntries], Iterable[Region]],
    *,
    suffix: str = ".txt",
    stem_of: Callable[[Path], str] = image_stem,
) -> list[DetectionRecord]:
    """Read a folder with one label file per image.

    If a file has a bad entry, its image is skipped as a whole, because an image that lost some of its regions would
    teach that text is background.

    Args:
        path: The folder, or one of its label files.
        image_root: Folder of the images; default: see `find_images`.
        bad: Collects bad entries.
        read_regions: Function that reads one label file.
        suffix: Suffix of the label files.
        stem_of: Function that returns the image name, without suffix, of a label file.

    Raises:
        LabelError: There are no label files, or the folder of the images is ambiguous; a bad entry, when strict.
        OSError: A file cannot be read.
    """
    files = label_files(path, suffix)
    stems = [stem_of(file) for file in files]
    images = find_images(path if path.is_dir() else path.parent, stems, image_root)
    records: list[DetectionRecord] = []
    for file, stem in zip(files, stems, strict=True):
        before = len(bad.found)
        regions = tuple(read_regions(file, bad))
        if len(bad.found) == before:
            records.append(DetectionRecord(images.path(stem), regions))
    warn_of_skipped(path, len(files) - len(records), len(records), unit="images")
    if path.is_dir():
        images.warn_of_unlabeled(stems)
    return records


def read_by_line(parse: Callable[[str], Region]) -> Callable[[Path, BadEntries], list[Region]]:
    """Return a function that reads a label file with one region per line, for `read_label_folder`.

    Args:
        parse: Function from a line to a region; raises ValueError for a bad line.
    """

    def read_regions(path: Path, bad: BadEntries) -> list[Region]:
        regions: list[Region] = []
        for number, raw in numbered_lines(path):
            with bad.guard(path, number, skipped="image"):
                regions.append(parse(decode_line(raw)))
        return regions

    return read_regions
