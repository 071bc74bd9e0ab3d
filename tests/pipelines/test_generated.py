"""Recipes with a model in the loop: equal bytes for any workers and after `kill -9`, nothing asked twice, origin on record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.training.serving.local_model import LocalModel
from corpusmill.transforms.generate.cache import RequestCache
from corpusmill.transforms.sources import read
from tests.training.conftest import sentences, shards, tokenizer  # noqa: F401
from tests.training.serving.test_local_model import decoder  # noqa: F401

ROOT = Path(__file__).parents[2]
STEPS = """
  - generate:
      {{model: {model}, prompt: continue, words: 3, max_tokens: 12, copies: 2, tries: 3, min_chars: 2, min_distinct: 0.0,
        refused: mark}}
  - accepted: {{}}
  - synthetic-cap: {{max_share: 0.4}}
"""


def recipe(folder: Path, steps: str, output: str = "out", form: str = "parquet") -> Path:
    folder.mkdir(exist_ok=True)
    for part in range(3):
        lines = [json.dumps({"id": f"{part}-{i}", "text": t}) for i, t in enumerate(sentences(12, seed=part))]
        (folder / f"raw-{part}.jsonl").write_text("\n".join(lines))
    path = folder / f"{output}.yaml"
    path.write_text(
        f"name: docs\nseed: 3\nsources:\n  - {{name: real, path: raw-*.jsonl}}\nsteps:{steps}"
        f"output: {{path: {output}, format: {form}, shard_bytes: 1024}}\n"
    )
    return path


def rows_of(dataset: Path, manifest: dict) -> list[dict]:
    return [row for file in manifest["files"] for row in pq.read_table(dataset / file["path"]).to_pylist()]


def shards_of(dataset: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((dataset / "data").rglob("*.*"))}


def test_same_shards_for_any_workers_and_after_a_kill(decoder: str, tmp_path: Path) -> None:  # noqa: F811
    steps = STEPS.format(model=decoder)
    run(load(recipe(tmp_path, steps, "one")), workers=1)
    run(load(recipe(tmp_path, steps, "two")), workers=2)
    path = recipe(tmp_path, steps, "killed")
    command = [sys.executable, "-m", "corpusmill.pipelines.cli", "run", str(path), "--workers", "1"]
    requests = tmp_path / "killed/.corpusmill/requests.sqlite"
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 180
    while (
        time.monotonic() < deadline
        and running.poll() is None
        and not list((tmp_path / "killed").glob(".corpusmill/done/*/*"))
    ):
        time.sleep(0.005)
    if running.poll() is None:
        os.kill(running.pid, signal.SIGKILL)
    running.wait()
    cache = RequestCache.at(str(requests))
    before = len(cache)
    run(load(path), workers=2)
    assert before > 0
    assert len(cache) == before + cache.asked
    assert len(RequestCache.at(str(tmp_path / "one/.corpusmill/requests.sqlite"))) == len(
        cache
    )  # none was asked for twice
    assert shards_of(tmp_path / "one") == shards_of(tmp_path / "two") == shards_of(tmp_path / "killed")


def test_same_shards_for_any_batch_size(decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    steps = STEPS.format(model=decoder)
    made = []
    for size in (1, 7, 64):
        monkeypatch.setattr(read.read_split, "__defaults__", (read.BATCH_BYTES, size))
        run(load(recipe(tmp_path, steps, f"by-{size}")), workers=1)
        made.append(shards_of(tmp_path / f"by-{size}"))
    assert made[0]
    assert made[0] == made[1] == made[2]


def test_a_repeated_run_asks_nothing(decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    path = recipe(tmp_path, STEPS.format(model=decoder))
    run(load(path), workers=1)
    first, out = shards_of(tmp_path / "out"), tmp_path / "out"
    answers = (out / ".corpusmill/requests.sqlite").read_bytes()
    shutil.rmtree(out)
    (out / ".corpusmill").mkdir(parents=True)
    (out / ".corpusmill/requests.sqlite").write_bytes(answers)  # all that is left of the first run
    monkeypatch.setattr(LocalModel, "complete", lambda self, requests: pytest.fail("the model was asked"))
    run(load(path), workers=1)
    assert shards_of(out) == first


def test_origin_cap_why_and_takedown(decoder: str, tmp_path: Path) -> None:  # noqa: F811
    path = recipe(tmp_path, STEPS.format(model=decoder))
    result = run(load(path), workers=1)
    dataset = Dataset(str(tmp_path / "out"))
    rows = rows_of(tmp_path / "out", result.manifest)
    real, made = ([r for r in rows if r["origin"] == o] for o in ("real", "synthetic"))
    assert len(real) == 36
    assert len(made) > 5
    size = [sum(len(r["text"].encode()) for r in part) for part in (real, made)]
    assert size[1] <= 0.4 * sum(size)
    steps = {s["name"]: s for s in result.manifest["funnel"]["steps"]}
    refused = sum(steps["accepted"]["dropped"].values()) + steps["synthetic-cap"]["dropped"].get("cap", 0)
    assert steps["generate"]["derived"] == len(made) + refused
    found = dataset.why(made[0]["id"])
    about = json.loads(found["history"][0]["derived_by"])
    assert found["history"][0]["parent"] == made[0]["parent"]
    assert about["model"]
    assert about["prompt"]["kind"] == "continue"
    assert about["seed"] == 3
    assert about["try"] >= 1
    said = CliRunner().invoke(cli, ["why", str(tmp_path / "out"), made[0]["id"]]).output
    for part in (made[0]["parent"], about["model"], "continue", about["prompt_sha256"]):
        assert part in said
    assert {h["child"] for h in dataset.why(made[0]["parent"])["history"] if h["outcome"] == "derived"} >= {
        made[0]["id"]
    }

    forget(str(tmp_path / "out"), Takedown(ids=(made[0]["parent"],), purge=True), load(path), workers=1)
    left = rows_of(tmp_path / "out", Dataset(str(tmp_path / "out")).manifest())
    assert len(left)
    assert not any(made[0]["parent"] in (r["id"], r["parent"]) for r in left)
    asked = str(tmp_path / "out/.corpusmill/requests.sqlite")
    assert RequestCache.at(asked).forget([made[0]["parent"]]) == 0  # its answers are gone, too


def test_distill_step_makes_shards_that_a_student_trains_on(decoder: str, tokenizer: Path, tmp_path: Path) -> None:  # noqa: F811
    from corpusmill.training.loop import train
    from corpusmill.training.settings import from_mapping

    step = f"\n  - distill: {{model: {decoder}, tokenizer: {tokenizer}, length: 32, eos: null, draws: 6}}\n"
    run(load(recipe(tmp_path, step, "one", "arrow")), workers=1)
    run(load(recipe(tmp_path, step, "two", "arrow")), workers=2)
    assert shards_of(tmp_path / "one") == shards_of(tmp_path / "two")
    values = {
        "output": str(tmp_path / "student"),
        "steps": 8,
        "data": {"train": str(tmp_path / "one"), "tokenizer": str(tokenizer)},
        "model": {"layers": 1, "width": 16, "heads": 2},
        "objective": {"name": "distillation"},
        "optimizer": {"lr": 0.01},
        "batch": {"rows": 4},
        "runtime": {"tensorboard": False, "device": "cpu"},
    }
    assert train(from_mapping(values))["step"] == 8
