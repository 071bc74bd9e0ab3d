"""Percentiles and reliability of learned scores in the report."""

import json

import corpusmill
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.report import learned
from corpusmill.pipelines.report.html import page
from tests.transforms.select.test_select import COOKING, SPORT, texts


def test_percentiles_of_groups_and_reliability_are_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, (name, kind) in enumerate((("good", COOKING), ("bad", SPORT))):
        lines = [{"text": t, "lang": "en"} for t in texts(kind, 80, seed)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    step = {"like": ["good"], "unlike": ["bad"], "buckets": 4096, "ngram": 1, "keep": {"top": 0.25, "by": "lang"}}
    recipe = {"name": "t", "sources": [{"name": n, "path": f"{n}.jsonl"} for n in ("good", "bad")]}
    corpusmill.run(recipe | {"steps": [{"quality": step}], "output": "out"}, workers=1)
    dataset = Dataset("out")
    found = learned.look(dataset, dataset.manifest())
    assert found.groups[0][:3] == ["quality: en", "80", "20"]
    assert sum(int(row[3]) for row in found.reliability) > 10
    assert {row[0] for row in found.reliability} == {"learnt in the run"}
    made = page(dataset, dataset.manifest())
    assert "Learned scores" in made
