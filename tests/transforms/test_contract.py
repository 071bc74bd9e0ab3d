"""A step of the user's own that returns the wrong thing: their mistake, with file and line, what came and what is expected."""

import inspect
import re

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Applied, Decided, Expand, Filter, Group, Map, Verdict
from corpusmill.transforms.contract import METHODS, signature_problem
from corpusmill.transforms.errors import RecipeError, SourceError
from corpusmill.transforms.random import Keyed

BATCH = pa.record_batch({"id": ["a", "b"], "text": ["one", "two"], "source": ["s", "s"]})
ROWS = np.arange(2, dtype=np.uint32)
KEYS = pa.record_batch({"key": pa.array([1, 2], pa.uint64()), "row": pa.array([0, 1], pa.uint32())})
DECISIONS = pa.table({"shard": pa.array([0], pa.uint32()), "row": pa.array([1], pa.uint32())})


def verdict(codes=(-1, 0), values=(np.nan, 1.0), reasons=("short",), **more):
    return Verdict(reasons, np.array(codes, np.int16), np.array(values), **more)


def own(kind: type, method: str, result):
    """A step of that kind whose method returns `result`."""

    class Group0(Group):
        name = "own"

        def keys(self, rnd, batch, rows, decisions):
            return result if method == "keys" else KEYS

        def decide(self, rnd, keys):
            return result if method == "decide" else Decided(DECISIONS)

        def apply(self, batch, rows, decisions):
            return result

    class Map0(Map):
        name = "own"

        def map(self, batch, rng):
            return result

    class Filter0(Filter):
        name = "own"

        def judge(self, batch, rng):
            return result

    class Expand0(Expand):
        name = "own"

        def expand(self, batch, rng):
            return result

    return {Map: Map0, Filter: Filter0, Expand: Expand0, Group: Group0}[kind]()


ARGUMENTS = {
    "map": (BATCH, Keyed()),
    "judge": (BATCH, Keyed()),
    "expand": (BATCH, Keyed()),
    "keys": (0, BATCH, ROWS, None),
    "decide": (0, pa.Table.from_batches([KEYS])),
    "apply": (BATCH, ROWS, DECISIONS),
}
DERIVED = pa.record_batch({**{n: BATCH.column(n) for n in ("text", "source")}, "id": ["a", "c"]})


@pytest.mark.parametrize(
    ("kind", "method", "result", "came", "wanted"),
    [
        (Map, "map", None, "nothing", "a RecordBatch of the same rows"),
        (Map, "map", ["x", "y"], "a list of length 2", "a RecordBatch of the same rows"),
        (Map, "map", BATCH.slice(1), "1 rows for 2", "derive the class from Filter"),
        (Map, "map", BATCH.drop_columns("text"), "a batch without the column `text`", "a RecordBatch"),
        (Map, "map", set_column(BATCH, "text", [1, 2]), "a column `text` of int64", "column.cast(pa.string())"),
        (Map, "map", set_column(BATCH, "id", ["a", "c"]), "another `id` for some row", "with `id` as it was"),
        (Filter, "judge", [True, False], "a list of length 2", "a Verdict"),
        (Filter, "judge", True, "a bool", "- text-filter: {call: module:function}"),
        (Filter, "judge", np.array([True, False]), "an array of bool [2]", "a Verdict"),
        (Filter, "judge", BATCH, "a RecordBatch", "a Verdict"),
        (
            Filter,
            "judge",
            verdict([0], [1.0]),
            "a Verdict whose `codes` is an array of int16 [1]",
            "each of the 2 rows",
        ),
        (
            Filter,
            "judge",
            verdict(values=[1.0]),
            "a Verdict whose `values` is an array of float64 [1]",
            "each of the 2",
        ),
        (Filter, "judge", verdict([-1, 3]), "the code 3 with 1 reasons", "below the number of `reasons`"),
        (
            Filter,
            "judge",
            Verdict(("r",), np.array([-1.0, 0]), np.zeros(2)),
            "`codes` are float64",
            "-1 for a kept row",
        ),
        (Filter, "judge", verdict(scores={"s": np.zeros(3)}), "`s` is an array of float64 [3]", "each of the 2 rows"),
        (Filter, "judge", verdict(batch=BATCH.slice(1)), "1 rows for 2", "`batch` with the same rows"),
        (Expand, "expand", [BATCH], "a list of length 1", "a RecordBatch of the originals"),
        (Expand, "expand", DERIVED, "a derived row without `parent`", "a `parent`"),
        (Expand, "expand", BATCH.take(pa.array([0, 0, 1])), "an original more than once", "at most once"),
        (Group, "keys", BATCH, "a batch without the column `key`", "`key` uint64"),
        (Group, "keys", set_column(KEYS, "key", [1, 2]), "a column `key` of int64", "`key` uint64"),
        (Group, "decide", DECISIONS, "a Table of length 1", "a Decided"),
        (Group, "decide", Decided(DECISIONS.drop_columns("shard")), "without the column `shard`", "`shard` uint32"),
        (Group, "apply", BATCH, "a RecordBatch", "Applied.without"),
        (
            Group,
            "apply",
            Applied(BATCH, np.array([1]), ["r"], [0.0], [None]),
            "2 rows and 1 dropped ones for 2",
            "Applied",
        ),
    ],
)
def test_a_wrong_result_names_the_place_what_came_and_what_is_expected(kind, method, result, came, wanted):
    step = own(kind, method, result)
    with pytest.raises(RecipeError) as error:
        getattr(step, method)(*ARGUMENTS[method])
    message = str(error.value)
    line = inspect.unwrap(getattr(type(step), method)).__code__.co_firstlineno
    assert message.startswith(f"{__file__}:{line}: `{type(step).__name__}.{method}` returned ")
    came_part, _, wanted_part = message.partition("; it must return ")
    assert came in came_part
    assert wanted in wanted_part
    assert "defect" not in message


