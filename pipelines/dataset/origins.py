"""Where the documents of a snapshot come from: domains, licences, languages and months by their share of the text.

The template of the European Commission for the public summary of training content (July 2025) asks for them: among others for the
domains from which most content was taken. Shards are tallied in the pass that ends the recipe, before `pack`, so that the
figures are those of the documents. Private text is not tallied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.manifest import Origin, Origins
from corpusmill.transforms.web.address import addresses, domains

SCHEMA = pa.schema([("kind", pa.string()), ("value", pa.string()), ("documents", pa.int64()), ("bytes", pa.int64())])
KINDS = {"domain": 1000, "licence": 100, "language": 100, "month": 600}
"""Kinds of origins, and how many of each a manifest lists: small providers report the largest 5 % of domains, or 1,000."""
_COLUMNS = {"licence": ("licence", "license"), "language": ("lang", "language"), "month": ("created", "date")}


class Tally:
    """Counts documents and bytes of text of a shard by origin."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, counted."""
        for batch in batches:
            self.add(batch)
            yield batch

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch of documents."""
        if not batch.num_rows or "text" not in batch.schema.names:
            return
        sizes = pc.fill_null(pc.binary_length(batch.column("text")), 0).cast(pa.int64())
        for kind in KINDS:
            values = _values(batch, kind)
            if values is None:
                continue
            sums = (
                pa.table({"value": values, "bytes": sizes})
                .group_by("value")
                .aggregate([("bytes", "count"), ("bytes", "sum")])
            )
            columns = (sums.column(n).to_pylist() for n in ("value", "bytes_count", "bytes_sum"))
            for value, documents, size in zip(*columns):
                count = self._counts[kind, value or ""]
                count[0] += documents
                count[1] += size

    def table(self) -> pa.Table:
        """The counts, in the order of kind and value."""
        rows = [(kind, value, *count) for (kind, value), count in sorted(self._counts.items())]
        return (
            pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(zip(*rows), SCHEMA)], schema=SCHEMA)
            if rows
            else SCHEMA.empty_table()
        )


def _values(batch: pa.RecordBatch, kind: str) -> pa.Array | None:
    """The value of each document, null where nothing is said; None if no column tells."""
    names = batch.schema.names
    if kind == "domain":
        urls = _text(batch, "url")
        ids = _text(batch, "id")
        if urls is None and (ids is None or not pc.any(pc.match_substring_regex(ids, "^https?://")).as_py()):
            return None
        host = None if urls is None else addresses(urls).host
        if ids is not None and (host is None or host.null_count):
            own = addresses(ids).host
            host = own if host is None else pc.coalesce(host, own)
        return None if host is None else domains(host)
    name = next((n for n in _COLUMNS[kind] if n in names), None)
    if name is None:
        return None
    if kind != "month":
        return _text(batch, name)
    column = batch.column(name)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return pc.strftime(column, format="%Y-%m")
    texts = _text(batch, name)
    return None if texts is None else pc.struct_field(pc.extract_regex(texts, r"^(?P<m>\d{4}-\d{2})"), "m")


def _text(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    if name not in batch.schema.names:
        return None
    column = batch.column(name)
    return (
        column.cast(pa.string()) if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) else None
    )


def summed(tables: Iterable[pa.Table]) -> Origins | None:
    """The origins of all shards, the largest first; None if nothing was tallied."""
    whole = pa.concat_tables([SCHEMA.empty_table(), *tables])
    if not whole.num_rows:
        return None
    sums = whole.group_by(["kind", "value"]).aggregate([("documents", "sum"), ("bytes", "sum")])
    columns = (sums.column(n).to_pylist() for n in ("kind", "value", "documents_sum", "bytes_sum"))
    rows: list[Origin] = [{"kind": k, "value": v, "documents": d, "bytes": b} for k, v, d, b in zip(*columns)]
    rows.sort(key=lambda r: (r["kind"], -r["bytes"], -r["documents"], r["value"]))
    by_kind = {kind: [r for r in rows if r["kind"] == kind] for kind in KINDS}
    return {
        "distinct": {kind: sum(1 for r in found if r["value"]) for kind, found in by_kind.items() if found},
        "top": [r for kind, found in by_kind.items() for r in found[: KINDS[kind]]],
    }


def section(origins: Origins | None) -> str:
    """The card's tables of origins as Markdown, or an empty string."""
    if origins is None:
        return ""
    out = []
    for kind, shown in (("domain", 20), ("licence", 20), ("language", 20)):
        rows = [r for r in origins["top"] if r["kind"] == kind]
        if not any(r["value"] for r in rows):
            continue
        whole = sum(r["bytes"] for r in rows) or 1
        lines = [f"| {kind} | documents | bytes of text | share |", "|---|---|---|---|"]
        lines += [
            f"| {_cell(r['value']) or '*not stated*'} | {r['documents']:,} | {r['bytes']:,} | {r['bytes'] / whole:.2%} |"
            for r in rows[:shown]
        ]
        more = origins["distinct"].get(kind, 0) - sum(1 for r in rows[:shown] if r["value"])
        if more > 0:
            lines.append(f"| and {more:,} more | | | |")
        out.append("\n".join(lines))
    months = sorted(r["value"] for r in origins["top"] if r["kind"] == "month" and r["value"])
    if months:
        out.append(f"Documents are dated from {months[0]} to {months[-1]}.")
    if out:
        out.append("`origins` in the snapshot's manifest lists up to 1,000 domains.")
    return "\n\n".join(out) + "\n\n" if out else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:100]
