"""Parse Paddle inference models (.pdmodel or .json, and .pdiparams) into operators and arrays, without executing them.

`inference.pdmodel` is a protobuf message with the program: variables and operators by name. Paddle 3 writes the program
as `inference.json`. `inference.pdiparams` contains the arrays of the persistable variables, sorted by name, each after
its own header (Paddle's framework.proto and lod_tensor.cc).

The JSON has short keys (Paddle's serialize_deserialize/schema.h): "#" kind of an object, "%" number of a value, "I" and
"O" inputs and outputs of an operation, "A" its attributes with name "N" and value "AT", "D" contents, "TT" type.
Dialects are numbers, too: "0." builtin, "1." pd_op. A parameter is an operation "p" whose last attribute is its name.
Inputs are identified by position instead of by role as in Paddle 2, and sizes, axes and factors may be inputs computed
by operations. Both are converted to the form of Paddle 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppocr_jax.models.io import WeightsError

# Numeric data types of variables (VarType.Type).
_TYPES = {0: "bool", 1: "int16", 2: "int32", 3: "int64", 4: "float16", 5: "float32", 6: "float64"}
_MOST_NUMBERS = 1 << 31  # elements of a tensor; far more than in any supported network
_OPERATOR, _BUILTIN = "1.", "0."
_MAGIC = "pir"


class Operator(NamedTuple):
    """An operator of a program: names of its inputs and outputs by role, and its attributes.

    The added attribute "rank" is the number of axes of the input X.
    """

    type: str
    inputs: Mapping[str, Sequence[str]]
    outputs: Mapping[str, Sequence[str]]
    attributes: dict[str, Any]


def find_paddle_model(path: Path) -> tuple[Path, Path] | None:
    """Return the program and parameter files of an inference model; None if `path` is something else.

    Args:
        path: Folder of the model, or one of its files.

    Raises:
        WeightsError: One of the files is missing.
    """
    if not path.is_dir() and path.suffix not in (".pdmodel", ".pdiparams", ".json"):
        return None
    named = path / "inference.pdmodel" if path.is_dir() else path
    old, new, parameters = (named.with_suffix(suffix) for suffix in (".pdmodel", ".json", ".pdiparams"))
    program = new if path.suffix == ".json" or (new.is_file() and not old.is_file()) else old
    for file in (program, parameters):
        if not file.is_file():
            raise WeightsError(
                f"no {file}: a Paddle inference model consists of a .pdmodel or .json file and a .pdiparams file"
            )
    return program, parameters


def read_paddle_model(program: bytes, parameters: bytes) -> tuple[list[Operator], dict[str, np.ndarray]]:
    """Return the operators of an inference model in the form of Paddle 2, and the arrays by variable name.

    Args:
        program: Contents of the .pdmodel or .json file.
        parameters: Contents of the .pdiparams file.

    Raises:
        WeightsError: A file is invalid or incomplete, or an operation is not supported.
    """
    try:
        operators, persistable = (_json_program if program[:1] == b"{" else _message_program)(program)
        return operators, _parameters(parameters, sorted(persistable))
    except (IndexError, ValueError, KeyError, UnicodeDecodeError, OverflowError) as error:
        raise WeightsError(f"not a Paddle inference model, or an incomplete one ({type(error).__name__})") from error


def _message_program(data: bytes) -> tuple[list[Operator], list[str]]:
    """Return the operators of the first block, and the names of the stored variables."""
    block = _message(_message(data)[1][0])
    persistable, ranks = [], {}
    for raw in block.get(3, []):
        variable = _message(raw)
        form = _message(variable[2][0])
        kind = form[1][0]
        if 3 in form:
            tensor = _message(_message(form[3][0])[1][0])
            ranks[variable[1][0].decode()] = sum(1 for _ in _numbers(tensor.get(2, [])))
        if variable.get(3, [0])[0] and kind == 7:  # a tensor, not the list of inputs or outputs
            persistable.append(variable[1][0].decode())
    operators = [_operator(raw) for raw in block[4]]
    for operator in operators:
        operator.attributes["rank"] = ranks.get((operator.inputs.get("X") or [""])[0])
    return operators, persistable


def _operator(data: bytes) -> Operator:
    fields = _message(data)

    def roles(number: int) -> dict[str, list[str]]:
        parsed = [_message(raw) for raw in fields.get(number, [])]
        return {each[1][0].decode(): [name.decode() for name in each.get(2, [])] for each in parsed}

    attributes = dict(_attribute(_message(raw)) for raw in fields.get(4, []))
    return Operator(fields[3][0].decode(), roles(1), roles(2), attributes)


def _attribute(fields: Mapping[int, list[Any]]) -> tuple[str, Any]:
    """Return an attribute's name and value; the value is None unless it is made of numbers or text."""
    name, kind = fields[1][0].decode(), fields[2][0]
    readers: dict[int, tuple[int, Callable[[list[Any]], Any]]] = {
        0: (3, lambda v: _signed(v[0])),
        1: (4, lambda v: float(np.frombuffer(v[0], "<f4")[0])),
        2: (5, lambda v: v[0].decode(errors="replace")),
        3: (6, lambda v: [_signed(x) for x in _numbers(v)]),
        4: (7, lambda v: np.frombuffer(b"".join(v), "<f4").tolist()),
        6: (10, lambda v: bool(v[0])),
        9: (13, lambda v: _signed(v[0])),
        11: (15, lambda v: [_signed(x) for x in _numbers(v)]),
    }
    number, read = readers.get(kind, (0, lambda v: None))
    values = fields.get(number, [])
    return name, read(values) if values else ([] if kind in (3, 4, 11) else None)


