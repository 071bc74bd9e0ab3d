"""Unigram distributions: words with counts, drawn from in constant time by the alias method (Walker 1977).

A table is a text file of lines `word<TAB>count`. `build_unigrams` counts a corpus; the result does not depend on how the
corpus is cut into files.

    python -m corpusmill.transforms.noise.unigrams OUT.tsv FILE.parquet...
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.arrow import string_array, string_buffers
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import next_word, tables

_SCRIPTS = (
    ((0x30, 0x39),),  # digits
    ((0x370, 0x3FF), (0x1F00, 0x1FFF)),  # Greek
    ((0x400, 0x52F),),  # Cyrillic
    ((0x530, 0x58F),),  # Armenian
    ((0x590, 0x5FF),),  # Hebrew
    ((0x600, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),  # Arabic
    ((0x900, 0x97F),),  # Devanagari
    ((0x980, 0x9FF),),  # Bengali
    ((0xB80, 0xBFF),),  # Tamil
    ((0xC00, 0xC7F),),  # Telugu
    ((0xE00, 0xE7F),),  # Thai
    ((0xE80, 0xEFF),),  # Lao
    ((0x1000, 0x109F),),  # Myanmar
    ((0x10A0, 0x10FF),),  # Georgian
    ((0x1780, 0x17FF),),  # Khmer
    ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),  # Hangul
    ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),  # kana
    (
        (0x2E80, 0x2FDF),
        (0x3005, 0x3007),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x323AF),
    ),  # Han
)
"""Writing systems between which a word is never replaced; Latin and all others are class 0."""


@functools.cache
def scripts() -> np.ndarray:
    """uint8 [0x110000]: the class of the writing system of each code point."""
    out = np.zeros(0x110000, np.uint8)
    for number, ranges in enumerate(_SCRIPTS, 1):
        for first, last in ranges:
            out[first : last + 1] = number
    out.flags.writeable = False
    return out


@dataclass(frozen=True)
class Unigrams:
    """The alias tables of k words, sorted by script.

    offsets int32 [k + 1], data uint8: the words; threshold uint64 [k], alias int32 [k]: the alias method, within each
    script; first int32 [scripts + 1]: where each script's words begin.
    """

    offsets: np.ndarray
    data: np.ndarray
    threshold: np.ndarray
    alias: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, words: list[str], counts: list[int] | None = None, by_script: bool = True) -> Unigrams:
        """Builds the tables from words and counts (1 each by default). Without `by_script` all words are one class."""
        classes = np.zeros(len(words), np.int64)
        if by_script and words:
            classes = scripts()[[ord(w[0]) for w in words]].astype(np.int64)
        order = np.argsort(classes, kind="stable")
        weights = np.asarray(counts if counts is not None else [1] * len(words), np.float64)[order]
        first = np.searchsorted(classes[order], np.arange(len(_SCRIPTS) + 2)).astype(np.int32)
        threshold = np.zeros(len(words), np.uint64)
        alias = np.arange(len(words), dtype=np.int32)
        for a, b in pairwise(first):
            if b > a:
                threshold[a:b], other = _alias(weights[a:b])
                alias[a:b] = other + a
        offsets, data = string_buffers(pa.array([words[i] for i in order], pa.string()))
        return cls(offsets.copy(), data.copy(), threshold, alias, first)


def _alias(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's tables: slot i stands for word i if a 32-bit draw is below threshold[i], else for alias[i]."""
    n = len(weights)
    share = weights * (n / weights.sum())
    threshold = np.full(n, 1 << 32, np.uint64)
    alias = np.arange(n, dtype=np.int32)
    small = [i for i in range(n) if share[i] < 1]
    large = [i for i in range(n) if share[i] >= 1]
    while small and large:
        i, j = small.pop(), large[-1]
        threshold[i], alias[i] = int(share[i] * 4294967296.0), j
        share[j] -= 1 - share[i]
        if share[j] < 1:
            small.append(large.pop())
    return threshold, alias


