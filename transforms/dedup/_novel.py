"""The passages of a dropped document that its survivor lacks.

A word is new if every shingle that covers it is. Gaps of less than a shingle between new words are filled: they are short
phrases that occur in both. Runs of at least `least` words are passages. A shingle counts where it first occurs: what a
document says twice is kept once.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.arrow import set_column, string_buffers
from corpusmill.transforms.dedup._shingles import shingle
from corpusmill.transforms.document import derived_ids
from corpusmill.transforms.hashing import U
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.kernels.sorting import heapsort
from corpusmill.transforms.noise.copies import repeats
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.unicode import SPACE, WORD, decode, tables
from corpusmill.transforms.words import next_hashed, scratch


@njit(nogil=True, cache=True)
def novel_shingles(rows: Any, root: Any, shown: Any, offsets: Any, values: Any) -> tuple[Any, Any]:
    """The shingles of each of `rows` that neither its survivor has nor a row of the same survivor before it.

    rows: int64 [m], sorted by (root, rank), each the first of its equals; root: int64 [n], the survivor of each row; shown:
    int64 [n], the row that carries the shingles of each; offsets, values: each row's shingles, rising.
    Returns (offsets int32 [m + 1], values uint32).
    """
    room = np.int64(0)
    for i in range(len(rows)):
        at = shown[rows[i]]
        room += offsets[at + 1] - offsets[at]
    out, begins = np.empty(room, np.uint32), np.zeros(len(rows) + 1, np.int32)
    seen = np.empty(0, np.uint32)
    total = np.int64(0)
    for i in range(len(rows)):
        if i == 0 or root[rows[i]] != root[rows[i - 1]]:
            at = shown[root[rows[i]]]
            seen = values[offsets[at] : offsets[at + 1]].copy()
        at = shown[rows[i]]
        a, k = np.int64(0), total
        for b in range(offsets[at], offsets[at + 1]):
            while a < len(seen) and seen[a] < values[b]:
                a += 1
            if a == len(seen) or seen[a] != values[b]:
                out[k] = values[b]
                k += 1
        if k > total:
            seen = np.concatenate((seen, out[total:k]))
            heapsort(seen, np.empty(len(seen), np.int8), len(seen))
        total = k
        begins[i + 1] = total
    return begins, out[:total]


@njit(inline="always")
def _place(values: Any, low: int, high: int, value: Any) -> int:
    """Where `value` is in the rising values[low:high]; -1 if it is not there."""
    stop = high
    while low < high:
        middle = (low + high) // 2
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < stop and values[low] == value else -1


@njit(nogil=True, cache=True)
def _passages(offsets: Any, data: Any, n: int, least: int, begins: Any, novel: Any, flags: Any, lower: Any) -> Any:
    """(row, first byte, byte behind) of every passage: int64 [k, 3], bytes of `data`."""
    _, _, words = scratch(offsets)
    starts, ends = np.empty(len(words), np.int64), np.empty(len(words), np.int64)
    hashes, old = np.empty_like(words), np.empty(len(words) + 1, np.int64)
    seen = np.zeros(len(novel), np.bool_)
    found = np.empty((16, 3), np.int64)
    total = 0
    for row in range(len(offsets) - 1):
        if begins[row] == begins[row + 1]:
            continue
        i, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        count = 0
        while i < stop:
            start, i, h = next_hashed(data, i, stop, flags, lower)
            if start == stop:
                break
            words[count], starts[count], ends[count] = h, start, i
            count += 1
        shingles, _ = shingle(words, count, n, hashes)
        old[0] = 0
        for s in range(shingles):
            at = _place(novel, begins[row], begins[row + 1], np.uint32(hashes[s] >> U(32)))
            old[s + 1] = old[s] + (1 if at < 0 or seen[at] else 0)
            if at >= 0:
                seen[at] = True
        run = -1  # first word of the run
        end = -1  # last new word of the run
        for k in range(count + 1):
            fresh = False
            if k < count and shingles:
                low, high = max(0, k - n + 1), min(k, shingles - 1)
                fresh = old[high + 1] == old[low]
            if fresh:
                run = k if run < 0 else run
                end = k
            elif run >= 0 and (k - end >= n or k == count):
                if end - run + 1 >= least:
                    stop_at = ends[end]
                    while stop_at < stop:  # with the punctuation behind the last word
                        c, after = decode(data, stop_at, stop)
                        if flags[c] & (SPACE | WORD):
                            break
                        stop_at = after
                    if total == len(found):
                        found = np.concatenate((found, np.empty_like(found)))
                    found[total, 0], found[total, 1], found[total, 2] = row, starts[run], stop_at
                    total += 1
                run = -1
    return found[:total]


def passages(texts: pa.Array, novel: pa.ListArray, n: int, least: int) -> list[str]:
    """The new passages of each text, with a blank line between them; "" where there is none.

    Args:
        texts: strings.
        novel: list<uint32>, for each text its new shingles, rising.
        n: words of a shingle.
        least: words of the shortest passage.
    """
    offsets, data = string_buffers(normalize(texts, "NFC"))
    begins = novel.offsets.to_numpy().astype(np.int64)
    values = novel.values.to_numpy()
    found: list[list[str]] = [[] for _ in range(len(texts))]
    where = _passages(offsets, data, n, least, begins, values, *tables())
    for row, begin, end in where.tolist():
        found[row].append(data[begin:end].tobytes().decode())
    return ["\n\n".join(parts) for parts in found]


def with_novel(
    kept: pa.RecordBatch,
    dropped: pa.RecordBatch,
    survivors: pa.Array,
    novel: pa.ListArray,
    step: tuple[str, int],
    n: int,
    least: int,
) -> tuple[pa.RecordBatch, int]:
    """`kept` with `parent` and `derived_by`, and behind it the derived documents of the dropped rows that have new passages.

    Args:
        kept, dropped: rows of one batch.
        survivors: the id of each dropped row's survivor.
        novel, n, least: as in `passages`.
        step: (name, version) of the step, for `derived_by`.

    Returns:
        (batch, number of derived rows at its end).
    """
    texts = passages(dropped.column("text"), novel, n, least)
    at = np.array([i for i, text in enumerate(texts) if text], np.int64)
    made = dropped.take(pa.array(at))
    parents = made.column("id")
    head = json.dumps({"transform": step[0], "version": step[1]})[:-1]
    names = [json.dumps(s, ensure_ascii=False) for s in survivors.take(pa.array(at)).to_pylist()]
    lineage = pa.array([f'{head}, "survivor": {name}}}' for name in names], pa.string())
    made = set_column(made, "text", pa.array([texts[i] for i in at], pa.string()))
    made = set_column(made, "id", derived_ids(repeats(made), step[0], 1))
    for name, values in (("parent", parents.cast(pa.string())), ("derived_by", lineage)):
        made = set_column(made, name, values)
        old = kept.column(name).cast(pa.string()) if name in kept.schema.names else pa.nulls(len(kept), pa.string())
        kept = set_column(kept, name, old)
    made = made.select(kept.schema.names)
    both = pa.Table.from_batches([kept, made.cast(kept.schema)]).combine_chunks().to_batches()
    return (both[0] if both else kept), len(at)


def empty_novel(length: int) -> pa.ListArray:
    """Lists of no shingles."""
    return pa.ListArray.from_arrays(np.zeros(length + 1, np.int32), pa.array([], pa.uint32()))


def novel_lists(offsets: np.ndarray, values: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> pa.ListArray:
    """The lists of `rows` (int64 [m], distinct) for `wanted` (int64 [k]); empty where a wanted row is not among them."""
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.uint32()))
    if not len(rows):
        return empty_novel(len(wanted))
    order = np.argsort(rows)
    place = np.minimum(np.searchsorted(rows[order], wanted), len(rows) - 1)
    at = order[place]
    hit = rows[at] == wanted
    chosen = lists.take(pa.array(at, mask=~hit))
    lengths = pc.fill_null(pc.list_value_length(chosen), 0).to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), chosen.flatten())
