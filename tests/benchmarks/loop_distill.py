"""Distillation at equal steps: what a student gains from a teacher's logits, and what they cost on disk."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.training.data import Arrays, Rows
from corpusmill.training.distill import Kind, TeacherRows
from corpusmill.training.serving.teach import teach
from corpusmill.training.vocabulary import Vocabulary
from tests.benchmarks.effects_runs import Arm, Lab, rows_of, stream

VOCABULARY = 1024
TEACHER = {"layers": 4, "width": 112, "heads": 4, "tie": True}
"""0.72 million parameters; the student is `effects_runs.MODEL`, 0.17 million."""
UNIQUE, FRESH, SEEN, HELD = 100_000, 820_000, 1_024_000, 60_000
"""Tokens: the student's own, the plain student's fresh ones, the teacher's, and the held-out ones."""
STEPS, TEACHER_STEPS = 400, 1_600
KINDS = {"full": ("full", 0), "sampled-12": ("sampled", 12), "top-16 with tail": ("top-k", 16)}


def texts(data: Path) -> list[str]:
    """English documents of all sources of the corpus, mixed, in an order that is always the same."""
    found: list[str] = []
    for file in sorted((data / "corpus").glob("*.parquet")):
        table = pq.read_table(file, columns=["text", "lang"])
        found += table.filter(pc.equal(table["lang"], "en"))["text"].to_pylist()
    order = np.random.default_rng(5).permutation(len(found))
    return [found[i] for i in order]


def prepare(lab: Lab) -> tuple[Vocabulary, dict[str, Arrays]]:
    """Tokenizer and rows: `held` first, then `seen` by the teacher, of which `fresh` and `unique` are the first parts."""
    found = texts(lab.data)
    vocabulary = lab.tokenizer("mixed-english", found[:1000], VOCABULARY)
    tokens = stream(found, vocabulary, HELD + SEEN)
    held, seen = tokens[:HELD], tokens[HELD:]
    parts = {"held": held, "seen": seen, "fresh": seen[:FRESH], "unique": seen[:UNIQUE]}
    return vocabulary, {name: rows_of(part) for name, part in parts.items()}


@dataclass
class Found:
    """The students by arm, and their teacher's {figures, cpu_seconds}. Arms without all of their runs have no figures."""

    arms: dict[str, Arm]
    teacher: dict[str, Any] | None

    def mean(self, name: str) -> float:
        """Bits per byte of an arm, mean of its seeds."""
        return float(np.mean(self.arms[name].figures["held"]))


def students(lab: Lab) -> Found:
    """Train the teacher once and all students, or read what earlier calls came to."""
    vocabulary, rows = prepare(lab)
    held = {"held": rows["held"]}
    taught: dict[str, Rows] = {}
    seconds: dict[str, float] = {}
    teacher = lab.teacher(vocabulary, TEACHER, rows["seen"], held, TEACHER_STEPS)
    if teacher is not None:
        for name, (kind, size) in KINDS.items():
            folder = lab.out / "teachers" / f"says-{name.replace(' ', '-')}-{Path(teacher['checkpoint']).name[:12]}"
            began = time.process_time()
            teach(rows["unique"], teacher["checkpoint"], folder, kind=kind, draws=size or 12, top_k=size or 16)  # type: ignore[arg-type]
            kept = folder / "cpu.txt"  # of the call that made the shards; the others only look at them
            if not kept.exists():
                kept.write_text(f"{time.process_time() - began:.2f}")
            seconds[name] = float(kept.read_text())
            taught[name] = TeacherRows(rows["unique"], folder, vocabulary.digest)
    arms: dict[str, Arm] = {}
    for name, given, steps in (
        ("plain", rows["unique"], STEPS),
        ("full", taught.get("full"), STEPS),
        ("sampled-12", taught.get("sampled-12"), STEPS),
        ("sampled-12", taught.get("sampled-12"), 2 * STEPS),
        ("plain", rows["unique"], 2 * STEPS),
        ("plain on 820k fresh", rows["fresh"], 2 * STEPS),
        ("top-16 with tail", taught.get("top-16 with tail"), STEPS),
        ("plain on 820k fresh", rows["fresh"], 4 * STEPS),
    ):
        arm = arms[f"{name}, {steps} steps"] = Arm(f"{name}, {steps} steps", prepare_seconds=seconds.get(name, 0.0))
        if given is None:
            arm.add(None)
        else:
            objective = "distillation" if name in KINDS else "causal"
            lab.language_model(arm, vocabulary, given, held, steps, objective=objective)
    return Found(arms, teacher)


def gap_closed(found: Found) -> dict[str, float]:
    """The part of the gap between plain cross-entropy and full logits that each kind closes, at equal steps."""
    plain, full = (found.mean(f"{name}, {STEPS} steps") for name in ("plain", "full"))
    return {name: (plain - found.mean(f"{name}, {STEPS} steps")) / (plain - full) for name in KINDS}


def bytes_a_token(kind: Kind, size: int, vocabulary: int) -> int:
    """Bytes that the teacher's columns take for one token, uncompressed. size: draws, or k.

    >>> [bytes_a_token(kind, 12, 1024) for kind in ("sampled", "top-k", "full")]
    [24, 48, 2048]
    """
    ids = 2 if vocabulary <= 1 << 16 else 4
    return {"sampled": size * ids, "top-k": size * (ids + 2), "full": vocabulary * 2}[kind]


def token_bytes() -> dict[str, int]:
    """Bytes that each kind keeps of a token."""
    return {name: bytes_a_token(kind, size, VOCABULARY) for name, (kind, size) in KINDS.items()}  # type: ignore[arg-type]


def study(data: Path, out: Path, seeds: int) -> dict[str, Any]:
    """All arms; figures are bits per byte of held-out text, means over the seeds."""
    found = students(Lab(data, out, seeds))
    sizes = token_bytes()
    student, plain = f"sampled-12, {2 * STEPS} steps", f"plain on 820k fresh, {2 * STEPS} steps"
    return {
        "figures": {name: arm.figures["held"] for name, arm in found.arms.items()},
        "mean": {name: found.mean(name) for name in found.arms},
        "cpu_seconds": {name: float(np.mean(arm.train_seconds)) for name, arm in found.arms.items()},
        "teacher": {name: found.teacher[name] for name in ("figures", "cpu_seconds")} if found.teacher else None,
        "gap_closed": gap_closed(found),
        "bytes_a_token": sizes,
        "share_of_full_bytes": {n: s / sizes["full"] for n, s in sizes.items()},
        "multiplier_at_least_8": found.mean(student) < found.mean(plain),
    }
