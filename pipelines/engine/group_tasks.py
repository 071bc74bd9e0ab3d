"""Tasks of a group's stages: they emit keys, decide, gather decisions, and move rows."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.dataset.outcome import Outcome, WorkFile
from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.engine.fingerprints import keys_content, step_fingerprint
from corpusmill.pipelines.engine.task import ORDER, Task
from corpusmill.pipelines.engine.task_files import KeyRows, side_table
from corpusmill.transforms.arrow import empty_batch, schema_of
from corpusmill.transforms.dedup._grouping import column
from corpusmill.transforms.exchange import Parts, read_slices, write_decisions, write_rows
from corpusmill.transforms.shards import read_shard, shard_schema
from corpusmill.transforms.sources.schema import conform


def run_keys(task: Task) -> Outcome:
    """The keys of one staged shard for a later round of a group."""
    job, step = task.job, task.job.groups[task.stage.number]
    shard = task.shared["shards"][task.index]
    decisions = task.decisions()
    content = keys_content(step_fingerprint(step), task.stage.round, shard["content"], decisions)
    known = job.store.outcome(content) if content != task.request else None
    if known is not None:
        return known
    keys = KeyRows(step.transform, task.stage.round)
    group, before = step.transform, task.stage.round - 1
    first = 0
    path = task.path(shard["shard"])
    for batch in read_shard(path):
        n = batch.num_rows
        rows = np.arange(first, first + n, dtype=np.uint32)
        keys.add(batch, rows, group.decisions_for(before, decisions, first, n))
        first += n
    if first == 0:
        batch = empty_batch(shard_schema(path))
        keys.add(batch, np.zeros(0, np.uint32), group.decisions_for(before, decisions, 0, 0))
    file, size = keys.write(job, content)
    return {"content": content, "files": {"keys": file}, "key_bytes": size}


def run_decide(task: Task) -> Outcome:
    """Decide from all rows of some keys."""
    job, group, shared = task.job, task.job.groups[task.stage.number], task.shared
    paths = task.paths(shared["keys"])
    begin, end = shared["ranges"][task.index]
    keys = read_slices(paths, begin, end, shards=range(len(paths)))
    waves = shared["arrivals"]
    if waves:
        came = np.array(waves, np.uint32)[column(keys, "shard")]
        keys = keys.append_column("arrival", pa.array(came))
    decided = group.transform.decide(task.stage.round, keys)
    path = job.store.work(task.request, "told.batches")
    size = write_decisions(task.path(path), decided.decisions, len(paths))
    files: dict[str, WorkFile] = {"told": {"path": path}}
    for name, table in decided.tables.items():
        side_table(job, files, task.request, f"table.{group.name}.{name}", table)
    return {
        "content": task.request,
        "files": files,
        "rows": keys.num_rows,
        "told": decided.decisions.num_rows,
        "key_bytes": size,
        "shards": decided.shards,
    }


def run_gather(task: Task) -> Outcome:
    """Combine all decisions of a round."""
    group = task.job.groups[task.stage.number].transform
    rows = np.array(task.shared["rows"], np.int64)
    decisions = Parts(task.paths(task.shared["told"]))
    gathered = group.gather(task.stage.round, decisions, rows)
    path = task.job.store.work(task.request, "told.batches")
    size = write_decisions(task.path(path), gathered, len(rows))
    return {
        "content": task.request,
        "files": {"told": {"path": path}},
        "rows": decisions.rows,
        "told": gathered.num_rows,
        "key_bytes": size,
    }


def run_scatter(task: Task) -> Outcome:
    """Send each row of one shard to the shard that a moving group chose for it."""
    job, group, shared = task.job, task.job.groups[task.stage.number], task.shared
    shard = shared["shards"][task.index]
    decisions = task.decisions()
    schema = schema_of(shared["schema"])
    chain = Chain([], job.recipe.seed, shard["shard"])
    parts, to = [], []
    for batch in itertools.chain([empty_batch(schema)], read_shard(task.path(shard["shard"]))):
        routed = chain.route(group.name, group.transform, conform(batch, schema), decisions, job.recipe.seed)
        parts.append(routed.batch.append_column(ORDER, pa.array(routed.order, pa.uint64())))
        to.append(routed.to)
    chain.check()
    path = job.store.work(task.request, "moved.batches")
    table = pa.Table.from_batches(parts)
    size = write_rows(task.path(path), table, np.concatenate(to), shared["to"])
    files: dict[str, WorkFile] = {"moved": {"path": path}}
    side_table(job, files, task.request, "dropped", chain.ledger())
    return {
        "content": task.request,
        "files": files,
        "to": shared["to"],
        "bytes": size,
        "rows": table.num_rows,
        "counts": [c.to_dict() for c in chain.counts],
    }
