import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.recipe.model import make_steps
from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.base import Applied, Decided, Expand, Filter, Group, Map, Verdict
from corpusmill.transforms.document import derived_ids
from corpusmill.transforms.errors import ConservationError, EngineError


class Upper(Map):
    name = "upper"

    def map(self, batch, rng):
        return batch.set_column(1, "text", pc.utf8_upper(batch.column("text")))


class Short(Filter):
    name = "short"
    max_chars: int = 3

    def judge(self, batch, rng):
        n = pc.utf8_length(batch.column("text")).to_numpy(zero_copy_only=False)
        bad = n > self.max_chars
        codes = np.where(bad, 0, -1).astype(np.int16)
        return Verdict(("max_chars",), codes, np.where(bad, n, np.nan).astype(float), {"chars": n.astype(float)})


class Twice(Expand):
    name = "twice"
    keep_originals: bool = True

    def expand(self, batch, rng):
        n = batch.num_rows
        copies = pa.table(
            {
                "id": derived_ids(batch.column("id"), "twice", 0),
                "text": batch.column("text"),
                "source": batch.column("source"),
                "parent": batch.column("id"),
                "derived_by": pa.array(["twice"] * n, pa.string()),
            }
        )
        originals = pa.Table.from_batches([batch])
        for name in ("parent", "derived_by"):
            originals = originals.append_column(name, pa.nulls(n, pa.string()))
        both = pa.concat_tables([originals, copies] if self.keep_originals else [copies])
        return empty_batch(both.schema) if n == 0 else both.combine_chunks().to_batches()[0]


class Odd(Group):
    name = "odd"

    def keys(self, rnd, batch, rows, told):
        raise NotImplementedError

    def decide(self, rnd, keys):
        return Decided(keys)

    def apply(self, batch, rows, told):
        gone = np.flatnonzero(np.isin(rows, told.column("row").to_numpy()))
        kept = np.delete(np.arange(batch.num_rows), gone)
        return Applied(batch.take(pa.array(kept)), gone, ["odd"] * len(gone), [1.0] * len(gone), ["x"] * len(gone))


def documents(*texts):
    n = len(texts)
    ids, sources = [f"d{i}" for i in range(n)], ["s"] * n
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string())])
    return pa.record_batch([ids, list(texts), sources], schema)


def test_every_row_is_accounted_for_and_the_ledger_says_why():
    chain = Chain(make_steps([Upper(), Short(), Twice()]), 1, "here")
    out = chain.run(documents("a", "long text", "", "中文"))
    out2 = chain.run(documents())
    chain.check()
    assert out.column("text").to_pylist() == ["A", "", "中文", "A", "", "中文"]
    assert out2.num_rows == 0
    assert out2.schema == out.schema
    assert [(c.rows_in, c.rows_out, c.derived, dict(c.dropped)) for c in chain.counts] == [
        (4, 4, 0, {}),
        (4, 3, 0, {"max_chars": 1}),
        (3, 6, 3, {}),
    ]
    (row,) = chain.ledger().to_pylist()
    assert row == {
        "id": "d1",
        "source": "s",
        "step": "short",
        "reason": "max_chars",
        "value": 9.0,
        "survivor": None,
        "bytes": 9,
        "parent": None,
    }


def test_originals_that_are_replaced_count_as_dropped():
    chain = Chain(make_steps([Twice(keep_originals=False)]), 1, "here")
    assert chain.run(documents("a", "b")).num_rows == 2
    chain.check()
    assert dict(chain.counts[0].dropped) == {"replaced": 2}
    assert chain.counts[0].derived == 2


def test_scores_are_kept_for_every_row_and_as_columns():
    chain = Chain(make_steps([Short(keep_scores=True)]), 1, "here")
    out = chain.run(documents("a", "long text"))
    assert out.column("short.chars").to_pylist() == [1.0]
    scores = chain.scores()["short"]
    assert scores.to_pydict() == {"id": ["d0", "d1"], "bytes": [1, 9], "kept": [True, False], "chars": [1.0, 9.0]}


def test_a_groups_decisions_are_applied_first():
    chain = Chain(make_steps([Short()]), 1, "here", ("odd", Odd()))
    told = pa.table({"shard": pa.array([0], pa.uint32()), "row": pa.array([11], pa.uint32())})
    out = chain.run(documents("a", "b", "long text"), np.arange(10, 13, dtype=np.uint32), told)
    chain.check()
    assert out.column("id").to_pylist() == ["d0"]
    assert [r["reason"] for r in chain.ledger().to_pylist()] == ["odd", "max_chars"]
    assert chain.ledger().column("survivor").to_pylist() == ["x", None]
    with pytest.raises(EngineError, match="without its decisions"):
        chain.run(documents("a"))


def test_counts_that_do_not_add_up_are_an_error():
    chain = Chain(make_steps([Upper(), Short()]), 1, "here")
    chain.run(documents("a"))
    chain.counts[1].rows_out = 0
    with pytest.raises(ConservationError, match="step short"):
        chain.check()
