"""Batches of each task from its configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import jax

from ppocr_jax.charset import Charset
from ppocr_jax.config import ClsConfig, ClsDataConfig, DetConfig, LabelSource, RecConfig, SyntheticConfig, TrainConfig
from ppocr_jax.data.augment_rec import LineAugmentation
from ppocr_jax.data.batches import WHOLE_BATCH, ProcessShare
from ppocr_jax.data.crops import CropBank, CropSource
from ppocr_jax.data.direction import DirectionBatches
from ppocr_jax.data.rand_augment import Chain, LineAugmentationLike, RandAugment
from ppocr_jax.data.recognition import RecognitionBatches
from ppocr_jax.evaluation.cls import HELD_OUT_FONTS
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import find_fonts
from ppocr_jax.synth.line import LineGenerator


def line_generator(config: SyntheticConfig, charset: Charset) -> LineGenerator:
    """The generator of text lines that `config` describes; fonts held out for evaluation are not used."""
    return LineGenerator(
        charset=charset,
        fonts=find_fonts(config.fonts or None, exclude=HELD_OUT_FONTS),
        corpus=make_corpus(config),
        backgrounds=(config.backgrounds,) if config.backgrounds else (),
        vertical=config.vertical,
    )


def make_corpus(config: SyntheticConfig) -> Corpus:
    """The texts: the configured files, or invented ones where there are none."""
    return Corpus.from_files([Path(p) for p in config.corpus]) if config.corpus else Corpus.from_faker()


def crop_bank(labels: Sequence[LabelSource], charset: Charset, max_length: int) -> CropBank | None:
    """Real lines of `labels`; None where there are none."""
    used = tuple(CropSource(s.path, s.format, s.case == "blind", s.weight) for s in labels if s.weight > 0)
    return CropBank(used, frozenset(charset.characters), max_length) if used else None


def recognition_batches(config: RecConfig, charset: Charset, process: ProcessShare = WHOLE_BATCH) -> RecognitionBatches:
    """Batches for the recognizer; `process`: which rows to make."""
    data = config.data
    return RecognitionBatches(
        charset=charset,
        generator=line_generator(data.synthetic, charset),
        bank=crop_bank(data.train_labels, charset, data.max_label_length),
        widths=data.widths,
        batch_size=config.train.batch_size,
        synthetic_share=data.synthetic_share,
        synthetic_warm_steps=data.synthetic_warm_steps,
        max_label_length=data.max_label_length,
        augmentation=LineAugmentation(data.augment_probability, recipe=data.augmentation),
        drawn_augmentation=LineAugmentation(data.augment_probability, recipe=data.drawn_augmentation),
        seed=config.train.seed,
        height=data.height,
        reference_width=data.reference_width,
        multiple_of=_batch_unit(config.train),
        process=process,
    )


def direction_batches(config: ClsConfig, charset: Charset, process: ProcessShare = WHOLE_BATCH) -> DirectionBatches:
    """Batches for the direction classifier; `process`: which rows to make."""
    data = config.data
    return DirectionBatches(
        generator=line_generator(data.synthetic, charset),
        bank=crop_bank(data.train_labels, charset, 200),
        batch_size=config.train.batch_size,
        synthetic_share=data.synthetic_share,
        augmentation=_classifier_augmentation(data, data.augmentation),
        drawn_augmentation=_classifier_augmentation(data, data.drawn_augmentation),
        seed=config.train.seed,
        height=data.height,
        width=data.width,
        long_lines=data.long_lines,
        charset=charset if config.loss.frame_weight > 0 else None,
        process=process,
    )


def _classifier_augmentation(data: ClsDataConfig, recipe: str) -> LineAugmentationLike:
    lines = LineAugmentation(data.augment_probability, recipe=recipe)
    return Chain((lines, RandAugment())) if data.rand_augment else lines


def detection_batches(config: DetConfig, process: ProcessShare = WHOLE_BATCH):
    """Batches for the detector; `process`: which rows to make."""
    from ppocr_jax.data.detection import DetectionBatches, DetectionSource
    from ppocr_jax.synth.page import PageGenerator

    data = config.data
    pages = None
    if data.synthetic_share > 0:
        from ppocr_jax.charset import load_charset

        pages = PageGenerator(
            charset=load_charset(data.synthetic_charset),
            fonts=find_fonts(data.synthetic.fonts or None, exclude=HELD_OUT_FONTS),
            corpus=make_corpus(data.synthetic),
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
        copy_paste=data.copy_paste,
        process=process,
    )


def _batch_unit(config: TrainConfig) -> int:
    """Batches of this many lines, or a multiple, can be split over devices and accumulated parts."""
    devices = config.mesh.data or max(1, jax.device_count() // config.mesh.student)
    return math.lcm(8, config.accumulate * devices)
