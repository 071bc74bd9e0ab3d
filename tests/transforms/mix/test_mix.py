"""The transform alone: what it decides, and what it routes. Whole runs are in tests/pipelines/test_mix.py."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.mix.mix import NO_DOMAIN, Mix
from corpusmill.transforms.random import Keyed


def documents(counts: dict[str, int], words: int = 5, **columns: list) -> pa.RecordBatch:
    sources = [s for s, n in counts.items() for _ in range(n)]
    n = len(sources)
    made = {"id": [f"d{i}" for i in range(n)], "text": ["语料 word " * words] * n, "source": sources}
    return pa.record_batch({**made, **columns})


def decided(step: Mix, *shards: pa.RecordBatch):
    """(decision, its table by domain)."""
    sent = []
    for number, batch in enumerate(shards):
        part = step.keys(0, batch, np.arange(batch.num_rows, dtype=np.uint32), None)
        shard = pa.array(np.full(part.num_rows, number, np.uint32))
        sent.append(pa.Table.from_batches([part]).append_column("shard", shard))
    decision = step.decide(0, pa.concat_tables(sent))
    return decision, {r["domain"]: r for r in decision.tables["mixture"].to_pylist()}


def decisions_of(decision, shard: int = 0) -> pa.Table:
    return decision.decisions.filter(pa.array(decision.decisions["shard"].to_numpy() == shard))


def test_the_natural_mixture_keeps_every_document_once():
    batch = documents({"a": 30, "b": 10})
    decision, table = decided(Mix(), batch)
    assert {d: r["epochs"] for d, r in table.items()} == {"a": 1.0, "b": 1.0}
    assert table["a"]["asked_share"] == table["a"]["planned_share"] == 0.75
    routed = Mix().route(batch, decisions_of(decision), Keyed(1, "mix"))
    assert sorted(routed.batch["id"].to_pylist()) == sorted(batch["id"].to_pylist())
    assert set(routed.batch["epoch"].to_pylist()) == {0}
    assert routed.details == {"documents:a": 30, "documents:b": 10, "bytes:a": 1800, "bytes:b": 600}
    assert len(set(routed.order.tolist())) == 40


@pytest.mark.parametrize(
    ("fields", "epochs"),
    [
        ({"weights": {"a": 1, "b": 1}}, {"a": 2 / 3, "b": 2.0}),
        ({"weights": {"a": 0, "b": 1}}, {"a": 0.0, "b": 1.0}),
        ({"weights": {"a": 0.0, "b": 1}, "budget": 35}, {"a": 0.0, "b": 3.5}),
        ({"weights": {"a": 0.2, "b": 0.8}, "max_epochs": 2.5}, {"a": 0.5, "b": 2.5}),
        ({"budget": 20}, {"a": 0.5, "b": 0.5}),
        ({"budget": 1000}, {"a": 4.0, "b": 4.0}),
        ({"unimax": True}, {"a": 2 / 3, "b": 2.0}),
        ({"unimax": True, "max_epochs": 1.5}, {"a": 25 / 30, "b": 1.5}),
        ({"temperature": 1000.0}, {"a": 0.667, "b": 1.998}),
        ({"cap": 10}, {"a": 2 / 3, "b": 2.0}),
    ],
)
def test_epochs_follow_the_asked_shares(fields, epochs):
    _, table = decided(Mix(unit="documents", **fields), documents({"a": 30, "b": 10}))
    assert {d: r["epochs"] for d, r in table.items()} == pytest.approx(epochs, rel=2e-3)


def test_decisions_depend_on_the_documents_alone():
    batch = documents({"a": 30, "b": 10, "c": 7})
    whole, table = decided(Mix(temperature=2), batch)
    parts, again = decided(Mix(temperature=2), batch.slice(20), batch.slice(3, 17), batch.slice(0, 3))
    assert table == again
    assert decisions_of(parts, 1)["domain"].to_pylist() == ["a"]
    assert whole.shards == parts.shards == 1


def test_a_document_draws_the_same_in_any_batch():
    batch = documents({"a": 300, "b": 100})
    step, rng = Mix(weights={"a": 1, "b": 1}, shards=7), Keyed(3, "mix")
    decision, _ = decided(step, batch)

    def drawn(part: pa.RecordBatch) -> set:
        r = step.route(part, decisions_of(decision), rng)
        return set(zip(r.batch["id"].to_pylist(), r.batch["epoch"].to_pylist(), r.to.tolist(), r.order.tolist()))

    whole = drawn(batch)
    assert whole == drawn(batch.slice(0, 133)) | drawn(batch.slice(133).take(pa.array(range(266, -1, -1))))
    other = step.route(batch, decisions_of(decision), Keyed(4, "mix"))
    assert {o for *_, o in whole}.isdisjoint(other.order.tolist())


def test_fractions_are_drawn_and_everyone_gets_the_whole_part():
    batch = documents({"a": 4000, "b": 1000})
    step = Mix(weights={"a": 1, "b": 1}, unit="documents", shards=3)
    decision, table = decided(step, batch)
    routed = step.route(batch, decisions_of(decision), Keyed(1, "mix"))
    ids, epoch = routed.batch["id"].to_pylist(), routed.batch["epoch"].to_numpy()
    copies = {i: [] for i in batch["id"].to_pylist()}
    for i, e in zip(ids, epoch.tolist()):
        copies[i].append(e)
    assert {tuple(v) for v in copies.values()} == {(), (0,), (0, 1), (0, 1, 2)}  # .625 and 2.5 epochs
    for domain, first, last in (("a", 0, 4000), ("b", 4000, 5000)):
        part = table[domain]["epochs"]
        times = np.array([len(copies[f"d{i}"]) for i in range(first, last)])
        assert set(times) <= {int(part), int(part) + 1}
        f = part - int(part)
        assert abs(times.mean() - part) < 3 * np.sqrt(f * (1 - f) / len(times))
    dropped = routed.applied
    assert set(dropped.reasons) == {"not-sampled"}
    assert set(dropped.values) == {table["a"]["epochs"]}
    assert len(dropped.dropped) == sum(not v for v in copies.values())


def test_epochs_of_one_document_go_to_independent_shards():
    batch = documents({"a": 6000})
    step = Mix(budget=4 * 6000, unit="documents", shards=4)
    decision, _ = decided(step, batch)
    routed = step.route(batch, decisions_of(decision), Keyed(1, "mix"))
    to = routed.to.reshape(6000, 4)
    table = np.zeros((4, 4))
    np.add.at(table, (to[:, 0], to[:, 3]), 1)
    assert ((table - 375) ** 2 / 375).sum() < 37.7  # chi-square, 15 degrees of freedom, p = .001
    later = Keyed(1, "noise")
    keys = later.keys(routed.batch)
    assert len(np.unique(keys)) == 24000
    assert (keys[routed.batch["epoch"].to_numpy() == 0] == later.keys(batch)).all()


def test_evaluation_documents_are_never_mixed_in():
    split = ["train", "Test", "eval", None, "validation", "train"]
    batch = documents({"a": 6}, split=split)
    decision, table = decided(Mix(), batch)
    assert table["a"]["documents"] == 3
    routed = Mix().route(batch, decisions_of(decision), Keyed())
    assert routed.batch["split"].to_pylist() == ["train", None, "train"]
    assert (routed.applied.reasons, routed.applied.dropped.tolist()) == (["evaluation-split"] * 3, [1, 2, 4])
    decision, table = decided(Mix(skip_splits=()), batch)
    assert table["a"]["documents"] == 6
    only = documents({"a": 1}, split=["test"])
    decision, table = decided(Mix(), only)
    assert (decision.shards, table) == (None, {})
    assert Mix().route(only, decisions_of(decision), Keyed()).applied.reasons == ["evaluation-split"]


def test_tokens_are_counted_where_there_are_tokens():
    batch = documents({"a": 2, "b": 1})
    with pytest.raises(RecipeError, match="put `tokenize` before"):
        decided(Mix(unit="tokens"), batch)
    ids = pa.array([[1, 2, 3], [4], None], pa.list_(pa.uint16()))
    _, table = decided(Mix(unit="tokens"), batch.append_column("input_ids", ids))
    assert (table["a"]["size"], table["b"]["size"]) == (4, 0)
    _, table = decided(Mix(unit="tokens"), batch.append_column("n_tokens", pa.array([7, 8, 9], pa.int32())))
    assert (table["a"]["size"], table["b"]["size"]) == (15, 9)


def test_any_column_may_name_the_domains():
    batch = documents({"s": 5}, lang=["en", "zh", None, "zh", "en"])
    _, table = decided(Mix(by="lang", unimax=True, unit="documents"), batch)
    assert {d: r["documents"] for d, r in table.items()} == {"en": 2, "zh": 2, NO_DOMAIN: 1}
    with pytest.raises(RecipeError, match="no document has a column `language`"):
        decided(Mix(by="language"), batch)
    # a shard that lacks the column counts as without values, as long as another has it
    _, table = decided(Mix(by="lang"), batch, batch.drop_columns("lang"))
    assert table[NO_DOMAIN]["documents"] == 6


def test_weights_name_every_domain():
    batch = documents({"a": 3, "b": 1})
    with pytest.raises(RecipeError, match=r"does not name the domain 'b'; the domains .* are: a, b"):
        decided(Mix(weights={"a": 1}), batch)
    for weights in ({}, {"a": 0.0}, {"a": -1.0, "b": 2.0}, {"a": float("nan")}):
        with pytest.raises(RecipeError, match="from 0"):
            Mix(weights=weights)
    with pytest.raises(RecipeError, match="give one of them"):
        Mix(unimax=True, temperature=2.0)


def test_empty_blank_and_single_documents():
    batch = documents({"a": 1})
    nothing = empty_batch(batch.schema)
    decision, _ = decided(Mix(), nothing)
    assert decision.shards is None
    routed = Mix().route(nothing, decisions_of(decision), Keyed())
    assert routed.batch.schema.names == ["id", "text", "source", "epoch"]
    assert routed.batch.num_rows == 0
    blank = pa.record_batch({"id": ["x", "y"], "text": ["", None], "source": ["a", "a"]})
    decision, table = decided(Mix(), blank)
    assert Mix().route(blank, decisions_of(decision), Keyed()).batch.num_rows == 2
    assert decision.shards == 1
    decision, table = decided(Mix(unimax=True), blank)  # no text, nothing to repeat
    assert table["a"]["epochs"] == 0
    with pytest.raises(RecipeError, match="sample once"):
        decided(Mix(), batch.append_column("epoch", pa.array([0], pa.int32())))


def test_a_domain_that_is_empty_today_gives_its_share_to_the_others():
    batch = documents({"a": 40, "b": 40})
    decision, table = decided(Mix(weights={"a": 1, "b": 1, "c": 2}, unit="documents", budget=40), batch)
    assert {d: r["epochs"] for d, r in table.items()} == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert (table["c"]["documents"], table["c"]["asked_share"], table["c"]["planned_share"]) == (0, 0.5, 0.0)
    assert decisions_of(decision)["domain"].to_pylist() == ["a", "b"]
    # weight 0 as the message advises, whether the domain has documents or not
    _, table = decided(Mix(weights={"a": 1, "b": 0, "c": 0}), batch)
    assert {d: r["epochs"] for d, r in table.items()} == {"a": 1.0, "b": 0.0, "c": 0.0}
    # all that is asked for is empty: nothing is sampled, and nothing fails
    decision, table = decided(Mix(weights={"a": 0, "b": 0, "c": 1}), batch)
    routed = Mix().route(batch, decisions_of(decision), Keyed())
    assert (routed.batch.num_rows, set(routed.applied.reasons)) == (0, {"not-sampled"})


@pytest.mark.parametrize(
    ("fields", "columns", "said"),
    [
        ({"by": "x"}, {"x": [0.5]}, r"mix\.by: the column `x` holds 0\.5 in document"),
        ({"by": "x"}, {"x": [b"\xff"]}, r"mix\.by: the column `x` holds binary"),
        ({"by": "x"}, {"x": [["a"]]}, r"mix\.by: the column `x` holds list"),
        ({"unit": "tokens"}, {"n_tokens": [1.5]}, r"mix\.unit: the column `n_tokens` holds 1\.5"),
        ({"unit": "tokens"}, {"input_ids": ["1 2"]}, r"mix\.unit: the column `input_ids` holds string"),
        ({}, {"split": [[1]]}, r"mix\.skip_splits: the column `split` holds list"),
    ],
)
def test_a_column_of_another_type_is_one_error(fields, columns, said):
    batch = documents({"s": 1})
    for name, values in columns.items():
        batch = batch.append_column(name, pa.array(values))
    with pytest.raises(RecipeError, match=said):
        decided(Mix(**fields), batch)
