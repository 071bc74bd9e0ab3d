"""Chooses the survivor of a cluster by content and by the history of the dataset, never by the order in which a run reads.

    first      the document that came to the dataset first
    longest    the most bytes of text
    newest     the greatest `created`
    priority   the greatest `priority`

Files may have these columns in different types, so each value is ordered as what it is: numbers before texts. Dates and times,
and for `newest` texts of that form, are ordered as instants: their text in ISO 8601, in UTC. A time without a zone is taken
for UTC, a date for its midnight. A document without a value comes last. Ties go to what came
first, then to the smallest id in byte order, then to a hash of (text, source). Arrival counts refreshes: all files of a dataset's
first snapshot arrived together, later snapshots add later arrivals. So a published document stays when its near-duplicate
arrives, and its shard is not written again.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.base import USE_PUBLIC
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash64, mix64_array
from corpusmill.transforms.sources.schema import as_type, plain_type

_ISO = re.compile(
    r"^\s*([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?\s*(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2})?)?)?\s*$"
)

Keep = Literal["first", "longest", "newest", "priority"]
KEEP_HELP = (
    "Which document of a cluster survives: first (by the refresh that brought it), longest (most bytes), newest (greatest "
    "`created`) or priority (greatest `priority`); ties go to what came first, then to the smallest id."
)

TRUST = ": look at a few in the dropped tables, or ask `corpusmill why DIR ID`, before trusting it"
"""`Transform.advice` of the steps that drop duplicates."""
WITHIN_UNITS = f"use `bound-units: {{distinct: true}}`, which deduplicates within a unit; or {USE_PUBLIC}"
"""The way out where private training refuses such a step."""


def order_fingerprint(step: str, keep: Keep) -> str:
    """A step's fingerprint from that of its fields; it changes with the form of `rank`, so that old and new keys never meet."""
    form = {"newest": "rank_instant", "priority": "rank_text"}.get(keep)
    return step if form is None else hashlib.sha256(f"{step} {form}".encode()).hexdigest()[:32]


def order_columns(batch: pa.RecordBatch, keep: Keep, step: str) -> dict[str, pa.Array]:
    """The columns that order a batch's documents: `rank` (not with `first`), `rank_text` (with a column of the user's), `id`, and
    `tie` uint64. Their types are the same for every batch.

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
        columns["rank"], columns["rank_text"] = _number_or_text(batch, role, f"{step}.keep")
        if keep == "newest":
            columns["rank_text"] = _instants(columns["rank_text"])
    columns["id"] = batch.column("id")
    tie = hash64(batch.column("text"))
    if batch.schema.get_field_index("source") >= 0:
        source = batch.column("source")
        source = source.dictionary_decode() if pa.types.is_dictionary(source.type) else source
        tie = tie ^ mix64_array(hash64(source))
    columns["tie"] = pa.array(tie)
    return columns


def _number_or_text(batch: pa.RecordBatch, name: str, where: str) -> tuple[pa.Array, pa.Array]:
    """A column as (double, string): its values are in the one that fits its type, and the other holds nulls."""
    values = batch.column(name)
    t = plain_type(values.type)
    if pa.types.is_nested(t) or pa.types.is_binary(t):
        raise RecipeError(
            f"{where}: the column `{name}` holds {t}, which has no order; give numbers, text, dates or times"
        )
    if pa.types.is_timestamp(t):
        moments = as_type(values, t).cast(pa.timestamp(t.unit))  # with a time zone or without: the same instant
        # the fraction as texts have it: without zeros behind
        text = pc.strftime(moments, format="%Y-%m-%dT%H:%M:%S")
        text = pc.replace_substring_regex(pc.replace_substring_regex(text, r"(\.[0-9]*?)0+$", r"\1"), r"\.$", "")
        return pa.nulls(len(values), pa.float64()), text
    if pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_boolean(t) or pa.types.is_decimal(t):
        return as_type(values, t).cast(pa.float64(), safe=False), pa.nulls(len(values), pa.string())
    return pa.nulls(len(values), pa.float64()), as_type(values, pa.string())


def _instants(texts: pa.Array) -> pa.Array:
    """`texts` with dates and times of ISO 8601 in one form, which sorts as the instants do; other texts as they are.

    >>> _instants(pa.array(["2020-01-01T10:00:00+09:00", "2020-01-01 02:00:00.50Z", "2020-01-01", "late"])).to_pylist()
    ['2020-01-01T01:00:00', '2020-01-01T02:00:00.5', '2020-01-01T00:00:00', 'late']
    """
    if not pc.any(pc.match_substring_regex(texts, _ISO.pattern)).as_py():
        return texts
    return pa.array([None if t is None else _instant(t) for t in texts.to_pylist()], pa.string())


def _instant(text: str) -> str:
    match = _ISO.match(text)
    if match is None:
        return text
    day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}")
        if sign is not None:
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            moment = moment + offset if sign == "-" else moment - offset
    except (ValueError, OverflowError):  # such as a 13th month
        return text
    fraction = (fraction or "").rstrip("0")
    return moment.isoformat() + (f".{fraction}" if fraction else "")


def order_ranks(table: pa.Table) -> np.ndarray:
    """Ranks of rows with `order_columns` and perhaps `arrival` (`Group.decide`): uint64 [n]; the row of rank 0 survives.
    Equal rows get different ranks, in the order of the table."""
    columns = [name for name in ("rank", "rank_text", "arrival", "id", "tie") if name in table.column_names]
    keys = [(name, "descending" if name.startswith("rank") else "ascending") for name in columns]
    chosen = table.select(columns).combine_chunks()
    order = pc.sort_indices(chosen, sort_keys=keys).to_numpy()
    ranks = np.empty(len(order), np.uint64)
    ranks[order] = np.arange(len(order), dtype=np.uint64)
    return ranks


def document_ranks(table: pa.Table, place: np.ndarray) -> np.ndarray:
    """`order_ranks` of documents that have several rows: uint64 [n], the same rank for all rows of one place."""
    _, first, inverse = np.unique(place, return_index=True, return_inverse=True)
    return order_ranks(table.take(pa.array(first)))[inverse]
