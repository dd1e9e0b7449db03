"""Texts for synthetic images: entries of files (or of Faker), mixed with invented strings and rare characters."""

from __future__ import annotations

import codecs
import mmap
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth.phrases import amount, digits, phrase, pick

_LONGEST_ENTRY_BYTES = 2048
# Bytes of a file whose encoding is checked: enough to notice another one, quick for files of any size.
_CHECKED_BYTES = 2**20
# Characters of a file of whose letters the charset must have this share; a few Latin ones are in Chinese texts, too.
_CHECKED_CHARACTERS, _LEAST_KNOWN = 2**16, 0.05
# Faker's locales for languages whose letters are all in the charset `latin`.
_LATIN_LOCALES = (
    *("en_US", "en_GB", "de_DE", "de_AT", "fr_FR", "fr_CH", "es_ES", "es_MX", "it_IT", "pt_PT", "pt_BR", "nl_NL"),
    *("sv_SE", "da_DK", "no_NO", "fi_FI", "pl_PL", "cs_CZ", "sk_SK", "hu_HU", "hr_HR", "sl_SI", "ro_RO", "et_EE"),
    *("lv_LV", "lt_LT", "tr_TR", "sq_AL", "ga_IE", "es_CA"),
)
_LATIN_WORD_LISTS = (
    *("ngerman", "french", "spanish", "italian", "portuguese", "dutch", "swedish", "danish", "polish", "catalan"),
    *("norsk", "brazilian", "american-english"),
)
_FIRST_CJK = "\u2e80"
_HALF_WIDTH = {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)} | {"\u3000": " "}
_BRACKETS = ("()", "[]", "{}", '""', "''", "<>", "**", "::", "--", "//", "||", "__", "``", "~~")
_CHINESE_BRACKETS = ("【】", "《》", "「」", "『』", "〔〕", "〈〉", "（）", "“”")
_SHORT = ("RM", "X", "x", "SR", "S", "1", "2", "3", "%", ":", "-", "@", "QTY", "NO", "T", "1X", "(RM)", "0", "=", "ZR")
# List items, and lines with leaders as in tables of contents, menus and receipts: marks, probability, minimum length.
_ITEM_MARKS, _ITEM_SHARE, _ITEM_LEAST = ("*", "*", "*", "-", "•", "·", "●", "+", ">"), 0.03, 8
_LEADER_SIGNS, _LEADER_SHARE, _LEADER_LEAST = (".", ".", ".", ".", "_", "-", "·", "*"), 0.02, 16


