import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.dedup._sketch import band_keys, fill_sketch, sketch
from corpusmill.transforms.hashing import mix64_array


def random_pair(rng: np.random.Generator, size: int, jaccard: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Two sets of random hashes, and their true similarity."""
    common = round(2 * size * jaccard / (1 + jaccard))
    values = mix64_array(rng.integers(0, 2**63, 2 * size, dtype=np.uint64))
    a, b = values[:size], np.concatenate([values[:common], values[size : 2 * size - common]])
    return a, b, common / (2 * size - common)


@pytest.mark.parametrize("size", [3, 60, 2000])
def test_the_estimate_is_unbiased_within_3_sigma_over_1000_random_pairs(size: int) -> None:
    rng = np.random.default_rng(size)
    slots = 128
    errors, variance = [], 0.0
    left, right = np.empty(slots, np.uint64), np.empty(slots, np.uint64)
    for _ in range(1000):
        a, b, true = random_pair(rng, size, rng.uniform())
        fill_sketch(a, len(a), left)
        fill_sketch(b, len(b), right)
        errors.append(float(np.mean(left == right)) - true)
        variance += true * (1 - true) / slots
    # of independent slots; those of fast similarity sketching vary less
    assert abs(np.mean(errors)) < 3 * np.sqrt(variance) / 1000
    assert np.var(errors) < 1.2 * variance / 1000


def test_every_slot_is_filled_for_any_number_of_shingles() -> None:
    for count in (1, 2, 7, 300):
        slots = np.empty(97, np.uint64)
        fill_sketch(mix64_array(np.arange(1, count + 1, dtype=np.uint64)), count, slots)
        assert slots.max() < 2**64 - 1


def test_repeats_and_order_do_not_count() -> None:
    values = mix64_array(np.arange(40, dtype=np.uint64))
    a, b = np.empty(64, np.uint64), np.empty(64, np.uint64)
    fill_sketch(values, 40, a)
    fill_sketch(np.concatenate([values[::-1], values[:7]]), 47, b)
    assert np.array_equal(a, b)


def test_sketch_of_texts() -> None:
    texts = pa.array(["a b c d e f g", "A  b c d e f g.", "a b c", "", "?!", "?!"])
    slots, words, counts = sketch(texts, 32, 5)
    assert counts.tolist() == [3, 3, 1, 0, 0, 0]
    assert np.array_equal(slots[0], slots[1])
    assert not np.any(slots[0] == slots[2])
    assert words[0] == words[1]
    assert words[4] == words[5]
    assert len(set(words.tolist())) == 4


def test_band_keys() -> None:
    slots, words, counts = sketch(pa.array(["a b c d e f", "", "g h i j k l"]), 8, 5)
    key, content, document = band_keys(slots, words, counts, 4, 2)
    assert document.tolist() == [0] * 4 + [1] + [2] * 4
    assert len(set(key.tolist())) == 9
    assert (content & np.uint64(1)).tolist() == [1, 0, 0, 0, 1, 1, 0, 0, 0]
    # the same words give the same 47 bits in each band, and the next band leads
    assert len({int(c) & 0xFFFFFFFFFFFE for c in content[:4]}) == 1
    assert [int(c) >> 48 for c in content[:4]] == [int(k) >> 48 for k in np.roll(key[:4], -1)]


def test_no_rows() -> None:
    slots, words, counts = sketch(pa.array([], pa.string()), 16, 5)
    assert [len(x) for x in band_keys(slots, words, counts, 4, 4)] == [0, 0, 0]


def test_golden() -> None:
    slots, words, counts = sketch(pa.array(["to be or not to be that is the question"]), 4, 5)
    key, content, _ = band_keys(slots, words, counts, 2, 2)
    assert [int(x) for x in (*slots[0], words[0], *key, *content)] == GOLDEN


GOLDEN = [
    55347152485157,
    151333734009509,
    201661719853723,
    199814657741485,
    3345140581310811170,
    1177238759088519070,
    14821185383855301294,
    14821194626040486221,
    1177258079944857932,
]
