import numpy as np

from corpusmill.transforms.dedup._windows import repeated_windows
from corpusmill.transforms.dedup._winnow import byte_table


def ranges(texts: list[bytes], span: list[int], order: list[int], keep_first: bool = True, size: int = 8) -> list:
    rows = np.array(sorted(range(len(span)), key=lambda i: (span[i], order[i])))
    offsets = np.cumsum([0] + [len(t) for t in texts])
    offsets.flags.writeable = False  # as Arrow's buffers are
    data = np.frombuffer(b"".join(texts) + b" " * 8, np.uint8)
    windows = np.array([max(len(t) - size + 1, 3) for t in texts])
    got = repeated_windows(
        rows,
        np.array([0, len(rows)]),
        np.array(span, np.uint64),
        np.array(order, np.uint64),
        np.full(len(rows), 100),
        windows,
        offsets,
        data,
        byte_table(),
        size,
        keep_first,
    )
    return sorted(zip(*(x.tolist() for x in got)))


def test_runs_of_one_span_need_no_bytes() -> None:
    assert ranges([b"", b"", b""], [6, 6, 6], [5, 3, 9]) == [(0, 100, 110, 1), (2, 100, 110, 1)]
    assert [x[0] for x in ranges([b"", b""], [6, 6], [5, 3], keep_first=False)] == [0, 1]


def test_runs_that_differ_are_compared_window_by_window() -> None:
    # windows 0 and 1 of the one are windows 1 and 2 of the other
    texts = [b"abcdefghij", b"xabcdefghi"]
    assert ranges(texts, [2, 4], [1, 2]) == [(1, 101, 110, 0)]
    assert ranges(texts, [2, 4], [2, 1]) == [(0, 100, 109, 1)]
    assert ranges(texts, [2, 4], [1, 2], keep_first=False) == [(0, 100, 109, 0), (1, 101, 110, 0)]


def test_equal_windows_of_one_run() -> None:
    assert ranges([b"-" * 12], [3], [0]) == [(0, 101, 112, 0)]
