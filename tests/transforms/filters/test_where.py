import pyarrow as pa
import pytest
from pydantic import ValidationError

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.where import Where
from corpusmill.transforms.random import Keyed

ROWS = pa.record_batch(
    {
        "id": list("abcd"),
        "text": [""] * 4,
        "lang": ["en", "zh", None, "de"],
        "n": [1, 2, None, 4],
        "ok": [True, False, None, True],
    }
)


def kept(**fields):
    return "".join(Where(**fields)(ROWS).column("id").to_pylist())


def test_values_and_ranges():
    assert kept(column="lang", keep=["en", "de"]) == "ad"
    assert kept(column="lang", drop=["en"]) == "bcd"
    assert kept(column="n", min_value=2) == "bd"
    assert kept(column="n", min_value=1, max_value=2) == "ab"
    assert kept(column="ok", keep=[True]) == "ad"
    assert kept(column="lang", keep=[]) == ""


def of(column, **fields):
    rows = pa.record_batch({"id": list("abc"), "text": [""] * 3, "x": column})
    return "".join(Where(column="x", **fields)(rows).column("id").to_pylist())


def test_integers_beyond_those_of_float64():
    big = pa.array([2**60 + 1, 5, None])
    assert of(big, keep=[2**60 + 1]) == of(big, min_value=6) == "a"
    assert of(big, keep=[2**60]) == ""
    assert of(pa.array([2**63 + 1, 5, 6], pa.uint64()), drop=[5]) == "ac"


def test_a_column_without_any_value():
    nothing = pa.nulls(3)
    assert (
        of(nothing, keep=["a"]) == of(nothing, keep=[1]) == of(nothing, min_value=1) == of(nothing, max_value=1) == ""
    )
    assert of(nothing, drop=["a"]) == "abc"


def test_reasons_values_and_dictionary_columns():
    verdict = Where(column="n", max_value=3).judge(ROWS, Keyed())
    assert verdict.reasons[verdict.codes[3]] == "max_value"
    assert verdict.values[3] == 4
    rows = ROWS.set_column(2, "lang", ROWS.column("lang").dictionary_encode())
    assert Where(column="lang", keep=["zh"])(rows).num_rows == 1
    assert Where(column="lang", keep=["zh"])(ROWS.slice(0, 0)).num_rows == 0


def test_mistakes():
    with pytest.raises(ValidationError, match="nothing is asked for"):
        Where(column="n")
    with pytest.raises(RecipeError, match="no column `x`"):
        kept(column="x", keep=["a"])
    with pytest.raises(RecipeError, match="cannot bound"):
        kept(column="lang", min_value=1)
    with pytest.raises(RecipeError, match="holds int64"):
        kept(column="n", keep=["two"])
