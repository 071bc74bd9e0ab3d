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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines import suppress
from pipelines.chain import Chain
from pipelines.job import GroupStep, Job, Stage, pass_fingerprint, source_fingerprint
from pipelines.store import request_of
from transforms.arrow import empty_batch, logical_digest
from transforms.base import Group
from transforms.document import CORE
from transforms.errors import ConservationError, EngineError
from transforms.exchange import read_rows, read_slices, read_told, write_keys, write_rows, write_told
from transforms.generate.cache import REQUESTS
from transforms.generate.model import cache_in
from transforms.shards import SUFFIX, ShardWriter, read_shard, shard_schema
from transforms.sources.bad import BadRows
from transforms.sources.read import read_unit
from transforms.sources.schema import conform
from transforms.sources.units import ReadUnit

ORDER = "__order"
"""Column of rows on the move, by which the shard that they come to sorts them."""

_plans: dict[tuple[str, str], dict[str, Any]] = {}
_plans_lock = threading.Lock()


def execute(job: Job, stage: int, plan: str, index: int) -> None:
    """Do unit `index` of a stage whose units share the stored `plan`, unless it is done."""
    shared = _load(job, plan)
    request = shared["requests"][index]
    if job.store.outcome(request) is not None:
        return
    what = job.stages[stage]
    run = {"pass": _pass, "keys": _keys, "decide": _decide, "gather": _gather}
    run |= {"scatter": _scatter, "conform": _conform}
    begin = time.thread_time()
    with cache_in(os.path.join(job.store.root, REQUESTS)):  # made when a step asks a model
        outcome = run[what.kind](job, what, shared, index, request)
    outcome.setdefault("cpu_seconds", time.thread_time() - begin)
    job.store.finish(request, outcome)


def _load(job: Job, plan: str) -> dict[str, Any]:
    """A stage's plan, read once a process: every unit of the stage wants it."""
    with _plans_lock:
        key = (job.dataset, plan)
        if key not in _plans:
            if len(_plans) > 8:
                _plans.clear()
            _plans[key] = job.store.load_plan(plan)
        return _plans[key]


class _Keys:
    """Gathers a group's key rows over one shard and writes them as one exchange file."""

    def __init__(self, group: Group, rnd: int) -> None:
        self._group, self._round = group, rnd
        self._batches: list[pa.RecordBatch] = []
        self._schema: pa.Schema | None = None

    def add(self, batch: pa.RecordBatch, rows: np.ndarray, told: pa.Table | None = None) -> None:
        keys = self._group.keys(self._round, batch, rows, told)
        self._schema = keys.schema
        if keys.num_rows:
            self._batches.append(keys)

    def write(self, job: Job, content: str) -> tuple[dict[str, Any], int]:
        if self._schema is None:
            raise EngineError(f"{self._group.name}: no batch was offered for keys")
        path = job.store.work(content, "keys.arrow")
        size = write_keys(job.store.path(path), self._batches, self._schema)
        return {"path": path}, size


def _pass(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    if stage.number == 0:
        return _read(job, stage, ReadUnit.from_json(shared["units"][index]), request)
    if "moved" in shared:
        rows = read_rows([job.store.path(p) for p in shared["moved"]], index)
        order = rows.column(ORDER).to_numpy()
        rows = rows.drop_columns([ORDER]).take(pa.array(np.argsort(order, kind="stable"))).combine_chunks()
        moved = ((b, None) for b in rows.to_batches(max_chunksize=4096))
        return _stream(job, stage, request, request, moved, schema=rows.schema, where=f"shard {index}", head=None)
    shard = shared["shards"][index]
    told = read_told([job.store.path(p) for p in shared["told"]], index)
    wire = shared["schema"]
    schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(wire)))
    # what this shard is told, not what all were: a shard that is told the same as before is not written again
    content = request_of(
        "content", stage.number, pass_fingerprint(job, stage.number), shard["content"], logical_digest(told), wire
    )
    known = job.store.outcome(content)
    if known is not None:
        return known
    batches = (conform(b, schema) for b in read_shard(job.store.path(shard["shard"])))
    told_batches = ((b, told) for b in batches)
    head = job.groups[stage.number - 1]
    outcome = _stream(job, stage, content, request, told_batches, schema=schema, where=shard["shard"], head=head)
    job.store.finish(content, outcome)
    return outcome


