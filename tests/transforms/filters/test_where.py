import pyarrow as pa
import pytest

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
    with pytest.raises(RecipeError, match="nothing is asked for"):
        Where(column="n")
    with pytest.raises(RecipeError, match="no column `x`"):
        kept(column="x", keep=["a"])
    with pytest.raises(RecipeError, match="cannot bound"):
        kept(column="lang", min_value=1)
    with pytest.raises(RecipeError, match="holds int64"):
        kept(column="n", keep=["two"])


@pytest.mark.parametrize(
    ("column", "values", "kept"),
    [
        ([0, 1, 2], [1.5], ""),
        ([0, 1, 2], [1.0, 2], "bc"),
        ([0, 1, 2], [2**70, float("inf"), float("nan")], ""),
        (pa.array([0, 1, 2], pa.int8()), [300, 2], "c"),
        ([0.0, 1.5, float("nan")], [1.5, 0], "ab"),
        ([0.0, 1.5, 2.0**53], [2**53 + 1], ""),
        (pa.array(["1.50", "2.25", None]).cast(pa.decimal128(6, 2)), [1.5, 2.251], "a"),
        (pa.array(["x", "y", "1"], pa.large_string()), ["1"], "c"),
        (pa.array([0, 1, None], pa.timestamp("s", "UTC")), ["1970-01-01T00:00:01Z"], "b"),
        (pa.array([0, 1, None], pa.date32()), ["1970-01-02"], "b"),
    ],
)
def test_values_are_compared_as_they_are(column, values, kept):
    assert of(column, keep=values) == kept
    assert of(column, drop=values) == "".join(c for c in "abc" if c not in kept)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ([0, 1, 2], "1"),
        ([0, 1, 2], True),
        ([0.5, 1, 2], "0.5"),
        (["a", "b", "1"], 1),
        ([True, False, None], 1),
        ([True, False, None], "true"),
        (pa.array([0, 1, None], pa.date32()), "yesterday"),
        ([[1], [2], None], 1),
        ([b"a", b"b", None], "a"),
    ],
)
def test_a_value_of_another_kind_is_one_clear_error(column, value):
    with pytest.raises(RecipeError, match=r"^where: column `x` holds .*, which is never "):
        of(column, keep=[value])
