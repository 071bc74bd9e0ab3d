import datetime

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.dedup._order import document_ranks, order_columns, order_fingerprint, order_ranks
from corpusmill.transforms.errors import RecipeError
from tests.transforms.dedup.harness import documents


def ranked(table: pa.Table, keep: str) -> list[str]:
    batch = table.combine_chunks().to_batches()[0]
    ranks = order_ranks(pa.table(order_columns(batch, keep, "exact")))  # type: ignore[arg-type]
    return [table["id"][int(i)].as_py() for i in np.argsort(ranks)]


def test_first_is_the_smallest_id_in_byte_order() -> None:
    assert ranked(documents(["x"] * 4, ["b", "B", "é", "a"]), "first") == ["B", "a", "b", "é"]


def test_longest_counts_bytes() -> None:
    assert ranked(documents(["aaa", "重复", "bbbb"], ["a", "b", "c"]), "longest") == ["b", "c", "a"]


@pytest.mark.parametrize(
    "values",
    [
        [1, 3, None, 3],
        [1.5, 3.5, None, 3.5],
        ["2020-01-01", "2024-01-01", None, "2024-01-01"],
        [datetime.datetime(2020, 1, 1), datetime.datetime(2024, 1, 1), None, datetime.datetime(2024, 1, 1)],
        [datetime.date(2020, 1, 1), datetime.date(2024, 1, 1), None, datetime.date(2024, 1, 1)],
    ],
)
@pytest.mark.parametrize(("keep", "role"), [("newest", "created"), ("priority", "priority")])
def test_greatest_first_absent_last_ties_by_id(values: list, keep: str, role: str) -> None:
    table = documents(["x"] * 4, ["d", "c", "a", "b"], **{role: values})
    assert ranked(table, keep) == ["b", "c", "d", "a"]


def test_values_of_several_types_have_one_order() -> None:
    """Each shard has the column as its file has it; the exchange puts the shards' rows into one table."""
    day = datetime.datetime
    columns = {
        "a": pa.array([None]),
        "b": pa.array(["2021-01-01T00:00:00Z"]),
        "c": pa.array([day(2024, 1, 1)], pa.timestamp("us")),
        "d": pa.array([day(2024, 1, 1, 1)], pa.timestamp("ns", "Europe/Berlin")),
        "e": pa.array([datetime.date(2019, 5, 1)]),
        "f": pa.array([1700000000]),
        "g": pa.array([1.5], pa.float32()),
        "h": pa.array([None], pa.int8()),
    }
    batches = [documents(["x"], [i], created=c).combine_chunks().to_batches()[0] for i, c in columns.items()]
    table = pa.concat_tables([pa.table(order_columns(b, "newest", "exact")) for b in batches])
    assert [table["id"][int(i)].as_py() for i in np.argsort(order_ranks(table))] == list("fgdcbeah")


def test_a_dictionary_column_is_ordered_by_its_values() -> None:
    created = pa.array(["b", "a", "c"]).dictionary_encode()
    assert ranked(documents(["x"] * 3, ["1", "2", "3"], created=created), "newest") == ["3", "1", "2"]


@pytest.mark.parametrize(("keep", "role"), [("newest", "created"), ("priority", "priority")])
def test_a_missing_column_is_a_recipe_error_that_says_what_to_do(keep: str, role: str) -> None:
    with pytest.raises(RecipeError, match=f"minhash.*`keep: {keep}`.*`{role}`.*columns: {{{role}:"):
        order_columns(documents(["x"]).to_batches()[0], keep, "minhash")  # type: ignore[arg-type]


def test_equal_ids_are_ordered_by_text_and_source() -> None:
    table = documents(["one", "two"], ["same", "same"])
    turned = table.take([1, 0])
    order = [ranked_texts(table), ranked_texts(turned)]
    assert order[0] == order[1]


def ranked_texts(table: pa.Table) -> list[str]:
    batch = table.combine_chunks().to_batches()[0]
    ranks = order_ranks(pa.table(order_columns(batch, "first", "exact")))
    return [table["text"][int(i)].as_py() for i in np.argsort(ranks)]


def test_rows_of_one_document_share_its_rank() -> None:
    table = pa.table({"id": ["b", "a", "b"], "tie": pa.array([1, 2, 1], pa.uint64())})
    assert document_ranks(table, np.array([5, 6, 5], np.uint64)).tolist() == [1, 0, 1]


def test_of_equal_rank_what_came_first_survives() -> None:
    table = pa.table({"rank": [1, 2, 2], "arrival": pa.array([0, 1, 0], pa.uint32()), "id": ["a", "b", "c"]})
    assert order_ranks(table).tolist() == [2, 1, 0]
    assert order_ranks(table.drop_columns("rank")).tolist() == [0, 2, 1]


def test_only_what_ranks_by_a_column_has_another_fingerprint() -> None:
    assert order_fingerprint("a", "first") == order_fingerprint("a", "longest") == "a"
    assert len({order_fingerprint(step, "newest") for step in ("a", "b")} - {"a", "b"}) == 2


def test_the_newest_is_the_latest_instant() -> None:
    times = [
        "2020-01-01T10:00:00+09:00",
        "2020-01-01T02:00:00Z",
        "2020-01-01T03:00:00+02:00",
        "2020-01-01 01:59:59.9",
        "2019-12-31T21:30-0500",
        "2020-01-01",
        "soon",
        "2020-13-01T00:00:00Z",
        None,
    ]
    batch = pa.record_batch({"id": [str(i) for i in range(9)], "text": ["x"] * 9, "created": times})
    ranks = order_ranks(pa.table(order_columns(batch, "newest", "exact")))
    # texts that are no time stay texts, and sort behind digits
    assert np.argsort(ranks).tolist() == [6, 7, 4, 1, 3, 0, 2, 5, 8]
    moments = pa.array([datetime.datetime.fromisoformat(t) for t in times[:2]], pa.timestamp("us", "UTC"))
    typed = pa.record_batch({"id": ["0", "1"], "text": ["x"] * 2, "created": moments})
    texts = batch.slice(0, 2)
    assert order_columns(typed, "newest", "exact")["rank_text"].to_pylist() == [
        "2020-01-01T01:00:00",
        "2020-01-01T02:00:00",
    ]
    assert order_columns(texts, "newest", "exact")["rank_text"].to_pylist() == [
        "2020-01-01T01:00:00",
        "2020-01-01T02:00:00",
    ]


def test_an_order_of_lists_is_refused() -> None:
    batch = pa.record_batch({"id": ["a"], "text": ["x"], "priority": [[1]]})
    with pytest.raises(RecipeError, match=r"exact\.keep: the column `priority` holds list<item: int64>"):
        order_columns(batch, "priority", "exact")
