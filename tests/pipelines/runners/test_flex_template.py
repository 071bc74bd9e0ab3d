import json
import re
import runpy
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.runners import flex_template
from corpusmill.pipelines.runners import submit as detached
from corpusmill.pipelines.runners.dataflow import Dataflow
from corpusmill.transforms import storage
from corpusmill.transforms.errors import RecipeError
from tests import objects

ROOT = Path(__file__).resolve().parents[3]
RECIPE = b"""
name: docs
sources:
  - {name: raw, path: "s3://corpora/raw/*.parquet"}
steps:
  - exact
output: {path: s3://corpora/out}
"""


def test_the_metadata_is_that_of_the_recipes_fields():
    written = json.loads((ROOT / "docker/flex/metadata.json").read_text())
    assert written == flex_template.metadata(), (
        "run: python -m corpusmill.pipelines.runners.flex_template > docker/flex/metadata.json"
    )
    names = [p["name"] for p in written["parameters"]]
    assert names[:3] == ["recipe", "name", "seed"]
    assert "output_shard_bytes" in names
    for parameter in written["parameters"]:
        assert re.fullmatch(r"[a-zA-Z]\w*", parameter["name"])
        assert all(re.compile(r) for r in parameter["regexes"])
    good = {"recipe": "gs://b/r.yaml", "name": "docs", "seed": "7", "output_path": "s3://b/o", "output_format": "arrow"}
    for name, value in good.items():
        (regex,) = next(p["regexes"] for p in written["parameters"] if p["name"] == name)
        assert re.match(regex, value)
        assert not re.match(regex, " bad value")


def test_the_launcher_submits_and_does_not_wait(monkeypatch, capsys):
    pytest.importorskip("moto", reason="moto is not installed")
    seen = []

    def submit(recipe, runner, workers, options):
        seen.append((recipe, runner, workers, options))
        return "0123456789ab", ""

    monkeypatch.setattr(detached, "submit", submit)
    flags = ["--project=p", "--region=r", "--temp_location=gs://b/t", "--template_location=gs://b/job_object"]
    with objects.serving():
        storage.write_atomic("s3://corpora/r.yaml", RECIPE)
        assert flex_template.main(["--runner=DataflowRunner", "--recipe=s3://corpora/r.yaml", "--seed=7", *flags]) == 0
        assert "Run 0123456789ab" in capsys.readouterr().out
        ((recipe, runner, workers, options),) = seen
        assert (recipe.seed, recipe.dataset, runner, workers, options) == (
            7,
            "s3://corpora/out",
            "dataflow",
            None,
            flags,
        )
        storage.write_atomic("s3://corpora/bad.yaml", RECIPE.replace(b"exact", b"exactly"))
        assert flex_template.main(["--recipe=s3://corpora/bad.yaml"]) == 78
        assert "no transform is called `exactly`" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="name a recipe in a bucket"):
        flex_template.split(["--recipe=local.yaml"])


def test_the_launchers_file_is_the_launcher(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["main.py"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(ROOT / "docker/flex/main.py"), run_name="__main__")
    assert left.value.code == 0
    assert json.loads(capsys.readouterr().out) == flex_template.metadata()


def test_in_a_launcher_there_is_no_job_yet(monkeypatch, tmp_path):
    (tmp_path / "r.yaml").write_bytes(RECIPE)
    job = detached.Job(load(tmp_path / "r.yaml"), "s3://corpora/out", "")
    graph = type("Graph", (), {"run": lambda self: type("Result", (), {"job_id": lambda self: 1 / 0})()})
    monkeypatch.setattr(Dataflow, "_pipeline", lambda *args, **more: graph())
    monkeypatch.setattr("corpusmill.pipelines.runners.dataflow.expected", lambda job: None)
    assert Dataflow(None, ["--template_location=gs://b/job_object"]).submit(job) == ""
