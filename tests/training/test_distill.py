"""Distillation: losses against their definitions, shards that are resumed and checked, and a student that learns from them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from corpusmill.training.data import Shards
from corpusmill.training.distill import Distillation, TeacherRows, teacher_losses
from corpusmill.training.loop import train
from corpusmill.training.serving.local_model import LocalModel
from corpusmill.training.serving.teach import sample, teach
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.hashing import mix64_array
from tests.training.serving.test_local_model import decoder  # noqa: F401


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def test_full_loss_is_the_divergence() -> None:
    teacher, student = logits(2, 3, 11), logits(2, 3, 11, seed=1)
    for t in (1.0, 2.0):
        log_p = (teacher / t).log_softmax(-1)
        want = (
            torch.nn.functional.kl_div((student / t).log_softmax(-1), log_p, log_target=True, reduction="none").sum(-1)
            * t
            * t
        )
        torch.testing.assert_close(teacher_losses(student, {"teacher_logp": log_p}, t), want)
        assert teacher_losses(teacher, {"teacher_logp": log_p}, t).abs().max() < 1e-5


def test_top_k_has_a_tail_and_is_never_renormalised() -> None:
    teacher, student = logits(1, 4, 50), logits(1, 4, 50, seed=1)
    log_p = teacher.log_softmax(-1)
    values, ids = log_p.topk(5)
    p, q = values.exp(), student.softmax(-1).gather(-1, ids)
    tail_p, tail_q = 1 - p.sum(-1), 1 - q.sum(-1)
    want = (p * (p / q).log()).sum(-1) + tail_p * (tail_p / tail_q).log()
    found = teacher_losses(student, {"teacher_logp": values, "teacher_ids": ids}, 1.0)
    torch.testing.assert_close(found, want)
    renormalised = (
        p / p.sum(-1, keepdim=True) * ((p / p.sum(-1, keepdim=True)) / (q / q.sum(-1, keepdim=True))).log()
    ).sum(-1)
    assert (found - renormalised).abs().min() > 1e-3
    assert teacher_losses(teacher, {"teacher_logp": values, "teacher_ids": ids}, 1.0).abs().max() < 1e-5


def test_draws_are_unbiased_and_their_gradient_is_that_of_the_full_loss() -> None:
    teacher, student = logits(1, 1, 20), logits(1, 1, 20, seed=1).requires_grad_()
    n = 4000
    keys = mix64_array(np.arange(n, dtype=np.uint64))
    drawn = sample(teacher.expand(n, 1, 20), keys, 12)
    assert drawn.shape == (n, 1, 12)
    assert drawn.dtype == np.uint16
    assert (np.diff(drawn, axis=-1) >= 0).all()
    share = np.bincount(drawn.ravel(), minlength=20) / drawn.size
    p = teacher.softmax(-1)[0, 0].numpy()
    assert np.abs(share - p).max() < 4 * math.sqrt(0.25 / (12 * n))
    counts = np.array([np.bincount(row[0], minlength=20) for row in drawn])
    assert np.abs(counts - 12 * p).max() < 1  # systematic: never off by a whole draw
    given = {"teacher_draws": torch.from_numpy(drawn.astype(np.int64))}
    teacher_losses(student.expand(n, 1, 20), given, 1.0).mean().backward()
    torch.testing.assert_close(
        student.grad[0, 0], student.detach().softmax(-1)[0, 0] - torch.from_numpy(p), atol=5e-3, rtol=0
    )


def test_hard_mixes_with_cross_entropy() -> None:
    objective = Distillation(2.0, hard=0.25)
    given = {"labels": torch.tensor([[3, -100]]), "teacher_draws": torch.tensor([[[1, 2], [4, 4]]])}
    student = logits(1, 2, 6)
    objective.logits = lambda model, batch: student  # type: ignore[method-assign]
    total, count = objective.loss(None, given)
    plain = -student.log_softmax(-1)[0, 0, 3]
    soft = -(student / 2).log_softmax(-1)[0, 0, [1, 2]].mean() * 4
    assert count == 1
    assert total.item() == pytest.approx((0.25 * plain + 0.75 * soft).item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["sampled", "top-k", "full"])
def test_a_student_learns_from_shards(kind: str, decoder: str, shards: Path, make, tmp_path: Path) -> None:  # noqa: F811
    teach(Shards(shards), decoder, tmp_path / "teacher", kind=kind, shard_rows=40)
    values = {
        "objective": {"name": "distillation", "teacher": str(tmp_path / "teacher")},
        "data__validation": str(shards),
    }
    settings = make(steps=20, **values)
    result = train(settings)
    plain = train(make(steps=20, output=str(tmp_path / "plain"), data__validation=str(shards)))
    assert result["validation"]["loss"] < math.log(300) - 0.6
    assert abs(result["validation"]["loss"] - plain["validation"]["loss"]) < 1.5


def test_a_killed_pass_goes_on_with_the_next_shard(decoder: str, shards: Path, tmp_path: Path, monkeypatch) -> None:  # noqa: F811
    data, whole, again = Shards(shards), tmp_path / "whole", tmp_path / "again"
    manifest = teach(data, decoder, whole, shard_rows=30)
    assert len(manifest["files"]) > 2
    assert manifest["provenance"] == {"guarantees": [], "unguarded": [], "unknown": [str(decoder)]}
    assert sum(f["rows"] for f in manifest["files"]) == len(data)
    import corpusmill.training.serving.teach as module

    made = []

    def dies(*args: object) -> object:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(1)
        return shard(*args)

    shard = module._shard
    monkeypatch.setattr(module, "_shard", dies)
    with pytest.raises(KeyboardInterrupt):
        teach(data, decoder, again, shard_rows=30)
    with pytest.raises(DatasetError, match="was not finished"):
        TeacherRows(data, again)
    monkeypatch.setattr(module, "_shard", shard)
    stamps = {p.name: p.stat().st_mtime_ns for p in again.glob("*.arrow")}
    assert len(stamps) == 2
    teach(data, decoder, again, shard_rows=30)
    assert {n: (again / n).stat().st_mtime_ns for n in stamps} == stamps
    assert {p.name: p.read_bytes() for p in whole.iterdir()} == {p.name: p.read_bytes() for p in again.iterdir()}


def test_draws_do_not_depend_on_the_shards(decoder: str, shards: Path, tmp_path: Path) -> None:  # noqa: F811
    data = Shards(shards)
    index = np.arange(len(data))
    rows = []
    for size in (13, 4096):
        teach(data, decoder, tmp_path / str(size), shard_rows=size)
        rows.append(TeacherRows(data, tmp_path / str(size)).rows(index)["teacher_draws"])
    assert (rows[0] == rows[1]).all()


def test_other_data_and_other_tokens_are_refused(decoder: str, shards: Path, tmp_path: Path) -> None:  # noqa: F811
    data = Shards(shards)
    teach(data, decoder, tmp_path / "t")
    path = tmp_path / "t" / "teacher.json"
    about = json.loads(path.read_text())
    with pytest.raises(DatasetError, match="another tokenizer"):
        TeacherRows(data, tmp_path / "t", "0" * 64)
    path.write_text(json.dumps(about | {"data": "0" * 64}))
    with pytest.raises(DatasetError, match="was made of other rows"):
        TeacherRows(data, tmp_path / "t")
    path.write_text(json.dumps(about))
    rows = TeacherRows(data, tmp_path / "t")
    segments = data.rows
    data.rows = lambda index: {k: v * (np.arange(v.shape[1]) < 5) for k, v in segments(index).items()}  # type: ignore[method-assign]
    with pytest.raises(
        DatasetError, match=r"part-00000.arrow, row 3: the teacher read \d+ tokens, the training row has 5"
    ):
        rows.rows(np.array([3]))
    with pytest.raises(DatasetError, match="another pass"):
        teach(Shards(shards), decoder, tmp_path / "t", seed=2)


def test_only_a_model_that_predicts_the_next_token_teaches(tmp_path: Path, shards: Path, make) -> None:
    """An encoder has seen the token that it would have to tell: neither a pass nor the step takes it."""
    settings = make(objective__name="masked", model__kind="encoder", steps=1)
    train(settings)
    with pytest.raises(RecipeError, match="is no language model that predicts the next token"):
        teach(Shards(shards), settings.output, tmp_path / "t")
    with pytest.raises(RecipeError, match="is no language model that predicts the next token"):
        LocalModel(settings.output).teach(Shards(shards).rows(np.arange(2)), "sampled", 2, 1.0, 1)
    with pytest.raises(DatasetError, match="holds no checkpoint"):
        teach(Shards(shards), str(tmp_path), tmp_path / "t")


@pytest.mark.parametrize("kind", ["sampled", "full"])
def test_a_student_of_fewer_ids_than_the_teacher_tells_is_refused(
    kind: str, shards: Path, make, tmp_path: Path
) -> None:
    teacher = make(model__vocabulary=900, steps=1, output=str(tmp_path / "teacher"))
    train(teacher)
    teach(Shards(shards), teacher.output, tmp_path / "t", kind=kind)
    objective = {"name": "distillation", "teacher": str(tmp_path / "t")}
    with pytest.raises(RecipeError, match=r"set model\.vocabulary: \d+"):
        train(make(objective=objective, batch__rows=16))
    assert train(make(objective=objective, model__vocabulary=900, steps=1))["step"] == 1
