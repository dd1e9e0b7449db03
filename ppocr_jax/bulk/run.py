"""Read chunks of documents into parts, with threads of this process or actors of a Ray cluster.

A chunk is the unit of work. One worker reads it on one core and writes its part when the whole chunk is read. If a
worker dies, another one reads its chunk again. If a run dies, the next run repeats only its unfinished chunks.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from ppocr_jax import __version__
from ppocr_jax.bulk.documents import Document, Unreachable, find_documents, open_bytes
from ppocr_jax.bulk.parts import BulkOutput, name_of, row_of
from ppocr_jax.charset import BUILTIN_CHARSETS, load_letters
from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.inference.many import cores, ordered_map
from ppocr_jax.inference.model_folder import load_model_folder
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.options import NetworkOptions, ReadOptions

_CHUNK = 64  # maximum documents per part: a part of 64 pages has about a megabyte
_CHUNKS_PER_WORKER = 8  # minimum, if there are enough documents, so that workers finish at about the same time
_MOST_BLOCKS = 10_000
_TRIES, _PAUSE_SECONDS = 3, 1.0  # for stores that fail temporarily; the pause grows with each try

_logger = logging.getLogger("ppocr_jax")


@dataclass(frozen=True)
class BulkSettings:
    """Settings for reading documents. All pages in an output folder are read with the same settings.

    Attributes:
        model: Built-in model or model folder; with Ray, it and the files of `networks` must exist on every node.
        networks: Network options of `OCR`.
        options: Reading options of `OCR`.
        dpi, password: See `images.read_pages`.
        words: Whether to write the words of the lines.
        column: See `find_documents`.
    """

    model: str = "en"
    networks: NetworkOptions = field(default_factory=NetworkOptions)
    options: ReadOptions = field(default_factory=ReadOptions)
    dpi: float | None = None
    password: str | None = None
    words: bool = False
    column: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the settings to save in the output, as plain types, with digests of files and without the password.

        Raises:
            UserError: A file is missing.
        """
        folder, networks = load_model_folder(self.model).path, self.networks
        record: dict[str, Any] = {
            "model": _record_of_files(
                folder.name, (p for p in folder.iterdir() if p.suffix in (".onnx", ".json", ".txt"))
            ),
            "letters": "".join(load_letters(networks["letters"])) if "letters" in networks else None,
            "backend": networks.get("backend", "onnx"),
            "precision": networks.get("precision"),
            "rec_height": networks.get("rec_height"),
            "options": self.options,
            "dpi": self.dpi,
            "words": self.words,
            "version": __version__,
        }
        for name in ("det", "cls", "rec", "charset"):
            file = networks.get(name)
            record[name] = (
                file if file in (None, *BUILTIN_CHARSETS) else _record_of_files(Path(file).name, [Path(file)])
            )
        return record


def _record_of_files(name: str, files: Iterable[Path]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(files):
        try:
            digest.update(path.name.encode() + path.read_bytes())
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
    return f"{name} {digest.hexdigest()}"


@dataclass(frozen=True)
class Tally:
    """Counts of a run or a chunk.

    Attributes:
        documents, pages: Number of documents and pages that were read.
        errors: Number of pages, or whole documents, that could not be read.
        skipped: Number of documents that were already in the output.
        seconds: Total working time of all workers.
    """

    documents: int = 0
    pages: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + its for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)))


def run_bulk(
    inputs: Iterable[str],
    output: str,
    *,
    settings: BulkSettings,
    engine: str = "local",
    file_format: str = "parquet",
    workers: int | None = None,
    address: str | None = None,
    progress: Callable[[Tally], None] | None = None,
) -> Tally:
    """Read all documents that are not in the output yet, and return the counts.

    Args:
        inputs: See `find_documents`.
        output: Folder to write to, a path or URL.
        settings: Settings for reading.
        engine: "local" or "ray".
        file_format: "parquet" or "jsonl".
        workers: Number of chunks read at a time, on one core each; None: all cores of this machine or the cluster.
        address: Address of a Ray cluster; None: that in RAY_ADDRESS, otherwise a new cluster on this machine.
        progress: Called after each chunk with the counts so far.

    Raises:
        UserError: An input cannot be found, the output cannot be written, or it was made with other settings.
    """
    parts = BulkOutput(output, file_format, words=settings.words)
    parts.prepare(settings.to_record())
    done, documents, skipped = parts.done(), [], 0
    for document in find_documents(inputs, column=settings.column):
        stamp, key = done.get(name_of(document), ("", ""))
        if stamp == document.stamp:
            skipped += 1
        else:
            documents.append(document._replace(key=key))
    total = Tally(skipped=skipped)
    if not documents:
        return total
    engines = {"local": _run_local, "ray": partial(_run_ray, address=address)}
    for tally in engines[engine](ChunkReader(settings, parts), documents, workers):
        total += tally
        if progress is not None:
            progress(total)
    return total


