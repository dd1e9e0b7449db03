"""Model folder: `model.json` and the network files that it names, all that is needed to recognize text.

    model.json          metadata, read and written by this module
    det.onnx            text detector          (1 network input, N 3 H W -> probability map N H W)
    cls.onnx            direction classifier   (optional; N 3 48 192 -> N 2)
    rec.onnx            text recognizer        (N 3 32 W -> N T K)
    language.npz        language model of characters (optional; `ppocr_jax.language_model`)
    *.safetensors       the same weights for fine-tuning and for the JAX backend (optional)

The ONNX files contain their charset and normalization, too, so that a single file is usable. If both exist, they must
agree.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ppocr_jax.charset import BLANK, Charset, fit_dictionary, load_letters, read_dictionary
from ppocr_jax.errors import UserError
from ppocr_jax.geometry import CROP_GROWTH, CropGrowth
from ppocr_jax.inference.db_postprocess import DBOptions
from ppocr_jax.inference.released import RELEASES, find_release
from ppocr_jax.onnx_graph.messages import read_header
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION, LINE_NORMALIZATION, Normalization

SCHEMA_VERSION = 1
METADATA_FILE, LANGUAGE_FILE = "model.json", "language.npz"
_MOST_SHOWN = 20  # characters listed in a message
BUILTIN_FOLDER = Path(__file__).resolve().parent.parent / "weights"


# Language codes of ISO 639, Tesseract, PaddleOCR and EasyOCR. Languages of Europe in Latin script:
_LATIN = """
bs bos br bre ca cat co cos cs ces da dan de deu german et est eu eus fo fao fi fin fr fra french fy fry ga gle gd gla
gl glg hr hrv hu hun is isl it ita la lat lb ltz lt lit lv lav nl nld no nor oc oci pl pol pt por ro ron rs_latin
sk slk sl slv es spa sq sqi srp_latn sv swe tr tur
"""
LANGUAGES: dict[str, str] = {
    **dict.fromkeys(["en", "eng", "english"], "en"),
    **dict.fromkeys(_LATIN.split(), "latin"),
    **dict.fromkeys(["ch", "ch_sim", "chi_sim", "chinese", "zh", "zho", "ch_tra", "chi_tra", "chinese_cht"], "ch"),
    **dict.fromkeys(["ja", "jpn", "japan"], "ppocr-v3-japan"),
}
"""Language code -> the model that reads it. All of them also read English."""

_logger = logging.getLogger(__name__)


class ModelError(UserError, ValueError):
    """Error for a model folder that is missing, incomplete or inconsistent."""


@dataclass(frozen=True)
class NetworkSpec:
    """Files of one network, relative to the folder, and the arguments of `ppocr_jax.models.build_model` for it.

    Attributes:
        task: "det", "cls" or "rec".
        output: Name of the Flax network's output to use.
        onnx: File for ONNX Runtime, or None.
        safetensors: File of weights for the JAX backend and fine-tuning, or None.
        network: Builder name, such as "db_mobilenet_v3".
        options: Keyword arguments of the builder.
    """

    task: ClassVar[str]
    output: ClassVar[str]
    onnx: str | None = None
    safetensors: str | None = None
    network: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectorSpec(NetworkSpec):
    """Detector: rule for the input size (`preprocess.detector_size`), normalization, and DB thresholds.

    `size`: fixed input size (height, width) in pixels, or None. Images are squeezed into it.
    """

    task: ClassVar[str] = "det"
    output: ClassVar[str] = "probability"
    normalization: Normalization = DETECTOR_NORMALIZATION
    limit_side: int = 960
    limit_type: str = "max"
    postprocess: DBOptions = field(default_factory=DBOptions)
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class ClassifierSpec(NetworkSpec):
    """Direction classifier: input size in pixels, classes in order, and probability above which a crop is rotated.

    `long_lines`: how to process lines longer than the input. "squeeze" them to its width (PaddleOCR), or classify up to
    three "windows" of them (`preprocess.line_windows`), in which letters keep their shapes.
    """

    task: ClassVar[str] = "cls"
    output: ClassVar[str] = "probabilities"
    normalization: Normalization = LINE_NORMALIZATION
    height: int = 48
    width: int = 192
    labels: tuple[str, ...] = ("0", "180")
    threshold: float = 0.9
    long_lines: str = "squeeze"


@dataclass(frozen=True)
class RecognizerSpec(NetworkSpec):
    """Recognizer: input height, least width of a batch, and least padding beyond the widest line, in pixels.

    `width`: fixed input width, or None. Longer lines are recognized in windows.
    `growth`: margins of crops around the boxes, as in training.
    `put_spaces`: insert spaces that the recognizer leaves out (`decode.put_spaces`).
    `heights`: heights to choose from by the output (`backends.line_height`), instead of `height`, if the file does not
    contain the height.
    """

    task: ClassVar[str] = "rec"
    output: ClassVar[str] = "probabilities"
    normalization: Normalization = LINE_NORMALIZATION
    height: int = 32
    min_width: int = 320
    margin: int = 0
    width: int | None = None
    heights: tuple[int, ...] = ()
    growth: CropGrowth = CROP_GROWTH
    put_spaces: bool = False


FOREIGN_RECOGNIZER: dict[str, Any] = {"min_width": 64, "margin": 32, "put_spaces": True}
"""Settings for PP-OCR's recognizers, which leave out spaces. PaddleOCR pads every line to 320 pixels. Measured with v4
on 510 lines of receipts: padding of 32 pixels is as accurate (.818 against .812) with a fifth less computation; without
padding the accuracy is .79."""

SPECS: dict[str, type[NetworkSpec]] = {spec.task: spec for spec in (DetectorSpec, ClassifierSpec, RecognizerSpec)}
"""Task -> class of the description of its network."""
TASKS = tuple(SPECS)


@dataclass(frozen=True)
class ModelFolder:
    """Contents of `model.json`.

    Attributes:
        path: Folder of the files.
        name, version: Name and version of the weights.
        charset: Characters of the recognizer.
        det, cls, rec: Networks. A folder may lack some of them.
        language: File of the language model, relative to the folder, or None.
        provenance: Free-form information: data, commands, dates, scores.
    """

    path: Path
    name: str
    version: str
    charset: Charset
    det: DetectorSpec | None = None
    cls: ClassifierSpec | None = None
    rec: RecognizerSpec | None = None
    language: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, task: str) -> Any:
        """Return the description of the network of a task ("det", "cls" or "rec").

        Raises:
            ModelError: If the folder has no such network.
        """
        spec = getattr(self, task)
        if spec is None:
            raise ModelError(f"model {self.name!r} ({self.path}) has no {task!r} network")
        return spec

    def file(self, task: str, kind: str) -> Path:
        """Return the path of a network's file. `kind` is "onnx" or "safetensors".

        Raises:
            ModelError: If the folder has no such file.
        """
        name = getattr(self.spec(task), kind)
        if name is None:
            raise ModelError(f"model {self.name!r} ({self.path}) has no {kind} file for {task!r}")
        return self.path / name

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of `model.json` as plain types."""
        networks = {task: asdict(getattr(self, task)) for task in TASKS if getattr(self, task) is not None}
        return {
            "schema": SCHEMA_VERSION,
            "name": self.name,
            "version": self.version,
            "charset": list(self.charset.characters),
            **networks,
            **({"language": self.language} if self.language is not None else {}),
            "provenance": dict(self.provenance),
        }

    def check_embedded(self, task: str, metadata: Mapping[str, str]) -> None:
        """Check that the metadata of an ONNX file agree with this folder.

        Args:
            task: "det", "cls" or "rec".
            metadata: Key-value pairs of the file, from `OnnxBackend.header`. Missing keys are not checked.

        Raises:
            ModelError: If the file was made for another task, charset or normalization.
        """
        normalization = json.loads(json.dumps(self.spec(task).normalization.to_dict()))  # lists, as in the file
        expected = {"task": task, "normalization": normalization}
        if task == "rec":
            expected["charset"] = list(self.charset.characters)
        for key, value in expected.items():
            if key in metadata and _embedded(metadata[key]) != value:
                raise ModelError(
                    f"{self.spec(task).onnx} and {METADATA_FILE} in {self.path} disagree on {key!r}: "
                    "they do not belong together; export the model again"
                )


