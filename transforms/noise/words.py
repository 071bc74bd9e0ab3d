"""The words of a document as spans, by a kernel without a branch per word."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import ALONE, MARK, WORD, decode


@njit(nogil=True, cache=True)
def word_slots(offsets: Any, rows: Any) -> tuple[Any, Any]:
    """(starts, ends) int32, long enough for the words of any of the source rows `rows`."""
    longest = 0
    for row in rows:
        longest = max(longest, offsets[row + 1] - offsets[row])
    return np.empty(longest // 2 + 2, np.int32), np.empty(longest // 2 + 2, np.int32)


@njit(nogil=True, cache=True)
def word_spans(data: Any, begin: int, stop: int, flags: Any, starts: Any, ends: Any) -> Any:
    """The words in data[begin:stop] as `corpusmill.transforms.unicode` defines them: their number n; starts[:n], ends[:n] int32.

    `starts` and `ends` hold one entry more than there can be words: (stop - begin) // 2 + 2, as a word of one byte needs a
    byte between it and the next.
    """
    n, m = np.int64(0), np.int64(0)
    inside, open_ = np.int64(0), np.int64(0)  # in a word; in a word that a letter may continue
    i = begin
    while i < stop:
        b = data[i]
        if b < 0x80:
            word = np.int64(flags[b]) & WORD
            start = word & (1 - open_)
            end = inside & (start | (1 - word))
            starts[n] = i
            ends[m] = i
            n += start
            m += end
            inside = word
            open_ = word
            i += 1
        else:
            c, behind = decode(data, i, stop)
            f = flags[c]
            if f & MARK:
                pass  # continues a word, stands alone elsewhere
            elif f & WORD:
                alone = (f & ALONE) != 0
                if alone or not open_:
                    ends[m] = i
                    m += inside
                    starts[n] = i
                    n += 1
                    inside, open_ = np.int64(1), np.int64(0 if alone else 1)
            else:
                ends[m] = i
                m += inside
                inside, open_ = np.int64(0), np.int64(0)
            i = behind
    if inside:
        ends[m] = stop
    return n
