"""Computes what other thresholds would keep, from the scores that a run kept. Nothing is run again.

A rule `min_X` or `max_X` compares the score `X`; nan breaks no rule. For each rule of a filter, the limit moves over quantiles
of the score, and the other rules keep the values of the recipe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.shards import read_shard

QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


def what_if(dataset: str | os.PathLike[str], step: str | None = None) -> list[dict[str, Any]]:
    """Rows of (step, rule, limit, current, documents, bytes, share of the documents that entered the step).

    Raises:
        DatasetError: no such step, or none that kept its scores.
    """
    reader = Dataset(dataset)
    manifest = reader.manifest()
    scores = {k.removeprefix("scores/"): v for k, v in manifest["tables"].items() if k.startswith("scores/")}
    if step is not None and step not in scores:
        known = ", ".join(scores) or "none"
        raise DatasetError(
            f"{reader.path}: step {step} kept no scores (steps that did: {known}). Set `keep_scores: true` on it."
        )
    rows: list[dict[str, Any]] = []
    for entry in manifest["recipe"]["steps"]:
        if entry["name"] in scores and step in (None, entry["name"]):
            batches = [b for f in scores[entry["name"]] for b in read_shard(os.path.join(reader.path, f["path"]))]
            rows += of_step(entry["name"], entry["fields"], pa.Table.from_batches(batches))
    return rows


def _passes(rule: str, score: np.ndarray, limit: float) -> np.ndarray:
    return ~(score < limit) if rule.startswith("min_") else ~(score > limit)


def of_step(step: str, fields: dict[str, Any], scores: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of one step, from its table of scores."""
    columns = {
        n: scores.column(n).to_numpy().astype(np.float64)
        for n in scores.column_names
        if n not in ("id", "bytes", "kept")
    }
    size, kept_now = scores.column("bytes").to_numpy(), scores.column("kept").to_numpy()
    rules = {r: (columns[r[4:]], v) for r, v in fields.items() if r[:4] in ("min_", "max_") and r[4:] in columns}
    if isinstance(fields.get("keep"), dict):  # a share of the scores was kept, in whose place a limit comes
        rules = {r: (s, None) for r, (s, _) in rules.items()}
        passed = dict.fromkeys(rules, kept_now)
    else:
        passed = {r: _passes(r, s, v) for r, (s, v) in rules.items() if v is not None}
    every = np.logical_and.reduce(list(passed.values())) if passed else np.ones(len(size), bool)
    for rule, (score, current) in rules.items():
        rest = [p for r, p in passed.items() if r != rule]
        # a rule without a limit (a phrase, for example) drops documents at every limit of the others
        passes_rest = ~every & (np.logical_and.reduce(rest) if rest else np.ones(len(size), bool))
        # kept beyond the limit: the rule does not apply to the document, as rules about words in scripts without spaces
        exempt = kept_now & ~passed[rule] if rule in passed else np.zeros(len(size), bool)
        known = score[~np.isnan(score)]
        if len(known) == 0:
            continue
        is_count = isinstance(current, int)
        limits = {round(x) if is_count else float(f"{x:.4g}") for x in np.quantile(known, QUANTILES)}
        if current is not None:
            limits.add(current)
        for limit in sorted(limits):
            passes = _passes(rule, score, limit)
            good = np.where(kept_now, passes | exempt, passes & passes_rest)
            yield {
                "step": step,
                "rule": rule,
                "limit": limit,
                "current": current is not None and limit == current,
                "documents": int(good.sum()),
                "bytes": int(size[good].sum()),
                "share": float(good.mean()) if len(good) else 0.0,
            }
