import numpy as np
import onnx
import onnx.parser
import pytest

from ppocr_jax.export.parity import ParityError, ParityRow, check_parity, parity_report


def brightest(images: np.ndarray) -> np.ndarray:
    """What the toy detector of `tests.stripes` computes."""
    return np.where(images.max(axis=3) > -1.2, np.float32(0.9), np.float32(0.1))


def test_report_on_several_shapes(stripes_model):
    shapes = [(1, 32, 64, 3), (2, 64, 32, 3)]
    rows = parity_report(stripes_model / "det.onnx", brightest, shapes)
    assert rows == [ParityRow(shape, 0.0) for shape in shapes]


def test_report_finds_the_largest_difference(stripes_model):
    def slightly_off(images: np.ndarray) -> np.ndarray:
        probability = brightest(images)
        probability[-1, 5, 7] += 0.003
        return probability

    (row,) = parity_report(stripes_model / "det.onnx", slightly_off, [(2, 32, 32, 3)])
    assert row.max_abs_diff == pytest.approx(0.003, rel=1e-3)
    with pytest.raises(ParityError, match=r"det\.onnx differs from the network by 3\.0e-03 .*\(2, 32, 32, 3\)"):
        check_parity([row], "det.onnx")


def test_other_output_shape(stripes_model):
    with pytest.raises(ParityError, match=r"gives \(1, 32, 32\) .* the network \(1, 32\)"):
        parity_report(stripes_model / "det.onnx", lambda images: brightest(images)[:, 0], [(1, 32, 32, 3)])


def test_not_a_number_is_a_difference():
    with pytest.raises(ParityError, match="nan"):
        check_parity([ParityRow((1, 32, 32, 3), float("nan"))], "det.onnx")


def test_tolerance():
    check_parity([ParityRow((1, 32, 32, 3), 9e-5)], "det.onnx")
    with pytest.raises(ParityError):
        check_parity([ParityRow((1, 32, 32, 3), 1.1e-4)], "det.onnx")


def test_a_network_may_differ_by_as_much_as_the_last_bits_of_its_input_change_it(tmp_path):
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> steep (float[B, 3, H, W] images) => (float[B, 3, H, W] y) '
        "{ a = Constant<value_float = 0.3>() b = Constant<value_float = 4000.0>() "
        "scaled = Mul(images, a) steep = Mul(scaled, b) y = Sin(steep) }"
    )
    onnx.save(model, tmp_path / "steep.onnx")

    def of_steepness(factor: float) -> list[ParityRow]:
        apply = lambda images: np.sin(images[..., 0] * np.float32(factor))  # noqa: E731
        return parity_report(tmp_path / "steep.onnx", apply, [(1, 32, 64, 3)])

    rows = of_steepness(1200)
    assert 1e-4 < rows[0].max_abs_diff < 4 * rows[0].rounding < 0.01
    check_parity(rows, "steep.onnx")
    with pytest.raises(ParityError, match="at most"):
        check_parity(of_steepness(1201), "steep.onnx")
