"""Malformed input of every format: a clear error that names the file, or rows in quarantine that add up; never a crash,
never rows that vanish, never rows of a file that was quarantined whole."""

import json
import random

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import BadFileError, SourceError
from corpusmill.transforms.sources.bad import example
from tests.transforms.sources.made import COMPRESS, read_source, write

GOOD = b'{"text": "good", "n": 1}\n'

LINES = {
    "not json": (b"{'text': 1}", "not-json"),
    "cut": (b'{"text": "a', "not-json"),
    "trailing comma": (b'{"text": "a",}', "not-json"),
    "garbage behind": (b'{"text": "a"} x', "not-json"),
    "two objects": (b'{"text": "a"} {"text": "b"}', "not-json"),
    "raw control character": (b'{"text": "a\x01b"}', "not-json"),
    "raw zero": (b'{"text": "a\x00b"}', "not-json"),
    "zero bytes only": (b"\0" * 50, "not-json"),
    "invalid utf-8": (b'{"text": "\xff"}', "not-utf8"),
    "overlong utf-8": (b'{"text": "\xc0\xaf"}', "not-utf8"),
    "utf-8 surrogate": (b'{"text": "\xed\xa0\x80"}', "not-utf8"),
    "utf-8 cut in a character": (b'{"text": "\xe4\xb8"}', "not-utf8"),
    "half an escaped pair": (b'{"text": "\\ud83d"}', "not-utf8"),
    "a number": (b"1", "wrong-type"),
    "a list": (b'["text"]', "wrong-type"),
    "null": (b"null", "null-text"),
    "a string": (b'"text"', "wrong-type"),
    "text is a number": (b'{"text": 1}', "wrong-type"),
    "text is a boolean": (b'{"text": true}', "wrong-type"),
    "text is an object": (b'{"text": {"a": 1}}', "wrong-type"),
    "text is a list": (b'{"text": ["a"]}', "wrong-type"),
    "text is null": (b'{"text": null}', "null-text"),
    "text is absent": (b'{"content": "a"}', "null-text"),
    "empty object": (b"{}", "null-text"),
    "nested 300 deep": (b'{"text": "a", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}", "not-json"),
    "nested 100,000 deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not-json"),
    "too long": (b'{"text": "' + b"a" * 5000 + b'"}', "too-long"),
    "far too long": (b'{"text": "' + b"a" * 20_000_000 + b'"}', "too-long"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_bad_line_is_quarantined_alone(tmp_path, case):
    line, reason = LINES[case]
    (tmp_path / "a.jsonl").write_bytes(GOOD * 3 + line + b"\n" + GOOD * 2)
    out, bad = read_source(tmp_path, path="a.jsonl", max_document_bytes=4000)
    (row,) = bad.to_table().to_pylist()
    assert (row["position"], row["reason"], row["file"]) == (4, reason, "a.jsonl")
    assert len(row["raw"]) <= 4 * 4096
    assert out["text"].to_pylist() == ["good"] * 5


@pytest.mark.parametrize("fault", [b"", b"1\n"])
def test_null_before_the_first_object(tmp_path, fault):
    (tmp_path / "a.jsonl").write_bytes(b" null\n" + GOOD + fault)
    out, bad = read_source(tmp_path, path="a.jsonl")
    assert bad.by_reason() == {"null-text": 1} | ({"wrong-type": 1} if fault else {})
    assert out["text"].to_pylist() == ["good"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b"\r",
        b'{"text": "good", "text": "good"}',
        b'{"text": "good", "n": 1e400}',
        b'{"text": "good", "n": NaN}',
    ],
)
def test_odd_lines_that_are_no_fault(tmp_path, line):
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + GOOD + line + b"\n" + GOOD)
    out, bad = read_source(tmp_path, path="a.jsonl")
    assert bad.count == 0
    assert set(out["text"].to_pylist()) == {"good"}
    assert out.num_rows == 2 + bool(line.strip())


def test_ids_that_are_none(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "k": null}\n{"text": "b", "k": {"x": 1}}\n{"text": "c", "k": 5}\n')
    out, bad = read_source(tmp_path, path="a.jsonl", columns={"id": "k"})
    assert out["id"].to_pylist() == ["5"]
    assert bad.by_reason() == {"no-id": 1, "wrong-type": 1}


