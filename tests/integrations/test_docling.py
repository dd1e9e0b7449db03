"""The engine for docling, against the real package: found by it, and reading the regions of its pages."""

import numpy as np
import pytest

pytest.importorskip("docling", reason="needs the extra docling")
pytest.importorskip("pypdfium2", reason="needs the extra docling")

from docling.backend.pypdfium2_backend import PyPdfiumDocumentBackend
from docling.datamodel.accelerator_options import AcceleratorOptions
from docling.datamodel.base_models import InputFormat, Page
from docling.datamodel.document import ConversionResult, InputDocument
from docling.datamodel.pipeline_options import OcrMode
from docling.models.factories import get_ocr_factory
from PIL import Image
from pydantic import ValidationError

from ppocr_jax import OCR
from ppocr_jax.errors import UserError
from ppocr_jax.integrations import docling as plugin
from tests.stripes import paint_page

# A pixel of it is a point of the page.
IMAGE = paint_page((128, 320), [("abc", (80, 32), 0), ("cab", (220, 96), 0)])


@pytest.fixture
def converted(tmp_path):
    """A PDF document of one image, opened by docling."""
    Image.fromarray(IMAGE).save(tmp_path / "scan.pdf", resolution=72.0)
    document = InputDocument(
        path_or_stream=tmp_path / "scan.pdf", format=InputFormat.PDF, backend=PyPdfiumDocumentBackend
    )
    page = Page(page_no=1)
    page._backend = document._backend.load_page(0)
    page.size = page._backend.get_size()
    page.parsed_page = page._backend.get_segmented_page()
    return ConversionResult(input=document, pages=[page])


def engine(model, **chosen):
    options = plugin.PPOCROptions(model=str(model), mode=OcrMode.FULL_PAGE, scale=1.0, **chosen)
    return plugin.PPOCRModel(
        enabled=True, artifacts_path=None, options=options, accelerator_options=AcceleratorOptions(num_threads=1)
    )


def test_docling_finds_the_engine(stripes_model):
    factory = get_ocr_factory(allow_external_plugins=True)
    assert "ppocr-jax" in factory.registered_kind
    options = factory.create_options("ppocr-jax", model=str(stripes_model))
    assert isinstance(options, plugin.PPOCROptions)
    made = factory.create_instance(
        options, enabled=False, artifacts_path=None, accelerator_options=AcceleratorOptions()
    )
    assert isinstance(made, plugin.PPOCRModel)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_cells_hold_the_text_where_it_stands(converted, stripes_model, scale):
    model = engine(stripes_model)
    model.options.scale = scale
    (page,) = model(converted, converted.pages)
    cells = {cell.text: cell for cell in page.cells}
    lines = {line.text: line for line in OCR(stripes_model)(IMAGE)}
    assert set(cells) == set(lines) == {"abc", "cab"}
    for text, line in lines.items():
        box = cells[text].rect.to_bounding_box()
        expected = np.concatenate([np.min(line.quad, axis=0), np.max(line.quad, axis=0)])
        np.testing.assert_allclose(
            [box.l, box.t, box.r, box.b], expected, atol=4
        )  # JPEG and rendering move edges a little
        assert cells[text].from_ocr
        assert cells[text].confidence > 0.5


def test_wrong_options_are_said(stripes_model):
    with pytest.raises(ValidationError):
        plugin.PPOCROptions(lang=["deu"])
    with pytest.raises(UserError, match="no-such-model"):
        engine("no-such-model")
    with pytest.raises((TypeError, ValueError), match="no_such_option"):
        engine(stripes_model, options={"no_such_option": 1})
