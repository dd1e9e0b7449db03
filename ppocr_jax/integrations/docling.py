"""OCR engine for docling, selected by `PPOCROptions` if docling is allowed to load external plugins.

Docling finds this module by the package's entry point `docling`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from docling.datamodel.accelerator_options import AcceleratorDevice, AcceleratorOptions
from docling.datamodel.base_models import Page as DoclingPage
from docling.datamodel.document import ConversionResult
from docling.datamodel.pipeline_options import OcrOptions
from docling.datamodel.settings import settings
from docling.models.base_ocr_model import BaseOcrModel
from docling.utils.profiling import TimeRecorder
from docling_core.types.doc.base import BoundingBox, CoordOrigin
from docling_core.types.doc.page import BoundingRectangle, TextCell
from pydantic import Field

from ppocr_jax.document.page import Line
from ppocr_jax.inference.ocr import OCR


class PPOCROptions(OcrOptions):
    """OCR options for docling's pipeline.

    Attributes:
        lang: Must be empty, because the model determines which characters can be read.
        model: Built-in model, released model ("ppocr-v4") or model folder, as for `OCR`.
        options: Options of `OCR`, such as {"letters": "latin", "drop_score": 0.7}.
    """

    kind: ClassVar[Literal["ppocr-jax"]] = "ppocr-jax"
    canonicalize_lang: ClassVar[bool] = False

    lang: list[str] = Field(default=[], max_length=0)
    model: str = "en"
    options: dict[str, Any] = Field(default_factory=dict)


class PPOCRModel(BaseOcrModel):
    """OCR model that reads the page regions chosen by docling."""

    def __init__(
        self,
        enabled: bool,
        artifacts_path: Path | None,
        options: PPOCROptions,
        accelerator_options: AcceleratorOptions,
    ) -> None:
        """Load the model if the engine is enabled.

        Args:
            enabled: Whether to read anything.
            artifacts_path: Docling's folder of models; not used, because `options.model` names the model.
            options: The model and its options.
            accelerator_options: `num_threads`, and CUDA if it is the chosen device, are passed to `OCR`;
                `options.options` takes precedence.

        Raises:
            UserError: The model or an option does not exist.
        """
        super().__init__(
            enabled=enabled, artifacts_path=artifacts_path, options=options, accelerator_options=accelerator_options
        )
        self.options: PPOCROptions = options
        if enabled:
            wanted = str(getattr(accelerator_options.device, "value", accelerator_options.device))
            device = "cuda" if wanted.startswith(AcceleratorDevice.CUDA.value) else "auto"
            given: dict[str, Any] = {"device": device, "threads": accelerator_options.num_threads, **options.options}
            self.reader = OCR(options.model, **given)

    def __call__(self, conv_res: ConversionResult, page_batch: Iterable[DoclingPage]) -> Iterable[DoclingPage]:
        """Yield the pages with the recognized text of their regions in docling's cells."""
        for page in page_batch:
            if self.enabled and page._backend is not None and page._backend.is_valid():
                with TimeRecorder(conv_res, "ocr"):
                    regions = [region for region in self.get_ocr_rects(page) if region.area() > 0]
                    cells = [cell for region in regions for cell in self._cells(page, region)]
                    for index, cell in enumerate(cells):
                        cell.index = index
                    self.post_process_cells(cells, page, conv_res)
                if settings.debug.visualize_ocr:
                    self.draw_ocr_rects_and_cells(conv_res, page, regions)
            yield page

    def _cells(self, page: DoclingPage, region: BoundingBox) -> Iterator[TextCell]:
        assert page._backend is not None  # checked in `__call__`
        image = page._backend.get_page_image(scale=self.options.scale, cropbox=region)
        read = self.reader(np.asarray(image.convert("RGB")))
        for line in read:
            yield TextCell(
                text=line.text,
                orig=line.text,
                confidence=line.confidence,
                from_ocr=True,
                rect=_rectangle(line, region, self.options.scale),
            )

    @classmethod
    def get_options_type(cls) -> type[OcrOptions]:
        """Return the options class by which docling finds this engine."""
        return PPOCROptions


def _rectangle(line: Line, region: BoundingBox, scale: float) -> BoundingRectangle:
    """Return the axis-aligned rectangle around a line, in points from the page's top left."""
    x, y = np.asarray(line.quad, np.float64).T / scale
    bounds = (x.min() + region.l, y.min() + region.t, x.max() + region.l, y.max() + region.t)
    box = BoundingBox.from_tuple(tuple(float(value) for value in bounds), origin=CoordOrigin.TOPLEFT)
    return BoundingRectangle.from_bounding_box(box)


def ocr_engines() -> dict[str, list[type[BaseOcrModel]]]:
    """Return the engines of this plugin; docling calls this function."""
    return {"ocr_engines": [PPOCRModel]}
