"""A file that changes after it was listed: what was read is never stored under the digest of what was listed."""

import gzip
import json
import os

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import ChangedFileError, StoreError
from corpusmill.transforms.sources import listing
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import Split, make_splits
from corpusmill.transforms.storage.objects import objects
from corpusmill.transforms.storage.ranged import Ranged
from tests.transforms.sources.made import write


def _lines(tag, n=100):
    return b"".join(json.dumps({"text": f"{tag} {i}"}).encode() + b"\n" for i in range(n))


def _parquet(tag, path):
    write(path, pa.table({"text": [f"{tag} {i}" for i in range(100)]}))
    return path.read_bytes()


def _other(tmp_path, name):
    """(content of a file of this name, other content of the same kind)."""
    if name.endswith(".parquet"):
        return _parquet("a", tmp_path / "x.parquet"), _parquet("b", tmp_path / "x.parquet")
    if name.endswith(".gz"):
        return gzip.compress(_lines("a"), mtime=0), gzip.compress(_lines("b"), mtime=0)
    return _lines("a"), _lines("b")


def _read(spec, files, stored=False):
    """(texts, BadRows) of the files, whose splits may have been stored."""
    bad, splits = BadRows("s"), make_splits(spec, files)
    if stored:
        splits = [Split.from_json(s.to_json()) for s in splits]
    return [t for s in splits for b in read_split(s, spec, bad) for t in b["text"].to_pylist()], bad


CHANGES = {
    "other content": lambda path, old, new: path.write_bytes(new),
    "cut": lambda path, old, new: path.write_bytes(old[: len(old) // 2]),
    "removed": lambda path, old, new: path.unlink(),
    "same size and time": lambda path, old, new: (path.write_bytes(new), os.utime(path, ns=(1, 1))),
}


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("skip", ["error", "skip"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet", "a.txt"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_after_the_listing_stops_the_run(tmp_path, name, change, skip, stored):
    old, new = _other(tmp_path, name)
    path = tmp_path / "raw" / name
    path.parent.mkdir()
    path.write_bytes(old)
    os.utime(path, ns=(1, 1))
    spec = SourceSpec(name="s", path="raw", on_bad_file=skip)
    files = list_files(spec, str(tmp_path))
    CHANGES[change](path, old, new)
    with pytest.raises(ChangedFileError, match=r"run the same command again") as error:
        _read(spec, files, stored)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.jsonl.gz"])
def test_a_log_that_grows_is_read_as_it_was_listed(tmp_path, name):
    old, new = _other(tmp_path, name)
    (tmp_path / name).write_bytes(old)
    spec = SourceSpec(name="s", path=name)
    files = list_files(spec, str(tmp_path))
    before, _ = _read(spec, files)
    (tmp_path / name).write_bytes(old + new + b'{"text": "half a li')
    assert _read(spec, files)[0] == before


def test_a_table_that_grows_is_no_longer_the_one_that_was_listed(tmp_path):
    old, new = _other(tmp_path, "a.parquet")
    (tmp_path / "a.parquet").write_bytes(old)
    spec = SourceSpec(name="s", path="a.parquet", on_bad_file="skip")
    files = list_files(spec, str(tmp_path))
    (tmp_path / "a.parquet").write_bytes(old + new)
    with pytest.raises(ChangedFileError):
        _read(spec, files)


def test_a_file_replaced_while_it_is_read_stops_the_run(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, pa.table({"text": ["a"] * 20_000}), row_group_size=5_000)
    spec = SourceSpec(name="s", path="a.parquet")
    (split,) = make_splits(spec, list_files(spec, str(tmp_path)))
    batches = read_split(split, spec, BadRows("s"))
    next(batches)
    write(tmp_path / "b.parquet", pa.table({"text": ["b"] * 20_000}), row_group_size=5_000)
    os.replace(tmp_path / "b.parquet", path)
    with pytest.raises(ChangedFileError):
        list(batches)


def test_touched_and_copied_files_are_still_the_same(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(_lines("a"))
    spec = SourceSpec(name="s", path="a.jsonl")
    files = list_files(spec, str(tmp_path))
    copy = path.read_bytes()
    path.unlink()
    path.write_bytes(copy)
    os.utime(path, ns=(5, 5))
    assert len(_read(spec, files)[0]) == 100


def test_new_content_of_the_same_size_and_time_is_seen_by_the_next_listing(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    spec, cache = SourceSpec(name="s", path="a.jsonl"), {}
    monkeypatch.setattr(listing, "SETTLED", -1e9)  # as if the file were old
    path.write_bytes(b'{"text": "OLD"}\n')
    os.utime(path, ns=(1, 1))
    (before,) = list_files(spec, str(tmp_path), cache)
    (tmp_path / "new").write_bytes(b'{"text": "NEW"}\n')
    os.utime(tmp_path / "new", ns=(1, 1))
    os.replace(tmp_path / "new", path)
    (after,) = list_files(spec, str(tmp_path), cache)
    assert (before.size, before.path) == (after.size, after.path)
    assert before.digest != after.digest
    assert len(cache) == 2


def test_the_digest_of_a_file_written_a_moment_ago_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "SETTLED", 1e9)
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "OLD"}\n')
    cache = {}
    list_files(SourceSpec(name="s", path="a.jsonl"), str(tmp_path), cache)
    assert cache == {}


@pytest.mark.parametrize("store", ["s3", "gs"])
def test_ranges_of_an_object_are_of_one_version(store, request):
    request.getfixturevalue(store)
    name = f"{store}://corpora/identity.bin"
    objects(name).put(name, b"a" * 1_000_000)
    f = Ranged(objects(name), name)
    assert f.read(10) == b"a" * 10
    objects(name).put(name, b"b" * 1_000_000)
    f.seek(500_000)
    with pytest.raises(StoreError, match="changed while it was read"):
        f.read(10)


def test_an_object_that_changed_stops_the_run(s3, tmp_path):
    name = "s3://corpora/changed/a.jsonl"
    objects(name).put(name, _lines("a"))
    spec = SourceSpec(name="s", path="s3://corpora/changed/", on_bad_file="skip")
    files = list_files(spec, str(tmp_path))
    assert len(_read(spec, files)[0]) == 100
    objects(name).put(name, _lines("b"))
    with pytest.raises(ChangedFileError):
        _read(spec, files)
