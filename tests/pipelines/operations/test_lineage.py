"""lineage.json keeps the digests of every snapshot that a dataset ever had."""

import json

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import gc, lineage
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.privacy.certification import data_digest
from corpusmill.transforms.errors import DatasetError
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def out(tmp_path):
    write_shards(tmp_path / "raw", rows(30), 2)
    run(load(write_recipe(tmp_path, [])), workers=1)
    return tmp_path / "out"


def test_a_snapshot_that_was_rewritten_and_removed_is_remembered(out):
    before = Dataset(out).manifest(1)
    forget(str(out), Takedown(ids=("0-00001",), purge=True), workers=1)
    after = Dataset(out).manifest(1)
    gc.collect(str(out), keep=1)
    known = lineage.of(Dataset(out)).snapshots
    assert set(known) == {1, 2}
    assert known[1].manifests == {before["digest"], after["digest"]}
    assert known[1].data == {data_digest(before), data_digest(after)}
    assert known[1].inputs == {i["digest"] for i in before["inputs"]}


def test_a_dry_run_writes_nothing(out):
    gc.collect(str(out), keep=1, dry_run=True)
    assert not (out / lineage.FILE).exists()


def test_the_same_lineage_is_not_written_again(out):
    lineage.record(Dataset(out))
    stamp = (out / lineage.FILE).stat().st_mtime_ns
    lineage.record(Dataset(out))
    assert (out / lineage.FILE).stat().st_mtime_ns == stamp


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"checksum": 1}'])
def test_a_damaged_file_is_named_with_what_to_do(out, damage):
    lineage.record(Dataset(out))
    file = out / lineage.FILE
    file.write_text(damage or file.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(DatasetError, match=r"lineage\.json is damaged .*Restore it from a copy, or remove it"):
        gc.collect(str(out), keep=1)
    file.unlink()
    gc.collect(str(out), keep=1)
    assert json.loads(file.read_text())["format"] == 1
