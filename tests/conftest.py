"""Settings of the test session, and fixtures that several test files share."""

import gc
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Nearly all of a training test is compiling. XLA without optimization and without its fusion emitters compiles a
# detector's step in 12 s of CPU and 0.6 GB instead of 40 s and 1.5 GB; what was compiled once, in this process or in
# one that a test starts, is taken from a folder. Both are read when JAX is first imported.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "xla"))

# Shapes and types that annotations promise are checked in every call, where an int is a float too; nothing of these
# packages is imported yet.
install_import_hook(
    ["ppocr_jax.losses", "ppocr_jax.metrics", "ppocr_jax.geometry"],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

# Tracing a network leaves hundreds of thousands of objects; by Python's defaults, looking for garbage each time 700 are
# new takes up to a third of the time.
gc.set_threshold(50_000, 20, 20)

# The same code gives the same result on any machine, however busy; `--hypothesis-profile=search` looks further.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("repeatable")


# Files that take longest, longest first: begun last, one of them would keep one process busy when the others are done.
LONGEST = (
    "training/test_experiments.py",
    "training/test_chain_of_detectors.py",
    "training/test_chain_of_recognizers.py",
    "export/test_other_networks.py",
    "export/test_trained.py",
    "export/test_model_folder.py",  # exports what test_onnx asks for, too, which would wait for it were it begun next
    "convert/test_inference_file.py",
    "models/test_golden.py",
    "training/test_pact.py",
    "training/test_mesh.py",
    "slim/test_prune.py",
    "models/test_padding.py",
    "convert/test_identify.py",
)


def pytest_configure(config):
    """Share out files in the order of `pytest_collection_modifyitems`; pytest-xdist prefers those of many tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    places = {Path(__file__).parent / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish():
    """What was imported stays: leave it out when looking for garbage."""
    gc.collect()
    gc.freeze()


# A process that runs many tests otherwise grows to 6 GB, most of it programs that no later test uses.
_MEMORY = 2 * 2**30


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Drop what JAX has compiled and traced after a file where this process has grown large."""
    if nextitem is not None and nextitem.path == item.path:
        return  # the file's other tests would compile and trace it all again
    if "jax" in sys.modules and psutil.Process().memory_info().rss > _MEMORY:
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture
def hangup():
    """Let SIGHUP arrive, also at subprocesses, even if the tests are run by `nohup`, which ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def stripes_model(tmp_path_factory):
    """Folder of the toy model that `stripes` describes; nobody writes into it."""
    stripes = pytest.importorskip("tests.stripes", reason="needs onnx")
    return stripes.write_model(tmp_path_factory.mktemp("models") / "stripes").path


@pytest.fixture
def infer(stripes_model):
    """Run the command `infer` with the toy model, in this process; give its exit code."""

    def call(*arguments: object) -> int:
        from ppocr_jax.cli import run_command

        return run_command("infer", ["--model", str(stripes_model), *map(str, arguments)], prog="infer.py")

    return call


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """No test, and nothing it calls in this process, reaches beyond this machine."""
    connect = socket.socket.connect

    def checked(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked)
        yield
