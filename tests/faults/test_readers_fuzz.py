"""The readers against plain Python on drawn records, and on drawn damage: no loss, no crash, no wrong value.

`FAULTS=long` draws 100,000 JSON records and 10,000 files of each format; the short form runs with the other tests.
"""

import json
import math
import os
import random

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import make_splits
from tests.transforms.sources.formats.test_wikipedia import multistream, page, plain
from tests.transforms.sources.made import COMPRESS, read_source, write
from tests.transforms.sources.test_archives import tarred, zipped
from tests.transforms.sources.test_warc import http, record

LONG = os.environ.get("FAULTS") == "long"
RECORDS, FILES = (100_000, 10_000) if LONG else (3_000, 60)
PER_FILE = 50
_TEXT = (
    "",
    "a",
    "two words",
    "é",
    "三",
    '"',
    "\\",
    "\u2028",
    "2020-01-01T00:00:00Z",
    "1",
    "null",
    "x" * 300,
    "\x7f",
    "🎈",
)


def _value(rng, depth=0):
    """A JSON value of any kind."""
    kind = rng.randrange(10 if depth < 3 else 7)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind == 2:
        return rng.choice([0, 1, -1, 2**31, 2**53 + 1, -(2**63), 2**63, 10**25, rng.randrange(1000)])
    if kind == 3:
        return rng.choice([0.5, -1e300, 1e-300, 1.0])
    if kind in (4, 5, 6):
        return rng.choice(_TEXT)
    if kind == 7:
        return {rng.choice("xyz"): _value(rng, depth + 1) for _ in range(rng.randrange(3))}
    return [_value(rng, depth + 1) for _ in range(rng.randrange(4))]


def _record(rng, kinds, number):
    row = {"text": rng.choice(_TEXT), "i": number * 10_000 + rng.randrange(10_000)}
    for name in rng.sample("abcd", rng.randrange(5)):
        # mostly of the kind of its column, as in real files, so that Arrow's parser is used, too
        row[name] = kinds[name](rng) if rng.random() < 0.98 else _value(rng)
    return row


_KINDS = (
    lambda rng: rng.randrange(100),
    lambda rng: rng.choice(_TEXT),
    lambda rng: [rng.choice([None, 1, 2]) for _ in range(rng.randrange(4))],
    lambda rng: {"x": rng.choice([None, "v"]), "y": [None, rng.random()][rng.randrange(2) :]},
    lambda rng: [{"x": rng.choice([None, [None, 1], []])} for _ in range(rng.randrange(3))],
    lambda rng: rng.choice([None, {}, []]),
    _value,
)
_DAMAGE = (
    lambda rng, line: line[: rng.randrange(len(line))],
    lambda rng, line: line.replace(b":", b"", 1),
    lambda rng, line: line + b" x",
    lambda rng, line: line.replace(b'"', b"\xff", 1),
    lambda rng, line: b"null",
    lambda rng, line: b"[1]",
    lambda rng, line: b"",
    lambda rng, line: line + b"\r",
)


def _read(base, name, target):
    """(rows of all splits, number of bad ones)."""
    spec, rows = SourceSpec(name="s", path=name), []
    bad = BadRows("s")
    for split in make_splits(spec, list_files(spec, str(base)), target):
        for batch in read_split(split, spec, bad):
            rows += batch.to_pylist()
    return rows, bad.count


def _expected(line):
    """The document of a line by Python's json, or None."""
    try:
        row = json.loads(line.decode())
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("text"), str) else None


def _same(wanted, got):
    """Whether a column's value is that of the record, given that columns of several types become text or double."""
    if got is None:
        return wanted is None or wanted == {}
    if wanted is None:
        return False
    if isinstance(got, str) and not isinstance(wanted, str):
        return json.loads(got) == wanted
    if isinstance(got, str):
        return got == wanted
    if isinstance(wanted, dict):
        return (
            isinstance(got, dict) and all(_same(wanted.get(k), v) for k, v in got.items()) and set(wanted) <= set(got)
        )
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(_same, wanted, got))
    if isinstance(got, float):
        return math.isclose(got, float(wanted), rel_tol=1e-15)
    return type(got) is type(wanted) and got == wanted


