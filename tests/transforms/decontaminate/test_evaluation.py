import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.decontaminate.evaluation import read_items
from corpusmill.transforms.errors import BadFileError

ROWS = [
    {"id": "a", "question": "What is it?", "answer": "42", "n": 1},
    {"id": "b", "question": "谁？", "answer": None, "n": 2},
]


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    lines = "".join(json.dumps(r) + "\n" for r in ROWS)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.txt").write_text("What is it?\n\n  \n谁？\n")
    return {p.name: str(p) for p in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.jsonl.gz"])
def test_tables(files: dict[str, str], name: str) -> None:
    items = read_items(files[name], ())
    assert items.names == ["a", "b"]
    assert [t.to_pylist() for t in items.texts] == [["What is it?", "谁？"]]
    assert [t.to_pylist() for t in read_items(files[name], ("question", "answer")).texts][1] == ["42", None]


def test_text_has_one_item_a_line(files: dict[str, str]) -> None:
    items = read_items(files["a.txt"], ())
    assert items.names == ["1", "4"]
    assert items.texts[0].to_pylist() == ["What is it?", "谁？"]


def test_a_line_ends_at_a_line_feed_only(tmp_path) -> None:
    text = "one\u2028two\x0bthree\x0cfour\x1cfive\u0085six\r\nseven\reight\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    items = read_items(str(tmp_path / "a.txt"), ())
    assert items.texts[0].to_pylist() == [text.split("\r\n")[0], "seven", "eight"]
    assert items.names == ["1", "2", "3"]


def test_mistakes_are_told(files: dict[str, str], tmp_path) -> None:
    for columns in (("prompt",), ("n",)):
        with pytest.raises(BadFileError, match="columns"):
            read_items(files["a.parquet"], columns)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "bad.jsonl").write_text('{"question": ')
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "bad.doc").write_text("x")
    for name in ("bad.parquet", "bad.jsonl", "bad.txt", "bad.doc", "absent.txt"):
        with pytest.raises(BadFileError, match=name):
            read_items(str(tmp_path / name), ())
