"""Sentence-level noise: shuffle, rotate, delete."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import output_buffers, put, room
from corpusmill.transforms.noise.copies import Copies, Versions, as_texts, text_buffers
from corpusmill.transforms.noise.splitting import punkt_spans, rule_spans
from corpusmill.transforms.random import below, uniform

OPERATIONS = ("shuffle", "rotate", "delete")


class Sentences(Copies):
    """Shuffles, rotates or deletes the sentences of documents; what stands between two sentences stays in its place.

    Source: Lewis et al. 2020, "BART: denoising sequence-to-sequence pre-training", section 2.2 (sentence permutation and
    document rotation); random sentence deletion as its span-level counterpart. Sentences are found by rules that know the
    full stops of Chinese, Japanese and other scripts, blank lines and Markdown blocks, or by NLTK's punkt on request (not by
    default, as results would then depend on the machine's data). A document keeps at least one sentence.
    Raises MissingDependencyError for `splitter: punkt` without its model.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["One. Two! Three?"], "source": ["s"]})
    >>> Sentences(rotate=1.0, keep_originals=False)(batch).column("text")[0].as_py()
    'Two! Three? One.'
    """

    name: ClassVar[str] = "sentences"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{shuffle: 0.5, copies: 1}"

    shuffle: float = Field(0.0, ge=0, le=1, description="Share of copies whose sentences are put in random order.")
    rotate: float = Field(
        0.0, ge=0, le=1, description="Share of copies that begin at a random sentence and end before it."
    )
    delete: float = Field(0.0, ge=0, le=1, description="Share of sentences left out.")
    splitter: Literal["rules", "punkt"] = Field("rules", description="What finds the sentences.")
    language: str = Field("english", description="The model of `splitter: punkt`.")

    @model_validator(mode="after")
    def _rates(self) -> Sentences:
        if not any(getattr(self, name) for name in OPERATIONS):
            raise ValueError(f"no rate is set: give at least one of {', '.join(OPERATIONS)}")
        return self

    def noisy(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        texts = batch.column("text")
        spans = rule_spans(texts) if self.splitter == "rules" else punkt_spans(texts, self.language)
        rates = np.array([self.shuffle, self.rotate, self.delete], np.float64)
        offsets, data, edits = _sentences(
            *text_buffers(batch), versions.rows, versions.copies, versions.keys, rates, *spans
        )
        return as_texts(offsets, data), edits


@njit(nogil=True, cache=True)
def _sentences(
    offsets: Any, data: Any, rows: Any, copies: Any, keys: Any, rates: Any, first: Any, starts: Any, ends: Any
) -> tuple[Any, Any, Any]:
    m = len(rows)
    most = 0
    for r in range(m):
        most = max(most, first[rows[r] + 1] - first[rows[r]])
    out, bounds = output_buffers(offsets, rows)
    edits = np.zeros(m, np.int64)
    order = np.empty(most, np.int64)
    o = 0
    for r in range(m):
        begin, stop = np.int64(offsets[rows[r]]), np.int64(offsets[rows[r] + 1])
        out = room(out, o, stop - begin)
        low = first[rows[r]]
        n = first[rows[r] + 1] - low
        if copies[r] == 0 or n < 2:
            o = put(out, o, data, begin, stop)
            bounds[r + 1] = o
            continue
        key = keys[r]
        turn = 1 + below(key, 3, n - 1) if uniform(key, 1) < rates[1] else 0
        for k in range(n):
            order[k] = (k + turn) % n
        if uniform(key, 0) < rates[0]:
            for k in range(n - 1, 0, -1):
                j = below(key, 4 + k, k + 1)
                order[k], order[j] = order[j], order[k]
        o = put(out, o, data, begin, starts[low])
        left = n
        gap, gap_end = np.int64(0), np.int64(0)
        fresh = True
        for k in range(n):
            s = low + order[k]
            after = np.int64(starts[low + k + 1]) if k + 1 < n else np.int64(ends[low + k])
            if left > 1 and uniform(key, 4 + n + order[k]) < rates[2]:
                left -= 1
                edits[r] += 1
                # of the gaps around it the wider one stays
                if after - ends[low + k] > gap_end - gap:
                    gap, gap_end = np.int64(ends[low + k]), after
                continue
            edits[r] += order[k] != k
            if not fresh:
                o = put(out, o, data, gap, gap_end)
            fresh = False
            o = put(out, o, data, starts[s], ends[s])
            gap, gap_end = np.int64(ends[low + k]), after
        o = put(out, o, data, ends[low + n - 1], stop)
        bounds[r + 1] = o
    return bounds, out, edits
