"""Rows of tokens: where a document lies in them, and whether two rows are equal."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.dataset.packed import is_packed, packing, pieces_of, row_digests

PIECE = pa.struct([("id", pa.string()), ("start", pa.int32()), ("length", pa.int32()), ("offset", pa.int64())])


def batch(rows):
    """(row's id, [(document, start, length, offset)])"""
    names = ("id", "start", "length", "offset")
    lists = [[dict(zip(names, piece, strict=True)) for piece in pieces] for _, pieces in rows]
    return pa.record_batch({"id": [r for r, _ in rows], "documents": pa.array(lists, pa.list_(PIECE))})


def test_rows_that_name_documents_and_hold_no_text_are_packed():
    assert is_packed([{"name": "id"}, {"name": "input_ids"}, {"name": "documents"}])
    assert not is_packed([{"name": "id"}, {"name": "text"}, {"name": "documents"}])  # a user's own column
    assert not is_packed([{"name": "id"}, {"name": "text"}])


def manifest(kind="terminal", **details):
    return {"funnel": {"steps": [{"kind": "map"}, {"kind": kind, "details": details}]}}


def test_what_packing_cost_is_a_share_of_all_places():
    found = packing(manifest(tokens=900, padding=100, cut=1, packed=4))
    assert (found["waste"], found["cut_share"], found["tokens"]) == (0.1, 0.25, 900)
    nothing = packing(manifest(tokens=0, padding=0, cut=0, packed=0))
    assert (nothing["waste"], nothing["cut_share"]) == (0, 0)
    for none in (manifest(kind="map", tokens=1), manifest(), {"funnel": {"steps": []}}):
        assert packing(none) is None


def test_every_piece_of_a_document_is_found_with_its_row():
    rows = batch([("r0", [("a", 0, 3, 0), ("b", 3, 2, 0)]), ("r1", []), ("r2", [("b", 0, 5, 2), ("b", 5, 1, 7)])])
    assert pieces_of(rows, "b") == [
        {"position": 0, "in": "r0", "start": 3, "length": 2, "offset": 0},
        {"position": 2, "in": "r2", "start": 0, "length": 5, "offset": 2},
        {"position": 2, "in": "r2", "start": 5, "length": 1, "offset": 7},
    ]
    assert pieces_of(rows, "none") == []
    # of a slice, as of a file that is read in parts
    assert [p["position"] for p in pieces_of(rows.slice(2), "b")] == [0, 0]


IDS = pa.list_(pa.int32(), 2)
COLUMNS = {
    "text": (pa.string(), ["a", "b", "", None]),
    "bytes": (pa.binary(), [b"a", b"b", b"", None]),
    "ids": (IDS, [[1, 2], [2, 1], [0, 0], None]),
    "ids with gaps": (IDS, [[1, 2], [1, None], [None, 0], [0, 0]]),
    "whole ids": (IDS, [[1, 2], [2, 1], [0, 0], [1, 0]]),
    "floats": (pa.list_(pa.float64(), 1), [[0.5], [1.5], [2.5], None]),
    "list": (pa.list_(pa.string()), [["a", "b"], ["ab"], [], None]),
    "number": (pa.int64(), [1, 2, 0, None]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_equal_rows_have_equal_digests_and_others_have_not(kind):
    of, values = COLUMNS[kind]
    rows = pa.record_batch({"id": ["same"] * 8, "x": pa.array(values + values[::-1], of)})
    digests = [tuple(d) for d in row_digests(rows)]
    assert digests[:4] == digests[:3:-1]
    assert len(set(digests)) == 4
    # wherever the row stands
    assert [tuple(d) for d in row_digests(rows.slice(5, 2))] == digests[5:7]


def test_digests_tell_columns_apart():
    one = row_digests(pa.record_batch({"a": ["x", "y"], "b": ["y", "x"]}))
    assert one.dtype == np.uint64
    assert one.shape == (2, 2)
    assert not (one[0] == one[1]).all()
    for kind in (pa.string(), IDS):
        assert row_digests(pa.record_batch({"a": pa.array([], kind)})).shape == (0, 2)
