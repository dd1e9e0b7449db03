"""Writes programs as Paddle 3 does, by its schema.h and serialize_utils.h, as no package has a genuine one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Paddle 2's operator -> Paddle 3's operation and, in the order of its ops.yaml, its inputs: roles of Paddle 2's inputs,
# "=name": an attribute of Paddle 2 that became an input made by an operation, "0": none.
OPERATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "assign": ("assign", ("X",)),
    "batch_norm": ("batch_norm_", ("X", "Mean", "Variance", "Scale", "Bias")),
    "concat": ("concat", ("*X", "=axis")),
    "conv2d": ("conv2d", ("Input", "Filter")),
    "conv2d_transpose": ("conv2d_transpose", ("Input", "Filter", "=output_size")),
    "depthwise_conv2d": ("depthwise_conv2d", ("Input", "Filter")),
    "dropout": ("dropout", ("X", "0", "=dropout_prob")),
    "elementwise_add": ("add", ("X", "Y")),
    "elementwise_mul": ("multiply", ("X", "Y")),
    "fetch": ("fetch", ("X",)),
    "flatten_contiguous_range": ("flatten", ("X",)),
    "hard_sigmoid": ("hardsigmoid", ("X",)),
    "hard_swish": ("hardswish", ("X",)),
    "layer_norm": ("layer_norm", ("X", "Scale", "Bias")),
    "matmul_v2": ("matmul", ("X", "Y")),
    "nearest_interp_v2": ("nearest_interp", ("X", "0", "0", "0")),
    "pool2d": ("pool2d", ("X", "=ksize")),
    "relu": ("relu_", ("X",)),
    "reshape2": ("reshape", ("X", "=shape")),
    "rnn": ("rnn", ("Input", "*PreState", "*WeightList", "0", "0")),
    "scale": ("scale_", ("X", "=scale")),
    "shape": ("shape64", ("Input",)),
    "sigmoid": ("sigmoid", ("X",)),
    "slice": ("slice", ("Input", "=starts", "=ends")),
    "softmax": ("softmax", ("X",)),
    "squeeze2": ("squeeze", ("X", "=axes")),
    "swish": ("swish", ("X",)),
    "transpose2": ("transpose", ("X",)),
}
RENAMED = {"trans_x": "transpose_x", "trans_y": "transpose_y", "dropout_implementation": "mode"}
ONE_NUMBER = ("axis", "dropout_prob", "scale")


def attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"#": "0.a_array", "D": [attribute(member) for member in value]}
    kind = {bool: "a_bool", int: "a_i32", float: "a_f32", str: "a_str"}[type(value)]
    return {"#": f"0.{kind}", "D": value}


class Writer:
    """Operations so far; values are numbered from 1."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], ranks: Mapping[str, int]) -> None:
        self.operations: list[dict[str, Any]] = []
        self.numbers: dict[str, int] = {}
        self.count = 0
        self.ranks = dict(ranks)
        for name in sorted(shapes):
            result = self._result(name, list(shapes[name]))
            self.operations.append({"#": "p", "A": [0, 1, 1, name], "O": result, "OA": [1, 0, 1]})

    def _result(self, name: str | None, sizes: list[int]) -> dict[str, Any]:
        self.count += 1
        if name is not None:
            self.numbers[name] = self.count
        return {"%": self.count, "TT": {"#": "0.t_dtensor", "D": [{"#": "0.t_f32"}, sizes, "NCHW", [], 0]}}

    def add(self, kind: str, inputs: Sequence[int], attributes: Mapping[str, Any], *outputs: str | None) -> int:
        """Write an operation; return the number of its first output."""
        results = [self._result(name, [-1] * self.ranks.get(name or "", 0)) for name in outputs]
        self.operations.append(
            {
                "#": kind,
                "A": [{"AT": attribute(value), "N": name} for name, value in attributes.items()],
                "I": [{"%": number} for number in inputs],
                "O": results,
                "OA": [{"AT": attribute([False]), "N": "stop_gradient"}],
            }
        )
        return results[0]["%"] if results else 0

    def constant(self, value: Any, *, one: bool) -> int:
        if one:
            return self.add("1.full", [], {"shape": [1], "value": float(value), "dtype": "float32"}, None)
        return self.add("1.full_int_array", [], {"value": list(value), "dtype": "int64"}, None)

    def operator(self, old: str, inputs: Mapping[str, Sequence[str]], given: dict[str, Any], *outputs: str) -> None:
        """Write an operator of Paddle 2 as Paddle 3 has it."""
        if old == "feed":
            self.add("1.data", [], {"name": "x", "shape": [-1, 3, -1, -1], "dtype": "float32"}, *outputs)
            return
        if old == "fill_constant":
            self.numbers[outputs[0]] = self.constant(given["value"], one=True)
            return
        kind, roles = OPERATIONS[old]
        if old.startswith("elementwise") and given.get("axis", -1) == 1 and given["rank"] == 4:
            shape = self.constant([1, -1, 1, 1], one=False)  # of a bias of channels
            wide = f"{inputs['Y'][0]} with axes"
            self.add("1.reshape", [self.numbers[inputs["Y"][0]], shape], {}, wide)
            inputs = {**inputs, "Y": [wide]}
        values = [self._input(role, inputs, given) for role in roles]
        moved = {role[1:] for role in roles if role.startswith("=")}
        kept = {RENAMED.get(n, n): v for n, v in given.items() if n not in moved and v is not None and n != "rank"}
        if old == "transpose2":
            kept["perm"] = kept.pop("axis")
        extra = [None] * 5 if old == "batch_norm" else []
        self.add(f"1.{kind}", values, kept, *outputs, *extra)

    def _input(self, role: str, inputs: Mapping[str, Sequence[str]], given: Mapping[str, Any]) -> int:
        if role == "0":
            return 0
        if role == "=shape" and inputs.get("ShapeTensor"):
            parts = self.add("0.combine", [self.numbers[name] for name in inputs["ShapeTensor"]], {}, None)
            return self.add("1.stack", [parts], {"axis": 0}, None)
        if role.startswith("="):
            return self.constant(given[role[1:]], one=role[1:] in ONE_NUMBER)
        if role.startswith("*"):
            return self.add("0.combine", [self.numbers[name] for name in inputs[role[1:]]], {}, None)
        return self.numbers[inputs[role][0]]

    def program(self) -> bytes:
        block = {"#": "block_0", "args": [], "ops": self.operations}
        region = {"#": "region_0", "blocks": [block]}
        code = {"magic": "pir", "trainable": False, "version": 1}
        return json.dumps({"base_code": code, "program": {"regions": [region]}}).encode()


def parameters(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a .pdiparams file: versions, levels of detail, a description (type 5: float32; sizes), the numbers."""
    parts = []
    for name in sorted(arrays):
        array = arrays[name].astype("<f4")
        description = b"\x08\x05" + b"".join(b"\x10" + bytes([size]) for size in array.shape)  # sizes up to 127
        parts.append(bytes(16) + len(description).to_bytes(4, "little") + description + array.tobytes())
    return b"".join(parts)
