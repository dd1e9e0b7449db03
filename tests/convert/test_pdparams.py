"""Checkpoints are read in every layout that Paddle writes; what else a pickle may hold is refused, not executed."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.convert.pdparams import load_pdparams
from ppocr_jax.models.io import WeightsError
from tests.convert.checkpoints import NAMES, write_pdparams

TENSORS = {
    "backbone.conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "head.fc.bias": np.array([0.5, -1], np.float32),
}


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def assert_same(tensors, expected) -> None:
    assert tensors.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors[name], array, strict=True)


@pytest.mark.parametrize("layout", ["state_dict", "ordered", "tuples", "reduced"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_layouts(tmp_path, protocol, layout):
    path = write_pdparams(tmp_path / "a.pdparams", TENSORS, protocol=protocol, layout=layout)
    assert_same(load_pdparams(path), TENSORS)


def test_numpy_1_has_other_names(tmp_path):
    path = write_pdparams(tmp_path / "a.pdparams", TENSORS, protocol=2)
    data = path.read_bytes().replace(b"numpy._core.", b"numpy.core.")
    assert b"numpy.core.multiarray" in data
    path.write_bytes(data)
    assert_same(load_pdparams(path), TENSORS)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_all_kinds(tmp_path, protocol):
    arrays = {
        "columns": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
        "big endian": np.arange(3, dtype=">f4"),
        "half": np.array([1.5], np.float16),
        "count": np.array(7, np.int64),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "flags": np.array([True, False]),
    }
    expected = {name: np.asarray(array) for name, array in arrays.items()}
    expected["big endian"] = np.arange(3, dtype=np.float32)
    assert_same(load_pdparams(write(tmp_path / "a.pdparams", arrays, protocol)), expected)


def test_bfloat16_is_written_as_its_bits(tmp_path):
    values = np.array([1.0, -0.15625, 3e38, 0], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    (read,) = load_pdparams(write(tmp_path / "a.pdparams", {"weight": bits})).values()
    np.testing.assert_allclose(read, values, rtol=2**-7)
    assert read.dtype == np.float32
    assert read[1] == values[1]  # three bits of fraction are kept


def test_a_tensor_in_pieces(tmp_path):
    whole = TENSORS["backbone.conv.weight"]
    pieces = {f"big@@.{i}": part for i, part in enumerate(np.split(whole.ravel(), [10, 20]))}
    how = {"OriginShape": whole.shape, "slices": list(pieces)}
    content = {"bias": TENSORS["head.fc.bias"], **pieces, "UnpackBigParamInfor@@": {"big": how}, NAMES: {}}
    read = load_pdparams(write(tmp_path / "a.pdparams", content, 2))
    assert_same(read, {"bias": TENSORS["head.fc.bias"], "big": whole})


@pytest.mark.parametrize(
    "how", [None, {"big": None}, {"big": {"slices": ["missing"], "OriginShape": (1,)}}, {"big": {"slices": []}}]
)
def test_pieces_that_do_not_fit(tmp_path, how):
    path = write(tmp_path / "a.pdparams", {"bias": np.zeros(1), "UnpackBigParamInfor@@": how})
    with pytest.raises(WeightsError, match="in pieces that do not fit together"):
        load_pdparams(path)


def test_the_suffix_may_be_left_out(tmp_path):
    write_pdparams(tmp_path / "best_accuracy.pdparams", TENSORS)
    assert_same(load_pdparams(tmp_path / "best_accuracy"), TENSORS)
    assert_same(load_pdparams(str(tmp_path / "best_accuracy.pdparams")), TENSORS)


def message_of(path: Path) -> str:
    with pytest.raises(WeightsError) as error:
        load_pdparams(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


def test_files_that_are_none(tmp_path):
    assert "no weights file" in message_of(tmp_path / "missing.pdparams")
    assert "is a folder: pass the .pdparams file in it" in message_of(tmp_path)
    for name, hint in (
        ("inference.pdiparams", "an inference model"),
        ("best.pdopt", "an optimizer"),
        ("a.jpg", "converted from .pdparams, .onnx, .pdmodel and .json files"),
    ):
        path = tmp_path / name
        path.write_bytes(bytes(8) + b"\x03\x08\x05")
        message = message_of(path)
        assert "is not a .pdparams file" in message
        assert hint in message
        path.write_bytes(b"")
        assert "is not a .pdparams file" in message_of(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([np.zeros(1)], "not of tensors by name"),
        (np.zeros(1), "not of tensors by name"),
        ({1: np.zeros(1)}, "not of tensors by name"),
        ({}, "contains no tensors"),
        ({NAMES: {}}, "contains no tensors"),
        ({"LR_Scheduler": {"last_lr": 0.1}}, "holds 'LR_Scheduler', which is not an array"),
        ({"a": [np.zeros(1)]}, "holds 'a', which is not an array"),
        ({"a": ("name", ("name", np.zeros(1)))}, "holds 'a', which is not an array"),
        ({"a": np.ndarray}, "holds 'a', which is not an array"),
    ],
)
def test_pickles_of_something_else(tmp_path, content, message):
    assert message in message_of(write(tmp_path / "a.pdparams", content))


class Call:
    """Pickled as a call of a function: what a malicious file does."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def malicious(mark: Path) -> list[Call]:
    """Ways to make the file `mark`."""
    source = f"open({str(mark)!r}, 'w').close()"
    return [
        Call(os.system, f"touch {mark}"),
        Call(eval, source),
        Call(exec, source),
        Call(subprocess.check_call, ["touch", str(mark)]),
        Call(open, str(mark), "w"),
        Call(np.save, str(mark), np.zeros(1)),
    ]


