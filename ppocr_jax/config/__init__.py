"""Every option of a training run: the schema, the defaults and what they mean, in one place.

A run is described by one frozen dataclass per task (`DetConfig`, `RecConfig`, `ClsConfig`, `ImageConfig`). Values come
from the defaults here, then from a TOML file, then from command-line flags; `ppocr_jax.config_io` reads and writes
them. Steps are optimizer steps (one batch each); paths are relative to the folder the program runs in.
"""

from ppocr_jax.config.cls import (
    ClsConfig,
    ClsDataConfig,
    ClsLossConfig,
    ClsModelConfig,
    ImageConfig,
    ImageDataConfig,
    ImageLossConfig,
    ImageModelConfig,
)
from ppocr_jax.config.common import (
    ConfigError,
    LabelSource,
    MeshConfig,
    OptimizerConfig,
    SlimConfig,
    SyntheticConfig,
    TaskConfig,
    TrainConfig,
)
from ppocr_jax.config.det import (
    DetConfig,
    DetDataConfig,
    DetLossConfig,
    DetModelConfig,
    DetMutualConfig,
    DetReadingConfig,
)
from ppocr_jax.config.rec import RecConfig, RecDataConfig, RecLossConfig, RecModelConfig, RecMutualConfig

__all__ = [
    "ClsConfig",
    "ClsDataConfig",
    "ClsLossConfig",
    "ClsModelConfig",
    "ConfigError",
    "DetConfig",
    "DetDataConfig",
    "DetLossConfig",
    "DetModelConfig",
    "DetMutualConfig",
    "DetReadingConfig",
    "ImageConfig",
    "ImageDataConfig",
    "ImageLossConfig",
    "ImageModelConfig",
    "LabelSource",
    "MeshConfig",
    "OptimizerConfig",
    "RecConfig",
    "RecDataConfig",
    "RecLossConfig",
    "RecModelConfig",
    "RecMutualConfig",
    "SlimConfig",
    "SyntheticConfig",
    "TaskConfig",
    "TrainConfig",
]
