"""A model folder: `model.json` and the network files it names. Everything needed to read text, and nothing else.

    model.json          what this module reads and writes
    det.onnx            text detector          (1 network input, N 3 H W -> probability map N H W)
    cls.onnx            direction classifier   (optional; N 3 48 192 -> N 2)
    rec.onnx            text recognizer        (N 3 32 W -> N T K)
    *.safetensors       the same weights for fine-tuning and for the JAX backend (optional)

The ONNX files carry their character set and normalization too, so that one alone is still usable; where both are
there they must agree.
"""

from __future__ import annotations

import json
import logging
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
_OLD_MOST = 1000  # candidates: what all folders said until 2026, and what hid the text at the top of full pages
METADATA_FILE = "model.json"
_MOST_SHOWN = 20  # letters of a message
BUILTIN_FOLDER = Path(__file__).resolve().parent.parent / "weights"


# Languages by the names that ISO 639, Tesseract, PaddleOCR and EasyOCR have for them. Those of Europe's Latin scripts:
_LATIN = """
bs bos br bre ca cat co cos cs ces da dan de deu german et est eu eus fo fao fi fin fr fra french fy fry ga gle gd gla
gl glg hr hrv hu hun is isl it ita la lat lb ltz lt lit lv lav nl nld no nor oc oci pl pol pt por ro ron rs_latin
sk slk sl slv es spa sq sqi srp_latn sv swe tr tur
"""
LANGUAGES: dict[str, str] = {
    **dict.fromkeys(["en", "eng", "english"], "en"),
    **dict.fromkeys(_LATIN.split(), "latin"),
    **dict.fromkeys(["ch", "ch_sim", "chi_sim", "chinese", "zh", "zho"], "ch"),
    **dict.fromkeys(["ch_tra", "chi_tra", "chinese_cht"], "ppocr-v3-cht"),
    **dict.fromkeys(["ja", "jpn", "japan"], "ppocr-v3-japan"),
}
"""Name of a language -> the model that reads it; all of them read English, too."""

_logger = logging.getLogger(__name__)


class ModelError(UserError, ValueError):
    """A model folder is missing, incomplete, or contradicts itself."""


@dataclass(frozen=True)
class NetworkSpec:
    """Files of one network, relative to the folder, and how `ppocr_jax.models.build_model` rebuilds it.

    Attributes:
        task: "det", "cls" or "rec"; output: which of the Flax network's outputs reading takes.
        onnx: file for ONNX Runtime, or None.
        safetensors: file of weights for the JAX backend and fine-tuning, or None.
        network: builder name, such as "db_mobilenet_v3"; options: its keyword arguments.
    """

    task: ClassVar[str]
    output: ClassVar[str]
    onnx: str | None = None
    safetensors: str | None = None
    network: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectorSpec(NetworkSpec):
    """The detector: image size rule (`preprocess.detector_size`), normalization, DB thresholds.

    `size`: (height, width) in pixels of a network that takes no other; images are squeezed into it.
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
    """The direction classifier: input size in pixels, its classes in order, and how sure it must be to turn a crop.

    `long_lines`: "squeeze" a line that is too long into the width (PaddleOCR), or look at up to three "windows" of it
    (`preprocess.line_windows`), where the letters keep their shapes.
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
    """The recognizer: input height, least width of a batch, and its least margin beyond the widest line, in pixels.

    `width`: of a network that takes no other; longer lines are read through windows.
    `growth`: of the boxes before lines are cut out, as in its training.
    `put_spaces`: put spaces back that it leaves out (`decode.put_spaces`).
    `heights`: instead of `height`, that of these which its output tells (`backends.line_height`), where its file does
    not say.
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
"""What recognizers of PP-OCR need, which leave out spaces. PaddleOCR pads every line to 320 pixels. Measured with v4 on
510 lines of receipts, a margin of 32 reads as well (.818 against .812) with a fifth less to compute; without, .79."""

SPECS: dict[str, type[NetworkSpec]] = {spec.task: spec for spec in (DetectorSpec, ClassifierSpec, RecognizerSpec)}
"""Task -> description of its network."""
TASKS = tuple(SPECS)


@dataclass(frozen=True)
class ModelFolder:
    """What `model.json` says.

    Attributes:
        path: where the files lie.
        name, version: of the weights.
        charset: the recognizer's characters.
        det, cls, rec: the networks; a folder need not hold all of them.
        provenance: free-form: data, commands, dates, scores.
    """

    path: Path
    name: str
    version: str
    charset: Charset
    det: DetectorSpec | None = None
    cls: ClassifierSpec | None = None
    rec: RecognizerSpec | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, task: str) -> Any:
        """Return the network of a task ("det", "cls" or "rec").

        Raises:
            ModelError: the folder holds no such network.
        """
        spec = getattr(self, task)
        if spec is None:
            raise ModelError(f"model {self.name!r} ({self.path}) has no {task!r} network")
        return spec

    def file(self, task: str, kind: str) -> Path:
        """Return the path of a network's file; `kind` is "onnx" or "safetensors".

        Raises:
            ModelError: the folder holds no such file.
        """
        name = getattr(self.spec(task), kind)
        if name is None:
            raise ModelError(f"model {self.name!r} ({self.path}) has no {kind} file for {task!r}")
        return self.path / name

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `model.json`, in plain types."""
        networks = {task: asdict(getattr(self, task)) for task in TASKS if getattr(self, task) is not None}
        return {
            "schema": SCHEMA_VERSION,
            "name": self.name,
            "version": self.version,
            "charset": list(self.charset.characters),
            **networks,
            "provenance": dict(self.provenance),
        }

    def check_embedded(self, task: str, metadata: Mapping[str, str]) -> None:
        """Check that what an ONNX file says of itself agrees with this folder.

        Args:
            task: "det", "cls" or "rec".
            metadata: the file's key-value pairs, as `OnnxBackend.header` has them; absent keys are not checked.

        Raises:
            ModelError: the file was made for another task, character set or normalization.
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
    """Return a model that reads some letters only, and the classes of its recognizer that are left.

    Without a space among them, none is put back either (`RecognizerSpec.put_spaces`).

    Args:
        model: any model with a recognizer.
        letters: see `charset.load_letters`. Those that it does not know are told of in a warning.

    Raises:
        ModelError: the model has no recognizer, or knows none of the letters.
        LettersError: see `charset.load_letters`.
    """
    spec, wanted = model.spec("rec"), load_letters(letters)
    classes = model.charset.classes_of(frozenset(wanted))
    unknown = [letter for letter in wanted if letter not in model.charset]
    if len(unknown) == len(wanted):
        raise ModelError(f"model {model.name!r} reads none of the requested characters")
    if unknown:
        shown = " ".join(unknown[:_MOST_SHOWN]) + (" ..." if len(unknown) > _MOST_SHOWN else "")
        _logger.warning("model %r does not read %d of the requested characters: %s", model.name, len(unknown), shown)
    kept = Charset(tuple(model.charset.characters[i - 1] for i in classes if i != BLANK))
    return replace(model, charset=kept, rec=replace(spec, put_spaces=spec.put_spaces and " " in kept)), classes


def builtin_models() -> tuple[str, ...]:
    """Return the names of the models that come with the package."""
    return tuple(sorted(path.parent.name for path in BUILTIN_FOLDER.glob(f"*/{METADATA_FILE}")))


def load_model_folder(name_or_folder: str | Path) -> ModelFolder:
    """Read a built-in model by its name, one that PP-OCR has released ("ppocr-v4"), or a model folder by its path.

    A name may also be that of a language, or of several: "fra", "de+en" (see `LANGUAGES`).

    Raises:
        ModelError: there is no such model, `model.json` is not valid, or a file it names is missing.
        ReleaseError: the files of the released model are not installed.
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
        _check_files(model, task)
    return model


