"""Self-training with 10 labels a class on real questions: test accuracy before and after, seed by seed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.pipelines.selftrain.rounds import SelfTrain, selftrain
from corpusmill.training.serving.linear import Linear
from corpusmill.transforms.generate.model import open_model

FEW, HELD, SEEDS = 10, 10, 5
GOAL = "clinc150, 20 hardest classes"


@dataclass(frozen=True)
class Set:
    """Classes of a data set: drawn by the seed, or the hardest ones; foreign: the pool holds other classes' questions only."""

    name: str
    classes: int
    hardest: bool = False
    foreign: bool = False


SETS = {
    GOAL: Set("clinc150", 20, hardest=True),
    "clinc150, 30 classes": Set("clinc150", 30),
    "banking77, 20 classes": Set("banking77", 20),
    "banking77, 20 classes, pool of others": Set("banking77", 20, foreign=True),
}


def hardest(data: Path, name: str, number: int) -> list[str]:
    """The classes that a teacher of all classes, 10 labels each, most often misses. Test questions are not looked at."""
    table = pq.read_table(data / f"{name}-train.parquet")
    labels, texts = np.array(table["label"].to_pylist()), table["text"].to_pylist()
    rng = np.random.default_rng(100)
    mixed = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    few, rest = (np.concatenate([m[part] for m in mixed]) for part in (slice(FEW), slice(FEW, 3 * FEW)))
    teacher = Linear.train([texts[i] for i in few], labels[few].tolist())
    said = np.array(teacher.classes)[teacher.classify([texts[i] for i in rest]).argmax(axis=1)]
    right = [(said[labels[rest] == c] == c).mean() for c in teacher.classes]
    return [teacher.classes[i] for i in np.argsort(right, kind="stable")[:number]]


def write_set(
    data: Path, name: str, classes: int, seed: int, out: Path, chosen: Sequence[str] = (), foreign: bool = False
) -> None:
    """labelled (10 a class), held_out (10 a class), unlabelled (the rest of the training set), and test."""
    rng = np.random.default_rng(seed)
    table, test = (pq.read_table(data / f"{name}-{part}.parquet") for part in ("train", "test"))
    labels = np.array(table["label"].to_pylist())
    chosen = chosen or rng.permutation(np.unique(labels))[:classes].tolist()
    mixed = [rng.permutation(np.flatnonzero(labels == c)) for c in chosen]
    rest = np.sort(np.concatenate([m[FEW + HELD :] for m in mixed]))
    others = np.flatnonzero(~np.isin(labels, chosen))
    parts = {
        "labelled": np.concatenate([m[:FEW] for m in mixed]),
        "held_out": np.concatenate([m[FEW : FEW + HELD] for m in mixed]),
        "unlabelled": np.sort(rng.permutation(others)[: len(rest)]) if foreign else rest,
    }
    out.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        pq.write_table(table.take(pa.array(rows)), out / f"{part}.parquet")
    wanted = np.isin(np.array(test["label"].to_pylist()), chosen)
    pq.write_table(test.filter(pa.array(wanted)), out / "test.parquet")


def runs(data: Path, out: Path, only_kept: bool = False, seeds: int = SEEDS) -> dict[str, list[dict[str, Any] | None]]:
    """{set: what each seed came to}: accuracies `before`, `after` and of the `last` student, `best_round`, `stopped`, CPU
    seconds. Kept under the hash of the settings; None where `only_kept` and a run is missing."""
    defaults = SelfTrain(output="-", labelled="-", held_out="-", unlabelled="-").model_dump_json()
    found: dict[str, list[dict[str, Any] | None]] = {}
    for label, of in SETS.items():
        found[label] = []
        for seed in range(seeds):
            about = hashlib.sha256(f"{defaults}\0{of}\0{seed}".encode()).hexdigest()[:16]
            folder = out / f"{of.name}-{of.classes}-{seed}-{about}"
            kept = folder / "figures.json"
            if not kept.exists() and not only_kept:
                chosen = hardest(data / "labelled", of.name, of.classes) if of.hardest else ()
                write_set(data / "labelled", of.name, of.classes, seed, folder, chosen, of.foreign)
                kept.write_text(json.dumps(_run(folder, seed)))
                print(f"    {label}, seed {seed}: {kept.read_text()}", flush=True)
            found[label].append(json.loads(kept.read_text()) if kept.exists() else None)
    return found


def _run(folder: Path, seed: int) -> dict[str, Any]:
    paths = {n: str(folder / f"{n}.parquet") for n in ("labelled", "held_out", "unlabelled", "test")}
    began = time.process_time()
    report = selftrain(SelfTrain(output=str(folder / "out"), seed=seed, **paths))
    spent = time.process_time() - began
    last = open_model(report["rounds"][-1].get("model", report["model"]))
    test = pq.read_table(folder / "test.parquet")
    said = np.array(last.classes)[last.classify(test["text"].to_pylist()).argmax(axis=1)]
    return {
        "before": report["test"]["before"],
        "after": report["test"]["after"],
        "last": float((said == np.array(test["label"].to_pylist())).mean()),
        "best_round": report["best_round"],
        "stopped": report["stopped"],
        "cpu_seconds": spent,
    }


def study(data: Path, out: Path, seeds: int) -> dict[str, Any]:
    """{set: the runs' values as lists by seed, and the paired difference with its standard error}."""
    found: dict[str, Any] = {}
    for label, made in runs(data, out, seeds=seeds).items():
        whole = [run for run in made if run]
        gain = np.array([run["after"] - run["before"] for run in whole])
        found[label] = {
            **{name: [run[name] for run in whole] for name in whole[0]},
            "mean_before": float(np.mean([run["before"] for run in whole])),
            "mean_after": float(np.mean([run["after"] for run in whole])),
            "mean_difference": float(gain.mean()),
            "standard_error": float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else None,
        }
    return found
