"""What a unit does: it reads, works, writes its files, and stores its outcome last.

All effects happen in `execute`, which may run any number of times, in any process, with the same result: a unit that was
done before is not done again, and a unit that died half way leaves nothing that anybody reads.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.results import request_of
from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.engine.fingerprints import (
    keys_content,
    pass_content,
    pass_fingerprint,
    source_fingerprint,
    step_fingerprint,
)
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.stage import GroupStep, Stage
from corpusmill.pipelines.engine.task_files import KeyRows, shard_file, side_table
from corpusmill.transforms import storage
from corpusmill.transforms.arrow import empty_batch, schema_of, wire_of
from corpusmill.transforms.dedup._grouping import column
from corpusmill.transforms.errors import ConservationError, EngineError
from corpusmill.transforms.exchange import (
    Parts,
    decisions_about,
    named,
    read_decisions,
    read_rows,
    read_slices,
    shard_names,
    write_decisions,
    write_rows,
)
from corpusmill.transforms.generate.cache import REQUESTS
from corpusmill.transforms.generate.model import cache_in
from corpusmill.transforms.shards import SUFFIX, ShardWriter, read_shard, shard_schema
from corpusmill.transforms.sources.bad import BadRows, example
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.rows import empty
from corpusmill.transforms.sources.schema import conform
from corpusmill.transforms.sources.splits import Split

ORDER = "__order"
"""Column of rows on the move, by which the shard that they come to sorts them."""

_begun: set[str] = set()
"""Stages of which this process has done a unit: the first one loads compiled code and tables, which no later one does."""
_plans: dict[tuple[str, str], dict[str, Any]] = {}
_plans_lock = threading.Lock()


_turns: weakref.WeakValueDictionary[tuple[str, str], threading.Lock] = weakref.WeakValueDictionary()
"""One lock for each unit that a thread of this process is at."""


def execute(job: Job, stage: int, plan: str, index: int) -> None:
    """Do unit `index` of a stage whose units share the stored `plan`, unless it is done. One that another thread of this
    process is at is waited for."""
    shared = _load(job, plan)
    request = shared["requests"][index]
    with _plans_lock:
        turn = _turns.setdefault((job.dataset, request), threading.Lock())
    with turn:
        if job.store.outcome(request) is None:
            _execute(job, stage, shared, index, request)


def _execute(job: Job, stage: int, shared: dict[str, Any], index: int, request: str) -> None:
    what = job.stages[stage]
    run = {"pass": _pass, "keys": _keys, "decide": _decide, "gather": _gather}
    run |= {"scatter": _scatter, "conform": _conform}
    begin = time.thread_time()
    with cache_in(os.path.join(job.store.root, REQUESTS)):  # made when a step asks a model
        outcome = run[what.kind](job, what, shared, index, request)
    if "cpu_seconds" not in outcome:  # else it is another request's, found done
        outcome["cpu_seconds"] = time.thread_time() - begin
        label = what.label(job)
        outcome["first"] = label not in _begun
        _begun.add(label)
        if outcome["content"] != request:  # for whoever is told the same by other decisions
            job.store.finish(outcome["content"], outcome)
    job.store.finish(request, outcome)


def _load(job: Job, plan: str) -> dict[str, Any]:
    """A stage's plan, read once a process: every unit of the stage wants it."""
    with _plans_lock:
        key = (job.dataset, plan)
        if key not in _plans:
            if len(_plans) > 8:
                _plans.clear()
            shared = job.store.load_task_list(plan)
            if "told" in shared and "shards" in shared:
                shared["names"] = shard_names([s["content"] for s in shared["shards"]])
            _plans[key] = shared
        return _plans[key]


def _told(job: Job, shared: dict[str, Any], index: int) -> pa.Table:
    """What the shard of a unit is told."""
    return named(read_decisions([job.store.path(p) for p in shared["told"]], index), shared["names"])


