"""The import rules: modules import their own package or downhill, and `import ppocr_jax` stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ppocr_jax"

# Unit (top-level module or package) -> (level, rank). Units of levels 1 and 2 may import lower levels only; units of
# levels 0, 3 and 4 also those of a lower rank in their own level, and single modules of level 0 each other.
UNITS = {
    **dict.fromkeys(["charset", "config", "config_io", "errors", "geometry", "lazy"], (0, 0)),
    **dict.fromkeys(["language_model", "preprocess", "signals"], (0, 0)),
    "images": (0, 1),
    "document": (0, 2),
    **dict.fromkeys(["models", "losses", "metrics", "onnx_graph", "synth", "data"], (1, 0)),
    "inference": (2, 0),
    **{name: (3, rank) for rank, name in enumerate(["evaluation", "training", "export", "convert", "slim"])},
    **{
        name: (4, rank)
        for rank, name in enumerate(
            ["__pyinstaller", "bulk", "serve", "integrations", "ocrmypdf_plugin", "commands", "cli", "__main__"]
        )
    },
}
# Batches hold drawn text beside labeled images, and drawn data sets are written in the formats of labels.
SIBLINGS = {("data", "synth"), ("synth", "data.labels")}
JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "grain", "jax2onnx", "tensorflow"}
HEAVY = {"cv2", "onnxruntime", "pyclipper", "shapely", "PIL"}
NEVER_IN_IMPORT = ["jax", "flax", "optax", "orbax", "grain", "tensorflow", "cv2"]

FILES = sorted(PACKAGE.rglob("*.py"))
INNER_FILES = [path for path in FILES if path != PACKAGE / "__init__.py"]


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def level_of(path: Path) -> int | None:
    """None for a unit that has no level yet; `test_imports_go_downhill` asks for one."""
    return UNITS.get(unit_of(path), (None, 0))[0]


def imported_modules(nodes: Iterator[ast.AST], path: Path) -> Iterator[str]:
    """Absolute names of everything imported by `nodes`; `from a import b` gives `a.b`, as b may be a module."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def all_imports(path: Path) -> set[str]:
    return set(imported_modules(ast.walk(parse(path)), path))


def imports_on_load(path: Path) -> set[str]:
    """What loading the module imports: everything outside functions and `if TYPE_CHECKING`."""

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield child
                yield from walk(child)

    return set(imported_modules(walk(parse(path)), path))


def allowed(importer: str, imported: str) -> bool:
    if any(imported == name or imported.startswith(name + ".") for unit, name in SIBLINGS if unit == importer):
        return True
    imported = imported.partition(".")[0]
    if importer == imported:
        return True
    (level, rank), (other_level, other_rank) = UNITS[importer], UNITS[imported]
    if level == other_level:
        return other_rank < rank or level == rank == other_rank == 0
    return other_level < level


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("metrics", "metrics", True),
        ("metrics", "geometry", True),
        ("metrics", "data", False),
        ("data", "synth", True),
        ("synth", "data", False),
        ("synth", "data.labels.Region", True),
        ("synth", "data.labelsheets", False),
        ("geometry", "metrics", False),
        ("geometry", "charset", True),
        ("document", "images", True),
        ("images", "document", False),
        ("inference", "training", False),
        ("training", "evaluation", True),
        ("evaluation", "training", False),
        ("cli", "commands", True),
        ("commands", "cli", False),
    ],
)
def test_the_rule_itself(importer, imported, expected):
    assert allowed(importer, imported) is expected


def test_imports_inside_functions_and_relative_ones_are_seen(tmp_path):
    source = "from ..losses import db\ndef f():\n    import ppocr_jax.training.loop\n"
    tree = ast.parse(source)
    path = PACKAGE / "metrics" / "made_up.py"
    assert set(imported_modules(ast.walk(tree), path)) == {"ppocr_jax.losses.db", "ppocr_jax.training.loop"}


@pytest.mark.parametrize("path", INNER_FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downhill(path):
    unit = unit_of(path)
    assert unit in UNITS, f"{path.name}: give {unit!r} a level in tests/test_layers.py"
    for name in all_imports(path):
        top, *rest = name.split(".")
        if top != "ppocr_jax" or not rest or rest[0] == "__version__":
            continue
        assert rest[0] in UNITS, f"{path}: {name} is imported through the package's lazy names; import its module"
        assert allowed(unit, ".".join(rest)), f"{path}: {unit} must not import {name}"


def defined_in(path: Path) -> set[str]:
    """Names that a module defines or imports at its top level."""
    names: set[str] = set()
    for node in parse(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


LAZY_PACKAGES = [path for path in FILES if path.name == "__init__.py" and "lazy_names(" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", LAZY_PACKAGES, ids=lambda path: path.parent.name)
def test_public_names_are_where_packages_look_for_them(path):
    """tests/test_public_names.py loads them, too; this needs no JAX and no time."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ppocr_jax.") and node.level == 0:
            module = ROOT.joinpath(*str(node.module).split("."))
            file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
            assert file.exists(), f"{path}: there is no {node.module}; mend the package's list of public names"
            missing = {alias.name for alias in node.names} - defined_in(file)
            assert not missing, f"{path}: {node.module} has no {missing}; mend the package's list of public names"


@pytest.mark.parametrize(
    "path", [p for p in INNER_FILES if level_of(p) in (0, 2)], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_reading_does_not_need_jax(path):
    """Levels 0 and 2 never import jax; the JAX backend does so where it is used, and never what training needs."""
    tops = {name.split(".")[0] for name in all_imports(path)}
    if unit_of(path) == "inference" and "jax" in path.stem:
        tops -= {"jax", "jaxlib", "flax"}
    assert not tops & JAX


@pytest.mark.parametrize("path", [p for p in INNER_FILES if level_of(p) == 0], ids=lambda path: path.stem)
def test_level_0_imports_heavy_modules_on_use(path):
    assert not {name.split(".")[0] for name in imports_on_load(path)} & (HEAVY | JAX)


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return set(run.stdout.split())


def test_importing_the_package_is_light():
    loaded = loaded_after("import ppocr_jax")
    assert "ppocr_jax" in loaded
    assert not loaded & {*NEVER_IN_IMPORT, "numpy"}


@pytest.mark.skipif(not (PACKAGE / "cli.py").exists(), reason="no command line yet")
def test_importing_the_command_line_is_light():
    assert not loaded_after("import ppocr_jax.cli") & {*NEVER_IN_IMPORT, *HEAVY}
