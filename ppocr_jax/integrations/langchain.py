"""A LangChain document loader: a `Document` for each page."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from ppocr_jax.inference.documents import DocumentOptions, Sources
from ppocr_jax.inference.ocr import OCR


class OCRLoader(BaseLoader):
    """Loads the pages of images, PDF documents and folders as text.

    Example:
        documents = OCRLoader("scans/", options={"recursive": True}).load()
    """

    def __init__(self, sources: Sources, *, ocr: OCR | None = None, options: DocumentOptions | None = None) -> None:
        """
        Args:
            sources: see `OCR.read`.
            ocr: to read with; default: `OCR("en")`.
            options: of `OCR.read`.
        """
        self._sources, self._ocr, self._options = sources, ocr or OCR("en"), options or {}

    def lazy_load(self) -> Iterator[Document]:
        """Yield a document per page: its lines, one per row; `source`, `page` and the least sure line's confidence.

        Raises:
            UserError: a source cannot be read (unless the option `on_error` is "page").
        """
        for page in self._ocr.read(self._sources, **self._options):
            metadata = {"source": page.source, "page": page.number, "width": page.width, "height": page.height}
            if len(page):
                metadata["least_confidence"] = round(min(line.confidence for line in page), 4)
            if page.error:
                metadata["error"] = page.error
            yield Document(page_content=page.text, metadata=metadata)
