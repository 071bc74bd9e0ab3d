"""An ensemble as teacher: the mean of probabilities, one vocabulary, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import corpusmill.training.serving.openers  # noqa: F401
from corpusmill.training import build, provenance
from corpusmill.training.data import Shards
from corpusmill.training.distill import TeacherRows
from corpusmill.training.loop import train
from corpusmill.training.serving.teach import teach
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.generate.distill import Distill
from corpusmill.transforms.generate.model import digest_of, open_model


@pytest.fixture
def members(make, tmp_path: Path) -> list[str]:
    runs = [make(steps=4, seed=seed, output=str(tmp_path / f"m{seed}")) for seed in (1, 2, 3)]
    for run in runs:
        train(run)
    return [run.output for run in runs]


def test_the_teacher_is_the_mean_of_the_probabilities(members, shards: Path, tmp_path: Path) -> None:
    data = Shards(shards)
    teach(data, "ensemble:" + ",".join(members), tmp_path / "t", kind="full")
    index = np.arange(5)
    rows = data.rows(index)
    inputs = {n: torch.from_numpy(rows[n]) for n in ("input_ids", "segment_ids", "position_ids")}
    with torch.no_grad():
        each = [build.load(member).model(**inputs).softmax(-1) for member in members]
    wanted = torch.stack(each).mean(0).log()
    real = rows["segment_ids"] != 0
    found = TeacherRows(data, tmp_path / "t").rows(index)["teacher_logp"]
    np.testing.assert_allclose(found[real], wanted.numpy()[real], atol=2e-2)  # stored in half precision
    note = provenance.of("ensemble:" + ",".join(members))
    assert note.unknown == members  # each member is named


def test_a_list_in_a_recipe_is_an_ensemble(members, tokenizer: Path) -> None:
    step = Distill(model=members, tokenizer=str(tokenizer))
    assert step.model == "ensemble:" + ",".join(members)
    assert step.fingerprint() != Distill(model=members[:2], tokenizer=str(tokenizer)).fingerprint()
    names = [Path(m).name for m in members]
    bound = Distill(model=names, tokenizer=str(tokenizer)).resolved(str(Path(members[0]).parent))
    assert digest_of(bound.model) == digest_of(step.model)


def test_what_an_ensemble_cannot_do(members, make, tmp_path: Path, shards: Path) -> None:
    together = open_model("ensemble:" + ",".join(members))
    with pytest.raises(RecipeError, match="writes no text"):
        together.complete([])
    with pytest.raises(RecipeError, match="scores no text"):
        together.score(["a"])
    with pytest.raises(DatasetError, match="none"):
        digest_of(f"ensemble:{members[0]},{tmp_path}/none")


def test_a_student_of_another_temperature_is_refused(members, make, shards: Path, tmp_path: Path) -> None:
    teach(Shards(shards), members[0], tmp_path / "t", temperature=2.0)
    objective = {"name": "distillation", "teacher": str(tmp_path / "t")}
    with pytest.raises(DatasetError, match=r"the teacher's temperature was 2, and the student's is 1"):
        train(make(steps=1, objective=objective, output=str(tmp_path / "s")))
    train(make(steps=1, objective={**objective, "temperature": 2.0}, output=str(tmp_path / "s")))
