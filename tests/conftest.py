"""Fixtures that several test files share."""

import socket

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
    return stripes.write_model(tmp_path_factory.mktemp("models") / "stripes").path


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
