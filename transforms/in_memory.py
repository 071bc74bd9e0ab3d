"""Steps on data in memory: what a step's `__call__` does with a table, a data frame, a Hugging Face dataset or a list of texts.

The answer is of the kind that was given. Rows need a column `text` (or what the step works on); where `id` or `source` are
absent they are made for the step and left out of the answer. A group (deduplication, mixing) sees all rows that it is given as
one shard, and decides as a run of a recipe over them would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.document import text_ids
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.exchange import named, shard_names
from corpusmill.transforms.random import Keyed

if TYPE_CHECKING:
    from corpusmill.transforms.base import Group, Transform

SOURCE = "memory"
"""The source of rows that name none."""
BATCH_ROWS = 4_096
_KINDS = "a RecordBatch, a Table, a pandas or Polars DataFrame, a Hugging Face Dataset, or a list of texts"


def call(step: Transform, data: Any, seed: int) -> Any:
    """What `step` makes of `data`, in the kind of `data`.

    Raises:
        RecipeError: `data` is of no kind that is known, or lacks what the step needs.
    """
    library, kind = type(data).__module__.partition(".")[0], type(data).__name__
    if isinstance(data, pa.RecordBatch):
        if {"id", "source"} <= {*data.schema.names}:  # as in a pipeline of Beam
            return _one(_worked(step, [data], seed))
        table = on_table(step, pa.Table.from_batches([data]), seed)
        return _one(table.to_batches() or [empty_batch(table.schema)])
    if isinstance(data, pa.Table):
        return on_table(step, data, seed)
    if (library, kind) == ("pandas", "DataFrame"):
        table = pa.Table.from_pandas(data)  # its metadata say which column is the index
        return on_table(step, table, seed).replace_schema_metadata(table.schema.metadata).to_pandas()
    if (library, kind) == ("polars", "DataFrame"):
        import polars

        return polars.from_arrow(on_table(step, data.to_arrow(), seed))
    if library == "datasets" and kind == "Dataset":
        return type(data)(on_table(step, data.with_format("arrow")[:], seed))
    if isinstance(data, list) and all(isinstance(text, str) for text in data):
        answer = on_table(step, pa.table({"text": pa.array(data, pa.string())}), seed)
        if "text" not in answer.column_names:
            raise RecipeError(f"{step.name} makes rows that are no texts; give it a Table instead of a list")
        return answer.column("text").to_pylist()
    raise RecipeError(f"{step.name} was given a {library}.{kind}; give it {_KINDS}")


def on_table(step: Transform, table: pa.Table, seed: int) -> pa.Table:
    """What `step` makes of a table."""
    from corpusmill.transforms.base import Terminal

    rows, added = _completed(table.replace_schema_metadata(None), step.name)
    batches = rows.combine_chunks().to_batches(max_chunksize=BATCH_ROWS) or [empty_batch(rows.schema)]
    answer = pa.concat_tables(map(_as_table, _worked(step, batches, seed)), promote_options="default")
    left_out = [] if isinstance(step, Terminal) else added  # rows of a terminal step have ids of their own
    return answer.drop_columns([name for name in left_out if name in answer.column_names])


def _worked(step: Transform, batches: list[pa.RecordBatch], seed: int) -> list[pa.RecordBatch]:
    """What `step` makes of batches: at least one, if only without rows."""
    from corpusmill.transforms.base import Expand, Filter, Group, Map, Terminal

    rng = Keyed(seed, step.name)
    if isinstance(step, Map):
        return [step.map(batch, rng) for batch in batches]
    if isinstance(step, Expand):
        return [step.expand(batch, rng) for batch in batches]
    if isinstance(step, Filter):
        done = []
        for batch in batches:
            verdict = step.judge(batch, rng)
            done.append((batch if verdict.batch is None else verdict.batch).filter(pa.array(verdict.kept)))
        return done
    if isinstance(step, Group):
        return _grouped(step, batches, rng)
    if isinstance(step, Terminal):
        return list(step.finish(batches, rng, step.account()))
    raise TypeError(f"{type(step).__name__} is none of the kinds of transform")


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Several batches as one."""
    if len(batches) == 1:
        return batches[0]
    return (pa.Table.from_batches(batches).combine_chunks().to_batches() or [empty_batch(batches[0].schema)])[0]


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _completed(table: pa.Table, name: str) -> tuple[pa.Table, list[str]]:
    """The table with text as the steps take it and with `id` and `source`, and which of these were added."""
    present = table.column_names
    for column in ("id", "text", "source"):
        if column in present:
            table = _as_strings(table, column, name)
    added = []
    if "source" not in present:
        table = table.append_column("source", pa.repeat(SOURCE, table.num_rows).cast(pa.string()))
        added.append("source")
    if "id" not in present:
        if "text" not in present:
            raise RecipeError(f"{name} was given rows without `text` and `id`; they have: {', '.join(present)}")
        texts = table.column("text").combine_chunks()
        table = table.append_column("id", text_ids(SOURCE, texts))
        added.append("id")
    return table, added


