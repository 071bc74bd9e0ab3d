"""Arrow and Parquet shards, read by pyarrow, datasets, DuckDB and a torch DataLoader."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.tokens.formats import write_shard
from corpusmill.transforms.tokens.pack import Pack
from tests.transforms.tokens.formats.conftest import matrix


def write(form: str, rows: pa.Table, step: Pack, folder: Path) -> str:
    return write_shard(form, rows.to_batches(), str(folder / "part-00000"), step.row_schema()).files[0].path


def test_pyarrow_maps_the_arrow_file(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    path = write("arrow", rows, step, tmp_path)
    before = pa.total_allocated_bytes()
    table = pa.ipc.open_file(pa.memory_map(path)).read_all()
    assert pa.total_allocated_bytes() - before < 4096  # the file's pages, not a copy
    assert table.equals(rows)


def test_pyarrow_reads_parquet(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    assert pq.read_table(write("parquet", rows, step, tmp_path)).equals(rows)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_datasets_loads_it(form: str, rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed (extra `hf`)")
    path = write(form, rows, step, tmp_path / "data")
    loaded = datasets.load_dataset(form, data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == rows.num_rows
    assert (np.array(loaded["input_ids"]) == matrix(rows)).all()
    assert loaded[0]["documents"] == rows["documents"][0].as_py()


def test_duckdb_finds_the_rows_of_a_document(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = write("parquet", rows, step, tmp_path)
    wanted = rows["documents"][3].as_py()[0]["id"]
    pieces = f"select id as row_id, unnest(documents) as piece from '{path}'"
    found = duckdb.sql(f"select distinct row_id from ({pieces}) where piece.id = '{wanted}'").fetchall()
    expected = [row["id"] for row in rows.to_pylist() if wanted in [d["id"] for d in row["documents"]]]
    assert sorted(r[0] for r in found) == sorted(expected)


def test_a_torch_loader_reads_it_without_our_code(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    """The example in the docstring of corpusmill.transforms.tokens."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    path = write("arrow", rows, step, tmp_path)

    class Rows(torch.utils.data.Dataset):
        def __init__(self, path: str) -> None:
            table = pa.ipc.open_file(pa.memory_map(path)).read_all()
            self.columns = {n: table[n] for n in ("input_ids", "segment_ids", "position_ids")}

        def __len__(self) -> int:
            return len(self.columns["input_ids"])

        def __getitem__(self, i: int) -> dict:
            return {n: torch.from_numpy(c[i].values.to_numpy().astype(np.int64)) for n, c in self.columns.items()}

    seen = []
    for batch in torch.utils.data.DataLoader(Rows(path), batch_size=8):
        ids, segment = batch["input_ids"], batch["segment_ids"]
        sees = (segment[:, :, None] == segment[:, None, :]).tril()
        counts = (segment[:, 1:] > 0) & (segment[:, 1:] == segment[:, :-1])
        assert ids.shape == segment.shape == (len(ids), 96)
        # position p of a piece sees p earlier tokens and itself; every piece has one target less than tokens
        real = segment > 0
        assert (sees.sum(-1)[real] == batch["position_ids"][real] + 1).all()
        assert counts.sum() == real.sum() - segment.max(-1).values.sum()
        seen.append(ids)
    assert (torch.cat(seen).numpy() == matrix(rows)).all()