def _table(n=3000):
    rng = random.Random(1)
    return pa.table({"text": [f"{i} {rng.random()}" for i in range(n)], "n": list(range(n))})


def _files():
    """name -> bytes of files that are bad as a whole."""
    import tempfile
    from pathlib import Path

    out = {}
    lines = b"".join(json.dumps(r).encode() + b"\n" for r in _table().to_pylist())
    for suffix, compress in COMPRESS.items():
        if suffix:
            data = compress(lines)
            out[f"cut at half.jsonl{suffix}"] = data[: len(data) // 2]
            out[f"cut by a byte.jsonl{suffix}"] = data[:-1]
            out[f"garbage behind.jsonl{suffix}"] = data + b"garbage of a kind"
            out[f"empty.jsonl{suffix}"] = b""
            out[f"not compressed.jsonl{suffix}"] = lines
    data = COMPRESS[".gz"](lines)
    out["flipped.jsonl.gz"] = data[:5000] + bytes([data[5000] ^ 255]) + data[5001:]
    out["array.json"] = b'[{"text": "a"}]'
    out["cut.txt.gz"] = COMPRESS[".gz"](lines)[:-9]
    out["wide.txt"] = "a text".encode("utf-16")
    with tempfile.TemporaryDirectory() as folder:
        for suffix, options in ((".parquet", {"write_page_checksum": True}), (".arrow", {}), (".arrows", {})):
            path = Path(folder) / f"a{suffix}"
            write(path, _table(), **options)
            data = path.read_bytes()
            out[f"empty{suffix}"] = b""
            out[f"four bytes{suffix}"] = data[:4]
            out[f"cut at half{suffix}"] = data[: len(data) // 2]
            out[f"other format{suffix}"] = lines
            if suffix != ".arrows":
                out[f"cut by a byte{suffix}"] = data[:-1]
                out[f"footer only{suffix}"] = data[-500:]
            if suffix == ".parquet":
                out[f"flipped{suffix}"] = data[:3000] + bytes([data[3000] ^ 255]) + data[3001:]
                out[f"no text column{suffix}"] = b""
                out[f"zeros inside{suffix}"] = data[:1000] + bytes(2000) + data[3000:]
    del out["no text column.parquet"]
    return out


FILES = _files()


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_an_error_that_names_it_or_one_row(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    write(tmp_path / "ok.parquet", _table(10))
    fields = {"name": "s", "path": ["ok.parquet", name]}
    with pytest.raises(BadFileError, match=r"on_bad_file: skip|iconv") as error:
        read_source(tmp_path, **fields)
    assert str(tmp_path / name) in str(error.value)
    out, bad = read_source(tmp_path, **fields, on_bad_file="skip")
    assert out.num_rows == 10
    assert bad.by_reason() == {"bad-file": 1}
    assert bad.to_table()["file"].to_pylist() == [name]
    assert str(tmp_path) not in str(bad.to_table().to_pylist())
    assert example(bad.to_table(), bad.paths).startswith(f"{tmp_path / name}, position 0: bad-file ")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_fault_in_one_range_condemns_the_whole_file_once(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    options = (
        {"row_group_size": 300, "write_page_checksum": True, "compression": "none"} if suffix == ".parquet" else {}
    )
    table = pa.table({"text": [f"document {i}" * 5 for i in range(3000)]})
    write(path, table, **options)
    data = bytearray(path.read_bytes())
    # (padding between buffers may hold a copy of the text)
    at = data.rindex(b"document 2500document 2500") if suffix == ".parquet" else data.rindex(b"document 2500" * 5)
    data[at] = 0xFF if suffix == ".arrow" else data[at] ^ 1
    path.write_bytes(data)
    if suffix == ".arrow":  # no checksums: one row is not UTF-8, the file is good
        out, bad = read_source(tmp_path, target=20_000, path=path.name, on_bad_file="skip")
        assert (out.num_rows, bad.by_reason()) == (2999, {"not-utf8": 1})
        assert bad.to_table()["position"].to_pylist() == [2501]
        return
    out, bad = read_source(tmp_path, target=5000, path=path.name, on_bad_file="skip")
    assert (out.num_rows, bad.by_reason()) == (0, {"bad-file": 1})


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows"])
@pytest.mark.parametrize("kind", ["string", "large_string", "binary", "dictionary"])
def test_invalid_utf8_in_a_column(tmp_path, suffix, kind):
    values = pa.array([b"a", b"\xff\xfe", None, b"\xe4\xb8", "三".encode()] * 30, pa.binary())
    text = values
    if kind == "string":
        text = values.view(pa.string())
    elif kind == "large_string":
        text = values.cast(pa.large_binary()).view(pa.large_string())
    elif kind == "dictionary":
        coded = values.dictionary_encode()
        text = pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary.view(pa.string()))
    write(tmp_path / f"a{suffix}", pa.table({"text": text, "n": list(range(150))}))
    out, bad = read_source(tmp_path, path=f"a{suffix}")
    assert out["text"].to_pylist() == ["a", "三"] * 30
    assert bad.by_reason() == {"not-utf8": 60, "null-text": 30}
    assert bad.to_table()["position"].to_pylist()[:4] == [2, 3, 4, 7]


def test_invalid_utf8_in_other_columns(tmp_path):
    other = pa.array([b"a", b"\xff"]).view(pa.string())
    nested = pa.StructArray.from_arrays([other], ["x"])
    write(tmp_path / "a.parquet", pa.table({"text": ["1", "2"], "o": other}))
    write(tmp_path / "b.parquet", pa.table({"text": ["1", "2"], "o": nested}))
    for name in ("a.parquet", "b.parquet"):
        out, bad = read_source(tmp_path, path=name)
        assert out["text"].to_pylist() == ["1"]
        assert bad.by_reason() == {"not-utf8": 1}


def test_bad_text_files(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.txt").write_bytes(b"x" * 100)
    (tmp_path / "c.txt").write_bytes(b"ok\ncaf\xe9\n" + b"y" * 300 + b"\nend")
    out, bad = read_source(tmp_path, path="[ab].txt", max_document_bytes=50)
    assert out.num_rows == 0
    assert bad.by_reason() == {"not-utf8": 1, "too-long": 1}
    out, bad = read_source(tmp_path, path="c.txt", split="lines", max_document_bytes=50)
    assert out["text"].to_pylist() == ["ok", "end"]
    assert bad.to_table()["position"].to_pylist() == [2, 3]


def test_offsets_that_point_outside_are_a_bad_file(tmp_path):
    batch = pa.RecordBatch.from_arrays([pa.array(["abc", "def"])], names=["text"])
    with pa.ipc.new_stream(tmp_path / "a.arrows", batch.schema) as w:
        w.write_batch(batch)
    data = (tmp_path / "a.arrows").read_bytes()
    offsets = bytes([0, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0])
    assert offsets in data
    (tmp_path / "a.arrows").write_bytes(data.replace(offsets, bytes([0, 0, 0, 0, 3, 0, 0, 0, 255, 255, 255, 127])))
    with pytest.raises(BadFileError, match="corrupt"):
        read_source(tmp_path, path="a.arrows")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows", ".jsonl.gz", ".jsonl.zst", ".jsonl"])
def test_random_damage_never_crashes(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if "jsonl" in suffix:
        lines = b"".join(json.dumps(r).encode() + b"\n" for r in _table(300).to_pylist())
        path.write_bytes(COMPRESS[suffix.removeprefix(".jsonl")](lines))
    else:
        write(path, _table(300))
    data = path.read_bytes()
    rng = random.Random(suffix)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        fault = ""
        try:
            read_source(tmp_path, path=path.name)
        except SourceError as error:
            fault = str(error)
        assert not fault or str(path) in fault


def test_names_that_are_hostile(tmp_path):
    for i, name in enumerate(["a b.txt", "n\new.txt", "…三.txt", "-rf.txt", "%2e%2e.txt", "q'\".txt"]):
        (tmp_path / name).write_text(f"text {i}")
    with open(bytes(tmp_path) + b"/\xff.txt", "wb") as f:
        f.write(b"text 6")
    out, bad = read_source(tmp_path, path=".")
    assert sorted(out["text"].to_pylist()) == [f"text {i}" for i in range(7)]
    assert "\\udcff.txt" in out["path"].to_pylist()
    assert bad.count == 0
