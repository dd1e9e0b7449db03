"""Choosing among the images of labels."""

import pytest

from ppocr_jax.data.images import evenly_spread


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, "abcdefg"), (7, "abcdefg"), (9, "abcdefg"), (4, "aceg"), (3, "adg"), (1, "a"), (0, "")],
)
def test_chosen_items_are_evenly_spread(limit, expected):
    assert "".join(evenly_spread("abcdefg", limit)) == expected
