"""A mixture as it was written, beside what was asked and planned."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.engine.mixture import mixture


def table(folder, *rows):
    schema = pa.schema([("domain", pa.string()), ("unit", pa.string()), ("asked_share", pa.float64())])
    pq.write_table(
        pa.Table.from_pylist([dict(zip(schema.names, r, strict=True)) for r in rows], schema), folder / "m.parquet"
    )
    return {"mixture": [{"path": "m.parquet"}]}


def funnel(**details):
    steps = [{"name": "clean"}, {"name": "mix", "details": details}, {"name": "mixer", "details": {"documents:a": 99}}]
    return {"steps": steps}


def test_what_was_written_is_counted_by_domain_in_the_units_of_the_mixture(tmp_path):
    tables = table(tmp_path, ("a", "bytes", 0.5), ("b", "bytes", 0.5), ("none", "bytes", 0.0))
    counted = {"documents:a": 3, "bytes:a": 75, "documents:b": 1, "bytes:b": 25, "tokens:a": 7}
    rows = mixture(str(tmp_path), tables, funnel(**counted), "mix")
    assert [(r["domain"], r["realised_documents"], r["realised_size"]) for r in rows] == [
        ("a", 3, 75),
        ("b", 1, 25),
        ("none", 0, 0),
    ]
    assert [r["realised_share"] for r in rows] == pytest.approx([0.75, 0.25, 0])
    assert rows[0]["asked_share"] == 0.5
    by_tokens = mixture(str(tmp_path), table(tmp_path, ("a", "tokens", 1.0)), funnel(**counted), "mix")
    assert by_tokens[0]["realised_size"] == 7


def test_a_second_mix_counts_as_one_and_nothing_as_nothing(tmp_path):
    tables = table(tmp_path, ("a", "bytes", 1.0))
    again = {"steps": [{"name": "mix#2", "details": {"bytes:a": 5}}]}
    assert mixture(str(tmp_path), tables, again, "mix#2")[0]["realised_share"] == 1
    empty = mixture(str(tmp_path), tables, {"steps": [{"name": "mix"}]}, "mix")
    assert (empty[0]["realised_size"], empty[0]["realised_share"]) == (0, 0.0)
    assert mixture(str(tmp_path), {}, funnel(), None) == []
