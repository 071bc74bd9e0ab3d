"""nanoGPT's .bin: the tokens as little-endian uint16, one row behind the other, and nothing else.

Padding is left out, since nanoGPT draws its samples from the stream of tokens; documents are told apart by eos alone.
Read with `np.memmap("train.bin", np.uint16, "r")`; shards may simply be concatenated.
Source: nanoGPT, data/openwebtext/prepare.py and train.py.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.formats.files import ExportFormat, Shard, sinks, token_rows


def write_nanogpt(batches: Iterable[pa.RecordBatch], stem: str, schema: pa.Schema) -> Shard:
    """Write `stem`.bin.

    Raises:
        RecipeError: ids do not fit 16 bits.
    """
    kind = schema.field("input_ids").type if "input_ids" in schema.names else None
    if kind is None or not pa.types.is_nested(kind) or kind.value_type != pa.uint16():
        raise RecipeError(
            f"output.format: nanogpt holds ids below 65,536, got {kind}; choose megatron, or a tokenizer with a smaller vocabulary"
        )
    rows = total = 0
    with sinks(stem + ".bin") as (sink,):
        for batch in batches:
            tokens, lengths = token_rows(batch)
            sink.write(tokens.astype("<u2", copy=False))
            rows += len(lengths)
            total += int(lengths.sum())
        return Shard((sink.publish(),), rows, total)


FORMATS = {"nanogpt": ExportFormat(write_nanogpt)}
