"""LangChain's loader, and Label Studio's JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.document.page import Line, Page
from ppocr_jax.errors import UserError
from ppocr_jax.integrations import label_studio
from tests.stripes import paint_page

QUAD = ((10.0, 20.0), (110.0, 30.0), (108.0, 50.0), (8.0, 40.0))


@pytest.fixture
def scans(tmp_path):
    from PIL import Image

    for name, text in (("a", "abc"), ("b", "ccb")):
        Image.fromarray(paint_page((64, 320), [(text, (160, 32), 0)])).save(tmp_path / f"{name}.png")
    return tmp_path


def test_langchain_gets_a_document_per_page(scans, stripes_model):
    pytest.importorskip("langchain_core", reason="needs the extra langchain")
    from langchain_core.document_loaders import BaseLoader

    from ppocr_jax.integrations.langchain import OCRLoader

    (scans / "broken.png").write_bytes((scans / "a.png").read_bytes()[:80])
    loader = OCRLoader(scans, ocr=OCR(stripes_model), options={"on_error": "page"})
    assert isinstance(loader, BaseLoader)
    documents = {Path(document.metadata["source"]).name: document for document in loader.load()}
    assert {name: document.page_content for name, document in documents.items()} == {
        "a.png": "abc",
        "b.png": "ccb",
        "broken.png": "",
    }
    assert documents["a.png"].metadata["page"] == 1
    assert documents["a.png"].metadata["least_confidence"] > 0.5
    assert "damaged" in documents["broken.png"].metadata["error"]
    with pytest.raises(UserError):
        OCRLoader(scans / "broken.png", ocr=OCR(stripes_model)).load()


def test_predictions_come_back_as_annotations():
    """As Label Studio does it when someone accepts a prediction: the same result becomes an annotation's."""
    page = Page(200, 100, (Line(QUAD, "First line", 0.9), Line(QUAD[2:] + QUAD[:2], "Zweite 中文", 0.5)), "x.png")
    tasks = list(label_studio.to_tasks([page, Page(0, 0, (), error="damaged")], lambda page: f"/data/{page.source}"))
    (task,) = json.loads(json.dumps(tasks))
    assert task["data"] == {"ocr": "/data/x.png"}
    (prediction,) = task["predictions"]
    assert prediction["score"] == pytest.approx(0.7)
    assert prediction["result"][0]["value"]["points"][0] == [5.0, 20.0]  # percents
    assert {part["from_name"] for part in prediction["result"]} == {"poly", "label", "transcription"}
    for name in ("poly", "label", "transcription"):
        assert f'name="{name}"' in label_studio.CONFIG
    exported = {**task, "annotations": [{"result": [], "was_cancelled": True}, {"result": prediction["result"]}]}
    (back,) = label_studio.from_export([exported, {"data": {}, "annotations": []}])
    assert (back.width, back.height, back.source) == (200, 100, "/data/x.png")
    assert [line.text for line in back] == ["First line", "Zweite 中文"]
    np.testing.assert_allclose([line.quad for line in back], [line.quad for line in page], atol=1e-9)


def test_rectangles_and_other_polygons_of_people():
    common = {"original_width": 200, "original_height": 100, "to_name": "image"}
    turned = {"x": 50, "y": 20, "width": 20, "height": 10, "rotation": 90}
    result = [
        {**common, "id": "a", "type": "rectangle", "value": turned},
        {**common, "id": "a", "type": "textarea", "value": {"text": ["down"]}},
        {**common, "id": "b", "type": "polygon", "value": {"points": [[0, 0], [10, 0], [20, 10], [10, 30], [0, 20]]}},
    ]
    (page,) = label_studio.from_export([{"data": {"image": "y.png"}, "annotations": [{"result": result}]}])
    assert [line.text for line in page] == ["down", ""]
    np.testing.assert_allclose(page.lines[0].quad, [(100, 20), (100, 60), (90, 60), (90, 20)], atol=1e-9)
    np.testing.assert_allclose(page.lines[1].quad, [(0, 0), (40, 0), (40, 30), (0, 30)], atol=1e-9)


@pytest.mark.parametrize("task", [{}, {"annotations": [{}], "data": {}}, {"annotations": 3, "data": {}}])
def test_what_is_no_export_is_said(task):
    with pytest.raises(UserError, match="task 1"):
        list(label_studio.from_export([task]))
