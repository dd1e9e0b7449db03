"""Public names of packages: they load on first use, and editors see what there is."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ppocr_jax"
LAZY = ["", "convert", "data", "evaluation", "export", "losses", "metrics", "synth", "training"]
NEEDS = {"losses": "jax", "training": "jax", "export": "jax", "synth": "fontTools"}


def name_of(unit: str) -> str:
    return f"ppocr_jax.{unit}".rstrip(".")


def names_for_editors(unit: str) -> dict[str, str]:
    """Name -> module, as the imports under `if TYPE_CHECKING` say."""
    tree = ast.parse((PACKAGE / unit / "__init__.py").read_text(encoding="utf-8"))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and str(n.module).startswith("ppocr_jax.")]
    return {alias.name: str(n.module) for n in imports for alias in n.names if alias.name != "lazy_names"}


@pytest.mark.parametrize("unit", LAZY)
def test_every_name_loads_and_is_what_editors_are_told(unit: str):
    pytest.importorskip(NEEDS.get(unit, "numpy"))
    package = importlib.import_module(name_of(unit))
    told = names_for_editors(unit)
    assert sorted(told) == sorted(set(package.__all__) - {"__version__"})
    for name, module in told.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module '{name_of(unit)}' has no attribute 'nothing'"):
        _ = package.nothing


def test_importing_packages_loads_nothing_heavy():
    code = "".join(f"import {name_of(unit)}\n" for unit in LAZY)
    code += "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"jax", "flax", "optax", "orbax", "grain", "tensorflow", "cv2", "numpy"}


def test_submodules_and_names_do_not_hide_each_other():
    """A name that is a submodule's, too, would turn into the module once that is imported."""
    for unit in LAZY:
        modules = {path.stem for path in (PACKAGE / unit).iterdir()}
        assert not modules & set(names_for_editors(unit)), unit
