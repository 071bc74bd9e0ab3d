"""Checks a finished job against the recipe's section `expect`, before the commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.outcome import WorkFile
from corpusmill.pipelines.engine.expectations.disparity import disparity_failures
from corpusmill.pipelines.engine.expectations.diversity import diversity_failures
from corpusmill.pipelines.engine.expectations.mentions import mention_failures
from corpusmill.pipelines.recipe.expect import Expect
from corpusmill.transforms.errors import ExpectationError
from corpusmill.transforms.hashing import hash128
from corpusmill.transforms.manifest import Funnel, Manifest, StepCount
from corpusmill.transforms.shards import read_shard, shard_schema

if TYPE_CHECKING:
    from corpusmill.pipelines.engine.job import Job

LIST_STEP = "suppression list"


def check(job: Job, funnel: Funnel, parent: Manifest | None) -> None:
    """Check what a finished job would commit on top of snapshot `parent`.

    Raises:
        ExpectationError: names every expectation that fails, with the value found; nothing was published.
    """
    expect = job.recipe.expect
    failed = failures(expect, job, funnel, parent) if expect else []
    if failed:
        private = [source.name for source in job.recipe.sources if source.private]
        note = (
            f" These figures are exact and of private text ({', '.join(private)}): not for publication."
            if private
            else ""
        )
        raise ExpectationError(
            f"{job.dataset}: nothing was committed, because the next snapshot is not what `expect` demands: "
            f"{'; '.join(failed)}.{note} The work is kept. Mend the sources or steps; or, if this is right, run again with "
            f"--set expect.{failed[0].split(':')[0]}=VALUE."
        )


def failures(expect: Expect, job: Job, funnel: Funnel, parent: Manifest | None) -> list[str]:
    """Each expectation that fails, in words that begin with its field."""
    shards = [o["files"]["shard"] for o in job.published()]
    documents = sum(s["rows"] for s in shards)
    found: list[str] = []
    if expect.min_documents is not None and documents < expect.min_documents:
        found.append(f"min_documents: {documents:,} documents, at least {expect.min_documents:,} are expected")
    if expect.max_documents is not None and documents > expect.max_documents:
        found.append(f"max_documents: {documents:,} documents, at most {expect.max_documents:,} are expected")
    read = funnel["rows_in"] - funnel["quarantined"]
    lost = sum(n for s in funnel["steps"] for reason, n in s["dropped"].items() if _counts(s, reason))
    if expect.max_dropped is not None and lost > expect.max_dropped * read:
        worst = max(funnel["steps"], key=lambda s: sum(n for r, n in s["dropped"].items() if _counts(s, r)))
        found.append(
            f"max_dropped: a share of {_share(lost, read)} of the documents is dropped, most of them by {worst['name']}, "
            f"at most {expect.max_dropped:.4g} is expected"
        )
    if expect.max_quarantined is not None and funnel["quarantined"] > expect.max_quarantined * funnel["rows_in"]:
        found.append(
            f"max_quarantined: a share of {_share(funnel['quarantined'], funnel['rows_in'])} of the rows is quarantined, "
            f"at most {expect.max_quarantined:.4g} is expected"
        )
    if parent is not None:
        found += _against(expect, documents, parent["documents"])
    if expect.min_new_documents is not None:
        new = _new_documents(job.dataset, shards, parent)
        if new < expect.min_new_documents:
            found.append(
                f"min_new_documents: {new:,} new documents, at least {expect.min_new_documents:,} are expected"
            )
    found += _languages(expect, job.dataset, shards, documents)
    if expect.mentions and documents:
        paths = [os.path.join(job.dataset, s["path"]) for s in shards if s["rows"]]
        lexicons = [str(job.recipe.resolve(p)) for p in expect.lexicons]
        found += mention_failures(expect.mentions, lexicons, paths)
    if expect.diversity and documents:
        paths = [os.path.join(job.dataset, s["path"]) for s in shards if s["rows"]]
        found += diversity_failures({str(k): v for k, v in expect.diversity.items()}, paths, documents)
    if expect.max_disparity is not None:
        found += disparity_failures(expect.max_disparity, job, funnel)
    return found


def _counts(step: StepCount, reason: str) -> bool:
    """Whether a reason counts as a loss. Rows that were taken down, packed or replaced do not."""
    return step["name"] != LIST_STEP and reason not in ("suppressed", "used", "replaced")


def _share(part: int, whole: int) -> str:
    return f"{part / whole if whole else 0:.4g}"


def _against(expect: Expect, now: int, before: int) -> list[str]:
    found = []
    if expect.max_growth is not None and now > before * (1 + expect.max_growth):
        found.append(
            f"max_growth: {before:,} documents would become {now:,}, a growth of at most {expect.max_growth:.4g} is expected"
        )
    if expect.max_shrink is not None and now < before * (1 - expect.max_shrink):
        found.append(
            f"max_shrink: {before:,} documents would become {now:,}, a loss of at most {expect.max_shrink:.4g} is expected"
        )
    return found


def _new_documents(dataset: str, shards: list[WorkFile], parent: Manifest | None) -> int:
    """Number of distinct ids that the last snapshot lacks. Shards that are in both snapshots are not read."""
    old = [] if parent is None else parent["files"]
    same = {f["sha256"] for f in old} & {s["sha256"] for s in shards}
    before = _ids([os.path.join(dataset, f["path"]) for f in old if f["sha256"] not in same])
    after = _ids([os.path.join(dataset, s["path"]) for s in shards if s["sha256"] not in same])
    return int(len(after) - np.isin(after, before, assume_unique=True).sum())


def _ids(paths: list[str]) -> np.ndarray:
    """Distinct ids of shards as 128-bit hashes, sorted."""
    hashes = [hash128(b.column("id")) for path in paths for b in read_shard(path, ["id"])]
    pairs = np.concatenate([np.zeros((0, 2), np.uint64), *hashes])
    return np.unique(np.ascontiguousarray(pairs).view(np.dtype([("a", "<u8"), ("b", "<u8")])).reshape(-1))


def _languages(expect: Expect, dataset: str, shards: list[WorkFile], documents: int) -> list[str]:
    if not expect.language_share or not documents:
        return []
    counts: dict[str | None, int] = {}
    for code in _codes([os.path.join(dataset, s["path"]) for s in shards if s["rows"]]):
        for pair in pc.value_counts(code).to_pylist():
            counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
    found = []
    for code, (low, high) in expect.language_share.items():
        share = counts.get(code, 0) / documents
        if not low <= share <= high:
            found.append(f"language_share: {code} is {share:.4g} of the documents, {low:g} to {high:g} is expected")
    return found


def _codes(paths: list[str]) -> Iterator[pa.Array]:
    for path in paths:
        if "lang" not in shard_schema(path).names:
            raise ExpectationError(
                "expect.language_share: the documents have no column `lang`. Add a step `language: {}`, or name the column "
                "of a source by `columns: {lang: NAME}`."
            )
        for batch in read_shard(path, ["lang"]):
            yield batch.column("lang")
