import json
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from corpusmill.transforms.document import text_ids
from corpusmill.transforms.errors import BadFileError, SourceError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.read import read_split, schema_of
from corpusmill.transforms.sources.schema import conform, unify
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import make_splits
from tests.transforms.sources.made import COMPRESS, read_source, write

DATA = Path(__file__).parents[4] / "shared/data"
ROWS = [
    {"url": f"u{i}", "content": text, "n": i, "source": "theirs", "who": i % 2}
    for i, text in enumerate(["one", "", "  ", "三 四", "日本語のテキスト", "e\u0301", "x" * 5000])
]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows", *(f".jsonl{c}" for c in COMPRESS)])
def test_every_format_gives_the_same_documents(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if "jsonl" in suffix:
        data = "".join(json.dumps(r) + "\n" for r in ROWS).encode()
        path.write_bytes(COMPRESS[suffix.removeprefix(".jsonl")](data))
    else:
        write(path, pa.Table.from_pylist(ROWS))
    out, bad = read_source(
        tmp_path, path=f"*{suffix}", columns={"id": "url", "text": "content", "user": "who"}, priority=3
    )
    assert out.schema.names == ["id", "text", "source", "priority", "user", "n", "source_"]
    assert out["text"].to_pylist() == [r["content"] for r in ROWS]
    assert out["id"].to_pylist() == [r["url"] for r in ROWS]
    assert set(out["source"].to_pylist()) == {"s"}
    assert out["user"].to_pylist() == [str(r["who"]) for r in ROWS]
    assert (bad.count, bad.rows_seen) == (0, len(ROWS))
    columns = {"text": "content", "label": "url"}  # so that no column is left that could name documents
    hashed, _ = read_source(tmp_path, path=f"*{suffix}", columns=columns, keep=[])
    assert hashed.schema.names == ["id", "text", "source", "label"]
    assert hashed["id"].to_pylist() == text_ids("s", pa.array([r["content"] for r in ROWS])).to_pylist()


def test_the_schema_is_not_taken_from_the_first_record(tmp_path):
    lines = [
        '{"text": "a", "x": null, "y": 1, "z": 1}',
        '{"text": "b", "x": "s", "y": 1.5, "z": "two"}',
        '{"text": "c", "w": [1]}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    out, bad = read_source(tmp_path, path="a.jsonl")
    assert bad.count == 0
    assert out.drop(["id", "source"]).to_pydict() == {
        "text": ["a", "b", "c"],
        "x": [None, "s", None],
        "y": [1.0, 1.5, None],
        "z": ["1", "two", None],
        "w": [None, None, [1]],
    }


def test_types_that_change_between_blocks(tmp_path):
    pad = "p" * 1000
    first = [json.dumps({"text": pad, "x": None, "y": 1}) for _ in range(9000)]
    (tmp_path / "a.jsonl").write_text("\n".join([*first, json.dumps({"text": "end", "x": 2, "y": {"k": 1}})]))
    out, bad = read_source(tmp_path, path="a.jsonl")
    assert bad.count == 0
    assert out["x"].type == pa.int64()
    assert out["y"].to_pylist()[-1] == '{"k": 1}'


def test_strings_that_look_like_dates_stay_strings(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "2020-01-01", "d": "2020-01-01T00:00:00Z", "s": {"t": "2020-01-01"}}\n')
    out, _ = read_source(tmp_path, path="a.jsonl")
    assert out.drop(["id", "source"]).to_pylist() == [
        {"text": "2020-01-01", "d": "2020-01-01T00:00:00Z", "s": {"t": "2020-01-01"}}
    ]


def test_large_integer_ids_are_exact(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "id": 18446744073709551615}\n{"text": "b", "id": 7}\n')
    out, _ = read_source(tmp_path, path="a.jsonl", columns={"id": "id"})
    assert out["id"].to_pylist() == ["18446744073709551615", "7"]


def test_text_folder(tmp_path):
    (tmp_path / "d/e").mkdir(parents=True)
    for name, text in {"a.txt": "\ufeffone\r\ntwo", "d/b.md": "# 標題\n", "d/e/c.rst": "", "d/.h.txt": "no"}.items():
        (tmp_path / name).write_bytes(text.encode())
    out, bad = read_source(tmp_path, path=".")
    assert dict(zip(out["path"].to_pylist(), out["text"].to_pylist())) == {
        "a.txt": "one\r\ntwo",
        "d/b.md": "# 標題\n",
        "d/e/c.rst": "",
    }
    out, bad = read_source(tmp_path, path="a.txt", split="lines")
    assert out["text"].to_pylist() == ["one", "two"]
    assert bad.count == 0


def test_saved_hugging_face_dataset(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"text": ["a", "b", "三"], "n": [1, 2, 3]})
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "two")
    assert read_source(tmp_path, path="one")[0]["text"].to_pylist() == ["a", "b", "三"]
    assert read_source(tmp_path, path="two")[0].num_rows == 4
    assert read_source(tmp_path, path="two", hf_split="test")[0].num_rows == 1
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw/x.parquet", pa.table({"text": ["a", None, "c"]}))
    out, bad = read_source(tmp_path, path=f"hf://{tmp_path}/raw", hf_split="train")
    assert out["text"].to_pylist() == ["a", "c"]
    assert bad.by_reason() == {"null-text": 1}
    assert read_source(tmp_path, path=f"hf://{tmp_path}/raw", hf_split="train", limit=1)[0].num_rows == 1


