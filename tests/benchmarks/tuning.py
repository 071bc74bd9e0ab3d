"""Does tuning work on real text? Pretrained against from scratch, adapters against zero-shot, instructions against the base.

    python -m tests.benchmarks.tuning [--data ../shared/data] [--out FOLDER] [--seeds 3]

Texts of banking77 and clinc150 without their labels pretrain a small encoder and a small decoder. Then
    classification   banking77, 10 questions an intent: accuracy on 800 test questions, from the encoder and from scratch
                     (and with 3 questions an intent);
                     each with the learning rate that is best for it on 385 other questions, by the first seed
    text to text     the same questions, the intent's name as the answer: loss of the answer, zero-shot and tuned
    instructions     50 of 175 instructions held out: loss of the answer, before and after tuning on the others
Each run stands in its folder and resumes; about 3 CPU minutes a seed, and 2 for the learning rates.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.training.build import base_digest
from corpusmill.training.loop import train
from corpusmill.training.settings import from_mapping
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.tokens.formats import write_shard
from corpusmill.transforms.tokens.pack import Pack
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer


def prepare(data: Path, out: Path) -> None:
    """Tokenizer, packed unlabelled texts, and the small labelled sets."""
    labelled = data / "labelled"
    bank = pq.read_table(labelled / "banking77-train.parquet")
    table = pa.concat_tables(
        [t.select(["id", "text"]) for t in (bank, pq.read_table(labelled / "clinc150-train.parquet"))]
    )
    batch = table.combine_chunks().to_batches()[0]
    train_tokenizer([batch], str(out / "tokenizer.json"), vocab_size=1024)
    pack = Pack(tokenizer=str(out / "tokenizer.json"), length=64)
    (out / "texts").mkdir(exist_ok=True)
    write_shard("arrow", pack.pack([batch], Keyed(1, "pack")), str(out / "texts" / "part-0"), pack.row_schema())
    rng = np.random.default_rng(0)
    labels = np.array(bank["label"].to_pylist())
    mixed = [rng.permutation(np.flatnonzero(labels == name)) for name in np.unique(labels)]
    for name, low, high in (("few", 0, 10), ("fewer", 0, 3), ("choose", 10, 15)):
        pq.write_table(bank.take(pa.array(np.concatenate([m[low:high] for m in mixed]))), out / f"{name}.parquet")
    test = pq.read_table(labelled / "banking77-test.parquet")
    pq.write_table(test.take(pa.array(rng.permutation(len(test))[:800])), out / "test.parquet")
    instructions = pq.read_table(labelled / "instructions.parquet")
    order = rng.permutation(len(instructions))
    pq.write_table(instructions.take(pa.array(order[50:])), out / "instructions.parquet")
    pq.write_table(instructions.take(pa.array(order[:50])), out / "instructions-held.parquet")


class Runs:
    """Runs of one seed in a folder."""

    def __init__(self, out: Path, seed: int) -> None:
        self.out, self.seed = out, seed

    def __call__(
        self, name: str, train_on: str, held: str | None, lr: float, steps: int, **sections: Any
    ) -> dict[str, Any]:
        """Train, or read what an earlier call came to; prints the CPU seconds."""
        values: dict[str, Any] = {
            "output": str(self.out / f"{name}-{self.seed}"),
            "seed": self.seed,
            "steps": steps,
            "data": {"train": str(self.out / train_on), "tokenizer": str(self.out / "tokenizer.json")},
            "model": {"layers": 2, "width": 64, "heads": 4},
            "optimizer": {"lr": lr},
            "schedule": {"warmup": 20 if steps > 20 else 0},
            "evaluation": {"every": steps},
            "runtime": {"tensorboard": False},
        }
        if held:
            values["data"]["validation"] = str(self.out / held)
        for section, fields in sections.items():
            values[section] = values.get(section, {}) | fields
        began = time.process_time()
        result = train(from_mapping(values))
        print(f"  {name:24} {time.process_time() - began:6.1f} CPU s", flush=True)
        return result

    def choose(self, name: str, rates: tuple[float, ...], steps: int, **sections: Any) -> float:
        """The learning rate that classifies most of the questions kept for this choice."""
        found = {
            lr: self(f"{name}-{lr:g}", "few.parquet", "choose.parquet", lr, steps, **sections)["validation"]["accuracy"]
            for lr in rates
        }
        print(f"  {name}: " + ", ".join(f"{lr:g} {accuracy:.3f}" for lr, accuracy in found.items()), flush=True)
        return max(found, key=lambda lr: found[lr])

    def base(self, name: str, **tune: Any) -> dict[str, Any]:
        """A `tune` section that starts from another run of this seed."""
        return {"base": str(self.out / f"{name}-{self.seed}"), **tune}


def main() -> None:
    """Print one line a comparison, mean over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "../shared/data")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"{options.data}: holds no labelled sets; name their folder with --data")
    out = options.out or Path(tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "instructions-held.parquet").exists():
        prepare(options.data, out)
    rows: dict[str, list[float]] = {}
    rates: dict[str, float] = {}
    for seed in range(1, options.seeds + 1):
        run = Runs(out, seed)
        masked = {"model": {"kind": "encoder", "layers": 2, "width": 64, "heads": 4}}
        run("encoder", "texts", None, 2e-3, 800, objective={"name": "masked", "rate": 0.25}, **masked)
        run("decoder", "texts", None, 5e-3, 300)
        classes = {"objective": {"name": "classification"}, **masked}
        every = ("query", "key", "value", "output", "gate", "up", "down")
        for name, grid, tune in (
            ("from scratch", (1.5e-3, 3e-3, 6e-3), {}),
            ("from the encoder", (1.5e-3, 3e-3, 6e-3), run.base("encoder")),
            ("its adapters", (1e-2, 2e-2), run.base("encoder", method="lora", targets=every)),
        ):
            label = f"classify {name}".replace(" ", "-")
            if name not in rates:
                rates[name] = run.choose(f"{label}-choose", grid, 240, tune=tune, **classes)
            result = run(label, "few.parquet", "test.parquet", rates[name], 240, tune=tune, **classes)
            rows.setdefault(f"classification, {name}: accuracy", []).append(result["validation"]["accuracy"])
            if not tune.get("method"):
                result = run(f"{label}-fewer", "fewer.parquet", "test.parquet", rates[name], 120, tune=tune, **classes)
                key = f"the same, 3 questions an intent, {name}: accuracy"
                rows.setdefault(key, []).append(result["validation"]["accuracy"])
        before = base_digest(str(out / f"decoder-{seed}"))
        texts: dict[str, Any] = {"objective": {"name": "text-to-text"}}
        for name, lr, steps, tune in (
            ("zero-shot", 1e-12, 1, {}),
            ("soft prompt", 5e-2, 150, {"method": "soft-prompt"}),
            ("LoRA", 1e-2, 150, {"method": "lora"}),
            ("full", 3e-3, 150, {}),
        ):
            data = {
                "train": str(out / "few.parquet"),
                "tokenizer": str(out / "tokenizer.json"),
                "columns": {"target": "label"},
            }
            texts["data"] = data | {"validation": str(out / "test.parquet")}
            tuned = run(
                f"answer-{name}".replace(" ", "-"), "", None, lr, steps, tune=run.base("decoder", **tune), **texts
            )
            rows.setdefault(f"text to text, {name}: loss of the answer", []).append(tuned["validation"]["loss"])
        if base_digest(str(out / f"decoder-{seed}")) != before:
            raise SystemExit("tuning changed the base")
        for name, lr, steps in (("base", 1e-12, 1), ("tuned", 2e-3, 40)):
            held = "instructions-held.parquet"
            told: dict[str, Any] = {"objective": {"name": "instruction"}, "batch": {"rows": 16}}
            tuned = run(f"instruct-{name}", "instructions.parquet", held, lr, steps, tune=run.base("decoder"), **told)
            rows.setdefault(f"held-out instructions, {name}: loss of the answer", []).append(
                tuned["validation"]["loss"]
            )
    print()
    for name, values in rows.items():
        error = f"+- {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}" if len(values) > 1 else ""
        print(f"{name:68} {np.mean(values):7.3f} {error}   {' '.join(f'{v:.3f}' for v in values)}")


if __name__ == "__main__":
    main()
