"""EDA: synonym replacement, random insertion, random swap, random deletion."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.hashing import U, hash64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import output_buffers, put, room
from corpusmill.transforms.noise.copies import Versions, as_texts, text_buffers
from corpusmill.transforms.noise.synonyms import WithWordNet
from corpusmill.transforms.noise.wordnet import find_entry, load_synonyms, put_like
from corpusmill.transforms.noise.words import word_slots, word_spans
from corpusmill.transforms.random import below, draw, draw_array, uniform
from corpusmill.transforms.unicode import ALONE, decode, tables

REPLACE, INSERT, SWAP, DELETE = 0, 1, 2, 3


class Eda(WithWordNet):
    """Easy data augmentation: each copy of a document gets one of four operations on words.

    Source: Wei and Zou 2019, "EDA: easy data augmentation techniques for boosting performance on text classification
    tasks", section 2; defaults from its table 3. n = max(1, floor(alpha * words)) words are replaced by a synonym, get the
    synonym of another word inserted behind them, or trade places in pairs; deletion takes each word with its own
    probability. The operation of copy c is (c + a keyed draw) mod 4, so that four copies get all four. Without synonyms in
    the document (other languages) replacement and insertion become swaps. A document keeps at least one word.
    Raises MissingDependencyError, with the command to run, where WordNet is absent.
    """

    name: ClassVar[str] = "eda"
    version: ClassVar[int] = 1

    copies: int = Field(4, ge=1, le=1000, description="Noisy copies of each document; 4 get one operation each.")
    replace: float = Field(0.1, ge=0, le=1, description="alpha_sr: share of words replaced by a synonym.")
    insert: float = Field(0.1, ge=0, le=1, description="alpha_ri: synonyms inserted, as a share of the words.")
    swap: float = Field(0.1, ge=0, le=1, description="alpha_rs: swaps of two words, as a share of the words.")
    delete: float = Field(0.1, ge=0, le=1, description="p_rd: probability that a word is deleted.")

    def noisy(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        table = load_synonyms(self.wordnet, self.senses, self.phrases)
        # the draw that all copies of a document share comes from its id alone
        ids = batch.column("id").take(pa.array(versions.rows))
        turn = draw_array(hash64(ids)) % np.uint64(4)
        operations = ((versions.copies + turn.astype(np.int64)) % 4).astype(np.int64)
        operations[versions.copies == 0] = -1
        synonyms = self.spoken(batch)[versions.rows]
        rates = np.array([self.replace, self.insert, self.swap, self.delete], np.float64)
        offsets, data, edits = _eda(
            *text_buffers(batch), versions.rows, operations, versions.keys, rates, synonyms, tables()[0], *table.arrays
        )
        return as_texts(offsets, data), edits


@njit(nogil=True, cache=True)
def _eda(
    offsets: Any, data: Any, rows: Any, operations: Any, keys: Any, rates: Any, synonyms: Any, flags: Any,
    slots: Any, hashes: Any, first: Any, s_offsets: Any, s_data: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    m = len(rows)
    starts, ends = word_slots(offsets, rows)
    place = np.empty(len(starts), np.int32)  # the word that stands in each slot
    known = np.empty(len(starts), np.int32)  # words with synonyms, and their entries
    entries = np.empty(len(starts), np.int32)
    out, bounds = output_buffers(offsets, rows)
    edits = np.zeros(m, np.int64)
    o = 0
    for r in range(m):
        begin, stop = np.int64(offsets[rows[r]]), np.int64(offsets[rows[r] + 1])
        out = room(out, o, stop - begin)
        key, op = keys[r], operations[r]
        n = word_spans(data, begin, stop, flags, starts, ends) if op >= 0 else 0
        e = 0
        if n and op <= INSERT:
            if synonyms[r]:
                for k in range(n):
                    entry = find_entry(data, starts[k], ends[k], slots, hashes)
                    if entry >= 0:
                        known[e] = k
                        entries[e] = entry
                        e += 1
            if e == 0:
                op = SWAP
        wanted: Any = np.int64(0)
        if op >= 0 and op < DELETE and rates[op] > 0:
            wanted = np.int64(max(1, rates[op] * n))
        for k in range(n):
            place[k] = k
        if op == SWAP and n > 1:
            for j in range(wanted):
                a = below(key, 2 * j, n)
                b = below(key, 2 * j + 1, n - 1)
                b += b >= a
                place[a], place[b] = place[b], place[a]
                edits[r] += 1
        done = begin
        left = n
        seen = 0
        todo: Any = min(wanted, e) if op == REPLACE else wanted
        for k in range(n):
            entry = -1
            deleted, inserted = False, False
            if op == REPLACE and seen < e and known[seen] == k:
                # selection sampling (Knuth 3.4.2 S): exactly `todo` of the e words
                if uniform(key, seen) * (e - seen) < todo:
                    entry = np.int64(entries[seen])
                    todo -= 1
                seen += 1
            elif op == INSERT and uniform(key, k) * (n - k) < todo:
                entry = np.int64(entries[below(key, n + k, e)])
                inserted = True
                todo -= 1
            elif op == DELETE:
                deleted = uniform(key, k) < rates[DELETE] and left > 1
            if entry < 0 and not deleted and place[k] == k:
                continue
            w = place[k]
            out = room(out, o, starts[k] - done + ends[w] - starts[w])
            o = put(out, o, data, done, starts[k])
            done = np.int64(ends[k])
            if deleted:
                left -= 1
                edits[r] += 1
                blank_before = o == bounds[r] or out[o - 1] == 32 or out[o - 1] == 10
                if blank_before and done < stop and data[done] == 32:
                    done += 1
                continue
            if entry < 0 or inserted:
                o = put(out, o, data, starts[w], ends[w])
            if entry >= 0:
                d = draw(key, 3 * n + k)
                pick = first[entry] + np.int64(((d >> U(32)) * U(first[entry + 1] - first[entry])) >> U(32))
                a, b = s_offsets[pick], s_offsets[pick + 1]
                out = room(out, o, b - a + 1)
                edits[r] += 1
                if inserted:
                    c, _ = decode(data, starts[k], stop)
                    if not (flags[c] & ALONE):
                        out[o] = 32
                        o += 1
                    o = put(out, o, s_data, a, b)
                else:
                    o = put_like(out, o, s_data, a, b, data, starts[k], ends[k])
        out = room(out, o, stop - done)
        o = put(out, o, data, done, stop)
        bounds[r + 1] = o
    return bounds, out, edits
