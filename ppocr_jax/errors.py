"""The one kind of error whose message alone tells a user what to do: the command line prints it without a traceback."""

from __future__ import annotations

import math
from numbers import Real


class UserError(Exception):
    """Something the user gave is missing or wrong; the message is one line that says what, where and what to do."""


class OptionError(UserError, ValueError):
    """The value of an option is of another kind than it should be, or out of range."""


def check_number(
    name: str, value: object, *, least: float = -math.inf, most: float = math.inf, whole: bool = False
) -> None:
    """Make sure that an option's value is a number within its range.

    Args:
        name: of the option, for the message.
        value: what was given.
        least, most: bounds, which belong to the range.
        whole: whether it has to be a whole number.

    Raises:
        OptionError: it is none, such as a text, None or NaN, or out of range.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or math.isnan(value):
        raise OptionError(f"{name} must be a {'whole ' if whole else ''}number, not {value!r}")
    number = float(value)
    if whole and not number.is_integer():
        raise OptionError(f"{name} must be a whole number, not {value}")
    if not least <= number <= most:
        limits = f"lie between {least:g} and {most:g}" if math.isfinite(most) else f"be at least {least:g}"
        raise OptionError(f"{name} must {limits}, not {number:g}")
