"""Training of a text recognizer: network, batches, objective, evaluation and sample images.

The objective combines CTC, Unified Deep Mutual Learning and Enhanced CTC (PP-OCRv2 section 2.2), the warm start, and
the guide of PP-OCRv3.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from ppocr_jax.charset import Charset
from ppocr_jax.config import LabelSource, RecConfig, RecLossConfig, TrainConfig
from ppocr_jax.data.augment_rec import LineAugmentation
from ppocr_jax.data.batches import WHOLE_BATCH, ProcessShare
from ppocr_jax.data.images import evenly_spread, with_images
from ppocr_jax.data.labels import LabelError, read_labels
from ppocr_jax.data.recognition import RecognitionBatches
from ppocr_jax.errors import UserError
from ppocr_jax.evaluation.lines import LabeledLine, evaluate_recognition, held_out_lines, line_samples
from ppocr_jax.inference.decode import ctc_greedy_decode
from ppocr_jax.inference.model_folder import RecognizerSpec
from ppocr_jax.inference.recognize import TextRecognizer
from ppocr_jax.losses.cross_entropy import ace_loss, attention_loss, frame_loss, places_of_labels
from ppocr_jax.losses.ctc import ctc_loss, fold_case
from ppocr_jax.losses.shares import udml_share
from ppocr_jax.models import build_model, outputs_of
from ppocr_jax.models.ops import native_ops
from ppocr_jax.preprocess import LINE_NORMALIZATION
from ppocr_jax.training.centers import load_centers
from ppocr_jax.training.learners import mutual_objective, objective_alone, training_forward
from ppocr_jax.training.material import Evaluate, Images, crop_bank, line_generator, make_corpus
from ppocr_jax.training.network import NetworkInTraining
from ppocr_jax.training.sharding import DATA_AXIS, make_mesh
from ppocr_jax.training.step import Batch, Objective, Terms

_logger = logging.getLogger("ppocr_jax")
CENTERS = "centers"
_SYNTHETIC_VAL_LINES = 200
_PADDED_WIDTH = 320  # PaddleOCR's input width; narrower lines are padded to it, unless training has smaller widths
_LINES_AT_ONCE = 32  # shapes are padded to few sizes, so large batches cost little padding
_CAPTION_HEIGHT = 14


def model_options(config: RecConfig, charset: Charset) -> dict[str, Any]:
    """Return the builder options that the configuration sets; the others keep the builder's defaults."""
    options = {
        "num_classes": charset.num_classes,
        "scale": config.model.scale,
        "hidden": config.model.hidden,
        "activation": config.model.activation,
        "guided": True if config.loss.guide_weight > 0 else None,
        "mask_padding": True if config.model.mask_padding else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def sizes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes and the activation among a network's options, named as in `config.model`."""
    return {name: options.get(name) for name in ("scale", "hidden", "activation")}


def network_spec(config: RecConfig, charset: Charset) -> RecognizerSpec:
    """Return the network's description for `model.json`."""
    return RecognizerSpec(
        network=config.model.name,
        options=model_options(config, charset),
        height=config.data.height,
        # Otherwise lines could be padded to a width that never occurs in training.
        min_width=min(_PADDED_WIDTH, config.data.widths[0]),
    )


def batches(config: RecConfig, charset: Charset, process: ProcessShare = WHOLE_BATCH) -> RecognitionBatches:
    """Return the batches: lines with their labels; `process`: which rows to make."""
    data, pixels = config.data, frame_width(config, charset)
    # Every width must be a whole number of frames, and wide enough for one character.
    if any(width % pixels for width in data.widths) or data.widths[0] < data.height / 2:
        raise UserError(
            f"data.widths must be multiples of {pixels} and at least half of data.height ({data.height}), "
            f"not {list(data.widths)}"
        )
    longest = data.longest_label(pixels)
    return RecognitionBatches(
        charset=charset,
        generator=line_generator(
            data.synthetic, charset, warn=data.synthetic_share > 0 or data.synthetic_warm_steps > 0
        ),
        bank=crop_bank(data.train_labels, charset, longest),
        widths=data.widths,
        batch_size=config.train.batch_size,
        synthetic_share=data.synthetic_share,
        synthetic_warm_steps=data.synthetic_warm_steps,
        max_label_length=longest,
        augmentation=LineAugmentation(data.augment_probability, recipe=data.augmentation),
        synthetic_augmentation=LineAugmentation(data.augment_probability, recipe=data.synthetic_augmentation),
        seed=config.train.seed,
        height=data.height,
        reference_width=data.reference_width,
        frame_width=pixels,
        join_probability=data.join_probability,
        multiple_of=_batch_unit(config.train),
        process=process,
    )


def frame_width(config: RecConfig, charset: Charset) -> int:
    """Return the width in pixels of one frame of the network's output: 4, or 8 in PP-OCRv3."""
    options = {name: value for name, value in model_options(config, charset).items() if name != "guided"}
    return _frame_width(config.model.name, tuple(options.items()), config.data.height)


@lru_cache(maxsize=8)
def _frame_width(name: str, options: tuple[tuple[str, Any], ...], height: int) -> int:
    model = build_model(name, ops=native_ops, **dict(options))  # the fastest to trace
    line = jax.ShapeDtypeStruct((1, height, _PADDED_WIDTH, 3), jnp.float32)
    try:
        outputs, _ = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False), line)
    except ValueError as error:  # the rows that its strides leave are not one
        raise UserError(f"data.height: {name} cannot read lines {height} pixels high ({error})") from error
    return round(_PADDED_WIDTH / outputs["logits"].shape[1])


