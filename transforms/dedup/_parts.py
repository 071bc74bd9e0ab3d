"""The base of `lines` and `paragraphs`, which cut parts of documents that repeat across the corpus."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.base import Applied, Decided, Group
from corpusmill.transforms.dedup._cut import cut
from corpusmill.transforms.dedup._grouping import column, decisions_or_empty, distinct, places, repeated
from corpusmill.transforms.dedup._order import KEEP_HELP, TRUST, Keep, document_ranks, order_columns, order_fingerprint
from corpusmill.transforms.hashing import GOLDEN, U, hash64, mix64_array, murmur128
from corpusmill.transforms.kernels.bits import find_byte
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import skip_blank_lines, strip, tables
from corpusmill.transforms.words import next_hashed

_SEEN = pa.schema([("shard", pa.uint32()), ("row", pa.uint32()), ("part", pa.uint64())])
_CUT = pa.schema(
    [
        ("shard", pa.uint32()),
        ("row", pa.uint32()),
        ("begin", pa.uint32()),
        ("end", pa.uint32()),
        ("survivor", pa.string()),
    ]
)


@njit(nogil=True, cache=True)
def _parts(
    offsets: Any, data: Any, blocks: bool, min_words: int, min_chars: int, flags: Any, lower: Any, scope: Any
) -> tuple[Any, Any, Any, Any]:
    """(hashes uint64 [m, 2], document, begin, end int64 [m]) of the parts that are long enough.

    A part is hashed without white space at its ends; begin and end are relative to the text, `end` is where the next part
    begins. blocks: parts are runs of lines that are not blank, instead of lines. scope: uint64 [n], mixed into the hashes.
    """
    room = 16
    hashes = np.empty((room, 2), np.uint64)
    document = np.empty(room, np.int64)
    begins = np.empty(room, np.int64)
    ends = np.empty(room, np.int64)
    m = 0
    for row in range(len(offsets) - 1):
        start, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        i = start
        while i < stop:
            i = skip_blank_lines(data, i, stop)
            if i == stop:
                break
            begin = i  # of the line
            i = find_byte(data, begin, stop, 10)
            first, last = strip(data, begin, i, flags)
            if first == last:  # a blank line
                i += 1
                continue
            end = min(i + 1, stop)
            if blocks:
                # up to the first blank line, and past the blank lines behind it
                after = False
                while end < stop:
                    j = skip_blank_lines(data, end, stop)
                    if j > end:
                        after, end = True, j
                        continue
                    j = find_byte(data, end, stop, 10)
                    a, b = strip(data, end, j, flags)
                    if after and a < b:
                        break
                    after = a == b
                    end = min(j + 1, stop)
                    if a < b:
                        last = b
            i = end
            if last - first < max(min_chars, min_words):
                continue
            if min_chars > 1:
                chars = 0
                for j in range(first, last):
                    chars += (data[j] & 0xC0) != 0x80
                if chars < min_chars:
                    continue
            words = 0
            j = first
            while words < min_words:
                b, j, _ = next_hashed(data, j, last, flags, lower)
                if b == last:
                    break
                words += 1
            if words < min_words:
                continue
            if m == room:
                room *= 2
                hashes = np.concatenate((hashes, np.empty_like(hashes)))
                document = np.concatenate((document, np.empty_like(document)))
                begins = np.concatenate((begins, np.empty_like(begins)))
                ends = np.concatenate((ends, np.empty_like(ends)))
            h1, h2 = murmur128(data, first, last, U(0))
            hashes[m, 0], hashes[m, 1] = h1 ^ scope[row], h2
            document[m], begins[m], ends[m] = row, begin - start, end - start
            m += 1
    return hashes[:m], document[:m], begins[:m], ends[:m]


class Parts(Group):
    """Base of `lines` and `paragraphs`. In round 0 each part sends 12 bytes; in round 1 repeated parts also send the order of
    their documents."""

    version: ClassVar[int] = 2
    rounds: ClassVar[int] = 2
    blocks: ClassVar[bool]
    advice: ClassVar[str | None] = TRUST

    min_words: int = Field(
        default=8, ge=0, description="Shorter parts are left alone; characters, in scripts without spaces."
    )
    min_chars: int = Field(default=1, ge=1, description="Parts of fewer characters are left alone.")
    min_documents: int = Field(default=2, ge=2, description="Parts in fewer documents are left alone.")
    max_copies: int = Field(default=1, ge=0, description="Documents that keep a repeated part; the others lose it.")
    scope: Literal["corpus", "source"] = Field(
        default="corpus", description="Where repeats count: in the whole corpus, or within each source."
    )
    keep: Keep = Field(default="first", description=KEEP_HELP.replace("of a cluster survives", "keeps a part first"))

    def fingerprint(self) -> str:
        return order_fingerprint(super().fingerprint(), self.keep)

    def _parts(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        offsets, data = string_buffers(batch.column("text"))
        scope = np.zeros(len(batch), np.uint64)
        if self.scope == "source":
            scope = mix64_array(hash64(batch.column("source")))
        return _parts(offsets, data, self.blocks, self.min_words, self.min_chars, *tables(), scope)

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if rnd == 0:
            order_columns(
                batch.slice(0, 0), self.keep, self.name
            )  # raise for a missing column now, not in a later pass
            hashes, document, _, _ = self._parts(batch)
            return pa.record_batch({"key": np.ascontiguousarray(hashes[:, 0]), "row": rows.astype(np.uint32)[document]})
        decisions = decisions_or_empty(decisions, _SEEN)
        chosen, _ = distinct(column(decisions, "row"))
        batch = batch.take(pa.array(np.searchsorted(rows, chosen)))
        hashes, document, begin, end = self._parts(batch)
        with np.errstate(over="ignore"):
            seen = mix64_array(column(decisions, "part") + column(decisions, "row") * GOLDEN)
            own = mix64_array(hashes[:, 0] + chosen[document].astype(np.uint64) * GOLDEN)
        asked = np.flatnonzero(np.isin(own, seen))
        ordered = pa.record_batch(order_columns(batch, self.keep, self.name)).take(pa.array(document[asked]))
        return pa.record_batch(
            {
                "key": hashes[asked, 0],
                "row": chosen[document[asked]].astype(np.uint32),
                "second": hashes[asked, 1],
                "begin": begin[asked].astype(np.uint32),
                "end": end[asked].astype(np.uint32),
                **dict(zip(ordered.schema.names, ordered.columns)),
            }
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if rnd == 0:
            key, place = column(keys, "key"), places(keys)
            picked, _ = repeated(key, place, place)
            fresh = np.ones(len(picked), np.bool_)  # a part that occurs twice in one document counts once
            fresh[1:] = (key[picked][1:] != key[picked][:-1]) | (place[picked][1:] != place[picked][:-1])
            at = pa.array(picked[fresh])
            return Decided(
                pa.table(
                    [keys.column("shard").take(at), keys.column("row").take(at), keys.column("key").take(at)],
                    schema=_SEEN,
                )
            )
        if keys.num_rows == 0:
            return Decided(_CUT.empty_table())
        ranks = document_ranks(keys, places(keys))
        key, second = column(keys, "key"), column(keys, "second")
        order = np.lexsort((column(keys, "begin"), ranks, second, key))
        k, s, r = key[order], second[order], ranks[order]
        group = np.ones(len(order), np.bool_)
        group[1:] = (k[1:] != k[:-1]) | (s[1:] != s[:-1])
        fresh = group.copy()
        fresh[1:] |= r[1:] != r[:-1]
        number = np.cumsum(group) - 1
        nth = np.cumsum(fresh)  # document of the part, counted over all parts
        starts = np.flatnonzero(group)
        ends = np.append(starts[1:], len(order)) - 1
        documents = (nth[ends] - nth[starts] + 1)[number]
        lost = (documents >= self.min_documents) & (nth - nth[starts][number] >= self.max_copies)
        at = pa.array(order[lost])
        columns = [keys.column(name).take(at) for name in ("shard", "row", "begin", "end")]
        survivors = keys.column("id").take(pa.array(order[starts[number[lost]]])).combine_chunks()
        if self.max_copies == 0:
            survivors = pa.nulls(len(at), pa.string())
        return Decided(pa.table([*columns, survivors], schema=_CUT))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        return cut(batch, rows, decisions, f"repeated-{self.name}")
