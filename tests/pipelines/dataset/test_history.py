"""Run history and metrics: every run leaves one line, and a collector reads it."""

import json
import re

import pytest

from corpusmill.pipelines.dataset import history
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import CorpusmillError, DatasetError, ExpectationError
from tests.corpora import rows, write_recipe, write_shards

SAMPLE = re.compile(r'^corpusmill_[a-z_]+\{dataset="[^"]*"(,[a-z]+="(\\.|[^"\\])*")*\} -?[0-9.e+-]+$')


def samples(text):
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            assert SAMPLE.match(line), line
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def test_every_run_leaves_a_line_and_metrics(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 1)
    recipe, file = load(write_recipe(tmp_path, [{"exact": {}}])), str(tmp_path / "runs.prom")
    run(recipe, workers=1, metrics=file)
    run(recipe, workers=1)
    write_shards(tmp_path / "raw", rows(20, seed=1), 1, first=1)
    with pytest.raises(ExpectationError):
        run(load(tmp_path / "recipe.yaml", ["expect.max_documents=1"]), workers=1, metrics=file)
    runs = history.read(str(tmp_path / "out"))
    assert [r["outcome"] for r in runs] == ["committed", "nothing-new", "failed"]
    documents = Dataset(tmp_path / "out").manifest()["documents"]
    assert runs[0]["snapshot"] == runs[1]["snapshot"] == 1
    assert runs[0]["documents"] == documents
    assert runs[0]["cpu_seconds"] > 0
    assert runs[0]["start"] <= runs[0]["end"]
    assert "max_documents" in runs[2]["message"]
    found = samples((tmp_path / "runs.prom").read_text())
    assert found['corpusmill_runs_total{dataset="test",outcome="failed"}'] == 1
    assert found['corpusmill_last_run_success{dataset="test"}'] == 0
    assert found['corpusmill_documents{dataset="test"}'] == documents
    assert found['corpusmill_documents_dropped{dataset="test",step="exact",reason="exact-duplicate"}'] > 0


def test_a_run_that_never_began_is_noted(tmp_path):
    recipe = load(write_recipe(tmp_path, []), check_paths=False)
    with pytest.raises(CorpusmillError, match="matches no file"):
        run(recipe, workers=1, metrics=str(tmp_path / "m.prom"))
    (entry,) = history.read(str(tmp_path / "out"))
    assert entry["outcome"] == "failed"
    assert "matches no file" in entry["message"]
    assert "documents" not in entry
    assert samples((tmp_path / "m.prom").read_text())['corpusmill_last_run_success{dataset="test"}'] == 0


def test_torn_and_foreign_lines_are_left_out_and_not_joined(tmp_path):
    good = {"outcome": "nothing-new", "message": "", "seconds": 1, "cpu_seconds": 1, "end": "2025-01-01T00:00:00Z"}
    good["start"] = good["end"]
    (tmp_path / "history.jsonl").write_text(json.dumps(good) + '\n[1]\n{"outcome": "failed"}\n{"outcome": "com')
    assert history.read(str(tmp_path)) == [good]
    history.record(str(tmp_path), history.Begin.now(), None, False, "broke\non two lines")
    runs = history.read(str(tmp_path))
    assert [r["outcome"] for r in runs] == ["nothing-new", "failed"]
    assert runs[1]["message"] == "broke on two lines"
    history.without_messages(str(tmp_path))
    assert [r["message"] for r in history.read(str(tmp_path))] == ["", ""]


def test_labels_are_escaped():
    assert history._escape('a"b\\c\n') == 'a\\"b\\\\c\\n'


def test_no_history(tmp_path):
    assert history.read(str(tmp_path)) == []
    assert history.metrics(str(tmp_path), "x", None) == ""


def test_metrics_that_cannot_be_written_are_refused_before_anything_runs(tmp_path):
    write_shards(tmp_path / "raw", rows(4), 1)
    recipe = load(write_recipe(tmp_path, []))
    for path, why in ((tmp_path, "it is a folder"), (tmp_path / "no" / "m.prom", "is no folder")):
        with pytest.raises(DatasetError, match=f"{why}.*Nothing ran"):
            run(recipe, workers=1, metrics=str(path))
    assert not (tmp_path / "out").exists()
    run(recipe, workers=1, metrics=f"file://{tmp_path}/m.prom")
    assert (tmp_path / "m.prom").exists()
