"""Reading of documents and folders with `OCR.read`, and files that explain the result of a page."""

from __future__ import annotations

import csv
import itertools
import threading
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sized
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Literal, TypeAlias, cast

import numpy as np

from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageError, ImageSource, InputPage, describe_source, find_inputs, read_pages
from ppocr_jax.inference.many import ordered_map
from ppocr_jax.inference.options import ReadOptions
from ppocr_jax.inference.page import PageReading, read_page
from ppocr_jax.inference.stages import Stages

OnError: TypeAlias = Literal["raise", "page"]
Sources: TypeAlias = "ImageSource | PathLike[str] | Iterable[ImageSource | PathLike[str]]"

_KEPT, _DROPPED = (0, 150, 60), (220, 0, 0)  # RGB colors of boxes in an explanation


@dataclass(frozen=True)
class Progress:
    """Progress of `OCR.read`.

    Attributes:
        page: The last page read.
        done: Number of pages read so far.
        total: Number of pages to read, as far as known. It changes as documents are opened, because an unopened
            document counts as one page. None if the sources are an iterator.
    """

    page: Page
    done: int
    total: int | None


class DocumentOptions(ReadOptions, total=False):
    """Options of `OCR.read`, by keyword.

    Attributes:
        pages: Pages to read of each document, like "1-3,5,8-" or numbers from 1. Default: all.
        password: Password of encrypted PDF documents.
        frames: "all" makes every frame of an animation a page. Default: "first".
        dpi: Resolution for rendering PDF pages. Default: 200, or the resolution of a scanned page if that is lower.
        recursive: Whether to read subfolders of folders.
        allow_url: Whether to fetch sources that begin with http:// or https://.
        on_error: How to handle a page that cannot be read. "raise" (the default): raise its error when its turn comes;
            "page": return a `Page` of size 0 x 0 with its `error` set.
        skip: (source, number) of pages to leave out, such as `document.pages_in_jsonl` finds in an earlier output. They
            are not decoded.
        explain: Folder for files that explain the result of each page; see `write_explanation`.
        progress: Function called after each page, in the thread that requests the next one.
        workers: Number of pages read in parallel. Default: one per core, or 16 if they share calls. A single page uses
            all cores.
        combine: Whether pages share network calls. Default: only if ONNX Runtime uses a GPU.
    """

    pages: str | int | Iterable[int] | None
    password: str | None
    frames: Literal["first", "all"]
    dpi: float | None
    recursive: bool
    allow_url: bool
    on_error: OnError
    skip: Container[tuple[str, int]]
    explain: str | Path | None
    progress: Callable[[Progress], object] | None
    workers: int | None
    combine: bool | None