def _read(job: Job, stage: Stage, unit: ReadUnit, request: str) -> dict[str, Any]:
    """Pass 0: the documents of one unit of reading, without those on the suppression list."""
    spec = job.source(unit.source)
    about = source_fingerprint(spec)
    base = request_of("pass", pass_fingerprint(job, 0), about, unit.key)
    index = job.store.work(request_of("index", about, unit.key), "ids.arrow")
    if job.suppressed and os.path.exists(job.store.path(index)):
        # which rows the list concerns, not how long it is: most units are as they were
        mask = suppress.index_mask(job.suppression, job.store.path(index), unit.source)
        known = job.store.outcome(suppress.content_of(base, mask))
        if known is not None:
            return known
    bad = BadRows(unit.source)
    gate = suppress.Gate(job.suppression, spec, job.store.path(index))
    # what an empty file would have held is not known; the schema of the other shards completes it
    nothing = empty_batch(pa.schema([(name, pa.string()) for name in CORE]))
    read = itertools.chain(gate.pass_on(read_unit(unit, spec, bad)), [nothing])
    batches = ((b, None) for b in read)
    outcome = _stream(job, stage, request, request, batches, bad=bad, gate=gate, where=_name(unit))
    outcome["files"]["ids"] = {"path": index}
    outcome["content"] = suppress.content_of(base, gate.mask)
    if outcome["content"] != request:
        job.store.finish(outcome["content"], outcome)
    return outcome


def _name(unit: ReadUnit) -> str:
    first = unit.parts[0].path
    return f"{unit.source}: {first}" + (f" and {len(unit.parts) - 1} more" if len(unit.parts) > 1 else "")


def _told_rows(told: pa.Table, first: int, n: int) -> pa.Table:
    """The part of `told` (sorted by row) about rows [first, first + n)."""
    row = told.column("row").to_numpy()
    begin, end = np.searchsorted(row, [first, first + n])
    return told.slice(begin, end - begin)


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
        out = chain.run(batch, rows, None if told is None else _told_rows(told, seen.rows, n))
        seen.rows += n
        if schema is None:
            schema = out.schema
        yield out if out.schema == schema else conform(out, schema)


def _stream(
    job: Job,
    stage: Stage,
    content: str,
    request: str,
    batches: Iterator[tuple[pa.RecordBatch, pa.Table | None]],
    *,
    where: str,
    schema: pa.Schema | None = None,
    bad: BadRows | None = None,
    gate: suppress.Gate | None = None,
    head: GroupStep | None = None,
) -> dict[str, Any]:
    """One shard through one pass."""
    store, number = job.store, stage.number
    last = job.last_pass(number)
    emits = None if last else job.groups[number].transform
    chain = Chain(job.fused(number), job.recipe.seed, where, head, job.suppression if job.suppressed else None)
    keys = _Keys(emits, 0) if emits else None
    form = job.recipe.output.format if last else "stage"
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
    files: dict[str, Any] = {"shard": _shard_file(path, writer)}
    outcome: dict[str, Any] = {
        "content": content,
        "rows": files["shard"]["rows"],
        "bytes": files["shard"]["bytes"],
        "schema": writer.schema.serialize().to_pybytes().hex(),
        "counts": [c.to_dict() for c in chain.counts],
        "files": files,
        "key_bytes": 0,
    }
    if keys:
        files["keys"], outcome["key_bytes"] = keys.write(job, content)
    dropped = chain.ledger()
    if gate is not None and bad is not None and gate.dropped:
        dropped = pa.concat_tables([suppress.ledger(bad.source, gate.dropped, dropped.schema), dropped])
    _side(job, files, content, "dropped", dropped)
    for step, table in chain.scores().items():
        _side(job, files, content, f"scores.{step}", table)
    if bad is not None and gate is not None and quarantine is not None:
        if bad.rows_seen != seen.rows + gate.dropped + bad.count:
            raise ConservationError(
                f"{where}: {bad.rows_seen} rows read, but {seen.rows} passed on, {gate.dropped} suppressed and {bad.count} "
                "quarantined. Please report this."
            )
        text = (chain.counts[0].bytes_in if chain.counts else outcome["bytes"]) + gate.bytes
        outcome["read"] = {"source": bad.source, "rows": bad.rows_seen, "bytes": text, "bad": bad.count}
        outcome["read"]["example"] = _example(quarantine)
        if gate.dropped:
            outcome["read"] |= {"suppressed": gate.dropped, "suppressed_bytes": gate.bytes}
        _side(job, files, content, "quarantine", quarantine)
    return outcome


