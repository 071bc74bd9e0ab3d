"""The accounting adds up, and says so when it does not."""

import json

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import ConservationError
from corpusmill.transforms.tokens.pack_report import LEDGER, PackReport


def test_a_document_that_is_nowhere_is_an_error() -> None:
    report = PackReport(documents=3, packed=1)
    report.dropped["empty"] = 1
    with pytest.raises(ConservationError, match="part-3: 3 documents in, but 1 packed"):
        report.check("part-3")
    report.packed = 2
    report.check("part-3")


def test_pieces_in_dropped_rows() -> None:
    about = pa.table({"id": ["a", "b", "c"], "source": ["s"] * 3, "bytes": pa.array([9, 8, 7])})
    report = PackReport(documents=3)
    sizes = np.array([6, 4, 0])
    report.drop(about, np.array([2]), sizes, "empty")
    # document 0 in two pieces, one of which goes; document 1 in one piece, which goes
    report.place(about, np.array([0, 0, 1]), np.array([4, 2, 4]), np.array([True, False, False]), sizes)
    report.fill(np.array([4]), 5)
    report.check()
    assert (report.packed, report.cut, report.shortened, report.lost_tokens) == (1, 1, 1, 6)
    assert (report.rows, report.tokens, report.padding, report.waste) == (1, 4, 1, 0.2)
    assert report.ledger().select(["id", "reason", "value", "bytes"]).to_pylist() == [
        {"id": "c", "reason": "empty", "value": 0.0, "bytes": 7},
        {"id": "b", "reason": "min-fill", "value": 4.0, "bytes": 8},
    ]


def test_a_report_of_nothing_is_whole_and_json() -> None:
    report = PackReport()
    report.check()
    assert report.ledger().schema == LEDGER
    assert json.loads(json.dumps(report.to_dict()))["waste"] == 0
