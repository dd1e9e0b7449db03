"""A server that several test files ask."""

import pytest

from tests.serve.clients import shade_server


@pytest.fixture(scope="module")
def shades():
    with shade_server() as (client, _):
        yield client
