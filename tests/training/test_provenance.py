"""What is known of the private text behind a model, from runs of a few fields to a folder that was exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from corpusmill.pipelines.recipe.certify import Certification, certify, of_training
from corpusmill.pipelines.recipe.judge import judge_model
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.released import released
from corpusmill.training import checkpoint, commands, provenance
from corpusmill.training.loop import train
from corpusmill.training.settings import from_mapping
from tests.corpora import write_recipe

GUARANTEE = {
    "population": "callers", "unit": "user", "adjacency": "add-or-remove", "epsilon": 2.0, "delta": 1e-6, "total": 3.0,
    "ledger": "0" * 32, "runs": ["r1"], "certified": True,
}  # fmt: skip


def dataset(folder: Path, private: bool = True, **privacy: Any) -> Path:
    (folder / "snapshots").mkdir(parents=True)
    recipe = {"sources": [{"name": "mail", "private": private}], "steps": []}
    (folder / "snapshots" / "000001.json").write_text(json.dumps({"recipe": recipe, "privacy": privacy}))
    return folder


def ran(folder: Path, data: Path, guarantee: dict[str, Any] | None = None, **train: Any) -> str:
    """A run of nothing but its state."""
    about = {"data": {"train": str(data), "snapshot": None}, "tune": {"base": None}, **train}
    state = {"step": 1, "train": about} | ({"guarantee": guarantee} if guarantee else {})
    checkpoint.write(folder, {}, {}, state, None, 1)
    return str(folder)


def judged(spec: str) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """(reasons, assumptions, guarantees)"""
    found = Certification("document")
    carried = judge_model(spec, "a step", found)
    return [r.reason for r in found.refusals], found.assumptions, carried


PRIVATE = ["the model was trained on the private source mail without a guarantee"]


def test_the_teachers_of_a_run_are_judged_as_its_base_is(tmp_path):
    web, mail = dataset(tmp_path / "web", private=False), dataset(tmp_path / "mail")
    teacher = ran(tmp_path / "teacher", mail)
    said = tmp_path / "said"
    said.mkdir()
    (said / provenance.MANIFEST).write_text(json.dumps({"provenance": provenance.of(teacher).model_dump()}))
    for number, values in enumerate(
        [{"tune": {"base": teacher}}, {"objective": {"states_of": teacher}}, {"objective": {"teacher": str(said)}}]
    ):
        assert judged(ran(tmp_path / f"student{number}", web, **values))[0] == PRIVATE
    (said / provenance.MANIFEST).write_text("{}")  # an older version wrote it
    older = judged(str(tmp_path / "student2"))
    assert older == ([], [f"the model that wrote {said} was trained on public data only"], [])
    guarded = ran(tmp_path / "guarded", mail, GUARANTEE)
    assert judged(ran(tmp_path / "student", web, objective={"states_of": guarded})) == ([], [], [GUARANTEE])


def test_models_that_wrote_in_the_data_of_a_run_count(tmp_path):
    text = dataset(tmp_path / "text", private=False, unguarded=["`t` (cross): it saw mail"], guarantees=[GUARANTEE])
    reasons, _, carried = judged(ran(tmp_path / "run", text))
    assert reasons == ["the model was trained on the text of a model (`t` (cross): it saw mail) without a guarantee"]
    assert carried == [GUARANTEE]
    (text / "snapshots" / "000001.json").unlink()
    (text / "snapshots" / "000002.json").write_text('{"recipe": {"sources": []}}')
    settings = ran(tmp_path / "gone", text)
    state = json.loads((checkpoint.find(settings) / "state.json").read_text())
    state["train"]["data"]["snapshot"] = 1
    (checkpoint.find(settings) / "state.json").write_text(checkpoint.sealed(state))
    assert "cannot be read any more" in judged(settings)[0][0]


def test_a_private_run_is_judged_by_its_teachers_and_by_those_behind_its_data(tmp_path):
    teacher = ran(tmp_path / "teacher", dataset(tmp_path / "mail"))
    written = dataset(tmp_path / "out", unguarded=["`t` (cross): it saw mail"])
    section = {"ledger": "l", "units": 10, "sigma": 1.0}
    values = {"output": "m", "data": {"train": str(written)}, "privacy": section}
    values["objective"] = {"name": "distillation", "hidden": 1.0, "states_of": teacher, "teacher": teacher}
    found = of_training(from_mapping(values))
    assert [(r.step, r.place[-1:]) for r in found.refusals] == [
        ("out", ()),
        ("teacher", ("teacher",)),
        ("teacher", ("states_of",)),
    ]
    (written / "a.jsonl").write_text('{"text": "x"}\n')
    source = {"name": "s", "path": "out/a.jsonl", "columns": {}}
    public = certify(
        load(write_recipe(tmp_path, [], sources=[source, {"name": "p", "path": "out/a.jsonl", "private": True}]))
    )
    assert [r.stability for r in public.refusals] == ["source", "cross"]
    assert "text of a model (`t` (cross): it saw mail)" in public.refusals[0].reason


@pytest.fixture
def run(make):
    settings = make(steps=1)
    train(settings)
    return settings.output


def known(run: str, home: Path, guarantee: dict[str, Any] | None = None) -> None:
    """Let a run have been trained on a data set, with or without a guarantee."""
    path = checkpoint.find(run) / "state.json"
    state = json.loads(path.read_text())
    state["train"]["data"] |= {"train": str(home), "snapshot": 1}
    path.write_text(checkpoint.sealed(state | ({"guarantee": guarantee} if guarantee else {})))


def test_an_exported_folder_is_judged_as_the_run_is(run, tmp_path):
    known(run, dataset(tmp_path / "mail"))
    folder = commands.export(run, tmp_path / "llama")
    note = json.loads((folder / provenance.FILE).read_text())
    assert (note["trained_on"]["name"], note["trained_on"]["snapshot"]) == ("mail", 1)
    (tmp_path / "mail" / "snapshots" / "000001.json").rename(tmp_path / "elsewhere")
    (folder / provenance.FILE).rename(tmp_path / "note")
    assert judged(f"hf:{folder}") == ([], [f"the model hf:{folder} was trained on public data only"], [])
    (tmp_path / "note").rename(folder / provenance.FILE)
    assert judged(f"hf:{folder}")[0] == PRIVATE
    settings = from_mapping(
        {"output": "m", "data": {"train": "d"}, "tune": {"base": "hf:llama"},
         "privacy": {"ledger": "l", "units": 10, "sigma": 1.0}}, tmp_path
    )  # fmt: skip
    assert [r.place for r in of_training(settings).refusals] == [("train", "tune", "base")]


def test_an_exported_folder_carries_the_guarantee_of_these_weights_alone(run, tmp_path):
    known(run, dataset(tmp_path / "mail"), GUARANTEE)
    folder = commands.export(run, tmp_path / "llama")
    assert judged(f"hf:{folder}") == ([], [], [GUARANTEE])
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    steps = [{"generate": {"model": "hf:llama", "prompt": "rephrase"}}]
    recipe = load(write_recipe(tmp_path, steps, sources=[{"name": "s", "path": "a.jsonl", "columns": {}}]))
    owed = released(recipe)["guarantees"]
    assert [(one["population"], one["epsilon"]) for one in owed] == [("callers", 2.0)]
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, folder / "model.safetensors")
    assert "is about other weights) without a guarantee" in judged(f"hf:{folder}")[0][0]
    (folder / provenance.FILE).write_text("{")
    assert "cannot be read: ValidationError) without a guarantee" in judged(f"hf:{folder}")[0][0]
