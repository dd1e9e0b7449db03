"""hOCR and ALTO, read by a parser that knows neither."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.document import to_alto, to_hocr
from ppocr_jax.document.page import Line, Page
from tests.document.pages import EMPTY, FAILED, PAGE, box

XHTML = "{http://www.w3.org/1999/xhtml}"
ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
# What ALTO 4.4's schema says of the elements written here: children in their order, as a pattern over their names; the
# attributes that must and that may be there.
SIZE = {"WIDTH", "HEIGHT"}
PLACE = SIZE | {"HPOS", "VPOS"}
SCHEMA = {
    "alto": ("(Description )?(Styles )?(Tags )?(ReadingOrder )?Layout ", set(), {"SCHEMAVERSION"}),
    "Description": ("MeasurementUnit (sourceImageInformation )?(OCRProcessing )*(Processing )*", set(), set()),
    "MeasurementUnit": ("", set(), set()),
    "sourceImageInformation": ("(fileName )?(fileIdentifier )*(documentIdentifier )*", set(), set()),
    "fileName": ("", set(), set()),
    "Processing": ("(processingCategory )?(processingSoftware )?", {"ID"}, set()),
    "processingSoftware": ("(softwareCreator )?(softwareName )?(softwareVersion )?", set(), set()),
    "softwareName": ("", set(), set()),
    "softwareVersion": ("", set(), set()),
    "Layout": ("(Page )+", set(), {"STYLEREFS"}),
    "Page": ("(PrintSpace )?", {"ID", "PHYSICAL_IMG_NR"}, SIZE | {"ROTATION"}),
    "PrintSpace": ("(Shape )?(TextBlock )*", set(), PLACE | {"ID"}),
    "TextBlock": ("(Shape )?(TextLine )*", {"ID"}, PLACE | {"ROTATION"}),
    "TextLine": ("(Shape )?(String (SP )?)+", set(), PLACE | {"ID", "BASELINE"}),
    "Shape": ("Polygon ", set(), set()),
    "Polygon": ("", {"POINTS"}, set()),
    "String": ("(Shape )?(Glyph )*", {"CONTENT"}, PLACE | {"ID", "WC", "CC"}),
    "SP": ("", set(), PLACE | {"ID"}),
    "Glyph": ("(Shape )?(Variant )*", {"CONTENT"}, PLACE | {"ID", "GC"}),
}


def check_alto(root: ET.Element) -> None:
    ids = [element.get("ID") for element in root.iter() if element.get("ID")]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", name) for name in ids)
    for element in root.iter():
        children, required, allowed = SCHEMA[element.tag.removeprefix(ALTO)]
        found = "".join(f"{child.tag.removeprefix(ALTO)} " for child in element)
        assert re.fullmatch(children, found), f"{element.tag}: {found}"
        attributes = {name for name in element.attrib if not name.startswith("{")}
        assert required <= attributes <= required | allowed, f"{element.tag}: {attributes}"
        assert all(float(element.get(name, "0")) >= 0 for name in PLACE)
        assert all(0 <= float(element.get(name, "0")) <= 1 for name in ("WC", "GC"))
        assert element.tag != f"{ALTO}Glyph" or len(element.attrib["CONTENT"]) == 1


def test_alto_keeps_to_its_schema():
    root = ET.fromstring("".join(to_alto([PAGE, EMPTY, FAILED])))
    check_alto(root)
    lines = [
        "".join(" " if child.tag == f"{ALTO}SP" else child.get("CONTENT", "") for child in element)
        for element in root.iter(f"{ALTO}TextLine")
    ]
    assert lines == [line.text for line in PAGE]
    assert root.findtext(f".//{ALTO}fileName") == PAGE.source
    words = {e.get("CONTENT"): e for e in root.iter(f"{ALTO}String")}
    assert [words["Shop"].get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")] == ["134", "40", "48", "20"]


def test_alto_outlines_lines_that_do_not_lie():
    root = ET.fromstring("".join(to_alto([PAGE])))
    shapes = [line.find(f"{ALTO}Shape/{ALTO}Polygon") for line in root.iter(f"{ALTO}TextLine")]
    assert [shape is not None for shape in shapes] == [False, False, False, True]
    assert shapes[3] is not None
    assert shapes[3].get("POINTS") == "500.0,390.0 500.0,258.0 520.0,258.0 520.0,390.0"


def test_alto_with_characters_and_of_a_turned_page():
    page = replace(PAGE, rotation=90)
    root = ET.fromstring("".join(to_alto([page], words=True)))
    check_alto(root)
    assert next(root.iter(f"{ALTO}Page")).get("ROTATION") == "270", "ALTO counts counter-clockwise"
    glyphs = ["".join(glyph.get("CONTENT", "") for glyph in string) for string in root.iter(f"{ALTO}String")]
    assert glyphs == [word.text for word in PAGE.words]
    first = next(root.iter(f"{ALTO}Glyph"))
    assert [first.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT", "GC")] == ["50", "40", "12", "20", "0.900"]


def test_alto_without_pages_is_refused():
    with pytest.raises(ValueError, match="at least one page"):
        list(to_alto([]))


def properties(element: ET.Element) -> dict[str, str]:
    """hOCR's `title`: name -> value."""
    return dict(part.strip().split(" ", 1) for part in element.attrib["title"].split(";"))


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [element for element in root.iter() if element.get("class") == name]


