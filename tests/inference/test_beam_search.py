"""Beam search with a language model: against enumeration of all paths, and on lines that are in doubt."""

import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.charset import Charset
from ppocr_jax.inference import beam_search as search
from ppocr_jax.inference.decode import ctc_greedy_decode
from ppocr_jax.inference.model_folder import BUILTIN_FOLDER, ModelError, load_model_folder, write_model_json
from ppocr_jax.language_model import END, START, LanguageModelError, train_language_model

ABC = Charset(("a", "b", " "))
LANGUAGE = train_language_model([("ab ab", 1.0), ("abba", 1.0), ("bab", 1.0)], order=3)


def text_of(path, charset):
    kept = [k for i, k in enumerate(path) if k and (i == 0 or path[i - 1] != k)]
    return "".join(charset.characters[k - 1] for k in kept)


def scores_of_all_texts(probabilities, charset, language):
    """Return the score of every text by summing its paths."""
    sums = {}
    for path in itertools.product(range(charset.num_classes), repeat=len(probabilities)):
        probability = float(np.prod(probabilities[np.arange(len(path)), path]))
        text = text_of(path, charset)
        sums[text] = sums.get(text, 0.0) + probability
    spoken = {
        text: sum(
            max(language.log_probability(START + text[:i], c), search._LEAST_LIKELY) for i, c in enumerate(text + END)
        )
        for text in sums
    }
    return {
        text: np.log(p) + search._WEIGHT * spoken[text] + search._PER_CHARACTER * len(text) for text, p in sums.items()
    }


@pytest.mark.parametrize("seed", range(12))
def test_finds_the_best_of_all_texts(seed, monkeypatch):
    monkeypatch.setattr(search, "_BEAMS", 10_000)
    monkeypatch.setattr(search, "_LEAST", 0.0)
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.6] * 4, size=6).astype(np.float64)
    scores = scores_of_all_texts(probabilities, ABC, LANGUAGE)
    found = search._best_text(probabilities, ABC, LANGUAGE)
    assert scores[found] == pytest.approx(max(scores.values()), abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_alignment_is_the_likeliest_path_of_the_text(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.8] * 4, size=6).astype(np.float32)
    for text in ("a", "ab", "aa", "b a"):
        path = search._alignment(probabilities, [ABC.ids[c] for c in text])
        assert text_of(path.tolist(), ABC) == text
        every = [p for p in itertools.product(range(4), repeat=6) if text_of(p, ABC) == text]
        best = max(float(np.prod(probabilities[np.arange(6), p])) for p in every)
        assert float(np.prod(probabilities[np.arange(6), path])) == pytest.approx(best, rel=1e-5)


def frames(charset, *rows):
    """Return probabilities (T, K) from dictionaries of characters ("" is the blank); the rest is spread evenly."""
    out = np.full((len(rows), charset.num_classes), 1e-6, np.float32)
    for row, values in zip(out, rows, strict=True):
        for character, probability in values.items():
            row[charset.ids[character] if character else 0] = probability
    return out / out.sum(axis=1, keepdims=True)


LETTERS = Charset(tuple("abcdefghijklmnopqrstuvwxyz0123456789 "))
WORDS = train_language_model([(w, 1.0) for w in ["receipt", "receive", "recent", "deceit", "total", "0123 total"] * 20])


def spelled(word, **doubts):
    """Frames of a word, a blank after each letter; a letter may be given with probabilities of its alternatives."""
    rows = []
    for i, letter in enumerate(word):
        rows += [doubts.get(f"at{i}", {letter: 0.97}), {"": 0.99}]
    return frames(LETTERS, *rows)


