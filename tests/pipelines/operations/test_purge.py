"""What a purge takes out of committed snapshots, and what it leaves."""

import json

import pytest

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.operations.purge import Forgotten, affected, purge, rewritten
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.shards import read_shard
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def out(tmp_path):
    write_shards(tmp_path / "raw", rows(30), 2)
    run(load(write_recipe(tmp_path, [{"noise": {"delete": 0.1, "copies": 1}}])), workers=1)
    return tmp_path / "out"


def ids(out, number):
    return [i for f in Dataset(out).files(number) for b in read_shard(f, ["id"]) for i in b["id"].to_pylist()]


def test_a_document_goes_with_what_is_derived_from_it(out):
    reader = Dataset(out)
    child = next(
        row["id"] for f in reader.files() for b in read_shard(f) for row in b.to_pylist() if row["parent"] == "0-00001"
    )
    listed = suppression.append(str(out), {"id": ["0-00001"]})
    forgotten = Forgotten.of(reader, [1], listed)
    assert set(forgotten.ids.to_pylist()) == {"0-00001", child}
    assert (forgotten.derived, forgotten.sources) == (1, {"raw": 2})
    assert sum(affected(reader, reader.manifest(1), forgotten).values()) == 2


def test_a_snapshot_without_the_document_is_not_rewritten(out):
    reader = Dataset(out)
    listed = suppression.append(str(out), {"id": ["nobody"]})
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert rewritten(reader, reader.manifest(1), Forgotten.of(reader, [1], listed)) is None
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_rewritten_snapshot_keeps_its_number_and_its_earlier_digest(out):
    before = Dataset(out).manifest(1)
    forget(str(out), Takedown(ids=("0-00001",)), workers=1)
    assert "0-00001" in ids(out, 1)
    assert purge(str(out)) == [1]
    after = Dataset(out).manifest(1)
    assert "0-00001" not in ids(out, 1)
    assert after["purged"]["was"] == [before["digest"]]
    assert [Dataset(out).verify(n) for n in (1, 2)] == [[], []]
    assert purge(str(out)) == []
    assert json.loads((out / "lineage.json").read_text())["snapshots"]["1"]["manifests"].count(before["digest"]) == 1
