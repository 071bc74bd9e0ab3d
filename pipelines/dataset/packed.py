"""Packed rows: rows of tokens that name the documents they contain."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.hashing import hash128
from corpusmill.transforms.manifest import Column, Manifest

DOCUMENTS = "documents"


def is_packed(schema: list[Column]) -> bool:
    """Whether the columns of a manifest are those of packed rows."""
    names = {f["name"] for f in schema}
    return DOCUMENTS in names and "text" not in names


def packing(manifest: Manifest) -> dict[str, Any] | None:
    """What packing cost, from the funnel, with shares; None if nothing was packed."""
    steps = manifest["funnel"]["steps"]
    found = dict(steps[-1].get("details", {})) if steps and steps[-1]["kind"] == "terminal" else {}
    if "tokens" not in found:
        return None
    found["waste"] = found["padding"] / max(1, found["padding"] + found["tokens"])
    found["cut_share"] = found["cut"] / max(1, found["packed"])
    return found


def pieces_of(batch: pa.RecordBatch, document: str) -> list[dict[str, Any]]:
    """Where a document is in packed rows: position of the row in `batch`, id of the row, and start, length and offset
    of the piece."""
    column = batch.column(DOCUMENTS)
    structs = column.flatten()
    hits = pc.indices_nonzero(pc.equal(structs.field("id"), document))
    parents = pc.list_parent_indices(column).take(hits).to_pylist()
    found = []
    for hit, row in zip(hits.to_pylist(), parents, strict=True):
        piece = structs[hit].as_py()
        place = {k: piece[k] for k in ("start", "length", "offset")}
        found.append({"position": row, "in": batch.column("id")[row].as_py(), **place})
    return found


def row_digests(batch: pa.RecordBatch) -> np.ndarray:
    """A digest of each row's values, uint64 [n, 2]: equal rows of equal columns have equal digests."""
    n = batch.num_rows
    parts = [_column_digests(batch.column(i)) for i in range(batch.num_columns)]
    joined = np.ascontiguousarray(np.hstack(parts)) if parts else np.zeros((n, 2), np.uint64)
    return hash128(_as_binary(joined.view(np.uint8).reshape(n, 8 * joined.shape[1])))


def _column_digests(column: pa.Array) -> np.ndarray:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return hash128(column, seed=0) ^ column.is_null().to_numpy(zero_copy_only=False)[:, None].astype(np.uint64)
    if pa.types.is_fixed_size_list(kind) and pa.types.is_integer(kind.value_type):
        inner = column.values.slice(column.offset * kind.list_size, len(column) * kind.list_size)
        odd = column.is_null().to_numpy(zero_copy_only=False)
        odd = odd | inner.is_null().to_numpy(zero_copy_only=False).reshape(odd.size, kind.list_size).any(axis=1)
        values = np.ascontiguousarray(inner.fill_null(0).to_numpy(zero_copy_only=False))
        width = kind.list_size * values.itemsize
        found = hash128(_as_binary(values.view(np.uint8).reshape(odd.size, width)))
        if odd.any():  # row by row, so that a row's digest does not depend on its neighbours
            found[odd] = _json_digests(column.filter(pa.array(odd)))
        return found
    return _json_digests(column)


def _json_digests(column: pa.Array) -> np.ndarray:
    return hash128(pa.array([json.dumps(v, default=str) for v in column.to_pylist()], pa.string()))


def _as_binary(rows: np.ndarray) -> pa.Array:
    """The rows of a uint8 matrix as a binary array."""
    n, width = rows.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width)
    return pa.BinaryArray.from_buffers(
        pa.binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows))]
    )
