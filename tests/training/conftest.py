"""Synthetic data that several tests of training share."""

import pytest

from tests.helpers import once_a_session
from tests.training import experiments


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """Folder with synthetic pages and lines and their label files; nobody writes into it."""

    def draw(folder):
        experiments.draw(folder)
        return folder

    return once_a_session(tmp_path_factory, "synthetic", draw)
