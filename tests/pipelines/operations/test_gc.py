"""Collection: old snapshots go, live files and what a run would reuse stay, at any moment of death."""

import os
import time

import pytest

from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import gc
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError, LockedError
from corpusmill.transforms.manifest import files_of
from tests.corpora import rows, write_recipe, write_shards
from tests.faults.deaths_of_gc import killed_collection

STEPS = [{"exact": {}}]


def refreshed(folder, times=3):
    """A dataset of as many snapshots: every refresh changes one file and adds one."""
    for n in range(times):
        write_shards(folder / "raw", rows(12, seed=n), 1, first=0)
        write_shards(folder / "raw", rows(12, seed=100 + n), 1, first=n + 1)
        run(load(write_recipe(folder, STEPS, output={"path": "out", "shard_bytes": 1024})), workers=1)
    return folder / "out"


def contents(out):
    """Every file but the history."""
    return {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and p.name != "history.jsonl"}


def test_old_snapshots_go_and_live_files_stay(tmp_path):
    out = refreshed(tmp_path)
    (out / "data" / "notes.parquet").write_text("not ours")
    before = contents(out)
    planned = gc.collect(str(out), keep=1, dry_run=True)
    assert contents(out) == before
    done = gc.collect(str(out), keep=1)
    assert done.to_dict() == planned.to_dict()
    assert done.bytes > 0
    assert done.snapshots == [1, 2]
    dataset = Dataset(out)
    assert dataset.numbers == [3]
    assert dataset.verify() == []
    assert {f["path"] for f in files_of(dataset.manifest())} <= contents(out)
    assert {n for n in contents(out) if n.startswith("data/")} == {f["path"] for f in dataset.manifest()["files"]} | {
        "data/notes.parquet"
    }
    assert gc.collect(str(out), keep=1).to_dict()["bytes"] == 0


def test_what_a_run_would_reuse_stays(tmp_path):
    from corpusmill.pipelines.engine.plan import make

    out = refreshed(tmp_path, 2)
    gc.collect(str(out), keep=1)
    recipe = load(tmp_path / "recipe.yaml")
    assert not run(recipe, workers=1).committed
    write_shards(tmp_path / "raw", rows(5, seed=50), 1, first=20)
    stage = make(recipe, 1).stages[0]
    assert (stage.tasks, stage.reused) == (4, 3)
    # nor is the work of a run that was interrupted behind the newest snapshot
    write_recipe(tmp_path, STEPS, output={"path": "out", "shard_bytes": 1024}, expect={"min_documents": 10**6})
    with pytest.raises(DatasetError):
        run(load(tmp_path / "recipe.yaml"), workers=1)
    gc.collect(str(out), keep=1)
    assert all(s.tasks == s.reused for s in make(load(tmp_path / "recipe.yaml"), 1).stages)


def test_death_between_any_two_removals_then_again(tmp_path, monkeypatch):
    import shutil

    out = refreshed(tmp_path, 2)
    expected = tmp_path / "expected"
    shutil.copytree(out, expected)
    gc.collect(str(expected), keep=1)
    total = len([n for names in gc.collect(str(out), keep=1, dry_run=True).files.values() for n in names])
    for deaths in range(0, total, max(1, total // 6)):
        broken = tmp_path / f"broken{deaths}"
        shutil.copytree(out, broken)
        killed_collection(str(broken), deaths, monkeypatch)
        for number in Dataset(broken).numbers:
            assert Dataset(broken).verify(number) == []
        gc.collect(str(broken), keep=1)
        assert contents(broken) == contents(expected)


def test_temporary_files_of_the_dead_go_and_young_ones_stay(tmp_path):
    out = refreshed(tmp_path, 1)
    old, young = out / "data" / ".tmp-old", out / ".corpusmill" / "work" / ".tmp-young"
    for path in (old, young):
        path.write_bytes(b"x" * 100)
    os.utime(old, (time.time() - 7200,) * 2)
    assert gc.collect(str(out)).files["temporary"] == [os.path.join("data", ".tmp-old")]
    assert not old.exists()
    assert young.exists()


def test_a_running_job_is_not_disturbed(tmp_path):
    out = refreshed(tmp_path, 1)
    with Store(str(out)).lock(), pytest.raises(LockedError):
        gc.collect(str(out), keep=1)
    with pytest.raises(DatasetError, match="does not exist"):
        gc.collect(str(tmp_path / "none"))