def cut_letters(model: ModelFolder, letters: str | Path | Iterable[str]) -> tuple[ModelFolder, tuple[int, ...]]:
    """Return a model that recognizes only some characters, and the remaining classes of its recognizer.

    Without a space among them, no spaces are inserted either (`RecognizerSpec.put_spaces`).

    Args:
        model: A model with a recognizer.
        letters: See `charset.load_letters`. Characters that the model does not know are logged in a warning.

    Raises:
        ModelError: If the model has no recognizer, or knows none of the characters, or only spaces.
        LettersError: See `charset.load_letters`.
    """
    spec, wanted = model.spec("rec"), load_letters(letters)
    classes = model.charset.classes_of(frozenset(wanted))
    unknown = [letter for letter in wanted if letter not in model.charset]
    kept = Charset(tuple(model.charset.characters[i - 1] for i in classes if i != BLANK))
    if not "".join(kept.characters).strip():
        raise ModelError(
            f"model {model.name!r} reads none of the requested characters" + (" but spaces" if kept.characters else "")
        )
    if unknown:
        shown = repr("".join(unknown[:_MOST_SHOWN])) + (" ..." if len(unknown) > _MOST_SHOWN else "")
        _logger.warning("model %r does not read %d of the requested characters: %s", model.name, len(unknown), shown)
    return replace(model, charset=kept, rec=replace(spec, put_spaces=spec.put_spaces and " " in kept)), classes


