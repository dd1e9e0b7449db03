"""Drawn data that several tests of training share."""

import pytest

from tests.training import experiments


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Folder with drawn pages and lines and their label files; nobody writes into it."""
    folder = tmp_path_factory.mktemp("drawn")
    experiments.draw(folder)
    return folder
