"""Find and open documents on any file system of fsspec: disks, S3, Google's and Azure's stores, HTTP.

A document is identified by its path or URL. Its stamp is a digest of its size and of its ETag or modification time, so
that a later run does not need to fetch unchanged documents.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ppocr_jax.errors import UserError
from ppocr_jax.images import SUFFIXES
from ppocr_jax.images.sources import first_line, printable

# Files that `parts` writes; they are not read if the output folder is inside an input folder.
_OUTPUT_NAME = re.compile(r"_bulk\.json|(part|failed)-[0-9a-f]{32}\.(parquet|jsonl)")

_STATES = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated", "created")


class Document(NamedTuple):
    """A file to read, or the bytes in a row of a Parquet file.

    Attributes:
        source: Path or URL of the file.
        stamp: Digest that changes when the file changes.
        row: Row in the Parquet file; -1 for any other file.
        key: Digest of the content that is already in the output; "" for none.
    """

    source: str
    stamp: str
    row: int = -1
    key: str = ""


class Unreachable(Exception):
    """Error of a document that cannot be fetched now, but perhaps in a later run."""


def find_documents(inputs: Iterable[str], *, column: str | None = None) -> Iterator[Document]:
    """Yield the documents in `inputs`, each once; documents of a folder are sorted by name.

    If there are several inputs, one that does not exist is yielded as a document that cannot be fetched.

    Args:
        inputs: Files, folders (with subfolders), patterns such as scans/**/*.tif, or Parquet files; paths or URLs.
        column: Column of Parquet files with the bytes of the documents; None: the only column that is binary, or a
            struct with binary `bytes` like the images in data sets of Hugging Face.

    Raises:
        UserError: The only input does not exist, or an input is empty or cannot be listed.
    """
    seen: set[bytes] = set()
    names = iter(inputs)
    first = list(islice(names, 2))
    for name in chain(first, names):
        try:
            found = _find(name, column)
        except FileNotFoundError as error:
            if len(first) < 2:
                raise UserError(f"no such file or folder: {printable(name)}") from error
            found = [Document(_source(*url_to_fs(name)), "missing")]
        for document in found:
            # Digests take less memory than names; there may be millions.
            place = f"{document.source}#{document.row}".encode("utf-8", "surrogateescape")
            digest = hashlib.blake2b(place, digest_size=16).digest()
            if digest not in seen:
                seen.add(digest)
                yield document


def _find(name: str, column: str | None) -> Iterable[Document]:
    """Return the documents of one input, in order.

    Raises:
        FileNotFoundError: The input does not exist.
        UserError: The input contains no documents or cannot be listed.
    """
    if not name:  # fsspec takes it for the current folder
        raise UserError("no such file or folder: the path is empty")
    try:
        fs, path = url_to_fs(name)
        if any(sign in path for sign in "*?[") and not fs.exists(path):
            found = fs.glob(path, detail=True)
            kept = {file: info for file, info in found.items() if info["type"] == "file" and "/." not in file}
            files = {file: info for file, info in kept.items() if not _is_output(file)}
        elif fs.isdir(path):
            found = fs.find(path, detail=True)
            files = {file: info for file, info in found.items() if _is_wanted(file, path)}
        else:
            files = {path: fs.info(path)}
    except FileNotFoundError:
        raise
    except ImportError as error:  # the package for this store is missing
        raise UserError(f"cannot read {printable(name)}: {first_line(error)}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot list {printable(name)}: {first_line(error)}") from error
    if not files:
        raise UserError(f"{printable(name)} contains no image, PDF or Parquet files")
    return _documents(fs, files, column)


def _documents(fs: Any, files: dict[str, Any], column: str | None) -> Iterator[Document]:
    for file in sorted(files):
        source = _source(fs, file)
        stamp = _stamp(files[file])
        if file.endswith(".parquet"):
            yield from (Document(source, stamp, row) for row in range(_parquet_rows(source, column)))
        else:
            yield Document(source, stamp)


def _source(fs: Any, path: str) -> str:
    return path if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(path)


def _is_wanted(file: str, folder: str) -> bool:
    """Return whether a file in a folder is read: it has a known suffix and no hidden part in its path."""
    below = file[len(folder) :].strip("/").split("/")
    suffix = "." + below[-1].rpartition(".")[2].lower()
    known = (suffix in SUFFIXES or suffix == ".parquet") and not _is_output(file)
    return known and not any(part.startswith(".") for part in below)


def _is_output(file: str) -> bool:
    return _OUTPUT_NAME.fullmatch(file.rpartition("/")[2]) is not None


def _stamp(info: dict[str, Any]) -> str:
    state = next((info[name] for name in _STATES if info.get(name)), "")
    return hashlib.blake2b(f"{info.get('size')} {state}".encode(), digest_size=8).hexdigest()


def open_bytes(document: Document, column: str | None) -> bytes:
    """Return the bytes of a document.

    Raises:
        Unreachable: The store returns an error.
        UserError: The file does not exist, or it is a Parquet file without the column.
    """
    try:
        if document.row >= 0:
            return _parquet_bytes(document, column)
        filesystem, path = url_to_fs(document.source)
        return filesystem.cat_file(path)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"no such file: {printable(document.source)}") from error
    except Exception as error:  # each store raises its own exceptions
        raise Unreachable(f"cannot read {printable(document.source)}: {first_line(error)}") from error


def _parquet_rows(source: str, column: str | None) -> int:
    with fsspec.open(source, "rb") as file:
        parquet = _parquet(file, source)
        _column(parquet, source, column)
        return parquet.metadata.num_rows


def _parquet_bytes(document: Document, column: str | None) -> bytes:
    row = document.row
    for group, count in enumerate(_group_sizes(document.source, document.stamp)):
        if row < count:
            value = _row_group(document.source, document.stamp, group, column)[row].as_py()
            return (value["bytes"] if isinstance(value, dict) else value) or b""
        row -= count
    raise Unreachable(f"{printable(document.source)} no longer has row {document.row}")


@lru_cache(maxsize=16)
def _group_sizes(source: str, stamp: str) -> list[int]:
    with fsspec.open(source, "rb") as file:
        metadata = _parquet(file, source).metadata
        return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


@lru_cache(maxsize=1)  # the rows of a chunk are usually in one row group
def _row_group(source: str, stamp: str, group: int, column: str | None) -> Any:
    with fsspec.open(source, "rb") as file:
        parquet = _parquet(file, source)
        name = _column(parquet, source, column)
        return parquet.read_row_group(group, columns=[name])[name]


def _parquet(file: Any, source: str) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{printable(source)} is not a Parquet file: {first_line(error)}") from error


def _column(parquet: Any, source: str, column: str | None) -> str:
    import pyarrow

    def holds_bytes(kind: Any) -> bool:
        if pyarrow.types.is_struct(kind):
            return any(kind[i].name == "bytes" and holds_bytes(kind[i].type) for i in range(kind.num_fields))
        return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)

    fitting = [field.name for field in parquet.schema_arrow if holds_bytes(field.type)]
    if column is not None and column in fitting:
        return column
    if column is None and len(fitting) == 1:
        return fitting[0]
    said = f"no binary column {column!r}" if column is not None else f"{len(fitting) or 'no'} binary columns"
    choose = f"; choose one of {', '.join(fitting)} (--column)" if fitting else ""
    raise UserError(f"{printable(source)} has {said}{choose}")
