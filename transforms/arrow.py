"""Between Arrow arrays and numpy kernels, without copying: the buffers of a string array, and back.

Text columns are `pa.string()` (int32 offsets) everywhere behind the sources: a batch never holds 2 GiB of text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import SourceError

_EMPTY = np.zeros(8, np.uint8)
_EMPTY.flags.writeable = False  # as Arrow's own buffers are: numba compiles one kernel, not two


def string_buffers(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(offsets int32 [n+1], data uint8) of an array of text or bytes; offsets index `data` directly, slices included.

    Nulls appear as empty strings. The views keep no reference count of their own on Arrow's memory beyond the buffers',
    which numpy holds. Large strings, views and dictionaries are copied. Raises SourceError for an array of anything else.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.type not in (pa.string(), pa.binary()):
        array = array.cast(_plain_type(array.type))  # the buffers of other types mean other things
    if array.null_count:
        array = array.fill_null("" if pa.types.is_string(array.type) else b"")
    _, offsets, data = array.buffers()
    if len(array) == 0 or offsets is None:
        none = np.zeros(len(array) + 1, np.int32)
        none.flags.writeable = False
        return none, _EMPTY
    begin = array.offset
    # a damaged file may give a buffer that is longer than its offsets, by any number of bytes
    view = np.frombuffer(offsets, np.int32, len(array) + 1, 4 * begin)
    # an absent or empty data buffer must still be a valid array for the kernels' signatures
    values = np.frombuffer(data, np.uint8) if data is not None and data.size else _EMPTY
    # Arrow's buffers are mutable or not by where they come from: numba would compile each kernel once for either
    view.flags.writeable = values.flags.writeable = False
    return view, values


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of 32-bit offsets that holds the values of a type of text or bytes."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if value in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
        return pa.string()
    if value in (pa.binary(), pa.large_binary(), pa.binary_view()):
        return pa.binary()
    raise SourceError(f"a column of {kind} where text is needed. Cast it to string.")


def string_array(offsets: np.ndarray, data: np.ndarray) -> pa.Array:
    """A string array over `offsets` (int32 [n+1]) and `data` (uint8, valid UTF-8), without copying either."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def nulls_of(texts: pa.Array, array: pa.Array) -> pa.Array:
    """`array`, which a kernel wrote, with null where `texts` has one: kernels see empty strings there.

    >>> nulls_of(pa.array(["a", None]), pa.array(["b", ""])).to_pylist()
    ['b', None]
    """
    return pc.if_else(texts.is_valid(), array, pa.scalar(None, array.type)) if texts.null_count else array


def replace_rows(texts: pa.Array, mask: np.ndarray, values: Sequence[str | None]) -> pa.Array:
    """`texts` with the rows of `mask` (bool [n]) replaced by `values`, one each: what lies between is copied in blocks, where
    Arrow's `replace_with_mask` goes row by row.

    >>> replace_rows(pa.array(["a", "b", "", "d"]), np.array([False, True, False, True]), ["bé", ""]).to_pylist()
    ['a', 'bé', '', '']
    """
    if texts.null_count or None in values:
        return pc.replace_with_mask(texts, pa.array(mask), pa.array(values, texts.type))
    offsets, data = string_buffers(texts)
    rows, new = np.flatnonzero(mask).tolist(), [v.encode() for v in values if v is not None]
    lengths = np.diff(offsets)
    lengths[rows] = [len(v) for v in new]
    ends = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    out = np.empty(int(ends[-1]), np.uint8)
    begin = 0
    for row, value in zip(rows, new, strict=True):
        out[ends[begin] : ends[row]] = data[offsets[begin] : offsets[row]]
        out[ends[row] : ends[row + 1]] = np.frombuffer(value, np.uint8)
        begin = row + 1
    out[ends[begin] :] = data[offsets[begin] : offsets[-1]]
    return string_array(ends, out)


def set_column(batch: pa.RecordBatch, name: str, values: Any) -> pa.RecordBatch:
    """`batch` with column `name` replaced in place, or appended at the end."""
    values = values if isinstance(values, pa.Array) else pa.array(values)
    index = batch.schema.get_field_index(name)
    if index < 0:
        return batch.append_column(name, values)
    return batch.set_column(index, name, values)


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """A record batch of `schema` without rows."""
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def wire_of(schema: pa.Schema) -> str:
    """A schema as text (hexadecimal), for JSON."""
    return str(schema.serialize().to_pybytes().hex())


def schema_of(wire: str) -> pa.Schema:
    """The schema that `wire_of` wrote."""
    return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(wire)))


def logical_digest(table: pa.Table) -> str:
    """Hexadecimal digest of a table's schema and values, the same for equal tables however they are laid out in memory."""
    state = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for column in table.columns:
        _digest_array(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column, state)
    return state.hexdigest()[:40]


def _digest_array(array: pa.Array, state: Any) -> None:
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps several chunks where one cannot hold the data
        for chunk in array.chunks:
            _digest_array(chunk, state)
        return
    state.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes() if array.null_count else b"")
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        state.update(np.diff(array.offsets.to_numpy()).tobytes())
        _digest_array(array.flatten(), state)
    elif pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        offsets, data = string_buffers(array)
        state.update(np.diff(offsets).tobytes())
        state.update(data[offsets[0] : offsets[-1]].tobytes())
    elif pa.types.is_primitive(array.type):
        kind = array.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())  # dates and times
        values = array.fill_null(False if pa.types.is_boolean(kind) else 0)
        state.update(values.to_numpy(zero_copy_only=False).tobytes())
    else:
        state.update(repr(array.to_pylist()).encode())