class DocumentReading:
    """One call of `OCR.read`."""

    def __init__(
        self,
        alone: Stages,
        many: Stages,
        workers: int,
        options: DocumentOptions,
        *,
        images: bool,
    ) -> None:
        """Store the options of the call.

        Args:
            alone: Stages that read one page at a time on all cores.
            many: Stages that read `workers` pages in parallel.
            workers: Number of pages read in parallel.
            options: Options of the call. Those for reading a page, which the stages contain, are ignored.
            images: Whether to yield the images, too.

        Raises:
            ValueError: If `on_error` is unknown.
            UserError: If `explain` is empty.
        """
        self.alone, self.many, self.workers, self.images = alone, many, workers, images
        self.on_error = checked_on_error(options.get("on_error", "raise"))
        self.skip: Container[tuple[str, int]] = options.get("skip", ())
        self.explain, self.progress = options.get("explain"), options.get("progress")
        if self.explain == "":  # pathlib takes it for the current folder
            raise UserError("explain: the path is empty")
        self.recursive, self.allow_url = options.get("recursive", False), options.get("allow_url", False)
        self.open = partial(
            read_pages,
            pages=options.get("pages"),
            password=options.get("password"),
            frames=options.get("frames", "first"),
            dpi=options.get("dpi"),
            max_pixels=alone.settings.max_pixels,
            allow_url=self.allow_url,
        )
        self.total: int | None = None
        self._counting = threading.Lock()
        self._names = PageNames()

    def run(self, sources: Sources) -> Iterator[tuple[Page, InputPage | None]]:
        """Yield the pages of all sources, and report progress."""
        several = sources if are_several(sources) else [sources]
        files = itertools.chain.from_iterable(map(self._files_of, cast("Iterable[ImageSource]", several)))
        if isinstance(several, Sized):
            files = list(files)
            self.total = len(files)
        for done, (page, image) in enumerate(self._read_all(map(self._named, files)), start=1):
            if self.progress is not None:
                self.progress(Progress(page, done, self.total))
            yield page, image

    def _named(self, file: ImageSource) -> ImageSource:
        """Reserve the name of a file's explanation and return the file. Files arrive here in order."""
        self._names.stem(describe_source(file))
        return file

    def _files_of(self, source: ImageSource) -> list[ImageSource]:
        """Return the files of a folder, or a list of the source itself, even if it does not exist."""
        if not isinstance(source, str | PathLike) or source in ("-", "") or not Path(source).is_dir():
            return [source]
        return cast("list[ImageSource]", find_inputs([source], recursive=self.recursive, allow_url=self.allow_url))

    def _read_all(self, files: Iterator[ImageSource]) -> Iterator[tuple[Page, InputPage | None]]:
        first = list(itertools.islice(files, 2))
        if len(first) == 1:  # one document: a single page uses all cores, several pages are read in parallel
            pages = self._pages_of(first[0])
            ahead = list(itertools.islice(pages, 2))
            if len(ahead) == 1:
                yield self._read(self.alone, ahead[0])
            else:
                yield from ordered_map(
                    partial(self._read, self.many), itertools.chain(ahead, pages), workers=self.workers
                )
            return
        # Each worker opens a document and reads its first page. Further pages are read when their turn comes.
        for begun, rest in ordered_map(self._begin, itertools.chain(first, files), workers=self.workers):
            yield from begun
            if rest is not None:
                yield from ordered_map(partial(self._read, self.many), rest, workers=self.workers)

    def _begin(
        self, file: ImageSource
    ) -> tuple[list[tuple[Page, InputPage | None]], Iterator[InputPage | Page] | None]:
        """Read a document up to its first valid page. Return the pages read and an iterator of the rest, or None."""
        begun, pages = [], self._pages_of(file)
        for page in pages:
            begun.append(self._read(self.many, page))
            if isinstance(page, InputPage):
                if page.page_count > 1:
                    return begun, pages
                break
        pages.close()
        return begun, None

    def _pages_of(self, file: ImageSource) -> Generator[InputPage | Page]:
        """Yield the pages of a document, and a `Page` with an error for each page that cannot be loaded."""
        failed: list[ImageError] = []
        keep = self.on_error == "page"
        source = describe_source(file)

        def errors() -> Iterator[Page]:
            while failed:
                yield Page.of_error(failed.pop(0), source)

        def choose(numbers: list[int]) -> list[int]:
            left = [number for number in numbers if (source, number) not in self.skip]
            with self._counting:
                if self.total is not None:
                    self.total += len(left) - 1
            return left

        try:
            for page in self.open(file, on_error=failed.append if keep else None, choose=choose):
                yield from errors()
                yield page
            yield from errors()
        except UserError as error:
            if not keep:
                raise
            yield from errors()
            yield Page.of_error(error, source)

    def _read(self, stages: Stages, page: InputPage | Page) -> tuple[Page, InputPage | None]:
        if isinstance(page, Page):
            return page, None
        explain = None if self.explain is None else Path(self.explain) / self._names.of(page.source, page.number)
        read = read_image(stages, page.image_rgb, source=page.source, number=page.number, explain=explain)
        return read, page if self.images else None


