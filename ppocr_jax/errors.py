"""Errors whose message alone is enough for the user. The command line prints them without a traceback."""

from __future__ import annotations

import math
from numbers import Real


class UserError(Exception):
    """Error caused by the user's input. The message is one line that says what is wrong, where, and what to do."""


class OptionError(UserError, ValueError):
    """Error for an option whose value has the wrong type or is out of range."""


def check_number(
    name: str, value: object, *, least: float = -math.inf, most: float = math.inf, whole: bool = False
) -> None:
    """Check that the value of an option is a number within its range.

    Args:
        name: Name of the option, for the message.
        value: Value to check.
        least, most: Bounds of the range, inclusive.
        whole: Whether it must be a whole number.

    Raises:
        OptionError: If the value is not a number, such as a string or None, or not finite, or is out of range.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise OptionError(f"{name} must be a {'whole ' if whole else ''}number, not {value!r}")
    number = float(value)
    if whole and not number.is_integer():
        raise OptionError(f"{name} must be a whole number, not {value}")
    if not least <= number <= most:
        limits = f"be between {least:g} and {most:g}" if math.isfinite(most) else f"be at least {least:g}"
        raise OptionError(f"{name} must {limits}, not {number:g}")