@pytest.mark.parametrize(
    ("kind", "method", "result"),
    [
        (Map, "map", set_column(BATCH, "text", ["x", None])),
        (Filter, "judge", verdict()),
        (Filter, "judge", verdict(scores={"n": np.zeros(2)}, batch=set_column(BATCH, "lang", ["en", "de"]))),
        (Expand, "expand", BATCH.slice(1)),
        (Expand, "expand", DERIVED.append_column("parent", pa.array([None, "a"]))),
        (Group, "keys", KEYS),
        (Group, "decide", Decided(DECISIONS)),
        (Group, "apply", Applied.without(BATCH, np.array([1]), ["r"], [0.0])),
    ],
)
def test_a_right_result_passes_as_it_is(kind, method, result):
    assert getattr(own(kind, method, result), method)(*ARGUMENTS[method]) is result


def test_an_error_inside_names_its_own_line_and_those_of_corpusmill_pass():
    class Breaks(Map):
        name = "breaks"

        def map(self, batch, rng):
            return {}["absent"]

    class Refuses(Map):
        name = "refuses"

        def map(self, batch, rng):
            raise SourceError("row 3 is wrong")

    line = inspect.unwrap(Breaks.map).__code__.co_firstlineno + 1
    match = re.escape(f"{__file__}:{line}: `Breaks.map` raised KeyError: 'absent'; mend it")
    with pytest.raises(RecipeError, match=match):
        Breaks().map(BATCH, Keyed())
    with pytest.raises(SourceError, match="row 3 is wrong"):
        Refuses().map(BATCH, Keyed())


def test_a_wrong_signature_is_told_with_the_right_one():
    class Short(Filter):
        name = "short"

        def judge(self, batch):
            return verdict()

    problem = str(signature_problem(Short))
    assert re.search(r"test_contract\.py:\d+: `Short\.judge` is `judge\(self, batch\)`", problem)
    assert problem.endswith("it must take `judge(self, batch, rng)`")
    for kind in (Map, Filter, Expand, Group):
        assert signature_problem(type(own(kind, "", None))) is None


def test_steps_of_corpusmill_are_not_wrapped():
    from corpusmill.transforms.clean.clean import Clean
    from corpusmill.transforms.dedup.exact import Exact

    for cls in (Clean, Exact):
        assert not any(hasattr(getattr(cls, name, None), "__wrapped__") for name in METHODS)
