import pytest

from ppocr_jax.cli import main
from ppocr_jax.commands import common
from ppocr_jax.export import model_folder
from ppocr_jax.export.parity import ParityRow
from tests.export.conftest import SPECS, random_variables


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from ppocr_jax.models.io import save_safetensors

    path = tmp_path_factory.mktemp("run") / "cls.safetensors"
    save_safetensors(path, random_variables(SPECS["cls"]))
    return path


def test_exports_and_reports(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        model_folder, "parity_shapes", lambda spec: [(1, 48, 192, 3)]
    )  # each shape is compiled: seconds
    folder = tmp_path / "new" / "model"
    assert main(["export", str(weights), "--output", str(folder), "--name", "mine", "--alone"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["network", "input", "(B,", "H,", "W,", "C)", "max", "|JAX", "-", "ONNX", "Runtime|"]
    (row,) = lines[1:]
    assert row.startswith("cls      (1, 48, 192, 3)")
    assert float(row.split()[-1]) < 1e-4
    assert sorted(path.name for path in folder.iterdir()) == ["cls.onnx", "cls.safetensors", "model.json"]


def test_a_file_that_differs_ends_with_one_line(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(model_folder, "export_onnx", lambda network, path: path.write_bytes(b""))
    monkeypatch.setattr(model_folder, "parity_report", lambda *args: [ParityRow((1, 48, 192, 3), 0.5)])
    assert main(["export", str(weights), "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "no training run or weights file missing"),
        (["{weights}", "--task", "det"], "not fit the network"),
        (["{weights}", "--shape", "1x48x192"], "--shape requires --via jax2tf"),
        (["{weights}", "{weights}"], "two networks for the same task: cls"),
    ],
)
def test_mistakes_end_with_one_line(weights, tmp_path, capsys, arguments, message):
    arguments = [argument.format(weights=weights) for argument in arguments]
    assert main(["export", *arguments, "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_folder_that_cannot_be_made(weights, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["export", str(weights), "--output", str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert "cannot write" in error
    assert error.count("\n") == 1


def test_missing_packages_are_named(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(common, "find_spec", lambda name: None if name in ("tensorflow", "tf2onnx") else object())
    assert main(["export", str(weights), "--via", "jax2tf", "--output", str(tmp_path)]) == 1
    assert 'needs tensorflow, tf2onnx: pip install "ppocr-jax[tensorflow]"' in capsys.readouterr().err


@pytest.mark.parametrize("shape", ["640", "1x640", "1x0x640", "axbxc"])
def test_shapes_that_are_none(weights, tmp_path, capsys, shape):
    with pytest.raises(SystemExit) as stop:
        main(["export", str(weights), "--via", "jax2tf", "--shape", shape, "--output", str(tmp_path)])
    assert stop.value.code == 2
    assert "--shape" in capsys.readouterr().err
