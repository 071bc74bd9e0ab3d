"""Mixing in MB of input text per CPU second, beside the read-and-write floor: decisions, routing, and a whole run.

    python tests/benchmarks/mixing.py [FOLDER] [--by source] [--shards 4]      # FOLDER: Parquet shards with id, text, source

The whole run reads the shards, exchanges every document and writes the mixture (`temperature: 2`, about as much text as came
in); the floor reads and writes the same shards without an exchange.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.transforms.exchange import read_rows, write_rows
from corpusmill.transforms.mix.mix import Mix
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.shards import ShardWriter, read_shard

HERE = Path(__file__).resolve().parents[2]
DEFAULT = HERE.parent / "shared/data/corpus"


def batches(files: list[Path]) -> Iterator[pa.RecordBatch]:
    for file in files:
        yield from read_shard(str(file))


def size_of(batch: pa.RecordBatch) -> int:
    return pc.sum(pc.binary_length(batch.column("text")).cast(pa.int64())).as_py() or 0


def show(name: str, mb: float, run: Callable[[], Any]) -> Any:
    begin = time.process_time()
    result = run()
    seconds = time.process_time() - begin
    print(f"{name:<52}{mb:>8.1f} MB{seconds:>8.2f} CPU s{mb / seconds:>8.1f} MB/CPU s", flush=True)
    return result


def floor(files: list[Path], folder: Path) -> None:
    for i, file in enumerate(files):
        with ShardWriter(str(folder / f"floor-{i}.parquet"), pq.read_schema(file).remove_metadata()) as writer:
            for batch in read_shard(str(file)):
                writer.write(batch.replace_schema_metadata(None))


def keys(step: Mix, held: list[list[pa.RecordBatch]]) -> pa.Table:
    sent = []
    for number, shard in enumerate(held):
        for batch in shard:
            part = pa.Table.from_batches([step.keys(0, batch, np.zeros(batch.num_rows, np.uint32), None)])
            sent.append(part.append_column("shard", pa.array(np.full(part.num_rows, number, np.uint32))))
    return pa.concat_tables(sent)


def route(step: Mix, held: list[list[pa.RecordBatch]], told: pa.Table) -> list[list[Any]]:
    rng = Keyed(1, "mix")
    return [
        [step.route(batch, told.filter(pa.array(told["shard"].to_numpy() == i)), rng) for batch in shard]
        for i, shard in enumerate(held)
    ]


def send(routed: list[list[Any]], folder: Path, shards: int) -> list[str]:
    paths = []
    for i, shard in enumerate(routed):
        table = pa.Table.from_batches([r.batch.append_column("__order", pa.array(r.order)) for r in shard])
        paths.append(str(folder / f"moved-{i}.arrow"))
        write_rows(paths[-1], table, np.concatenate([r.to for r in shard]), shards)
    return paths


def write(paths: list[str], folder: Path, shards: int) -> int:
    rows = 0
    for j in range(shards):
        table = read_rows(paths, j)
        table = table.take(pa.array(np.argsort(table["__order"].to_numpy(), kind="stable"))).drop_columns(["__order"])
        with ShardWriter(str(folder / f"mixed-{j}.parquet"), table.schema) as writer:
            for batch in table.combine_chunks().to_batches(4096):
                writer.write(batch)
        rows += table.num_rows
    return rows


def whole(step: Mix, files: list[Path], folder: Path, shards: int) -> int:
    held = [list(read_shard(str(f))) for f in files]
    decision = step.decide(0, keys(step, held))
    return write(send(route(step, held, decision.decisions), folder, shards), folder, shards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--by", default="source")
    parser.add_argument("--shards", type=int, default=4)
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.parquet"))
    if not files:
        sys.exit(f"no Parquet shards in {options.folder}: name a folder of shards with the columns id, text and source")
    step = Mix(by=options.by, temperature=2.0, shards=options.shards)
    few = [[next(batches(files)).slice(0, 100)]]
    route(step, few, step.decide(0, keys(step, few)).decisions)  # compile and load first
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        held = [[b.replace_schema_metadata(None) for b in read_shard(str(f))] for f in files]
        mb = sum(size_of(b) for shard in held for b in shard) / 1e6
        show("floor: read Parquet, write Parquet", mb, lambda: floor(files, folder))
        decision = step.decide(0, show("keys: sizes of domains", mb, lambda: keys(step, held)))
        routed = show("route: draw, repeat, address", mb, lambda: route(step, held, decision.decisions))
        paths = show("exchange: write by receiving shard, lz4", mb, lambda: send(routed, folder, options.shards))
        show("receive: read, sort by draw, write Parquet", mb, lambda: write(paths, folder, options.shards))
        rows = show("whole: read, mix, exchange, write Parquet", mb, lambda: whole(step, files, folder, options.shards))
        for row in decision.tables["mixture"].to_pylist():
            print(
                f"  {row['domain']:<44}{row['size'] / 1e6:>8.1f} MB asked {row['asked_share']:>6.1%} "
                f"planned {row['planned_share']:>6.1%} epochs {row['epochs']:.3f}"
            )
        print(f"  {rows:,} rows in {options.shards} shards")


if __name__ == "__main__":
    main()
