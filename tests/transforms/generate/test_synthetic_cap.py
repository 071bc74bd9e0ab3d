"""The cap on generated text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.synthetic_cap import SyntheticCap, within
from tests.transforms.generate.two_shards import grouped


@pytest.mark.parametrize("cut", [0, 1, 30, 60])
def test_cap_keeps_real_text_and_balances_classes(cut: int) -> None:
    n = 60
    rows = pa.record_batch(
        {
            "id": [str(i) for i in range(n)],
            "text": ["数据" * 5 if i % 2 else "x" * 30 for i in range(n)],
            "source": ["s"] * n,
            "origin": ["synthetic" if i % 3 else "real" for i in range(n)],
            "label": ["a" if i % 4 else "b" for i in range(n)],
        }
    )
    kept = grouped(SyntheticCap(), rows, cut)
    origin = dict(zip(rows["id"].to_pylist(), rows["origin"].to_pylist()))
    made = [i for i in kept if origin[i] == "synthetic"]
    assert len(kept) - len(made) == 20 == len(made)  # as many bytes of each: half
    assert sum(int(i) % 4 == 0 for i in made) == 10  # half of each label
    assert sorted(kept) == sorted(grouped(SyntheticCap(), rows, 7))
    assert len(grouped(SyntheticCap(max_share=0.0), rows, cut)) == 20


def test_cap_without_real_text_keeps_nothing_made() -> None:
    rows = pa.record_batch({"id": ["a"], "text": ["t"], "source": ["s"], "parent": ["p"]})
    assert grouped(SyntheticCap(), rows, 1) == []
    assert grouped(SyntheticCap(), rows.slice(0, 0), 0) == []
    assert within(np.array([5]), np.array([0]), np.array([0]), 4).tolist() == [False]


@pytest.mark.parametrize(("name", "values"), [("origin", [1]), ("label", [0.5])])
def test_a_column_of_another_type_is_refused_by_name(name: str, values: list) -> None:
    rows = pa.record_batch({"id": ["a"], "text": ["t"], "source": ["s"], name: values})
    with pytest.raises(RecipeError, match=f"synthetic-cap: the column `{name}` holds"):
        grouped(SyntheticCap(), rows, 1)
