"""Fixtures that several test files share."""

import pytest


@pytest.fixture(scope="session")
def stripes_model(tmp_path_factory):
    """Folder of the toy model that `stripes` describes; nobody writes into it."""
    stripes = pytest.importorskip("tests.stripes", reason="needs onnx")
    return stripes.write_model(tmp_path_factory.mktemp("models") / "stripes").folder
