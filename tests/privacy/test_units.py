"""Whose a row is, and how much a unit may give."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.privacy.units import Units, bounded, unit_of
from corpusmill.transforms.errors import PrivacyError, RecipeError


def table(**columns: list) -> pa.Table:
    return pa.table(columns)


def test_the_unit_of_a_document_and_of_what_is_derived_from_it():
    rows = table(id=["a", "a1", "b"], parent=[None, "a", None])
    assert unit_of(rows).to_pylist() == ["a", "a", "b"]
    assert unit_of(table(id=["a", "b"])).to_pylist() == ["a", "b"]
    assert unit_of(table(id=["x"], unit=["u"])).to_pylist() == ["u"]


def test_a_user_column_is_the_unit():
    rows = table(id=["a", "b"], user=["ann", "bob"])
    assert unit_of(rows, "user").to_pylist() == ["ann", "bob"]
    assert unit_of(table(id=["a"], user=[7]), "user").to_pylist() == ["7"]
    assert unit_of(table(id=["a"], user=[["ann"]]), "user").to_pylist() == ["ann"]


def test_what_has_no_unit_is_refused():
    with pytest.raises(PrivacyError, match="document b: has no `user`"):
        unit_of(table(id=["a", "b"], user=["ann", None]), "user")
    with pytest.raises(PrivacyError, match="rows do not have"):
        unit_of(table(id=["a"]), "user")
    with pytest.raises(PrivacyError, match="pieces of several documents"):
        unit_of(table(id=["r"], documents=[["a", "b"]]))
    with pytest.raises(PrivacyError, match="derived itself"):
        unit_of(table(id=["a", "b", "c"], parent=[None, "a", "b"]))


def test_several_owners_are_refused_or_dropped():
    rows = table(id=["a", "b", "c"], user=[["ann"], ["ann", "bob"], []])
    with pytest.raises(PrivacyError, match="several owners"):
        unit_of(rows.slice(0, 2), "user")
    assert unit_of(rows, "user", owners="drop").to_pylist() == ["ann", None, None]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**64 - 1), st.integers(0, 9)), max_size=40), st.randoms())
def test_bounds_hold_and_depend_on_the_units_own_rows_only(items, random):
    units, draws, tokens = (
        np.array([i[k] for i in items], t) for k, t in ((0, np.int64), (1, np.uint64), (2, np.int64))
    )
    kept = bounded(units, draws, 3, tokens, 12)
    for u in set(units.tolist()):
        mine = units == u
        assert kept[mine].sum() <= 3
        assert tokens[mine & kept].sum() <= 12
        alone = bounded(units[mine], draws[mine], 3, tokens[mine], 12)
        if len(set(draws[mine].tolist())) == mine.sum():
            assert alone.tolist() == kept[mine].tolist()
    if len(set(draws.tolist())) == len(items):
        order = list(range(len(items)))
        random.shuffle(order)
        moved = bounded(units[order], draws[order], 3, tokens[order], 12)
        assert moved.tolist() == kept[order].tolist()


def test_unbounded_and_empty():
    assert bounded(np.array([1, 1]), np.array([1, 2], np.uint64)).all()
    assert bounded(np.zeros(0, np.int64), np.zeros(0, np.uint64), 2).tolist() == []
    with pytest.raises(RecipeError, match="number of tokens"):
        bounded(np.array([1]), np.array([1], np.uint64), max_tokens=3)


def test_units_number_their_rows_by_name_and_not_by_place():
    names = pa.array(["ann", "bob", "ann", "cyd", "bob", "bob"])
    units = Units.of(names)
    assert units.count == 3
    for n in range(3):
        rows = units.rows(np.array([n]))
        assert len({names[int(r)].as_py() for r in rows}) == 1
        assert units.sizes[n] == len(rows)
    order = [5, 2, 0, 4, 3, 1]
    moved = Units.of(names.take(pa.array(order)))
    assert moved.number.tolist() == units.number[order].tolist()


def test_physical_batches_hold_whole_units():
    units = Units(np.repeat(np.arange(5), [1, 4, 2, 9, 1]))
    batches = units.batches(np.array([0, 1, 2, 3, 4]), 5)
    assert [len(b) for b in batches] == [5, 2, 9, 1]
    assert sorted(np.concatenate(batches).tolist()) == list(range(17))
    assert units.batches(np.zeros(0, np.int64), 5) == []
    with pytest.raises(PrivacyError, match="bound-units"):
        units.require(8)
