"""Megatron-LM's indexed dataset: `stem`.bin with the tokens and `stem`.idx with where each row lies.

.idx, little-endian: the 9 bytes `MMIDIDX\\0\\0`; uint64 version 1; uint8 type code (4 int32, 8 uint16); uint64 number of
sequences s; uint64 number of document bounds d + 1; int32 [s] tokens of each sequence; int64 [s] its first byte in .bin;
int64 [d + 1] the sequence at which each document begins, and s. Here a row is a sequence and a document of its own;
padding is left out, since Megatron cuts its samples from the stream of tokens.
Source: the format's public description in Megatron-LM, megatron/core/datasets/readme.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.formats.files import ExportFormat, Shard, sinks, token_rows

MAGIC = b"MMIDIDX\x00\x00"
CODES = {"int32": 4, "uint16": 8}


def write_megatron(batches: Iterable[pa.RecordBatch], stem: str, schema: pa.Schema) -> Shard:
    """Write `stem`.bin and `stem`.idx; `--data-path stem` reads them.

    Raises:
        RecipeError: there is no column `input_ids` of uint16 or int32.
    """
    dtype = _dtype(schema)
    sizes = [np.empty(0, np.int64)]
    with sinks(stem + ".bin", stem + ".idx") as (data, index):
        for batch in batches:
            tokens, lengths = token_rows(batch)
            data.write(np.ascontiguousarray(tokens.astype(dtype, copy=False)))
            sizes.append(lengths)
        lengths = np.concatenate(sizes)
        pointers = (np.cumsum(lengths) - lengths) * dtype.itemsize
        index.write(MAGIC + struct.pack("<QBQQ", 1, CODES[dtype.name], len(lengths), len(lengths) + 1))
        index.write(lengths.astype("<i4"))
        index.write(pointers.astype("<i8"))
        index.write(np.arange(len(lengths) + 1, dtype="<i8"))
        # the index last: a reader looks for it first
        files = data.publish(), index.publish()
    return Shard(files, len(lengths), int(lengths.sum()))


def _dtype(schema: pa.Schema) -> np.dtype:
    kind = schema.field("input_ids").type if "input_ids" in schema.names else None
    name = str(kind.value_type) if kind is not None and pa.types.is_nested(kind) else ""
    if name not in CODES:
        raise RecipeError(
            f"output.format: megatron needs input_ids of uint16 or int32, got {kind}; end the steps with `pack`"
        )
    return np.dtype(name).newbyteorder("<")


FORMATS = {"megatron": ExportFormat(write_megatron)}
