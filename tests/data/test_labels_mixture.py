"""Several label files in stated shares."""

from collections import Counter
from pathlib import Path

import pytest

from ppocr_jax.data.labels import LabelError, LabelMixture, RecognitionRecord


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, count in (("a", 10), ("b", 7), ("c", 4)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{name}{i}.jpg\t{name}{i}\n" for i in range(count)))
    return [tmp_path / f"{name}.txt" for name in "abc"]


def texts(mixture: LabelMixture, epoch: int) -> list[str]:
    return [record.text for record in mixture.records(epoch)]


def test_an_epoch_is_a_function_of_seed_and_number(files: list[Path]) -> None:
    mixtures = [LabelMixture.read(files, ratio_list=[0.5, 0.5, 1.0], seed=seed) for seed in (3, 3, 4)]
    first, again, other_seed = (texts(mixture, 0) for mixture in mixtures)
    assert first == again
    assert first != other_seed
    assert first != texts(mixtures[0], 1)
    assert texts(mixtures[0], 1) == texts(mixtures[1], 1), "whatever was asked for before"


def test_shares(files: list[Path]) -> None:
    mixture = LabelMixture.read(files, ratio_list=[0.5, 0.4, 0.0])
    drawn = texts(mixture, 0)
    assert Counter(text[0] for text in drawn) == {"a": 5, "b": 3}, "round(10 x 0.5) and round(7 x 0.4)"
    assert len(set(drawn)) == len(drawn), "without repetition"
    assert drawn == sorted(drawn), "in the order of the files"


def test_every_record_gets_its_turn(files: list[Path]) -> None:
    mixture = LabelMixture.read(files[:1], ratio_list=0.5)
    counts = Counter(text for epoch in range(200) for text in texts(mixture, epoch))
    assert set(counts) == {f"a{i}" for i in range(10)}
    assert min(counts.values()) > 70, "100 of 200 epochs each are expected; 70 is six standard deviations below"
    assert texts(LabelMixture.read(files), 5) == texts(LabelMixture.read(files), 0), "all of each, always"


def test_one_of_several_pictures_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('["1.jpg", "2.jpg", "3.jpg"]\tone\n')
    mixture = LabelMixture.read([tmp_path / "a.txt"])
    drawn = [mixture.records(epoch)[0] for epoch in range(60)]
    assert {record.image_path.name for record in drawn} == {"1.jpg", "2.jpg", "3.jpg"}
    assert all(record.other_paths == () and record.text == "one" for record in drawn)
    assert drawn == [mixture.records(epoch)[0] for epoch in range(60)]


def test_wrong_ratios_and_mixed_kinds(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="2 numbers for 3 label sets"):
        LabelMixture.read(files, ratio_list=[1.0, 0.5])
    with pytest.raises(LabelError, match="between 0 and 1"):
        LabelMixture.read(files, ratio_list=1.5)
    with pytest.raises(LabelError, match="between 0 and 1"):
        LabelMixture(((RecognitionRecord(Path("1.jpg"), "a"),),), (float("nan"),))
    (tmp_path / "det.txt").write_text("1.jpg\t[]\n")
    with pytest.raises(LabelError, match="mix detection and recognition"):
        LabelMixture.read([*files, tmp_path / "det.txt"])
