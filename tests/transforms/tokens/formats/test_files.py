"""The table of formats; files appear whole or not at all."""

import hashlib
import importlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens import formats
from corpusmill.transforms.tokens.formats import FORMATS, finish, write_shard
from corpusmill.transforms.tokens.formats.files import sinks, token_rows
from corpusmill.transforms.tokens.pack import Pack
from tests.transforms.tokens.formats.conftest import stream


def test_a_sink_publishes_or_leaves_nothing(tmp_path: Path) -> None:
    with sinks(str(tmp_path / "a"), str(tmp_path / "b")) as (a, b):
        a.write(b"12")
        a.write(np.array([1, 2], "<u2"))
        b.write(b"lost")
        file = a.publish()
    assert (file.size, file.sha256) == (6, hashlib.sha256(b"12\x01\0\x02\0").hexdigest())
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_written_whole_with_its_digests(form: str, rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    shard = write_shard(form, rows.to_batches(50), str(tmp_path / "data" / "part-00000"), step.row_schema())
    finish(form, str(tmp_path / "data"), [shard])
    assert (shard.rows, shard.tokens) == (rows.num_rows, len(stream(rows)))
    for file in shard.files:
        data = Path(file.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256)
    # other batches, same bytes
    again = write_shard(form, rows.to_batches(7), str(tmp_path / "again" / "part-00000"), step.row_schema())
    assert [f.sha256 for f in again.files] == [f.sha256 for f in shard.files]


@pytest.mark.parametrize("form", FORMATS)
def test_a_failure_leaves_no_file(form: str, rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    def broken():
        yield rows.to_batches()[0]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_shard(form, broken(), str(tmp_path / "part-00000"), step.row_schema())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_shard_without_rows(form: str, step: Pack, tmp_path: Path) -> None:
    shard = write_shard(form, [], str(tmp_path / "part-00000"), step.row_schema())
    assert (shard.rows, shard.tokens) == (0, 0)


@pytest.mark.parametrize("form", ["arrow", "megatron", "nanogpt"])
def test_documents_are_no_token_rows(form: str, documents: pa.RecordBatch, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"end the steps with `pack`|got None"):
        write_shard(form, [documents], str(tmp_path / "x"), documents.schema)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format(step: Pack, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'tfrecord' is none of arrow, parquet, megatron, mds, nanogpt, croissant"):
        write_shard("tfrecord", [], str(tmp_path / "x"), step.row_schema())


def test_token_rows_of_lists_of_any_length() -> None:
    lists = pa.array([[1, 2], None, [], [3]], pa.list_(pa.int32()))
    tokens, sizes = token_rows(pa.record_batch({"input_ids": lists}).slice(0, 4))
    assert (tokens.tolist(), sizes.tolist()) == ([1, 2, 3], [2, 0, 0, 1])
    tokens, sizes = token_rows(pa.record_batch({"input_ids": lists}).slice(2))
    assert (tokens.tolist(), sizes.tolist()) == ([3], [0, 1])
    fixed = pa.array([[1, 2], [3, 4]], pa.list_(pa.uint16(), 2))
    assert token_rows(pa.record_batch({"input_ids": fixed}).slice(1))[0].tolist() == [3, 4]


def test_the_table_and_the_modules_name_the_same_formats() -> None:
    folder = Path(formats.__file__).parent
    modules = {p.stem for p in folder.glob("*.py")} - {"__init__", "files"}
    assert set(formats.MODULES.values()) == modules
    for module in modules:
        named = {name for name, where in formats.MODULES.items() if where == module}
        assert named == set(importlib.import_module(f"{formats.__name__}.{module}").FORMATS)


def test_a_catalogue_has_no_shards(step: Pack, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has no shards"):
        write_shard("croissant", [], str(tmp_path / "x"), step.row_schema())
