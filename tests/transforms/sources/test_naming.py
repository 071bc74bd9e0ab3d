"""What names documents where the recipe does not say it: the row's `id`, else its `url`, else a hash of source and text."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.document import text_ids
from tests.transforms.sources.made import read_source

ROWS = [
    {"text": "a", "id": "one", "url": "https://e.org/1"},
    {"text": "b", "id": None, "url": "https://e.org/2"},
    {"text": "c", "id": None, "url": None},
    {"text": "d", "id": "", "url": "https://e.org/4"},
]


def hashed(text):
    return text_ids("s", pa.array([text]))[0].as_py()


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.csv"])
@pytest.mark.parametrize("batch_rows", [1, 4096])
def test_each_row_is_named_by_the_first_that_it_has(tmp_path, name, batch_rows):
    if name == "a.jsonl":
        (tmp_path / name).write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    elif name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name)
    else:
        lines = [",".join(r[c] or "" for c in ("text", "id", "url")) for r in ROWS]
        (tmp_path / name).write_text("\n".join(["text,id,url", *lines]) + "\n")
    out, bad = read_source(tmp_path, path=name, batch_rows=batch_rows)
    assert out["id"].to_pylist() == ["one", "https://e.org/2", hashed("c"), "https://e.org/4"]
    assert bad.count == 0
    assert "url" in out.column_names
    assert "id_" not in out.column_names
    kept, _ = read_source(tmp_path, path=name, keep=[])
    assert kept["id"].to_pylist() == out["id"].to_pylist()
    assert kept.column_names == ["id", "text", "source"]


def test_a_role_for_the_id_or_for_the_url_counts(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS[:1]), tmp_path / "a.parquet")
    out, _ = read_source(tmp_path, path="a.parquet", columns={"id": "url"})
    assert out.select(["id", "id_"]).to_pylist() == [{"id": "https://e.org/1", "id_": "one"}]
    out, _ = read_source(tmp_path, path="a.parquet", columns={"label": "id"})
    assert out["id"].to_pylist() == ["https://e.org/1"]


def test_whole_numbers_name_documents_and_other_types_do_not(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "id": [7, None]}), tmp_path / "a.parquet")
    assert read_source(tmp_path, path="a.parquet")[0]["id"].to_pylist() == ["7", hashed("b")]
    pq.write_table(pa.table({"text": ["a"], "id": [1.5]}), tmp_path / "b.parquet")
    out, _ = read_source(tmp_path, path="b.parquet")
    assert out.select(["id", "id_"]).to_pylist() == [{"id": hashed("a"), "id_": 1.5}]


def test_ids_of_json_do_not_depend_on_the_rows_beside_them(tmp_path):
    rows = [{"text": str(i), "id": value} for i, value in enumerate([1, 2.5, "x", True, None, 10**25, {"a": 1}] * 30)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    whole, _ = read_source(tmp_path, path="a.jsonl")
    cut, _ = read_source(tmp_path, path="a.jsonl", target=100)
    pairs = [sorted(zip(t["text"].to_pylist(), t["id"].to_pylist(), strict=True)) for t in (whole, cut)]
    assert pairs[0] == pairs[1]
    assert [dict(pairs[0])[str(i)] for i in range(7)] == ["1", "2.5", "x", "true", hashed("4"), str(10**25), '{"a": 1}']
