"""Mixture weights from proxy runs: proposes mixtures to train small models on, and learns weights from their losses."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms import storage
from corpusmill.transforms.columns import labels
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.mix._mixing import NO_DOMAIN
from corpusmill.transforms.mix.learn import fit, propose
from corpusmill.transforms.shards import read_shard, shard_schema

UNSURE = 0.5
"""Share of the losses' spread from which the regression's error is too large to rank mixtures."""


def natural(dataset: str, by: str = "source") -> dict[str, int]:
    """Bytes of text of each domain of a dataset's newest snapshot.

    Raises:
        DatasetError: its documents have no text or no such column.
    """
    sizes: dict[str, int] = {}
    for file in Dataset(dataset).files():
        names = shard_schema(file).names
        if not {by, "text"} <= set(names):
            raise DatasetError(f"{dataset}: its documents have no {by!r} and text; they have {', '.join(names)}")
        for batch in read_shard(file, [by, "text"]):
            domains = labels(batch, by, "mix.by").fill_null(NO_DOMAIN)
            length = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False)
            coded = domains.dictionary_encode()
            sums = np.bincount(coded.indices.to_numpy(), length, len(coded.dictionary))
            for name, size in zip(coded.dictionary.to_pylist(), sums.tolist(), strict=True):
                sizes[name] = sizes.get(name, 0) + int(size)
    return dict(sorted(sizes.items()))


def proposals(sizes: dict[str, int], count: int, seed: int) -> list[dict[str, Any]]:
    """Mixtures for proxy runs, around the natural one: {weights, loss: None} each."""
    shares = np.array(list(sizes.values()), np.float64)
    if not shares.sum():
        raise DatasetError("mix propose: the documents hold no text")
    drawn = propose(shares / shares.sum(), count, seed)
    return [{"weights": dict(zip(sizes, row.round(6).tolist(), strict=True)), "loss": None} for row in drawn]


def read_runs(files: Iterable[str]) -> list[tuple[dict[str, float], float]]:
    """(weights, loss) of the runs of JSON lines files that have a loss.

    Raises:
        DatasetError: a file cannot be read, a line is no run, or no run has a loss.
    """
    found = []
    for file in files:
        try:
            lines = storage.read_bytes(file).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{file}: cannot be read ({error})") from None
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                run = json.loads(line)
                weights = {str(k): float(v) for k, v in run["weights"].items()}
                loss = None if run.get("loss") is None else float(run["loss"])
                if (
                    not weights
                    or not all(0 <= w < math.inf for w in weights.values())
                    or (loss and not math.isfinite(loss))
                ):
                    raise ValueError("weights are numbers from 0, a loss is a finite number")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                what = f"no field {error}" if isinstance(error, KeyError) else str(error)
                raise DatasetError(
                    f'{file}, line {number}: no run ({what}); write {{"weights": {{"NAME": 0.5}}, "loss": 3.1}}'
                ) from None
            if loss is not None:
                found.append((weights, loss))
    if not found:
        raise DatasetError(
            f"{', '.join(map(os.fspath, files))}: no run has a loss; train on the mixtures and note each loss"
        )
    return found


def learn(runs: list[tuple[dict[str, float], float]], seed: int) -> dict[str, Any]:
    """Weights of least predicted loss: {weights, loss, error, baseline, runs, unsure}.

    A domain that a run does not name had the share 0 there, so that runs of before stay of use when a source is added.
    """
    domains = sorted({name for weights, _ in runs for name in weights})
    mixtures = np.array([[weights.get(d, 0.0) for d in domains] for weights, _ in runs])
    found = fit(mixtures, np.array([loss for _, loss in runs]), seed)
    return {
        "weights": dict(zip(domains, found.weights.round(6).tolist(), strict=True)),
        "loss": found.loss,
        "error": found.error,
        "baseline": found.baseline,
        "runs": len(runs),
        "unsure": bool(found.error > UNSURE * found.baseline),
    }
