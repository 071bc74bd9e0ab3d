"""Which document of a cluster survives: an order of documents by content and by the history of their dataset, never by the
order in which a run comes to them.

    first      what came to the dataset first
    longest    the most bytes of text
    newest     the greatest `created`
    priority   the greatest `priority`

A document without a value comes last. Ties go to what came first, then to the smallest id in byte order, then to a hash of
(text, source). What came first is known by refreshes: all files of a dataset's first snapshot came at once, what later ones
add came later. So an incumbent stays when its near-duplicate arrives, and its shard is not written again.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.errors import RecipeError
from transforms.hashing import hash64, mix64_array

Keep = Literal["first", "longest", "newest", "priority"]
KEEP_HELP = (
    "Which document of a cluster survives: first (by the refresh that brought it), longest (most bytes), newest (greatest "
    "`created`) or priority (greatest `priority`); ties go to what came first, then to the smallest id."
)


def order_columns(batch: pa.RecordBatch, keep: Keep, step: str) -> dict[str, pa.Array]:
    """What decides the order of a batch's documents: `rank` (not with `first`; any sortable type), `id`, and `tie` uint64.

    Raises RecipeError when the column that `keep` needs is not there.
    """
    columns: dict[str, Any] = {}
    if keep == "longest":
        columns["rank"] = pc.binary_length(batch.column("text"))
    elif keep != "first":
        role = "created" if keep == "newest" else "priority"
        if batch.schema.get_field_index(role) < 0:
            raise RecipeError(
                f"{step}: `keep: {keep}` needs a column `{role}`, which the documents do not have. "
                f"Map it at the source (`columns: {{{role}: YOUR_COLUMN}}`), or choose `keep: first` or `keep: longest`."
            )
        rank = batch.column(role)
        columns["rank"] = rank.dictionary_decode() if pa.types.is_dictionary(rank.type) else rank
    columns["id"] = batch.column("id")
    tie = hash64(batch.column("text"))
    if batch.schema.get_field_index("source") >= 0:
        source = batch.column("source")
        source = source.dictionary_decode() if pa.types.is_dictionary(source.type) else source
        tie = tie ^ mix64_array(hash64(source))
    columns["tie"] = pa.array(tie)
    return columns


def order_ranks(table: pa.Table) -> np.ndarray:
    """Dense order of rows that carry `order_columns`, and perhaps `arrival` (`Group.decide`): uint64 [n], 0 survives all
    others. Equal rows get different numbers, in the order of the table."""
    columns = [name for name in ("rank", "arrival", "id", "tie") if name in table.column_names]
    keys = [(name, "descending" if name == "rank" else "ascending") for name in columns]
    chosen = table.select(columns).combine_chunks()
    order = pc.sort_indices(chosen, sort_keys=keys).to_numpy()
    ranks = np.empty(len(order), np.uint64)
    ranks[order] = np.arange(len(order), dtype=np.uint64)
    return ranks


def document_ranks(table: pa.Table, place: np.ndarray) -> np.ndarray:
    """`order_ranks` of documents that have several rows: uint64 [n], the same number for rows of one place."""
    _, first, inverse = np.unique(place, return_index=True, return_inverse=True)
    return order_ranks(table.take(pa.array(first)))[inverse]
