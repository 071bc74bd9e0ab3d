import pyarrow as pa
import pytest

from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.rights.rights import Rights

DEP5 = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+ or Expat
 Some text.

Files: debian/*
License: my-own
"""
TEXTS = [
    "// SPDX-License-Identifier: MIT\nint x;",
    "Licensed under the Apache License, Version 2.0, and in part under the GNU General Public License, version 2 or later.",
    "A text without a word of it.",
    DEP5,
    None,
]


def batch(**columns):
    n = len(next(iter(columns.values())))
    return pa.record_batch({"id": [str(i) for i in range(n)], "source": ["s"] * n, **columns})


def test_licences_become_columns_with_their_evidence():
    out = Rights()(batch(text=TEXTS))
    assert out["licence"].to_pylist() == [
        "MIT",
        "Apache-2.0 AND GPL-2.0-or-later",
        None,
        "(GPL-2.0-or-later OR MIT)",
        None,
    ]
    assert out["licence_source"].to_pylist() == ["tag", "notice", None, "dep5", None]
    start, stop = out["licence_start"][3].as_py(), out["licence_stop"][3].as_py()
    assert DEP5[start:stop] == "License: GPL-2+ or Expat"


def test_documents_are_dropped_by_licence():
    data = batch(text=TEXTS)
    assert Rights(keep=["MIT"])(data)["id"].to_pylist() == ["0", "3"]
    assert Rights(keep=["apache-2.0", "GPL-*"])(data)["id"].to_pylist() == ["1", "3"]
    assert Rights(keep=["unknown"])(data)["id"].to_pylist() == ["2", "4"]


def test_what_a_page_reserves_is_written_and_dropped():
    pages = [b'<meta name="tdm-reservation" content="1">', b'<meta name=robots content="noai">', b"<p>x</p>", b""]
    heads = ["", "", "tdm-reservation: 0", "x-robots-tag: noindex"]
    data = batch(text=["a"] * 4, html=pages, headers=heads)
    out = Rights(html="html", headers="headers")(data)
    assert out["robots"].to_pylist() == [None, "noai", None, "noindex"]
    assert out["tdm_reserved"].to_pylist() == [True, None, False, None]
    assert Rights(html="html", headers="headers", reserved="drop")(data)["id"].to_pylist() == ["2", "3"]


def test_what_the_page_marks_up_goes_before_what_its_text_mentions():
    page = '<link rel="license" href="https://creativecommons.org/licenses/by/4.0/"><p>We like the MPL-2.0 license.</p>'
    out = Rights(html="html")(batch(text=["about the Apache License, Version 2.0"], html=[page]))
    assert out.select(["licence", "licence_source"]).to_pylist() == [{"licence": "CC-BY-4.0", "licence_source": "link"}]


def test_a_missing_column_and_one_of_another_type_are_told():
    with pytest.raises(SourceError, match="no column 'page' among id, source, text"):
        Rights(html="page")(batch(text=["a"]))
    with pytest.raises(SourceError, match="is int64, not text"):
        Rights(column="n")(batch(text=["a"], n=[1]))


def test_a_batch_without_rows_has_the_columns():
    data = batch(text=pa.array([], pa.string()))
    names = Rights(html="text")(data).schema.names
    columns = ["licence", "licence_source", "licence_start", "licence_stop", "robots", "tdm_reserved", "tdm_policy"]
    assert names[-7:] == columns


def test_the_headers_of_a_web_archive_are_read_without_being_asked_for():
    heads = ["X-Robots-Tag: gptbot: noai\nX-Robots-Tag: max-snippet: 20, nofollow", "TDM-Reservation: 1\nTDM-Policy: https://e.org/p",
             "Content-Signal: search=yes, ai-train=no", "Content-Usage: train-ai=n", "Content-Usage: train-ai=y",
             'Link: <https://creativecommons.org/licenses/by-sa/4.0/>; rel="license", </a>; rel=next', None]  # fmt: skip
    out = Rights()(batch(text=["x"] * 7, rights_headers=heads))
    assert out["robots"].to_pylist() == ["max-snippet:20, noai, nofollow", *[None] * 6]
    assert out["tdm_reserved"].to_pylist() == [None, True, True, True, None, None, None]
    assert out["tdm_policy"].to_pylist() == [None, "https://e.org/p", *[None] * 5]
    assert out["licence"].to_pylist() == [*[None] * 5, "CC-BY-SA-4.0", None]
    assert out["licence_source"].to_pylist() == [*[None] * 5, "header", None]
    assert Rights(reserved="drop")(batch(text=["x"] * 7, rights_headers=heads))["id"].to_pylist() == ["4", "5", "6"]
