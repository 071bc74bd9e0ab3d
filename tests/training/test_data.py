"""Shards: mapped without copies, refused with one clear error when something is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.training.build import rows_of, vocabulary_of
from corpusmill.training.data import Shards, pad
from corpusmill.training.loop import train
from corpusmill.transforms.errors import BadFileError, DatasetError, RecipeError
from tests.manifests import write_manifest
from tests.training.conftest import LENGTH, sentences, write_shards


def test_rows_are_those_of_the_files(shards: Path) -> None:
    data = Shards(shards)
    tables = [pa.ipc.open_file(str(f)).read_all() for f in sorted(shards.glob("*.arrow"))]
    expected = np.concatenate([np.stack(t["input_ids"].to_numpy()) for t in tables])
    assert len(data) == len(expected) == json.loads((shards / "manifest.json").read_text())["rows"]
    index = np.random.default_rng(0).permutation(len(data))
    batch = data.rows(index)
    assert np.array_equal(batch["input_ids"], expected[index])
    assert {c.dtype for c in batch.values()} == {np.dtype(np.int64)}
    assert data.sources == ["a"]
    assert data.length == LENGTH


def test_columns_are_views_of_the_mapped_file(shards: Path) -> None:
    before = pa.total_allocated_bytes()
    data = Shards(shards)
    column = data.batches[0]["input_ids"].values
    assert not column.flags.owndata
    assert not column.flags.writeable
    assert pa.total_allocated_bytes() - before < 100_000


def test_lists_of_any_size_and_slices(tmp_path: Path) -> None:
    lists = pa.array([[1, 2, 3], [], [4], [5, 6]], pa.list_(pa.int32()))
    table = pa.table({"input_ids": lists})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    data = Shards(tmp_path)
    assert data.rows(np.array([3, 0]))["input_ids"].tolist() == [[5, 6, 0], [1, 2, 3]]
    assert pad([np.array([1])], -100, 4).tolist() == [[1, -100, -100, -100]]


def test_snapshots(tmp_path: Path, shards: Path) -> None:
    (tmp_path / "data").mkdir()
    for file in shards.glob("*.arrow"):
        shutil.copy(file, tmp_path / "data")
    for number, names in ((1, ["part-0"]), (2, ["part-0", "part-1"])):
        write_manifest(tmp_path, number, [f"data/{name}.arrow" for name in names])
    newest, first = Shards(tmp_path), Shards(tmp_path, 1)
    assert newest.sources == ["a"]
    assert len(newest) == len(Shards(shards)) > len(first)
    assert newest.digest != first.digest
    with pytest.raises(DatasetError, match="no snapshot 3; the newest is 2"):
        Shards(tmp_path, 3)
    manifest = tmp_path / "snapshots" / "000001.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"documents": 2', b'"documents": 3'))
    with pytest.raises(DatasetError, match=r"000001\.json is damaged: its checksum differs"):
        Shards(tmp_path, 1)
    (tmp_path / "data" / "part-1.arrow").unlink()
    with pytest.raises(DatasetError, match=r"part-1\.arrow: this shard is in the manifest"):
        Shards(tmp_path)


def test_damage(tmp_path: Path, shards: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        Shards(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"no \.arrow files"):
        Shards(tmp_path)
    shutil.copytree(shards, tmp_path / "cut")
    file = tmp_path / "cut" / "part-1.arrow"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BadFileError, match=r"part-1\.arrow: is not a whole Arrow IPC file"):
        Shards(tmp_path / "cut")


def test_rows_without_segments_are_refused(tmp_path: Path) -> None:
    table = pa.table({"input_ids": pa.array([[1, 2]], pa.list_(pa.uint16(), 2)), "n_tokens": pa.array([1], pa.int32())})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DatasetError, match="segments: true"):
        Shards(tmp_path)


def test_tokenizer_must_match(make, tmp_path: Path, tokenizer: Path, shards: Path) -> None:
    other = tmp_path / "tokenizer.json"
    tree = json.loads(tokenizer.read_text())
    tree["model"]["vocab"] = {t: i for t, i in tree["model"]["vocab"].items() if i < 270}
    tree["model"]["merges"] = [m for m in tree["model"]["merges"] if "".join(m) in tree["model"]["vocab"]]
    other.write_text(json.dumps(tree))
    settings = make(data__tokenizer=str(other))
    with pytest.raises(DatasetError, match="another tokenizer"):
        train(settings)
    bare = shutil.copytree(shards, tmp_path / "bare")
    (bare / "manifest.json").unlink()  # without a digest, the ids tell
    with pytest.raises(RecipeError, match="holds token id"):
        train(make(data__tokenizer=str(other), data__train=str(bare)))
    with pytest.raises(RecipeError, match=r"data\.tokenizer.*does not exist"):
        vocabulary_of(make(data__tokenizer=None))


def test_objectives_and_data_must_fit(make, shards: Path) -> None:
    settings = make(objective__name="classification")
    with pytest.raises(RecipeError, match="file of documents"):
        rows_of(str(shards), settings, vocabulary_of(settings))
    with pytest.raises(RecipeError, match="objective masked trains encoder"):
        train(make(objective__name="masked"))
    with pytest.raises(RecipeError, match=r"no row is of source b; the sources are a"):
        train(make(data__weights={"b": 1}))


def test_weights(make, tmp_path: Path, tokenizer: Path) -> None:
    """Two sources, three to one, though the rows are one to three."""
    folder = tmp_path / "two"
    write_shards(folder / "a", tokenizer, sentences(30, 1), "a", files=1)
    write_shards(folder / "b", tokenizer, sentences(90, 2), "b", files=1)
    settings = make(data__train=str(folder), data__weights={"a": 3.0, "b": 1.0}, steps=1)
    from corpusmill.training.loop import _order

    data = Shards(folder)
    order = _order(data, settings)
    source = data.source_of[order.rows(np.arange(4096))[0]]
    assert np.bincount(source).tolist() == [3072, 1024]
    assert train(settings)["step"] == 1


def test_a_number_of_a_snapshot_is_of_the_data_trained_on(make, tmp_path: Path, shards: Path) -> None:
    """The dataset trained on is at its third snapshot, the held-out one at its first."""
    for name, numbers in {"data": (1, 2, 3), "held": (1,)}.items():
        folder = tmp_path / name
        shutil.copytree(shards, folder)
        for number in numbers:
            write_manifest(folder, number, [f.name for f in sorted(folder.glob("*.arrow"))])
    settings = make(
        data__train=str(tmp_path / "data"), data__validation=str(tmp_path / "held"), data__snapshot=3, steps=1
    )
    assert train(settings)["validation"]["targets"] > 0
