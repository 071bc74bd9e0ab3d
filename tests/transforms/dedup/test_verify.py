import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.dedup._verify import LARGE, confirm, jaccard, similarity_to_survivor


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)), st.sampled_from([0.1, 0.5, 0.8, 1.0]))
def test_jaccard_equals_that_of_sets_or_is_below_the_threshold(a: set[int], b: set[int], threshold: float) -> None:
    values = np.array([*sorted(a), *sorted(b)], np.uint32)
    got = jaccard(values, 0, len(a), len(a), len(values), threshold)
    true = len(a & b) / len(a | b) if a | b else 1.0
    if true >= threshold:
        assert got == true
    else:
        assert got in (true, -1.0)


def arrays(*values: list[int]) -> list[np.ndarray]:
    return [np.array(v, np.int64) for v in values]


def test_clusters_pairs_and_survivors() -> None:
    # row 3 equals row 1 and has no shingles of its own; 1-2 are similar, 0 is not; 4 is similar to 2 only
    sets = [[90, 91], [1, 2, 3, 4], [1, 2, 3, 4, 5], [], [2, 3, 4, 5]]
    offsets = np.cumsum([0] + [len(s) for s in sets])
    values = np.array([x for s in sets for x in s], np.uint32)
    best, shown, size, left, right = arrays([0, 1, 2, 1, 4], [0, 1, 2, 1, 4], [5] * 5, [0, 1, 1, 2], [1, 2, 4, 4])
    root, a, b, similarity = confirm(best, shown, size, left, right, offsets, values, 0.8, True)
    assert root.tolist() == [0, 1, 1, 1, 1]
    assert list(zip(a.tolist(), b.tolist(), similarity.tolist())) == [(1, 3, 1.0), (1, 2, 0.8), (2, 4, 0.8)]
    similarities = similarity_to_survivor(root, a, b, similarity)
    assert np.isnan(similarities[0])
    assert similarities[2:].tolist() == [0.8, 1.0, 0.8]


def test_joined_pairs_of_large_components_are_not_compared_again() -> None:
    best, size, left, right = arrays([0, 1, 2], [LARGE + 1] * 3, [0, 0, 1], [1, 2, 2])
    offsets, values = np.array([0, 1, 2, 3]), np.array([7, 7, 7], np.uint32)
    _, a, _, _ = confirm(best, best, size, left, right, offsets, values, 0.8, True)
    assert len(a) == 2
    _, a, _, _ = confirm(best, best, size - 1, left, right, offsets, values, 0.8, True)
    assert len(a) == 3
