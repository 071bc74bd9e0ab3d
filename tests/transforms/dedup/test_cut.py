import numpy as np
import pyarrow as pa

from corpusmill.transforms.base import Applied
from corpusmill.transforms.dedup._cut import cut, drop
from tests.transforms.dedup.harness import documents


def run(texts: list[str], ranges: list[tuple[int, int, int]], **how: object) -> Applied:
    batch = documents(texts).to_batches()[0]
    row, begin, end = (pa.array([r[i] for r in ranges], pa.uint32()) for i in range(3))
    decisions = pa.table({"row": row, "begin": begin, "end": end, "survivor": [f"s{i}" for i in range(len(ranges))]})
    return cut(batch, np.arange(10, 10 + len(texts), dtype=np.uint32), decisions, "why", **how)  # type: ignore[arg-type]


def test_ranges_overlap_touch_and_come_in_any_order() -> None:
    got = run(["0123456789", "untouched", "0123456789"], [(10, 6, 8), (12, 0, 5), (12, 3, 6), (12, 6, 7), (10, 0, 1)])
    assert got.batch["text"].to_pylist() == ["1234589", "untouched", "789"]
    assert len(got.dropped) == 0


def test_ranges_are_drawn_in_to_code_points() -> None:
    assert run(["a重复b"], [(10, 2, 5)]).batch["text"].to_pylist() == ["a重复b"]
    assert run(["a重复b"], [(10, 2, 8)]).batch["text"].to_pylist() == ["a重"]
    assert run(["a重复b"], [(10, 1, 6)]).batch["text"].to_pylist() == ["a复b"]


def test_what_is_left_without_text_is_dropped_with_its_survivor() -> None:
    got = run([" a b \u3000", "", "kept", " "], [(10, 1, 4), (12, 0, 2)])
    assert got.batch["text"].to_pylist() == ["", "pt", " "]
    assert got.dropped.tolist() == [0]
    assert (got.reasons, got.values, got.survivors) == (["why"], [3 / 8], ["s0"])


def test_max_fraction_and_keeping_the_text() -> None:
    got = run(["0123456789", "0123456789"], [(10, 0, 6), (11, 0, 5)], max_fraction=0.5, keep_text=True)
    assert got.batch["text"].to_pylist() == ["0123456789"]
    assert got.dropped.tolist() == [0]
    assert got.values == [0.6]


def test_null_stays_null_beside_a_cut() -> None:
    batch = documents(["0123", ""]).to_batches()[0].set_column(1, "text", pa.array(["0123", None]))
    decisions = pa.table(
        {"row": pa.array([0], pa.uint32()), "begin": pa.array([1], pa.uint32()), "end": pa.array([2], pa.uint32())}
    )
    got = cut(batch, np.arange(2, dtype=np.uint32), decisions.append_column("survivor", pa.array(["s"])), "why")
    assert got.batch["text"].to_pylist() == ["023", None]


def test_nothing_told_changes_nothing() -> None:
    got = run(["a"], [])
    assert got.batch["text"].to_pylist() == ["a"]


def test_drop() -> None:
    batch = documents(["a", "b", "c"]).to_batches()[0]
    decisions = pa.table({"row": pa.array([6], pa.uint32()), "jaccard": [None], "survivor": ["x"]})
    decisions = decisions.set_column(1, "jaccard", pa.array([None], pa.float64()))
    got = drop(batch, np.array([5, 6, 7], np.uint32), decisions, "near", "jaccard")
    assert got.batch["text"].to_pylist() == ["a", "c"]
    assert (got.dropped.tolist(), got.reasons, got.survivors) == ([1], ["near"], ["x"])
    assert np.isnan(got.values[0])
