"""A group over rows in two shards."""

import numpy as np
import pyarrow as pa

from corpusmill.transforms.base import Group


def grouped(group: Group, rows: pa.RecordBatch, cut: int) -> list[str]:
    """Ids that a group keeps of rows that come in two shards."""
    shards = [rows.slice(0, cut), rows.slice(cut)]
    keys = []
    for number, shard in enumerate(shards):
        sent = group.keys(0, shard, np.arange(shard.num_rows, dtype=np.uint32), None)
        keys.append(sent.append_column("shard", pa.array([number] * sent.num_rows, pa.uint32())))
    decisions = group.decide(0, pa.Table.from_batches(keys)).decisions
    out = []
    for number, shard in enumerate(shards):
        mine = decisions.filter(pa.array(decisions["shard"].to_numpy() == number)).sort_by("row")
        applied = group.apply(shard, np.arange(shard.num_rows, dtype=np.uint32), mine)
        assert (
            applied.batch.num_rows + len(applied.dropped)
            == shard.num_rows
            == len(applied.dropped) + applied.batch.num_rows
        )
        out += applied.batch.column("id").to_pylist()
    return out
