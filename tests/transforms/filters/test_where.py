import pyarrow as pa
import pytest
from pydantic import ValidationError

from transforms.errors import RecipeError
from transforms.filters.where import Where
from transforms.random import Keyed

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
