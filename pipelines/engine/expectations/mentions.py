"""Checks how often groups of people are mentioned against the recipe's `expect.mentions`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from corpusmill.transforms.errors import ExpectationError
from corpusmill.transforms.people.lexicon import load
from corpusmill.transforms.people.mentions import flags
from corpusmill.transforms.shards import read_shard, shard_schema


def mention_failures(
    expected: Mapping[str, tuple[float, float]], lexicons: Sequence[str], paths: Sequence[str]
) -> Iterator[str]:
    """Each expectation that fails, in words.

    Args:
        expected: a group, or two with a slash, to its bounds.
        lexicons: files that replace built-in lexicons.
        paths: the shards.

    Raises:
        ExpectationError: no lexicon has a group of that name, or the shards hold no text.
    """
    opened = load(lexicons)
    known = {group for lexicon in opened for group in lexicon.groups()}
    for name in expected:
        for group in name.split("/"):
            if group not in known:
                raise ExpectationError(
                    f"expect.mentions: no lexicon has the group `{group}`; the groups are: {', '.join(sorted(known))}"
                )
    hits: dict[str, int] = dict.fromkeys(known, 0)
    documents = 0
    for path in paths:
        have = shard_schema(path).names
        if "text" not in have:
            raise ExpectationError("expect.mentions: the shards hold no text; leave it out, or leave `pack` out")
        for batch in read_shard(path, [c for c in ("text", "lang") if c in have]):
            documents += batch.num_rows
            languages = [None] * batch.num_rows
            if "lang" in have:
                languages = batch.column("lang").cast(pa.string()).to_pylist()
            for group, mask in flags(batch.column("text"), languages, opened).items():
                hits[group] += int(np.count_nonzero(mask))
    for name, (low, high) in expected.items():
        first, _, second = name.partition("/")
        below = hits[second] if second else documents
        value = hits[first] / below if below else float("inf") if hits[first] else 0.0
        if not low <= value <= high:
            what = f"{first} is in {value:.4g} of the documents"
            if second:
                what = f"{first} is mentioned {value:.4g} times as often as {second}"
            yield f"mentions: {what}, {low:g} to {high:g} is expected"
