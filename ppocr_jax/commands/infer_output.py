"""The writing side of `ppocr-jax infer`: pages to a file or standard output, drawings, progress."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from ppocr_jax.commands.common import write_image
from ppocr_jax.commands.progress import Progress
from ppocr_jax.document import Table, pages_in_jsonl, write_pages, write_text
from ppocr_jax.document.page import Page
from ppocr_jax.document.save import TEXT_SUFFIXES
from ppocr_jax.document.tables import TABLE_SUFFIXES
from ppocr_jax.errors import UserError
from ppocr_jax.images import InputPage

ReadPage: TypeAlias = tuple[Page, InputPage | None]
"""A page with the picture it was read from; without one where it could not be read (`page.error`)."""


class Output:
    """What `infer` writes, and where.

    Attributes:
        done: (source, page number) of the pages that a resumed output holds already.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        """
        Raises:
            UserError: options that do not go together, or a file to resume that is not what `infer` wrote.
        """
        self.args = args
        self.format = args.format or _format_of(args.output)
        if self.format == "pdf" and args.output is None:
            raise UserError("a PDF needs --output FILE")
        write_pages((), self.format, words=args.words) if self.format != "pdf" else None
        if args.resume and (self.format != "jsonl" or args.output is None):
            raise UserError("--resume goes on with --format jsonl and an --output FILE")
        if args.words and self.format == "pdf":
            raise UserError("--words: a PDF always holds them")
        if args.tables is not None and args.tables.suffix.lower() not in TABLE_SUFFIXES:
            raise UserError(f"--tables {args.tables}: the suffix must be one of {', '.join(TABLE_SUFFIXES)}")
        self._tables: list[Table] = []
        self.done = pages_in_jsonl(args.output, repair=True) if args.resume and args.output.exists() else set()
        self._failed = False
        self._names: set[Path] = set()

    def write(self, results: Iterator[ReadPage]) -> int:
        """Write every page as it comes; gives the exit code, 1 if one was in error.

        Raises:
            UserError: a file cannot be written.
        """
        with ExitStack() as stack:
            shown = self.args.progress
            progress = stack.enter_context(Progress(sys.stderr.isatty() if shown is None else shown))
            pages = self._watched(results, progress)
            if self.format == "pdf":
                self._write_pdf(pages)
            else:
                self._write_text(write_pages((page for page, _ in pages), self.format, words=self.args.words))
        if self.args.tables is not None:
            write_text([TABLE_SUFFIXES[self.args.tables.suffix.lower()](self._tables)], self.args.tables)
        return int(self._failed)

    def _watched(self, results: Iterator[ReadPage], progress: Progress) -> Iterator[ReadPage]:
        """The pages, after all that is done with each beside writing it."""
        for number, (read, picture) in enumerate(results, start=1):
            page = read
            progress.count(page.source)
            if page.error:
                self._failed = True
                progress.say(f"infer: {page.error}")
            for warning in page.warnings:
                progress.say(f"infer: {page.source}: {warning}")
            if self.args.draw is not None and picture is not None:
                self._draw(page, picture, number)
            if self.args.min_word_confidence is not None:
                page = page.confident(self.args.min_word_confidence)
            if self.args.tables is not None and picture is not None:
                self._tables += page.tables(picture.image_rgb)
            yield page.join_rows() if self.args.join_rows else page, picture

    def _draw(self, page: Page, picture: InputPage, number: int) -> None:
        from ppocr_jax.document.draw import draw_page

        path = self.args.draw
        if not path.suffix or path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            path = self._free_name(path, page)
        elif number > 1:
            raise UserError(f"--draw {path} is one picture, but there are several pages: name a folder")
        write_image(path, draw_page(picture.image_rgb, page))

    def _free_name(self, folder: Path, page: Page) -> Path:
        """A picture's name in a folder, with a count where two would be the same."""
        from ppocr_jax.inference.ocr import page_name

        stem = page_name(page)
        name, count = folder / f"{stem}.png", 1
        while name in self._names:
            count += 1
            name = folder / f"{stem}-{count}.png"
        self._names.add(name)
        return name

    def _write_pdf(self, pages: Iterable[ReadPage]) -> None:
        from ppocr_jax.document.pdf import SearchablePdf

        with SearchablePdf(self.args.output) as pdf:
            for page, picture in pages:
                if picture is not None:
                    pdf.add(page, picture.image_rgb, dpi=picture.dpi, user_unit=picture.user_unit)

    def _write_text(self, pieces: Iterable[str]) -> None:
        path = self.args.output
        if path is None:
            for piece in pieces:
                sys.stdout.write(piece)
                sys.stdout.flush()
        elif self.format == "jsonl":
            _write_rows(path, pieces, append=self.args.resume)
        else:
            _write_whole(path, pieces)


def _format_of(path: Path | None) -> str:
    if path is None:
        return "text"
    return "pdf" if path.suffix.lower() == ".pdf" else TEXT_SUFFIXES.get(path.suffix.lower(), "text")


def _write_rows(path: Path, rows: Iterable[str], *, append: bool) -> None:
    """Each row is on the disk before the next page is waited for."""
    try:
        with path.open("a" if append else "w", encoding="utf-8", newline="\n") as out:
            for row in rows:
                out.write(row)
                out.flush()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Under another name until it is whole."""
    scratch = path.with_name(f".{path.name}.part")
    try:
        with scratch.open("w", encoding="utf-8", newline="") as out:
            out.writelines(pieces)
        scratch.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    finally:
        scratch.unlink(missing_ok=True)
