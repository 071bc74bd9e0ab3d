"""Equally many documents of each class."""

from __future__ import annotations

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.class_balance import ClassBalance
from tests.transforms.generate.two_shards import grouped


def test_class_balance_step() -> None:
    n = 40
    label = ["a"] * 30 + ["b"] * 9 + ["a"]
    confidence = [i / n for i in range(39)] + [None]
    rows = pa.record_batch(
        {
            "id": [str(i) for i in range(n)],
            "text": ["t"] * n,
            "source": ["s"] * n,
            "label": label,
            "confidence": confidence,
        }
    )
    kept = grouped(ClassBalance(share=0.2), rows, 11)
    assert kept == ["26", "27", "28", "29", "35", "36", "37", "38", "39"]


@pytest.mark.parametrize("column", ["label", "confidence"])
def test_class_balance_needs_its_columns(column: str) -> None:
    rows = pa.record_batch({"id": ["a"], "text": ["t"], "source": ["s"], "label": ["x"], "confidence": [0.5]})
    with pytest.raises(RecipeError, match=f"no column `{column}`"):
        grouped(ClassBalance(), rows.drop_columns(column), 1)


@pytest.mark.parametrize(("name", "values"), [("confidence", ["high"]), ("label", [["x"]])])
def test_a_column_of_another_type_is_refused_by_name(name: str, values: list) -> None:
    columns = {"label": ["x"], "confidence": [0.5]} | {name: values}
    with pytest.raises(RecipeError, match=f"class-balance: the column `{name}` holds"):
        grouped(ClassBalance(), pa.record_batch({"id": ["a"], "text": ["t"], "source": ["s"], **columns}), 1)
