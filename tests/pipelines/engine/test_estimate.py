"""Estimates follow from what units took, first ones apart, and know where units must grow."""

import json

import pytest

from corpusmill.pipelines.engine import tasks
from corpusmill.pipelines.engine.estimate import estimate
from corpusmill.pipelines.engine.memory import BASE_MEMORY, GATHER_BYTES, KEY_FACTOR, task_memory
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.exchange import FINE
from tests.corpora import rows, write_recipe, write_shards

STEPS = [{"clean": {}}, {"exact": {}}, {"minhash": {}}]


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / "raw", rows(120), 4)
    return tmp_path


def outcomes(folder):
    return [json.loads(p.read_text()) for p in (folder / "out/.corpusmill/done").rglob("*.json")]


def test_every_outcome_says_what_it_took_under_each_of_its_names(folder, monkeypatch):
    monkeypatch.setattr(tasks, "_begun", set())
    monkeypatch.setattr(
        "corpusmill.pipelines.engine.job.DECISION_BYTES", 0
    )  # units are named by all decisions, and by their own
    run(load(write_recipe(folder, STEPS)), workers=1)
    found = outcomes(folder)
    assert all(o["cpu_seconds"] > 0 for o in found)
    named = [o["content"] for o in found]
    assert len(named) > len(set(named))
    assert sum(o["first"] for o in found) < len(found)


def test_what_a_process_loads_is_no_part_of_more_text(folder, monkeypatch):
    monkeypatch.setattr(tasks, "_begun", set())
    recipe = load(write_recipe(folder, STEPS))
    run(recipe, workers=1)
    job = open_job(recipe)
    ready = job.prepare(0)
    for request in ready.requests:
        outcome = job.store.outcome(request)
        job.store.finish(request, outcome | {"cpu_seconds": 100.0 if outcome["first"] else 2.0})
    size = sum(ready.sizes)
    later = sum(s for s, r in zip(ready.sizes, ready.requests) if not job.store.outcome(r)["first"])
    found = estimate(recipe, workers=1).stages[0]
    assert found.cpu_seconds == pytest.approx(3 * 2.0 * size / later)


def test_a_refresh_keeps_the_figures_of_what_it_reuses(folder):
    recipe = load(write_recipe(folder, STEPS))
    run(recipe, workers=1)
    before = estimate(recipe, workers=1)
    write_shards(folder / "raw", rows(30, seed=7), 1, first=9)
    run(recipe, workers=1)
    after = estimate(recipe, workers=1)
    passes = [(a, b) for a, b in zip(before.stages, after.stages) if a.kind == "pass"]
    assert all(b.cpu_seconds > a.cpu_seconds * 0.9 for a, b in passes)


def test_units_grow_beyond_what_their_number_can_share_out(folder):
    recipe = load(write_recipe(folder, STEPS))
    run(recipe, workers=1)
    job = open_job(recipe)
    small, said = task_memory(job)
    assert "documents" not in said
    keys, _ = task_memory(job, keys=FINE << 30)
    assert keys == BASE_MEMORY + KEY_FACTOR * (1 << 30)
    gathered, said = task_memory(job, documents=10**9)
    assert gathered == BASE_MEMORY + GATHER_BYTES * 10**9
    assert "18 bytes x 1,000,000,000 documents" in said
    assert small < min(keys, gathered)
    here, there = estimate(recipe, 1, size=10**9), estimate(recipe, 1, size=10**15)
    assert here.memory < there.memory


def test_a_recipe_without_groups_streams_at_any_size(folder):
    recipe = load(write_recipe(folder, ["clean"]))
    run(recipe, workers=1)
    assert estimate(recipe, 1, size=10**9).memory == estimate(recipe, 1, size=10**15).memory