def model_for_languages(names: Iterable[str]) -> str | None:
    """Return the name of the model that reads all these languages; None where one is not known or no model does."""
    models = {LANGUAGES.get(name) for name in names}
    if len(models) > 1:
        models.discard("en")
    return models.pop() if len(models) == 1 else None


def _released(name: str) -> ModelFolder:
    """Return a description of networks in the files of others.

    Raises:
        ReleaseError: they are not installed.
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
    """Write `model.json` into its folder, made where it does not exist; return the file's path."""
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
            folder, values["name"], values["version"], charset, provenance=values["provenance"], **networks
        )
    except KeyError as error:
        raise ModelError(f"{path} lacks the entry {error}") from error
    except (TypeError, ValueError, OSError) as error:
        raise ModelError(f"{path} is not valid: {error}") from error


def _parse_charset(folder: Path, value: Any) -> Charset:
    """Return a list of characters, or the name of a file in the folder with one character per line."""
    return Charset.load(folder / value) if isinstance(value, str) else Charset(tuple(value))


_Spec = TypeVar("_Spec", bound=NetworkSpec)


def parse_spec(spec: type[_Spec], values: Mapping[str, Any]) -> _Spec:
    """Return a network's description from plain types, as JSON has them.

    Raises:
        TypeError, ValueError: an entry is unknown or of the wrong kind.
    """
    unknown = set(values) - {f.name for f in fields(spec)}
    if unknown:
        raise ValueError(f"{spec.task!r} has unknown entries {sorted(unknown)}")
    values = dict(values)
    if "normalization" in values:
        values["normalization"] = Normalization.from_dict(values["normalization"])
    if "postprocess" in values:
        postprocess = dict(values["postprocess"])
        if postprocess.get("max_candidates") == _OLD_MOST:
            del postprocess["max_candidates"]
        values["postprocess"] = DBOptions(**postprocess)
    for name in ("labels", "size", "heights"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    if "growth" in values:
        values["growth"] = CropGrowth(*values["growth"])
    return spec(**values)


def _check_files(model: ModelFolder, task: str) -> None:
    spec = getattr(model, task)
    for name in (spec.onnx, spec.safetensors) if spec is not None else ():
        if name is not None and not (model.path / name).is_file():
            raise ModelError(f"{model.path / METADATA_FILE} names {name}, which is not in the folder")


def _embedded(text: str) -> Any:
    """Return an embedded value: JSON, or plain text such as a task name."""
    try:
        return json.loads(text)
    except ValueError:
        return text
