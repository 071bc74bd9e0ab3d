"""Hidden-state matching: the loss against its definition, a student that comes closer, and the mistakes that are refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from corpusmill.training import build
from corpusmill.training.data import Shards
from corpusmill.training.distill import TeacherRows
from corpusmill.training.hidden_states import Teacher, output_layer, relation_losses, with_states
from corpusmill.training.loop import train
from corpusmill.training.serving.teach import teach
from corpusmill.training.settings import from_mapping
from corpusmill.transforms.errors import DatasetError, RecipeError
from tests.training.serving.test_local_model import decoder  # noqa: F401


def states(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_loss_is_that_of_its_definition_within_documents() -> None:
    student, teacher = states(1, 3, 4), states(1, 3, 6, seed=1)
    segments = torch.tensor([[1, 1, 2]])
    cosine = torch.nn.functional.cosine_similarity
    difference = cosine(student[0, 0], student[0, 1], dim=0) - cosine(teacher[0, 0], teacher[0, 1], dim=0)
    found = relation_losses(student, teacher, segments)
    torch.testing.assert_close(found, torch.stack([difference**2 / 2] * 2 + [torch.tensor(0.0)])[None])
    turned = torch.linalg.qr(states(6, 6, seed=2))[0]
    assert relation_losses(teacher @ turned * 3, teacher).max() < 1e-10  # neither direction nor size matters


def test_states_are_what_the_output_layer_reads(decoder: str) -> None:  # noqa: F811
    model = build.load(decoder).model
    ids = torch.arange(10)[None]
    logits, found = with_states(model, lambda: model(input_ids=ids))
    torch.testing.assert_close(model.head(found), logits)
    assert not model.head._forward_pre_hooks
    with pytest.raises(RecipeError, match="no output layer"):
        output_layer(torch.nn.Linear(2, 2))


def test_a_student_comes_closer_and_resumes(decoder: str, shards: Path, make, tmp_path: Path) -> None:  # noqa: F811
    data = Shards(shards)
    teach(data, decoder, tmp_path / "t", shard_rows=40)
    values = {"name": "distillation", "teacher": str(tmp_path / "t")}
    batch = TeacherRows(data, tmp_path / "t").rows([0, 1, 2, 3])
    inputs = {name: torch.from_numpy(batch[name]) for name in ("input_ids", "segment_ids", "position_ids")}
    there = Teacher(decoder).states(inputs)
    apart = {}
    for weight in (0.0, 30.0):
        more = {"hidden": weight, "states_of": decoder} if weight else {}
        run = make(steps=20, output=str(tmp_path / str(weight)), objective=values | more)
        train(run)
        model = build.load(run.output).model
        assert not [n for n in dict(model.named_parameters()) if "project" in n]
        here = with_states(model, lambda model=model: model(**inputs))[1]
        apart[weight] = relation_losses(here, there, inputs["segment_ids"]).mean().item()
    assert apart[30.0] < 0.8 * apart[0.0]
    halves = make(steps=20, output=str(tmp_path / "halves"), objective=values | {"hidden": 30.0, "states_of": decoder})
    train(halves, stop_at=10)
    train(halves)
    for one, other in zip(build.load(halves.output).model.parameters(), model.parameters()):
        assert torch.equal(one, other)


def test_mistakes(decoder: str, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(RecipeError, match="go together"):
        from_mapping({"output": "o", "data": {"train": "d"}, "objective": {"name": "distillation", "hidden": 1.0}})
    with pytest.raises(RecipeError, match="part of the objective distillation"):
        from_mapping({"output": "o", "data": {"train": "d"}, "objective": {"hidden": 1.0, "states_of": "x"}})
    with pytest.raises(DatasetError, match="another tokenizer"):
        Teacher(decoder, "0" * 64).load()
    with pytest.raises(DatasetError, match="no checkpoint"):
        Teacher(str(tmp_path)).load()
    assert math.isclose(from_mapping({"output": "o", "data": {"train": "d"}}).objective.hidden, 0.0)
