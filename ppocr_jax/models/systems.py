"""PP-OCR's systems by name: which networks each is made of, and which experiments train them."""

from __future__ import annotations

from typing import NamedTuple

from flax import linen as nn

from ppocr_jax.models import build_model
from ppocr_jax.models.ops import Ops


class Part(NamedTuple):
    """One network of a system.

    Attributes:
        network: an entry of `MODELS`, with its default options.
        config: the experiment that trains it.
    """

    network: str
    config: str


class System(NamedTuple):
    """A detector, a direction classifier and a recognizer.

    Attributes:
        about: what it is for, and where it is described.
    """

    about: str
    det: Part
    cls: Part
    rec: Part


_CLS = Part("direction_mobilenet_v3", "configs/cls/pp_ocr.toml")
SYSTEMS: dict[str, System] = {
    "ppocr_mobile": System(
        "PP-OCR for phones (arXiv 2009.09941)",
        Part("db_mobilenet_v3", "configs/det/pp_ocr.toml"),
        _CLS,
        Part("crnn_mobilenet_v3", "configs/rec/pp_ocr_mv3.toml"),
    ),
    "ppocr_server": System(
        "PP-OCR for servers (arXiv 2009.09941): large networks",
        Part("db_resnet18", "configs/det/teacher_resnet18.toml"),
        _CLS,
        Part("crnn_resnet34", "configs/rec/pp_ocr_server.toml"),
    ),
    "ppocr_v2": System(
        "PP-OCRv2 (arXiv 2109.03144): CML, U-DML, Enhanced CTC",
        Part("db_mobilenet_v3", "configs/det/ppocr_v2_cml_copy_paste.toml"),
        _CLS,
        Part("crnn_lcnet", "configs/rec/ppocr_v2_enhanced_ctc.toml"),
    ),
    "ppocr_v3": System(
        "PP-OCRv3 (arXiv 2206.03001): RSE-FPN, SVTR-LCNet",
        Part("db_rse_fpn", "configs/det/ppocr_v3_cml.toml"),
        _CLS,
        Part("svtr_lcnet", "configs/rec/ppocr_v3.toml"),
    ),
}


def build_system(name: str, *, num_classes: int, ops: Ops | None = None) -> dict[str, nn.Module]:
    """Build the networks of a system.

    Args:
        name: an entry of `SYSTEMS`.
        num_classes: of the recognizer, blank included.
        ops: forms of the basic operations; those of the default JAX backend if left out.

    Returns:
        Task ("det", "cls", "rec") -> network.

    Raises:
        ValueError: there is no such system.
    """
    if name not in SYSTEMS:
        raise ValueError(f"no system {name!r}; there are {', '.join(SYSTEMS)}")
    system = SYSTEMS[name]
    return {
        "det": build_model(system.det.network, ops=ops),
        "cls": build_model(system.cls.network, ops=ops),
        "rec": build_model(system.rec.network, ops=ops, num_classes=num_classes),
    }
