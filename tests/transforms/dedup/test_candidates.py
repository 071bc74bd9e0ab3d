import numpy as np
import pyarrow as pa

from corpusmill.transforms.dedup._candidates import (
    ALL,
    EQUAL,
    LINKS,
    NAMED_LINKS,
    NEXT,
    band_pairs,
    candidates,
    components,
)
from corpusmill.transforms.exchange import named, shard_names


def rows(key: list[int], content: list[int], row: list[int] | None = None) -> pa.Table:
    return pa.table(
        {
            "key": pa.array(key, pa.uint64()),
            "row": pa.array(range(len(key)) if row is None else row, pa.uint32()),
            "content": pa.array(content, pa.uint64()),
            "shard": pa.array([0] * len(key), pa.uint32()),
        }
    )


def pairs_of(table: pa.Table) -> set[tuple[int, int, bool]]:
    return {(p["row"], p["other_row"], p["what"] == EQUAL) for p in table.to_pylist()}


def test_equal_documents_are_tied_in_their_first_band_and_compared_once() -> None:
    first = [2 * x + 1 for x in (8, 8, 8, 9)]
    assert pairs_of(band_pairs(rows([5] * 4, first))) == {(0, 1, True), (0, 2, True), (0, 3, False)}
    other = [2 * x for x in (8, 8, 8, 9)]
    assert pairs_of(band_pairs(rows([5] * 4, other))) == {(0, 3, False)}


def test_a_small_band_gives_all_pairs() -> None:
    got = pairs_of(band_pairs(rows([1] * ALL, [2 * i for i in range(ALL)])))
    assert got == {(i, j, False) for i in range(ALL) for j in range(i + 1, ALL)}


def test_a_hot_band_gives_linearly_many_that_join_it() -> None:
    n = 5000
    pairs = band_pairs(rows([1] * n, [2 * (i + 1) for i in range(n)]))
    assert pairs.num_rows < n * (NEXT + 1)
    found = components([pairs.slice(0, 7), pairs.slice(7)], np.array([n]))
    assert set(found["other_row"].to_pylist()) == {0}


def test_a_document_is_told_its_component_and_its_partners() -> None:
    # (0, 1) - (0, 2) in two bands, (0, 1) - (1, 5), (1, 7) equal to (1, 8), (0, 4) equal to (1, 9) and like (0, 6)
    links = pa.Table.from_pylist(
        [
            dict(zip(LINKS.names, link, strict=True))
            for link in [
                (0, 1, 0, 2, 0),
                (0, 1, 1, 5, 0),
                (1, 7, 1, 8, 1),
                (0, 1, 0, 2, 0),
                (0, 4, 1, 9, 1),
                (0, 4, 0, 6, 0),
            ]
        ],
        LINKS,
    )
    answer = components([links.slice(0, 2), links.slice(2)], np.array([8, 10]))
    assert answer.schema == LINKS
    decisions = pa.concat_tables([links, answer])
    names = shard_names(["0" * 40, "f" * 40])

    def name(shard: int, row: int) -> int:
        place = {"shard": [shard], "row": [row], "other_shard": [shard], "other_row": [row]}
        return named(pa.table({k: pa.array(v, pa.uint32()) for k, v in place.items()}), names)["own"][0].as_py()

    got = {}
    for shard in (0, 1):
        mine = decisions.filter(pa.array(decisions["shard"].to_numpy() == shard))
        found = candidates(named(mine.take(pa.array(np.argsort(mine["row"].to_numpy(), kind="stable"))), names))
        assert found.name.tolist() == [name(shard, row) for row in found.row.tolist()]
        columns = (found.component, found.shown_by, found.compared, found.partners.to_pylist())
        for row, *said in zip(found.row.tolist(), *(list(c) for c in columns), strict=True):
            got[shard, row] = (*said[:3], set(said[3]))
    a, b = name(0, 1), name(0, 4)
    assert got == {
        (0, 1): (a, a, True, {name(0, 2), name(1, 5)}),
        (0, 2): (a, name(0, 2), True, set()),
        (0, 4): (b, b, True, {name(0, 6)}),
        (0, 6): (b, name(0, 6), True, set()),
        (1, 5): (a, name(1, 5), True, set()),
        (1, 7): (name(1, 7), name(1, 7), False, set()),
        (1, 8): (name(1, 7), name(1, 7), False, set()),
        (1, 9): (b, b, False, set()),
    }


def test_nothing() -> None:
    assert band_pairs(rows([], [])).schema == LINKS
    assert band_pairs(rows([1, 2], [2, 4])).num_rows == 0
    assert components([], np.array([3, 0])).schema == LINKS
    assert components([LINKS.empty_table()], np.array([], np.int64)).num_rows == 0
    assert len(candidates(NAMED_LINKS.empty_table()).partners) == 0
