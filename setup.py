"""What pyproject.toml cannot say: configs/ of the repository is ppocr_jax/configs/ in a wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ppocr_jax*"]), "ppocr_jax.configs"],
    package_dir={"ppocr_jax.configs": "configs"},
)
