"""The common schema of several files, and batches cast to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import SourceError

MAX_DEPTH = 16
"""Columns nested deeper are kept as JSON text: writers and readers of Parquet recurse over the levels."""


def plain_type(t: pa.DataType) -> pa.DataType:
    """The type a column has behind the sources, for Parquet and every reader of a snapshot.

    No dictionaries, views or 64-bit offsets; lists of pairs for maps; JSON text for unions, intervals and decimals of more than
    38 digits; decimals of 128 bits; single for half floats; null for structs without fields.
    """
    if pa.types.is_dictionary(t) or pa.types.is_run_end_encoded(t):
        return plain_type(t.value_type)
    if pa.types.is_large_string(t) or pa.types.is_string_view(t):
        return pa.string()
    if pa.types.is_large_binary(t) or pa.types.is_binary_view(t) or pa.types.is_fixed_size_binary(t):
        return pa.binary()
    if isinstance(t, pa.BaseExtensionType):
        return plain_type(t.storage_type)
    if _is_list(t):
        return pa.list_(plain_type(t.value_type))
    if pa.types.is_map(t):
        return pa.list_(pa.struct([("key", plain_type(t.key_type)), ("value", plain_type(t.item_type))]))
    if pa.types.is_struct(t):
        # Parquet has no structs without fields
        return pa.struct([pa.field(f.name, plain_type(f.type)) for f in t]) if t.num_fields else pa.null()
    if pa.types.is_decimal(t):
        return pa.decimal128(t.precision, t.scale) if t.precision <= 38 else pa.string()
    if pa.types.is_float16(t):
        return pa.float32()
    if pa.types.is_union(t) or t == pa.month_day_nano_interval():
        return pa.string()
    return t


def _is_list(t: pa.DataType) -> bool:
    views = pa.types.is_list_view(t) or pa.types.is_large_list_view(t)
    return views or pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t)


def readable(schema: pa.Schema) -> pa.Schema:
    """The schema, whose names at every level are known to be UTF-8. Raises UnicodeDecodeError (a ValueError) if one is not."""
    front = list(schema)
    for _ in range(MAX_DEPTH):
        front = [f.type.field(i) for f in front if f.name is not None for i in range(f.type.num_fields)]
    return schema


def depth(t: pa.DataType) -> int:
    """Levels of nesting of a type, without recursion: hostile JSON nests thousands deep."""
    level, front = 0, [t]
    while front and level <= MAX_DEPTH + 1:
        front = [t.field(i).type for t in front for i in range(t.num_fields)]
        level += 1
    return level - 1


def common(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    """The type that holds both: the wider number, struct of all fields, list of the common value; else string."""
    a, b = plain_type(a), plain_type(b)
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    integer, floating = pa.types.is_integer, pa.types.is_floating
    if (integer(a) or floating(a)) and (integer(b) or floating(b)):
        if floating(a) or floating(b):
            return pa.float64()
        return pa.int64() if pa.uint64() not in (a, b) else pa.float64()
    if pa.types.is_list(a) and pa.types.is_list(b):
        return pa.list_(common(a.value_type, b.value_type))
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        fields = {f.name: f.type for f in a}
        for f in b:
            fields[f.name] = common(fields[f.name], f.type) if f.name in fields else f.type
        return pa.struct(list(fields.items()))
    if pa.types.is_temporal(a) and pa.types.is_temporal(b):
        try:
            return pa.unify_schemas([pa.schema([("x", a)]), pa.schema([("x", b)])], promote_options="permissive")[
                0
            ].type
        except pa.ArrowException:
            return pa.string()
    return pa.string()


def unify(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """One schema for all: columns in order of first appearance, each of a type that holds what every file has; a column
    that conflicts becomes a string.

    >>> unify([pa.schema([("a", pa.null())]), pa.schema([("a", pa.int64()), ("b", pa.string())])]).types
    [DataType(int64), DataType(string)]
    """
    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for f in schema:
            types[f.name] = common(types[f.name], f.type) if f.name in types else plain_type(f.type)
    return pa.schema(list(types.items()))


def json_text(value: Any) -> str | None:
    """A value as text: a string as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return None


def as_type(column: pa.Array, t: pa.DataType) -> pa.Array:
    """A column cast to a type that `common` gave: numbers to the nearest double, what is no text to its text (of nested values,
    the JSON), at every level. Raises ArrowInvalid where a time is beyond what nanoseconds reach."""
    old = column.type
    if old == t:
        return column
    if pa.types.is_null(old) or pa.types.is_null(t):
        return pa.nulls(len(column), t)
    if isinstance(column, pa.ExtensionArray):
        return as_type(column.storage, t)
    if pa.types.is_run_end_encoded(old):
        return as_type(pc.run_end_decode(column), t)
    if pa.types.is_dictionary(old):
        return as_type(column.dictionary_decode(), t)
    if pa.types.is_string(t):
        return _as_text(column)
    if pa.types.is_map(old):
        pairs = pa.struct([("key", old.key_type), ("value", old.item_type)])
        return as_type(column.cast(pa.list_(pairs)), t)
    if pa.types.is_floating(t):
        return column.cast(t, safe=False)  # integers beyond 2^53 too, as those beyond 64 bits in JSON
    if pa.types.is_list(t):
        # the values of null lists and of those outside a slice are not in `flatten`
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        values = as_type(column.flatten(), t.value_type)
        return pa.ListArray.from_arrays(pa.array(ends), values, type=t, mask=column.is_null())
    if pa.types.is_struct(t):
        old_fields = dict(zip([f.name for f in old], column.flatten()))
        fields = [as_type(old_fields.get(f.name, pa.nulls(len(column))), f.type) for f in t]
        return pa.StructArray.from_arrays(fields, fields=list(t), mask=column.is_null())
    return column.cast(t)


def _as_text(column: pa.Array) -> pa.Array:
    """Any column as strings; bytes that are not UTF-8 are written as \\xNN."""
    old = column.type
    if pa.types.is_nested(old) or pa.types.is_floating(old) or old == pa.month_day_nano_interval():
        return pa.array([json_text(v) for v in column.to_pylist()], pa.string())
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        values = column.cast(pa.large_binary()).to_pylist()
        return pa.array([None if v is None else v.decode("utf-8", "backslashreplace") for v in values], pa.string())


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly the columns of `schema`: absent ones null, types cast."""
    if batch.schema.equals(schema):
        return batch
    arrays = []
    for f in schema:
        i = batch.schema.get_field_index(f.name)
        column = pa.nulls(batch.num_rows) if i < 0 else batch.column(i)
        try:
            arrays.append(as_type(column, f.type))
        except pa.ArrowInvalid as error:
            todo = "give the column one type in all files, or leave it out with `keep`"
            raise SourceError(
                f"column '{f.name}' is {column.type} in some files and {f.type} in others: {error}. To go on: {todo}."
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
