"""Documents that fill what a reference has and a corpus lacks."""

import json

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.select._holes import apportion
from corpusmill.transforms.select.select import Select
from tests.pipelines.coverage.corpus import rows
from tests.transforms.dedup.harness import cut, run


@pytest.fixture(scope="module")
def like(tmp_path_factory):
    """A reference of four topics of one size."""
    path = tmp_path_factory.mktemp("holes") / "reference.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows(dict.fromkeys(range(4), 100), source="r")))
    return str(path)


def table() -> pa.Table:
    """What is there lacks topic 2 and has half of topic 3; the pool has all, and a topic that the reference lacks."""
    have = rows({0: 100, 1: 100, 3: 50}, seed=1, source="mine")
    pool = rows({0: 80, 1: 80, 2: 80, 3: 80, 6: 80}, seed=2, source="pool")
    made = [r | {"source": r["id"].split("-")[0]} for r in have + pool]
    return pa.Table.from_pylist(made).select(["id", "text", "source"])


def taken(outcome) -> dict[str, int]:
    """Documents of the pool that were kept, by topic."""
    kept = [i.split("-")[1] for i in outcome.kept if i.startswith("pool")]
    return {t: kept.count(t) for t in sorted(set(kept))}


def test_holes_are_filled_up_to_the_share_of_the_reference(like):
    step = Select.model_validate({"like": like, "for": "holes", "have": ["mine"]})
    outcome = run(step, cut(table(), 3))
    found = taken(outcome)
    # a quarter of the 250 documents that are there: 62 of each topic
    assert set(found) <= {"2", "3"}
    assert 55 <= found["2"] <= 65
    assert 5 <= found["3"] <= 20
    assert sum(i.startswith("mine") for i in outcome.kept) == 250
    assert {reason for reason, _, _ in outcome.dropped.values()} == {"not-selected"}
    holes = outcome.tables["holes"]
    assert abs(sum(holes["reference_share"].to_pylist()) - 1) < 1e-9
    assert sum(holes["selected"].to_pylist()) == sum(found.values())
    assert sum(holes["have"].to_pylist()) > 220
    assert max(holes.to_pylist(), key=lambda r: r["selected"])["example"].count("topicc") > 2


def test_a_budget_goes_to_the_most_lacking_first_and_any_sharding_decides_the_same(like):
    step = Select.model_validate({"like": like, "for": "holes", "have": ["mine"], "budget": 40, "sample": False})
    first = run(step, cut(table(), 1))
    assert taken(first).keys() == {"2"}
    assert 36 <= taken(first)["2"] <= 40
    again = run(step, cut(table(), 5, 7, 2), 3, shuffle=2)
    assert again.dropped == first.dropped
    every = run(Select.model_validate({"like": like, "for": "holes", "share": 0.1}), cut(table(), 2))
    assert 50 <= len(every.kept) <= 65  # without `have` all is the pool, and the target is the reference itself


def test_amounts():
    have, pool = np.array([10.0, 0, 0]), np.array([9.0, 9, 2])
    shares = np.array([0.5, 0.3, 0.2])
    assert apportion(shares, have, pool, None).tolist() == [0, 3, 2]
    assert np.allclose(apportion(shares, have, pool, 8), [0.0, 6.0, 2.0], atol=0.3)
    assert apportion(shares, have, pool, 1e9).tolist() == [9, 9, 2]
    assert apportion(shares, have, pool, 0).sum() < 1e-6


def test_wrong_fields_are_told(like):
    for fields, words in (
        ({"for": "holes", "like_source": "x", "share": 0.1}, "needs a file"),
        ({"for": "holes", "like": like}, "name the sources"),
        ({"like": like, "have": ["x"], "share": 0.1}, "goes with"),
    ):
        with pytest.raises((RecipeError, ValueError), match=words):
            Select.model_validate(fields)


def test_an_empty_shard_and_a_reference_without_words(like, tmp_path):
    step = Select.model_validate({"like": like, "for": "holes", "have": ["mine"]})
    assert run(step, cut(table().slice(0, 0), 2)).kept == []
    (tmp_path / "bare.jsonl").write_text('{"id": "1", "text": "..."}\n')
    with pytest.raises(RecipeError, match="has no words"):
        run(step.model_copy(update={"like": str(tmp_path / "bare.jsonl")}), cut(table(), 1))
