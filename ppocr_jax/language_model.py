"""Language model of characters: how likely a character is after the characters before it.

An n-gram model with Witten-Bell smoothing (Witten and Bell, 1991), of which only the n-grams are kept that change a
probability most. The beam search of the recognizer (`inference.beam_search`) uses it where a line is uncertain.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from ppocr_jax.errors import UserError, check_number

START, END = "\x02", "\x03"
"""Characters before the first and after the last character of a text."""
_SCALE = 16  # costs, negative natural logarithms, are stored as bytes in steps of 1 / 16
_MOST_COST = 255
_LONGEST, _KEY_BITS = 6, 64
_CACHED = 200_000  # probabilities
_TOO_MANY = 1 << 16  # distinct characters


class LanguageModelError(UserError, ValueError):
    """Error for a file that is not a language model, or texts from which none can be made."""


@dataclass(frozen=True)
class LanguageModel:
    """Character n-grams with their probabilities.

    An n-gram is stored as an integer key: the ids of its characters, the last one in the lowest bits. Ids begin at 1,
    so that n-grams of different lengths differ.

    Attributes:
        characters: Known characters in the order of their ids, first `START` and `END`.
        order: Length of the longest n-grams.
        keys: Keys in ascending order, (n,) uint64.
        costs: Negative log-probability of the last character after the others, (n,) uint8, in 1/16.
        backoffs: Cost added if an n-gram that begins with these characters is not stored, (n,) uint8, in 1/16.
    """

    characters: str
    order: int
    keys: np.ndarray
    costs: np.ndarray
    backoffs: np.ndarray
    _cache: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, path: str | Path) -> LanguageModel:
        """Load a file written by `save`.

        Raises:
            LanguageModelError: If the file is missing or is not a language model.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                planes = file["keys"]
                keys = np.ascontiguousarray(planes.T).view("<u8")[:, 0].astype(np.uint64).cumsum(dtype=np.uint64)
                return cls(str(file["characters"]), int(file["order"]), keys, file["costs"], file["backoffs"])
        except FileNotFoundError as error:
            raise LanguageModelError(f"no such file: {path}") from error
        except OSError as error:
            raise LanguageModelError(f"cannot read {path}: {error.strerror or error}") from error
        # NumPy raises TypeError for a file of a single array, and speaks of pickles where a file is something else.
        except (TypeError, KeyError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise LanguageModelError(
                f"{path} is not a language model, as `ppocr-jax language-model` makes them"
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the model to an `.npz` file: differences of keys, byte by byte, because these compress well."""
        differences = np.diff(self.keys, prepend=np.uint64(0)).astype("<u8")
        planes = np.ascontiguousarray(differences.view(np.uint8).reshape(-1, 8).T)
        characters, order = np.array(self.characters), np.array(self.order)
        with Path(path).open("wb") as file:  # a path would be given the suffix .npz
            np.savez_compressed(
                file, keys=planes, costs=self.costs, backoffs=self.backoffs, characters=characters, order=order
            )

    @cached_property
    def bits(self) -> int:
        """Bits of a character in a key."""
        return _bits(len(self.characters))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {character: i for i, character in enumerate(self.characters, start=1)}

    def log_probability(self, context: str, character: str) -> float:
        """Return the natural logarithm of the probability of a character.

        Args:
            context: The characters before it, `START` first. Only the last `order - 1` of them count.
            character: The character, or `END`. One that the model does not know is as unlikely as possible.
        """
        text = (context + character)[-self.order :]
        known = self._cache.get(text)
        if known is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            known = self._cache[text] = -min(self._cost(text), _MOST_COST) / _SCALE
        return known

    def _cost(self, text: str) -> int:
        ids = [self._ids.get(character, 0) for character in text]
        cost = 0
        for first in range(len(ids)):
            if ids[first]:
                key = 0
                for i in ids[first:]:
                    key = key << self.bits | i
                if (at := self._find(key)) is not None:
                    return cost + int(self.costs[at])
                if (at := self._find(key >> self.bits)) is not None:
                    cost += int(self.backoffs[at])
        return _MOST_COST

    def _find(self, key: int) -> int | None:
        at = int(np.searchsorted(self.keys, np.uint64(key)))
        return at if at < len(self.keys) and int(self.keys[at]) == key else None


def train_language_model(
    texts: Iterable[tuple[str, float]], *, order: int = _LONGEST, most: int = 400_000, other_case: float = 0.3
) -> LanguageModel:
    """Return a language model of texts.

    Args:
        texts: Lines of text, and how often to count each.
        order: Length of the longest n-grams; less if there are so many characters that a key does not fit 64 bits.
        most: Number of n-grams to keep, apart from those that longer ones begin with.
        other_case: How often to count a text in capitals and in small letters, relative to the text itself, because
            any text may be printed in capitals.

    Raises:
        LanguageModelError: If there is no text, or the texts have more than 65,533 different characters.
    """
    check_number("order", order, least=2, most=_LONGEST, whole=True)
    check_number("most", most, least=1, whole=True)
    check_number("other_case", other_case, least=0)
    lines, weights = _variants(texts, other_case)
    if not lines:
        raise LanguageModelError("there is no text to make a language model of")
    points = np.frombuffer("".join(f"{START}{line}{END}" for line in lines).encode("utf-32-le"), np.uint32)
    distinct = np.unique(points)
    order_of = [ord(START), ord(END), *(p for p in distinct.tolist() if p not in (ord(START), ord(END)))]
    if len(order_of) >= _TOO_MANY:
        raise LanguageModelError(f"the texts have {len(order_of)} different characters, more than {_TOO_MANY - 3}")
    ids = np.zeros(int(distinct[-1]) + 1, np.uint64)
    ids[order_of] = np.arange(1, len(order_of) + 1)
    bits = _bits(len(order_of))
    lengths = np.array([len(line) + 2 for line in lines])
    place = np.arange(len(points)) - np.repeat(lengths.cumsum() - lengths, lengths)
    orders = _counted(ids[points], place, np.repeat(weights, lengths), bits, min(order, _KEY_BITS // bits))
    _keep_most_useful(orders, bits, most)
    return _normalized("".join(map(chr, order_of)), bits, orders)


@dataclass
class _Order:
    """The n-grams of one length.

    Attributes:
        keys: Ascending keys, (n,) uint64.
        counts: How often each occurs, (n,).
        total, types: Sum of the counts of all n-grams with the same beginning, and their number, (n,) each.
        kept: Which of them to keep, (n,) bool.
    """

    keys: np.ndarray
    counts: np.ndarray
    total: np.ndarray
    types: np.ndarray
    kept: np.ndarray


def _variants(texts: Iterable[tuple[str, float]], other_case: float) -> tuple[list[str], list[float]]:
    lines: list[str] = []
    weights: list[float] = []
    for text, weight in texts:
        text = text.replace(START, "").replace(END, "").strip()  # noqa: PLW2901
        if not text:
            continue
        lines.append(text)
        weights.append(weight)
        others = {text.upper(), text.lower()} - {text} if other_case else set()
        lines += sorted(others)
        weights += [other_case * weight] * len(others)
    return lines, weights


def _bits(characters: int) -> int:
    return max(1, characters.bit_length())


def _counted(ids: np.ndarray, place: np.ndarray, weights: np.ndarray, bits: int, order: int) -> list[_Order]:
    """Count the n-grams of each length.

    Args:
        ids: Ids of the characters of all texts, (m,) uint64.
        place: Position of each in its text, (m,). n-grams do not cross the borders of texts.
        weights: How often each counts, (m,).
        bits: Bits of a character.
        order: Length of the longest n-grams.
    """
    orders = []
    keys = ids
    for n in range(1, order + 1):
        if n > 1:
            keys = np.concatenate([ids[:1], keys[:-1] << np.uint64(bits) | ids[1:]])
        inside = place >= max(n - 1, 1)  # START is never to be predicted
        distinct, which = np.unique(keys[inside], return_inverse=True)
        counts = np.bincount(which, weights[inside])
        starts, groups = _groups(distinct >> np.uint64(bits))
        total, types = np.add.reduceat(counts, starts)[groups], np.bincount(groups)[groups]
        orders.append(_Order(distinct, counts, total, types, np.ones(len(distinct), bool)))
    return orders


def _groups(sorted_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each run of equal keys starts, and the number of the run of each key."""
    changes = np.append(True, sorted_keys[1:] != sorted_keys[:-1])
    return np.flatnonzero(changes), changes.cumsum() - 1


def _keep_most_useful(orders: Sequence[_Order], bits: int, most: int) -> None:
    """Mark the n-grams without which the probability of the texts would fall most, and the beginnings of longer ones.

    All single characters are kept.
    """
    lower = np.zeros(0)
    gains = []
    for n, grams in enumerate(orders, start=1):
        unseen = grams.types / (grams.total + grams.types)
        if n == 1:
            below = np.full(len(grams.keys), 1 / (len(grams.keys) + 1))
        else:
            below = lower[np.searchsorted(orders[n - 2].keys, grams.keys & np.uint64((1 << bits * (n - 1)) - 1))]
        lower = grams.counts / (grams.total + grams.types) + unseen * below
        if n > 1:
            gains.append(grams.counts * np.log(lower / (unseen * below)))
    together = np.concatenate(gains) if gains else np.zeros(0)
    least = -math.inf if len(together) <= most else np.partition(together, -most)[-most]
    for grams, gain in zip(orders[1:], gains, strict=True):
        grams.kept = gain >= least
    for shorter, longer in reversed(list(pairwise(orders[1:]))):
        shorter.kept |= np.isin(shorter.keys, longer.keys[longer.kept] >> np.uint64(bits))


def _normalized(characters: str, bits: int, orders: Sequence[_Order]) -> LanguageModel:
    """Return the model of the kept n-grams. Its backoffs let the probabilities after any text add up to 1."""
    start = np.uint64(1)
    keys = np.append(start, orders[0].keys)  # START has no probability, but n-grams that begin with it
    every = len(characters)
    costs = -np.log((orders[0].counts + orders[0].types / every) / (orders[0].total + orders[0].types))
    costs, backoffs = np.append(np.inf, costs), np.zeros(len(keys))
    for n, grams in enumerate(orders[1:], start=2):
        kept = grams.kept
        new, beginnings = grams.keys[kept], grams.keys[kept] >> np.uint64(bits)
        if not len(new):
            break
        below = np.exp(-_costs(keys, costs, backoffs, new & np.uint64((1 << bits * (n - 1)) - 1), bits, n - 1))
        probability = (grams.counts[kept] + grams.types[kept] * below) / (grams.total[kept] + grams.types[kept])
        starts, _ = _groups(beginnings)
        rest = 1 - np.add.reduceat(probability, starts)
        rest_below = 1 - np.add.reduceat(below, starts)
        at = np.searchsorted(keys, beginnings[starts])
        backoffs[at] = -np.log(np.clip(rest, 1e-6, 1) / np.clip(rest_below, 1e-6, None))
        keys = np.append(keys, new)
        costs, backoffs = np.append(costs, -np.log(probability)), np.append(backoffs, np.zeros(len(new)))
        order = np.argsort(keys)
        keys, costs, backoffs = keys[order], costs[order], backoffs[order]
    return LanguageModel(characters, len(orders), keys, _stored(costs), _stored(backoffs))


def _stored(logarithms: np.ndarray) -> np.ndarray:
    """Return negative logarithms as bytes."""
    return np.clip(np.round(logarithms * _SCALE), 0, _MOST_COST).astype(np.uint8)


def _costs(
    keys: np.ndarray, costs: np.ndarray, backoffs: np.ndarray, wanted: np.ndarray, bits: int, n: int
) -> np.ndarray:
    """Return the costs of n-grams `wanted` of length n by the n-grams stored so far."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = keys[at] == wanted
    result = costs[at]
    if n > 1 and not found.all():
        missing = wanted[~found]
        contexts = missing >> np.uint64(bits)
        at = np.minimum(np.searchsorted(keys, contexts), len(keys) - 1)
        extra = np.where(keys[at] == contexts, backoffs[at], 0.0)
        shorter = missing & np.uint64((1 << bits * (n - 1)) - 1)
        result[~found] = extra + _costs(keys, costs, backoffs, shorter, bits, n - 1)
    return result