def test_doubtful_letters_are_put_right():
    probabilities = spelled("reccipt", at3={"c": 0.55, "e": 0.4})
    greedy = ctc_greedy_decode(probabilities[None], LETTERS)[0]
    assert greedy.text == "reccipt"
    better = search.beam_search(greedy, probabilities, LETTERS, WORDS)
    assert better.text == "receipt"
    assert better.positions == greedy.positions
    assert better.ends == greedy.ends
    assert better.confidence == pytest.approx(greedy.confidence), "the line is as certain as before"
    assert len(better.spaces) == len(better.text)


def test_missing_and_surplus_letters_are_put_right():
    missing = spelled("recipt", at2={"c": 0.8, "": 0.2})
    missing[5, [0, LETTERS.ids["e"]]] = 0.55, 0.45  # the blank between c and i
    greedy = ctc_greedy_decode(missing[None], LETTERS)[0]
    better = search.beam_search(greedy, missing, LETTERS, WORDS)
    assert (greedy.text, better.text) == ("recipt", "receipt")
    assert better.positions == (0, 2, 4, 5, 6, 8, 10)
    surplus = spelled("totall", at5={"l": 0.6, "": 0.4})
    greedy = ctc_greedy_decode(surplus[None], LETTERS)[0]
    assert search.beam_search(greedy, surplus, LETTERS, WORDS).text == "total"


def test_certain_letters_stay():
    sure = spelled("reccipt")
    greedy = ctc_greedy_decode(sure[None], LETTERS)[0]
    assert search.beam_search(greedy, sure, LETTERS, WORDS) is greedy
    nearly = spelled("reccipt", at3={"c": 0.85, "e": 0.01})
    greedy = ctc_greedy_decode(nearly[None], LETTERS)[0]
    assert search.beam_search(greedy, nearly, LETTERS, WORDS) is greedy
    empty = frames(LETTERS, {"": 0.6, "a": 0.3})
    greedy = ctc_greedy_decode(empty[None], LETTERS)[0]
    assert search.beam_search(greedy, empty, LETTERS, WORDS) is greedy


def test_codes_do_not_become_words(monkeypatch):
    """Between two letters neither of which the language expects, the recognizer decides."""
    language = train_language_model([("hello receipt", 300.0), ("z", 20.0), ("8", 1.0)])
    probabilities = spelled("7qx8bk", at3={"8": 0.6, "z": 0.39})
    greedy = ctc_greedy_decode(probabilities[None], LETTERS)[0]
    assert search.beam_search(greedy, probabilities, LETTERS, language).text == "7qx8bk"
    monkeypatch.setattr(search, "_LEAST_LIKELY", -np.inf)
    assert search.beam_search(greedy, probabilities, LETTERS, language).text == "7qxzbk"


def test_language_model_of_a_reader(stripes_model, tmp_path):
    def language_of(*model, **options):
        return OCR(*model, threads=1, **options).stages.recognizer.language

    WORDS.save(tmp_path / "words.npz")
    assert language_of("en").order == 6
    assert language_of("en", language_model="none") is None
    assert language_of("en", language_model=tmp_path / "words.npz").characters == WORDS.characters
    assert language_of(stripes_model) is None
    assert language_of("en", rec=BUILTIN_FOLDER / "en" / "rec.onnx") is not None
    assert language_of("en", rec=BUILTIN_FOLDER / "latin" / "rec.onnx") is None
    with pytest.raises(LanguageModelError, match=r"no such file: .*missing\.npz"):
        OCR("en", language_model=tmp_path / "missing.npz")


def test_a_model_folder_names_its_language_model(stripes_model, tmp_path):
    shutil.copytree(stripes_model, tmp_path / "model")
    model = replace(load_model_folder(tmp_path / "model"), language="language.npz")
    write_model_json(model)
    with pytest.raises(ModelError, match=r"names language\.npz, which is not in the folder"):
        load_model_folder(tmp_path / "model")
    WORDS.save(tmp_path / "model" / "language.npz")
    assert load_model_folder(tmp_path / "model") == model
    assert OCR(tmp_path / "model", threads=1).stages.recognizer.language.characters == WORDS.characters