def with_language_of(model: ModelFolder, other: ModelFolder) -> ModelFolder:
    """Return a model with the language model of another, whose file is copied into its folder; if there is none, as is.

    Raises:
        OSError: If the file cannot be copied.
    """
    if other.language is None:
        return model
    shutil.copyfile(other.path / other.language, model.path / LANGUAGE_FILE)
    return replace(model, language=LANGUAGE_FILE)


def builtin_models() -> tuple[str, ...]:
    """Return the names of the models in the package."""
    return tuple(sorted(path.parent.name for path in BUILTIN_FOLDER.glob(f"*/{METADATA_FILE}")))


def load_model_folder(name_or_folder: str | Path) -> ModelFolder:
    """Load a built-in model by name, a PP-OCR release by name ("ppocr-v4"), or a model folder by path.

    The name may also be a language or several: "fra", "de+en" (see `LANGUAGES`).

    Raises:
        ModelError: If there is no such model, `model.json` is invalid, or a file that it names is missing.
        ReleaseError: If the files of a PP-OCR release are not installed.
    """
    name = str(name_or_folder)
    if name not in builtin_models() and not (Path(name) / METADATA_FILE).is_file():
        name = model_for_languages(name.split("+")) or name
    if name in RELEASES:
        return _released(name)
    folder = _find(name)
    path = folder / METADATA_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    model = _parse(folder, values, path)
    for task in TASKS:
        spec = getattr(model, task)
        _check_files(model, (spec.onnx, spec.safetensors) if spec is not None else ())
    _check_files(model, (model.language,))
    return model


def model_for_languages(names: Iterable[str]) -> str | None:
    """Return the name of a model that reads all these languages, or None if there is none."""
    models = {LANGUAGES.get(name) for name in names}
    if len(models) > 1:
        models.discard("en")
    return models.pop() if len(models) == 1 else None


