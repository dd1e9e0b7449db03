"""Recognition labels and images in LMDB databases, as in PaddleOCR and the text recognition benchmarks.

Keys: `num-samples` (decimal), `image-%09d` (bytes of an image file) and `label-%09d` (UTF-8), numbered from 1. A
folder may contain several databases, each in its own folder. Requires the package `lmdb`.

The image path of a record is the database's folder and the image's key, `DATABASE/image-000000001`, as if it were a
file. Records thus stay plain values, and `data.images.load_record_image` opens both kinds.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.data.labels.bad_entries import BadEntries, warn_of_skipped
from ppocr_jax.data.labels.records import LabelError, RecognitionRecord
from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageError, load_image

if TYPE_CHECKING:
    import lmdb

logger = logging.getLogger("ppocr_jax")

DATA_FILE = "data.mdb"
_COUNT_KEY = b"num-samples"
_IMAGE_NAME = re.compile(r"image-\d{9}")
_FIRST_MAP_SIZE = 64 * 2**20
_IMAGES_PER_COMMIT = 1000

_open_databases: dict[tuple[int, Path], lmdb.Environment] = {}
_open_lock = threading.Lock()


def find_databases(path: Path) -> list[Path]:
    """Return the sorted folders of the databases in a folder, including its subfolders."""
    return sorted(file.parent for file in path.rglob(DATA_FILE))


def read(path: Path, image_root: Path | None, bad: BadEntries) -> list[RecognitionRecord]:
    """Read the labels of all databases in a folder, including its subfolders; the images are not decoded.

    Args:
        path: A database's folder, its `data.mdb`, or a folder of databases.
        image_root: Must be None, because databases contain their images.
        bad: Collects records without a label or an image, and labels that are empty or not UTF-8.

    Raises:
        LabelError: There is no database, or one cannot be opened; `image_root` is given; a bad record, when strict.
        UserError: The package lmdb is not installed.
    """
    if image_root is not None:
        raise LabelError(f"{path}: a database contains its images; omit the image folder")
    databases = find_databases(path.parent if path.name == DATA_FILE else path)
    if not databases:
        raise LabelError(f"{path}: no LMDB database ({DATA_FILE}) in this folder or below it")
    return [record for database in databases for record in _read_database(database, bad)]


def image_bytes(path: Path) -> bytes:
    """Return the bytes of a record's image file, from a folder or a database.

    Raises:
        ImageError: The image does not exist in the database.
        LabelError: The database cannot be opened.
        OSError: A file cannot be read.
    """
    if not is_database_path(path):
        return path.read_bytes()
    with _database(path.parent).begin() as transaction:
        data = transaction.get(path.name.encode())
    if not data:
        raise ImageError(f"{path}: the database has no such image, or an empty one")
    return bytes(data)


def is_database_path(path: Path) -> bool:
    """Return whether an image path has the form of an image in an existing database."""
    return _IMAGE_NAME.fullmatch(path.name) is not None and (path.parent / DATA_FILE).is_file()


def write(path: Path, records: Iterable[RecognitionRecord], image_root: Path | None) -> None:
    """Write a database; see `build_lmdb`. `image_root` is not used, because the database contains the images."""
    del image_root
    build_lmdb(path, records)


def build_lmdb(path: str | os.PathLike[str], records: Iterable[RecognitionRecord], *, strict: bool = True) -> int:
    """Write records and their image files, byte for byte, into a new database.

    The number of records is written last, so that an incomplete database is not read as a complete one.

    Args:
        path: Folder of the database; empty or new.
        records: Records to write.
        strict: Raise at the first image that cannot be read. Otherwise leave it out with a warning.

    Returns:
        Number of records written.

    Raises:
        LabelError: The folder is not empty; a text is empty or an image cannot be read, when `strict`.
        UserError: The package lmdb is not installed, or the database cannot be written.
    """
    path, bad, written = Path(path), BadEntries(strict=strict), 0
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise LabelError(f"{path} is not an empty folder; choose a new or empty one")
    lmdb = _import_lmdb()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with lmdb.open(str(path), map_size=_FIRST_MAP_SIZE) as database:
            batch: list[tuple[bytes, bytes]] = []
            for image, label in _checked_pairs(path, records, bad):
                written += 1
                batch += [(_image_key(written), image), (_label_key(written), label)]
                if len(batch) >= 2 * _IMAGES_PER_COMMIT:
                    _put(database, batch)
                    batch = []
            _put(database, [*batch, (_COUNT_KEY, str(written).encode())])
    except (lmdb.Error, OSError) as error:
        raise UserError(f"cannot write the database {path}: {error}") from error
    warn_of_skipped(path, len(bad.found), written, unit="images")
    return written


def _read_database(path: Path, bad: BadEntries) -> list[RecognitionRecord]:
    before = len(bad.found)
    records: list[RecognitionRecord] = []
    with _database(path).begin(buffers=True) as transaction:
        count = _count(path, transaction)
        for number in range(1, count + 1):
            with bad.guard(path, None, skipped="record"):
                records.append(_record(path, number, transaction))
        with bad.guard(path, None, skipped="rest"):
            if transaction.get(_image_key(count + 1)):
                raise ValueError(f"num-samples is {count}, but there are more records")
    warn_of_skipped(path, len(bad.found) - before, len(records), unit="records")
    return records


def _count(path: Path, transaction: lmdb.Transaction) -> int:
    value = bytes(transaction.get(_COUNT_KEY) or b"")
    if not value.isdigit():
        raise LabelError(
            f"{path}: the key num-samples is missing or not a number: not a label database, or an incomplete one"
        )
    return int(value)


def _record(path: Path, number: int, transaction: lmdb.Transaction) -> RecognitionRecord:
    label = transaction.get(_label_key(number))
    if not label:
        raise ValueError(f"record {number}: the label is {'missing' if label is None else 'empty'}")
    key = _image_key(number)
    if not transaction.get(key):
        raise ValueError(f"record {number}: the image is missing or empty")
    try:
        return RecognitionRecord(path / key.decode(), bytes(label).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"record {number}: the label is not UTF-8") from error


def _database(path: Path) -> lmdb.Environment:
    """Return the open database of a folder. LMDB forbids opening one twice in a process, or using it after a fork."""
    lmdb = _import_lmdb()
    key = (os.getpid(), path.resolve())
    with _open_lock:
        if key not in _open_databases:
            try:
                _open_databases[key] = lmdb.open(
                    str(key[1]), readonly=True, lock=False, readahead=False, meminit=False, max_spare_txns=16
                )
            except lmdb.Error as error:
                raise LabelError(f"cannot open the database {path}: {error}") from error
        return _open_databases[key]


def _import_lmdb():
    try:
        import lmdb
    except ModuleNotFoundError as error:
        raise UserError('LMDB databases need the package lmdb: pip install "ppocr-jax[lmdb]"') from error
    return lmdb


def _checked_pairs(path: Path, records: Iterable[RecognitionRecord], bad: BadEntries) -> Iterator[tuple[bytes, bytes]]:
    """Yield image and label of each record whose image can be decoded."""
    for record in records:
        image, pair = record.image_path, None
        with bad.guard(path, None, skipped="image"):
            if not record.text:
                raise ValueError(f"{image}: the text is empty")
            # Decode the image, so that images that training cannot read are not stored.
            load_image(image_bytes(image) if is_database_path(image) else image)
            pair = image_bytes(image), record.text.encode()
        if pair is not None:
            yield pair


def _image_key(number: int) -> bytes:
    return f"image-{number:09d}".encode()


def _label_key(number: int) -> bytes:
    return f"label-{number:09d}".encode()


def _put(database: lmdb.Environment, items: list[tuple[bytes, bytes]]) -> None:
    """Write the items in one transaction, and enlarge the map if they do not fit."""
    import lmdb

    while True:
        try:
            with database.begin(write=True) as transaction:
                for key, value in items:
                    transaction.put(key, value)
                return
        except lmdb.MapFullError:
            database.set_mapsize(2 * database.info()["map_size"])
