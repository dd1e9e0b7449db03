"""Public names of packages that are imported on first use, so that importing a package is fast (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

Attributes = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def lazy_names(package: str, modules: Mapping[str, str]) -> Attributes:
    """Return `__getattr__`, `__dir__` and `__all__` of a package.

    Editors and type checkers do not run this. Therefore, each package lists the same names again under `if
    TYPE_CHECKING`, and tests/test_public_names.py compares the two lists.

    Args:
        package: `__name__` of the package.
        modules: Module of the package -> its public names, separated by spaces.
    """
    home = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{home[name]}"), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return get, names, sorted(home)
