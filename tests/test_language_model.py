"""Character language model: probabilities against a plain implementation, and the file."""

from collections import Counter

import numpy as np
import pytest

from ppocr_jax.errors import OptionError
from ppocr_jax.language_model import END, START, LanguageModel, LanguageModelError, train_language_model

TEXTS = [("total 12.50", 1.0), ("Total 9.80", 1.0), ("the total is to be paid", 2.0), ("Zahlung an Café", 1.0)]
STEP = 1 / 16  # in which logarithms are stored


def witten_bell(texts, order):
    """Return a function (context, character) -> probability, by recursion over dictionaries."""
    counts = [Counter() for _ in range(order + 1)]
    for text, weight in texts:
        line = START + text + END
        for i in range(1, len(line)):
            for n in range(1, min(order, i + 1) + 1):
                counts[n][line[i - n + 1 : i + 1]] += weight
    known = len({c for text, _ in texts for c in text}) + 2

    def probability(context, character):
        if len(context) >= order:
            context = context[-(order - 1) :] if order > 1 else ""
        lower = probability(context[1:], character) if context else 1 / known
        followers = {k: c for k, c in counts[len(context) + 1].items() if k[:-1] == context}
        if not followers:
            return lower
        total, types = sum(followers.values()), len(followers)
        return (followers.get(context + character, 0) + types * lower) / (total + types)

    return probability


@pytest.mark.parametrize("order", [2, 3, 5])
def test_probabilities_are_those_of_witten_and_bell(order):
    model = train_language_model(TEXTS, order=order, other_case=0)
    expected = witten_bell(TEXTS, order)
    for context in (START, START + "to", START + "the tota", START + "Total 12", START + "xyz", "é", "al"):
        for character in "tal e1Zé" + END:
            probability = expected(context if "x" not in context else "", character)
            # Every backoff adds another rounded logarithm.
            assert model.log_probability(context, character) == pytest.approx(np.log(probability), abs=order * STEP)


@pytest.mark.parametrize("most", [5, 40, 100_000])
def test_probabilities_of_all_characters_add_up_to_one(most):
    model = train_language_model(TEXTS, order=4, most=most)
    for context in (START, START + "t", START + "TOTAL", "tal", " to", "é"):
        total = sum(np.exp(model.log_probability(context, c)) for c in model.characters if c != START)
        assert 0.85 < total < 1.15


def test_useless_ngrams_are_left_out_first():
    texts = [*TEXTS, *[(f"invoice {i}", 1.0) for i in range(50)]]
    whole, small = (train_language_model(texts, most=most) for most in (100_000, 60))
    singles = len(small.characters)
    assert len(small.keys) < 60 + singles + 6 * 60 < len(whole.keys)
    for context, character in ((START + "invoi", "c"), (START + "invoice", " ")):
        assert np.exp(small.log_probability(context, character)) > 0.5
    assert whole.log_probability(START + "the tot", "a") > small.log_probability(START + "the tot", "a")


def test_other_letter_case_counts_less():
    model = train_language_model([("paid", 1.0)] * 20)
    exact = train_language_model([("paid", 1.0)] * 20, other_case=0)
    assert model.log_probability(START, "p") > model.log_probability(START, "P") > model.log_probability(START, "a")
    assert "P" not in exact.characters
    assert model.log_probability(START + "PAI", "D") > -1


def test_unknown_characters_are_unlikely_and_start_a_new_context():
    model = train_language_model(TEXTS)
    assert model.log_probability(START + "to", "Ω") <= min(model.log_probability(START + "to", c) for c in "xyZ1é")
    assert model.log_probability(START + "Ωtota", "l") == model.log_probability("tota", "l")
    assert model.log_probability("a very long beginning, then total 12.", "5") == model.log_probability("l 12.", "5")


def test_large_alphabets_have_shorter_ngrams():
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))
    model = train_language_model([(letters[i : i + 9], 1.0) for i in range(0, 9000, 9)])
    assert model.order == 4
    assert model.log_probability(START + letters[:3], letters[3]) > model.log_probability(START + letters[:3], "a")


def test_files(tmp_path):
    model = train_language_model(TEXTS)
    model.save(tmp_path / "a.npz")
    again = LanguageModel.load(tmp_path / "a.npz")
    assert (again.characters, again.order) == (model.characters, model.order)
    for name in ("keys", "costs", "backoffs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert again.log_probability(START + "tot", "a") == model.log_probability(START + "tot", "a")
    model.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes(), "equal models are equal files"

    (tmp_path / "text.npz").write_text("not a model")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:300])
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "other.npz", "cut.npz", "array.npy"):
        with pytest.raises(LanguageModelError, match=f"{name} is not a language model"):
            LanguageModel.load(tmp_path / name)
    for name, message in (("missing.npz", "no such file"), (".", "cannot read .*: Is a directory")):
        with pytest.raises(LanguageModelError, match=message):
            LanguageModel.load(tmp_path / name)


def test_what_cannot_be_made():
    for texts in ([], [("", 1.0), ("  ", 1.0)]):
        with pytest.raises(LanguageModelError, match="no text"):
            train_language_model(texts)
    for options in ({"order": 1}, {"order": 7}, {"most": 0}, {"other_case": -1}):
        with pytest.raises(OptionError):
            train_language_model(TEXTS, **options)
