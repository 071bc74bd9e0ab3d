import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.filter import UserFilter
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import batch

HERE = __name__


def has_a(rows):
    return ["a" in t for t in rows.column("text").to_pylist()]


def size(rows, unit=1):
    return np.array([len(t) / unit for t in rows.column("text").to_pylist()])


def chunked(rows):
    return pa.chunked_array([pa.array([len(t) for t in rows.column("text").to_pylist()], pa.int32())])


def too_few(rows):
    return [True]


def one_answer(rows):
    return True


def mixed(rows):
    return [True, "yes", {}]


def breaks(rows):
    return rows.column("lang")


def words(rows):
    return rows.column("text")


def ids(**fields):
    return UserFilter(**fields)(batch(["a", "bb", "ccc"])).column("id").to_pylist()


def test_booleans_scores_and_options():
    assert ids(call=f"{HERE}:has_a") == ["0"]
    assert ids(call=f"{HERE}:size", min_score=2) == ["1", "2"]
    assert ids(call=f"{HERE}:size", max_score=1, options={"unit": 2}) == ["0", "1"]
    assert ids(call=f"{HERE}:chunked", max_score=2) == ["0", "1"]
    assert UserFilter(call=f"{HERE}:size", min_score=2)(batch([])).num_rows == 0
    assert UserFilter(call=f"{HERE}:has_a")(batch([])).num_rows == 0


def test_the_reason_says_which_and_the_value_how_much():
    verdict = UserFilter(call=f"{HERE}:size", min_score=2).judge(batch(["a"]), Keyed())
    assert verdict.reasons[verdict.codes[0]] == "min_score"
    assert verdict.values.tolist() == verdict.scores["score"].tolist() == [1.0]


def test_the_file_of_the_function_is_part_of_the_recipe():
    assert UserFilter(call=f"{HERE}:size").files() == [__file__]
    assert UserFilter(call="time:time").files() == []  # built in: no file


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"call": "no_such_module_here:f"}, "cannot be imported"),
        ({"call": f"{HERE}:nothing"}, "has no function"),
        (
            {"call": f"{HERE}:too_few"},
            r"test_filter.py:\d+: `too_few` returned 1 values for 3 documents; it must return",
        ),
        ({"call": f"{HERE}:one_answer"}, "`one_answer` returned a bool; it must return true or false"),
        ({"call": f"{HERE}:mixed"}, "`mixed` returned a list of length 3; it must return true or false"),
        ({"call": f"{HERE}:breaks"}, r"test_filter.py:\d+: `breaks` raised KeyError: .*lang.*; mend it"),
        ({"call": f"{HERE}:size"}, "set min_score or max_score"),
        ({"call": f"{HERE}:has_a", "min_score": 1}, "leave min_score"),
        ({"call": f"{HERE}:words", "min_score": 1}, "return booleans or numbers"),
    ],
)
def test_mistakes_are_named(fields, message):
    with pytest.raises(RecipeError, match=message):
        ids(**fields)


def test_a_path_that_is_none():
    with pytest.raises(RecipeError, match="write it as package"):
        UserFilter(call="not a path")
    with pytest.raises(RecipeError, match="no module"):
        UserFilter(call="no_such_module_here:f").files()
