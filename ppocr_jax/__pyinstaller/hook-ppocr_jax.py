"""Hook of PyInstaller: a program that reads text takes the networks along, and nothing that only training needs.

Modules that are imported by name are not seen by PyInstaller; what `--backend jax` imports would be, if it is
installed, with gigabytes behind it. A program that wants it names it: `--hidden-import jax --hidden-import flax`.
"""

from PyInstaller.utils.hooks import collect_data_files

hiddenimports = [
    "ppocr_jax.charset",
    "ppocr_jax.commands.doctor",
    "ppocr_jax.commands.infer",
    "ppocr_jax.document.page",
    "ppocr_jax.inference.ocr",
]
datas = collect_data_files("ppocr_jax", excludes=["synth/**", "serve/**", "configs/**"])
excludedimports = [
    "flax",
    "grain",
    "jax",
    "jax2onnx",
    "onnx",
    "optax",
    "orbax",
    "rich",
    "tensorboardX",
    "tensorflow",
    "tf2onnx",
    "tyro",
]
