"""CTC beam search with a language model, for lines that the recognizer is not sure of (Graves and Jaitly, 2014)."""

from __future__ import annotations

import math

import numpy as np

from ppocr_jax.charset import BLANK, Charset
from ppocr_jax.inference.decode import Decoded, line_of_path
from ppocr_jax.language_model import END, START, LanguageModel

# Chosen on 5,300 validation lines of SROIE, FUNSD, WildReceipt, ICDAR 2015 and IIIT5K and on 1,000 synthetic amounts,
# dates, codes, passwords and addresses, with the model `en`.
_SURE = 0.9  # lines without a less probable character keep their greedy reading
_WEIGHT, _PER_CHARACTER = 0.35, 0.5  # of the log-probability of the language, and added for each character
# A surprising character costs no more than this. Without the limit, an eighth of the random passwords that were read
# right became more like words.
_LEAST_LIKELY = -4.0
_BEAMS, _LEAST = 5, 1e-2  # texts compared at each frame, and least probability of a character in a frame


def beam_search(greedy: Decoded, probabilities: np.ndarray, charset: Charset, language: LanguageModel) -> Decoded:
    """Return the likeliest text of a line according to the recognizer and the language model together.

    Args:
        greedy: The greedy reading, returned as it is if it is certain or the likeliest.
        probabilities: Probabilities from which it was decoded, (T, K).
        charset: The K - 1 characters.
        language: Model of the language.

    Returns:
        The text. The confidence of a character is the recognizer's probability of the likeliest character in its place,
        so that a line does not become less certain because a letter is put right.
    """
    if not greedy.text or min(greedy.char_confidences) >= _SURE:
        return greedy
    text = _best_text(probabilities, charset, language)
    if text == greedy.text or not text:
        return greedy
    path = _alignment(probabilities, [charset.ids[character] for character in text])
    return line_of_path(path, probabilities, charset)


def _best_text(probabilities: np.ndarray, charset: Charset, language: LanguageModel) -> str:
    """Return the best of the texts that prefix beam search finds.

    For each text, the probabilities of all paths that end in a blank and that end in its last character are summed
    apart.
    """
    never = -math.inf
    beams: dict[str, tuple[float, float, float]] = {"": (0.0, never, 0.0)}  # ends in blank, in a character; language
    for row in probabilities:
        classes = np.flatnonzero(row > _LEAST).tolist()
        logs = np.log(row[classes]).tolist()
        if classes == [BLANK]:
            beams = {text: (_log_sum(*beam[:2]) + logs[0], never, beam[2]) for text, beam in beams.items()}
            continue
        found: dict[str, tuple[float, float, float]] = {}
        for text, (blank, last, score) in beams.items():
            either = _log_sum(blank, last)
            for index, log in zip(classes, logs, strict=True):
                character = "" if index == BLANK else charset.characters[index - 1]
                if not character or character == text[-1:]:
                    old_blank, old_last, _ = found.get(text, (never, never, 0.0))
                    if character:
                        found[text] = old_blank, _log_sum(old_last, last + log), score
                    else:
                        found[text] = _log_sum(old_blank, either + log), old_last, score
                before = blank if character == text[-1:] else either
                if character and before > never:
                    longer = text + character
                    if old := found.get(longer):
                        found[longer] = old[0], _log_sum(old[1], before + log), old[2]
                    else:
                        likely = score + _language_score(language, text, character) + _PER_CHARACTER
                        found[longer] = never, before + log, likely
        best = sorted(found, key=lambda text: _total(found[text]), reverse=True)[:_BEAMS]
        beams = {text: found[text] for text in best} or beams
    return max(beams, key=lambda text: _total(beams[text]) + _language_score(language, text, END))


def _language_score(language: LanguageModel, text: str, character: str) -> float:
    return _WEIGHT * max(language.log_probability(START + text, character), _LEAST_LIKELY)


def _total(beam: tuple[float, float, float]) -> float:
    return _log_sum(beam[0], beam[1]) + beam[2]


def _log_sum(a: float, b: float) -> float:
    """Return log(exp(a) + exp(b))."""
    a, b = max(a, b), min(a, b)
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def _alignment(probabilities: np.ndarray, classes: list[int]) -> np.ndarray:
    """Return the class of each frame, (T,), on the likeliest path of a text."""
    states = np.full(2 * len(classes) + 1, BLANK)
    states[1::2] = classes
    logs = np.log(np.maximum(probabilities[:, states], 1e-12))
    skips = np.zeros(len(states), bool)  # from one character to the next without a blank
    skips[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = logs[0, :2]
    steps = np.zeros(logs.shape, np.int8)
    for t in range(1, len(logs)):
        one = np.append(-np.inf, score[:-1])
        two = np.where(skips, np.append([-np.inf, -np.inf], score[:-2]), -np.inf)
        choices = np.stack([score, one, two])
        steps[t] = choices.argmax(axis=0)
        score = choices.max(axis=0) + logs[t]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    path = np.empty(len(logs), np.int64)
    for t in reversed(range(len(logs))):
        path[t] = states[state]
        state -= int(steps[t, state])
    return path
