"""Private synthetic text two ways at one epsilon: votes without training (AUG-PE), and a privately fine-tuned generator.

    python -m tests.benchmarks.private_synthetic ../shared/data OUT.json [EPSILON] [KEEP]      prints the table

The generator has seen clinc150 only (public). banking77 is private, one question a unit, with made-up canaries of which a coin puts
half into it. The seeds are the 77 names of the intents, which are public. A classifier of words learns from the synthetic texts and
is tested on the real test questions. Canaries: the chance that one which was in has more words in common with a synthetic text than
one which was not (0.5 is guessing).
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn
from torch.nn import functional

import corpusmill
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.private_synthesis import Synthesis, synthesize
from corpusmill.pipelines.recipe.certify import of_snapshot
from corpusmill.privacy.audit import attack
from corpusmill.privacy.canaries import write as write_canaries
from corpusmill.privacy.ledger import Ledger
from corpusmill.training import private
from corpusmill.training.loop import train
from corpusmill.training.settings import from_mapping
from corpusmill.transforms.generate.model import Request, Sampling, open_model
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

DELTA, CANARIES = 1e-5, 60


def questions(path: Path) -> list[dict[str, str]]:
    """Rows of a file of labelled questions; intents as words."""
    rows = pq.read_table(path, columns=["id", "text", "label"]).to_pylist()
    return [row | {"label": str(row["label"]).replace("_", " ")} for row in rows]


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def settings(folder: Path, name: str, data: str, **more: Any) -> Any:
    """A run's train.yaml."""
    columns = {"instruction": "label", "output": "text"}
    values = {
        "output": str(folder / name),
        "data": {"train": data, "tokenizer": str(folder / "tokenizer.json"), "length": 32, "columns": columns},
        "objective": {"name": "instruction"},
        "schedule": {"warmup": 10},
        "optimizer": {"lr": 2e-3, "weight_decay": 0.0},
        "runtime": {"device": "cpu"},
    }
    return from_mapping(values | more, folder)


