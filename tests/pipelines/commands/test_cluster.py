"""`submit` and `commit` as they are typed. Runs on real engines are the matter of tests/pipelines/test_runners.py."""

import json

import pytest

from tests.command import invoke, invoke_json
from tests.corpora import rows, write_recipe, write_shards
from tests.faults.serial import Alone, serially


@pytest.fixture(autouse=True)
def _engine():
    with serially(Alone):
        yield


@pytest.fixture
def recipe(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 2)
    return write_recipe(tmp_path, ["exact"])


def test_a_run_is_submitted_committed_and_found_committed(recipe):
    out = recipe.parent / "out"
    said = invoke("submit", recipe, "--runner", "local", "--", "--job_name=j-1")
    assert said.exit_code == 0, said.output
    run = said.stdout.split()[1]
    assert said.stdout == (
        f"Run {run} is submitted as j-1. Its last step commits the snapshot.\n"
        f"If that step fails, commit with: corpusmill commit {out} --run {run}\n"
    )
    for _ in range(2):
        done = invoke("commit", out, "--run", run)
        assert (done.exit_code, done.stdout) == (0, f"Snapshot 1 of {out} is committed: 16 documents.\n")
    assert invoke_json("commit", out) == {"run": run, "snapshot": 1, "documents": 16}
    assert invoke("verify", out).exit_code == 0
    # of an engine that names nothing
    found = invoke_json("submit", recipe, "--runner", "local", "--set", "output.level=9")
    assert (found["job"], found["dataset"]) == ("", str(out))
    assert found["run"] != run
    assert "is submitted." in invoke("submit", recipe, "--runner", "local", "--set", "output.level=8").stdout
    assert invoke_json("commit", out, "--run", found["run"])["snapshot"] == 2


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["submit", "recipe.yaml"], 2, "Missing option '--runner'"),
        (
            ["submit", "recipe.yaml", "more.yaml", "--runner", "local"],
            2,
            "name one recipe; `more.yaml` is a second one",
        ),
        (["submit", "recipe.yaml", "--runner", "flink"], 78, "--runner flink: unknown. Runners: local, dask"),
        (["submit", "recipe.yaml", "--runner", "dask"], 78, "Runners that go on alone: portable, dataflow."),
        (["submit", "recipe.yaml", "--runner", "portable"], 78, "`-- --job_endpoint=HOST:PORT`"),
        (["submit", "none.yaml", "--runner", "local"], 78, "none.yaml: there is no such file"),
        (["commit", "out"], 1, "out has no submitted run. `corpusmill submit RECIPE"),
        (["commit", "out", "--run", "x"], 1, "out has no submitted run."),
        (["commit"], 2, "DIR"),
    ],
)
def test_what_goes_wrong_is_said_and_no_run_is_noted(recipe, monkeypatch, args, code, said):
    monkeypatch.chdir(recipe.parent)
    done = invoke(*args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert not list(recipe.parent.glob("out/.corpusmill/runs/*"))


def test_nothing_new_and_a_dataset_that_is_written_by_another(recipe):
    from corpusmill.pipelines.dataset.results import Store

    out = recipe.parent / "out"
    assert invoke("run", recipe, "--workers", 1).exit_code == 0
    done = invoke("submit", recipe, "--runner", "local")
    assert (done.exit_code, "Nothing new: the newest snapshot" in done.stdout) == (3, True)
    (run,) = [invoke_json("submit", recipe, "--runner", "local", "--set", "output.level=9")["run"]]
    with Store(str(out)).lock():
        for args in (["submit", recipe, "--runner", "local", "--set", "output.level=8"], ["commit", out, "--run", run]):
            done = invoke(*args)
            assert (done.exit_code, "is being written by process" in done.stderr) == (75, True)
    assert len(json.loads(invoke("log", out, "--json").stdout)) == 1