def read_image(
    stages: Stages,
    image_rgb: np.ndarray,
    *,
    source: str,
    number: int = 1,
    explain: Path | None = None,
) -> Page:
    """Return the page recognized in an image (H, W, 3) uint8. Write an explanation into the folder `explain`."""
    reading = read_page(stages, image_rgb)
    height, width = image_rgb.shape[:2]
    page = Page(width, height, reading.lines, source, reading.rotation, number=number, warnings=reading.warnings)
    if explain is not None:
        write_explanation(stages, image_rgb, reading, explain)
    return page


class PageNames:
    """Unique file names for pages: the stem of the source, with a counter if another source has the same stem."""

    def __init__(self) -> None:
        self._stems: dict[str, str] = {}
        self._taken: set[str] = set()

    def stem(self, source: str) -> str:
        """Return the file name of a source, the same at every call."""
        if source not in self._stems:
            stem = name = Path(source).stem.strip("-") or "page"
            count = 1
            while name.casefold() in self._taken:
                count += 1
                name = f"{stem}-{count}"
            self._taken.add(name.casefold())
            self._stems[source] = name
        return self._stems[source]

    def of(self, source: str, number: int) -> str:
        """Return the file name of a page: the name of its source, with the page number from 2 on."""
        return f"{self.stem(source)}-page{number}" if number > 1 else self.stem(source)


def are_several(sources: object) -> bool:
    """Return whether `sources` is a collection of sources rather than a single one."""
    return isinstance(sources, list | tuple | Iterator) and not hasattr(sources, "read")


def checked_on_error(on_error: OnError) -> OnError:
    """Return `on_error` if it is valid.

    Raises:
        ValueError: If it is neither "raise" nor "page".
    """
    if on_error not in ("raise", "page"):
        raise ValueError(f"on_error must be one of raise, page, not {on_error!r}")
    return on_error


def write_explanation(stages: Stages, image_rgb: np.ndarray, reading: PageReading, folder: Path) -> None:
    """Write files that explain how a page was read into a folder, which is created if necessary.

    - probability.png: the detector's probability map at its input size, white where it is sure of text;
    - boxes.png: kept lines in green with their numbers, and dropped boxes in red;
    - line-001.png ...: the upright crop that the recognizer saw of each kept line;
    - repairs.txt: faults of the network files that are repaired on loading, if any;
    - lines.csv: number, text, confidence, detection score and angle of each line. Dropped lines have no number.

    Args:
        stages: Stages that read the page.
        image_rgb: Image, (H, W, 3) uint8.
        reading: Result of reading the page.
        folder: Output folder.

    Raises:
        UserError: If a file cannot be written.
    """
    import cv2
    from PIL import Image

    boxes = image_rgb.copy()
    rows, images = [], {"probability": np.round(255 * stages.probability_map(image_rgb)).astype(np.uint8)}
    numbers = iter(range(1, len(reading.found) + 1))
    for found in reading.found:
        line, number = found.line, next(numbers) if found.kept else ""
        quad = np.round(np.array(line.quad)).astype(np.int32)
        cv2.polylines(boxes, [quad], True, _KEPT if found.kept else _DROPPED, 1 + found.kept, cv2.LINE_AA)
        rows.append((number, line.text, f"{line.confidence:.4f}", f"{line.detection_score:.4f}", line.angle))
        if found.kept:
            corner = int(quad[0, 0]), max(10, int(quad[0, 1]) - 2)
            cv2.putText(boxes, str(number), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _KEPT, 1, cv2.LINE_AA)
            images[f"line-{number:03}"] = found.crop
    repairs = stages.repairs()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if repairs:
            (folder / "repairs.txt").write_text("".join(f"{line}\n" for line in repairs), encoding="utf-8")
        with (folder / "lines.csv").open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([("line", "text", "confidence", "detection_score", "angle"), *rows])
        for name, image in {**images, "boxes": boxes}.items():
            Image.fromarray(image).save(folder / f"{name}.png")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
