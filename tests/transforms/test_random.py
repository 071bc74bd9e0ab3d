import numpy as np
import pyarrow as pa
from numba import njit

from corpusmill.transforms.random import Keyed, below, draw, draw_array, uniform, uniform_array

IDS = pa.array([f"doc-{i}" for i in range(4_000)])


@njit
def _streams(keys, n):
    out = np.empty((len(keys), n))
    for i in range(len(keys)):
        for c in range(n):
            out[i, c] = uniform(keys[i], c)
    return out


@njit
def _counts(keys, n):
    out = np.zeros(n, np.int64)
    for i in range(len(keys)):
        out[below(keys[i], 5, n)] += 1
    return out


@njit
def _draw(key, counter):
    return draw(key, counter)


def test_golden_draws_never_change():
    key = Keyed(1, "noise").key("doc-1")
    assert key == int(Keyed(1, "noise").keys(IDS)[1])
    assert [int(x) for x in draw_array(np.array([0, 1], np.uint64))] == [
        int(_draw(np.uint64(0), 0)),
        int(_draw(np.uint64(1), 0)),
    ]


def test_numpy_and_numba_agree():
    keys = Keyed(3, "x").keys(IDS)
    assert (_streams(keys, 3)[:, 2] == uniform_array(keys, 2)).all()


def test_a_key_depends_on_seed_step_epoch_and_id_only():
    base = Keyed(1, "noise")
    keys = base.keys(IDS)
    order = np.random.default_rng(0).permutation(len(IDS))
    assert (base.keys(IDS.take(pa.array(order))) == keys[order]).all()
    others = (Keyed(2, "noise"), Keyed(1, "mix"), base.at(1))
    for other in others:
        assert not (other.keys(IDS) == keys).any()
        assert abs(np.corrcoef(uniform_array(keys), uniform_array(other.keys(IDS)))[0, 1]) < 4 / np.sqrt(len(IDS))


def test_draws_are_uniform_and_uncorrelated():
    x = _streams(Keyed(1, "noise").keys(IDS), 8)
    n = len(IDS)
    assert np.abs(x.mean(0) - 0.5).max() < 4 * np.sqrt(1 / 12 / n)
    correlation = np.corrcoef(x.T) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(n)
    counts = _counts(Keyed(1, "noise").keys(IDS), 10)
    assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 33  # chi-square, 9 degrees of freedom, p = 1e-4
