"""Output files of a bulk run. A part contains the pages of a few documents and is written atomically.

The name of a part is a digest of its documents. A chunk that is read twice because a worker died therefore gives one
file. Rows are those of `Page.to_dict` (`Page.from_dict` accepts them), with a digest of the document's content.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ppocr_jax.bulk.documents import Document
from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.images.sources import first_line, printable

FORMATS = ("parquet", "jsonl")
_SETTINGS = "_bulk.json"  # Arrow, Spark and others ignore files that start with _ when they open a folder
_DONE, _FAILED = "part-", "failed-"  # documents that could not be fetched are tried again by the next run


class BulkOutput:
    """Folder of parts, on a disk or in an object store; can be pickled."""

    def __init__(self, url: str, file_format: str, *, words: bool) -> None:
        """
        Args:
            url: Path or URL of the folder.
            file_format: One of `FORMATS`.
            words: Whether lines contain their words.
        """
        self.url, self.file_format, self.words = url.rstrip("/"), file_format, words

    def prepare(self, settings: dict[str, Any]) -> None:
        """Create the folder, save the settings in it, and remove the `failed` files of the last run.

        Raises:
            UserError: The folder was made with other settings or cannot be written.
        """
        fs, folder = self._fs()
        path, old = f"{folder}/{_SETTINGS}", f"{folder}/bulk.json"  # the old name, which Arrow read as data
        try:
            fs.makedirs(folder, exist_ok=True)
            if not fs.exists(path) and fs.exists(old):
                fs.mv(old, path)
            if fs.exists(path):
                before = json.loads(fs.cat_file(path))
                differing = [name for name in settings if before.get(name) != settings[name]]
                if differing:
                    changes = "; ".join(f"{name} was {before.get(name)}, is {settings[name]}" for name in differing)
                    raise UserError(
                        f"{printable(self.url)} contains pages read with other settings ({printable(changes)}): "
                        "choose another folder, or use the same settings"
                    )
            else:
                _write_whole(fs, path, json.dumps(settings, indent=1).encode())
            for name in self._names(_FAILED):
                fs.rm_file(f"{folder}/{name}")
        except (OSError, ValueError) as error:
            raise UserError(f"cannot write {printable(self.url)}: {first_line(error)}") from error

    def done(self) -> dict[str, tuple[str, str]]:
        """Return the stamp and content key of each document in the output, by its name (see `name_of`)."""
        done = {}
        for name in self._names(_DONE):
            for row in self._rows(name, ["image", "stamp", "key"]):
                done[row["image"]] = (row["stamp"], row["key"])
        return done

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all rows, including those of documents that could not be fetched."""
        for kind in (_DONE, _FAILED):
            for name in self._names(kind):
                yield from self._rows(name, None)

    def has(self, chunk: Sequence[Document]) -> bool:
        """Return whether the part of these documents exists."""
        fs, folder = self._fs()
        return fs.exists(f"{folder}/{self._name(_DONE, chunk)}")

    def write(self, chunk: Sequence[Document], rows: Sequence[dict[str, Any]], *, failed: bool = False) -> None:
        """Write the rows of documents as a part, or as a `failed` file if they could not be fetched."""
        fs, folder = self._fs()
        if self.file_format == "parquet":
            data = _parquet(rows, self.words)
        else:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            data = text.encode("utf-8", "backslashreplace")
        _write_whole(fs, f"{folder}/{self._name(_FAILED if failed else _DONE, chunk)}", data)

    def _fs(self) -> tuple[Any, str]:
        try:
            fs, folder = url_to_fs(self.url)
        except (ImportError, ValueError) as error:  # the package for the store is missing, or the protocol is unknown
            raise UserError(f"cannot write {printable(self.url)}: {first_line(error)}") from error
        return fs, folder.rstrip("/")

    def _name(self, kind: str, chunk: Sequence[Document]) -> str:
        text = "\n".join(f"{document.source}\t{document.row}\t{document.stamp}" for document in chunk)
        digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        return f"{kind}{digest}.{self.file_format}"

    def _names(self, kind: str) -> list[str]:
        fs, folder = self._fs()
        fs.invalidate_cache(folder)
        names = [path.rpartition("/")[2] for path in fs.ls(folder, detail=False)]
        return sorted(name for name in names if name.startswith(kind) and name.endswith(f".{self.file_format}"))

    def _rows(self, name: str, columns: list[str] | None) -> Iterable[dict[str, Any]]:
        fs, folder = self._fs()
        if self.file_format == "jsonl":
            return (json.loads(row) for row in fs.cat_file(f"{folder}/{name}").splitlines())
        import pyarrow.parquet

        with fs.open(f"{folder}/{name}", "rb") as file:
            # Arrow's threads may abort or hang the process when it exits soon afterwards (apache/arrow #34314, #50482).
            return pyarrow.parquet.ParquetFile(file).read(columns, use_threads=False).to_pylist()


def row_of(page: Page, document: Document, *, key: str, page_count: int = 1, words: bool = False) -> dict[str, Any]:
    """Return the row of a page.

    Args:
        page: The recognized page.
        document: Its document.
        key: Digest of the document's content; "" if it could not be fetched.
        page_count: Number of pages of the document.
        words: Whether to include the words of the lines.
    """
    values = page.to_dict(words=words)
    return {
        **values,
        "image": name_of(document),
        "page_count": page_count,
        "text": page.text,
        "warnings": list(page.warnings),
        "error": page.error,
        "key": key,
        "stamp": document.stamp,
    }


def name_of(document: Document) -> str:
    """Return the name of a document in its rows: the source, with invalid UTF-8 escaped, and #ROW of a Parquet row."""
    name = document.source.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return name if document.row < 0 else f"{name}#{document.row}"


def _parquet(rows: Sequence[dict[str, Any]], words: bool) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet

    quad = ("quad", pa.list_(pa.list_(pa.float32())))
    char = pa.struct([("text", pa.string()), quad, ("confidence", pa.float32())])
    word = pa.struct([("text", pa.string()), quad, ("confidence", pa.float32()), ("chars", pa.list_(char))])
    line = [("text", pa.string()), quad, ("confidence", pa.float32())]
    line += [("detection_score", pa.float32()), ("angle", pa.int16())]
    if words:
        line.append(("words", pa.list_(word)))
    schema = pa.schema(
        [
            ("schema", pa.int16()),
            *((name, pa.string()) for name in ("image", "key", "stamp", "text", "error")),
            *((name, pa.int32()) for name in ("page", "page_count", "width", "height", "rotation")),
            ("warnings", pa.list_(pa.string())),
            ("lines", pa.list_(pa.struct(line))),
        ]
    )
    out = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), schema=schema)
    pyarrow.parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _write_whole(fs: Any, path: str, data: bytes) -> None:
    """Write a file atomically."""
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(path, data)  # object stores show a file only when it is complete
        return
    scratch = Path(path).with_name(f".{uuid.uuid4().hex}")  # unique, because two workers may write the same part
    try:
        scratch.write_bytes(data)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