class ChunkReader:
    """Callable that reads a chunk into a part. It loads the model at the first chunk, in the worker's process."""

    def __init__(self, settings: BulkSettings, output: BulkOutput) -> None:
        """
        Args:
            settings: Settings for reading.
            output: Folder to write to.
        """
        self.settings, self.output = settings, output
        self._ocr: OCR | None = None

    def __call__(self, chunk: Sequence[Document]) -> Tally:
        """Read the documents of a chunk and write its part, unless the part exists; return the counts."""
        begun = time.perf_counter()
        if self.output.has(chunk):
            return Tally(skipped=len(chunk))
        rows: list[dict[str, Any]] = []
        missing: list[dict[str, Any]] = []
        skipped = 0
        for document in chunk:
            try:
                data = _patiently(document, self.settings.column)
            except (Unreachable, UserError) as error:
                missing.append(row_of(Page.of_error(error), document, key=""))
                continue
            key = hashlib.blake2b(data, digest_size=16).hexdigest()
            if document.key == key:  # the stamp changed, but not the content
                skipped += 1
                continue
            rows.extend(self._read(document, data, key))
        if rows:
            self.output.write(chunk, rows)
        if missing:
            self.output.write(chunk, missing, failed=True)
        errors = sum(1 for row in rows if row["error"]) + len(missing)
        read = len(chunk) - skipped - len(missing)
        return Tally(read, len(rows), errors, skipped, time.perf_counter() - begun)

    def _read(self, document: Document, data: bytes, key: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a document's pages. An unreadable page and a document without pages have an `error`."""
        settings, count = self.settings, 1
        if self._ocr is None:
            self._ocr = OCR(settings.model, threads=1, **settings.networks)
        inputs = {"password": settings.password, "dpi": settings.dpi}
        read = self._ocr.read_with_images(data, on_error="page", workers=1, **inputs, **settings.options)
        for page, image in read:
            count = image.page_count if image is not None else count
            yield row_of(page, document, key=key, page_count=count, words=settings.words)


def _patiently(document: Document, column: str | None) -> bytes:
    for left in range(_TRIES - 1, 0, -1):
        try:
            return open_bytes(document, column)
        except Unreachable:
            time.sleep(_PAUSE_SECONDS * (_TRIES - left))
    return open_bytes(document, column)


def _chunks(documents: Sequence[Document], workers: int) -> list[tuple[Document, ...]]:
    size = max(1, min(_CHUNK, len(documents) // (workers * _CHUNKS_PER_WORKER)))
    return [tuple(documents[start : start + size]) for start in range(0, len(documents), size)]


def _run_local(read: ChunkReader, documents: Sequence[Document], workers: int | None) -> Iterator[Tally]:
    """Read in threads of this process, which share the model: ONNX Runtime releases the GIL while it computes."""
    workers = workers or cores()
    return ordered_map(read, _chunks(documents, workers), workers=workers)


def _run_ray(
    read: ChunkReader, documents: Sequence[Document], workers: int | None, *, address: str | None
) -> Iterator[Tally]:
    """Read with a pool of Ray Data's actors, each on one core with its own model; Ray replaces actors that die."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError('--engine ray needs Ray: pip install "ppocr-jax[bulk]"') from error
    begun_here = not ray.is_initialized()
    if begun_here:
        _logger.info("starting Ray, which takes a while")
        address = address or os.environ.get("RAY_ADDRESS")
        limits: dict[str, Any] = {} if address else {"num_cpus": workers}
        ray.init(address, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, **limits)
    for name in ("ray.data", "ray._private"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    rows = [{"chunk": json.dumps(chunk)} for chunk in _chunks(documents, workers)]
    # Ray repeats a whole block when a worker dies, so that a block has one chunk if possible.
    results = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MOST_BLOCKS)).map(
        cast("Any", _RayReader),  # Ray's type annotations accept only functions
        fn_constructor_args=(read.settings, read.output),
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
    )
    try:
        for row in results.iter_rows():
            yield Tally(**row)
    finally:
        if begun_here:
            ray.shutdown()


class _RayReader:
    """`ChunkReader` with the interface of Ray Data, from a row to a row."""

    def __init__(self, settings: BulkSettings, output: BulkOutput) -> None:
        self._read = ChunkReader(settings, output)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return asdict(self._read([Document(*values) for values in json.loads(row["chunk"])]))
