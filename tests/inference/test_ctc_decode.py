import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.inference.decode import ctc_greedy_decode

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((FOLDER / "pipeline.json").read_text(encoding="utf-8"))
ARRAYS = np.load(FOLDER / "pipeline.npz")
CHARSETS = {"default36": load_charset("alphanumeric"), "small_space": Charset((*GOLDEN["dict_small"], " "))}
ABC = Charset(("a", "b", "c"))


def one_hot(ids: list[int], num_classes: int = ABC.num_classes, probability: float = 1.0) -> np.ndarray:
    """Probabilities (1, T, K) whose likeliest classes are `ids`."""
    rest = (1 - probability) / (num_classes - 1)
    return np.where(np.arange(num_classes) == np.array(ids)[:, None], probability, rest).astype(np.float32)[None]


@pytest.mark.parametrize("case", GOLDEN["ctc"], ids=lambda case: case["name"])
def test_texts_and_confidences_equal_the_reference(case):
    decoded = ctc_greedy_decode(ARRAYS[case["probs"]], CHARSETS[case["name"]])
    assert [line.text for line in decoded] == [text for text, _ in case["out"]]
    np.testing.assert_allclose([line.confidence for line in decoded], [c for _, c in case["out"]], rtol=1e-6)


def slow_decode(probabilities: np.ndarray, charset: Charset) -> tuple[str, list[int]]:
    """CTC's definition: merge runs of equal classes, then leave out the blanks."""
    runs = itertools.groupby(enumerate(probabilities.argmax(axis=1)), key=lambda frame: frame[1])
    starts = [(int(index), next(frames)[0]) for index, frames in runs]
    return "".join(charset.characters[i - 1] for i, _ in starts if i), [start for i, start in starts if i]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 30))
def test_decoding_follows_the_definition(seed, lines, frames):
    logits = np.random.default_rng(seed).normal(0, 3, (lines, frames, ABC.num_classes))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)).astype(np.float32)
    for one, line in zip(probabilities, ctc_greedy_decode(probabilities, ABC), strict=True):
        text, positions = slow_decode(one, ABC)
        assert (line.text, list(line.positions)) == (text, positions)
        assert list(line.char_confidences) == [one[t].max() for t in positions]
        assert line.confidence == pytest.approx(np.mean(line.char_confidences) if text else 0, abs=1e-6)


@given(
    st.text(alphabet=st.sampled_from("abc"), max_size=12),
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2)), min_size=12, max_size=12),
)
def test_frames_of_a_text_give_it_back(text, lengths):
    """Each character for some frames, with blanks between."""
    ids = [0]
    for character, (frames, blanks) in zip(text, lengths, strict=False):
        ids += ABC.encode(character) * frames + [0] * blanks
    (line,) = ctc_greedy_decode(one_hot(ids), ABC)
    assert line.text == text
    assert [ids[t] for t in line.positions] == ABC.encode(text)


def test_repeated_characters_need_a_blank_between():
    lines = [ctc_greedy_decode(one_hot(ids), ABC)[0] for ids in ([1, 1, 2], [1, 0, 1], [1, 2, 1])]
    assert [line.text for line in lines] == ["ab", "aa", "aba"]
    assert [line.positions for line in lines] == [(0, 2), (0, 2), (0, 1, 2)]


def test_confidence_is_the_mean_over_characters_not_frames():
    probabilities = np.concatenate([one_hot([1], probability=0.5), one_hot([1, 0, 2], probability=0.9)], axis=1)
    (line,) = ctc_greedy_decode(probabilities, ABC)
    assert line.char_confidences == pytest.approx((0.5, 0.9))
    assert line.confidence == pytest.approx(0.7)


def test_a_line_without_text_and_a_batch_without_lines():
    (line,) = ctc_greedy_decode(one_hot([0, 0]), ABC)
    assert (line.text, line.confidence, line.positions, line.char_confidences) == ("", 0, (), ())
    assert ctc_greedy_decode(np.zeros((0, 5, 4), np.float32), ABC) == []


def test_a_charset_of_another_size_is_refused():
    with pytest.raises(ValueError, match="gives 7 classes, the charset has 4"):
        ctc_greedy_decode(np.zeros((1, 5, 7), np.float32), ABC)
    with pytest.raises(ValueError, match="lines, frames, classes"):
        ctc_greedy_decode(np.zeros((5, 4), np.float32), ABC)
