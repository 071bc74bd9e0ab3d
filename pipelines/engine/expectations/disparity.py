"""Checks which groups of people the steps of a finished job drop more often against the recipe's `expect.max_disparity`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from corpusmill.transforms.embed.sampling import chance
from corpusmill.transforms.manifest import Funnel
from corpusmill.transforms.people.disparity import fates, judged
from corpusmill.transforms.people.lexicon import load
from corpusmill.transforms.shards import read_shard
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.read import read_split

if TYPE_CHECKING:
    from corpusmill.pipelines.engine.job import Job

SAMPLE = 20_000
"""Documents that are looked at, as `corpusmill bias` does."""


def disparity_failures(most: float, job: Job, funnel: Funnel) -> Iterator[str]:
    """Each group that a step drops more than `most` times as often as others, beyond chance, in words.

    Documents of private sources are left out. The sources are read a second time.
    """
    dropped = (
        batch
        for number in range(len(job.stages))
        for outcome in job.outcomes(number)
        if "dropped" in outcome["files"]
        for batch in read_shard(job.store.path(outcome["files"]["dropped"]["path"]))
    )
    read = (
        batch for split in job.splits() for batch in read_split(split, job.source(split.source), BadRows(split.source))
    )
    lexicons = load([str(job.recipe.resolve(p)) for p in job.recipe.expect.lexicons] if job.recipe.expect else [])
    private = {source.name for source in job.recipe.sources if source.private}
    table, _ = fates(dropped, read, lexicons, private, chance(max(1, funnel["rows_in"]), SAMPLE))
    for found in judged(table, [s["name"] for s in funnel["steps"]]):
        if found.flagged and found.ratio > most:
            p = "below 0.001" if found.p < 0.001 else f"{found.p:.3f}"
            yield (
                f"max_disparity: {found.step} ({found.reason}) drops documents that mention {found.group} {found.ratio:.3g} "
                f"times as often as others (p {p}), at most {most:g} times is expected"
            )
