"""Small files that decode to gigabytes are refused with little memory. All run in one process of its own, whose peak counts."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = r"""
import gzip, json, struct, sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from tests.transforms.sources.made import read_source
from corpusmill.transforms.errors import BadFileError

folder = Path(sys.argv[1])

def peak():
    # of this program alone: getrusage would count what the process that started it held, too
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) >> 10 for line in f if line.startswith("VmHWM"))

def refused(path, word="decodes to"):
    before = peak()
    try:
        table, bad = read_source(folder, path=path, columns={"text": "text"})
    except BadFileError as error:
        assert word in str(error), error
    else:
        raise SystemExit(f"{path}: {table.num_rows} rows were read")
    print(path, (folder / path).stat().st_size, peak() - before, flush=True)
    (folder / path).unlink()

def zeros(path, codec, n):
    with pa.CompressedOutputStream(str(folder / path), codec) as f:
        f.write(b'{"text": "')
        for _ in range(n >> 20):
            f.write(bytes(1 << 20).replace(b"\0", b"a"))
        f.write(b'"}\n')

read_source(folder, path="warm.jsonl")
value = "v" * (1 << 20)
coded = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), [value])
pq.write_table(pa.table({"text": coded}), folder / "dictionary.parquet", compression="zstd")
refused("dictionary.parquet")
tags = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), ["t" * 20_000])
tags = pa.ListArray.from_arrays([0] * 3000 + [200_000], tags)
pq.write_table(pa.table({"text": ["a"] * 3000, "tags": tags}), folder / "list.parquet", compression="zstd")
refused("list.parquet")
with pq.ParquetWriter(folder / "delta.parquet", pa.schema([("text", pa.string())]), use_dictionary=False, compression="zstd",
                      column_encoding={"text": "DELTA_BYTE_ARRAY"}) as w:
    for _ in range(6):
        w.write_table(pa.table({"text": ["p" * 500_000] * 200}))
refused("delta.parquet")
with pq.ParquetWriter(folder / "page.parquet", pa.schema([("text", pa.string())]), use_dictionary=False, compression="zstd") as w:
    for _ in range(5):
        w.write_table(pa.table({"text": ["p" * (1 << 20)] * 64}))
refused("page.parquet")
schema = pa.schema([("text", pa.string())])
batch = pa.RecordBatch.from_arrays([pa.array(["x" * (1 << 20)] * 300)], schema=schema)
for suffix, make in ((".arrow", pa.ipc.new_file), (".arrows", pa.ipc.new_stream)):
    with make(str(folder / ("buffers" + suffix)), schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as w:
        w.write_batch(batch)
    refused("buffers" + suffix)
del batch
with pa.ipc.new_stream(str(folder / "coded.arrows"), pa.schema([("text", coded.type)])) as w:
    w.write_batch(pa.RecordBatch.from_arrays([coded], names=["text"]))
refused("coded.arrows")
for codec in ("gzip", "zstd", "bz2"):
    name = "one line.jsonl." + {"gzip": "gz", "zstd": "zst", "bz2": "bz2"}[codec]
    zeros(name, codec, 300 << 20)
    refused(name)
# one line of 1 GiB in a sparse file: no bomb, but a line too long to be held
with open(folder / "line.jsonl", "wb") as f:
    f.write(b'{"text": "a"}\n{"text": "')
    f.truncate(1 << 30)
    f.seek(1 << 30)
    f.write(b'"}\n{"text": "b"}\n')
before = peak()
table, bad = read_source(folder, target=1 << 29, path="line.jsonl")
assert sorted(table["text"].to_pylist()) == ["a", "b"], table
assert bad.by_reason() == {"too-long": 1}, bad.by_reason()
assert bad.to_table()["position"].to_pylist() == [2]
print("line", peak() - before)
(folder / "line.jsonl").unlink()
print("PEAK", peak())
"""


@pytest.mark.slow
def test_bombs_are_refused_in_bounded_memory(tmp_path):
    (tmp_path / "warm.jsonl").write_text('{"text": "a"}\n')
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-3000:]
    peak = int(run.stdout.split("PEAK ")[1])
    # what the script itself makes before it is refused (300 MiB of Arrow, twice) is in this, too
    assert peak < 1500, run.stdout
