"""Objectives by name: each is one class, found through one table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from corpusmill.training import build, objective_table
from corpusmill.training.objective_table import OBJECTIVES, objective_class
from corpusmill.training.objectives import Causal, Objective
from corpusmill.training.settings import TrainSettings, from_mapping
from corpusmill.transforms.errors import RecipeError


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_name_leads_to_an_objective_that_says_what_it_trains_on(name: str) -> None:
    cls = objective_class(name)
    assert issubclass(cls, Objective)
    assert cls.kinds
    assert cls.documents or cls.shards
    assert name in str(TrainSettings.model_json_schema()["$defs"]["ObjectiveSettings"]["properties"]["name"]["enum"])


def test_an_unknown_objective_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"there is no objective .casual.; did you mean `causal`\?"):
        from_mapping({"output": "o", "data": {"train": "d"}, "objective": {"name": "casual"}})


def test_an_objective_of_ones_own_needs_a_class_and_a_line_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(objective_table.OBJECTIVES, "backwards", f"{__name__}:Backwards")
    settings = from_mapping({"output": "o", "data": {"train": "d"}, "objective": {"name": "backwards"}})
    objective = build.objective_of(settings, SimpleNamespace(size=9))  # type: ignore[arg-type]
    rows = {"input_ids": np.array([[1, 2, 3]])}
    assert objective.prepare(rows, np.zeros(1, np.uint64))["input_ids"].tolist() == [[3, 2, 1]]
    encoder = settings.model_copy(update={"model": settings.model.model_copy(update={"kind": "encoder"})})
    with pytest.raises(RecipeError, match=r"objective backwards trains decoder; model\.kind is encoder"):
        build.objective_of(encoder, None)  # type: ignore[arg-type]


class Backwards(Causal):
    """Learns to write from the end to the beginning."""

    def prepare(self, rows, keys):
        return super().prepare({"input_ids": rows["input_ids"][:, ::-1]}, keys)


def test_the_table_is_light() -> None:
    code = "import sys, corpusmill.training.objective_table; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
