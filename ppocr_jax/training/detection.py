"""Training of a text detector: network, batches, objective, evaluation and sample images.

The objective is DB alone, DML between students, or Collaborative Mutual Learning with a teacher (PP-OCRv2 section 2.1).
Teachers in ONNX files teach through the batches, with or without labels: their maps are computed where the crops are
made.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.config import DetConfig
from ppocr_jax.data.batches import WHOLE_BATCH, ProcessShare
from ppocr_jax.data.detection import DetectionBatches, DetectionSource, detection_records
from ppocr_jax.data.images import evenly_spread, load_record_image
from ppocr_jax.data.labels import LabelError
from ppocr_jax.errors import UserError
from ppocr_jax.evaluation.pages import evaluate_detection
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.db_postprocess import DBOptions, boxes_from_map
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.model_folder import DetectorSpec, ModelError, load_model_folder
from ppocr_jax.inference.onnx_files import with_onnx_files
from ppocr_jax.inference.released import RELEASES, find_file
from ppocr_jax.losses.shares import cml_share
from ppocr_jax.models import outputs_of
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION, Normalization
from ppocr_jax.synth.page import PageGenerator
from ppocr_jax.training.learners import mutual_objective, objective_alone, training_forward
from ppocr_jax.training.material import Evaluate, Images, make_corpus, make_fonts
from ppocr_jax.training.network import NetworkInTraining
from ppocr_jax.training.step import Batch, Objective

_logger = logging.getLogger("ppocr_jax")
TEACHER = "teacher"
_BOX_COLOR = (255, 40, 40)
_TITLES = {"threshold_map": "threshold target", "teacher_map": "teacher"}


def model_options(config: DetConfig, charset: Charset | None = None) -> dict[str, Any]:
    """Return the builder options that the configuration sets; the others keep the builder's defaults."""
    model, widths = config.model, None
    if model.expansions:
        widths = {"expansions": list(model.expansions), "features": list(model.features), "last": model.last}
    options: dict[str, Any] = {"scale": model.scale, "channels": model.neck_channels, "widths": widths}
    options["threshold"] = None if config.loss.beta > 0 else False
    return {name: value for name, value in options.items() if value is not None}


def sizes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes among a network's options, named as in `config.model`."""
    found = {"scale": options.get("scale"), "neck_channels": options.get("channels")}
    for name, channels in (options.get("widths") or {}).items():
        found[name] = tuple(channels) if isinstance(channels, list) else channels
    return found


def network_spec(config: DetConfig, charset: Charset | None = None) -> DetectorSpec:
    """Return the network's description for `model.json`."""
    return DetectorSpec(
        network=config.model.name, options=model_options(config), postprocess=DBOptions(**asdict(config.reading))
    )


def batches(config: DetConfig, charset: Charset | None = None, process: ProcessShare = WHOLE_BATCH) -> DetectionBatches:
    """Return the batches: images with the four target maps.

    Args:
        config: `data` and `train` are used.
        charset: Not used; synthetic pages have `data.synthetic_charset`.
        process: Which rows to make.
    """
    data, pages = config.data, None
    if data.synthetic_share > 0:
        page_charset = load_charset(data.synthetic_charset)
        pages = PageGenerator(
            charset=page_charset,
            fonts=make_fonts(data.synthetic, page_charset, warn=True),
            corpus=make_corpus(data.synthetic, page_charset),
            backgrounds=(data.synthetic.backgrounds,) if data.synthetic.backgrounds else (),
        )
    return DetectionBatches(
        seed=config.train.seed,
        batch_size=config.train.batch_size,
        crop_size=data.crop_size,
        scale_range=data.scale_range,
        crop=data.crop,
        sources=tuple(DetectionSource.read(source) for source in data.train_labels),
        page_generator=pages,
        synthetic_share=data.synthetic_share,
        photometric=data.photometric,
        shrink_ratio=data.shrink_ratio,
        copy_paste=data.copy_paste,
        process=process,
        teach=onnx_teachers(config),
    )


