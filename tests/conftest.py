"""Fixtures that several test files share."""

import pytest
from hypothesis import settings

# The same code gives the same result on any machine, however busy; `--hypothesis-profile=search` looks further.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def stripes_model(tmp_path_factory):
    """Folder of the toy model that `stripes` describes; nobody writes into it."""
    stripes = pytest.importorskip("tests.stripes", reason="needs onnx")
    return stripes.write_model(tmp_path_factory.mktemp("models") / "stripes").folder