def _signed(value: int) -> int:
    """Return the signed value of a 64-bit number in two's complement."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _numbers(values: list[Any]) -> Iterator[int]:
    """Yield the integers of a repeated field, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number


def _message(data: bytes) -> dict[int, list[Any]]:
    """Return the fields of a protobuf message by number: varints as integers, everything else as bytes."""
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        else:
            length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise ValueError("a field ends after its message")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) >= 128:
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
    return value | byte << shift, at + 1


def _parameters(data: bytes, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays of a .pdiparams file, which are stored without names.

    Format of each array: uint32 version, uint64 levels of detail, uint32 version, int32 size of the description, the
    description (data type, sizes), the elements.
    """
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for name in names:
        if np.frombuffer(data, "<u4", 1, at)[0] or np.frombuffer(data, "<u8", 1, at + 4)[0]:
            raise ValueError("a tensor of another version")
        size = int(np.frombuffer(data, "<i4", 1, at + 16)[0])
        at += 20
        if not 0 < size <= 1024:
            raise ValueError("a description of that size")
        description = _message(data[at : at + size])
        at += size
        dtype = np.dtype(_TYPES[description[1][0]]).newbyteorder("<")
        shape = tuple(_numbers(description.get(2, [])))
        count = int(np.prod(shape, dtype=object)) if shape else 1
        if count > _MOST_NUMBERS:
            raise ValueError("a tensor of that size")
        array = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += array.nbytes
        arrays[name] = array.astype(np.float32) if dtype.kind == "f" else array
    if at != len(data):
        raise ValueError("more than the program's variables")
    return arrays


class _Form(NamedTuple):
    """Form of an operation in Paddle 2.

    Attributes:
        type: Operator type.
        inputs: Roles of the inputs, in order; "@name": a constant that becomes the attribute `name`; "": ignored.
        output: Role of the first output, the only one that is used.
        renamed: Name of an attribute in Paddle 3 -> in Paddle 2.
    """

    type: str
    inputs: tuple[str, ...] = ("X",)
    output: str = "Out"
    renamed: Mapping[str, str] = {}


_CONV = ("Input", "Filter")
_TRANSPOSED = {"transpose_x": "trans_x", "transpose_y": "trans_y"}
_FORMS = {
    "add": _Form("elementwise_add", ("X", "Y")),
    "assign": _Form("assign"),
    "batch_norm": _Form("batch_norm", ("X", "Mean", "Variance", "Scale", "Bias"), "Y"),
    "concat": _Form("concat", ("X", "@axis")),
    "conv2d": _Form("conv2d", _CONV, "Output"),
    "conv2d_transpose": _Form("conv2d_transpose", (*_CONV, "@output_size"), "Output"),
    "depthwise_conv2d": _Form("depthwise_conv2d", _CONV, "Output"),
    "dropout": _Form("dropout", ("X", "", "@dropout_prob"), renamed={"mode": "dropout_implementation"}),
    "fetch": _Form("fetch"),
    "flatten": _Form("flatten_contiguous_range"),
    "hardsigmoid": _Form("hard_sigmoid"),
    "hardswish": _Form("hard_swish"),
    "layer_norm": _Form("layer_norm", ("X", "Scale", "Bias"), "Y"),
    "matmul": _Form("matmul_v2", ("X", "Y"), renamed=_TRANSPOSED),
    "multiply": _Form("elementwise_mul", ("X", "Y")),
    "nearest_interp": _Form("nearest_interp_v2", ("X", "", "", "")),
    "pool2d": _Form("pool2d", ("X", "@ksize")),
    "relu": _Form("relu"),
    "reshape": _Form("reshape2", ("X", "@shape")),
    "rnn": _Form("rnn", ("Input", "", "WeightList", "", "")),
    "scale": _Form("scale", ("X", "@scale")),
    "sigmoid": _Form("sigmoid"),
    "slice": _Form("slice", ("Input", "@starts", "@ends")),
    "softmax": _Form("softmax"),
    "squeeze": _Form("squeeze2", ("X", "@axes")),
    "swish": _Form("swish"),
    "transpose": _Form("transpose2", renamed={"perm": "axis"}),
    "unsqueeze": _Form("unsqueeze2", ("X", "@axes")),
}
"""Operation, without the final underscore of in-place operations -> its form in Paddle 2."""

# Operations on the sizes of other values, from which the shape of a `reshape` is computed.
_ON_SIZES = ("shape", "shape64", "slice", "stack", "combine", "cast", "full", "full_int_array", "assign_value")
_ONE_NUMBER = ("axis", "dropout_prob", "scale")
# Operations for the initial and final states of an LSTM. They are skipped; a later operation on their results fails.
_STATES = ("full_with_tensor", "full_batch_size_like", "split")


def _json_program(data: bytes) -> tuple[list[Operator], list[str]]:
    """Return the operators of a program in the form of Paddle 2, and the names of the stored variables.

    Raises:
        WeightsError: An operation is not supported.
        ValueError, KeyError, IndexError: The program is invalid or incomplete.
    """
    reader = _Reader()
    try:
        program = json.loads(data)
        if program["base_code"]["magic"] != _MAGIC:
            raise ValueError("another kind of JSON")
        (region,) = program["program"]["regions"]
        (block,) = region["blocks"]
        for operation in block["ops"]:
            reader.read(operation)
    except (TypeError, AttributeError, RecursionError) as error:  # JSON of another structure
        raise ValueError("another kind of JSON") from error
    return reader.operators, reader.parameters


class _Reader:
    """Reader of the operations of a program, one after another.

    Attributes:
        operators: Operators read so far.
        parameters: Names of the parameters read so far.
    """

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self.parameters: list[str] = []
        self._names: dict[int, list[str]] = {0: []}  # name of a value, or names of a combined value; 0: no value
        self._ranks: dict[str, int] = {}
        # Values that are sizes, axes or factors -> their numbers; None for numbers known only at run time.
        self._constants: dict[int, list[Any]] = {}

    def read(self, operation: Mapping[str, Any]) -> None:
        kind = operation["#"]
        if kind == "p":
            self._name(operation["O"], str(operation["A"][-1]))
            self.parameters.append(str(operation["A"][-1]))
            return
        kind = kind.removeprefix(_OPERATOR).removeprefix(_BUILTIN).rstrip("_")
        inputs = [value["%"] for value in operation["I"]]
        attributes = {entry["N"]: _value(entry["AT"]) for entry in operation.get("A", [])}
        outputs = operation["O"]
        if kind in _ON_SIZES and self._note_sizes(kind, inputs, attributes, outputs[0]["%"]):
            return
        if kind == "combine":
            self._names[outputs[0]["%"]] = [name for value in inputs for name in self._names[value]]
        elif kind == "data":
            name = self._name(outputs[0])
            self.operators.append(Operator("feed", {}, {"Out": [name]}, {}))
        elif kind in _STATES:
            self._names.update({value["%"]: [] for value in outputs})
        elif kind not in _FORMS:
            raise WeightsError(f"the model has an operation {str(kind)[:40]!r}, which is not supported")
        else:
            self.operators.append(self._operator(_FORMS[kind], inputs, attributes, outputs))

    def _operator(
        self, form: _Form, values: Sequence[int], attributes: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
    ) -> Operator:
        inputs: dict[str, list[str]] = {}
        given = {form.renamed.get(name, name): value for name, value in attributes.items()}
        for role, value in zip(form.inputs, values, strict=False):
            if role.startswith("@"):
                if value:
                    numbers = self._constants[value]
                    given[role[1:]] = numbers[0] if role[1:] in _ONE_NUMBER else numbers
            elif role:
                inputs[role] = self._names[value]
        if form.type == "reshape2":
            given["shape"] = _shape(given["shape"])
        outputs = {form.output: [self._name(results[0])]} if results else {}
        for value in results[1:]:
            self._name(value)
        given["rank"] = self._ranks.get((inputs.get("X") or [""])[0])
        return Operator(form.type, inputs, outputs, given)

    def _name(self, value: Mapping[str, Any], name: str | None = None) -> str:
        """Name an output, record its number of axes, and return the name."""
        name = name or f"value_{value['%']}"
        self._names[value["%"]] = [name]
        contents = value.get("TT", {}).get("D", [])
        if len(contents) > 1 and isinstance(contents[1], list):
            self._ranks[name] = len(contents[1])
        return name

    def _note_sizes(self, kind: str, inputs: Sequence[int], attributes: Mapping[str, Any], result: int) -> bool:
        """Record the result of an operation if it computes sizes; return whether it does."""
        constants = self._constants
        if kind in ("full", "full_int_array", "assign_value"):
            numbers = attributes.get("value", attributes.get("values"))
            constants[result] = list(numbers) if isinstance(numbers, list) else [numbers]
        elif kind in ("shape", "shape64"):
            constants[result] = [None] * self._ranks[self._names[inputs[0]][0]]
        elif not inputs or any(value not in constants for value in inputs):
            return False
        elif kind == "slice":
            (start,), (end,) = constants[inputs[1]], constants[inputs[2]]
            constants[result] = constants[inputs[0]][start:end]
        else:
            constants[result] = [number for value in inputs for number in constants[value]]
        return True


def _shape(sizes: Sequence[Any]) -> list[int]:
    """Return the shape of a `reshape`; an unknown size is kept (0) for the first axis and inferred (-1) for others."""
    return [(0 if axis == 0 else -1) if size is None else int(size) for axis, size in enumerate(sizes)]


def _value(attribute: Mapping[str, Any]) -> Any:
    """Return the value of an attribute: a number, text, or a list."""
    kind, contents = attribute["#"].partition(".")[2], attribute.get("D")
    readers: dict[str, Callable[[Any], Any]] = {
        "a_array": lambda members: [_value(member) for member in members],
        "a_scalar": lambda pair: pair[1],  # (type, value)
    }
    return readers.get(kind, lambda plain: plain)(contents)