def test_saved_dataset_cannot_name_files_outside_its_folder(tmp_path):
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../../etc/passwd"}]}))
    with pytest.raises(BadFileError, match="no plain file name"):
        read_source(tmp_path.parent, path=tmp_path.name)


def test_remote_sources(tmp_path):
    import fsspec

    fs = fsspec.filesystem("memory")
    write(tmp_path / "a.parquet", pa.table({"text": ["a", "b"]}))
    root = f"memory://bucket-{tmp_path.name}"
    fs.pipe_file(f"{root}/a.parquet", (tmp_path / "a.parquet").read_bytes())
    fs.pipe_file(f"{root}/b.jsonl.gz", COMPRESS[".gz"](b'{"text": "c"}\n'))
    out, bad = read_source(tmp_path, path=f"{root}/*")
    assert sorted(out["text"].to_pylist()) == ["a", "b", "c"]
    assert bad.count == 0


def test_other_types_of_text_and_id(tmp_path):
    text = pa.array(["a", "b", "a", None]).dictionary_encode()
    table = pa.table(
        {"text": text, "key": pa.array([1, 2, 3, 4], pa.int32()), "large": pa.array(list("wxyz"), pa.large_string())}
    )
    write(tmp_path / "a.parquet", table)
    write(tmp_path / "a.arrow", table)
    for name in ("a.parquet", "a.arrow"):
        out, bad = read_source(tmp_path, path=name, columns={"id": "key"})
        assert out["id"].to_pylist() == ["1", "2", "3"]
        assert out["large"].type == pa.string()
        assert bad.by_reason() == {"null-text": 1}


def test_unify_and_conform():
    a = pa.schema([("t", pa.large_string()), ("x", pa.null()), ("s", pa.struct([("p", pa.int64())]))])
    b = pa.schema(
        [("t", pa.dictionary(pa.int32(), pa.string())), ("x", pa.int32()), ("s", pa.struct([("q", pa.string())]))]
    )
    schema = unify([a, b])
    assert schema.field("t").type == pa.string()
    assert schema.field("x").type == pa.int32()
    batch = pa.RecordBatch.from_pylist([{"t": "x", "x": None, "s": {"p": 1}}], schema=a)
    assert conform(batch, schema).to_pylist() == [{"t": "x", "x": None, "s": {"p": 1, "q": None}}]
    assert conform(batch.slice(0, 0), schema).num_rows == 0