def _as_strings(table: pa.Table, column: str, name: str) -> pa.Table:
    values = table.column(column)
    if not (pa.types.is_string(values.type) or pa.types.is_null(values.type)):
        kind = values.type
        if not (pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_dictionary(kind)):
            raise RecipeError(f"{name}: the column `{column}` holds {kind}; cast it to string")
    if values.null_count and column == "id":
        row = int(np.flatnonzero(values.is_null().to_numpy())[0])
        raise RecipeError(f"{name}: row {row} has no `id`; give it one, or drop the column and leave ids to this step")
    return table.set_column(table.column_names.index(column), column, values.cast(pa.string()))


def _grouped(group: Group, batches: list[pa.RecordBatch], rng: Keyed) -> list[pa.RecordBatch]:
    """The batches as a group leaves them, of one shard with one partition of keys."""
    begins = np.cumsum([0, *(batch.num_rows for batch in batches)])
    numbered = [(b, np.arange(a, a + len(b), dtype=np.uint32)) for b, a in zip(batches, begins.tolist())]
    decisions: pa.Table | None = None
    for number in range(group.rounds):
        sent = [group.keys(number, b, rows, _given(group, number - 1, decisions, rows)) for b, rows in numbered]
        keys = pa.Table.from_batches(sent)
        keys = keys.append_column("shard", pa.array(np.zeros(keys.num_rows, np.uint32)))
        made = group.decide(number, keys).decisions
        if number in group.gathered:
            answer = group.gather(number, [made], begins[-1:])
            made = pa.concat_tables([made, answer]) if number in group.adds else answer
        order = np.argsort(made.column("row").to_numpy(), kind="stable")
        decisions = named(made.take(pa.array(order)).combine_chunks(), shard_names(["0"]))
    if decisions is None:
        return batches
    if not group.moves:
        last = group.rounds - 1
        return [group.apply(b, rows, group.decisions_for(last, decisions, *_span(rows))).batch for b, rows in numbered]
    routed = [group.route(batch, decisions, rng) for batch in batches]
    moved = pa.Table.from_batches([r.batch for r in routed])
    to, order = (np.concatenate([getattr(r, name) for r in routed]) for name in ("to", "order"))
    return moved.take(pa.array(np.lexsort((order, to)))).combine_chunks().to_batches() or [empty_batch(moved.schema)]


def _given(group: Group, rnd: int, decisions: pa.Table | None, rows: np.ndarray) -> pa.Table | None:
    """The decisions of a round for a batch; None before the first round."""
    return None if decisions is None else group.decisions_for(rnd, decisions, *_span(rows))


def _span(rows: np.ndarray) -> tuple[int, int]:
    """(first row, number of rows) of a batch."""
    return (int(rows[0]) if len(rows) else 0), len(rows)