@functools.lru_cache(maxsize=8)
def _read(path: str, size: int, mtime: int) -> Unigrams:
    words, counts = [], []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            word, tab, count = line.rstrip("\n").partition("\t")
            if not word or (tab and not count.isdecimal()):
                raise BadFileError(
                    f"{path}:{number}", "not a line `word<TAB>count`", "write the table with build_unigrams"
                )
            if not tab or int(count):
                words.append(word)
                counts.append(int(count) if tab else 1)
    if not words:
        raise BadFileError(
            path, "no word in it", "write the table with build_unigrams, or list the words in the recipe"
        )
    return Unigrams.of(words, counts)


def read_unigrams(path: str) -> Unigrams:
    """The table in a file of lines `word<TAB>count` (or bare words, one a line), read once a process."""
    try:
        stat = os.stat(path)
    except OSError as error:
        raise BadFileError(
            path, f"cannot be read ({error.strerror})", "give a file of words, or write one with build_unigrams"
        ) from None
    return _read(path, stat.st_size, stat.st_mtime_ns)


@njit(nogil=True, cache=True)
def _compact_words(offsets: Any, data: Any, flags: Any, same: Any) -> tuple[Any, Any]:
    """(offsets, data) of all words of all rows, case kept."""
    size = offsets[-1] - offsets[0]
    ends = np.empty(size + 1, np.int32)
    out = np.empty(size + 1, np.uint8)
    n, used = 0, 0
    ends[0] = 0
    for row in range(len(offsets) - 1):
        i, stop = offsets[row], offsets[row + 1]
        while i < stop:
            start, i, _ = next_word(data, i, stop, flags, same)
            for k in range(start, i):
                out[used] = data[k]
                used += 1
            if i > start:
                n += 1
                ends[n] = used
    return ends[: n + 1], out


def count_words(texts: pa.Array) -> pa.Table:
    """(word, count) of one string array, case kept."""
    flags, lower = tables()
    offsets, data = string_buffers(texts)
    ends, out = _compact_words(offsets, data, flags, lower)
    counted = string_array(ends, out).value_counts()
    return pa.table({"word": counted.field("values"), "count": counted.field("counts")})


def build_unigrams(texts: Iterable[pa.Array], max_words: int = 200_000) -> pa.Table:
    """(word, count) of all texts, the most frequent first, ties by word; at most `max_words` rows."""
    parts: list[pa.Table] = [pa.table({"word": pa.array([], pa.string()), "count": pa.array([], pa.int64())})]
    for array in texts:
        parts.append(count_words(array))
        if len(parts) >= 64:
            parts = [_summed(parts)]
    return _summed(parts).sort_by([("count", "descending"), ("word", "ascending")]).slice(0, max_words)


def _summed(parts: list[pa.Table]) -> pa.Table:
    merged = pa.concat_tables(parts).group_by("word").aggregate([("count", "sum")])
    return pa.table({"word": merged.column("word"), "count": merged.column("count_sum")})


def write_unigrams(table: pa.Table, path: str) -> None:
    """Writes a table of `build_unigrams` as a file for `words:`."""
    lines = pc.binary_join_element_wise(table.column("word"), table.column("count").cast(pa.string()), "\t")
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("".join(f"{line}\n" for line in lines.to_pylist()))


def main(arguments: list[str]) -> int:
    """Counts the words of Parquet files. Arguments: `OUT.tsv FILE.parquet...`."""
    import pyarrow.parquet as pq

    if len(arguments) < 2:
        print("usage: python -m corpusmill.transforms.noise.unigrams OUT.tsv FILE.parquet...", file=sys.stderr)
        return 2
    out, *files = arguments
    batches = (b.column("text") for f in files for b in pq.ParquetFile(f).iter_batches(1000, columns=["text"]))
    table = build_unigrams(batches)
    write_unigrams(table, out)
    print(f"{out}: {table.num_rows:,} words")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
