"""Training data: label files, detection targets, augmentation and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.data.batches import LabelUse as LabelUse
    from ppocr_jax.data.copy_paste import can_donate as can_donate
    from ppocr_jax.data.crops import CropBank as CropBank
    from ppocr_jax.data.detection import DetectionBatches as DetectionBatches
    from ppocr_jax.data.direction import DirectionBatches as DirectionBatches
    from ppocr_jax.data.label_check import LabelReport as LabelReport, check_labels as check_labels
    from ppocr_jax.data.labels import (
        DetectionRecord as DetectionRecord,
        LabelError as LabelError,
        LabelSet as LabelSet,
        RecognitionRecord as RecognitionRecord,
        Region as Region,
        read_labels as read_labels,
        write_labels as write_labels,
    )
    from ppocr_jax.data.images import ImageCache as ImageCache, load_record_image as load_record_image
    from ppocr_jax.data.rand_augment import RandAugment as RandAugment
    from ppocr_jax.data.recognition import RecognitionBatches as RecognitionBatches
    from ppocr_jax.data.targets import detection_targets as detection_targets

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "batches": "LabelUse",
        "copy_paste": "can_donate",
        "crops": "CropBank",
        "detection": "DetectionBatches",
        "direction": "DirectionBatches",
        "label_check": "LabelReport check_labels",
        "labels": "DetectionRecord LabelError LabelSet RecognitionRecord Region read_labels write_labels",
        "images": "ImageCache load_record_image",
        "rand_augment": "RandAugment",
        "recognition": "RecognitionBatches",
        "targets": "detection_targets",
    },
)
