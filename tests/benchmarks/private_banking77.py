"""Accuracy of private fine-tuning: banking77 with LoRA from an encoder that saw public data only.

    python -m tests.benchmarks.private_banking77 ../shared/data OUT.json [STEPS] [SEEDS]      the last prints the table

The encoder is trained on clinc150 (public), the words of its tokenizer too; then adapters and a new head train on banking77
under epsilon 1, 3, 8 and without noise or clipping bound, at delta 1e-5 and rate 512 / 10,003, one document a unit.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn
from torch.nn import functional

from corpusmill.privacy.accounting import sigma_for
from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import Units
from corpusmill.training.finetune import lora
from corpusmill.training.finetune.classify import Classifier
from corpusmill.training.model import Transformer
from corpusmill.training.settings import ModelSettings
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

LENGTH, RATE_ROWS, DELTA = 24, 512, 1e-5
EPSILONS = (1.0, 3.0, 8.0, float("inf"))


def rows_of(path: Path, vocabulary: Vocabulary, classes: list[str]) -> dict[str, Tensor]:
    """Columns of a file of labelled questions."""
    table = pq.read_table(path)
    ids = [row[:LENGTH] for row in vocabulary.encode(table["text"].to_pylist())]
    out = np.zeros((len(ids), LENGTH), np.int64)
    for i, row in enumerate(ids):
        out[i, : len(row)] = row
    segments = np.arange(LENGTH) < np.array([max(1, len(row)) for row in ids])[:, None]
    labels = np.array([classes.index(str(x)) for x in table["label"].to_pylist()])
    columns = {"input_ids": out, "segment_ids": segments.astype(np.int64), "labels": labels}
    return {name: torch.from_numpy(column) for name, column in columns.items()}


def losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """One loss a row."""
    return functional.cross_entropy(model(batch["input_ids"], batch["segment_ids"]), batch["labels"], reduction="none")


def take(batch: dict[str, Tensor], rows: np.ndarray) -> dict[str, Tensor]:
    """Some rows."""
    return {name: column[torch.from_numpy(rows)] for name, column in batch.items()}


@torch.no_grad()
def accuracy(model: nn.Module, data: dict[str, Tensor]) -> float:
    """Share of right answers."""
    model.eval()
    right = 0
    for begin in range(0, len(data["labels"]), 512):
        part = {name: column[begin : begin + 512] for name, column in data.items()}
        right += int((model(part["input_ids"], part["segment_ids"]).argmax(1) == part["labels"]).sum())
    model.train()
    return right / len(data["labels"])


def public_encoder(data: dict[str, Tensor], classes: int, size: int, steps: int) -> Transformer:
    """An encoder trained to tell the intents of clinc150."""
    base = Transformer(ModelSettings(kind="encoder", layers=2, width=96, heads=4, vocabulary=size, dropout=0.1), seed=1)
    model = Classifier(base, classes, seed=1).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    rng = np.random.default_rng(0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 50, (steps - step) / (steps / 2))
        losses(model, take(data, rng.integers(0, len(data["labels"]), 128))).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"public encoder: {accuracy(model, data):.3f} on its own training data", flush=True)
    return model.base


def table(found: list[dict[str, float]]) -> str:
    """Accuracy by epsilon, mean and range over the seeds: Markdown."""
    lines = ["| epsilon | noise | accuracy | lowest | highest | CPU s a run |", "|--:|--:|--:|--:|--:|--:|"]
    for epsilon in EPSILONS:
        runs = [line for line in found if line["epsilon"] == epsilon]
        got = [line["accuracy"] for line in runs]
        if runs:
            name = "none" if epsilon == float("inf") else f"{epsilon:g}"
            seconds = float(np.mean([line["cpu_seconds"] for line in runs]))
            figures = f"{np.mean(got):.1%} | {min(got):.1%} | {max(got):.1%} | {seconds:.0f}"
            lines.append(f"| {name} | {runs[0]['sigma']:.2f} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    """Print and write one line a run, then the table."""
    torch.set_num_threads(1)
    root, out = Path(sys.argv[1]) / "labelled", Path(sys.argv[2])
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    seeds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    public, train, test = (root / f"{n}.parquet" for n in ("clinc150-train", "banking77-train", "banking77-test"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        table = pq.read_table(public, columns=["id", "text"])
        train_tokenizer(
            [pa.record_batch({n: table[n].combine_chunks() for n in ("id", "text")})], str(path), vocab_size=3000
        )
        vocabulary = Vocabulary(path)
    intents = sorted({str(x) for x in pq.read_table(public)["label"].to_pylist()})
    classes = sorted({str(x) for x in pq.read_table(train)["label"].to_pylist()})
    base = public_encoder(rows_of(public, vocabulary, intents), len(intents), vocabulary.size, 12 * steps)
    weights = {name: p.detach().clone() for name, p in base.state_dict().items()}
    data, held = rows_of(train, vocabulary, classes), rows_of(test, vocabulary, classes)
    n = len(data["labels"])
    found = []
    for seed in range(seeds):
        for epsilon in EPSILONS:
            began = time.process_time()
            rate = RATE_ROWS / n
            sigma = 0.0 if epsilon == float("inf") else sigma_for(epsilon, DELTA, rate, steps)
            fresh = Transformer(base.config, seed=seed)
            fresh.head = nn.Identity()  # type: ignore[assignment]
            fresh.load_state_dict(weights)
            for module in fresh.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
            model = Classifier(fresh, len(classes), seed=seed)
            lora.adapt(model, 8, 16.0, ("query", "value", "up", "down", "output"), seed).train()
            plan = DpSettings(
                steps=steps, rate=rate, sigma=sigma, units=n, clip=1.0 if sigma else 1e6, mode="ghost", micro_rows=256
            )
            private = Private(model, plan, Units(np.arange(n)), Secret(seed.to_bytes(32, "big")))
            private.check(losses, take(data, np.arange(2)))
            optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=6e-3)
            for step in range(steps):
                for group in optimizer.param_groups:
                    group["lr"] = 6e-3 * min(1.0, 2 * (steps - step) / steps)
                for rows in private.begin(step):
                    private.add(partial(losses, model, take(data, rows)), rows)
                private.finish()
                optimizer.step()
                optimizer.zero_grad()
            private.close()
            line = {
                "epsilon": epsilon,
                "seed": seed,
                "sigma": round(sigma, 3),
                "accuracy": round(accuracy(model, held), 4),
            }
            line["cpu_seconds"] = round(time.process_time() - began, 1)
            print(json.dumps(line), flush=True)
            found.append(line)
            out.write_text(json.dumps(found, indent=1))
    print("\n" + table(found))


if __name__ == "__main__":
    main()
