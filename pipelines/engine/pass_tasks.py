"""Tasks that stream a shard through the fused steps of a pass, or rewrite it in the common schema."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.origins import Tally
from corpusmill.pipelines.dataset.outcome import Outcome
from corpusmill.pipelines.dataset.results import Store, request_of
from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.engine.fingerprints import pass_content, pass_fingerprint, source_fingerprint
from corpusmill.pipelines.engine.stage import GroupStep, is_common
from corpusmill.pipelines.engine.task import ORDER, Task
from corpusmill.pipelines.engine.task_files import KeyRows, shard_file, side_table
from corpusmill.transforms import storage
from corpusmill.transforms.arrow import empty_batch, schema_of, wire_of
from corpusmill.transforms.base import Group
from corpusmill.transforms.errors import ConservationError, EngineError
from corpusmill.transforms.exchange import read_rows
from corpusmill.transforms.shards import SUFFIX, ShardWriter, read_shard, text_bytes
from corpusmill.transforms.sources.bad import BadRows, example
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.rows import empty
from corpusmill.transforms.sources.schema import conform
from corpusmill.transforms.sources.splits import Split

NOTED_EVERY = 2.0
"""Seconds between two notes of a task about how far it is."""


def run_pass(task: Task) -> Outcome:
    """Run a pass: pass 0 over a split, a pass after a scatter over moved rows, or a later pass over a staged shard."""
    job, shared = task.job, task.shared
    if task.stage.number == 0:
        return _read(task, Split.from_json(shared["units"][task.index]))
    if "moved" in shared:
        rows = read_rows(task.paths(shared["moved"]), task.index)
        order = rows.column(ORDER).to_numpy()
        rows = rows.drop_columns([ORDER]).take(pa.array(np.argsort(order, kind="stable"))).combine_chunks()
        moved = ((b, None) for b in rows.to_batches(max_chunksize=4096))
        return _stream(task, task.request, moved, schema=rows.schema, where=f"shard {task.index}", head=None)
    shard = shared["shards"][task.index]
    decisions = task.decisions()
    wire = shared["schema"]
    schema = schema_of(wire)
    # the fingerprint holds the decisions for this shard alone, so a shard with unchanged decisions is not written again
    content = pass_content(pass_fingerprint(job, task.stage.number), shard["content"], decisions, wire)
    known = job.store.outcome(content) if content != task.request else None
    if known is not None:
        return known
    batches = ((conform(b, schema), decisions) for b in read_shard(task.path(shard["shard"])))
    head = job.groups[task.stage.number - 1]
    nothing = decisions if is_common(head) else decisions.slice(0, 0)
    return _stream(task, content, batches, schema=schema, where=shard["shard"], head=head, nothing=nothing)


def _read(task: Task, split: Split) -> Outcome:
    """Pass 0: the documents of one split, without those on the suppression list."""
    job = task.job
    spec = job.source(split.source)
    about = source_fingerprint(spec)
    base = request_of("pass", pass_fingerprint(job, 0), about, split.key)
    index = job.store.work(request_of(suppression.INDEX_FORM, about, split.key), "ids.batches")
    if job.suppressed and storage.has_file(task.path(index)):
        # the fingerprint holds the suppressed rows, not the length of the list: most splits do not change
        mask = suppression.index_mask(job.suppression, task.path(index), split.source)
        known = job.store.outcome(suppression.content_of(base, mask))
        if known is not None:
            return known
    bad = BadRows(split.source)
    gate = suppression.Gate(job.suppression, spec, task.path(index))
    # an empty file takes its schema from the other shards
    read = itertools.chain(gate.pass_on(read_split(split, spec, bad)), [empty(spec)])
    outcome = _stream(task, task.request, ((b, None) for b in read), bad=bad, gate=gate, where=_name(split))
    outcome["files"]["ids"] = {"path": index}
    outcome["content"] = suppression.content_of(base, gate.mask)
    return outcome


def _name(split: Split) -> str:
    """A split, for messages."""
    first = split.parts[0].path
    return f"{split.source}: {first}" + (f" and {len(split.parts) - 1} more" if len(split.parts) > 1 else "")


@dataclass
class _Seen:
    """Counts the rows and bytes of text that a pass has read. A long task notes them now and then, for progress reports."""

    store: Store
    request: str
    rows: int = 0
    bytes: int = 0
    noted: float = field(default_factory=time.monotonic)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch."""
        self.rows += batch.num_rows
        self.bytes += text_bytes(batch)
        now = time.monotonic()
        if now - self.noted > NOTED_EVERY:
            self.noted = now
            self.store.note_part(self.request, self.rows, self.bytes)


def _worked(
    chain: Chain, batches: Iterator[tuple[pa.RecordBatch, pa.Table | None]], seen: _Seen, head: Group | None
) -> Iterator[pa.RecordBatch]:
    """Yield the batches after the steps: the first even if it is empty, all in the schema of the first. head: the group whose
    decisions come with the batches."""
    schema: pa.Schema | None = None
    for batch, decisions in batches:
        n = batch.num_rows
        if schema is not None and n == 0:
            continue
        rows = np.arange(seen.rows, seen.rows + n, dtype=np.uint32)
        mine = None
        if head is not None and decisions is not None:
            mine = head.decisions_for(head.rounds - 1, decisions, seen.rows, n)
        out = chain.run(batch, rows, mine)
        seen.add(batch)
        if schema is None:
            schema = out.schema
        yield out if out.schema == schema else conform(out, schema)