def test_the_calls_do_what_they_say(tmp_path):
    for i, call in enumerate(malicious(tmp_path / "mark")):
        pickle.loads(pickle.dumps(call, 4))
        made = list(tmp_path.glob("mark*"))
        assert len(made) == 1, i
        made[0].unlink()


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["all", "value", "name of a tensor", "in a dict", "in an array"])
def test_calls_are_refused_and_not_made(tmp_path, protocol, place):
    for call in malicious(tmp_path / "mark"):
        content = {
            "all": call,
            "value": {**TENSORS, "head.fc.bias": call},
            "name of a tensor": {"a": (call, np.zeros(1))},
            "in a dict": {**TENSORS, NAMES: {"a": call}},
            "in an array": {"a": np.array([call], object)},
        }[place]
        message = message_of(write(tmp_path / "a.pdparams", content, protocol))
        name = "'O8'" if place == "in an array" else f".{call.call[0].__name__}'"
        assert "is refused" in message
        assert name in message
        assert not list(tmp_path.glob("mark*"))


@pytest.mark.parametrize("kind", [object, "U3", "S3", "V4", "M8[s]", "c8", [("a", "f4")]])
def test_arrays_of_anything_but_numbers_are_refused(tmp_path, kind):
    assert "not of numbers" in message_of(write(tmp_path / "a.pdparams", {"a": np.zeros(2, kind)}))


def test_references_to_outside_are_refused(tmp_path):
    (tmp_path / "a.pdparams").write_bytes(b"\x80\x02}X\x01\x00\x00\x00aX\x03\x00\x00\x00idxQs.")
    assert "refers to something outside itself" in message_of(tmp_path / "a.pdparams")


class Raw:
    """Pickled as an array's parts, whatever they are."""

    def __init__(self, *state) -> None:
        self.state = state

    def __reduce__(self):
        function, arguments, _ = np.zeros(1).__reduce__()
        return function, arguments, self.state


@pytest.mark.parametrize(
    "state",
    [
        (1, (3,), np.dtype("f4"), False, bytes(8)),
        (1, (3,), np.dtype("f4"), False, bytes(16)),
        (1, (-1,), np.dtype("f4"), False, bytes(8)),
        (1, (2**62, 4), np.dtype("f4"), False, bytes(8)),
        (1, "ab", np.dtype("f4"), False, bytes(8)),
        (1, (2,), "f4", False, bytes(8)),
        (1, (2,), np.dtype("f4"), False, [1.0, 2.0]),
        (1, (2,), np.dtype("f4")),
    ],
)
def test_arrays_whose_parts_do_not_fit(tmp_path, state):
    assert "is not a .pdparams file" in message_of(write(tmp_path / "a.pdparams", {"a": Raw(*state)}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("truncated")


@given(st.data())
def test_files_that_are_cut_short(folder, data):
    protocol = data.draw(st.integers(2, 5))
    layout = data.draw(st.sampled_from(["state_dict", "ordered", "tuples", "reduced"]))
    path = write_pdparams(folder / "a.pdparams", TENSORS, protocol=protocol, layout=layout)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert "or an incomplete one" in message_of(path)
