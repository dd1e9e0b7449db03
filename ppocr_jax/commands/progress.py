"""How far a command is, on one line of a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_SECONDS = 0.2  # between two updates
_WIDTH = 78


class Progress:
    """A counter of pages on standard error; silent unless `shown`."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._start = time.monotonic()
        self._next, self._count, self._drawn = 0.0, 0, False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._wipe()
        if self._shown and kind is None and self._count > 1:
            sys.stderr.write(self._row("") + "\n")

    def count(self, name: str) -> None:
        """One page more."""
        self._count += 1
        now = time.monotonic()
        if self._shown and self._count > 1 and now >= self._next:
            self._next = now + _SECONDS
            sys.stderr.write("\r" + self._row(name)[:_WIDTH].ljust(_WIDTH))
            sys.stderr.flush()
            self._drawn = True

    def say(self, text: str) -> None:
        """A line of its own on standard error, shown or not."""
        self._wipe()
        sys.stderr.write(f"{text}\n")

    def _row(self, name: str) -> str:
        per_second = self._count / max(time.monotonic() - self._start, 1e-6)
        return f"{self._count} pages, {per_second:.1f} a second  {name}".rstrip()

    def _wipe(self) -> None:
        if self._drawn:
            sys.stderr.write("\r" + " " * _WIDTH + "\r")
            self._drawn = False
