"""Distillation at equal steps: what a student gains from a teacher's logits, and what they cost on disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.benchmarks.effects_runs import LENGTH, rows_of, stream
from training.data import Arrays, Rows
from training.distill import TeacherRows, bytes_a_token
from training.loop import train
from training.settings import from_mapping
from training.teach import teach
from training.vocabulary import Vocabulary
from transforms.tokens.train_tokenizer import train_tokenizer

VOCABULARY = 1024
STUDENT = {"layers": 2, "width": 64, "heads": 4, "tie": True}
TEACHER = {"layers": 4, "width": 112, "heads": 4, "tie": True}
ROWS = 8
UNIQUE, FRESH, SEEN, HELD = 100_000, 820_000, 1_024_000, 60_000
"""Tokens: the student's own, the plain student's fresh ones, the teacher's, and the held-out ones."""
STEPS, TEACHER_STEPS = 400, 1_600


def texts(data: Path) -> list[str]:
    """English documents of all sources of the corpus, mixed, in an order that is always the same."""
    found: list[str] = []
    for file in sorted((data / "corpus").glob("*.parquet")):
        table = pq.read_table(file, columns=["text", "lang"])
        found += table.filter(pc.equal(table["lang"], "en"))["text"].to_pylist()
    order = np.random.default_rng(5).permutation(len(found))
    return [found[i] for i in order]


def prepare(data: Path, out: Path) -> tuple[Vocabulary, dict[str, Arrays]]:
    """Tokenizer and rows: `held` first, then `seen` by the teacher, of which `fresh` and `unique` are the first parts."""
    found = texts(data)
    path = out / "tokenizer.json"
    if not path.exists():
        batch = pa.record_batch({"id": [str(i) for i in range(1000)], "text": found[:1000]})
        train_tokenizer([batch], str(path), vocab_size=VOCABULARY)
    vocabulary = Vocabulary(path)
    tokens = stream(found, vocabulary, HELD + SEEN)
    held, seen = tokens[:HELD], tokens[HELD:]
    parts = {"held": held, "seen": seen, "fresh": seen[:FRESH], "unique": seen[:UNIQUE]}
    return vocabulary, {name: rows_of(part) for name, part in parts.items()}


def run(
    out: Path, name: str, seed: int, vocabulary: Vocabulary, rows: Rows, held: Arrays, steps: int, model: dict[str, Any]
) -> dict[str, Any]:
    """Train and measure, or what an earlier call came to. {bits_per_byte, cpu_seconds, checkpoint}."""
    kept = out / f"{name}-{steps}-{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    values = {
        "output": str(out / "runs" / f"{name}-{steps}-{seed}"),
        "seed": seed,
        "steps": steps,
        "data": {"train": "rows at hand", "tokenizer": vocabulary.path, "length": LENGTH},
        "model": model,
        "objective": {"name": "distillation" if isinstance(rows, TeacherRows) else "causal"},
        "optimizer": {"lr": 3e-3},
        "schedule": {"warmup": 20},
        "batch": {"rows": ROWS},
        "runtime": {"device": "cpu", "tensorboard": False, "log_every": 100},
        "checkpoint": {"every": 100, "keep": 1},
        "evaluation": {"every": steps},
    }
    began = time.process_time()
    result = train(from_mapping(values), data=rows, validation=held)
    spent = time.process_time() - began
    made = {
        "bits_per_byte": result["validation"]["bits_per_byte"],
        "cpu_seconds": spent,
        "checkpoint": result["checkpoint"],
    }
    kept.write_text(json.dumps(made))
    print(
        f"  {name} {steps} steps, seed {seed}: {made['bits_per_byte']:.4f} bits per byte ({spent:.0f} CPU s)",
        flush=True,
    )
    return made


def study(data: Path, out: Path, seeds: int) -> dict[str, Any]:
    """All arms; figures are bits per byte of held-out text, means over the seeds."""
    out.mkdir(parents=True, exist_ok=True)
    vocabulary, rows = prepare(data, out)
    teacher = run(out, "teacher", 1, vocabulary, rows["seen"], rows["held"], TEACHER_STEPS, TEACHER)
    taught: dict[str, TeacherRows] = {}
    sizes: dict[str, int] = {}
    kinds = {"full": ("full", 0), "sampled-12": ("sampled", 12), "top-16 with tail": ("top-k", 16)}
    for name, (kind, size) in kinds.items():
        folder = out / f"shards-{name.replace(' ', '-')}"
        teach(rows["unique"], teacher["checkpoint"], folder, kind=kind, draws=size or 12, top_k=size or 16)  # type: ignore[arg-type]
        taught[name] = TeacherRows(rows["unique"], folder, vocabulary.digest)
        sizes[name] = bytes_a_token(kind, size, VOCABULARY)  # type: ignore[arg-type]
    figures: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}

    def arm(name: str, given: Rows, steps: int) -> None:
        made = [run(out, name, seed, vocabulary, given, rows["held"], steps, STUDENT) for seed in range(1, seeds + 1)]
        figures[f"{name}, {steps} steps"] = [m["bits_per_byte"] for m in made]
        seconds[f"{name}, {steps} steps"] = float(np.mean([m["cpu_seconds"] for m in made]))

    arm("plain", rows["unique"], STEPS)
    for name in ("full", "sampled-12", "top-16 with tail"):
        arm(name, taught[name], STEPS)
    arm("sampled-12", taught["sampled-12"], 2 * STEPS)
    arm("plain on fresh", rows["fresh"], 2 * STEPS)
    arm("plain on fresh", rows["fresh"], 4 * STEPS)
    mean = {name: float(np.mean(values)) for name, values in figures.items()}
    gap = mean[f"plain, {STEPS} steps"] - mean[f"full, {STEPS} steps"]
    closed = {n: (mean[f"plain, {STEPS} steps"] - mean[f"{n}, {STEPS} steps"]) / gap for n in taught}
    return {
        "figures": figures,
        "mean": mean,
        "cpu_seconds": seconds,
        "teacher": teacher,
        "gap_closed": closed,
        "bytes_a_token": sizes,
        "share_of_full_bytes": {n: s / sizes["full"] for n, s in sizes.items()},
        "multiplier_at_least_8": mean[f"sampled-12, {2 * STEPS} steps"] < mean[f"plain on fresh, {2 * STEPS} steps"],
    }