def _stream(
    task: Task,
    content: str,
    batches: Iterator[tuple[pa.RecordBatch, pa.Table | None]],
    *,
    where: str,
    schema: pa.Schema | None = None,
    bad: BadRows | None = None,
    gate: suppression.Gate | None = None,
    head: GroupStep | None = None,
    nothing: pa.Table | None = None,
) -> Outcome:
    """Stream one shard through one pass. content: what names the result; where: the shard, for messages; bad, gate: of pass
    0; head: the group whose decisions are applied first; nothing: the decisions about a batch without rows."""
    job, number = task.job, task.stage.number
    store = job.store
    last = job.last_pass(number)
    emits = None if last else job.groups[number].transform
    chain = Chain(job.fused(number), job.recipe.seed, where, head, job.suppression if job.suppressed else None)
    keys = KeyRows(emits, 0) if emits else None
    form = job.recipe.output.format if last else job.stage_form
    path = store.work(content, "shard" + SUFFIX[form])
    seen = _Seen(store, task.request)
    tally = Tally() if last and not any(source.private for source in job.recipe.sources) else None
    # an empty shard needs a schema, too, and the group needs a first batch for the schema of its keys
    if schema is not None:
        batches = itertools.chain([(empty_batch(schema), nothing)], batches)
    with contextlib.ExitStack() as stack:
        writer: ShardWriter | None = None
        rows_out = 0
        if gate is not None:
            stack.enter_context(gate.writer)
        worked = _worked(chain, batches, seen, head and head.transform)
        for out in chain.finish(tally.through(worked) if tally else worked):
            out = out.replace_schema_metadata(None)
            if writer is None:
                writer = stack.enter_context(ShardWriter(store.path(path), out.schema, form, job.recipe.output.level))
            if keys:
                keys.add(out, np.arange(rows_out, rows_out + out.num_rows, dtype=np.uint32))
            rows_out += out.num_rows
            writer.write(out)
        if writer is None:
            raise EngineError(f"{where}: the reader gave no batch, not even an empty one")
        quarantine = None if gate is None or bad is None else gate.quarantined(bad)
    chain.check()
    shard = shard_file(path, writer)
    files = {"shard": shard}
    outcome: Outcome = {
        "content": content,
        "rows": shard["rows"],
        "bytes": shard["bytes"],
        "schema": wire_of(writer.schema),
        "counts": [c.to_dict() for c in chain.counts],
        "files": files,
        "key_bytes": 0,
    }
    if keys:
        files["keys"], outcome["key_bytes"] = keys.write(job, content)
    dropped = chain.ledger()
    if gate is not None and bad is not None and gate.dropped:
        dropped = pa.concat_tables([suppression.ledger(bad.source, gate.dropped, dropped.schema), dropped])
    side_table(job, files, content, "dropped", dropped)
    side_table(job, files, content, "cut", chain.cuts())
    if tally is not None:
        side_table(job, files, content, "origins", tally.table())
    for step, table in chain.scores().items():
        side_table(job, files, content, f"scores.{step}", table)
    for name, table in chain.tables().items():
        side_table(job, files, content, f"table.{head.name if head else ''}.{name}", table)
    if bad is not None and gate is not None and quarantine is not None:
        if bad.rows_seen != seen.rows + gate.dropped + bad.count:
            raise ConservationError(
                f"{where}: {bad.rows_seen} rows read, but {seen.rows} passed on, {gate.dropped} suppressed and {bad.count} "
                "quarantined. Please report this."
            )
        text = (chain.counts[0].bytes_in if chain.counts else outcome["bytes"]) + gate.bytes
        outcome["read"] = {
            "source": bad.source,
            "rows": bad.rows_seen,
            "bytes": text,
            "bad": bad.count,
            "file_bytes": bad.bytes_seen,
            "lost_bytes": bad.bytes_lost,
            "example": example(quarantine, bad.paths),
        }
        if bad.left:
            outcome["read"]["left_out"] = dict(sorted(bad.left.items()))
        if gate.dropped:
            outcome["read"] |= {"suppressed": gate.dropped, "suppressed_bytes": gate.bytes}
        side_table(job, files, content, "quarantine", quarantine)
    return outcome


def run_conform(task: Task) -> Outcome:
    """Rewrite a shard in the common schema."""
    job, shared = task.job, task.shared
    shard = shared["shards"][task.index]
    schema = schema_of(shared["schema"])
    output = job.recipe.output
    path = job.store.work(task.request, "shard" + SUFFIX[output.format])
    with ShardWriter(task.path(path), schema, output.format, output.level) as writer:
        for batch in read_shard(task.path(shard["shard"])):
            writer.write(conform(batch, schema))
    return {
        "of": shard["content"],
        "content": task.request,
        "schema": shared["schema"],
        "files": {"shard": shard_file(path, writer)},
    }
