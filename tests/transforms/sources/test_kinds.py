"""Kinds of columns and files that other libraries build or read wrongly: right values, or an error that names the column."""

import decimal
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.schema import as_type, plain_type
from corpusmill.transforms.storage.paths import translate
from tests.transforms.sources.made import read_source, write

NULL_FIRST = [
    {"text": "a", "x": [None, 1]},
    {"text": "b", "x": [2]},
    {"text": "c", "x": [None, None, 3], "y": {"z": [None, {"w": [None, "v"]}]}},
    {"text": "d", "y": {"z": []}},
]


@pytest.mark.parametrize("n", [1, 2000])
def test_lists_that_begin_with_null_keep_their_values(tmp_path, n):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in NULL_FIRST * n))
    out, bad = read_source(tmp_path, path="a.jsonl", on_bad_file="skip")
    assert bad.count == 0
    assert out["x"].to_pylist()[-4:] == [r.get("x") for r in NULL_FIRST]
    assert out["y"].to_pylist()[2] == {"z": [None, {"w": [None, "v"]}]}


def test_lines_that_end_with_a_carriage_return_alone_are_lines(tmp_path):
    rows = [{"text": f"document {i}"} for i in range(5000)]
    (tmp_path / "mac.jsonl").write_bytes(b"\r".join(json.dumps(r).encode() for r in rows) + b"\r")
    out, bad = read_source(tmp_path, path="mac.jsonl")
    assert bad.count == 0
    assert out["text"].to_pylist() == [r["text"] for r in rows]


def test_so_many_of_them_that_no_block_holds_them_are_an_error(tmp_path):
    line = b'{"text": "' + b"a" * 1000 + b'"}\r'
    (tmp_path / "mac.jsonl").write_bytes(line * 20_000)
    with pytest.raises(BadFileError, match="carriage returns alone"):
        read_source(tmp_path, path="mac.jsonl", max_document_bytes=2000)


@pytest.mark.parametrize("padding", [1, 512, 200_000])
def test_gzip_padded_with_zeros_is_read(tmp_path, padding):
    members = gzip.compress(b'{"text": "a"}\n') + gzip.compress(b'{"text": "b"}\n')
    (tmp_path / "a.jsonl.gz").write_bytes(members + bytes(padding) + gzip.compress(b'{"text": "c"}\n') + bytes(padding))
    out, bad = read_source(tmp_path, path="a.jsonl.gz")
    assert (out["text"].to_pylist(), bad.count) == (["a", "b", "c"], 0)


