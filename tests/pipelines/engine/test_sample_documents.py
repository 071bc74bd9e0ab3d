"""Documents without a run: those that a run would hand on, in an order drawn by content."""

import shutil

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine.sample_documents import alone, documents, splits_of
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.shards import read_shard
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def recipe(tmp_path):
    write_shards(tmp_path / "raw", rows(40), 6)
    return load(
        write_recipe(tmp_path, ["clean", {"length": {"min_chars": 40}}], output={"path": "out", "shard_bytes": 1024})
    )


def pairs(batches):
    return sorted((i, t) for b in batches for i, t in zip(b["id"].to_pylist(), b["text"].to_pylist(), strict=True))


def test_documents_are_those_that_a_run_lets_through(recipe):
    found = pairs(documents(recipe, recipe.steps))
    assert not (recipe.base_dir / "out").exists()
    run(recipe, workers=1)
    assert found == pairs(b for f in Dataset(recipe.dataset).files() for b in read_shard(f))
    assert 0 < len(found) < 40
    assert len(pairs(documents(recipe, []))) == 40


def test_the_order_is_drawn_by_content_not_by_name(recipe, tmp_path):
    keys = [split.key for _, split in splits_of(recipe)]
    assert len(set(keys)) == len(keys) >= 6
    assert keys == [split.key for _, split in splits_of(recipe)]
    assert keys != sorted(keys)
    # other names and another folder: the same units first
    (tmp_path / "moved" / "raw").mkdir(parents=True)
    for i, file in enumerate(sorted((tmp_path / "raw").iterdir(), reverse=True)):
        shutil.copy(file, tmp_path / "moved" / "raw" / f"{i}.parquet")
    moved = load(write_recipe(tmp_path / "moved", [], output={"path": "out", "shard_bytes": 1024}))
    assert [split.key for _, split in splits_of(moved)] == keys
    other = load(tmp_path / "recipe.yaml", ["seed=7"])
    assert (
        sorted(split.key for _, split in splits_of(other))
        == sorted(keys)
        != [split.key for _, split in splits_of(other)]
    )


def test_steps_that_need_the_corpus_or_end_it_are_named(tmp_path):
    write_shards(tmp_path / "raw", rows(5), 1)
    (tmp_path / "t.json").touch()
    pack = {"pack": {"tokenizer": "t.json", "length": 64}}
    steps = load(write_recipe(tmp_path, ["clean", "exact", {"noise": {"delete": 0.1}}, "minhash", pack])).steps
    usable, left_out = alone(steps)
    assert [s.name for s in usable] == ["clean", "noise"]
    assert left_out == ["exact", "minhash", "pack"]
    assert alone([]) == ([], [])


def test_a_source_of_nothing_is_an_error(tmp_path):
    recipe = load(write_recipe(tmp_path, []), check_paths=False)
    with pytest.raises(SourceError, match=r"source 'raw': 'raw/\*\.parquet' matches no file"):
        list(documents(recipe, []))
