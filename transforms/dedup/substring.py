"""Exact repeated spans of bytes across the corpus, cut out, or reason to drop their documents."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.base import USE_PUBLIC, Applied, Decided, Group
from corpusmill.transforms.dedup._cut import cut
from corpusmill.transforms.dedup._grouping import column, decisions_or_empty, distinct, grouped, places, repeated
from corpusmill.transforms.dedup._order import KEEP_HELP, TRUST, Keep, document_ranks, order_columns, order_fingerprint
from corpusmill.transforms.dedup._windows import repeated_windows
from corpusmill.transforms.dedup._winnow import byte_table, contexts, runs
from corpusmill.transforms.hashing import U

_SEEN = pa.schema([("shard", pa.uint32()), ("row", pa.uint32()), ("begin", pa.uint32()), ("show", pa.bool_())])
_CUT = pa.schema(
    [
        ("shard", pa.uint32()),
        ("row", pa.uint32()),
        ("begin", pa.uint32()),
        ("end", pa.uint32()),
        ("survivor", pa.string()),
    ]
)


class Substring(Group):
    """Cut spans of at least `min_bytes` bytes that occur elsewhere in the corpus; the first occurrence stays.

    Source: Lee et al. 2022, "Deduplicating training data makes language models better", section 4.1 (ExactSubstr).
    Every byte that lies in a window of `min_bytes` bytes equal to an earlier window of any document, or of its own, is
    repeated: what a suffix array of the whole corpus finds, byte for byte. Earlier means in an earlier document by
    `keep`, or before it in the same one; with `keep_first: false` every occurrence goes. Cuts shrink to whole words
    (`whole_words`) and code points. Documents left without text are dropped, and those of which more than `max_fraction` is
    repeated.

    Round 0 sends 24 bytes a run of windows of one fingerprint (see `winnow`); runs whose fingerprint occurs once are done
    with. In round 1 the others meet: runs over the same bytes are ranges at once, and where runs differ each kind brings
    its bytes and is compared window by window. Linear in bytes, hot spans included.
    Raises RecipeError if `keep` needs a column that is absent.

    >>> Substring(min_bytes=50).keep_first
    True
    """

    name: ClassVar[str] = "substring"
    advice: ClassVar[str | None] = TRUST
    refusal: ClassVar[tuple[str, str]] = (
        "a text repeated by one unit is cut out of the documents of others",
        f"leave it out; or {USE_PUBLIC}",
    )
    version: ClassVar[int] = 2
    rounds: ClassVar[int] = 2

    min_bytes: int = Field(default=100, ge=8, le=65536, description="Shorter repeated spans are left alone.")
    keep_first: bool = Field(default=True, description="Leave the first occurrence of a span in place.")
    whole_words: bool = Field(
        default=True,
        description="Words that a span covers in part stay, and a cut joins no two words; if false, cuts are exact.",
    )
    cut: bool = Field(default=True, description="Cut repeated spans out; if false, documents are only dropped.")
    max_fraction: float = Field(
        default=1.0, ge=0, le=1, description="Documents of which a greater share of the bytes is repeated are dropped."
    )
    keep: Keep = Field(default="first", description=KEEP_HELP.replace("of a cluster survives", "keeps a span"))

    @model_validator(mode="after")
    def _does_something(self) -> Substring:
        if not self.cut and self.max_fraction >= 1:
            raise ValueError(
                "with `cut: false` nothing happens unless `max_fraction` is below 1; set it, or leave `cut` on"
            )
        return self

    def fingerprint(self) -> str:
        return order_fingerprint(super().fingerprint(), self.keep)

    def _runs(self, texts: pa.Array) -> tuple[Any, ...]:
        return runs(*string_buffers(texts), self.min_bytes, byte_table())

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if rnd == 0:
            order_columns(
                batch.slice(0, 0), self.keep, self.name
            )  # raise for a missing column now, not in a later pass
            key, document, begin, _, span = self._runs(batch.column("text"))
            return pa.record_batch(
                {"key": key, "row": rows.astype(np.uint32)[document], "begin": begin.astype(np.uint32), "span": span}
            )
        decisions = decisions_or_empty(decisions, _SEEN)
        chosen, local = distinct(column(decisions, "row"))
        batch = batch.take(pa.array(np.searchsorted(rows, chosen)))
        key, document, begin, windows, span = self._runs(batch.column("text"))
        wanted = (local.astype(np.uint64) << U(32)) | column(decisions, "begin")
        at = np.searchsorted((document.astype(np.uint64) << U(32)) | begin.astype(np.uint64), wanted)
        document, begin, windows = document[at], begin[at], windows[at]
        offsets, data = string_buffers(batch.column("text"))
        ends = begin + windows - 1 + self.min_bytes
        where, shown = contexts(offsets, data, document, begin, ends, column(decisions, "show"))
        ordered = pa.record_batch(order_columns(batch, self.keep, self.name)).take(pa.array(document))
        return pa.record_batch(
            {
                "key": key[at],
                "row": chosen[document].astype(np.uint32),
                "begin": begin.astype(np.uint32),
                "windows": windows.astype(np.uint32),
                "span": span[at],
                "bytes": pa.LargeBinaryArray.from_buffers(
                    pa.large_binary(), len(at), [None, pa.py_buffer(where), pa.py_buffer(shown)]
                ),
                **dict(zip(ordered.schema.names, ordered.columns)),
            }
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        key, span, begin = column(keys, "key"), column(keys, "span"), column(keys, "begin").astype(np.uint64)
        place = places(keys)
        if rnd == 0:
            picked, groups = repeated(key, span, place)
            s = span[picked]
            # of each span of a key, one run brings its bytes: where the key has several, or windows repeat in the run
            fresh = np.ones(len(picked), np.bool_)
            fresh[1:] = s[1:] != s[:-1]
            fresh[groups[:-1]] = True
            mixed = np.zeros(len(picked), np.bool_)
            if len(picked):
                mixed = np.repeat(s[groups[:-1]] != s[groups[1:] - 1], np.diff(groups))
            show = fresh & (mixed | ((s & U(1)) == 1))
            single = np.ones(len(key), np.bool_)
            single[picked] = False
            alone = np.flatnonzero(single & ((span & U(1)) == 1))
            at = pa.array(np.concatenate([picked, alone]))
            columns = [keys.column(name).take(at) for name in ("shard", "row", "begin")]
            shows = np.concatenate([show, np.ones(len(alone), np.bool_)])
            return Decided(pa.table([*columns, pa.array(shows)], schema=_SEEN))
        if keys.num_rows == 0:
            return Decided(_CUT.empty_table())
        order = (document_ranks(keys, place) << U(32)) | begin
        picked, groups = grouped(key, span, order)
        shown = keys.column("bytes").combine_chunks()
        _, where, data = shown.buffers()
        offsets = np.frombuffer(where, np.int64)[shown.offset : shown.offset + len(shown) + 1]
        row, first, last, other = repeated_windows(
            picked,
            groups,
            span,
            order,
            begin.astype(np.int64),
            column(keys, "windows").astype(np.int64),
            offsets,
            np.frombuffer(data if data is not None and data.size else bytes(8), np.uint8),
            byte_table(),
            self.min_bytes,
            self.keep_first,
        )
        # the survivor is sent only with ranges near a document's begin: it is read only when the whole document goes
        survivors = pc.if_else(pa.array(first < self.min_bytes), keys.column("id").take(pa.array(other)), None)
        at = pa.array(row)
        columns = [keys.column("shard").take(at), keys.column("row").take(at)]
        return Decided(pa.table([*columns, first.astype(np.uint32), last.astype(np.uint32), survivors], schema=_CUT))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        return cut(
            batch, rows, decisions, "repeated-spans", self.max_fraction, not self.cut, self.whole_words and self.cut
        )