def test_types_that_no_cast_leads_to():
    """Numbers beyond 2^53 beside fractions; lists and structs where others have text; bytes that are no text."""
    rows = [
        ({"x": 2**63 + 1}, pa.uint64(), {"x": 1}, pa.int64(), float(2**63)),
        ({"x": 2**53 + 1}, pa.int64(), {"x": 0.5}, pa.float64(), float(2**53)),
        ({"x": [2**53 + 1, None]}, pa.list_(pa.int64()), {"x": [0.5]}, pa.list_(pa.float64()), [float(2**53), None]),
        ({"x": {"k": [1]}}, pa.struct([("k", pa.list_(pa.int64()))]), {"x": {"k": "a"}}, None, {"k": "[1]"}),
        ({"x": [{"k": 1}]}, pa.list_(pa.struct([("k", pa.int64())])), {"x": ["a"]}, None, ['{"k": 1}']),
        ({"x": [("k", 1)]}, pa.map_(pa.string(), pa.int8()), {"x": None}, pa.null(), [{"key": "k", "value": 1}]),
        (
            {"x": [[("k", 1)]]},
            pa.list_(pa.map_(pa.string(), pa.int8())),
            {"x": [["a"]]},
            None,
            [['{"key": "k", "value": 1}']],
        ),
        ({"x": date(2020, 1, 2)}, pa.date32(), {"x": "a"}, None, "2020-01-02"),
        ({"x": b"a\xff"}, pa.binary(), {"x": "a"}, None, "a\\xff"),
    ]
    for row, own, other, others, expected in rows:
        batch = pa.RecordBatch.from_arrays([pa.array([row["x"], None, row["x"], None], own)], names=["x"])
        beside = pa.schema([("x", others or pa.array([other["x"]]).type)])
        for schema in (unify([batch.schema, beside]), unify([beside, batch.schema])):
            assert conform(batch.slice(1, 2), schema)["x"].to_pylist() == [None, expected]
    batch = pa.RecordBatch.from_arrays([pa.array([datetime(9999, 12, 31)], pa.timestamp("us"))], names=["until"])
    with pytest.raises(SourceError, match=r"column 'until' is timestamp\[us\] in some files and timestamp\[ns\] in"):
        conform(batch, pa.schema([("until", pa.timestamp("ns"))]))


def test_integers_beyond_every_double(tmp_path):
    huge = 10**400
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "n": {huge}}}\n{{"text": "b", "n": 1}}\n')
    out, bad = read_source(tmp_path, path="a.jsonl")
    assert (bad.count, out["text"].to_pylist()) == (0, ["a", "b"])


def test_missing_column_suggests_a_name(tmp_path):
    write(tmp_path / "a.parquet", pa.table({"contents": ["a"]}))
    with pytest.raises(BadFileError, match="did you mean 'contents'"):
        read_source(tmp_path, path="a.parquet", columns={"text": "content"})
    with pytest.raises(BadFileError, match="not text"):
        write(tmp_path / "b.parquet", pa.table({"text": [1]}))
        read_source(tmp_path, path="b.parquet")


def test_machine_docs_are_the_same_twice(tmp_path):
    spec = SourceSpec(name="m", format="machine-docs", kinds=["docstrings", "metadata", "licences"], limit=60)
    splits = make_splits(spec, list_files(spec, "/"))
    assert make_splits(spec, list_files(spec, "/")) == splits
    bad = BadRows("m")
    rows = [r for u in splits for b in read_split(u, spec, bad) for r in b.to_pylist()]
    assert len(rows) > 20
    assert bad.rows_seen == len(rows) + bad.count
    assert {"docstrings"} <= {r["kind"] for r in rows}


def test_real_shards():
    if not DATA.exists():
        pytest.skip("shared/data is not there")
    spec = SourceSpec(name="c", path="corpus/part-00000.parquet", columns={"id": "id", "lang": "lang"})
    (split,) = make_splits(spec, list_files(spec, str(DATA)))
    bad = BadRows("c")
    batches = list(read_split(split, spec, bad))
    assert all(b.schema.equals(schema_of(split, spec)) for b in batches)
    assert sum(b.num_rows for b in batches) == bad.rows_seen > 7000
