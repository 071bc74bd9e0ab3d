"""Self-training with 10 labels a class on real questions: test accuracy before and after, seed by seed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.selftrain import SelfTrain, selftrain

FEW, HELD = 10, 10
SETS = (("banking77", 20), ("clinc150", 30), ("banking77", 77))
"""(set, classes drawn by the seed)."""


def write_set(data: Path, name: str, classes: int, seed: int, out: Path) -> None:
    """labelled (10 a class), held_out (10 a class), unlabelled (the rest of the training set), and test."""
    rng = np.random.default_rng(seed)
    table, test = (pq.read_table(data / f"{name}-{part}.parquet") for part in ("train", "test"))
    labels = np.array(table["label"].to_pylist())
    chosen = rng.permutation(np.unique(labels))[:classes]
    mixed = [rng.permutation(np.flatnonzero(labels == c)) for c in chosen]
    parts = {
        "labelled": np.concatenate([m[:FEW] for m in mixed]),
        "held_out": np.concatenate([m[FEW : FEW + HELD] for m in mixed]),
        "unlabelled": np.sort(np.concatenate([m[FEW + HELD :] for m in mixed])),
    }
    out.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        pq.write_table(table.take(pa.array(rows)), out / f"{part}.parquet")
    wanted = np.isin(np.array(test["label"].to_pylist()), chosen)
    pq.write_table(test.filter(pa.array(wanted)), out / "test.parquet")


def study(data: Path, out: Path, seeds: int) -> dict[str, Any]:
    """{set: {before, after, difference, error, rounds, stopped, cpu_seconds}}, lists by seed with mean and standard error."""
    found: dict[str, Any] = {}
    for name, classes in SETS:
        runs = []
        for seed in range(seeds):
            folder = out / f"{name}-{classes}-{seed}"
            kept = folder / "figures.json"
            if not kept.exists():
                write_set(data / "labelled", name, classes, seed, folder)
                paths = {n: str(folder / f"{n}.parquet") for n in ("labelled", "held_out", "unlabelled", "test")}
                began = time.process_time()
                report = selftrain(SelfTrain(output=str(folder / "out"), seed=seed, **paths))
                figures = {n: report["test"][n] for n in ("before", "after", "difference")}
                figures |= {"rounds": report["best_round"], "stopped": report["stopped"]}
                kept.write_text(json.dumps(figures | {"cpu_seconds": time.process_time() - began}))
                print(f"  {name}, {classes} classes, seed {seed}: {kept.read_text()}", flush=True)
            runs.append(json.loads(kept.read_text()))
        gain = np.array([r["difference"] for r in runs])
        found[f"{name}, {classes} classes"] = {
            **{n: [r[n] for r in runs] for n in runs[0]},
            "mean_before": float(np.mean([r["before"] for r in runs])),
            "mean_after": float(np.mean([r["after"] for r in runs])),
            "mean_difference": float(gain.mean()),
            "standard_error": float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else None,
        }
    return found
