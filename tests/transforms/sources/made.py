"""Files of every format, and reading a source whole, for the tests of the sources."""

import bz2
import gzip
import lzma

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import Split, make_splits

COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def read_source(base, target=64 << 20, batch_rows=4096, **fields):
    """(table of documents, BadRows) of a source; every batch of a split is checked to have one schema."""
    fields.setdefault("name", "s")
    spec = SourceSpec(**fields)
    bad, tables = BadRows(spec.name), []
    for split in make_splits(spec, list_files(spec, str(base)), target):
        split = Split.from_json(split.to_json())
        batches = list(read_split(split, spec, bad, batch_rows=batch_rows))
        if batches:
            tables.append(pa.Table.from_batches(batches))
    table = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({"id": [], "text": []})
    assert table.num_rows + bad.count == bad.rows_seen
    table.validate(full=True)
    return table, bad


def write(path, table, **options):
    """Write a table as the extension says."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, **options)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema, **options) as w:
            w.write_table(table, max_chunksize=100)
    elif path.suffix == ".arrows":
        with pa.ipc.new_stream(path, table.schema, **options) as w:
            w.write_table(table, max_chunksize=100)
