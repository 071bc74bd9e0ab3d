"""What is wrong with an owner's files is said by file and column."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.privacy.secure.rows import rows_of
from corpusmill.transforms.errors import SourceError


def test_columns_of_all_files_in_their_order(tmp_path):
    for name in ("b", "a"):
        pq.write_table(pa.table({"id": [name], "text": ["x"], "more": [1]}), tmp_path / f"{name}.parquet")
    files = [str(tmp_path / "b.parquet"), str(tmp_path / "a.parquet")]
    assert [(file, batch.to_pydict()) for file, batch in rows_of(files, ["id"])] == [
        (files[0], {"id": ["b"]}), (files[1], {"id": ["a"]})
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_file_that_lacks_a_column_or_is_damaged_is_named(tmp_path, name):
    table = pa.table({"id": ["a"], "label": ["x"]})
    if name.endswith(".parquet"):
        pq.write_table(table, tmp_path / name)
    else:
        with pa.ipc.new_file(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(SourceError, match=rf"{name}: has no column `text`, but id, label"):
        list(rows_of([str(tmp_path / name)], ["id", "text"]))
    (tmp_path / name).write_bytes(b"no such thing")
    with pytest.raises(SourceError, match=rf"{name}: cannot be read"):
        list(rows_of([str(tmp_path / name)], ["id"]))
