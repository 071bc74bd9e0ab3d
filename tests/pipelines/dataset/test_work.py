"""Finished work that is damaged is found, named and made again; it never flows into a snapshot."""

import json
import random
from pathlib import Path

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.work import damaged, remove_damaged
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.shards import read_shard
from tests.corpora import rows, write_recipe, write_shards
from tests.faults.serial import Serial, serially

STEPS = [{"exact": {}}, {"minhash": {}}, {"length": {"min_chars": 5}}]


@pytest.fixture
def recipe(tmp_path):
    write_shards(tmp_path / "raw", rows(60), 3)
    path = write_recipe(tmp_path, STEPS)
    with serially():
        run(load(path), workers=1)
        yield path


def contents(recipe):
    return [b.to_pylist() for f in Dataset(recipe.parent / "out").files() for b in read_shard(f)]


def flip(path: Path, place: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= bit
    path.write_bytes(data)


def work(recipe, pattern):
    return sorted((recipe.parent / "out" / ".corpusmill").rglob(pattern))


def test_sound_work_has_no_damage(recipe):
    assert list(damaged(str(recipe.parent / "out"))) == []
    assert Dataset(recipe.parent / "out").verify() == []


@pytest.mark.parametrize("pattern", ["*.shard.batches", "*.keys.batches", "*.told.batches", "done/*/*.json"])
def test_a_changed_last_step_makes_damaged_work_again(recipe, pattern):
    run(load(recipe, ["steps.length.min_chars=6", "output.path=sound"]), workers=1)
    rng = random.Random(3)
    for path in work(recipe, pattern):
        flip(path, rng.randrange(9, path.stat().st_size))
    names = {n for n, _ in damaged(str(recipe.parent / "out"))}
    assert len(names) == len(work(recipe, pattern)) > 0
    problems = Dataset(recipe.parent / "out").verify()
    assert len(problems) == len(names)
    assert all("a run that needs it makes it again" in p for p in problems)
    changed = run(load(recipe, ["steps.length.min_chars=6"]), workers=1)
    assert changed.committed
    sound = Dataset(recipe.parent / "sound").manifest()
    assert changed.manifest["content"] == sound["content"]
    assert changed.manifest["funnel"] == sound["funnel"]


def test_a_byte_of_a_staged_text_never_reaches_a_snapshot(recipe):
    text = rows(60)[0]["text"].encode()
    hit = next(p for p in work(recipe, "*.shard.batches") if text in p.read_bytes())
    flip(hit, hit.read_bytes().index(text) + 3, 2)
    run(load(recipe, ["steps.length.min_chars=6"]), workers=1)
    texts = {row["text"].encode() for batch in contents(recipe) for row in batch}
    assert text in texts
    assert texts <= {d["text"].encode() for d in rows(60)}


def test_damaged_task_lists_and_notes_are_written_again(recipe):
    for path in [*work(recipe, "plans/*.json"), *work(recipe, "listing.json"), *work(recipe, "recipe.json")]:
        flip(path, path.stat().st_size // 2)
    assert len(list(damaged(str(recipe.parent / "out")))) >= 6
    assert run(load(recipe, ["steps.length.min_chars=6"]), workers=1).committed
    left = [n for n, _ in damaged(str(recipe.parent / "out")) if "plans" not in n]
    assert left == []


def test_published_files_whose_work_is_damaged_are_replaced_when_work_is_made_again(recipe):
    out = recipe.parent / "out"
    for path in work(recipe, "*.shard.parquet"):
        flip(path, path.stat().st_size // 2)  # shards and the work behind them are one file with two names
    assert any("remove it, and the next run writes it again" in p for p in Dataset(out).verify())
    remove_damaged(str(out))
    assert run(load(recipe, ["steps.length.min_chars=6"]), workers=1).committed  # the same shards by another step
    assert Dataset(out).verify() == []


def test_what_is_damaged_again_and_again_is_said(recipe, monkeypatch):
    def damaging(self, job):
        Serial_run(self, job)
        for path in work(recipe, "*.shard.parquet"):
            flip(path, path.stat().st_size // 2)

    Serial_run = Serial.run
    monkeypatch.setattr(Serial, "run", damaging)
    with pytest.raises(Exception, match=r"this stored result is damaged .* run the same command again"):
        run(load(recipe, ["steps.length.min_chars=6"]), workers=1)


def test_only_what_is_damaged_is_removed(recipe):
    out = recipe.parent / "out"
    path = work(recipe, "*.keys.batches")[0]
    flip(path, 40)
    assert remove_damaged(str(out)) == [str(path.relative_to(out))]
    assert not path.exists()
    assert remove_damaged(str(out)) == []


def test_what_a_killed_run_was_writing_goes_at_the_next_run(recipe):
    out = recipe.parent / "out"
    left = [out / "data" / ".tmp-1", out / ".corpusmill" / "work" / "ab" / ".tmp-2", out / "snapshots" / ".tmp-3"]
    mine = [out / "statistics" / ".tmp-4", out / "data" / "notes.tmp"]
    for path in [*left, *mine]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert not run(load(recipe), workers=1).committed
    assert [p.exists() for p in left] == [False] * 3
    assert [p.exists() for p in mine] == [True] * 2


def test_records_of_an_older_version_are_no_damage(recipe):
    path = work(recipe, "done/*/*.json")[0]
    record = json.loads(path.read_bytes())
    del record["checksum"]
    path.write_text(json.dumps(record, sort_keys=True))
    assert list(damaged(str(recipe.parent / "out"))) == []
    assert run(load(recipe, ["steps.length.min_chars=6"]), workers=1).committed
