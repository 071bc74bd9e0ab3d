"""Output buffers that grow in numba kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit


@njit(nogil=True, cache=True)
def output_buffers(offsets: Any, rows: Any) -> tuple[Any, Any]:
    """(out uint8, bounds int64 [m + 1] of zeros) for texts written from the m source rows `rows`.

    `out` holds the rows as they are and an eighth more; `room` makes it longer.
    """
    total = 0
    for row in rows:
        total += offsets[row + 1] - offsets[row]
    return np.empty(total + total // 8 + 64, np.uint8), np.zeros(len(rows) + 1, np.int64)


@njit(nogil=True, cache=True)
def room(out: Any, used: int, need: int) -> Any:
    """`out`, or a longer copy of it, with room for `need` more values behind the `used` first."""
    if used + need <= len(out):
        return out
    longer = np.empty((used + need) * 3 // 2 + 64, out.dtype)
    longer[:used] = out[:used]
    return longer


@njit(nogil=True, cache=True)
def put(out: Any, used: int, data: Any, start: int, stop: int) -> int:
    """Write data[start:stop] at out[used:]; the position behind it. There must be room."""
    n = stop - start
    if n > 64:
        out[used : used + n] = data[start:stop]
    else:
        for k in range(n):
            out[used + k] = data[start + k]
    return used + n