def network_teacher(config: DetConfig) -> str | None:
    """Return the teacher that runs in the training step; None if there is none or ONNX Runtime runs it.

    Raises:
        UserError: If there are several teachers and one of them is not an ONNX detector.
    """
    names = config.mutual.teacher
    networks = [name for name in names if not _is_onnx(name)]
    if networks and len(names) > 1:
        raise UserError(
            f"mutual.teacher: {networks[0]!r} is not an ONNX detector, as each of several teachers must be: pass .onnx "
            f"files (`ppocr-jax export` writes them) or {', '.join(RELEASES)}"
        )
    return networks[0] if networks else None


def _is_onnx(name: str) -> bool:
    return name.endswith(".onnx") or (name in RELEASES and not Path(name).exists())


@dataclass(frozen=True)
class OnnxTeachers:
    """ONNX detectors as one teacher; picklable. Each process opens its sessions on first use, with one thread each.

    Attributes:
        backends: The networks, each with the normalization of its input.
        disagreement: Largest difference between their maps at a pixel that teaches.
    """

    backends: tuple[tuple[OnnxBackend, Normalization], ...]
    disagreement: float = 1.0

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Predict the probability maps of images (B, S, S, 3) uint8 RGB.

        Returns:
            "teacher_map" (B, S, S) float32, the mean of their probability maps; "teacher_mask" (B, S, S) uint8, 0 where
            two differ by more than `disagreement`.

        Raises:
            ModelError: If a file is not a detector.
        """
        maps = []
        for backend, normalization in self.backends:
            output = backend(np.stack([normalization(image) for image in images]))
            if output.shape != images.shape[:3]:
                raise ModelError(f"{backend.path} is not a detector: it maps {images.shape} to {output.shape}")
            maps.append(output)
        differences = np.max(maps, axis=0) - np.min(maps, axis=0)
        return {
            "teacher_map": np.asarray(np.mean(maps, axis=0), np.float32),
            "teacher_mask": (differences <= self.disagreement).astype(np.uint8),
        }


def onnx_teachers(config: DetConfig) -> OnnxTeachers | None:
    """Return the teachers of `mutual.teacher` that ONNX Runtime runs, after a test run; None if there are none.

    Raises:
        UserError: If one is missing, is not a detector, or takes images of another size than `data.crop_size`.
    """
    if not config.mutual.teacher or network_teacher(config) is not None:
        return None
    base, size, found = load_model_folder("en"), config.data.crop_size, []
    for name in config.mutual.teacher:
        try:
            file = find_file(RELEASES[name].det, name) if name in RELEASES and not Path(name).exists() else Path(name)
            model, opened = with_onnx_files(base, det=file, device="cpu")
            spec: DetectorSpec = model.spec("det")
            if spec.size not in (None, (size, size)):
                raise ModelError(f"{name} takes only images of size {spec.size}: set data.crop_size to it")
            found.append((opened["det"], spec.normalization))
            OnnxTeachers((found[-1],))(np.zeros((1, size, size, 3), np.uint8))
        except UserError as error:
            raise UserError(f"mutual.teacher: {error}") from error
    _logger.info("teacher: %s, run by ONNX Runtime on the crops", " and ".join(config.mutual.teacher))
    return OnnxTeachers(tuple(found), config.mutual.teacher_disagreement)


def objective(
    model: nn.Module,
    config: DetConfig,
    charset: Charset | None = None,
    *,
    teacher: nn.Module | None = None,
    mesh: Mesh | None = None,
) -> Objective:
    """Return the objective on a batch of `images` and the four target maps; see `losses.shares`.

    Args:
        model: One student.
        config: `loss`, of each student against the labels; `mutual`, of the students against each other and the
            teacher.
        charset: Not used.
        teacher: A network whose variables are `frozen["teacher"]`; ONNX teachers' maps are in the batch as
            "teacher_map".
        mesh: See `learners.mutual_objective`.
    """
    loss, mutual = config.loss, config.mutual

    def share(own: Any, peers: Any, batch: Batch, context: Any, step: jax.Array):
        return cml_share(
            own,
            [peer["probability"] for peer in peers],
            context.get(TEACHER),
            batch,
            teacher_weight=mutual.teacher_weight,
            dml_weight=mutual.dml_weight,
            alpha=loss.alpha,
            beta=loss.beta,
            main=loss.main,
            negative_ratio=loss.negative_ratio,
            binarize=mutual.binarize_teacher,
            dml_form=mutual.dml_form,
            teacher_form=mutual.teacher_form,
            teacher_threshold=mutual.teacher_threshold,
        )

    def teacher_map(frozen: Any, batch: Batch) -> dict[str, jax.Array]:
        if teacher is None:
            return {TEACHER: batch["teacher_map"]} if "teacher_map" in batch else {}
        variables = frozen[TEACHER]
        if mutual.teacher_mode == "eval":
            return {TEACHER: outputs_of(teacher, variables, batch["images"])["probability"]}
        # BatchNorm uses the batch's statistics. PaddleOCR also updates the running statistics, which no student sees.
        outputs, _ = teacher.apply(variables, batch["images"], train=True, mutable=["batch_stats"])
        return {TEACHER: outputs["probability"]}

    forward = training_forward(model, frozen_statistics=config.train.frozen_statistics)
    if mutual.students == 1:
        return objective_alone(forward, share, teacher_map)
    return mutual_objective(
        forward, share, exchanged=["probability"], students=mutual.students, mesh=mesh, context=teacher_map
    )


def evaluation(model: nn.Module, config: DetConfig, charset: Charset | None = None) -> Evaluate:
    """Return a function from a network's variables to precision, recall and Hmean, pooled over `data.val_labels`.

    Raises:
        LabelError: If a label file is broken, labels lines instead of images with regions, or has no text to find.
        ImageError: If an image cannot be read.
    """
    records = []
    for source in config.data.val_labels:
        labeled = evenly_spread(detection_records(source), config.data.val_limit)
        if all(region.ignore for record in labeled for region in record.regions):
            raise LabelError(f"data.val_labels: {source.path} has no region to find: nothing could be scored")
        for record in labeled:
            load_record_image(record.image_path)  # otherwise a broken image would end the run at its first evaluation
        records += labeled
    network, spec = NetworkInTraining(model, "det"), network_spec(config)
    if not records:
        _logger.warning("no data.val_labels: nothing is scored, and the last weights count as the best")

    def evaluate(variables: Mapping[str, Any]) -> Mapping[str, float]:
        if not records:
            return {}
        return evaluate_detection(TextDetector(network.with_variables(variables), spec), records)

    return evaluate


def images(model: nn.Module, config: DetConfig, charset: Charset | None = None) -> Images:
    """Return a function that draws a batch's images, each next to its target, its probability map and one more map.

    Detected boxes are drawn on the image. The last map is the teacher's if the batch has one, otherwise the threshold
    target.
    """
    options = DBOptions(**asdict(config.reading))
    predict = jax.jit(lambda variables, images: outputs_of(model, variables, images)["probability"])

    def draw(variables: Mapping[str, Any], batch: Batch) -> dict[str, np.ndarray]:
        maps = np.asarray(predict(variables, batch["images"]))
        rows, last = [], "teacher_map" if "teacher_map" in batch else "threshold_map"
        for i, probability in enumerate(maps):
            drawn = _with_boxes(DETECTOR_NORMALIZATION.inverse(batch["images"][i]), probability, options)
            rest = (batch["shrink_map"][i], probability, batch[last][i])
            rows.append(np.hstack([drawn, *(_gray(values) for values in rest)]))
        return {f"found, target, probability, {_TITLES[last]}": np.vstack(rows)}

    return draw


def _with_boxes(image_rgb: np.ndarray, probability: np.ndarray, options: DBOptions) -> np.ndarray:
    import cv2

    boxes = boxes_from_map(probability, source_size=image_rgb.shape[:2], options=options)
    quads = [np.round(box.points).astype(np.int32) for box in boxes]
    return cv2.polylines(np.ascontiguousarray(image_rgb), quads, True, _BOX_COLOR, 1, cv2.LINE_AA)


def _gray(values: np.ndarray) -> np.ndarray:
    """Return a map of 0..1 as an RGB image."""
    return np.repeat((np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
