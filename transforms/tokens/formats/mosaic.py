"""Mosaic Data Shards, version 2, as MosaicML Streaming reads them: `StreamingDataset(local=DIR)`.

A shard file: uint32 number of samples n; uint32 [n + 1] where each sample begins, and the end, from the file's start; the
column description as JSON; the samples. A sample: a uint32 size for each column without a fixed size, then the columns in
alphabetical order. `index.json` beside the shards lists them. All integers are little-endian.
Source: the format's public description in the documentation of mosaicml-streaming ("Dataset format").
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.formats.files import ExportFormat, File, Shard, sinks, token_rows

SIZE_LIMIT = 1 << 26
"""Bytes after which a new shard file begins, as in mosaicml-streaming; offsets in it are 32 bits wide."""

_SCALARS = {
    str(t): str(t) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
}
_SCALARS |= {"uint64": "uint64", "float": "float32", "double": "float64"}
_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float", "uint64", "int64", "double")


def encoding_of(name: str, kind: pa.DataType) -> tuple[str, int | None]:
    """(MDS encoding, fixed size in bytes or None) of a column.

    Raises:
        RecipeError: MDS has no safe encoding for the type.
    """
    if str(kind) in _SCALARS:
        return _SCALARS[str(kind)], kind.bit_width // 8
    if kind in (pa.string(), pa.large_string()):
        return "str", None
    if kind in (pa.binary(), pa.large_binary()):
        return "bytes", None
    if pa.types.is_nested(kind):
        if pa.types.is_fixed_size_list(kind) and str(kind.value_type) in _DTYPES:
            dtype = np.dtype(kind.value_type.to_pandas_dtype())
            return f"ndarray:{dtype.name}:{kind.list_size}", dtype.itemsize * kind.list_size
        if pa.types.is_list(kind) and str(kind.value_type) in _DTYPES:
            return f"ndarray:{np.dtype(kind.value_type.to_pandas_dtype()).name}", None
        return "json", None
    raise RecipeError(f"output.format: mds cannot hold column {name} of type {kind}; drop it or choose another format")


def _array(values: np.ndarray) -> bytes:
    """A one-dimensional array with its shape in front: (dimensions << 2 | log2 of the shape's bytes), length, values."""
    code = 0 if len(values) < 1 << 8 else 1 if len(values) < 1 << 16 else 2
    return bytes([1 << 2 | code]) + len(values).to_bytes(1 << code, "little") + values.tobytes()


def _cells(batch: pa.RecordBatch, name: str, encoding: str) -> Iterator[bytes]:
    """The encoded values of one column."""
    column = batch.column(name)
    if column.null_count:
        raise RecipeError(f"output.format: mds has no null, but column {name} has {column.null_count}; drop the column")
    kind, _, rest = encoding.partition(":")
    if kind == "str":
        yield from (value.encode() for value in column.to_pylist())
    elif kind == "bytes":
        yield from column.to_pylist()
    elif kind == "json":
        yield from (json.dumps(value, ensure_ascii=False).encode() for value in column.to_pylist())
    elif kind == "ndarray" and ":" in rest:
        rows = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
        yield from (row.tobytes() for row in rows)
    elif kind == "ndarray":
        for i, row in enumerate(column):
            if not len(row):
                raise RecipeError(
                    f"output.format: mds cannot hold an empty array, but {name} is empty in document "
                    f"{batch.column('id')[i].as_py()!r}; drop empty documents first, or end the steps with `pack`"
                )
            yield _array(row.values.to_numpy(zero_copy_only=False))
    else:
        values = column.to_numpy(zero_copy_only=False)
        yield from (values[i : i + 1].tobytes() for i in range(len(values)))


def write_mds(batches: Iterable[pa.RecordBatch], stem: str, schema: pa.Schema, size_limit: int = SIZE_LIMIT) -> Shard:
    """Write `stem`.00000.mds and so on; `write_index` afterwards makes their directory a dataset.

    Raises:
        RecipeError: a column or value that MDS cannot hold.
    """
    names = sorted(schema.names)
    coded = [encoding_of(name, schema.field(name).type) for name in names]
    columns = {
        "column_encodings": [c[0] for c in coded],
        "column_names": names,
        "column_sizes": [c[1] for c in coded],
        "compression": None,
        "format": "mds",
        "hashes": ["sha256"],
        "size_limit": size_limit,
        "version": 2,
    }
    header = json.dumps(columns, sort_keys=True).encode()
    files: list[File] = []
    index: list[dict[str, Any]] = []
    samples: list[bytes] = []
    size = rows = tokens = 0

    def flush() -> None:
        nonlocal samples, size
        begin = 4 + 4 * (len(samples) + 1) + len(header)
        offsets = begin + np.cumsum([0] + [len(s) for s in samples], dtype=np.int64)
        if offsets[-1] >= 1 << 32:
            raise RecipeError(
                f"output.format: a row of {stem} takes {offsets[-1]} bytes, more than an mds file can hold"
            )
        with sinks(f"{stem}.{len(files):05}.mds") as (sink,):
            sink.write(np.array([len(samples)], "<u4"))
            sink.write(offsets.astype("<u4"))
            sink.write(header)
            for sample in samples:
                sink.write(sample)
            file = sink.publish()
        raw = {"basename": os.path.basename(file.path), "bytes": file.size, "hashes": {"sha256": file.sha256}}
        index.append({**columns, "raw_data": raw, "samples": len(samples), "zip_data": None})
        files.append(file)
        samples, size = [], 0

    for batch in batches:
        rows += batch.num_rows
        tokens += int(token_rows(batch)[1].sum()) if "input_ids" in names else 0
        for cells in zip(
            *(_cells(batch, name, code) for name, (code, _) in zip(names, coded, strict=True)), strict=True
        ):
            open_sizes = [len(cell) for cell, (_, fixed) in zip(cells, coded, strict=True) if fixed is None]
            sample = b"".join([np.array(open_sizes, "<u4").tobytes(), *cells])
            if samples and size + len(sample) + 4 + len(header) + 8 > size_limit:
                flush()
            samples.append(sample)
            size += len(sample) + 4
    if samples:
        flush()
    return Shard(tuple(files), rows, tokens, tuple(index))


def write_index(directory: str, shards: Iterable[Shard]) -> File:
    """Write `index.json` of a directory that holds all files of `shards`, in that order."""
    listed = []
    for shard in shards:
        for file, entry in zip(shard.files, shard.index, strict=True):
            name = os.path.relpath(file.path, directory).replace(os.sep, "/")
            listed.append({**entry, "raw_data": {**entry["raw_data"], "basename": name}})
    with sinks(os.path.join(directory, "index.json")) as (sink,):
        sink.write(json.dumps({"version": 2, "shards": listed}, sort_keys=True).encode())
        return sink.publish()


FORMATS = {"mds": ExportFormat(write_mds, lambda directory, shards: (write_index(directory, shards),), documents=True)}