def _batch_unit(config: TrainConfig) -> int:
    """Return a number whose multiples, as batch sizes, can be split over devices and accumulated parts."""
    mesh = make_mesh(config.mesh, config.batch_size // config.accumulate)
    return math.lcm(8, config.accumulate * (1 if mesh is None else mesh.shape[DATA_AXIS]))


def constants(config: RecConfig, charset: Charset) -> dict[str, jax.Array]:
    """Return the constant arrays that the objective reads: the centers of Enhanced CTC."""
    return {CENTERS: load_centers(config.loss.centers, charset)} if config.loss.centers else {}


def is_exempt_from_l2(config: RecConfig, path: str) -> bool:
    """Return whether a parameter gets no L2: BatchNorm of the PP-LCNet recognizers (PaddleOCR release/2.6)."""
    return config.model.name in ("crnn_lcnet", "svtr_lcnet") and path.endswith(("bn/scale", "bn/bias"))


def objective(
    model: nn.Module,
    config: RecConfig,
    charset: Charset,
    *,
    teacher: nn.Module | None = None,
    mesh: Mesh | None = None,
) -> Objective:
    """Return CTC and the losses that `loss` and `mutual` add; for lines marked `case_blind`, CTC ignores case.

    See `losses.shares`.

    Args:
        model: One student.
        config: `loss`, of each student against the labels (the center loss reads `frozen["centers"]`); `mutual`, of the
            students against each other.
        charset: Characters of the labels.
        teacher: Not used; a recognizer has no teacher.
        mesh: See `learners.mutual_objective`.
    """
    loss, mutual = config.loss, config.mutual
    pairs = case_pairs(charset)

    def label_terms(logits: jax.Array, batch: Batch) -> Terms:
        scored = fold_case(logits, pairs, batch["case_blind"])
        terms = {"ctc": ctc_loss(scored, batch["labels"], batch["lengths"], focal=loss.focal)}
        if loss.ace_weight > 0:
            terms["ace"] = ace_loss(scored, batch["labels"], batch["lengths"])
        if loss.align_steps:
            terms["alignment"] = frame_loss(logits, batch["frames"])
        return terms

    def share(own: Any, peers: Any, batch: Batch, context: Any, step: jax.Array):
        labeled, guided = label_terms(own["logits"], batch), None
        if loss.guide_weight > 0:
            written, tells_case = own["guide_logits"], ~batch["case_blind"]
            labeled["guide"] = attention_loss(written, batch["labels"], batch["lengths"], tells_case)
            guided = places_of_labels(written.shape[1], batch["lengths"], tells_case)
        weights = _weights(loss, step)
        weighted = sum((weights[name] * term for name, term in labeled.items()), jnp.zeros(()))
        total, terms = udml_share(
            own,
            peers,
            weighted,
            dml_weight=mutual.dml_weight,
            feature_weight=mutual.feature_weight,
            center_weight=loss.center_weight,
            centers=context.get(CENTERS),
            guided=guided,
        )
        return total, {**terms, **labeled}

    def context(frozen: Any, batch: Batch) -> dict[str, jax.Array]:
        return {CENTERS: frozen[CENTERS]} if loss.center_weight > 0 else {}

    forward = training_forward(model, frozen_statistics=config.train.frozen_statistics)
    if mutual.students == 1:
        return objective_alone(forward, share, context)
    exchanged = ["logits", "backbone", *(["guide_logits"] if loss.guide_weight > 0 else [])]
    return mutual_objective(forward, share, exchanged=exchanged, students=mutual.students, mesh=mesh, context=context)


def _weights(config: RecLossConfig, step: jax.Array) -> dict[str, Any]:
    """Return the weights at `step`; during the warm start CTC begins later and has its own weight."""
    aligning = step < config.align_steps
    while_aligning = jnp.where(step < config.ctc_from_step, 0.0, config.ctc_weight)
    ctc = jnp.where(aligning, while_aligning, 1.0)
    alignment = jnp.where(aligning, config.align_weight, 0.0)
    return {"ctc": ctc, "ace": ctc * config.ace_weight, "alignment": alignment, "guide": config.guide_weight}


def case_pairs(charset: Charset) -> np.ndarray:
    """Return the ids of each capital and its small letter, if the charset has both; (P, 2) int32."""
    pairs = [(index, charset.ids.get(character.lower())) for character, index in charset.ids.items()]
    return np.array([p for p in pairs if p[1] not in (None, p[0])], np.int32).reshape(-1, 2)


def evaluation(model: nn.Module, config: RecConfig, charset: Charset) -> Evaluate:
    """Return a function from a network's variables to line accuracy and edit distance.

    The lines are those of `data.val_labels`, pooled; without labels, synthetic lines in fonts held out from training.

    Raises:
        LabelError: If a label file is broken, or has no line with a text.
    """
    samples = [s for source in config.data.val_labels for s in _lines(source, config.data.val_limit)]
    if not samples:
        count = config.data.val_limit or _SYNTHETIC_VAL_LINES
        _logger.warning("no data.val_labels: scored on %d synthetic lines in fonts that training does not see", count)
        corpus = make_corpus(config.data.synthetic, charset)
        lines = held_out_lines(count, charset=charset, corpus=corpus, directed=False)
        samples = [(line.image_rgb, line.text) for line in lines]
    network = NetworkInTraining(model, "rec")
    spec = RecognizerSpec(height=config.data.height, min_width=config.data.widths[0])

    def evaluate(variables: Mapping[str, Any]) -> Mapping[str, float]:
        recognizer = TextRecognizer(network.with_variables(variables), spec, charset)
        return evaluate_recognition(
            partial(recognizer, batch_size=_LINES_AT_ONCE),
            samples,
            ignore_case=config.data.val_ignore_case,
            ignore_space=config.data.val_ignore_space,
        )

    return evaluate


def _lines(source: LabelSource, limit: int | None) -> list[LabeledLine]:
    records = with_images(read_labels(source.path, source.format).records, source.path)
    lines = list(line_samples(records))
    if not lines:
        raise LabelError(f"data.val_labels: {source.path} has no line with a text: nothing could be scored")
    return evenly_spread(lines, limit)


def images(model: nn.Module, config: RecConfig, charset: Charset) -> Images:
    """Return a function that shows the lines of a batch, each with its label and the recognized text below."""
    predict = jax.jit(lambda variables, images: outputs_of(model, variables, images)["probabilities"])

    def draw(variables: Mapping[str, Any], batch: Batch) -> dict[str, np.ndarray]:
        read = ctc_greedy_decode(np.asarray(predict(variables, batch["images"])), charset)
        rows: list[np.ndarray] = []
        for image, label, length, line in zip(batch["images"], batch["labels"], batch["lengths"], read, strict=True):
            label_text = charset.decode(label[:length].tolist())
            rows += [LINE_NORMALIZATION.inverse(image), *_captions((label_text, line.text), image.shape[1])]
        return {"line, label, read": np.vstack(rows)}

    return draw


def _captions(texts: Sequence[str], width: int) -> list[np.ndarray]:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_CAPTION_HEIGHT - 3)
    captions = []
    for text in texts:
        image = Image.new("RGB", (width, _CAPTION_HEIGHT), "white")
        ImageDraw.Draw(image).text((1, 0), text, "black", font)
        captions.append(np.asarray(image))
    return captions
