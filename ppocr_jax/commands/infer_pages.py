"""The reading side of `ppocr-jax infer`: inputs to pages, several at a time."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.images import MAX_PIXELS, Input, InputPage, read_pages
from ppocr_jax.inference.many import ordered_map
from ppocr_jax.inference.parallel import cores

if TYPE_CHECKING:
    from ppocr_jax.inference.pipeline import OCR


@dataclass(frozen=True)
class ReadPage:
    """A page with the picture it was read from; without one where it could not be read (`page.error`)."""

    page: Page
    source: InputPage | None


def read_inputs(
    inputs: Sequence[Input], make_ocr: Callable[[], OCR], args: argparse.Namespace, *, skip: Container[tuple[str, int]]
) -> Iterator[ReadPage]:
    """Pages of all inputs, in order.

    One page is read on all cores, of several each on one. Of several inputs, one that cannot be read is a page with an
    error; a single one raises it.

    Args:
        inputs: see `inputs.find_inputs`.
        make_ocr: makes the `OCR`, once the first page is there.
        args: of `infer`.
        skip: (source, page number) of pages that are done.

    Raises:
        UserError: the only input cannot be read, or an option makes no sense.
    """
    pages = (page for page in _pages(inputs, args) if (page.page.source, page.page.number) not in skip)
    ahead = list(itertools.islice(pages, 2))
    if not ahead:
        return
    ocr = make_ocr()
    if len(ahead) == 1:
        yield _read(ocr, args.explain, ahead[0])
        return
    workers = args.threads or cores()
    read = partial(_read, ocr.single_threaded(), args.explain)
    yield from ordered_map(read, itertools.chain(ahead, pages), workers=workers)


def _pages(inputs: Sequence[Input], args: argparse.Namespace) -> Iterator[ReadPage]:
    """Pages to read; those in error are finished."""
    for path in inputs:
        failed: list[ReadPage] = []

        def note(error: UserError, path: Input = path, failed: list[ReadPage] = failed) -> None:
            failed.append(ReadPage(Page(0, 0, (), str(path), error=str(error)), None))

        try:
            for page in _document(path, args, on_error=note if len(inputs) > 1 else None):
                yield from _taken(failed)
                height, width = page.image_rgb.shape[:2]
                yield ReadPage(Page(width, height, (), str(path), number=page.number), page)
        except UserError as error:
            if len(inputs) == 1:
                raise
            note(error)
        yield from _taken(failed)


def _document(
    path: Input, args: argparse.Namespace, *, on_error: Callable[[UserError], None] | None
) -> Iterator[InputPage]:
    return read_pages(
        path,
        pages=args.pages,
        password=args.password,
        frames=args.frames,
        dpi=args.dpi,
        max_pixels=args.max_pixels or MAX_PIXELS,
        allow_url=args.allow_url,
        on_error=on_error,
    )


def _taken(failed: list[ReadPage]) -> Iterator[ReadPage]:
    yield from failed
    failed.clear()


def _read(ocr: OCR, explained: Path | None, entry: ReadPage) -> ReadPage:
    if entry.source is None:
        return entry
    page = replace(ocr(entry.source.image_rgb), source=entry.page.source, number=entry.page.number)
    if explained is not None:
        from ppocr_jax.commands.explain import explain

        explain(ocr, entry.source.image_rgb, page, explained / page_name(page))
    return replace(entry, page=page)


def page_name(page: Page) -> str:
    """What files about a page are called: its source's name, and its number from 2 on."""
    stem = Path(page.source).stem.strip("-") or "page"
    return f"{stem}-page{page.number}" if page.number > 1 else stem
