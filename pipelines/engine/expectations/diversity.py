"""Checks how diverse a finished job's documents are against the recipe's `expect.diversity`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.embed.diversity import FIGURES, figures
from corpusmill.transforms.embed.learned import HEAD
from corpusmill.transforms.embed.sampling import chance, order_of
from corpusmill.transforms.embed.topics import CLUSTERS, LEARNED, SAMPLE, learn_topics
from corpusmill.transforms.errors import ExpectationError
from corpusmill.transforms.shards import read_shard, shard_schema


def diversity_failures(
    expected: Mapping[str, tuple[float | None, float | None]], paths: Sequence[str], documents: int
) -> Iterator[str]:
    """Each expectation that fails, in words. The figures are those of `corpusmill map`, of all documents.

    Args:
        expected: a key of `FIGURES` to its bounds.
        paths: the shards.
        documents: in them.

    Raises:
        ExpectationError: the shards hold no text.
    """
    texts, order = _sample(paths, documents)
    model = learn_topics(texts.slice(0, LEARNED), order[:LEARNED], CLUSTERS)
    vectors, which, _ = model.place(texts)
    found = {f.name: f for f in figures(texts.to_pylist(), vectors, which, len(model.centres))}
    for key, (low, high) in expected.items():
        value = found[FIGURES[key]].value
        least, most = (-math.inf if low is None else low), (math.inf if high is None else high)
        if not least <= value <= most:
            wanted = " and ".join(
                f"{word} {bound:g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None
            )
            shown = "unknown, as there is too little text" if math.isnan(value) else f"{value:.4g}"
            yield f"diversity: {key} is {shown}, {wanted} is expected"


def _sample(paths: Sequence[str], documents: int) -> tuple[pa.Array, np.ndarray]:
    """(beginnings of about SAMPLE texts, a hash of their ids), by rising hash."""
    bound = np.uint64(chance(documents, SAMPLE))
    parts = []
    for path in paths:
        if "text" not in shard_schema(path).names:
            raise ExpectationError("expect.diversity: the shards hold no text; leave it out, or leave `pack` out")
        for batch in read_shard(path, ["id", "text"]):
            order = order_of(batch.column("id"))
            chosen = np.flatnonzero(order <= bound)
            heads = pc.utf8_slice_codeunits(batch.column("text").take(pa.array(chosen)).fill_null(""), 0, HEAD)
            parts.append(pa.table({"order": order[chosen], "text": heads}))
    table = pa.concat_tables(parts)
    table = table.take(pc.sort_indices(table, [("order", "ascending"), ("text", "ascending")])).combine_chunks()
    return table["text"].combine_chunks(), table["order"].to_numpy()
