"""Croissant metadata: golden parts, and mlcroissant's own validation and reading."""

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.formats import write_shard
from corpusmill.transforms.tokens.formats.croissant import croissant, write_croissant
from corpusmill.transforms.tokens.formats.files import File
from corpusmill.transforms.tokens.pack import Pack


def describe(form: str, rows: pa.Table, step: Pack, folder: Path) -> tuple[str, dict]:
    files = []
    for i in range(2):
        shard = write_shard(
            form, rows.slice(i * 5, 5).to_batches(), str(folder / "data" / f"part-{i:05}"), step.row_schema()
        )
        files += [File(str(Path(f.path).relative_to(folder)), f.size, f.sha256) for f in shard.files]
    made = croissant(
        "docs",
        "packed rows",
        step.row_schema(),
        files,
        form,
        "Apache-2.0",
        date(2026, 1, 2),
        creator="us",
        url="https://example.org/docs",
    )
    return write_croissant(str(folder / "croissant.json"), made).path, made


def test_files_and_columns_are_described(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    path, made = describe("parquet", rows, step, tmp_path)
    assert json.loads(Path(path).read_text()) == made
    assert made["datePublished"] == "2026-01-02"
    first, _, shards = made["distribution"]
    assert (first["@id"], first["encodingFormat"]) == ("data/part-00000.parquet", "application/x-parquet")
    assert shards["includes"] == ["data/part-00000.parquet", "data/part-00001.parquet"]
    fields = {f["name"]: f for f in made["recordSet"][0]["field"]}
    assert fields["rows/input_ids"]["arrayShape"] == "96"
    assert [s["dataType"] for s in fields["rows/documents"]["subField"]] == ["sc:Text"] + ["sc:Integer"] * 3


@pytest.mark.parametrize("form", ["parquet", "arrow", "megatron"])
def test_mlcroissant_accepts_it(form: str, rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed (extra `test`)")
    path, _ = describe(form, rows, step, tmp_path)
    dataset = mlcroissant.Dataset(jsonld=path)  # raises on an error
    assert not dataset.metadata.issues.errors
    if form == "parquet":
        records = list(dataset.records("rows"))
        assert len(records) == 10
        assert sorted(r["rows/id"].decode() for r in records) == sorted(rows["id"].slice(0, 10).to_pylist())
        by_id = {row["id"]: row["input_ids"] for row in rows.slice(0, 10).to_pylist()}
        assert all(list(r["rows/input_ids"]) == by_id[r["rows/id"].decode()] for r in records)


def test_columns_of_other_kinds_have_types(tmp_path: Path) -> None:
    schema = pa.schema({"t": pa.timestamp("us"), "b": pa.bool_(), "x": pa.float64(), "l": pa.list_(pa.string())})
    made = croissant("n", "d", schema, [File("a.parquet", 1, "0" * 64)], "parquet", "MIT", date(2026, 1, 2))
    assert [f["dataType"] for f in made["recordSet"][0]["field"]] == ["sc:Date", "sc:Boolean", "sc:Float", "sc:Text"]
    assert made["distribution"][-1]["includes"] == ["a.parquet"]


def test_mistakes(step: Pack) -> None:
    with pytest.raises(RecipeError, match="has no files"):
        croissant("n", "d", step.row_schema(), [], "parquet", "MIT", date(2026, 1, 2))
    with pytest.raises(RecipeError, match="'csv' is none of"):
        croissant("n", "d", step.row_schema(), [File("a", 1, "")], "csv", "MIT", date(2026, 1, 2))
