"""Rollback: the content of an older snapshot as a new one; what a later run makes of it."""

from pathlib import Path

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.operations.rollback import rollback
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.shards import read_shard
from tests.corpora import rows, write_recipe, write_shards


def ids(out, number=None):
    return sorted(i for f in Dataset(out).files(number) for b in read_shard(f, ["id"]) for i in b["id"].to_pylist())


@pytest.fixture
def twice(tmp_path):
    """A dataset of two snapshots, the second by another recipe: (folder, recipe 1, recipe 2)."""
    write_shards(tmp_path / "raw", rows(30), 2)
    first = write_recipe(tmp_path, []).rename(tmp_path / "first.yaml")
    second = write_recipe(tmp_path, [{"length": {"min_chars": 100}}])
    run(load(first), workers=1)
    run(load(second), workers=1)
    return tmp_path, first, second


def test_history_stays_linear_and_a_run_is_not_fooled(twice):
    folder, first, second = twice
    out = folder / "out"
    manifest = rollback(str(out), 1)
    assert (manifest["number"], manifest["parent"]["number"], manifest["rollback"]["to"]) == (3, 2, 1)
    assert ids(out) == ids(out, 1) != ids(out, 2)
    assert [Dataset(out).verify(n) for n in (1, 2, 3)] == [[], [], []]
    assert "Snapshot 3" in (out / "README.md").read_text()
    # what snapshot 1 was made of gives what is there: nothing new; what snapshot 2 was made of gives something else
    assert not run(load(first), workers=1).committed
    result = run(load(second), workers=1)
    assert result.committed
    assert ids(out) == ids(out, 2)
    assert Dataset(out).numbers == [1, 2, 3, 4]


def test_what_was_taken_out_does_not_come_back(twice):
    folder, first, _ = twice
    out = folder / "out"
    forget(str(out), Takedown(ids=("0-00001",)), workers=1)
    manifest = rollback(str(out), 1)
    assert ids(out) == [i for i in ids(out, 1) if i != "0-00001"]
    assert "0-00001" in ids(out, 1)
    assert manifest["suppressed"]["lists"] == 1
    assert Dataset(out).verify() == []
    assert manifest["funnel"]["steps"][-1]["dropped"] == {"suppressed": 1}
    assert run(load(first), workers=1).committed


def test_what_cannot_be_brought_back(twice):
    folder, *_ = twice
    out = folder / "out"
    with pytest.raises(DatasetError, match="newest already"):
        rollback(str(out), 2)
    with pytest.raises(DatasetError, match="has no snapshot 9"):
        rollback(str(out), 9)
    for file in Dataset(out).files(1):
        if file not in Dataset(out).files(2):
            Path(file).write_bytes(b"x")
    with pytest.raises(DatasetError, match="cannot be brought back"):
        rollback(str(out), 1)
    assert Dataset(out).numbers == [1, 2]
