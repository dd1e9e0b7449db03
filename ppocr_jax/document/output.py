"""Where results go: files that are replaced once they are whole, devices and pipes that are written through."""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, TypeAlias

from ppocr_jax.errors import UserError

OutputPath: TypeAlias = "str | os.PathLike[str]"

# Names of what the process has open already. Opened anew, a file behind one of them would be cut off at its start.
_OPEN_FILES = re.compile(r"/dev/(?:fd/|std)(\d+|in|out|err)|/proc/self/fd/(\d+)")
_STANDARD = {"in": 0, "out": 1, "err": 2}


class OutputFile:
    """A file to write bytes into; `with OutputFile(path) as out: out.write(...)`.

    A regular file is written under another name beside it and renamed when all went well, so that nobody finds half of
    it, and an old one stays where something went wrong. A symbolic link stays; what it leads to is replaced. What is no
    regular file (a device, a named pipe, /dev/stdout) is written through. "-" is standard output. An open file of bytes
    is written to and stays open.

    Attributes:
        name: of the file, for messages.
        direct: whether bytes arrive as they are written.
    """

    def __init__(self, path: OutputPath | BinaryIO, *, append: bool = False, direct: bool = False) -> None:
        """
        Args:
            path: the file, or an open one.
            append: add to what is there, directly.
            direct: write a regular file directly, so that what was written is there if the process is broken off.
        """
        self._opened = None if isinstance(path, str | os.PathLike) else path
        self._path, self._append = os.fspath(path) if isinstance(path, str | os.PathLike) else "the file", append
        self.name = "standard output" if self._path == "-" else self._path
        self.direct = direct or append
        self._scratch = self._target = ""
        self._file: Any = None
        self._keep_open = False

    def __enter__(self) -> BinaryIO:
        """Open the file.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self._file = self._open()
        except (OSError, ValueError) as error:  # ValueError: a null character
            raise self._failed(error) from error
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Put the file in its place, or take away what was written of it.

        Raises:
            UserError: it could not be written (a full disk).
        """
        try:
            if self._keep_open:
                self._file.flush()
            else:
                self._file.close()
            if error is None and self._scratch:
                os.replace(self._scratch, self._target)
        except BrokenPipeError:
            raise
        except OSError as late:
            if error is None:
                raise self._failed(late) from late
        finally:
            if self._scratch:
                with suppress(OSError):
                    os.unlink(self._scratch)
        # What writing raises names no file; other errors of the operating system do, and are not this file's.
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) and error.filename is None:
            raise self._failed(error) from error

    def _open(self) -> Any:
        if self._opened is not None:
            self.direct = self._keep_open = True
            return self._opened
        if self._path == "-":
            return self._open_stdout()
        found = _OPEN_FILES.fullmatch(self._path)
        if found:
            number = found[1] or found[2]
            self.direct = True
            return os.fdopen(os.dup(_STANDARD[number] if number in _STANDARD else int(number)), "wb")
        target = os.path.realpath(self._path)
        try:
            status = os.stat(target)
        except FileNotFoundError:
            status = None
        self.direct = self.direct or (status is not None and not stat.S_ISREG(status.st_mode))
        if self.direct:
            return open(self._path, "ab" if self._append else "wb")
        scratch = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.part")
        try:
            file = open(scratch, "xb")  # noqa: SIM115
        except PermissionError:
            if status is None:
                raise
            self.direct = True  # a file that may be written in a folder that may not
            return open(target, "wb")
        self._scratch, self._target = scratch, target
        if status is not None:
            with suppress(OSError):
                shutil.copymode(target, scratch)
                os.chown(scratch, status.st_uid, status.st_gid)
        return file

    def _open_stdout(self) -> Any:
        self.direct = True
        if sys.stdout is None:
            raise UserError("cannot write standard output: it is closed")
        sys.stdout.flush()
        try:
            # With a buffer of our own, a full disk is found here and not again when Python ends.
            return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        except (OSError, ValueError, AttributeError):  # no file below it, as in tests and notebooks
            self._keep_open = True
            return getattr(sys.stdout, "buffer", None) or _TextAsBytes()

    def _failed(self, error: BaseException) -> UserError:
        return UserError(f"cannot write {self.name}: {getattr(error, 'strerror', None) or error}")


class _TextAsBytes(io.RawIOBase):
    """Standard output that takes text only."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        sys.stdout.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        sys.stdout.flush()


def write_text(pieces: Iterable[str], path: OutputPath = "-", *, append: bool = False, direct: bool = False) -> None:
    """Write pieces of text as they come: to files in UTF-8; to standard output in its own encoding.

    Characters that the encoding of standard output lacks become question marks.

    Args:
        pieces: of text, such as `write_pages` yields.
        path: see `OutputFile`.
        append: see `OutputFile`.
        direct: see `OutputFile`.

    Raises:
        UserError: the file cannot be written.
    """
    output = OutputFile(path, append=append, direct=direct)
    with output as out:
        encoding = (getattr(sys.stdout, "encoding", None) or "utf-8") if os.fspath(path) == "-" else "utf-8"
        for piece in pieces:
            out.write(piece.encode(encoding, "replace"))
            if output.direct:
                out.flush()


def refuse_to_overwrite(path: OutputPath, inputs: Iterable[object]) -> None:
    """Refuse an output file that is one of the files that are read.

    Args:
        path: to be written.
        inputs: paths; what is no path of an existing file is passed over.

    Raises:
        UserError: `path` is the same file as one of them.
    """
    for source in inputs:
        try:
            same = isinstance(source, str | os.PathLike) and os.path.samefile(source, path)
        except (OSError, ValueError):  # one of them does not exist
            continue
        if same and os.path.isfile(path):
            raise UserError(f"{os.fspath(path)} is an input file; choose another output file")