def _pass(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    if stage.number == 0:
        return _read(job, stage, Split.from_json(shared["units"][index]), request)
    if "moved" in shared:
        rows = read_rows([job.store.path(p) for p in shared["moved"]], index)
        order = rows.column(ORDER).to_numpy()
        rows = rows.drop_columns([ORDER]).take(pa.array(np.argsort(order, kind="stable"))).combine_chunks()
        moved = ((b, None) for b in rows.to_batches(max_chunksize=4096))
        return _stream(job, stage, request, moved, schema=rows.schema, where=f"shard {index}", head=None)
    shard = shared["shards"][index]
    told = _told(job, shared, index)
    wire = shared["schema"]
    schema = schema_of(wire)
    # what this shard is told, not what all were: a shard that is told the same as before is not written again
    content = pass_content(pass_fingerprint(job, stage.number), shard["content"], told, wire)
    known = job.store.outcome(content) if content != request else None
    if known is not None:
        return known
    batches = (conform(b, schema) for b in read_shard(job.store.path(shard["shard"])))
    told_batches = ((b, told) for b in batches)
    head = job.groups[stage.number - 1]
    return _stream(job, stage, content, told_batches, schema=schema, where=shard["shard"], head=head)


def _read(job: Job, stage: Stage, split: Split, request: str) -> dict[str, Any]:
    """Pass 0: the documents of one split, without those on the suppression list."""
    spec = job.source(split.source)
    about = source_fingerprint(spec)
    base = request_of("pass", pass_fingerprint(job, 0), about, split.key)
    index = job.store.work(request_of("index", about, split.key), "ids.arrow")
    if job.suppressed and storage.has_file(job.store.path(index)):
        # which rows the list concerns, not how long it is: most units are as they were
        mask = suppression.index_mask(job.suppression, job.store.path(index), split.source)
        known = job.store.outcome(suppression.content_of(base, mask))
        if known is not None:
            return known
    bad = BadRows(split.source)
    gate = suppression.Gate(job.suppression, spec, job.store.path(index))
    # the schema of the other shards completes that of an empty file
    read = itertools.chain(gate.pass_on(read_split(split, spec, bad)), [empty(spec)])
    batches = ((b, None) for b in read)
    outcome = _stream(job, stage, request, batches, bad=bad, gate=gate, where=_name(split))
    outcome["files"]["ids"] = {"path": index}
    outcome["content"] = suppression.content_of(base, gate.mask)
    return outcome


def _name(split: Split) -> str:
    first = split.parts[0].path
    return f"{split.source}: {first}" + (f" and {len(split.parts) - 1} more" if len(split.parts) > 1 else "")


@dataclass
class _Seen:
    """Rows that a pass has taken in."""

    rows: int = 0


def _worked(
    chain: Chain, batches: Iterator[tuple[pa.RecordBatch, pa.Table | None]], seen: _Seen
) -> Iterator[pa.RecordBatch]:
    """The batches behind the steps: the first even if it is empty, all in the schema of the first."""
    schema: pa.Schema | None = None
    for batch, told in batches:
        n = batch.num_rows
        if schema is not None and n == 0:
            continue
        rows = np.arange(seen.rows, seen.rows + n, dtype=np.uint32)
        out = chain.run(batch, rows, None if told is None else decisions_about(told, seen.rows, n))
        seen.rows += n
        if schema is None:
            schema = out.schema
        yield out if out.schema == schema else conform(out, schema)


def _stream(
    job: Job,
    stage: Stage,
    content: str,
    batches: Iterator[tuple[pa.RecordBatch, pa.Table | None]],
    *,
    where: str,
    schema: pa.Schema | None = None,
    bad: BadRows | None = None,
    gate: suppression.Gate | None = None,
    head: GroupStep | None = None,
) -> dict[str, Any]:
    """One shard through one pass."""
    store, number = job.store, stage.number
    last = job.last_pass(number)
    emits = None if last else job.groups[number].transform
    chain = Chain(job.fused(number), job.recipe.seed, where, head, job.suppression if job.suppressed else None)
    keys = KeyRows(emits, 0) if emits else None
    form = job.recipe.output.format if last else job.stage_form
    path = store.work(content, "shard" + SUFFIX[form])
    seen = _Seen()
    # an empty shard still needs a schema, and the group a first batch to show its own
    if schema is not None:
        batches = itertools.chain([(empty_batch(schema), None)], batches)
    with contextlib.ExitStack() as stack:
        writer: ShardWriter | None = None
        rows_out = 0
        if gate is not None:
            stack.enter_context(gate.writer)
        for out in chain.finish(_worked(chain, batches, seen)):
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
    files: dict[str, Any] = {"shard": shard_file(path, writer)}
    outcome: dict[str, Any] = {
        "content": content,
        "rows": files["shard"]["rows"],
        "bytes": files["shard"]["bytes"],
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
    for step, table in chain.scores().items():
        side_table(job, files, content, f"scores.{step}", table)
    if bad is not None and gate is not None and quarantine is not None:
        if bad.rows_seen != seen.rows + gate.dropped + bad.count:
            raise ConservationError(
                f"{where}: {bad.rows_seen} rows read, but {seen.rows} passed on, {gate.dropped} suppressed and {bad.count} "
                "quarantined. Please report this."
            )
        text = (chain.counts[0].bytes_in if chain.counts else outcome["bytes"]) + gate.bytes
        outcome["read"] = {"source": bad.source, "rows": bad.rows_seen, "bytes": text, "bad": bad.count}
        outcome["read"]["example"] = example(quarantine, bad.paths)
        if gate.dropped:
            outcome["read"] |= {"suppressed": gate.dropped, "suppressed_bytes": gate.bytes}
        side_table(job, files, content, "quarantine", quarantine)
    return outcome


def _keys(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    step = job.groups[stage.number]
    shard = shared["shards"][index]
    told = _told(job, shared, index)
    content = keys_content(step_fingerprint(step), stage.round, shard["content"], told)
    known = job.store.outcome(content) if content != request else None
    if known is not None:
        return known
    keys = KeyRows(step.transform, stage.round)
    first = 0
    path = job.store.path(shard["shard"])
    for batch in read_shard(path):
        n = batch.num_rows
        part = told if stage.round - 1 in step.transform.broadcast else decisions_about(told, first, n)
        keys.add(batch, np.arange(first, first + n, dtype=np.uint32), part)
        first += n
    if first == 0:
        keys.add(empty_batch(shard_schema(path)), np.zeros(0, np.uint32), told.slice(0, 0))
    file, size = keys.write(job, content)
    return {"content": content, "files": {"keys": file}, "key_bytes": size}


def _decide(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    group = job.groups[stage.number]
    paths = [job.store.path(p) for p in shared["keys"]]
    begin, end = shared["ranges"][index]
    keys = read_slices(paths, begin, end, shards=range(len(paths)))
    if shared["arrivals"]:
        came = np.array(shared["arrivals"], np.uint32)[column(keys, "shard")]
        keys = keys.append_column("arrival", pa.array(came))
    decision = group.transform.decide(stage.round, keys)
    path = job.store.work(request, "told.arrow")
    size = write_decisions(job.store.path(path), decision.decisions, len(paths))
    files: dict[str, Any] = {"told": {"path": path}}
    for name, table in decision.tables.items():
        side_table(job, files, request, f"table.{group.name}.{name}", table)
    return {
        "content": request,
        "files": files,
        "rows": keys.num_rows,
        "told": decision.decisions.num_rows,
        "key_bytes": size,
        "shards": decision.shards,
    }


def _gather(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    group = job.groups[stage.number].transform
    rows = np.array(shared["rows"], np.int64)
    told = Parts([job.store.path(p) for p in shared["told"]])
    answer = group.gather(stage.round, told, rows)
    path = job.store.work(request, "told.arrow")
    size = write_decisions(job.store.path(path), answer, len(rows))
    return {
        "content": request,
        "files": {"told": {"path": path}},
        "rows": told.rows,
        "told": answer.num_rows,
        "key_bytes": size,
    }


def _scatter(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    """The rows of one shard, each to the shard that a moving group sends it to."""
    group = job.groups[stage.number]
    shard = shared["shards"][index]
    told = _told(job, shared, index)
    schema = schema_of(shared["schema"])
    chain = Chain([], job.recipe.seed, shard["shard"])
    parts, to = [], []
    for batch in itertools.chain([empty_batch(schema)], read_shard(job.store.path(shard["shard"]))):
        routed = chain.route(group.name, group.transform, conform(batch, schema), told, job.recipe.seed)
        parts.append(routed.batch.append_column(ORDER, pa.array(routed.order, pa.uint64())))
        to.append(routed.to)
    chain.check()
    path = job.store.work(request, "moved.arrow")
    table = pa.Table.from_batches(parts)
    size = write_rows(job.store.path(path), table, np.concatenate(to), shared["to"])
    files: dict[str, Any] = {"moved": {"path": path}}
    side_table(job, files, request, "dropped", chain.ledger())
    counts = [c.to_dict() for c in chain.counts]
    return {
        "content": request,
        "files": files,
        "to": shared["to"],
        "bytes": size,
        "rows": table.num_rows,
        "counts": counts,
    }


def _conform(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    """A shard again, in the schema of all."""
    shard = shared["shards"][index]
    schema = schema_of(shared["schema"])
    path = job.store.work(request, "shard" + SUFFIX[job.recipe.output.format])
    output = job.recipe.output
    with ShardWriter(job.store.path(path), schema, output.format, output.level) as writer:
        for batch in read_shard(job.store.path(shard["shard"])):
            writer.write(conform(batch, schema))
    return {
        "of": shard["content"],
        "content": request,
        "schema": shared["schema"],
        "files": {"shard": shard_file(path, writer)},
    }
