import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.sample import Sample
from corpusmill.transforms.random import Keyed

IDS = [f"doc-{i}" for i in range(20_000)]
ROWS = pa.record_batch({"id": IDS, "text": ["x"] * len(IDS)})


def kept(fraction, rows=ROWS, seed=1):
    verdict = Sample(fraction=fraction).judge(rows, Keyed(seed=seed, step="sample"))
    return set(rows.filter(pa.array(verdict.kept)).column("id").to_pylist())


def test_share_nesting_and_independence_of_seeds():
    a, b, other = kept(0.1), kept(0.3), kept(0.3, seed=2)
    assert abs(len(a) - 2000) < 3 * np.sqrt(20_000 * 0.09)
    assert a < b
    assert abs(len(b & other) - 20_000 * 0.09) < 4 * np.sqrt(20_000 * 0.09)


def test_neither_order_nor_sharding_matters():
    halves = kept(0.2, ROWS.slice(0, 7000)) | kept(0.2, ROWS.slice(7000))
    reverse = ROWS.take(pa.array(range(len(IDS) - 1, -1, -1)))
    assert kept(0.2) == halves == kept(0.2, reverse)


def test_golden():
    assert sorted(kept(0.001))[:3] == GOLDEN


def test_bounds():
    assert kept(0.0) == set()
    assert len(kept(1.0)) == len(IDS)
    assert Sample(fraction=0.5)(ROWS.slice(0, 0)).num_rows == 0
    with pytest.raises(RecipeError):
        Sample(fraction=1.5)


GOLDEN = ["doc-10634", "doc-10796", "doc-11052"]