def test_hocr_has_pages_lines_and_words():
    root = ET.fromstring("".join(to_hocr([PAGE, EMPTY, FAILED])).split("?>", 1)[1])
    assert root.tag == f"{XHTML}html"
    pages = of_class(root, "ocr_page")
    assert [properties(page)["bbox"] for page in pages] == ["0 0 600 400", "0 0 100 80", "0 0 0 0"]
    assert properties(pages[0])["image"] == '"scans/a & b.png"'
    lines = of_class(root, "ocr_line")
    assert [" ".join(word.text or "" for word in of_class(line, "ocrx_word")) for line in lines] == [
        line.text for line in PAGE
    ]
    assert properties(lines[0])["bbox"] == "50 40 182 60"
    assert properties(lines[0])["baseline"] == "0.0000 0.0"
    assert properties(lines[3])["textangle"] == "90.00"
    assert properties(of_class(root, "ocrx_word")[1]) == {"bbox": "134 40 182 60", "x_wconf": "90"}
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(ids)) == len(ids) > 10


def test_hocr_with_characters():
    root = ET.fromstring("".join(to_hocr([PAGE], words=True)).split("?>", 1)[1])
    words = of_class(root, "ocrx_word")
    assert ["".join(word.itertext()) for word in words] == [word.text for word in PAGE.words]
    assert [properties(char) for char in words[0]][:2] == [
        {"x_bboxes": "50 40 62 60", "x_conf": "90.00"},
        {"x_bboxes": "62 40 74 60", "x_conf": "90.00"},
    ]


def test_hocr_baseline_of_a_skewed_line():
    quad = ((100.0, 200.0), (300.0, 210.0), (299.0, 230.0), (99.0, 220.0))
    root = ET.fromstring("".join(to_hocr([Page(400, 400, (Line(quad, "skewed", 1.0),))])).split("?>", 1)[1])
    slope, offset = map(float, properties(of_class(root, "ocr_line")[0])["baseline"].split())
    left, bottom = 99, 230  # of the box
    assert slope == pytest.approx(0.05)
    assert bottom + offset == pytest.approx(220 + slope * (left - 99))


@given(st.text())
def test_any_text_gives_well_formed_documents(text: str):
    page = Page(90, 90, (Line(box(0, 0, 9, 9), text, 1.0),), text.replace("\0", ""))
    alto = ET.fromstring("".join(to_alto([page])))
    check_alto(alto)
    content = next(alto.iter(f"{ALTO}String")).get("CONTENT")
    hocr = ET.fromstring("".join(to_hocr([page])).split("?>", 1)[1])
    words = of_class(hocr, "ocrx_word")
    if text.isprintable():
        assert content == text
        assert (words[0].text if text else words) == (text or [])
