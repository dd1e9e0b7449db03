"""PaddleOCR's dictionaries, and the classes of its recognizers that none of their characters needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppocr_jax.charset import BUILTIN_CHARSETS, Charset
from ppocr_jax.errors import UserError


class DictionaryError(UserError):
    """A dictionary is missing or broken, or is not a recognizer's."""


def read_classes(name_or_path: str | Path, *, space: bool = True) -> tuple[str, ...]:
    """What the classes 1, 2, ... of a recognizer stand for, as PaddleOCR takes it from a dictionary.

    PaddleOCR counts every line, empty and repeated ones too: `en_dict.txt` ends with a space, and `use_space_char` adds
    a second one.

    Args:
        name_or_path: a file with one character a line, or a built-in charset, which is taken as it is.
        space: a space follows the file's characters (PaddleOCR's `use_space_char`).

    Raises:
        DictionaryError: there is no such file, or it is not UTF-8 or empty.
    """
    builtin = BUILTIN_CHARSETS.get(str(name_or_path))
    if builtin is not None:
        return builtin().characters
    try:
        text = Path(name_or_path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DictionaryError(f"{name_or_path} is not UTF-8: {error}") from error
    except OSError as error:
        names = ", ".join(BUILTIN_CHARSETS)
        message = f"cannot read {name_or_path}: {error.strerror} (nor is it a built-in charset: {names})"
        raise DictionaryError(message) from error
    if not text.strip("\r\n"):
        raise DictionaryError(f"{name_or_path} is empty")
    lines = text.removesuffix("\n").split("\n")
    return (*(line.strip("\r") for line in lines), *([" "] if space else []))


def check_classes(num_classes: int, classes: tuple[str, ...], source: str | Path, *, space: bool) -> None:
    """Make sure that a dictionary is a recognizer's, as far as numbers tell.

    Args:
        num_classes: K, blank included.
        classes: from `read_classes`.
        source, space: what it was given.

    Raises:
        DictionaryError: the numbers of classes differ.
    """
    have = len(classes) + 1
    if have == num_classes:
        return
    is_file = str(source) not in BUILTIN_CHARSETS
    with_space = f" {'with' if space else 'without'} a space after them" if is_file else ""
    hint = ""
    if is_file and num_classes == have + (-1 if space else 1):
        hint = f"; {'with --no-space' if space else 'without --no-space'} they would fit"
    raise DictionaryError(
        f"the recognizer has {num_classes} classes, but the characters of {source}{with_space} and the blank make "
        f"{have}{hint}"
    )


def without_unused_classes(
    variables: Mapping[str, Any], classes: tuple[str, ...]
) -> tuple[dict[str, Any], Charset, tuple[int, ...]]:
    """A recognizer without the classes that PaddleOCR's training never asks for, and its charset.

    Of a character that a dictionary lists twice PaddleOCR trains the last class, and of an empty line none: all that
    such a class has learned is to stay improbable, so that leaving it out changes probabilities by next to nothing.

    Args:
        variables: of a recognizer of K classes.
        classes: what 1 to K - 1 stand for.

    Returns:
        The variables; the characters of the classes that are left; the classes left out.
    """
    last = {character: i for i, character in enumerate(classes, start=1)}
    kept = [i for i, character in enumerate(classes, start=1) if character and last[character] == i]
    charset = Charset(tuple(classes[i - 1] for i in kept))
    head = variables["params"]["head"]
    layer = "fc2" if "fc2" in head else "fc"
    columns = np.array([0, *kept])
    smaller = {name: value[..., columns] for name, value in head[layer].items()}
    params = {**variables["params"], "head": {**head, layer: smaller}}
    unused = tuple(sorted(set(range(1, len(classes) + 1)) - set(kept)))
    return {**variables, "params": params}, charset, unused
