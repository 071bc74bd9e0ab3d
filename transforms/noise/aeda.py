"""AEDA: random punctuation marks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import output_buffers, put, room
from corpusmill.transforms.noise.copies import Copies, Versions, as_texts, text_buffers
from corpusmill.transforms.noise.words import word_slots, word_spans
from corpusmill.transforms.random import below, uniform
from corpusmill.transforms.unicode import ALONE, decode, tables

_ASCII = np.frombuffer(b".;?:!,", np.uint8)
_WIDE = np.frombuffer("。；？：！，".encode(), np.uint8)


class Aeda(Copies):
    """Inserts punctuation marks before random words; no word is changed or lost.

    Source: Karimi, Rossi and Prati 2021, "AEDA: an easier data augmentation technique for text classification",
    section 3. The number of marks is uniform in 1 ... max(1, floor(max_marks * words)), their words are distinct, and each
    is one of . ; ? : ! , followed by a blank; before a character of a script without spaces it is one of 。；？：！，.
    A document without words has no place for a mark.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["one two three"], "source": ["s"]})
    >>> Aeda(keep_originals=False)(batch).column("text")[0].as_py()
    'one ! two three'
    """

    name: ClassVar[str] = "aeda"
    version: ClassVar[int] = 1

    max_marks: float = Field(
        0.3, gt=0, le=1, description="At most this share of words gets a mark (at least one does)."
    )

    def noisy(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        offsets, data, edits = _aeda(
            *text_buffers(batch),
            versions.rows,
            versions.copies,
            versions.keys,
            self.max_marks,
            tables()[0],
            _ASCII,
            _WIDE,
        )
        return as_texts(offsets, data), edits


@njit(nogil=True, cache=True)
def _aeda(
    offsets: Any, data: Any, rows: Any, copies: Any, keys: Any, share: float, flags: Any, narrow: Any, wide: Any
) -> tuple[Any, Any, Any]:
    m = len(rows)
    starts, ends = word_slots(offsets, rows)
    out, bounds = output_buffers(offsets, rows)
    edits = np.zeros(m, np.int64)
    o = 0
    for r in range(m):
        begin, stop = np.int64(offsets[rows[r]]), np.int64(offsets[rows[r] + 1])
        n = word_spans(data, begin, stop, flags, starts, ends) if copies[r] > 0 else 0
        todo = 1 + below(keys[r], n, max(1, np.int64(share * n))) if n else 0
        edits[r] = todo
        out = room(out, o, stop - begin + 3 * todo)
        done = begin
        for k in range(n):
            if uniform(keys[r], k) * (n - k) >= todo:  # selection sampling (Knuth 3.4.2 S)
                continue
            todo -= 1
            o = put(out, o, data, done, starts[k])
            done = np.int64(starts[k])
            c, _ = decode(data, done, stop)
            mark = below(keys[r], n + 1 + k, 6)
            if flags[c] & ALONE:
                o = put(out, o, wide, 3 * mark, 3 * mark + 3)
            else:
                out[o], out[o + 1] = narrow[mark], 32
                o += 2
        o = put(out, o, data, done, stop)
        bounds[r + 1] = o
    return bounds, out, edits
