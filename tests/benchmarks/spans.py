"""Substring deduplication beside a suffix array: the same spans, byte for byte, on a part of the corpus."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.benchmarks.measure import run_command
from tests.benchmarks.steps import recipe

MIN_BYTES = 100


def ranks(data: np.ndarray, depth: int) -> np.ndarray:
    """Order of the suffixes cut at `depth` bytes, equal numbers for equal prefixes (prefix doubling, Manber and Myers 1993)."""
    rank, known = data.astype(np.int64), 1
    while known < depth:
        step = min(known, depth - known)
        behind = np.full(len(rank), -1, np.int64)
        behind[:-step] = rank[step:]
        pair = rank * (int(rank.max()) + 2) + behind + 1
        order = np.argsort(pair, kind="stable")
        new = np.empty(len(rank), np.int64)
        new[order] = np.concatenate([[0], np.cumsum(pair[order][1:] != pair[order][:-1])])
        rank, known = new, known + step
    return rank


def expected(documents: pa.Table) -> dict[str, str]:
    """id -> text without the bytes whose window of MIN_BYTES stands at an earlier place; no row if nothing is left."""
    documents = documents.sort_by("id")  # `keep: first` is the smallest id
    texts = [t.encode() for t in documents.column("text").to_pylist()]
    data = np.frombuffer(b"".join(texts), np.uint8)
    ends = np.cumsum([len(t) for t in texts])
    begins = ends - [len(t) for t in texts]
    inside = np.zeros(len(data), bool)  # a window may not reach into the next document
    for begin, end in zip(begins, ends):
        inside[begin : max(begin, end - MIN_BYTES + 1)] = True
    places = np.flatnonzero(inside)
    rank = ranks(data, MIN_BYTES)[places]
    order = np.argsort(rank, kind="stable")
    again = np.zeros(len(places), bool)
    again[order[1:]] = rank[order][1:] == rank[order][:-1]
    depth = np.zeros(len(data) + 1, np.int64)
    np.add.at(depth, places[again], 1)
    np.add.at(depth, places[again] + MIN_BYTES, -1)
    marked = np.cumsum(depth)[:-1] > 0
    out = {}
    for name, text, begin, end in zip(documents.column("id").to_pylist(), texts, begins, ends):
        mark = marked[begin:end]
        if not mark.any():
            out[name] = text.decode()
            continue
        left, at = [], 0
        for char in text.decode():
            width = len(char.encode())
            if not mark[at : at + width].all():
                left.append(char)
            at += width
        rest = "".join(left)
        if rest.strip() or rest == text.decode():
            out[name] = rest
    return out


def compare(source: Path, scratch: Path, mb: float = 4.0) -> str:
    """A sentence that says whether `substring` and the suffix array leave the same text.

    Raises:
        AssertionError: they differ; the documents are named.
    """
    place = scratch / "spans"
    (place / "in").mkdir(parents=True)
    table, size, files = [], 0, sorted(source.glob("*.parquet"))
    for path in files:  # a part of every shard
        part = pq.read_table(path, columns=["id", "text"])
        total = np.cumsum(pc.binary_length(part.column("text")).to_numpy())
        rows = int(np.searchsorted(total, mb * 1e6 / len(files)))
        pq.write_table(part.slice(0, rows), place / "in" / path.name)
        table.append(part.slice(0, rows))
        size += int(total[rows - 1]) if rows else 0
    want = expected(pa.concat_tables(table))
    path = recipe(place, place / "in", [{"substring": {"min_bytes": MIN_BYTES, "whole_words": False}}])
    run_command(
        [sys.executable, "-c", "from corpusmill.pipelines.cli import main; main()", "run", str(path), "--workers", "1"]
    )
    shards = [pq.read_table(p, columns=["id", "text"]) for p in (place / "out" / "data").glob("*.parquet")]
    got = dict(zip(*(pa.concat_tables(shards).column(c).to_pylist() for c in ("id", "text"))))
    shutil.rmtree(place)
    differ = [k for k in want.keys() | got.keys() if want.get(k) != got.get(k)]
    if differ:
        raise AssertionError(f"substring and the suffix array differ in {len(differ)} documents: {sorted(differ)[:5]}")
    left = sum(len(t.encode()) for t in got.values())
    return (
        f"substring leaves the same text as a suffix array, byte for byte: {size / 1e6:.1f} MB in {len(files)} shards, "
        f"{(size - left) / 1e6:.2f} MB repeated"
    )
