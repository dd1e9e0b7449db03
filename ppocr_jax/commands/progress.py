"""How far a command is, on one line of a terminal, and what it has to say beside its result."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_SECONDS = 0.2  # between two updates
_WIDTH = 78


def say(text: str) -> None:
    """Write a line on standard error; where that is closed or full nobody is listening, and reading goes on."""
    _write(f"{text}\n")


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # full, closed, or None because it was closed at the start
        pass


class PageCounter:
    """A counter of pages on standard error."""

    def __init__(self, shown: bool | None) -> None:
        """
        Args:
            shown: whether there is a counter; None: on a terminal only.
        """
        self._shown = shown if shown is not None else sys.stderr is not None and sys.stderr.isatty()
        self._start = time.monotonic()
        self._next, self._count, self._drawn = 0.0, 0, False

    def __enter__(self) -> PageCounter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._wipe()
        if self._shown and kind is None and self._count > 1:
            _write(self._row("") + "\n")

    def count(self, name: str) -> None:
        """Count one page more."""
        self._count += 1
        now = time.monotonic()
        if self._shown and self._count > 1 and now >= self._next:
            self._next = now + _SECONDS
            _write("\r" + self._row(name)[:_WIDTH].ljust(_WIDTH))
            self._drawn = True

    def say(self, text: str) -> None:
        """Write a line of its own on standard error, whether the counter is shown or not."""
        self._wipe()
        say(text)

    def _row(self, name: str) -> str:
        per_second = self._count / max(time.monotonic() - self._start, 1e-6)
        return f"{self._count} pages, {per_second:.1f} a second  {name}".rstrip()

    def _wipe(self) -> None:
        if self._drawn:
            _write("\r" + " " * _WIDTH + "\r")
            self._drawn = False
