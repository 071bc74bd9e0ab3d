"""Runs the fused steps between two cuts. Each batch goes through all of them, and every row is accounted for.

For each step: rows in = rows out + rows dropped by reason - rows derived. The ledger lists each dropped row: its id,
the step, the reason, the value that broke the rule and, for duplicates, the survivor. `corpusmill why` reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.outcome import CountRecord
from corpusmill.pipelines.engine import edits
from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Applied, Cuts, Expand, Filter, Group, Map, Routed, Terminal, Verdict, kind_of
from corpusmill.transforms.errors import ConservationError, EngineError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.shards import text_bytes

if TYPE_CHECKING:
    from corpusmill.pipelines.dataset.suppression import Suppression
    from corpusmill.pipelines.recipe.model import Step

LEDGER = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("step", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("survivor", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("parent", pa.string()),
    ]
)
"""Columns of the ledger of dropped rows. `bytes` is the size of the document's text. `parent` is null except for
derived documents. So every document that was ever derived names its parent, here or in a shard."""
CUTS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("step", pa.string()),
        pa.field("blocks", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("samples", pa.list_(pa.string())),
    ]
)
"""Columns of the side table `cut`: what a step cut out of a document."""


@dataclass
class Count:
    """Accounting of one step over one shard: rows, and bytes of text."""

    step: str
    kind: str
    rows_in: int = 0
    rows_out: int = 0
    derived: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    details: dict[str, Any] = field(default_factory=dict)

    def check(self, where: str) -> None:
        """Raise ConservationError unless the rows add up."""
        if self.rows_in + self.derived != self.rows_out + sum(self.dropped.values()):
            raise ConservationError(
                f"{where}, step {self.step}: {self.rows_in} rows in + {self.derived} derived, but {self.rows_out} out + "
                f"{sum(self.dropped.values())} dropped. No snapshot was committed; please report this."
            )

    def to_dict(self) -> CountRecord:
        """JSON-able form, reasons in alphabetical order."""
        return {
            "step": self.step,
            "kind": self.kind,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "derived": self.derived,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "dropped": dict(sorted(self.dropped.items())),
            "details": self.details,
        }


class Chain:
    """The steps of one pass over one shard, with their counts, ledger and side tables.

    head: the group whose decisions are applied before the first step, with its step name, or None. suppression: the
    list that drops derived rows as soon as a step makes them, or None.
    """

    def __init__(
        self,
        steps: list[Step],
        seed: int,
        where: str,
        head: tuple[str, Group] | None = None,
        suppression: Suppression | None = None,
    ) -> None:
        every = [(s.name, s.transform, Keyed(seed, s.name)) for s in steps]
        self._steps = [s for s in every if not isinstance(s[1], Terminal)]
        self._terminal = next(((n, t, r) for n, t, r in every if isinstance(t, Terminal)), None)
        self._head, self._where, self._suppression = head, where, suppression
        self.counts = [Count(head[0], "group")] if head else []
        self.counts += [Count(name, kind_of(transform)) for name, transform, _ in self._steps]
        self._dropped: list[pa.RecordBatch] = []
        self._scores: dict[str, list[pa.RecordBatch]] = {}
        self._cuts: list[pa.RecordBatch] = []
        self._tables: dict[str, list[pa.RecordBatch]] = {}

    def run(
        self, batch: pa.RecordBatch, rows: np.ndarray | None = None, decisions: pa.Table | None = None
    ) -> pa.RecordBatch:
        """Run all steps on a batch. rows, decisions: for the head group, see `Group.apply`."""
        counts = iter(self.counts)
        if self._head:
            count = next(counts)
            if batch.num_rows or self._head[1].adds_to():
                if rows is None or decisions is None:
                    raise EngineError(f"{self._where}: a pass behind {self._head[0]} was run without its decisions")
                batch = self._apply(self._head[1], count, batch, rows, decisions)
        for (name, transform, rng), count in zip(self._steps, counts, strict=True):
            count.rows_in += batch.num_rows
            count.bytes_in += text_bytes(batch)
            before = batch
            if isinstance(transform, Map):
                batch = transform.map(batch, rng)
                self._same_rows(name, before, batch)
                edits.add(count.details, before.column("text"), batch.column("text"))
            elif isinstance(transform, Filter):
                batch = self._filter(name, transform, batch, transform.judge(batch, rng), count)
            elif isinstance(transform, Expand):
                batch = transform.expand(batch, rng)
                self._expanded(name, before, batch, count)
                batch = self._without_suppressed(batch, count)
            count.rows_out += batch.num_rows
            count.bytes_out += text_bytes(batch)
        return batch

    def finish(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the shard's batches after all steps, and after the terminal step if there is one."""
        if self._terminal is None:
            yield from batches
            return
        name, transform, rng = self._terminal
        count = Count(name, "terminal")
        account = transform.account()
        for batch in transform.finish(self._weighed(batches, count), rng, account):
            count.rows_out += batch.num_rows
            yield batch
        account.check(self._where)
        count.rows_in, count.derived = account.documents, count.rows_out
        count.dropped.update(account.dropped)
        # a packed document is no row any more; the ledger lists it as used, so that the sums hold
        count.dropped["used"] = account.used
        count.details = account.to_dict()
        ledger = account.ledger()
        for batch in ledger.to_batches():
            step, none = pa.array([name] * batch.num_rows, pa.string()), pa.nulls(batch.num_rows, pa.string())
            columns = [batch["id"], batch["source"], step, batch["reason"], batch["value"], none, batch["bytes"], none]
            self._dropped.append(pa.RecordBatch.from_arrays(columns, schema=LEDGER))
        self.counts.append(count)

    @staticmethod
    def _weighed(batches: Iterator[pa.RecordBatch], count: Count) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            count.bytes_in += text_bytes(batch)
            yield batch

    def check(self) -> None:
        """Raise ConservationError unless every step's rows add up and each step takes what the one before gave."""
        for count in self.counts:
            count.check(self._where)
        for before, after in zip(self.counts, self.counts[1:], strict=False):
            if before.rows_out != after.rows_in:
                raise ConservationError(
                    f"{self._where}: {before.step} gave {before.rows_out} rows, {after.step} took {after.rows_in}."
                )

    def ledger(self) -> pa.Table:
        """All dropped rows so far, in the order of the shard and its steps."""
        return pa.Table.from_batches(self._dropped, LEDGER)

    def cuts(self) -> pa.Table:
        """What steps cut out of documents so far."""
        return pa.Table.from_batches(self._cuts, CUTS)

    def scores(self) -> dict[str, pa.Table]:
        """Side tables of filters that keep their scores: one row for each document that entered the filter."""
        return {step: pa.Table.from_batches(batches) for step, batches in self._scores.items()}

    def tables(self) -> dict[str, pa.Table]:
        """Side tables of the head group, by name."""
        return {name: pa.Table.from_batches(batches) for name, batches in self._tables.items()}

    def route(self, name: str, group: Group, batch: pa.RecordBatch, decisions: pa.Table, seed: int) -> Routed:
        """The shard to which a moving group sends each row of a batch. Counts the rows."""
        if not self.counts:
            self.counts.append(Count(name, "group"))
        count = self.counts[0]
        routed = group.route(batch, decisions, Keyed(seed, name))
        gone = routed.applied
        if len(gone.dropped):
            lost = batch.take(pa.array(gone.dropped))
            self._note(count, lost, pa.array(gone.reasons, pa.string()), gone.values, gone.survivors)
        count.rows_in += batch.num_rows
        count.bytes_in += text_bytes(batch)
        count.rows_out += routed.batch.num_rows
        count.bytes_out += text_bytes(routed.batch)
        count.derived += routed.batch.num_rows - (batch.num_rows - len(gone.dropped))
        for name_of, number in routed.details.items():
            count.details[name_of] = count.details.get(name_of, 0) + number
        return routed

    def _apply(
        self, group: Group, count: Count, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table
    ) -> pa.RecordBatch:
        count.rows_in += batch.num_rows
        count.bytes_in += text_bytes(batch)
        applied: Applied = group.apply(batch, rows, decisions)
        self._note_cuts(count, batch, applied.cuts)
        if len(applied.dropped):
            gone = batch.take(pa.array(applied.dropped))
            self._note(count, gone, pa.array(applied.reasons, pa.string()), applied.values, applied.survivors)
        kept = np.ones(batch.num_rows, np.bool_)
        kept[applied.dropped] = False
        if applied.scores:
            self._note_scores(count.step, batch, kept, {k: pa.array(v) for k, v in applied.scores.items()})
        for name, rows_of in applied.tables.items():
            self._tables.setdefault(name, []).append(rows_of)
        out = applied.batch
        stayed = out.slice(0, out.num_rows - applied.derived)
        if kept.sum() == stayed.num_rows:
            text = batch.column("text")
            edits.add(count.details, text if kept.all() else text.filter(pa.array(kept)), stayed.column("text"))
        if applied.derived:
            count.derived += applied.derived
            if out.slice(stayed.num_rows).column("parent").null_count:
                raise EngineError(f"{self._where}: {count.step} made rows that name no parent")
            out = self._without_suppressed(out, count)
        count.rows_out += out.num_rows
        count.bytes_out += text_bytes(out)
        return out

    def _filter(
        self, name: str, transform: Filter, batch: pa.RecordBatch, verdict: Verdict, count: Count
    ) -> pa.RecordBatch:
        if len(verdict.codes) != batch.num_rows:
            raise EngineError(f"{self._where}: {name} judged {len(verdict.codes)} of {batch.num_rows} rows")
        kept = verdict.kept
        self._note_cuts(count, batch, verdict.cuts)
        if transform.keep_scores:
            scores = {k: pa.array(v) for k, v in verdict.scores.items()}
            self._note_scores(name, batch, kept, scores)
        if verdict.batch is not None:
            self._same_rows(name, batch, verdict.batch)
        changed = batch if verdict.batch is None else verdict.batch
        if transform.keep_scores:
            for key, values in scores.items():
                changed = set_column(changed, f"{name}.{key}", values)
        if kept.all():
            edits.add(count.details, batch.column("text"), changed.column("text"))
            return changed
        lost = np.flatnonzero(~kept)
        names = pa.array(verdict.reasons, pa.string()).take(pa.array(verdict.codes[lost]))
        self._note(count, batch.take(pa.array(lost)), names, verdict.values[lost], None)
        stays = changed.filter(pa.array(kept))
        if verdict.batch is None:
            edits.add(count.details, stays.column("text"), stays.column("text"))
        else:
            edits.add(count.details, batch.column("text").filter(pa.array(kept)), stays.column("text"))
        return stays

    def _note_scores(self, step: str, batch: pa.RecordBatch, kept: np.ndarray, scores: dict[str, pa.Array]) -> None:
        """Write the scores of all rows that entered a step to its side table."""
        sizes = pc.binary_length(batch.column("text")).cast(pa.int64())
        side = pa.record_batch({"id": batch.column("id"), "bytes": sizes, "kept": pa.array(kept), **scores})
        self._scores.setdefault(step, []).append(side)

    def _without_suppressed(self, batch: pa.RecordBatch, count: Count) -> pa.RecordBatch:
        """Remove derived rows that are on the suppression list. The ledger counts them without their names."""
        if self._suppression is None or not self._suppression.count("derived"):
            return batch
        gone = self._suppression.mask("derived", batch.column("id"))
        if not gone.any():
            return batch
        lost = pa.Table.from_batches([batch.filter(pa.array(gone))])
        count.dropped["suppressed"] += lost.num_rows
        n, nothing = lost.num_rows, pa.nulls(lost.num_rows, pa.string())
        fixed = [pa.array([v] * n, pa.string()) for v in (count.step, "suppressed")]
        numbers = [pa.array(np.full(n, np.nan)), nothing, pa.array(np.zeros(n, np.int64)), nothing]
        columns = [nothing, lost.column("source").combine_chunks(), *fixed, *numbers]
        self._dropped.append(pa.record_batch(columns, schema=LEDGER))
        return batch.filter(pa.array(~gone))

    def _note(self, count: Count, gone: pa.RecordBatch, reasons: pa.Array, values: Any, survivors: Any) -> None:
        """Write dropped rows to the ledger and count them by reason."""
        for pair in pc.value_counts(reasons).to_pylist():
            count.dropped[pair["values"]] += pair["counts"]
        n = gone.num_rows
        self._dropped.append(
            pa.record_batch(
                [
                    gone.column("id"),
                    gone.column("source"),
                    pa.array([count.step], pa.string()).take(pa.array(np.zeros(n, np.int64))),
                    reasons,
                    pa.array(np.asarray(values, np.float64)),
                    pa.nulls(n, pa.string()) if survivors is None else pa.array(survivors, pa.string()),
                    pc.binary_length(gone.column("text")).cast(pa.int64()),
                    gone.column("parent") if "parent" in gone.schema.names else pa.nulls(n, pa.string()),
                ],
                schema=LEDGER,
            )
        )

    def _note_cuts(self, count: Count, batch: pa.RecordBatch, cuts: Cuts | None) -> None:
        """Write what was cut out of documents to the side table, and count it."""
        if cuts is None or not len(cuts.rows):
            return
        sums = {
            "cut_documents": len(cuts.rows),
            "cut_blocks": int(cuts.blocks.sum()),
            "cut_bytes": int(cuts.bytes.sum()),
        }
        for name, number in sums.items():
            count.details[name] = count.details.get(name, 0) + number
        at = pa.array(cuts.rows)
        columns = [batch.column("id").take(at), batch.column("source").take(at), pa.repeat(count.step, len(at))]
        numbers = [pa.array(cuts.blocks, pa.int64()), pa.array(cuts.bytes, pa.int64())]
        samples = pa.array(cuts.samples, CUTS.field("samples").type)
        self._cuts.append(pa.record_batch([*columns, *numbers, samples], schema=CUTS))

    def _expanded(self, name: str, before: pa.RecordBatch, after: pa.RecordBatch, count: Count) -> None:
        original = pc.is_in(after.column("id"), before.column("id"))
        stayed = pc.sum(original).as_py() or 0
        derived = after.num_rows - stayed
        if derived and after.filter(pc.invert(original)).column("parent").null_count:
            raise EngineError(f"{self._where}: {name} made rows that name no parent")
        count.derived += derived
        if derived and "derived_by" in after.schema.names:
            edits.add_derived(count.details, after.column("derived_by").filter(pc.invert(original)))
        if stayed < before.num_rows:
            gone = before.filter(pc.invert(pc.is_in(before.column("id"), after.column("id"))))
            if gone.num_rows + stayed != before.num_rows:
                raise ConservationError(f"{self._where}: {name} doubled some original rows")
            reasons = pa.array(["replaced"] * gone.num_rows, pa.string())
            self._note(count, gone, reasons, np.full(gone.num_rows, np.nan), None)

    def _same_rows(self, name: str, before: pa.RecordBatch, after: pa.RecordBatch) -> None:
        if after.num_rows != before.num_rows:
            raise EngineError(f"{self._where}: {name} is a map but gave {after.num_rows} rows for {before.num_rows}")
