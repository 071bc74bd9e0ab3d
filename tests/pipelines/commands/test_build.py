"""`plan` and `run` as they are typed: figures, JSON and exit codes. What they do is the matter of test_plan and test_run."""

import json

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.report.html import page
from tests.command import invoke, invoke_json
from tests.corpora import rows, write_recipe, write_shards

STEPS = [{"gopher-quality": {"min_words": 5, "keep_scores": True}}, "exact"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose recipe never ran."""
    folder = tmp_path_factory.mktemp("fresh")
    write_shards(folder / "raw", rows(30), 2)
    write_recipe(folder, STEPS)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder whose recipe ran once."""
    folder = tmp_path_factory.mktemp("built")
    write_shards(folder / "raw", rows(30), 2)
    assert invoke("run", write_recipe(folder, STEPS), "--workers", 1).exit_code == 0
    return folder


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["plan", "--step", "exact"], "--step goes with --what-if"),
        (["plan", "--what-if", "--price", "1"], "--price and --for do not go with --what-if"),
        (["plan", "--what-if", "--for", "1TB"], "--price and --for do not go with --what-if"),
        (["plan", "--price", "nan"], "nan is not a finite number"),
        (["plan", "--price", "-1"], "-1.0 is not in the range"),
        (["plan", "--for", "1XB"], "--for 1XB: write a number and MB, GB or TB"),
        (["plan", "--for", ""], "--for : write a number"),
        (["plan", "--for", "0.1B"], "--for 0.1B: write a number"),
        (["plan", "--for", "-1GB"], "--for -1GB: write a number"),
        (["plan", "--for", "nan"], "--for nan: write a number"),
        (["plan", "--workers", "0"], "--workers"),
        (["run", "another.yaml"], "name one recipe; `another.yaml` is a second one. Beam options follow `--`"),
        (["run", "--workers", "-1"], "--workers"),
    ],
)
def test_wrong_usage_is_2_and_runs_nothing(folder, args, said):
    done = invoke(args[0], folder / "recipe.yaml", *args[1:])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (folder / "out" / "snapshots").exists()


def test_what_never_ran_cannot_be_estimated(folder):
    done = invoke("plan", folder / "recipe.yaml", "--price", 1)
    assert done.exit_code == 1
    assert "2 of 2 tasks of `pass 1 of 2: gopher-quality` never ran" in done.stderr
    assert "Run the recipe on a sample first" in done.stderr
    done = invoke("plan", folder / "recipe.yaml", "--what-if")
    assert (done.exit_code, "corpusmill run" in done.stderr) == (1, True)


def test_an_estimate_scales_with_size_workers_and_price(built):
    def found(*args):
        return invoke_json("plan", built / "recipe.yaml", *args)

    one, many = found("--for", "1TB", "--workers", 1), found("--for", "1TB", "--workers", 100, "--price", 0.5)
    assert (
        one["measured_bytes"]
        == found("--price", 0)["bytes"]
        == sum(f.stat().st_size for f in (built / "raw").iterdir())
    )
    assert one["bytes"] == 10**12
    assert one["cost"] is None
    assert many["cost"] == pytest.approx(0.5 * many["cpu_hours"])
    assert many["cpu_hours"] == pytest.approx(one["cpu_hours"])
    assert many["seconds"] == pytest.approx(one["seconds"] / 100)
    assert found("--for", "2 tb", "--workers", 1)["shuffle_bytes"] == pytest.approx(2 * one["shuffle_bytes"], rel=1e-6)
    said = invoke("plan", built / "recipe.yaml", "--for", "1TB", "--workers", 100, "--price", 0.5).stdout
    assert "corpus     1.0 TB" in said
    assert f"cost       {many['cost']:,.2f}" in said
    assert "on 100 workers" in said
    assert "caution    the sample is small" in said


def test_run_in_json_is_json_alone_and_nothing_new_is_3(built):
    done = invoke("run", built / "recipe.yaml", "--json", "--workers", 1)
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert (found["committed"], found["snapshot"], found["dataset"]) == (False, 1, str(built / "out"))
    assert found["funnel"]["rows_in"] == 30
    assert invoke("run", built / "recipe.yaml").stdout == (
        f"Nothing new: snapshot 1 of {built}/out is what this recipe gives.\n"
    )


def test_run_writes_metrics_and_a_snapshot_for_changed_settings(built, tmp_path):
    done = invoke(
        "run", built / "recipe.yaml", "--workers", 1, "--metrics", tmp_path / "m", "--set", "output.path=other"
    )
    assert done.exit_code == 0, done.output
    assert f"Snapshot 1 of {built}/other is committed (" in done.stdout
    assert 'corpusmill_snapshot{dataset="test"} 1\n' in (tmp_path / "m").read_text()
    # what a terminal shows beside the result is on standard error
    assert "apply exact, write: 2/2 tasks" in done.stderr
    assert "tasks" not in done.stdout


def test_plan_says_what_a_run_would_do(folder, built):
    said = invoke("plan", folder / "recipe.yaml", "--workers", 3).stdout
    assert "30" in said
    assert "Nothing new" not in said
    plan = invoke_json("plan", folder / "recipe.yaml")
    assert plan["nothing_new"] is False
    assert [s["reused"] for s in plan["stages"]] == [0] * len(plan["stages"])
    again = invoke_json("plan", built / "recipe.yaml")
    assert all(s["tasks"] == s["reused"] for s in again["stages"])
    assert "privacy" not in again


def test_current_is_ok_turns_nothing_new_into_success(tmp_path):
    write_shards(tmp_path / "raw", rows(3), 1)
    recipe = write_recipe(tmp_path, ["clean"])
    codes = [invoke("run", recipe, "--workers", 1, *more).exit_code for more in ((), (), ("--current-is-ok",))]
    assert codes == [0, 3, 0]


def test_files_of_unknown_formats_are_named(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.jsonl").write_text('{"text": "one"}\n')
    recipe = write_recipe(tmp_path, ["clean"], sources=[{"name": "raw", "path": "raw"}])
    assert "leaves out" not in invoke("plan", recipe).stdout
    for name in ("b.xyz", "c.xyz"):
        (raw / name).write_bytes(b"%XYZ")
    sentence = "source raw leaves out 2 files of unknown formats, such as raw/b.xyz; to read them, set `format`"
    assert f"caution    {sentence}" in invoke("plan", recipe).stdout
    expected = [{"source": "raw", "files": 2, "example": "raw/b.xyz"}]
    assert invoke_json("plan", recipe)["left_out"] == expected
    shown = invoke("run", recipe, "--workers", 1).stdout
    assert f"! {sentence}." in shown
    assert "left out: 2 unknown files" in shown
    stored = Dataset(str(tmp_path / "out")).manifest()["funnel"]["sources"][0]["left_out"]
    assert stored == {"unknown file": {"number": 2, "example": "raw/b.xyz"}}
    dataset = Dataset(str(tmp_path / "out"))
    assert "left out: 2 unknown files, such as raw/b.xyz" in page(dataset, dataset.manifest())
    assert json.loads(invoke("run", recipe, "--set", "seed=2", "--json").stdout)["left_out"] == expected
