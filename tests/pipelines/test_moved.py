"""A corpus in another folder gives the same snapshot, what was quarantined of it included; a dataset that is moved goes on."""

import json
import shutil

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners import local
from corpusmill.transforms.shards import read_shard
from tests.corpora import rows, write_recipe
from tests.faults.living import contents, differences

SOURCES = [
    {"name": "lines", "path": "raw/**/*.jsonl", "max_bad_fraction": 0.9, "columns": {"id": "id"}},
    {"name": "files", "path": "raw/*.parquet", "max_bad_fraction": 1, "on_bad_file": "skip"},
    {"name": "pages", "path": "raw/*.txt", "max_bad_fraction": 0.9},
]


def corpus(base):
    """Bad rows of each kind, and a file that lies twice in the corpus."""
    raw = base / "raw"
    (raw / "deep").mkdir(parents=True)
    good = [json.dumps({"id": d["id"], "text": d["text"]}) for d in rows(20)]
    for name, part in (("a", good[:10]), ("deep/b", good[10:])):
        bad = ["{not json", json.dumps({"id": f"bad {name}", "text": None})]
        (raw / f"{name}.jsonl").write_text("\n".join([*part, *bad]))
    shutil.copy(raw / "a.jsonl", raw / "twin.jsonl")
    (raw / "cut.parquet").write_bytes(b"PAR1 and no footer")
    (raw / "page.txt").write_text("a page")
    (raw / "latin.txt").write_bytes(b"caf\xe9")
    return base


def made(base, steps=(), **options):
    output = {"path": "out", "shard_bytes": options.pop("shard_bytes", 1 << 20)}
    return run(load(write_recipe(base, list(steps), sources=SOURCES, output=output)), **options)


def quarantined(out):
    files = Dataset(out).manifest()["tables"]["quarantine"]
    return [row for f in files for b in read_shard(str(out / f["path"])) for row in b.to_pylist()]


def test_the_same_corpus_under_another_folder_gives_the_same_snapshot(tmp_path):
    here, there = corpus(tmp_path / "here"), corpus(tmp_path / "a" / "longer path")
    one, two = made(here), made(there)
    assert one.manifest["digest"] == two.manifest["digest"]
    mine, theirs = contents(here / "out"), contents(there / "out")
    events = mine.pop("events.jsonl"), theirs.pop("events.jsonl")
    assert events[0] == events[1]
    # of the work, too, all but the notes of what lay where
    notes = (".corpusmill/plans/", ".corpusmill/listing")
    kept = [{k: v for k, v in c.items() if not k.startswith(notes)} for c in (mine, theirs)]
    assert differences(*kept) == []
    found = quarantined(here / "out")
    assert {(r["source"], r["file"]) for r in found} == {
        ("lines", "a.jsonl"),  # its twin is called by the same name
        ("lines", "deep/b.jsonl"),
        ("files", "cut.parquet"),
        ("pages", "latin.txt"),
    }
    assert str(tmp_path) not in json.dumps(found)
    assert str(tmp_path) not in json.dumps(one.manifest)


@pytest.mark.parametrize("small", [0, local.SMALL], ids=["graph", "few"])
def test_a_file_that_lies_twice_is_quarantined_by_one_name_whoever_reads_it_first(tmp_path, monkeypatch, small):
    monkeypatch.setattr(local, "SMALL", small)
    tables = []
    for twin in ("0.jsonl", "b.jsonl", "z.jsonl"):
        base = corpus(tmp_path / twin)
        (base / "raw" / "twin.jsonl").rename(base / "raw" / twin)
        made(base, shard_bytes=1024, workers=2)  # a unit a file
        found = [r for r in quarantined(base / "out") if r["source"] == "lines"]
        assert len(found) == 6
        assert {r["file"] for r in found} == {min(twin, "a.jsonl"), "deep/b.jsonl"}
        tables.append(found)
    assert tables[1] == tables[2]


def test_a_dataset_that_is_moved_with_its_corpus_goes_on(tmp_path):
    base = corpus(tmp_path / "here")
    made(base)
    before = quarantined(base / "out")
    base.rename(tmp_path / "there")
    base = tmp_path / "there"
    assert not made(base).committed
    report = forget(str(base / "out"), Takedown(ids=("bad a",), purge=True), workers=1)
    assert report["purged_snapshots"] == [1]
    after = quarantined(base / "out")
    assert [(r["file"], r["position"], r["reason"]) for r in after] == [
        (r["file"], r["position"], r["reason"]) for r in before
    ]
    told = Dataset(base / "out").why("bad deep/b")
    assert told["outcome"] == "quarantined"
    (event,) = told["history"]
    assert (event["source"], event["file"], event["position"]) == ("lines", "deep/b.jsonl", 12)
    assert (event["reason"], "raw" in event) == ("null-text", False)
    assert Dataset(base / "out").why("bad a")["outcome"] == "suppressed"
    scrubbed = [b["file"] for a, b in zip(after, before, strict=True) if a["raw"] != b["raw"]]
    assert scrubbed == ["a.jsonl"] * 2  # of the file and of its twin
    for number in Dataset(base / "out").numbers:
        assert Dataset(base / "out").verify(number) == []
