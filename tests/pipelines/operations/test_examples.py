"""Examples of dropped documents and pairs, and their texts from snapshots and sources."""

import json

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import examples
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def out(tmp_path):
    write_shards(tmp_path / "raw", rows(60), 3)
    short = [{"id": f"s{i}", "text": "too short"} for i in range(9)]
    (tmp_path / "raw" / "short.jsonl").write_text("".join(json.dumps(r) + "\n" for r in short))
    sources = [
        {"name": "raw", "path": "raw/*.parquet", "columns": {"id": "id"}},
        {"name": "short", "path": "raw/*.jsonl", "columns": {"id": "id"}},
    ]
    run(load(write_recipe(tmp_path, [{"length": {"min_words": 3}}, "exact", "minhash"], sources=sources)), workers=1)
    return tmp_path / "out"


def test_examples_are_so_many_of_each_reason_and_the_same_each_time(out):
    reader = Dataset(out)
    found = examples.dropped(reader, 1, "length", "min_words", 4)
    assert len(found) == 4
    assert {(r["step"], r["reason"]) for r in found} == {("length", "min_words")}
    assert examples.dropped(reader, 1, "length", "min_words", 4) == found
    total = reader.manifest()["funnel"]["steps"][0]["dropped"]["min_words"]
    assert len(examples.dropped(reader, reason="min_words", count=100)) == total >= 9
    with pytest.raises(DatasetError, match="its steps are: length, exact, minhash"):
        examples.dropped(reader, step="clean")


def test_texts_come_from_the_snapshot_and_from_the_sources(out):
    reader = Dataset(out)
    manifest = reader.manifest()
    kept = next(iter(examples.read_shard(reader.files()[0], ["id", "text"]))).to_pylist()[0]
    found = examples.texts(reader, manifest, ["s3", kept["id"], "nobody"])
    assert set(found) == {"s3", kept["id"]}
    assert (found["s3"].text, found["s3"].file, found["s3"].row) == ("too short", "short.jsonl", 3)
    assert found[kept["id"]].text == kept["text"]
    assert examples.texts(reader, manifest, ["s3"], limit=0) in ({}, found | {kept["id"]: found[kept["id"]]})


def test_sources_that_are_gone_give_no_text(out):
    (out.parent / "raw" / "short.jsonl").unlink()
    assert examples.texts(Dataset(out), Dataset(out).manifest(), ["s3"]) == {}


def test_pairs_are_spread_over_their_similarity(out):
    found = examples.pairs(Dataset(out), count=3)
    assert [r["jaccard"] for r in found] == sorted(r["jaccard"] for r in found)
    assert 0 < len(found) <= 3
