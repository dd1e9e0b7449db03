"""What docs/mutual_learning.md shows for notebooks runs as it stands there: a new loss, a new backbone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.models import MODELS
from ppocr_jax.training.trained import load_trained
from tests.training.experiments import log

PAGE = Path(__file__).parents[2] / "docs" / "mutual_learning.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_loss_an_optimizer_and_a_backbone_of_ones_own(tmp_path, monkeypatch):
    """All together, on the new backbone, since it compiles in a moment."""
    monkeypatch.chdir(tmp_path)
    section = PAGE.read_text(encoding="utf-8").split("## Experiment in a notebook")[1]
    loss, optimizer, backbone = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    registered = dict(MODELS)
    try:
        names: dict = {}
        exec(backbone, names)
        config = '"--train.work-dir", "runs/js"'
        assert config in loss
        loss = loss.replace(config, f'{config}, "--model.name", "crnn_columns", "--data.val-limit", "8"')
        prepared, trained = re.split(r"^(?=variables = fit)", loss, flags=re.MULTILINE)
        exec(f"{prepared}{optimizer}{trained}", names)
        terms = [record for record in log(Path("runs/js")) if record["kind"] == "train"]
        assert len(terms) == 2
        assert all(np.isfinite(record[f"jensen_shannon_{i}"]) for record in terms for i in range(2))
        assert "learning_rate" not in terms[0]  # of the optimizer of `config.optimizer`, whose state tells it
        trained = load_trained("runs/js")
        assert trained.spec.network == "crnn_columns"
        np.testing.assert_array_equal(
            trained.variables["params"]["head"]["fc"]["kernel"], names["variables"]["params"]["head"]["fc"]["kernel"]
        )
    finally:
        MODELS.clear()
        MODELS.update(registered)