@dataclass(frozen=True)
class Corpus:
    """Source of texts. Immutable and quick to pickle, because files are read in place.

    Attributes:
        files: UTF-8 text files, one entry per line; an entry is found by a random offset, so size does not matter.
        entries: Further entries, held in memory.
        mixed: Whether lines also show invented strings, list items, source code, rare characters and other letter
            cases, as training needs; otherwise only excerpts of the entries.
    """

    files: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    mixed: bool = True

    @classmethod
    def from_files(cls, paths: Sequence[str | Path], charset: Charset | None = None) -> Corpus:
        """Return a corpus of text files and of the .txt files in folders and their subfolders, all equally likely.

        Args:
            paths: The files and folders.
            charset: Charset to write in; None to accept texts of any language.

        Raises:
            FileNotFoundError: A path does not exist.
            ValueError: No path is given, a folder has no .txt file, or a file is empty, not UTF-8, or of a language
                whose letters the charset lacks.
        """
        if not paths:
            raise ValueError("no corpus file given: pass at least one UTF-8 text file, or use Corpus.from_faker()")
        files: list[Path] = []
        for path in map(Path, paths):
            if not path.exists():
                raise FileNotFoundError(
                    f"corpus file {path} does not exist: pass UTF-8 text files with one entry per line, or none for "
                    "generated texts (in training: data.synthetic.corpus)"
                )
            found = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
            if not found:
                raise ValueError(f"the folder {path} contains no .txt file")
            files += found
        for file in files:
            text = _checked_text(file)
            if charset is not None:
                _check_letters(file, text[:_CHECKED_CHARACTERS], charset)
        return cls(files=tuple(map(str, files)))

    @classmethod
    def from_faker(cls, locales: Sequence[str] = ("en_US",), *, seed: int = 0, count: int = 6000) -> Corpus:
        """Return `count` entries invented by the Faker package: names, companies, addresses, jobs, sentences."""
        return cls(entries=_from_faker(tuple(locales), seed, count))

    @classmethod
    def generated(
        cls, charset: Charset, *, seed: int = 0, word_lists: str | Path = "/usr/share/dict", per_source: int = 600
    ) -> Corpus:
        """Return invented texts for a charset: in European languages if it has their letters, else in English.

        Args:
            charset: Charset to write in.
            seed: Seed of the texts.
            word_lists: Folder of word lists, one word per line, e.g. from Debian's packages wngerman and wfrench.
            per_source: Number of entries from each Faker locale, and of words from each existing list.
        """
        if not writes_latin(charset):
            return cls.from_faker(seed=seed)
        entries: list[str] = []
        for locale in _LATIN_LOCALES:
            entries += cls.from_faker([locale], seed=seed, count=per_source).entries
        rng = np.random.default_rng(seed)
        for path in (Path(word_lists) / name for name in _LATIN_WORD_LISTS):
            if path.is_file() and path.stat().st_size:
                entries += [_line_at(str(path), float(rng.random())) for _ in range(per_source)]
        return cls(entries=tuple(entry for entry in entries if entry))

    def entry(self, rng: np.random.Generator) -> str:
        """Return a random entry, unchanged; an invented string if the corpus is empty."""
        sources = len(self.files) + bool(self.entries)
        if not sources:
            return phrase(rng)
        number = int(rng.integers(sources))
        if number == len(self.files):
            return pick(rng, self.entries)
        return _line_at(self.files[number], float(rng.random()))

    def sample(self, rng: np.random.Generator, charset: Charset, length: tuple[int, int]) -> str:
        """Return a text of `length` = (minimum, maximum) characters of `charset`, with single spaces between words.

        It may be a character or two shorter than the minimum if a word would have to be broken.
        """
        low, high = max(1, length[0]), max(1, length[1])
        if self.mixed:
            if listed := self._list_line(rng, charset, (low, high)):
                return listed
            if high <= 4 and rng.random() < (0.25 if writes_chinese(charset) else 0.6):
                return _short_text(rng, charset, high)
            if rng.random() < 0.08:
                return _rare_text(rng, charset, int(rng.integers(low, min(high, low + 12) + 1)))
        text = ""
        for _ in range(4):
            text = self._phrase(rng, charset)
            if low <= len(text) <= high:
                return text
            if run := _run(rng, text, low, high):
                return run
        for _ in range(40):
            if len(text) >= low:
                break
            more = self._phrase(rng, charset)
            text = (text + _joint(text, more, charset) + more).strip()
        return _piece(rng, text, low, high) or _rare_text(rng, charset, high)

    def _list_line(self, rng: np.random.Generator, charset: Charset, length: tuple[int, int]) -> str:
        """Return a list item with its mark or a line with a leader, with a small probability; otherwise ""."""
        low, high = length
        if low >= _LEADER_LEAST and rng.random() < _LEADER_SHARE:
            return self._with_leader(rng, charset, length)
        if low >= _ITEM_LEAST and rng.random() < _ITEM_SHARE:
            return in_charset(f"{pick(rng, _ITEM_MARKS)} {self.sample(rng, charset, (low - 2, high - 2))}", charset)
        return ""

    def _with_leader(self, rng: np.random.Generator, charset: Charset, length: tuple[int, int]) -> str:
        """Return a text, a leader such as a row of dots, and a page number, a price or nothing."""
        low, high = length
        head = self.sample(rng, charset, (2, max(2, low // 2)))
        tail = in_charset((amount(rng), digits(rng, 1, 3), "")[int(rng.integers(3))], charset)
        sign = pick(rng, _LEADER_SIGNS)
        unit = sign if rng.random() < 0.5 or " " not in charset else f" {sign}"
        count = (high - len(head) - len(tail) - 2) // len(unit)
        if sign not in charset or count < 4:
            return head
        gap = " " if " " in charset and rng.random() < 0.6 else ""
        return in_charset(f"{head}{gap}{(unit * count).strip()}{gap}{tail}", charset)

    def _phrase(self, rng: np.random.Generator, charset: Charset) -> str:
        """Return a phrase in random letter case, or an entry as it is, without characters outside the charset."""
        if not self.mixed:
            return in_charset(self.entry(rng), charset)
        chinese = writes_chinese(charset)
        if rng.random() < (0.15 if chinese else 0.45) or not (self.files or self.entries):
            text = phrase(rng)
            change_case = 0.25
        else:
            text = self.entry(rng)
            change_case = 0.6
        if rng.random() < change_case:
            text = (str.upper, str.upper, _title, str.lower)[int(rng.integers(4))](text)
        if rng.random() < 0.06:
            text = _with_punctuation(rng, text, chinese=chinese)
        return in_charset(text, charset)


def writes_latin(charset: Charset) -> bool:
    """Return whether a charset can write European languages; letters of German, Spanish, Polish and Turkish decide."""
    return all(c in charset for c in "ßñłğ")


def writes_chinese(charset: Charset) -> bool:
    """Return whether a charset can write Chinese: whether it has the most common Chinese character."""
    return "的" in charset


def in_charset(text: str, charset: Charset) -> str:
    """Return `text` in the characters of `charset`, with white space as single spaces (or none without a space).

    Full-width letters and signs outside the charset become ASCII.
    """
    ids = charset.ids
    if not text.isascii():
        text = "".join([c if c in ids else _HALF_WIDTH.get(c, c) for c in text])
    space = " " if " " in ids else ""
    words = ["".join([c for c in word if c in ids]) for word in text.split()]
    return space.join([w for w in words if w])


@cache  # training calls this twice for a charset: for training and for evaluation
def _from_faker(locales: tuple[str, ...], seed: int, count: int) -> tuple[str, ...]:
    from faker import Faker

    fake = Faker(list(locales))
    fake.seed_instance(seed)
    makers = (fake.name, fake.company, fake.street_address, fake.city, fake.job, fake.word, fake.sentence)
    return tuple(makers[i % len(makers)]() for i in range(count))


def _checked_text(path: Path) -> str:
    """Return the beginning of a file, which must be UTF-8; in another encoding, letters would silently be lost."""
    with path.open("rb") as file:
        head = file.read(_CHECKED_BYTES)
    if not head.strip():
        raise ValueError(f"corpus file {path} is empty")
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(head)  # allows a character cut off at the end
    except UnicodeDecodeError as error:
        line = head.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"corpus file {path}:{line}: not UTF-8: byte 0x{head[error.start]:02x}; save the file as UTF-8"
        ) from error


def _check_letters(path: Path, text: str, charset: Charset) -> None:
    """Check that a charset with letters has some of a text's letters; otherwise almost nothing of it would be drawn."""
    letters = Counter(c for c in text if c.isalpha())
    known = sum(n for c, n in letters.items() if not charset.ids.keys().isdisjoint(_drawn_as(c)))
    if known < _LEAST_KNOWN * letters.total() and any(c.isalpha() for c in charset.characters):
        share = f"{known} of {letters.total()}" if known else "none"
        raise ValueError(
            f"corpus file {path}: {share} of the letters at its beginning are in the charset; "
            f"use a text in the charset's languages, or another charset"
        )


def _drawn_as(letter: str) -> tuple[str, ...]:
    """Return what a letter of an entry may become: letters in the other case, ASCII for full-width ones."""
    return letter, letter.upper(), letter.lower(), _HALF_WIDTH.get(letter, letter)


@lru_cache(maxsize=64)
def _mapped(path: str) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _line_at(path: str, position: float) -> str:
    """Return the entry after the relative `position` (0..1), or the first one if that is in the last entry."""
    data = _mapped(path)
    start = data.find(b"\n", int(position * len(data))) + 1
    if start >= len(data):
        start = 0
    line = data[start : start + _LONGEST_ENTRY_BYTES].split(b"\n", 1)[0]
    return line.decode("utf-8", errors="ignore")


def _title(text: str) -> str:
    return " ".join([word[:1].upper() + word[1:] for word in text.split(" ")])


def _joint(left: str, right: str, charset: Charset) -> str:
    if " " not in charset or (left and right and left[-1] >= _FIRST_CJK and right[0] >= _FIRST_CJK):
        return ""
    return " "


def _run(rng: np.random.Generator, text: str, low: int, high: int) -> str:
    """Return neighboring words of `text` (for Chinese, characters) that have `low` to `high` characters in total.

    Returns "" if there are none.
    """
    if len(text) < low:
        return ""
    starts, ends = _breaks(text)
    for start in rng.permutation(starts).tolist():
        fitting = ends[bisect_left(ends, start + low) : bisect_right(ends, start + high)]
        if fitting:
            return text[start : fitting[int(rng.integers(len(fitting)))]]
    return ""


def _breaks(text: str) -> tuple[list[int], list[int]]:
    """Return the positions where a part of `text` may start and end: at spaces, and next to Chinese characters."""
    starts, ends = [0], []
    for i in range(1, len(text)):
        if text[i] == " ":
            ends.append(i)
        elif text[i - 1] == " ":
            starts.append(i)
        elif text[i - 1] >= _FIRST_CJK or text[i] >= _FIRST_CJK:
            starts.append(i)
            ends.append(i)
    return starts, [*ends, len(text)]


def _piece(rng: np.random.Generator, text: str, low: int, high: int) -> str:
    """Return a run of words of `text` with at most `high` characters, or part of a word if no word fits."""
    if len(text) <= high:
        return text
    starts = [0] + [i + 1 for i, c in enumerate(text) if c == " "]
    start = starts[int(rng.integers(len(starts)))]
    if len(text) - start < low:
        start = max(0, len(text) - high)
    cut = text[start : start + high]
    if start + high < len(text) and text[start + high] != " " and cut.rfind(" ") >= low:
        cut = cut[: cut.rfind(" ")]
    return cut.strip()


def _short_text(rng: np.random.Generator, charset: Charset, most: int) -> str:
    """Return a text as in narrow boxes: "1", "RM", "9.00", single characters."""
    kind = rng.random()
    if kind < 0.3:
        text = pick(rng, _SHORT)
    elif kind < 0.6 and most >= 4:
        text = amount(rng)[-4:]
    elif kind < 0.8:
        text = digits(rng, 1, most)
    else:
        return _rare_text(rng, charset, 1)
    text = in_charset(text, charset)
    return text if 0 < len(text) <= most else _rare_text(rng, charset, 1)


def _rare_text(rng: np.random.Generator, charset: Charset, length: int) -> str:
    """Return characters of the whole charset, all equally likely, in groups."""
    characters = [charset.characters[i] for i in rng.integers(0, len(charset), length)]
    text = in_charset("".join(characters).strip(), charset)
    visible = text or next(c for c in charset.characters if not c.isspace())
    if len(visible) > 6 and " " in charset and rng.random() < 0.7:
        cut = int(rng.integers(2, len(visible) - 2))
        visible = in_charset(f"{visible[:cut]} {visible[cut + 1 :]}", charset)
    return visible


def _with_punctuation(rng: np.random.Generator, text: str, *, chinese: bool) -> str:
    words = text.split()
    if not words:
        return text
    chosen = int(rng.integers(len(words)))
    pair = pick(rng, _CHINESE_BRACKETS if chinese and rng.random() < 0.7 else _BRACKETS)
    marks = "!?;:,.#&+=^%$<>|\\/_~@*-"
    word = words[chosen]
    words[chosen] = (pair[0] + word + pair[1], word + pick(rng, marks), pick(rng, marks) + word)[int(rng.integers(3))]
    return " ".join(words)
