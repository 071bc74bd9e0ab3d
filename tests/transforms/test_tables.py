"""Small tables as Parquet files."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.tables import save_table


def test_a_table_is_read_as_it_was_saved_and_folders_are_made(tmp_path):
    table = pa.table({"id": ["a", "b"], "kept_by": ["x", None]})
    for path in (tmp_path / "new/folder/t.parquet", str(tmp_path / "t.parquet")):
        save_table(path, table)
        assert pq.read_table(path).equals(table)


def test_a_table_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    save_table(path, pa.table({"n": [1]}))

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="No space left"):
        save_table(path, pa.table({"n": [2]}))
    assert pq.read_table(path)["n"].to_pylist() == [1]
