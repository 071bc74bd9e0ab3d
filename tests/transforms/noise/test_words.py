import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from corpusmill.transforms.noise.words import word_spans
from corpusmill.transforms.unicode import next_word, tables
from tests.transforms.noise.corpora import AWKWARD, CHINESE, ENGLISH, JAPANESE


@njit
def _one_by_one(data, flags, lower, starts, ends):
    n, i = 0, 0
    while i < len(data):
        start, i, _ = next_word(data, i, len(data), flags, lower)
        if i > start:
            starts[n], ends[n] = start, i
            n += 1
    return n


def both(text: str) -> tuple[list, list]:
    data = np.frombuffer(text.encode(), np.uint8)
    out = []
    for find in (
        lambda s, e: word_spans(data, 0, len(data), tables()[0], s, e),
        lambda s, e: _one_by_one(data, *tables(), s, e),
    ):
        starts, ends = np.zeros((2, len(data) // 2 + 2), np.int32)
        n = find(starts, ends)
        out.append([(a, b) for a, b in zip(starts[:n].tolist(), ends[:n].tolist(), strict=True)])
    return out[0], out[1]


@pytest.mark.parametrize("text", [t for t in [*AWKWARD, CHINESE, JAPANESE, ENGLISH] if t])
def test_spans_are_those_of_next_word(text: str) -> None:
    spans, expected = both(text)
    assert spans == expected


@given(st.text(st.sampled_from("aZ_9 \n.,é\u0301机あ한ไท़न🙂\u200d\ufe0f"), min_size=1, max_size=30))
def test_any_mixture(text: str) -> None:
    spans, expected = both(text)
    assert spans == expected
