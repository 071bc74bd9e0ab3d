import json
import os
import random

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.sources import listing
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import Split, make_splits, put_stamps
from tests.transforms.sources.made import read_source, write


def _spec(path, **fields):
    return SourceSpec(name="s", path=str(path), **fields)


def test_a_pattern_without_files_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"'raw/\*.parquet' matches no file"):
        list_files(_spec("raw/*.parquet"), str(tmp_path))


def test_listing_collapses_duplicates_and_uses_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "SETTLED", -1e9)  # as if the file were old
    (tmp_path / "a.txt").write_text("one")
    spec = SourceSpec(name="s", path=["a.txt", "*.txt", "."])
    cache: dict[str, str] = {}
    (f,) = list_files(spec, str(tmp_path), cache)
    assert len(cache) == 1
    cache[next(iter(cache))] = "0" * 32
    assert list_files(spec, str(tmp_path), cache)[0].digest == "0" * 32
    assert f.name == "a.txt"


def test_unknown_format_of_a_named_file(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0\1")
    with pytest.raises(SourceError, match="cannot tell the format"):
        list_files(_spec("a.bin"), str(tmp_path))


def test_a_file_of_unknown_format_is_told_so_in_a_folder_like_a_pattern(tmp_path):
    folder = tmp_path / "corpus [2]"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"\x00\x01")
    with pytest.raises(SourceError, match="cannot tell the format"):
        list_files(_spec("a.bin"), str(folder))


def test_a_pattern_whose_files_are_of_no_known_format_does_not_match_nothing(tmp_path):
    (tmp_path / "a.xyz").write_text("id,text")
    for path in ("*.xyz", "."):
        with pytest.raises(SourceError, match=r"matches files, but none has a known format; one of them is .*a\.xyz"):
            list_files(_spec(path), str(tmp_path))


def test_splits_do_not_depend_on_the_order_of_the_listing(tmp_path):
    for i in range(60):
        (tmp_path / f"{i}.txt").write_text(str(i) * 100)
    spec = _spec("*.txt")
    files = list_files(spec, str(tmp_path))
    splits = make_splits(spec, files, target_bytes=4000)
    random.Random(1).shuffle(files)
    assert make_splits(spec, files, target_bytes=4000) == splits
    assert 10 < len(splits) < 50
    assert sum(len(u.parts) for u in splits) == 60


def test_one_more_file_changes_few_groups(tmp_path):
    for i in range(300):
        (tmp_path / f"{i}.txt").write_text(str(i) * 300)
    spec = _spec("*.txt")
    before = {u.key for u in make_splits(spec, list_files(spec, str(tmp_path)), target_bytes=40_000)}
    (tmp_path / "new.txt").write_text("new" * 100)
    after = {u.key for u in make_splits(spec, list_files(spec, str(tmp_path)), target_bytes=40_000)}
    assert len(before) > 10
    assert len(after - before) <= 2


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.arrows", "x.jsonl"])
def test_a_large_file_is_split_and_read_once(tmp_path, name):
    table = pa.table({"text": [f"doc {i} " + "x" * (i % 50) for i in range(2000)], "n": list(range(2000))})
    if name == "x.jsonl":
        (tmp_path / name).write_text("".join(json.dumps(r) + "\n" for r in table.to_pylist()))
    else:
        write(tmp_path / name, table, **({"row_group_size": 100} if name == "x.parquet" else {}))
    spec = _spec(name)
    splits = make_splits(spec, list_files(spec, str(tmp_path)), target_bytes=8000)
    assert len(splits) > 1 or (name == "x.arrows" and len(splits) > 1)
    out, bad = read_source(tmp_path, target=8000, path=name)
    assert bad.count == 0
    assert sorted(out["n"].to_pylist()) == list(range(2000))


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("target", [1, 7, 8, 9, 50, 10_000])
def test_byte_ranges_give_every_line_once(tmp_path, target, end):
    lines = [json.dumps({"text": "é" * (i % 7), "n": i}, ensure_ascii=False).encode() for i in range(40)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines) + end)
    out, bad = read_source(tmp_path, target=target, path="a.jsonl")
    assert sorted(out["n"].to_pylist()) == list(range(40))
    assert bad.count == 0


def test_line_numbers_are_those_of_the_file_in_every_range(tmp_path):
    lines = [b'{"text": "x", "n": %d}' % i if i % 10 else b"broken" for i in range(100)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    for target in (1, 13, 100, 1 << 20):
        _, bad = read_source(tmp_path, target=target, path="a.jsonl")
        assert sorted(bad.to_table()["position"].to_pylist()) == list(range(1, 101, 10))


def test_files_of_a_folder_that_no_format_knows_are_named(tmp_path):
    for name in ("a.jsonl", "b.jsonl.zstd", "c.bin", "d.jsonl.lzma"):
        (tmp_path / name).write_text('{"text": "a"}\n' if name == "a.jsonl" else "x")
    left_out = []
    assert [f.name for f in list_files(_spec("."), str(tmp_path), {}, left_out)] == ["a.jsonl"]
    assert left_out == [str(tmp_path / n) for n in ("b.jsonl.zstd", "c.bin", "d.jsonl.lzma")]


def test_stored_splits_do_not_depend_on_the_times_and_inodes_of_files(tmp_path):
    stored = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jsonl").write_text('{"text": "a"}\n')
        os.utime(tmp_path / folder / "x.jsonl", ns=(len(stored), len(stored)))
        (tmp_path / folder).rename(tmp_path / "raw")
        spec = _spec("raw")
        stored.append([s.to_json() for s in make_splits(spec, list_files(spec, str(tmp_path)))])
        (tmp_path / "raw").rename(tmp_path / folder)
    assert stored[0] == stored[1]


def test_stored_splits_get_the_stamps_of_the_listing_that_has_the_same_content(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "SETTLED", -1e9)  # as if the file were old
    (tmp_path / "x|y.jsonl").write_text('{"text": "a"}\n')
    spec, digests = _spec("."), {}
    splits = make_splits(spec, list_files(spec, str(tmp_path), digests))
    stored = [s.to_json() for s in splits]
    put_stamps(stored, digests)
    assert [Split.from_json(s) for s in stored] == splits
    put_stamps(stored, dict.fromkeys(digests, "another digest"))
    assert [p.stamp for s in stored for p in Split.from_json(s).parts] == [""]
