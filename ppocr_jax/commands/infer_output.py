"""Output of `ppocr-jax infer`: pages, tables, drawings and progress."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from ppocr_jax.commands.common import PageCounter
from ppocr_jax.document import (
    Table,
    format_of,
    pages_in_jsonl,
    refuse_to_overwrite,
    save_image,
    write_pages,
    write_text,
)
from ppocr_jax.document.page import Page
from ppocr_jax.document.tables import TABLE_SUFFIXES
from ppocr_jax.errors import UserError
from ppocr_jax.images import Input, InputPage
from ppocr_jax.inference.documents import PageNames

PageWithImage: TypeAlias = tuple[Page, InputPage | None]
"""A page and its image; the image is None if the page could not be read (`page.error`)."""

_STANDARD_OUTPUT = "-"


class Output:
    """Writer of the files that `infer` was asked for.

    Attributes:
        done: (source, page number) of the pages that are already in a resumed output.
    """

    def __init__(self, args: argparse.Namespace, inputs: Sequence[Input]) -> None:
        """
        Raises:
            UserError: Options contradict each other, an output is one of the inputs, or the file to resume was not
                written by `infer`.
        """
        self.args = args
        self.path = args.output or _STANDARD_OUTPUT
        self.format = args.format or ("text" if self.path == _STANDARD_OUTPUT else format_of(self.path))
        if self.format == "pdf":
            if args.output is None:
                raise UserError("a PDF needs --output FILE, or --output - for standard output")
            if args.words:
                raise UserError("--words does not apply to PDF, which always contains words")
        else:
            write_pages((), self.format, words=args.words)  # raises if this format has no words
        for path in (self.path, args.draw):
            if path is not None:
                refuse_to_overwrite(path, inputs)
        if args.resume and (self.format != "jsonl" or self.path == _STANDARD_OUTPUT):
            raise UserError("--resume requires --format jsonl and --output FILE")
        if args.tables is not None and args.tables.suffix.lower() not in TABLE_SUFFIXES:
            raise UserError(f"--tables {args.tables}: the suffix must be one of {', '.join(TABLE_SUFFIXES)}")
        _refuse_the_same({"--output": args.output, "--draw": args.draw, "--tables": args.tables})
        self._tables: list[Table] = []
        resumed = args.resume and Path(self.path).exists()
        self.done = pages_in_jsonl(Path(self.path), repair=True) if resumed else set()
        self._failed = False
        self._names = PageNames()

    def write(self, results: Iterator[PageWithImage]) -> int:
        """Write each page as soon as it is read; return the exit code, 1 if a page could not be read.

        Raises:
            UserError: A file cannot be written.
        """
        with ExitStack() as stack:
            progress = stack.enter_context(PageCounter(self.args.progress))
            pages = self._processed(results, progress)
            if self.format == "pdf":
                self._write_pdf(pages)
            else:
                pieces = write_pages((page for page, _ in pages), self.format, words=self.args.words)
                # Each row of a jsonl file is on the disk before the next page is read.
                write_text(pieces, self.path, append=self.args.resume, direct=self.format == "jsonl")
        if self.args.tables is not None:
            write_text([TABLE_SUFFIXES[self.args.tables.suffix.lower()](self._tables)], self.args.tables)
        return int(self._failed)

    def _processed(self, results: Iterator[PageWithImage], progress: PageCounter) -> Iterator[PageWithImage]:
        """Yield the pages to write: report errors, draw, drop unsure words, collect tables and join rows."""
        for number, (read, image) in enumerate(results, start=1):
            page = read
            progress.count(page.source)
            if page.error:
                self._failed = True
                progress.say(f"infer: {page.error}")
            for warning in page.warnings:
                progress.say(f"infer: {page.source}: {warning}")
            if self.args.draw is not None and image is not None:
                self._draw(page, image, number)
            if self.args.min_word_confidence is not None:
                page = page.confident(self.args.min_word_confidence)
            if self.args.tables is not None and image is not None:
                self._tables += page.tables(image.image_rgb)
            yield page.join_rows() if self.args.join_rows else page, image

    def _draw(self, page: Page, image: InputPage, number: int) -> None:
        from ppocr_jax.document.draw import draw_page

        path = self.args.draw
        if not path.suffix or path.is_dir():
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"cannot create the folder {path}: {error.strerror}") from error
            path = path / f"{self._names.of(page.source, page.number)}.png"
            refuse_to_overwrite(path, [page.source])
        elif number > 1:
            raise UserError(f"--draw {path} is a single image, but there are several pages: pass a folder")
        save_image(path, draw_page(image.image_rgb, page))

    def _write_pdf(self, pages: Iterable[PageWithImage]) -> None:
        from ppocr_jax.document.pdf import SearchablePdf

        with SearchablePdf(self.path) as pdf:
            for page, image in pages:
                if image is not None:
                    # The original is reused only if it is a one-page file; standard input ("-") cannot be read again.
                    file = image.source if image.page_count == 1 and image.source != "-" else None
                    pdf.add(page, image.image_rgb, dpi=image.dpi, user_unit=image.user_unit, original=file)


def _refuse_the_same(outputs: dict[str, str | Path | None]) -> None:
    """Check that no two options write to the same file, because the second would overwrite the first.

    Raises:
        UserError: Two options name the same file.
    """
    seen: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is None or str(path) == _STANDARD_OUTPUT or (Path(path).exists() and not Path(path).is_file()):
            continue  # devices and pipes accept both; a folder receives drawings
        other = seen.setdefault(Path(path).resolve(), option)
        if other != option:
            raise UserError(f"{other} and {option} would both write {path}: choose different files")
