"""Output files: regular files are replaced when complete, devices and pipes are written directly."""

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

# Names of files that the process has already open. Opening one again would truncate it.
_OPEN_FILES = re.compile(r"/dev/(?:fd/|std)(\d+|in|out|err)|/proc/self/fd/(\d+)")
_STANDARD = {"in": 0, "out": 1, "err": 2}


class OutputFile:
    """Binary output file: `with OutputFile(path) as out: out.write(...)`.

    A regular file is written under another name in the same folder and renamed on success, so that no incomplete file
    is visible, and an old file remains after an error. A symbolic link remains, and its target is replaced. Other files
    (devices, named pipes, /dev/stdout) are written directly. "-" is standard output. An open binary file is written to
    and stays open.

    Attributes:
        name: Name of the file, for messages.
        direct: Whether bytes are written directly.
    """

    def __init__(self, path: OutputPath | BinaryIO, *, append: bool = False, direct: bool = False) -> None:
        """Store the options. The file is opened by `with`.

        Args:
            path: Path, or open binary file.
            append: Append to an existing file, directly.
            direct: Write a regular file directly, so that its contents remain if the process is interrupted.
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
            UserError: If it cannot be written.
        """
        try:
            self._file = self._open()
        except (OSError, ValueError) as error:  # ValueError: a null character
            raise self._failed(error) from error
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Move the file to its path, or delete it after an error.

        Raises:
            UserError: If the file could not be written (a full disk).
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
        # Errors of writing have no file name. Other errors of the operating system have one, and concern other files.
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
            self.direct = True  # the file is writable, but its folder is not
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
            # With a separate buffer, a full disk is reported here and not when Python exits.
            return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        except (OSError, ValueError, AttributeError):  # no file descriptor, as in tests and notebooks
            self._keep_open = True
            return getattr(sys.stdout, "buffer", None) or _TextAsBytes()

    def _failed(self, error: BaseException) -> UserError:
        return UserError(f"cannot write {self.name}: {getattr(error, 'strerror', None) or error}")


class _TextAsBytes(io.RawIOBase):
    """Binary file that writes to a text-only standard output."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        sys.stdout.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        sys.stdout.flush()


def write_text(pieces: Iterable[str], path: OutputPath = "-", *, append: bool = False, direct: bool = False) -> None:
    """Write pieces of text as they arrive: to files in UTF-8, to standard output in its own encoding.

    Characters that the encoding of standard output lacks become question marks.

    Args:
        pieces: Pieces of text, such as those of `write_pages`.
        path: See `OutputFile`.
        append: See `OutputFile`.
        direct: See `OutputFile`.

    Raises:
        UserError: If the file cannot be written.
    """
    output = OutputFile(path, append=append, direct=direct)
    with output as out:
        encoding = (getattr(sys.stdout, "encoding", None) or "utf-8") if os.fspath(path) == "-" else "utf-8"
        for piece in pieces:
            out.write(piece.encode(encoding, "replace"))
            if output.direct:
                out.flush()


def refuse_to_overwrite(path: OutputPath, inputs: Iterable[object]) -> None:
    """Raise an error if an output file is one of the input files.

    Args:
        path: Output file.
        inputs: Paths. Other objects and files that do not exist are ignored.

    Raises:
        UserError: If `path` is the same file as one of them.
    """
    for source in inputs:
        try:
            same = isinstance(source, str | os.PathLike) and os.path.samefile(source, path)
        except (OSError, ValueError):  # one of them does not exist
            continue
        if same and os.path.isfile(path):
            raise UserError(f"{os.fspath(path)} is an input file; choose another output file")
