"""Lists as people and their programs write them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.lists import read_list


@pytest.mark.parametrize(
    "data",
    [
        b"d1\nd2\n",
        b"\xef\xbb\xbfd1\nd2\n",
        b"d1\r\nd2\r\n",
        b"d1\rd2",
        b" d1 \n\td2\n\n \n",
        b'"d1"\n"d2"\n',
        b"'d1'\n'd2'\n",
        b"id\nd1\nd2\n",
        b'\xef\xbb\xbf"ID"\r\n"d1"\r\n"d2"\r\n',
        b"user,id\nx,d1\ny,d2\n",
        b"id;note\nd1;a\nd2;b\n",
        b"note\tid\na\td1\nb\td2\n",
        b'id,note\n"d1","two\nlines"\nd2,\n',
        b'{"id": "d1"}\n{"id": "d2", "more": [1]}\n',
        b'["d1", "d2"]',
        b'[\n {"id": "d1"},\n {"id": "d2"}\n]\n',
        b"d1\nd2\nd1\n",
        "d1\nd2\n".encode("utf-16"),
        "\ufeffd1\nd2\n".encode("utf-16-be"),
        "\u00a0d1\u00a0\nd2\n".encode(),
    ],
)
def test_every_way_of_writing_two_ids(tmp_path, data):
    (tmp_path / "ids").write_bytes(data)
    assert read_list(tmp_path / "ids", "id") == ["d1", "d2"]


def test_parquet_and_numbers(tmp_path):
    pq.write_table(pa.table({"id": [3, None, 1]}), tmp_path / "ids.parquet")
    assert read_list(tmp_path / "ids.parquet", "id") == ["3", "1"]
    (tmp_path / "ids").write_text('{"id": 3}\n{"id": "1"}\n')
    assert read_list(tmp_path / "ids", "id") == ["3", "1"]


@pytest.mark.parametrize(
    "name", ["a\u2028b", "a\x85b", "a\x0cb", "a,b", "a b", 'say "hi"', "[x]", "it's", "<urn:uuid:1>"]
)
def test_an_entry_may_hold_anything_but_a_line_break(tmp_path, name):
    (tmp_path / "ids").write_text(f"{name}\nd2\n", encoding="utf-8", newline="")
    assert read_list(tmp_path / "ids", "id") == [name, "d2"]
    (tmp_path / "json").write_text(json.dumps({"id": name}) + "\n")
    assert read_list(tmp_path / "json", "id") == [name]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"d1\n\xff\xfe\n", "line 2 is not UTF-8"),
        (b'{"id": "d1"}\n{"name": "d2"}\n', "line 2 has no field `id`"),
        (b'{"id": "d1"}\n{"id": \n', "line 2 is not JSON"),
        (b'[{"name": "d1"}]', "no field 'id'"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, data, message):
    (tmp_path / "ids").write_bytes(data)
    with pytest.raises(DatasetError, match=message) as error:
        read_list(tmp_path / "ids", "id")
    assert str(tmp_path / "ids") in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match="none: cannot be read as a list"):
        read_list(tmp_path / "none", "id")
