import random

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.dedup._winnow import byte_table, contexts, runs


def of(texts: list[str], size: int) -> list[tuple[int, ...]]:
    return list(zip(*(x.tolist() for x in runs(*string_buffers(pa.array(texts)), size, byte_table()))))


@pytest.mark.parametrize("size", [8, 9, 30])
def test_runs_cover_every_window_once_and_equal_windows_share_a_key(size: int) -> None:
    rng = random.Random(size)
    texts = ["".join(rng.choices("ab", k=rng.randrange(200))) for _ in range(30)] + ["-" * 80, "ab" * 50, "", "a"]
    windows: dict[int, list[int]] = {i: [] for i in range(len(texts))}
    keys: dict[str, set[int]] = {}
    spans: dict[int, str] = {}
    for key, document, begin, count, span in of(texts, size):
        windows[document] += range(begin, begin + count)
        under = texts[document][begin : begin + count - 1 + size]
        assert spans.setdefault(span, under) == under
        own = [texts[document][q : q + size] for q in range(begin, begin + count)]
        for window in own:
            keys.setdefault(window, set()).add(key)
        assert span & 1 or len(set(own)) == len(own)
    for i, text in enumerate(texts):
        assert windows[i] == list(range(max(0, len(text) - size + 1)))
    assert all(len(k) == 1 for k in keys.values())


def test_random_text_has_a_run_in_26_windows_at_100_bytes() -> None:
    text = "".join(chr(97 + x) for x in np.random.default_rng(1).integers(0, 26, 100_000))
    assert 0.9 < len(of([text], 100)) / (100_000 / 26) < 1.1


def test_contexts() -> None:
    offsets, data = string_buffers(pa.array(["skip", "0123456789"]).slice(1))
    document, begin, stop = np.array([0, 0]), np.array([2, 1]), np.array([5, 3])
    where, shown = contexts(offsets, data, document, begin, stop, np.array([True, False]))
    assert where.tolist() == [0, 3, 3]
    assert shown[:3].tobytes() == b"234"
