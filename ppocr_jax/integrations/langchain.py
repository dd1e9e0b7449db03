"""LangChain document loader that returns a `Document` for each page."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from ppocr_jax.inference.documents import DocumentOptions, Sources
from ppocr_jax.inference.ocr import OCR


class OCRLoader(BaseLoader):
    """Loader of the text of images, PDF documents and folders.

    Example:
        documents = OCRLoader("scans/", options={"recursive": True}).load()
    """

    def __init__(self, sources: Sources, *, ocr: OCR | None = None, options: DocumentOptions | None = None) -> None:
        """
        Args:
            sources: See `OCR.read`.
            ocr: The `OCR` to use; default: `OCR("en")`.
            options: Options of `OCR.read`.
        """
        self._sources, self._ocr, self._options = sources, ocr or OCR("en"), options or {}

    def lazy_load(self) -> Iterator[Document]:
        """Yield a document per page, with a row of text per line.

        The metadata are `source`, `page`, `width`, `height`, `least_confidence` (of all lines, if there are any), and
        `error` if the page could not be read.

        Raises:
            UserError: A source cannot be read (unless the option `on_error` is "page").
        """
        for page in self._ocr.read(self._sources, **self._options):
            metadata = {"source": page.source, "page": page.number, "width": page.width, "height": page.height}
            if len(page):
                metadata["least_confidence"] = round(min(line.confidence for line in page), 4)
            if page.error:
                metadata["error"] = page.error
            yield Document(page_content=page.text, metadata=metadata)
