"""Replaces spans of text by other strings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import nulls_of, string_array, string_buffers
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import put


def splice(texts: pa.Array, spans: np.ndarray, by: pa.Array) -> pa.Array:
    """`texts` with each span replaced by the string at its position in `by`; nulls stay.

    spans: int64 [k, 3] of (row, first byte, byte behind) in the buffer of `texts`, in order and without overlaps.
    """
    offsets, data = string_buffers(texts)
    b_offsets, b_data = string_buffers(by)
    size = int(offsets[-1] - offsets[0]) + int(b_offsets[-1] - b_offsets[0]) - int((spans[:, 2] - spans[:, 1]).sum())
    bounds, out = np.zeros(len(texts) + 1, np.int32), np.empty(max(size, 1), np.uint8)
    _splice(offsets, data, spans, b_offsets, b_data, bounds, out)
    return nulls_of(texts, string_array(bounds, out))


@njit(nogil=True, cache=True)
def _splice(offsets: Any, data: Any, spans: Any, b_offsets: Any, b_data: Any, bounds: Any, out: Any) -> None:
    o, k = 0, 0
    for row in range(len(offsets) - 1):
        done = np.int64(offsets[row])
        while k < len(spans) and spans[k, 0] == row:
            o = put(out, o, data, done, spans[k, 1])
            o = put(out, o, b_data, b_offsets[k], b_offsets[k + 1])
            done = spans[k, 2]
            k += 1
        o = put(out, o, data, done, np.int64(offsets[row + 1]))
        bounds[row + 1] = o
