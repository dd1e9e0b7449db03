"""The one kind of error whose message alone tells a user what to do: the command line prints it without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave is missing or wrong; the message is one line that says what, where and what to do."""
