"""Text from a recognizer's probabilities: greedy CTC decoding, and corrections of digits, spaces and leaders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ppocr_jax.charset import BLANK, Charset

# Dots, dashes or similar characters that lead from a text to its page number or price, with or without spaces.
_LEADERS = ".·…_-=*"
_LEADER = re.compile(rf"([{re.escape(_LEADERS)}])(?: ?\1){{9,}}")
_LEADER_SHARE = 0.3  # share of the line's length from which a leader disturbs the text beside it
# For `put_spaces`, chosen on 1,540 training lines of SROIE, FUNSD, ICDAR 2015, IIIT5K, MSRA-TD500, manuals and books
# with the recognizers of PP-OCRv2, v3, v4 and v6.
_LEAST_SPACES = 0.03  # expected number of spaces between two characters from which a space is inserted
_BETWEEN_LETTERS = 2.0  # times as much between letters, because a space would split a word
_BEFORE_SIGNS, _SIGNS = 4.0, frozenset(".,:;!?)]}%'\"")
_IN_NUMBERS, _WITHIN_NUMBER = 16.0, re.compile(r"(?=\d[.,:]\d)")  # such as 12.50 and 18:05
# Additional factor, reached if the recognizer wrote as many spaces as text usually has, one in five characters.
_WHERE_WRITTEN, _USUAL_SPACES = 9.0, 0.2
_FIRST_IDEOGRAPH = 0x2E80
# An operator without a space after it (a group) or before it. `|` and single characters have other uses, too.
_OPERATOR = re.compile(r"(?<= )([!=+\-*/:]=|&&|\|\|)(?=[\w(])|(?<=[\w)\]])(?:[!=+\-*/:<>]=|&&|\|\|)(?= )")
# For `correct_digits`, chosen on 6,000 lines of the training splits of SROIE, FUNSD, ICDAR 2015 and WildReceipt and of
# synthetic text, with the model `en`.
_DIGITS = {"O": "0", "o": "0", "I": "1", "l": "1"}  # letters, and the digits that they are confused with
_NUMBER = re.compile(r"(?<![^\W_])[\dOIlo](?:[\dOIlo.,:/-]*[\dOIlo])?(?![^\W_])")
_UNITS = "lo"  # after a number: 10l, 10o
_HEXADECIMAL = re.compile(r"(?<![^\W_])Ox(?=[\dA-F])")
_IN_NUMBER, _BESIDE_DIGIT, _IN_BRACKETS = 0.005, 0.2, 0.5  # least ratio of the probabilities of digit and letter


@dataclass(frozen=True)
class Decoded:
    """Recognized text of one line.

    Attributes:
        text: Its characters.
        confidence: Mean of `char_confidences`, 0 without text.
        positions: Frame, 0..T-1, at which each character begins.
        char_confidences: Probability of each character at that frame, 0..1.
        ends: Frame after the last frame of each character.
        extent: Number of frames that the line's image fills, without padding. All T frames by default.
        spaces: Expected number of spaces between each character and the next: the probability of a space, summed over
            the frames between them. 0 after the last character.
    """

    text: str
    confidence: float
    positions: tuple[int, ...]
    char_confidences: tuple[float, ...]
    ends: tuple[int, ...] = ()
    extent: float = 0.0
    spaces: tuple[float, ...] = ()


def ctc_greedy_decode(probabilities: np.ndarray, charset: Charset) -> list[Decoded]:
    """Decode a batch greedily: take the likeliest class of every frame, merge runs of one class, and remove blanks.

    Args:
        probabilities: Softmax output (N, T, K). Class 0 is the blank.
        charset: The K - 1 characters.

    Raises:
        ValueError: If there are not three axes, or K is not the number of classes of the charset.
    """
    if probabilities.ndim != 3:
        raise ValueError(f"probabilities must be (lines, frames, classes), got shape {probabilities.shape}")
    if probabilities.shape[2] != charset.num_classes:
        raise ValueError(
            f"the recognizer gives {probabilities.shape[2]} classes, the charset has {charset.num_classes} "
            "(characters and the blank); use the charset the model was trained with"
        )
    ids = probabilities.argmax(axis=2)
    kept = ids != BLANK
    kept[:, 1:] &= ids[:, 1:] != ids[:, :-1]
    best = np.take_along_axis(probabilities, ids[..., None], axis=2)[..., 0]
    spaces = probabilities[..., list(charset.spaces)].sum(axis=2)
    return [_line(ids[i], best[i], spaces[i], np.flatnonzero(kept[i]), charset) for i in range(len(ids))]


def line_of_path(path: np.ndarray, probabilities: np.ndarray, charset: Charset) -> Decoded:
    """Return the line whose frames have given classes.

    Args:
        path: Class of each frame, (T,).
        probabilities: Softmax output (T, K). The confidence of a character is the largest probability of any character
            in its frames.
        charset: The K - 1 characters.
    """
    starts = np.flatnonzero(np.append(True, path[1:] != path[:-1]))
    best = np.repeat(
        np.maximum.reduceat(np.delete(probabilities, BLANK, axis=1).max(axis=1), starts),
        np.diff(np.append(starts, len(path))),
    )
    spaces = probabilities[:, list(charset.spaces)].sum(axis=1)
    return _line(path, best, spaces, starts[path[starts] != BLANK], charset)


def _line(ids: np.ndarray, best: np.ndarray, spaces: np.ndarray, frames: np.ndarray, charset: Charset) -> Decoded:
    confidences = best[frames]
    changes = np.append(np.flatnonzero(ids[1:] != ids[:-1]) + 1, len(ids))
    ends = changes[np.searchsorted(changes, frames, side="right")]
    before = np.concatenate([[0.0], np.cumsum(spaces, dtype=np.float64)])  # expected spaces before each frame
    expected = np.append(before[ends[1:]] - before[frames[:-1]], np.zeros(min(len(frames), 1)))
    return Decoded(
        charset.decode(ids[frames].tolist()),
        float(confidences.mean()) if len(frames) else 0.0,
        tuple(frames.tolist()),
        tuple(confidences.tolist()),
        tuple(ends.tolist()),
        float(len(ids)),
        tuple(expected.tolist()),
    )


def correct_digits(decoded: Decoded, probabilities: np.ndarray, charset: Charset) -> Decoded:
    """Replace O and I among digits by 0 and 1, if the recognizer was in doubt.

    Without context, O and 0 or I and 1 look the same in many fonts. The recognizer divides the probability between them
    and the likelier one wins. Inside a number with at least two digits (2I.22, O0395), a small probability of the digit
    is enough to replace the letter. Beside a digit (FRO1, 5OMM), 0 must be a fifth as likely as O; alone in brackets
    (list[O]), half as likely. Letters with a high probability stay. The new confidence is the sum of both.

    Args:
        decoded: The line, with a position for each of its characters.
        probabilities: Probabilities from which it was decoded, (T, K).
        charset: The K - 1 characters.
    """
    text = decoded.text
    doubtful = [i for i, letter in enumerate(text) if letter in _DIGITS and _DIGITS[letter] in charset.ids]
    if not doubtful:
        return decoded
    within: set[int] = set()
    for number in _NUMBER.finditer(text):
        if sum(letter.isdigit() for letter in number.group()) >= 2:
            within.update(range(number.start(), number.end() - (number.group()[-1] in _UNITS)))
    letters, confidences = list(text), list(decoded.char_confidences)
    for i in doubtful:
        before, after = text[:i].rstrip("Oo")[-1:], text[i + 1 :].lstrip("Oo")[:1]
        if i in within:
            least = _IN_NUMBER
        elif text[i] in "Oo" and (before.isdigit() or after.isdigit() or _HEXADECIMAL.match(text, i)):
            least = _BESIDE_DIGIT
        elif text[max(i - 1, 0) : i + 2] in ("[O]", "[o]", "(O)"):
            least = _IN_BRACKETS
        else:
            continue
        digit = float(probabilities[decoded.positions[i], charset.ids[_DIGITS[text[i]]]])
        if digit > least * confidences[i]:
            letters[i] = _DIGITS[text[i]]
            confidences[i] += digit
    if letters == list(text):
        return decoded
    mean = float(np.mean(confidences))
    return replace(decoded, text="".join(letters), confidence=mean, char_confidences=tuple(confidences))


def space_operators(decoded: Decoded) -> Decoded:
    """Complete the spaces around operators in a line of source code, if there is one on one side (a!= b).

    Operators without spaces stay as they are. <=18 and >=5 stay, too, because they occur in other texts.
    """
    places = sorted((m.end() if m.group(1) else m.start() for m in _OPERATOR.finditer(decoded.text)), reverse=True)
    if not places:
        return decoded
    characters = _characters(decoded)
    for i in places:
        left, right = characters[i - 1 : i + 1]
        characters.insert(i, _Character(" ", left.end, right.begin, min(left.confidence, right.confidence)))
    return replace(_from_characters(decoded, characters), confidence=decoded.confidence)


def strip_spaces(decoded: Decoded) -> Decoded:
    """Remove spaces at the start and the end of a line, and reduce several spaces in a row to one."""
    text = decoded.text
    if text == text.strip(" ") and "  " not in text:
        return decoded
    pairs = zip(" " + text, text, _characters(decoded), strict=False)
    kept = [one for before, character, one in pairs if not before == character == " "]
    if kept and text[-1] == " ":
        kept.pop()
    return _from_characters(decoded, kept) if kept else Decoded("", 0.0, (), (), extent=decoded.extent)


class Beside(NamedTuple):
    """Text on one side of a leader.

    Attributes:
        first, last: Index of its first character, and the one after its last.
        begin, end: Its frames. They include three characters of the leader, because a single one might be misread.
    """

    first: int
    last: int
    begin: float
    end: float


def texts_beside_leader(decoded: Decoded) -> list[Beside]:
    """Return the text beside the longest leader of a line, if the leader is long enough to disturb it.

    Squeeze-and-excitation averages over the whole line, which is mostly dots then, so that the few letters suffer. Of
    42 such lines of a table of contents, `en` misread 7 and `ch` 12, but none and 1 without the dots.
    """
    leaders = list(_LEADER.finditer(decoded.text))
    if not leaders:
        return []
    start, stop = max((leader.span() for leader in leaders), key=lambda span: span[1] - span[0])
    middles = (np.array(decoded.positions) + np.array(decoded.ends)) / 2
    if middles[stop - 1] - middles[start] < _LEADER_SHARE * decoded.extent:
        return []
    of_leader = [i for i in range(start, stop) if decoded.text[i] != " "]
    left = Beside(0, start, 0.0, float(middles[of_leader[2:4]].mean()))
    right = Beside(stop, len(decoded.text), float(middles[of_leader[-4:-2]].mean()), decoded.extent)
    return [side for side in (left, right) if decoded.text[side.first : side.last].strip()]


def without_leader(decoded: Decoded, sides: Sequence[Beside], alone: Sequence[Decoded]) -> Decoded:
    """Return the line with its `sides` (see `texts_beside_leader`) replaced by the texts recognized alone."""
    characters = _characters(decoded)
    for side, text in reversed(list(zip(sides, alone, strict=True))):
        inner = -1 if side.first == 0 else 0
        new, spaces = _characters(text), list[_Character]()
        while new and new[inner].letter in _LEADERS + " ":
            end = new.pop(inner)
            spaces = [end] if end.letter == " " else []
        old = characters[side.first : side.last]
        if not new:
            continue
        spaces = spaces or [c for c in (old[inner],) if c.letter == " "]
        start = round(side.begin)
        new = [c._replace(begin=c.begin + start, end=c.end + start) for c in new]
        characters[side.first : side.last] = new + spaces if side.first == 0 else spaces + new
    return _from_characters(decoded, characters)


class _Character(NamedTuple):
    """A character of a `Decoded` line; `end` is the frame after its last one, `spaces` those expected after it."""

    letter: str
    begin: int
    end: int
    confidence: float
    spaces: float = 0.0


def _characters(decoded: Decoded) -> list[_Character]:
    spaces = decoded.spaces or (0.0,) * len(decoded.text)
    fields = (decoded.text, decoded.positions, decoded.ends, decoded.char_confidences, spaces)
    return [_Character(*values) for values in zip(*fields, strict=True)]


def _from_characters(decoded: Decoded, characters: list[_Character]) -> Decoded:
    letters, positions, ends, confidences, spaces = zip(*characters, strict=True)
    mean = float(np.mean(confidences))
    return Decoded("".join(letters), mean, positions, confidences, ends, decoded.extent, spaces)


def put_spaces(decoded: Decoded) -> Decoded:
    """Insert spaces where the recognizer saw a weak space between two characters.

    PP-OCR's recognizers, trained mostly on Chinese, leave out most spaces, because in each frame nothing is likelier
    than a space. But they do see the ends of words: at a missing space, the expected number of spaces has a median of
    .14 (PP-OCRv4) or .3 (v6). Within words it is .0001, and below .02 in 99 of 100 places. The limit is higher within
    words and numbers and before punctuation, and rises with the number of spaces in the line. No spaces are inserted
    beside ideographs.
    """
    written = decoded.text.strip().count(" ") / max(len(decoded.text) - 1, 1)
    least = _LEAST_SPACES * (1 + _WHERE_WRITTEN * min(written / _USUAL_SPACES, 1.0))
    characters = _characters(decoded)
    within = [match.start() for match in _WITHIN_NUMBER.finditer(decoded.text)]
    for i in reversed(range(len(characters) - 1)):
        before, after = characters[i : i + 2]
        left, right = before.letter, after.letter
        if " " in (left, right) or max(ord(left), ord(right)) >= _FIRST_IDEOGRAPH:
            continue
        doubt = 1.0
        if i in within or i - 1 in within:
            doubt = _IN_NUMBERS
        elif right in _SIGNS:
            doubt = _BEFORE_SIGNS
        elif left.isalpha() and right.isalpha():
            doubt = _BETWEEN_LETTERS
        if before.spaces > least * doubt:
            space = _Character(" ", before.end, after.begin, min(before.spaces, 1.0))
            characters[i : i + 1] = before._replace(spaces=0.0), space
    put = len(characters) > len(decoded.text)
    return replace(_from_characters(decoded, characters), confidence=decoded.confidence) if put else decoded


def with_sign(decoded: Decoded, sign: str, first: int, end: int) -> Decoded:
    """Insert a character that the recognizer does not know into a line, as a word of its own.

    Args:
        decoded: The line.
        sign: The character.
        first, end: Its first frame, and the frame after its last one.
    """
    characters = _characters(decoded)
    index = sum(c.begin + c.end < first + end for c in characters)
    before, after = characters[:index], characters[index:]
    while before and before[-1].letter == " ":
        before.pop()
    while after and after[0].letter == " ":
        after.pop(0)
    left = [_Character(" ", before[-1].end, first, 1.0)] if before else []
    right = [_Character(" ", end, after[0].begin, 1.0)] if after else []
    return _from_characters(decoded, [*before, *left, _Character(sign, first, end, 1.0), *right, *after])
