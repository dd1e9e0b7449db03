"""The one kind of error whose message alone tells a user what to do: the command line prints it without a traceback."""

from __future__ import annotations

import math
from numbers import Real


class UserError(Exception):
    """Something the user gave is missing or wrong; the message is one line that says what, where and what to do."""


class OptionError(UserError, ValueError):
    """The value of an option has the wrong type or is out of range."""


def check_number(
    name: str, value: object, *, least: float = -math.inf, most: float = math.inf, whole: bool = False
) -> None:
    """Check that the value of an option is a number within its range.

    Args:
        name: name of the option, for the message.
        value: value to check.
        least, most: bounds of the range, inclusive.
        whole: whether it must be a whole number.

    Raises:
        OptionError: it is not a number, such as a text, None or NaN, or it is out of range.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or math.isnan(value):
        raise OptionError(f"{name} must be a {'whole ' if whole else ''}number, not {value!r}")
    number = float(value)
    if whole and not number.is_integer():
        raise OptionError(f"{name} must be a whole number, not {value}")
    if not least <= number <= most:
        limits = f"be between {least:g} and {most:g}" if math.isfinite(most) else f"be at least {least:g}"
        raise OptionError(f"{name} must {limits}, not {number:g}")
