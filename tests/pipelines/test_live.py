"""The verbs of a dataset that lives, as they are typed."""

import json

import pytest
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from tests.corpora import rows, write_recipe, write_shards


def invoke(*args):
    return CliRunner().invoke(cli, [str(a) for a in args])


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    for n in range(2):
        write_shards(folder / "raw", rows(12, seed=n), 1, first=n)
        assert invoke("run", write_recipe(folder, []), "--workers", 1, "--metrics", folder / "m.prom").exit_code == 0
    assert invoke("run", folder / "recipe.yaml").exit_code == 3
    assert "corpusmill_snapshot" in (folder / "m.prom").read_text()
    return folder / "out"


def test_the_life_of_a_dataset(out, tmp_path):
    runs = json.loads(invoke("history", out, "--json").stdout)
    assert [r["outcome"] for r in runs] == ["committed", "committed", "nothing-new"]
    said = invoke("history", out, "--metrics", tmp_path / "m.prom").stdout
    assert "snapshot 2" in said
    assert "nothing new" in said
    assert 'corpusmill_snapshot{dataset="test"} 2' in (tmp_path / "m.prom").read_text()

    said = invoke("rollback", out, 1)
    assert said.exit_code == 0
    assert "Snapshot 3" in said.stdout

    (tmp_path / "ids").write_text("0-00001\nno such id\n")
    done = invoke("forget", out, "--ids", tmp_path / "ids", "--purge", "--workers", 1, "--json")
    assert done.exit_code == 1, done.output
    assert "1 of what was asked for is in no file of" in done.stderr
    report = json.loads(done.stdout)
    assert report["not_found"] == ["no such id"]
    assert (report["documents"], report["purged_snapshots"]) == (1, [1, 2, 3])
    (file,) = (out / "takedowns").glob("*.md")
    assert "0-00001" not in file.read_text()
    assert "taken out" in invoke("why", out, "0-00001").stdout

    dry = invoke("gc", out, "--keep", 1, "--dry-run")
    assert dry.exit_code == 0
    assert "would be removed" in dry.stdout
    assert "bytes" in dry.stdout
    assert len(json.loads(invoke("log", out, "--json").stdout)) == 4
    assert json.loads(invoke("gc", out, "--keep", 1, "--json").stdout)["snapshots"] == [1, 2, 3]
    assert invoke("verify", out, "--all").exit_code == 0
    assert invoke("run", out.parent / "recipe.yaml").exit_code == 3


def test_a_submitted_run_is_waited_for_until_it_is_given_up(tmp_path):
    from corpusmill.pipelines.engine.open_job import open_job
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.runners.submit import save_run

    write_shards(tmp_path / "raw", rows(12), 1)
    recipe, out = write_recipe(tmp_path, []), tmp_path / "out"
    assert invoke("run", recipe, "--workers", 1).exit_code == 0
    name = save_run(open_job(load(recipe, ["output.level=9"])))
    said = invoke("gc", out).stdout
    assert f"Finished work stays for submitted runs: {name}." in said
    assert f"`corpusmill gc {out} --give-up ID`" in said
    assert json.loads(invoke("gc", out, "--json").stdout)["waiting"] == [name]
    wrong = invoke("gc", out, "--give-up", "nope")
    assert (wrong.exit_code, f"no run nope. Submitted runs: {name}" in wrong.stderr) == (1, True)
    said = invoke("gc", out, "--give-up", name).stdout
    assert said.startswith("1 runs")
    assert "stays" not in said
    assert invoke("verify", out).exit_code == 0


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["forget", "nowhere"], 2, "name what to forget"),
        (["forget", "nowhere", "--user", "u"], 1, "does not exist"),
        (["rollback", "nowhere", "1"], 1, "does not exist"),
        (["gc", "nowhere"], 1, "does not exist"),
        (["gc", "nowhere", "--keep", "0"], 2, "--keep"),
        (["history", "nowhere"], 1, "no history"),
        (["schedule", "export", "nowhere", "--to", "cron"], 78, "no such file"),
        (["schedule", "export", "nowhere", "--to", "at"], 2, "--to"),
    ],
)
def test_what_goes_wrong_is_said(args, code, said):
    done = invoke(*args)
    assert done.exit_code == code
    assert said in done.stderr
