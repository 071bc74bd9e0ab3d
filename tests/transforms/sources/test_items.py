"""The one reader of small files that are held whole: whatever a source accepts, and clear errors for the rest."""

import json

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.items import read_items
from tests.transforms.sources.made import COMPRESS, write

ROWS = [{"id": "a", "q": "one", "n": 1}, {"id": "b", "q": None, "n": 2}]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_json_lines_plain_or_compressed(tmp_path, suffix):
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(COMPRESS[suffix](b"".join(json.dumps(r).encode() + b"\n" for r in ROWS)))
    items = read_items(str(path))
    assert items.table.to_pylist() == ROWS
    assert items.positions == [1, 2]
    assert read_items(str(path), ["q"]).table.column_names == ["q"]


def test_dictionaries_views_and_large_strings_are_plain(tmp_path):
    for name in ("a.arrow", "a.arrows", "a.parquet"):
        columns = {
            "d": pa.array(["x", None, "x"]).dictionary_encode(),
            "l": pa.array(["a", "b", None], pa.large_string()),
        }
        if name != "a.parquet":
            columns["v"] = pa.array(["a", "b" * 40, None], pa.string_view())
        write(tmp_path / name, pa.table(columns))
        table = read_items(str(tmp_path / name)).table
        assert set(table.schema.types) == {pa.string()}
        assert table.to_pydict() == {k: v.to_pylist() for k, v in columns.items()}


def test_columns_of_mixed_types_become_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": "one"}\n{"q": 2}\n{"q": [null, 1]}\n')
    assert read_items(str(tmp_path / "a.jsonl")).table["q"].to_pylist() == ["one", "2", "[null, 1]"]


def test_a_null_line_is_a_row_of_nulls(tmp_path):
    (tmp_path / "a.jsonl").write_text('null\n{"q": "one"}\n')
    assert read_items(str(tmp_path / "a.jsonl")).table["q"].to_pylist() == [None, "one"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"q": 1}\n{"q":\n', "line 2 cannot be read: not-json"),
        (
            "a.jsonl",
            b'{"q": ' + b"[" * 20_000 + b"]" * 20_000 + b"}\n",
            "line 1 cannot be read: not-json nested too deep",
        ),
        ("a.jsonl", b"[1]\n", "is one JSON array"),
        ("a.jsonl.gz", b"no gzip", "is truncated or corrupt gzip data"),
        ("a.parquet", b"PAR1 no", "is no readable Parquet file"),
        ("a.arrow", b"ARROW1 no", "is no readable Arrow file"),
        ("a.txt", b"\xff\xfe", "UTF-16"),
        ("a.txt", b"a\xff", "is not UTF-8"),
        ("a.doc", b"x", "is of no known format"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_the_place(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadFileError, match=message) as error:
        read_items(str(tmp_path / name))
    assert str(tmp_path / name) in str(error.value)
    assert "on_bad_file" not in str(error.value)


def test_a_file_or_column_that_is_not_there(tmp_path):
    with pytest.raises(BadFileError, match="there is no such file"):
        read_items(str(tmp_path / "none.jsonl"))
    (tmp_path / "a.jsonl").write_text('{"q": 1}\n')
    with pytest.raises(BadFileError, match="has no column text among q"):
        read_items(str(tmp_path / "a.jsonl"), ["text"])


def test_lines_of_a_text_end_at_any_line_end(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\n two\rthree\nfour\n")
    items = read_items(str(tmp_path / "a.txt"))
    assert items.table["text"].to_pylist() == ["one", " two", "three", "four"]
    assert items.positions == [1, 3, 4, 5]
