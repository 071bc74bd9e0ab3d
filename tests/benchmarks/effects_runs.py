"""Runs of small models for `effects`: each is kept in a JSON file under the hash of all that decides it, so it is made once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.training.data import Arrays, Rows
from corpusmill.training.loop import read_metrics, train
from corpusmill.training.settings import from_mapping
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

LENGTH = 128
ROWS = 8
STEPS = 160
BUDGET = STEPS * ROWS * LENGTH
"""Tokens that a run trains on, whatever the data: 163,840."""

MODEL = {"layers": 2, "width": 64, "heads": 4, "tie": True}
"""0.17 million parameters with 1,024 tokens."""


@dataclass
class Arm:
    """One way to prepare the data: its figures by name, one value a seed, and what it cost in CPU seconds."""

    name: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    train_seconds: list[float] = field(default_factory=list)
    prepare_seconds: float = 0.0
    note: str = ""
    missing: bool = False

    def add(self, run: dict[str, Any] | None) -> None:
        """The figures of one more seed; without a run of each, the arm has none."""
        if run is None or self.missing:
            self.missing, self.figures = True, {}
            return
        for name, value in run["figures"].items():
            self.figures.setdefault(name, []).append(value)
        self.train_seconds.append(run["cpu_seconds"])


class Lab:
    """Trains and measures, or reads what an earlier call came to.

    out: folder of the kept results; seeds: each arm is trained once with each; only_kept: nothing is trained, and an arm of
    which a run is missing gets no figures.
    """

    def __init__(self, data: Path, out: Path, seeds: int = 3, only_kept: bool = False) -> None:
        self.data, self.out, self.seeds, self.only_kept = data, out, range(1, seeds + 1), only_kept
        (out / "runs").mkdir(parents=True, exist_ok=True)

    def tokenizer(self, name: str, texts: list[str], size: int = 1024) -> Vocabulary:
        """A byte-level BPE of `size` tokens, trained on the texts once."""
        seen = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
        path = self.out / f"{name}-{seen}.json"
        if not path.exists():
            batch = pa.record_batch({"id": [str(i) for i in range(len(texts))], "text": texts})
            part = path.with_suffix(".part")
            train_tokenizer([batch], str(part), vocab_size=size)
            part.rename(path)
        return Vocabulary(path)

    def language_model(
        self,
        arm: Arm,
        vocabulary: Vocabulary,
        rows: Rows | list[Arrays],
        held: dict[str, Arrays],
        steps: int = STEPS,
        lr: float = 3e-3,
        looks: int = 1,
        objective: str = "causal",
    ) -> Arm:
        """Train once a seed on `rows`, or on the seed's own of several; figures: bits per byte of each held-out set at the end.

        looks: how often the held-out text is looked at; the figure `best` is the lowest, as by early stopping.
        Equal seeds have equal initial weights, and equal order of rows where their number is the same.
        """
        for seed in self.seeds:
            values = decoder(vocabulary, seed, steps, lr, looks) | {"objective": {"name": objective}}
            given = rows[seed - 1] if isinstance(rows, list) else rows
            arm.add(self._run(arm.name, values, given, together(held)))
        return arm

    def teacher(
        self, vocabulary: Vocabulary, model: dict[str, Any], rows: Arrays, held: dict[str, Arrays], steps: int
    ) -> dict[str, Any] | None:
        """Train one larger decoder and keep it: {figures, cpu_seconds, checkpoint}."""
        values = decoder(vocabulary, 1, steps, 3e-3) | {"model": model}
        return self._run("teacher", values, rows, together(held), self.out / "teachers")

    def classifier(
        self, arm: Arm, vocabulary: Vocabulary, train_on: pa.Table, held: dict[str, pa.Table], steps: int, lr: float
    ) -> Arm:
        """Train an encoder from scratch on columns text and label; figures: accuracy on each held-out set."""
        files = {name: self._kept(table) for name, table in {"train": train_on, **held}.items()}
        for seed in self.seeds:
            values = {
                "seed": seed,
                "steps": steps,
                "data": {"train": str(files["train"]), "tokenizer": vocabulary.path, "length": 64},
                "model": {**MODEL, "layers": 1, "tie": False, "kind": "encoder"},
                "objective": {"name": "classification"},
                "optimizer": {"lr": lr},
                "schedule": {"warmup": 20},
                "batch": {"rows": 32},
                "runtime": {"device": "cpu", "tensorboard": False, "log_every": steps},
                "checkpoint": {"every": steps},
                "evaluation": {"every": steps},
            }
            arm.add(self._run(arm.name, values, None, {n: files[n] for n in held}))
        return arm

    def _kept(self, table: pa.Table) -> Path:
        """The table as a file named after its content."""
        seen = hashlib.sha256(json.dumps([table["text"].to_pylist(), table["label"].to_pylist()]).encode()).hexdigest()
        path = self.out / "labelled" / f"{seen[:16]}.parquet"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            pq.write_table(table.select(["text", "label"]), path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        return path

    def _run(
        self, name: str, values: dict[str, Any], rows: Rows | None, held: Any, keep: Path | None = None
    ) -> dict[str, Any] | None:
        """keep: where the trained model stays, in a folder of its own; without it only its figures do."""
        settings = from_mapping({**values, "output": "runs"})
        vocabulary = Vocabulary(values["data"]["tokenizer"])
        about = {
            "settings": settings.shaping(),
            "every": settings.evaluation.every,
            "tokenizer": vocabulary.digest,
            "data": rows.digest if rows else Path(values["data"]["train"]).stem,
            "held": held.digest if rows else {n: Path(p).stem for n, p in held.items()},
        }
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]
        path = self.out / "runs" / f"{key}.json"
        if path.exists():
            return json.loads(path.read_text())
        if self.only_kept:
            return None
        folder = self.out / "running" / key
        began = time.process_time()
        if rows:
            settings = from_mapping({**values, "output": str(folder)})
            result = train(settings, data=rows, validation=held)
            whole(result)
            spent = time.process_time() - began
            domains = result["validation"]["domains"]
            figures = {n: d["bits_per_byte"] for n, d in domains.items()}
            seen = [
                line["validation_bits_per_byte"] for line in read_metrics(folder) if "validation_bits_per_byte" in line
            ]
            if len(seen) > 1:
                figures["best"] = min(seen)
        else:
            from corpusmill.training.commands import evaluate

            whole(train(from_mapping({**values, "output": str(folder)})))
            spent = time.process_time() - began
            figures = {n: evaluate(folder, str(p))["accuracy"] for n, p in held.items()}
        made = {"arm": name, "seed": values["seed"], "figures": figures, "cpu_seconds": spent, "about": about}
        if keep:
            shutil.rmtree(keep / key, ignore_errors=True)
            shutil.copytree(result["checkpoint"], keep / key)
            made["checkpoint"] = str(keep / key)
        path.with_suffix(".part").write_text(json.dumps(made))
        path.with_suffix(".part").rename(path)
        shutil.rmtree(folder, ignore_errors=True)
        shown = ", ".join(f"{n} {v:.3f}" for n, v in figures.items())
        print(f"    {name}, seed {values['seed']}: {shown} ({spent:.0f} CPU s)", flush=True)
        return made


def decoder(vocabulary: Vocabulary, seed: int, steps: int, lr: float, looks: int = 1) -> dict[str, Any]:
    """Settings of a small decoder that is trained from scratch on rows at hand."""
    return {
        "seed": seed,
        "steps": steps,
        "data": {"train": "rows at hand", "tokenizer": vocabulary.path},
        "model": MODEL,
        "optimizer": {"lr": lr},
        "schedule": {"warmup": 20},
        "batch": {"rows": ROWS},
        "runtime": {"device": "cpu", "tensorboard": False, "log_every": steps},
        "checkpoint": {"every": min(steps, 400)},
        "evaluation": {"every": steps // looks},
    }


def whole(result: dict[str, Any]) -> None:
    """Leave where a signal has stopped a run: it goes on from its checkpoint, and counts when it is done."""
    if result["stopped"]:
        raise SystemExit(143)


def stream(texts: list[str], vocabulary: Vocabulary, limit: int = 0) -> np.ndarray:
    """Tokens of the texts one after the other, an end token behind each: int64, at most `limit` if that is above 0."""
    parts: list[np.ndarray] = []
    total = 0
    for i in range(0, len(texts), 256):
        for ids in vocabulary.encode(texts[i : i + 256]):
            parts += [ids, np.array([vocabulary.end])]
            total += len(ids) + 1
        if limit and total >= limit:
            break
    tokens = np.concatenate(parts)
    return tokens[:limit] if limit else tokens


def rows_of(tokens: np.ndarray, copies: int = 1, source: str = "") -> Arrays:
    """The stream cut into rows of LENGTH tokens, `copies` times over."""
    rows = tokens[: len(tokens) // LENGTH * LENGTH].reshape(-1, LENGTH)
    return Arrays({"input_ids": np.tile(rows, (copies, 1))}, [source] * (len(rows) * copies))


def together(held: dict[str, Arrays]) -> Arrays:
    """Held-out sets in one, each a source of its own."""
    names = [name for name, arrays in held.items() for _ in range(len(arrays))]
    return Arrays({"input_ids": np.concatenate([a.columns["input_ids"] for a in held.values()])}, names)