def classifier_accuracy(rows: list[dict[str, str]], test: list[dict[str, str]], classes: list[str]) -> float:
    """Of a linear classifier on words and pairs of neighbours, hashed to 4,096 places."""

    def features(texts: list[str]) -> torch.Tensor:
        out = torch.zeros(len(texts), 4096)
        for i, text in enumerate(texts):
            words = "".join(c.lower() if c.isalnum() else " " for c in text).split()
            for piece in words + [f"{a} {b}" for a, b in zip(words, words[1:])]:
                out[i, int.from_bytes(piece.encode(), "big") % 4093] = 1.0
        return functional.normalize(out)

    x, y = features([r["text"] for r in rows]), torch.tensor([classes.index(r["label"]) for r in rows])
    torch.manual_seed(0)
    model = nn.Linear(4096, len(classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=1e-5)
    for _ in range(60):
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        right = model(features([r["text"] for r in test])).argmax(1) == torch.tensor(
            [classes.index(r["label"]) for r in test]
        )
    return float(right.float().mean())


def canary_auc(folder: Path, rows: list[dict[str, str]]) -> float:
    """How well overlap with synthetic text tells canaries that were in from those that were not."""
    seen = [set(row["text"].lower().split()) for row in rows]
    scores: dict[bool, list[float]] = {True: [], False: []}
    for line in (folder / "members.jsonl").read_text().splitlines():
        canary = json.loads(line)
        words = set(canary["text"].lower().split())
        scores[bool(canary["member"])].append(max(len(words & other) / len(words | other) for other in seen))
    return attack(np.array(scores[True]), np.array(scores[False]))["auc"]


def written(model: str, classes: list[str], keep: int) -> list[dict[str, str]]:
    """What a model writes for each class."""
    asked = [
        Request(f"{c}\n\n", i * 1000 + k, "", Sampling(24, 1.0)) for i, c in enumerate(classes) for k in range(keep)
    ]
    texts = open_model(model).complete(asked)
    labels = [c for c in classes for _ in range(keep)]
    return [{"text": t, "label": c} for t, c in zip(texts, labels, strict=True) if t.strip()]


def main() -> None:
    """Print one line a way."""
    torch.set_num_threads(1)
    root, out = Path(sys.argv[1]) / "labelled", Path(sys.argv[2])
    epsilon, keep = float(sys.argv[3]) if len(sys.argv) > 3 else 3.0, int(sys.argv[4]) if len(sys.argv) > 4 else 5
    public, own, test = (
        questions(root / f"{n}.parquet") for n in ("clinc150-train", "banking77-train", "banking77-test")
    )
    classes = sorted({row["label"] for row in own})
    found: list[dict[str, Any]] = []

    def line(way: str, spent: float, rows: list[dict[str, str]], folder: Path, began: float) -> None:
        one = {"way": way, "epsilon": round(spent, 2), "texts": len(rows)}
        one |= {"accuracy": round(classifier_accuracy(rows, test, classes), 4)}
        one |= {"canary_auc": round(canary_auc(folder / "canaries", rows), 3)}
        one["cpu_seconds"] = round(time.process_time() - began, 1)
        print(json.dumps(one) + "\n" + json.dumps(random.Random(0).sample(rows, 3)), flush=True)
        found.append(one)
        out.write_text(json.dumps(found, indent=1))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = pa.Table.from_pylist([{"id": row["id"], "text": f"{row['label']} {row['text']}"} for row in public])
        train_tokenizer(table.combine_chunks().to_batches(), str(folder / "tokenizer.json"), vocab_size=3000)
        shape = {"kind": "decoder", "layers": 2, "width": 96, "heads": 4}
        data = str(lines(folder / "public.jsonl", public))
        train(settings(folder, "public-model", data, model=shape, steps=200, batch={"rows": 32}))
        write_canaries(folder / "canaries", CANARIES, 8, {"label": classes})
        inside = [json.loads(x) for x in (folder / "canaries" / "canaries.jsonl").read_text().splitlines()]
        seeds = lines(folder / "seeds.jsonl", [{"text": c, "label": c} for c in classes])
        homes = {}
        for way in ("votes", "training"):  # a ledger each
            rows = lines(folder / way / "private" / "rows.jsonl", own + inside)
            source = {"name": "bank", "path": str(rows), "columns": {"id": "id", "label": "label"}, "private": True}
            ledger = str(folder / way / "privacy.jsonl")
            budget = {"population": way, "units": 10_000, "epsilon": 10.0, "delta": DELTA, "ledger": ledger}
            homes[way] = folder / way / "out"
            recipe = {
                "name": way,
                "sources": [source],
                "steps": ["clean"],
                "output": str(homes[way]),
                "privacy": budget,
            }
            corpusmill.run(recipe, workers=1)

        began = time.process_time()
        line("public model alone", 0.0, written(str(folder / "public-model"), classes, keep), folder, began)

        began = time.process_time()
        how = Synthesis(
            str(folder / "public-model"), str(seeds), keep=keep, variations=2, rounds=3, label="label", max_tokens=24
        )
        paid = Ledger(folder / "votes" / "privacy.jsonl")
        synthesize(Dataset(str(homes["votes"])), None, how, str(folder / "votes.jsonl"), epsilon, paid)
        rows = [json.loads(x) for x in (folder / "votes.jsonl").read_text().splitlines()]
        line("votes (AUG-PE)", paid.spent(), rows, folder, began)

        began = time.process_time()
        paid = Ledger(folder / "training" / "privacy.jsonl")
        dp = {"ledger": str(paid.path), "units": 10_000, "epsilon": epsilon, "mode": "ghost", "average": 0.3}
        tune = {"base": str(folder / "public-model"), "method": "lora", "targets": ["query", "value", "up", "down"]}
        run = settings(
            folder,
            "private-model",
            str(homes["training"]),
            tune=tune,
            steps=40,
            batch={"rows": 256, "micro_rows": 128},
            optimizer={"lr": 5e-3, "weight_decay": 0.0},
            privacy=dp,
        )
        private.train(run, run.privacy, certification=of_snapshot(homes["training"], None, "document"))
        line("private training", paid.spent(), written(str(folder / "private-model"), classes, keep), folder, began)

        began = time.process_time()
        draws = random.Random(1)
        sample = [row for c in classes for row in draws.sample([r for r in own if r["label"] == c], keep)]
        line("real questions", float("inf"), sample, folder, began)


if __name__ == "__main__":
    main()
