"""`corpusmill mix propose` and `mix learn`."""

import json

import pytest

import corpusmill
from tests.command import invoke, invoke_json


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "aaaaaaaa"}\n')
    (tmp_path / "b.jsonl").write_text('{"id": "b", "text": "bb"}\n')
    sources = [{"name": n, "path": f"{n}.jsonl", "columns": {"id": "id"}} for n in "ab"]
    corpusmill.run({"name": "t", "sources": sources, "output": "out"})
    return tmp_path


def trained(path, runs: int = 60, slope: float = 1.0) -> None:
    """Write a loss beside each mixture: lowest where `a` is 0.3."""
    lines = [json.loads(line) for line in path.read_text().splitlines()][:runs]
    for i, line in enumerate(lines):
        noise = ((i * 7919) % 13 - 6) / 6
        line["loss"] = 3 + slope * (line["weights"]["a"] - 0.3) ** 2 + (1 - slope) * noise
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_weights_are_learnt_from_proposed_runs(dataset):
    assert "60 mixtures of a, b" in invoke("mix", "propose", "out", "--runs", "60", "--out", "runs.jsonl").output
    lines = [json.loads(line) for line in (dataset / "runs.jsonl").read_text().splitlines()]
    assert len(lines) == 60
    assert all(abs(sum(line["weights"].values()) - 1) < 1e-4 and line["loss"] is None for line in lines)
    assert invoke("mix", "propose", "out", "--out", "runs.jsonl").exit_code == 1  # losses may be in it
    assert "no run has a loss" in invoke("mix", "learn", "runs.jsonl").output
    trained(dataset / "runs.jsonl")
    found = invoke_json("mix", "learn", "runs.jsonl")
    assert found["weights"]["a"] == pytest.approx(0.3, abs=0.03)
    assert not found["unsure"]
    said = invoke("mix", "learn", "runs.jsonl").output
    assert said.startswith("mix: {weights: {a: 0.")
    assert "Error of a run that is left out" in said


def test_noise_is_told_and_old_runs_stay_of_use(dataset):
    invoke("mix", "propose", "out", "--runs", "60", "--out", "runs.jsonl")
    trained(dataset / "runs.jsonl", slope=0.0)
    assert "too few or too small to rank" in invoke("mix", "learn", "runs.jsonl").output
    more = [{"weights": {"a": 0.2, "b": 0.3, "c": 0.5}, "loss": 2.0}, {"weights": {"c": 1.0}, "loss": 2.5}]
    (dataset / "more.jsonl").write_text("".join(json.dumps(run) + "\n" for run in more))
    assert set(invoke_json("mix", "learn", "runs.jsonl", "more.jsonl")["weights"]) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"loss": 1}',
        '{"weights": {"a": -1}, "loss": 1}',
        '{"weights": {"a": 1}, "loss": "x"}',
        '{"weights": {}, "loss": 1}',
    ],
)
def test_bad_lines_are_named(dataset, line):
    (dataset / "runs.jsonl").write_text('{"weights": {"a": 1}, "loss": 1}\n' + line + "\n")
    answer = invoke("mix", "learn", "runs.jsonl")
    assert answer.exit_code == 1
    assert "runs.jsonl, line 2: no run" in answer.output


def test_other_columns(dataset):
    assert "no 'topic'" in invoke("mix", "propose", "out", "--by", "topic", "--out", "x.jsonl").output