@pytest.mark.parametrize("seed", range(RECORDS // 1000))
def test_json_lines_are_read_as_python_reads_them(tmp_path, seed):
    rng = random.Random(f"json {seed}")
    for number in range(1000 // PER_FILE):
        kinds = {name: rng.choice(_KINDS) for name in "abcd"}
        lines = []
        for k in range(PER_FILE):
            line = json.dumps(_record(rng, kinds, k), ensure_ascii=rng.random() < 0.5).encode()
            lines.append(rng.choice(_DAMAGE)(rng, line) if k and rng.random() < 0.03 else line)
        suffix = rng.choice(list(COMPRESS))
        name = f"{number}.jsonl{suffix}"
        (tmp_path / name).write_bytes(COMPRESS[suffix](b"\n".join(lines) + b"\n"))
        rows, bad = _read(tmp_path, name, rng.choice([300, 64 << 20]))
        wanted = [row for row in map(_expected, lines) if row is not None]
        assert len(rows) + bad == sum(1 for line in lines if line.strip())
        got = {r["i"]: r for r in rows}
        assert sorted(got) == sorted({r["i"] for r in wanted}), name
        for row in wanted:
            for key, value in row.items():
                if key != "i":
                    assert _same(value, got[row["i"]].get(key)), (name, key, value, got[row["i"]].get(key))


def _table(rng):
    n = rng.choice([1, 10, 500])
    words = [rng.choice(_TEXT) for _ in range(n)]
    return pa.table(
        {
            "text": words,
            "d": pa.array(words).dictionary_encode(),
            "v": pa.array(words, pa.string_view()),
            "l": [[1, 2][: rng.randrange(3)] for _ in range(n)],
            "n": [rng.choice([None, 1]) for _ in range(n)],
        }
    )


@pytest.mark.parametrize(
    "suffix", [".parquet", ".arrow", ".arrows", ".jsonl.gz", ".jsonl.zst", ".jsonl.xz", ".txt.bz2"]
)
def test_damaged_files_are_read_refused_or_quarantined(tmp_path, suffix):
    rng = random.Random(suffix)
    for number in range(FILES):
        path = tmp_path / f"a{suffix}"
        table = _table(rng)
        if suffix == ".parquet":
            write(path, table.drop_columns(["v"]), write_page_checksum=True, compression=rng.choice(["none", "zstd"]))
        elif suffix.startswith(".arrow"):
            write(path, table, options=pa.ipc.IpcWriteOptions(compression=rng.choice([None, "lz4", "zstd"])))
        else:
            lines = "".join(json.dumps({"text": t}) + "\n" for t in table["text"].to_pylist())
            path.write_bytes(COMPRESS["." + suffix.rpartition(".")[2]](lines.encode()))
        whole, _ = read_source(tmp_path, path=path.name)
        data = bytearray(path.read_bytes())
        for _ in range(rng.choice([1, 1, 3, 20])):
            at = rng.randrange(len(data))
            data[at] = rng.choice([0, 1, 127, 128, 255, data[at] ^ (1 << rng.randrange(8))])
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        out, bad = read_source(tmp_path, path=path.name, on_bad_file="skip", max_bad_fraction=1)
        try:
            again, _ = read_source(tmp_path, path=path.name, max_bad_fraction=1)
            assert again.num_rows == out.num_rows, number
        except SourceError:
            assert bad.by_reason() == {"bad-file": 1}, number
        if suffix == ".parquet" and out.num_rows:  # its pages have checksums, so that what is read is right
            assert out["text"].to_pylist() == whole["text"].to_pylist(), number


def _archives():
    texts = {f"{i}.html": f"<p>Page {i} 文書 {'x' * i}</p>".encode() for i in range(30)}
    pages = [http(data) for data in texts.values()]
    return {
        "a.warc": b"".join(record(p) for p in pages),
        "a.warc.gz": b"".join(COMPRESS[".gz"](record(p)) for p in pages),
        "a.warc.zst": b"".join(COMPRESS[".zst"](record(p)) for p in pages),
        "a.zip": zipped(texts),
        "a.tar": tarred(texts),
        "a.tgz": tarred(texts, "w:gz"),
        "wds.tar": tarred({name.replace("html", "txt"): data for name, data in texts.items()}),
        "x-pages-articles.xml": plain([page(i, f"Seite {i}") for i in range(30)]),
        "x-pages-articles.xml.bz2": multistream([page(i, f"Seite {i}") for i in range(30)], 5),
        "a.html.gz": COMPRESS[".gz"](texts["7.html"]),
    }


@pytest.mark.parametrize("name", list(_archives()))
def test_damaged_files_of_many_records_are_read_refused_or_quarantined(tmp_path, name):
    rng, good = random.Random(name), _archives()[name]
    form = {"wds.tar": "webdataset"}.get(name, "auto")
    for number in range(FILES):
        data = bytearray(good)
        for _ in range(rng.choice([1, 1, 3, 20])):
            at = rng.randrange(len(data))
            data[at] = rng.choice([0, 1, 127, 128, 255, data[at] ^ (1 << rng.randrange(8))])
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        (tmp_path / name).write_bytes(data)
        source = {"path": name, "format": form, "max_bad_fraction": 1}
        out, bad = read_source(tmp_path, on_bad_file="skip", **source)
        try:
            again, told = read_source(tmp_path, **source)
        except SourceError:
            again = None
        if again is None:
            assert bad.by_reason().get("bad-file"), number
            continue
        assert (again.num_rows, told.count) == (out.num_rows, bad.count), number