def _example(bad: pa.Table) -> str:
    """The first quarantined row, in words."""
    if bad.num_rows == 0:
        return ""
    row = bad.slice(0, 1).to_pylist()[0]
    return f"{row['file']}, position {row['position']}: {row['reason']} {row['detail']}".rstrip()


def _side(job: Job, files: dict[str, Any], content: str, what: str, table: pa.Table) -> None:
    """Write a side table of a shard, if it has rows."""
    if table.num_rows == 0:
        return
    path = job.store.work(content, f"{what}.parquet")
    with ShardWriter(job.store.path(path), table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    files[what] = _shard_file(path, writer)


def _keys(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    group = job.groups[stage.number].transform
    shard = shared["shards"][index]
    told = read_told([job.store.path(p) for p in shared["told"]], index)
    keys = _Keys(group, stage.round)
    first = 0
    path = job.store.path(shard["shard"])
    for batch in read_shard(path):
        n = batch.num_rows
        part = _told_rows(told, first, n)
        keys.add(batch, np.arange(first, first + n, dtype=np.uint32), part)
        first += n
    if first == 0:
        keys.add(empty_batch(shard_schema(path)), np.zeros(0, np.uint32), told.slice(0, 0))
    file, size = keys.write(job, request)
    return {"content": request, "files": {"keys": file}, "key_bytes": size}


def _decide(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    group = job.groups[stage.number]
    paths = [job.store.path(p) for p in shared["keys"]]
    begin, end = shared["ranges"][index]
    keys = read_slices(paths, begin, end, shards=range(len(paths)))
    decision = group.transform.decide(stage.round, keys)
    path = job.store.work(request, "told.arrow")
    size = write_told(job.store.path(path), decision.told, len(paths))
    files: dict[str, Any] = {"told": {"path": path}}
    for name, table in decision.tables.items():
        _side(job, files, request, f"table.{group.name}.{name}", table)
    return {
        "content": request,
        "files": files,
        "rows": keys.num_rows,
        "told": decision.told.num_rows,
        "key_bytes": size,
        "shards": decision.shards,
    }


def _gather(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    group = job.groups[stage.number].transform
    rows = np.array(shared["rows"], np.int64)
    told = read_slices([job.store.path(p) for p in shared["told"]], 0, len(rows))
    answer = group.gather(stage.round, told, rows)
    path = job.store.work(request, "told.arrow")
    size = write_told(job.store.path(path), answer, len(rows))
    return {
        "content": request,
        "files": {"told": {"path": path}},
        "rows": told.num_rows,
        "told": answer.num_rows,
        "key_bytes": size,
    }


def _scatter(job: Job, stage: Stage, shared: dict[str, Any], index: int, request: str) -> dict[str, Any]:
    """The rows of one shard, each to the shard that a moving group sends it to."""
    group = job.groups[stage.number]
    shard = shared["shards"][index]
    told = read_told([job.store.path(p) for p in shared["told"]], index)
    schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(shared["schema"])))
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
    _side(job, files, request, "dropped", chain.ledger())
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
    schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(shared["schema"])))
    path = job.store.work(request, "shard" + SUFFIX[job.recipe.output.format])
    output = job.recipe.output
    with ShardWriter(job.store.path(path), schema, output.format, output.level) as writer:
        for batch in read_shard(job.store.path(shard["shard"])):
            writer.write(conform(batch, schema))
    return {
        "of": shard["content"],
        "content": request,
        "schema": shared["schema"],
        "files": {"shard": _shard_file(path, writer)},
    }


def _shard_file(path: str, writer: ShardWriter) -> dict[str, Any]:
    """How an outcome names a shard file."""
    w = writer.written
    if w is None:
        raise EngineError(f"{path}: the shard was not finished")
    return {"path": path, "rows": w.rows, "bytes": w.text_bytes, "size": w.size, "sha256": w.sha256}
