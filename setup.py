"""Packages for pyproject.toml: configs/ of the repository becomes ppocr_jax/configs/ in a wheel."""

from setuptools import find_namespace_packages, setup

# Folders of data (weights, configurations) are packages, too: setuptools warns about data in any other folder.
setup(
    packages=[
        *find_namespace_packages(include=["ppocr_jax*"]),
        "ppocr_jax.configs",
        *(f"ppocr_jax.configs.{folder}" for folder in find_namespace_packages("configs")),
    ],
    package_dir={"ppocr_jax.configs": "configs"},
)
