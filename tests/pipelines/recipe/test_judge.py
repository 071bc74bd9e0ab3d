"""Judgements of steps, files, models and training on private data."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from corpusmill.pipelines.recipe.judge import judge_model, judge_step, judge_training
from corpusmill.privacy.certification import Certification, mark
from corpusmill.steps import Clean, Decontaminate, Exact


def test_a_step_between_documents_is_refused_and_one_on_a_document_is_not():
    found = Certification("document")
    judge_step("clean", Clean(), "recipe", ("steps", 0), found)
    judge_step("exact", Exact(), "recipe", ("steps", 1), found)
    assert found.steps == [("clean", "record"), ("exact", "cross")]
    assert [(r.step, r.place) for r in found.refusals] == [("exact", ("steps", 1))]


def test_a_file_learned_from_private_text_is_refused_and_any_other_is_an_assumption(tmp_path):
    for name in ("public.jsonl", "learned.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": "one two three four five six seven"}) + "\n")
    mark(str(tmp_path / "learned.jsonl"), ["letters"])
    for name, refused in (("public.jsonl", False), ("learned.jsonl", True)):
        found = Certification("document")
        judge_step("decontaminate", Decontaminate(sets={"items": str(tmp_path / name)}), "recipe", (), found)
        assert [("letters" in r.reason, r.step) for r in found.refusals] == [(True, name)] * refused
        assert any(name in a and "public data only" in a for a in found.assumptions) is not refused


def test_a_model_that_does_not_exist_is_refused_only_where_paths_are_checked():
    for check, refusals in ((True, 1), (False, 0)):
        found = Certification("document")
        found.check_paths = check
        judge_model("./no/such/model", "a step", found)
        assert len([r for r in found.refusals if "there is no such model" in r.reason]) == refusals


def test_a_run_whose_path_holds_a_colon_is_judged_like_others(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    from corpusmill.training import checkpoint

    home = tmp_path / "out"
    (home / "snapshots").mkdir(parents=True)
    manifest = {"recipe": {"sources": [{"name": "calls", "private": True}]}}
    (home / "snapshots" / "000001.json").write_text(json.dumps(manifest))
    state = {"step": 1, "train": {"tune": {"base": None}, "data": {"train": str(home), "snapshot": 1}}}
    checkpoint.write(tmp_path / "at 10:30", {}, {}, state, None, 1)
    found = Certification("document")
    judge_model(str(tmp_path / "at 10:30"), "a step", found)
    assert "private source calls" in found.refusals[0].reason


def test_early_stopping_and_tied_weights_are_refused(tmp_path):
    section = SimpleNamespace(base=None, teacher=None, states_of=None)
    settings = SimpleNamespace(
        evaluation=SimpleNamespace(patience=3),
        model=SimpleNamespace(tie=True),
        data=SimpleNamespace(validation="held-out.jsonl", tokenizer=None),
        tune=section,
        objective=section,
    )
    (tmp_path / "held-out.jsonl").write_text('{"text": "x"}\n')
    found = Certification("document")
    judge_training(settings, "letters", Path(tmp_path), found)
    assert [r.step for r in found.refusals] == ["evaluation.patience", "model.tie"]
    assert "held-out.jsonl is public: its figures are written as they are" in found.assumptions