def _released(name: str) -> ModelFolder:
    """Return the description of a PP-OCR release.

    Raises:
        ReleaseError: If its files are not installed.
    """
    release, files = RELEASES[name], find_release(name)
    if "dictionary" in files:
        lines = read_dictionary(files["dictionary"])
    else:
        lines = read_header(files["rec"]).metadata["character"].split("\n")
    charset, _ = fit_dictionary(lines, release.num_classes, files.get("dictionary", files["rec"]))
    return ModelFolder(
        files["rec"].parent,
        name,
        release.rec.package.partition("==")[2],
        charset,
        det=DetectorSpec(onnx=str(files["det"]), postprocess=DBOptions(**release.thresholds)),
        cls=ClassifierSpec(onnx=str(files["cls"])) if "cls" in files else None,
        rec=RecognizerSpec(onnx=str(files["rec"]), height=release.height, **FOREIGN_RECOGNIZER),
        provenance={role: {"from": file.package, "sha256": file.sha256} for role, file in release.files.items()},
    )


def write_model_json(model: ModelFolder) -> Path:
    """Write `model.json` into the model's folder, which is created if necessary. Return the path of the file."""
    model.path.mkdir(parents=True, exist_ok=True)
    path = model.path / METADATA_FILE
    path.write_text(json.dumps(model.to_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def _find(name_or_folder: str | Path) -> Path:
    if str(name_or_folder) in builtin_models():
        return BUILTIN_FOLDER / str(name_or_folder)
    folder = Path(name_or_folder).absolute()
    if (folder / METADATA_FILE).is_file():
        return folder
    if folder.is_dir():
        raise ModelError(f"{folder} is not a model folder: it contains no {METADATA_FILE}")
    names = ", ".join(builtin_models()) or "none"
    raise ModelError(
        f"no model {str(name_or_folder)!r}: not a folder, a built-in model ({names}), a released model "
        f"({', '.join(RELEASES)}) or languages that a built-in model reads, such as fra+eng"
    )


def _parse(folder: Path, values: Any, path: Path) -> ModelFolder:
    schema = values.get("schema") if isinstance(values, dict) else None
    if not isinstance(schema, int):
        raise ModelError(f'{path} is not a model description: it has no "schema" number')
    if schema > SCHEMA_VERSION:
        raise ModelError(f"{path} has schema {schema}, newer than {SCHEMA_VERSION}; update ppocr_jax")
    try:
        networks: dict[str, Any] = {t: parse_spec(SPECS[t], values[t]) for t in TASKS if t in values}
        charset = _parse_charset(folder, values["charset"])
        return ModelFolder(
            folder,
            values["name"],
            values["version"],
            charset,
            language=values.get("language"),
            provenance=values["provenance"],
            **networks,
        )
    except KeyError as error:
        raise ModelError(f"{path} lacks the entry {error}") from error
    except (TypeError, ValueError, OSError) as error:
        raise ModelError(f"{path} is not valid: {error}") from error


def _parse_charset(folder: Path, value: Any) -> Charset:
    """Return the charset from a list of characters, or from a file in the folder with one character per line."""
    return Charset.load(folder / value) if isinstance(value, str) else Charset(tuple(value))


_Spec = TypeVar("_Spec", bound=NetworkSpec)


def parse_spec(spec: type[_Spec], values: Mapping[str, Any]) -> _Spec:
    """Return a network's description from plain types, as in JSON.

    Raises:
        TypeError, ValueError: If an entry is unknown or has the wrong type.
    """
    unknown = set(values) - {f.name for f in fields(spec)}
    if unknown:
        raise ValueError(f"{spec.task!r} has unknown entries {sorted(unknown)}")
    values = dict(values)
    if "normalization" in values:
        values["normalization"] = Normalization.from_dict(values["normalization"])
    if "postprocess" in values:
        values["postprocess"] = DBOptions(**values["postprocess"])
    for name in ("labels", "size", "heights"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    if "growth" in values:
        values["growth"] = CropGrowth(*values["growth"])
    return spec(**values)


def _check_files(model: ModelFolder, names: Iterable[str | None]) -> None:
    for name in names:
        if name is not None and not (model.path / name).is_file():
            raise ModelError(f"{model.path / METADATA_FILE} names {name}, which is not in the folder")


def _embedded(text: str) -> Any:
    """Return a metadata value, which is JSON or plain text such as a task name."""
    try:
        return json.loads(text)
    except ValueError:
        return text
