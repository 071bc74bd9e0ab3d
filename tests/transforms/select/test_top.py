"""The highest values of a column, exactly, per group, whatever the sharding."""

import math

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.select.top import Top
from tests.transforms.dedup.harness import cut, documents, run

VALUES = np.random.default_rng(0).permutation(100).astype(float).tolist()


def table(values: list, **columns: object) -> pa.Table:
    return documents([f"text {i}" for i in range(len(values))], score=values, **columns)


def kept_values(outcome) -> list:
    return sorted(outcome.documents["score"].to_pylist())


@pytest.mark.parametrize("shards", [1, 3, 9])
def test_exactly_the_highest_are_kept(shards):
    outcome = run(Top(by="score", share=0.25), cut(table(VALUES), shards, 7, seed=shards), partitions=2, shuffle=1)
    assert kept_values(outcome) == [float(v) for v in range(75, 100)]
    assert {(r, v < 75) for r, v, _ in outcome.dropped.values()} == {("below-top", True)}


def test_the_lowest_and_a_budget():
    assert kept_values(run(Top(by="score", budget=5, lowest=True), cut(table(VALUES)))) == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_each_group_keeps_its_own_share():
    langs = ["en" if v >= 50 else "zh" for v in VALUES]
    langs[3] = None
    outcome = run(Top(by="score", share=0.1, within="lang"), cut(table(VALUES, lang=langs), 4), partitions=3)
    counts = {k: outcome.documents["lang"].to_pylist().count(k) for k in ("en", "zh")}
    assert counts == {"en": 5, "zh": 5}


def test_documents_without_a_value_go():
    outcome = run(Top(by="score", share=1.0), cut(table([1.0, None, math.nan, 2.0]), 2))
    assert kept_values(outcome) == [1.0, 2.0]
    assert {r for r, _, _ in outcome.dropped.values()} == {"no-value"}


def test_equal_values_are_drawn_by_id_not_by_place():
    expected = run(Top(by="score", budget=10), cut(table([1.0] * 60))).kept
    assert len(expected) == 10
    for seed in range(3):
        assert run(Top(by="score", budget=10), cut(table([1.0] * 60), 5, 4, seed=seed), partitions=4).kept == expected


def test_bytes_are_counted():
    given = documents(["x" * 10, "y" * 20, "z" * 40], score=[3, 2, 1])
    assert run(Top(by="score", budget=30, unit="bytes"), cut(given)).kept == ["d00000", "d00001"]
    assert run(Top(by="score", budget=29, unit="bytes"), cut(given)).kept == ["d00000"]


def test_no_documents():
    assert run(Top(by="score", share=0.5), cut(table([]).cast(table([1.0]).schema), 2)).kept == []


def test_a_column_that_is_absent_or_no_number_is_named():
    with pytest.raises(
        RecipeError, match=r"top\.by: documents have no column `nope`; they have id, text, source, score"
    ):
        run(Top(by="nope", share=0.5), cut(table([1.0])))
    with pytest.raises(RecipeError, match=r"top\.by: the column `text` holds string; name a column of numbers"):
        run(Top(by="text", share=0.5), cut(table([1.0])))
    with pytest.raises(RecipeError, match=r"top\.within: documents have no column `lang`"):
        run(Top(by="score", share=0.5, within="lang"), cut(table([1.0])))


@pytest.mark.parametrize("fields", [{}, {"share": 0.5, "budget": 1}, {"share": 0.0}, {"share": 1.5}])
def test_one_limit(fields):
    with pytest.raises(RecipeError):
        Top(by="score", **fields)


def test_several_columns_are_combined_by_their_ranks():
    other = [v * 1000 if v >= 50 else -v for v in VALUES]  # another scale, and another order below
    both = table(VALUES, other=other)
    mean = run(Top(by=("score", "other"), share=0.5), cut(both, 3, 7), partitions=2)
    assert kept_values(mean) == [float(v) for v in range(50, 100)]
    assert run(Top(by=("score",), share=0.5), cut(both)).kept == run(Top(by="score", share=0.5), cut(both)).kept
    missing = table([1.0, None, 3.0], other=[1.0, 2.0, math.nan])
    outcome = run(Top(by=("score", "other"), share=1.0), cut(missing))
    assert kept_values(outcome) == [1.0]
    assert {r for r, _, _ in outcome.dropped.values()} == {"no-value"}


def test_the_highest_rank_keeps_the_best_of_either_column():
    given = table([1.0, 2.0, 3.0, 4.0], other=[40.0, 30.0, 20.0, 10.0])
    assert kept_values(run(Top(by=("score", "other"), budget=2, combine="max"), cut(given))) == [1.0, 4.0]
    assert kept_values(run(Top(by=("score", "other"), budget=2, combine="max", lowest=True), cut(given))) == [1.0, 4.0]


def test_ranks_are_within_groups():
    given = table([1.0, 2.0, 30.0, 40.0], other=[5.0, 6.0, 7.0, 8.0], lang=["en", "en", "zh", "zh"])
    outcome = run(Top(by=("score", "other"), share=0.5, within="lang"), cut(given, 2))
    assert kept_values(outcome) == [2.0, 40.0]
