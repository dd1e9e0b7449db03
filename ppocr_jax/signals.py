"""Signals that end a process."""

from __future__ import annotations

import signal
import sys


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals other than Ctrl-C that end a command: SIGTERM, and SIGHUP of a terminal that is closed.

    Windows has no SIGHUP, and `nohup` ignores it for the command that it runs.
    """
    if sys.platform == "win32" or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return (signal.SIGTERM,)
    return signal.SIGTERM, signal.SIGHUP
