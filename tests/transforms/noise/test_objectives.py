"""The kernels as such: rates, reconstruction, uniform partitions."""

import math
from collections import Counter

import numpy as np
import pytest

from corpusmill.transforms.noise.objectives import IGNORED, corrupt_spans, infill_spans, mask_tokens, split_prefix
from corpusmill.transforms.random import Keyed, draw_array

NONE = np.zeros(0, np.bool_)


def rows(lengths: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = np.random.default_rng(seed).integers(10, 1000, offsets[-1]).astype(np.int32)
    keys = draw_array(np.arange(len(lengths), dtype=np.uint64) ^ np.uint64(Keyed(seed).base))
    return offsets, values, keys, np.ones(len(lengths), np.bool_)


def within(found: int, n: int, p: float) -> bool:
    return abs(found / n - p) < 3 * math.sqrt(p * (1 - p) / n)


def test_bert_rates_over_a_million_tokens() -> None:
    offsets, values, keys, active = rows([500] * 2000)
    ids, labels, loss = mask_tokens(offsets, values, keys, active, 0.15, np.array([0.8, 0.1]), 3, 1_000_000, NONE, NONE)
    n = len(values)
    chosen = labels != IGNORED
    assert within(chosen.sum(), n, 0.15)
    assert np.array_equal(chosen, loss == 1)
    assert np.array_equal(labels[chosen], values[chosen])
    assert np.array_equal(ids[~chosen], values[~chosen])
    masked, kept = ids[chosen] == 3, ids[chosen] == values[chosen]
    assert within(masked.sum(), chosen.sum(), 0.8)
    assert within(kept.sum(), chosen.sum(), 0.1)
    replaced = ids[chosen][~masked & ~kept]
    assert abs(replaced.mean() / 1_000_000 - 0.5) < 3 * math.sqrt(1 / 12 / len(replaced))
    assert abs(np.corrcoef(chosen[:-1], chosen[1:])[0, 1]) < 3 / math.sqrt(n)
    assert abs(np.corrcoef(chosen[: n // 2], chosen[n // 2 :])[0, 1]) < 3 / math.sqrt(n / 2)


def test_whole_words_and_special_tokens() -> None:
    offsets, _, keys, active = rows([4000])
    values = np.tile(np.array([5, 6, 7, 8], np.int32), 1000)
    begins = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1], np.bool_)  # words: (5 6 7) (8)
    special = np.array([0] * 8 + [1], np.bool_)
    _, labels, _ = mask_tokens(offsets, values, keys, active, 0.3, np.array([1.0, 0.0]), 3, 100, special, begins)
    words = (labels != IGNORED).reshape(-1, 4)
    assert not words[:, 3].any()
    assert set(map(tuple, words[:, :3].tolist())) == {(True,) * 3, (False,) * 3}
    assert within(words[:, 0].sum(), 1000, 0.3)


def rebuilt(inputs: list[int], target: list[int], sentinels: set[int]) -> list[int]:
    """The original from the input and the target of span corruption."""
    spans: dict[int, list[int]] = {}
    for t in target:
        if t in sentinels:
            spans[t] = []
            last = t
        else:
            spans[last].append(t)
    assert [t for t in inputs if t in sentinels] == list(spans)
    return [x for t in inputs for x in (spans[t] if t in sentinels else [t])]


@pytest.mark.parametrize(("density", "length"), [(0.15, 3.0), (0.5, 3.0), (0.5, 64.0), (0.25, 0.0), (0.9, 1.0)])
def test_span_corruption_loses_nothing(density: float, length: float) -> None:
    lengths = [0, 1, 2, 3, 7, 50, 512, 2000]
    offsets, values, keys, active = rows(lengths)
    sentinels = {5000 - k for k in range(100)}
    a, inputs, b, targets = corrupt_spans(
        offsets, values, keys, active, np.array([density]), np.array([length]), np.array([-1]), 5000, -1, 100, -1
    )
    for i, n in enumerate(lengths):
        x, y = inputs[a[i] : a[i + 1]].tolist(), targets[b[i] : b[i + 1]].tolist()
        assert rebuilt(x, y, sentinels) == values[offsets[i] : offsets[i + 1]].tolist()
        lost = sum(t not in sentinels for t in y)
        if n >= 2:
            wanted = min(max(round(n * density), 1), n - 1)
            if length and round(wanted / length) > len(sentinels):
                wanted = round(len(sentinels) * length)
            assert lost == wanted
            assert x[0] not in sentinels
            assert x[-1] in sentinels
            if length:
                assert len(y) - lost == min(max(round(lost / length), 1), lost, n - lost, 100)


def test_span_borders_are_uniform() -> None:
    """Two spans of 4 lost tokens among 8: 3 ways to cut the lost ones, times 3 for the kept ones."""
    offsets, values, keys, active = rows([8] * 9000)
    a, inputs, _, _ = corrupt_spans(
        offsets, values, keys, active, np.array([0.5]), np.array([2.0]), np.array([-1]), 5000, -1, 100, -1
    )
    kept = Counter()
    for i in range(9000):
        x = inputs[a[i] : a[i + 1]]
        kept[int(np.flatnonzero(x > 4000)[0])] += 1
    assert set(kept) == {1, 2, 3}
    assert all(within(n, 9000, 1 / 3) for n in kept.values())


def test_ul2_takes_every_denoiser_equally() -> None:
    offsets, values, keys, active = rows([100] * 7000)
    modes = np.arange(7) + 9000
    a, inputs, _, _ = corrupt_spans(
        offsets, values, keys, active, np.full(7, 0.15), np.full(7, 3.0), modes, 5000, -1, 100, -1
    )
    counts = np.bincount(inputs[a[:-1]] - 9000, minlength=7)
    assert all(within(n, 7000, 1 / 7) for n in counts)


def test_infilling() -> None:
    offsets, values, keys, active = rows([0, 1, 5, 400] + [100] * 2000)
    o, ids = infill_spans(offsets, values, keys, active, 0.3, 3.0, 3, False, NONE)
    for i in range(len(offsets) - 1):
        n, out = offsets[i + 1] - offsets[i], ids[o[i] : o[i + 1]].tolist()
        kept = [t for t in out if t != 3]
        assert len(kept) == n - math.ceil(0.3 * n)
        assert not any(x == y == 3 for x, y in zip(out, out[1:], strict=False))
        source = iter(values[offsets[i] : offsets[i + 1]].tolist())
        assert all(t in source for t in kept)  # in order
    masks = int((ids == 3).sum())
    assert abs(0.3 * len(values) / masks - 3.0) < 0.15  # the last span of a row is cut short, empty ones count


def test_sentence_permutation() -> None:
    values = np.array([11, 12, 9, 21, 9, 31, 32, 33], np.int32)
    ends = np.zeros(10, np.bool_)
    ends[9] = True
    seen = set()
    for seed in range(100):
        keys = np.array([Keyed(seed).base], np.uint64)
        o, ids = infill_spans(np.array([0, 8], np.int32), values, keys, np.ones(1, np.bool_), 1e-9, 3.0, 3, True, ends)
        order = [t // 10 for t in ids[: o[1]].tolist() if t > 10]
        seen.add(tuple(dict.fromkeys(order)))  # now and then the lost token is all of a sentence
    assert len([s for s in seen if len(s) == 3]) == 6


def test_prefix_is_uniform() -> None:
    offsets, values, keys, active = rows([0, 1] + [5] * 8000)
    labels, loss, lengths = split_prefix(offsets, values, keys, active)
    assert lengths[:2].tolist() == [0, 1]
    assert all(within(n, 8000, 0.25) for n in np.bincount(lengths[2:])[1:])
    assert np.array_equal(loss == 1, labels != IGNORED)
    assert loss.sum() == (5 - lengths[2:]).sum()


def test_inactive_rows_stay() -> None:
    offsets, values, keys, active = rows([50, 50])
    active[0] = False
    ids, _, loss = mask_tokens(offsets, values, keys, active, 0.5, np.array([1.0, 0.0]), 3, 100, NONE, NONE)
    assert np.array_equal(ids[:50], values[:50])
    assert loss[:50].sum() == 0 < loss[50:].sum()
    a, inputs, b, _ = corrupt_spans(
        offsets, values, keys, active, np.array([0.15]), np.array([3.0]), np.array([-1]), 5000, -1, 100, 1
    )
    assert np.array_equal(inputs[: a[1]], values[:50])
    assert b[1] == 0
    o, ids = infill_spans(offsets, values, keys, active, 0.3, 3.0, 3, False, NONE)
    assert np.array_equal(ids[: o[1]], values[:50])
    assert split_prefix(offsets, values, keys, active)[2][0] == 50


def test_spans_of_a_long_document_keep_their_mean_length() -> None:
    """5,600 tokens at rate 0.15 would be 280 spans of 3: with 100 sentinels there are 100 of them, not longer ones."""
    offsets, values = np.array([0, 5600], np.int32), np.arange(5600, dtype=np.int32)
    one = (np.array([7], np.uint64), np.ones(1, np.bool_), np.array([0.15]), np.array([3.0]), np.array([-1]))
    _, inputs, _, targets = corrupt_spans(offsets, values, *one, 9000, 1, 100, -1)
    assert (inputs >= 9000).sum() == (targets >= 9000).sum() == 100
    assert (targets < 9000).sum() == 300