COLUMNS = {
    "struct without fields": (pa.array([{}, None], pa.struct([])), pa.null(), [None, None]),
    "list of them": (pa.array([[{}], None], pa.list_(pa.struct([]))), pa.list_(pa.null()), [[None], None]),
    "union": (
        pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]),
        pa.string(),
        ["1", "b"],
    ),
    "interval": (pa.array([pa.MonthDayNano([1, 2, 3]), None]), pa.string(), ["[1, 2, 3]", None]),
    "list view": (pa.array([[1], None, [2, 3]], pa.list_view(pa.int64())), pa.list_(pa.int64()), [[1], None, [2, 3]]),
    "decimal of 32 bits": (
        pa.array([decimal.Decimal("1.25"), None], pa.decimal32(5, 2)),
        pa.decimal128(5, 2),
        [decimal.Decimal("1.25"), None],
    ),
    "decimal of 256 bits": (pa.array([decimal.Decimal("1.25")], pa.decimal256(60, 2)), pa.string(), ["1.25"]),
    "half float": (pa.array([1.5, None], pa.float16()), pa.float32(), [1.5, None]),
    "string view": (pa.array(["a", "b" * 40, None], pa.string_view()), pa.string(), ["a", "b" * 40, None]),
    "dictionary in a list": (
        pa.ListArray.from_arrays([0, 1, 3], pa.array(["a", "b", "a"]).dictionary_encode()),
        pa.list_(pa.string()),
        [["a"], ["b", "a"]],
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_types_that_readers_of_snapshots_lack_become_plain_ones(tmp_path, kind):
    column, wanted, values = COLUMNS[kind]
    assert plain_type(column.type) == wanted
    plain = as_type(column, wanted)
    plain.validate(full=True)
    assert plain.to_pylist() == values
    pq.write_table(pa.table({"x": plain}), tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet")["x"].to_pylist() == values


def _damaged(column, name, path):
    with (
        pa.OSFile(str(path), "wb") as f,
        pa.ipc.new_file(f, pa.schema([("text", pa.string()), (name, column.type)])) as w,
    ):
        w.write_batch(pa.record_batch([pa.array(["x"] * len(column)), column], names=["text", name]))


def test_indices_and_views_that_lie_are_a_fault_of_the_file(tmp_path):
    indices = pa.array([0, 7], pa.int32())
    lying = pa.DictionaryArray.from_arrays(indices, pa.array(["a"]), safe=False)
    view = pa.py_buffer((b"\x20\0\0\0" + b"abcd" + b"\x09\0\0\0" + b"\0\0\0\0") * 2)
    views = pa.Array.from_buffers(pa.string_view(), 2, [None, view, pa.py_buffer(b"x" * 40)])
    for number, column in enumerate((lying, views)):
        path = tmp_path / f"{number}.arrow"
        _damaged(column, "c", path)
        with pytest.raises(BadFileError, match="column 'c' is corrupt"):
            read_source(tmp_path, path=path.name)
        out, bad = read_source(tmp_path, path=path.name, on_bad_file="skip")
        assert (out.num_rows, bad.by_reason()) == (0, {"bad-file": 1})
        assert bad.bytes_lost == bad.bytes_seen == path.stat().st_size


@pytest.mark.parametrize("name", ["a.arrow", "a.arrows", "a.parquet"])
def test_a_column_whose_name_is_no_text_is_a_fault_of_the_file(tmp_path, name):
    write(tmp_path / name, pa.table({"text": ["a"], "NAMENAME": [{"INNERINNER": 1}]}))
    data = (tmp_path / name).read_bytes()
    for word in (b"NAMENAME", b"INNERINNER"):
        (tmp_path / name).write_bytes(data.replace(word, b"\xff" + word[1:]))
        out, bad = read_source(tmp_path, path=name, on_bad_file="skip", max_bad_fraction=1)
        assert (out.num_rows, bad.by_reason()) == (0, {"bad-file": 1})


def test_a_file_with_more_bad_rows_than_memory_should_hold_is_a_bad_file(tmp_path, monkeypatch):
    monkeypatch.setattr("corpusmill.transforms.sources.bad.MANY", 10_000)
    pq.write_table(pa.table({"text": pa.nulls(100_000, pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(BadFileError, match=r"more than 10,000 rows that cannot be used.*null-text"):
        read_source(tmp_path, path="a.parquet")
    out, bad = read_source(tmp_path, path="a.parquet", on_bad_file="skip")
    assert (out.num_rows, bad.count, bad.bytes_lost) == (0, 1, (tmp_path / "a.parquet").stat().st_size)
    out, bad = read_source(tmp_path, path="a.parquet", max_bad_fraction=1)
    assert bad.count == 100_000


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [("a.jsonl", "x\n", "not-json"), ("a.jsonl", "[]\n", "wrong-type"), ("a.csv", "a,b,c\n", "not-csv")],
)
def test_a_file_without_any_good_row_is_left_at_the_same_number(tmp_path, monkeypatch, name, line, reason):
    monkeypatch.setattr("corpusmill.transforms.sources.bad.MANY", 10_000)
    (tmp_path / name).write_text(("id,text\n" if name == "a.csv" else '{"text": "good"}\n') + line * 20_000)
    with pytest.raises(BadFileError, match=rf"more than 10,000 rows .* among its first 1\d,\d{{3}}, .*{reason}"):
        read_source(tmp_path, path=name)
    out, bad = read_source(tmp_path, path=name, on_bad_file="skip")
    assert (out.num_rows, bad.by_reason()) == (0, {"bad-file": 1})
    _, bad = read_source(tmp_path, path=name, max_bad_fraction=1)
    assert bad.by_reason() == {reason: 20_000}


def test_raw_rows_are_kept_up_to_a_number_and_places_always():
    bad = BadRows("s")
    for begin in range(0, 150_000, 5000):
        bad.add_rows("f", range(begin, begin + 5000), ["null-text"] * 5000, [""] * 5000, ["raw"] * 5000)
    table = bad.to_table()
    assert table.num_rows == bad.count == 150_000
    assert table["position"].to_pylist() == list(range(150_000))
    assert (table["raw"][0].as_py(), table["raw"][-1].as_py()) == ("raw", "")


def test_sixteen_thousand_keys_are_columns(tmp_path):
    row = {"text": "hello", **{f"c{i}": i for i in range(16_000)}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    out, bad = read_source(tmp_path, path="a.jsonl")
    assert (out.num_columns, bad.count) == (16_003, 0)


@pytest.mark.parametrize("pattern", ["a{b", "{a,{b}", "raw/{x.jsonl"])
def test_a_brace_that_is_not_closed_is_an_error_of_the_recipe(pattern):
    with pytest.raises(RecipeError, match="not closed"):
        translate(pattern)
