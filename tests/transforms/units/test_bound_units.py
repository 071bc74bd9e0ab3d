"""Bounds on what a unit gives, the same however documents lie in shards."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.units.bound_units import BoundUnits
from tests.transforms.dedup.harness import cut, documents, run


def users(n: int = 200, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    who = [f"u{i}" for i in np.minimum(rng.geometric(0.15, n), 30)]
    return documents([f"文 {i % 7}" for i in range(n)], user=who, n_tokens=pa.array(rng.integers(1, 30, n), pa.int32()))


def test_no_unit_keeps_more_than_its_bounds():
    table = users()
    out = run(BoundUnits(by="user", max_rows=3, max_tokens=40), cut(table, 4, seed=1), partitions=3)
    kept = out.documents.group_by("user").aggregate([("id", "count"), ("n_tokens", "sum")])
    assert max(kept["id_count"].to_pylist()) == 3
    assert max(kept["n_tokens_sum"].to_pylist()) <= 40
    assert len(out.dropped) + out.documents.num_rows == table.num_rows
    assert {reason for reason, _, _ in out.dropped.values()} == {"beyond-bounds-of-unit"}


def test_the_same_documents_stay_wherever_they_lie():
    table = users()
    first = run(BoundUnits(by="user", max_rows=2), cut(table)).kept
    for shards, partitions, seed in ((1, 5, 3), (7, 2, 4), (300, 1, 5)):
        assert (
            run(BoundUnits(by="user", max_rows=2), cut(table, shards, 40, seed), partitions, shuffle=seed).kept == first
        )
    assert run(BoundUnits(by="user", max_rows=2, seed=9), cut(table)).kept != first


def test_one_unit_does_not_touch_another():
    table = users()
    kept = set(run(BoundUnits(by="user", max_rows=2, distinct=True), cut(table)).kept)
    some = table.filter(pa.array([u != "u1" for u in table["user"].to_pylist()]))
    without = set(run(BoundUnits(by="user", max_rows=2, distinct=True), cut(some)).kept)
    assert kept & set(some["id"].to_pylist()) == without


def test_equal_documents_of_a_unit_count_once():
    table = documents(["a", "a", "a", "b", "a"], user=["x", "x", "x", "x", "y"])
    out = run(BoundUnits(by="user", max_rows=None, distinct=True), cut(table, 2))
    assert sorted(out.documents["text"].to_pylist()) == ["a", "a", "b"]
    assert {reason for reason, _, _ in out.dropped.values()} == {"repeats-within-unit"}


def test_empty_and_single_documents():
    table = documents(["x"], user=["u"])
    assert run(BoundUnits(by="user", max_rows=1), cut(table, 3)).kept == ["d00000"]
    assert run(BoundUnits(by="user"), cut(table.slice(0, 0))).kept == []
    assert run(BoundUnits(by="user"), cut(documents(["", " "], user=["u", "u"]))).kept == ["d00000", "d00001"]


def test_what_cannot_be_bounded_is_refused():
    with pytest.raises(RecipeError, match="nothing is bounded"):
        BoundUnits(max_rows=None)
    with pytest.raises(RecipeError, match="put the step `unit` before"):
        run(BoundUnits(), cut(documents(["x"])))
    with pytest.raises(RecipeError, match="`tokenize`"):
        run(BoundUnits(by="user", max_tokens=3), cut(documents(["x"], user=["u"])))
    with pytest.raises(RecipeError, match="document d00001 has no `user`"):
        run(BoundUnits(by="user"), cut(documents(["x", "y"], user=["u", None])))
