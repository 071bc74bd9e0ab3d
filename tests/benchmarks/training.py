"""Tokens per CPU second of the training loop beside a bare loop (as nanoGPT's train.py) on the same model and data.

    python -m tests.benchmarks.training [--steps 30] [--rounds 3]

Both train the same Transformer from the same weights with the same AdamW, clipping and schedule; the bare loop reads its
tokens from one flat array and knows neither shards, masks, metrics nor checkpoints.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import torch
from torch.nn.functional import cross_entropy

from corpusmill.training.loop import train
from corpusmill.training.model import Transformer
from corpusmill.training.schedule import rate
from corpusmill.training.settings import TrainSettings, from_mapping

LENGTH = 256


def shards(folder: Path, tokens: np.ndarray, packed: bool) -> Path:
    """Rows of LENGTH tokens; packed: with two documents each, so that attention needs its mask."""
    rows = tokens[: len(tokens) // LENGTH * LENGTH].reshape(-1, LENGTH)
    segments = np.ones_like(rows)
    positions = np.tile(np.arange(LENGTH, dtype=np.uint16), (len(rows), 1))
    if packed:
        segments[:, LENGTH // 2 :] = 2
        positions[:, LENGTH // 2 :] -= LENGTH // 2
    columns = {"input_ids": rows, "segment_ids": segments, "position_ids": positions}
    table = pa.table(
        {n: pa.FixedSizeListArray.from_arrays(pa.array(c.reshape(-1)), LENGTH) for n, c in columns.items()}
    )
    folder.mkdir()
    with pa.OSFile(str(folder / "part-0.arrow"), "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
        writer.write_table(table)
    return folder


def bare(settings: TrainSettings, tokens: np.ndarray) -> None:
    """nanoGPT's loop: random offsets into one array, mean loss, clip, step."""
    model = Transformer(settings.model, settings.seed)
    adam = settings.optimizer
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": adam.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=adam.lr, betas=(adam.beta1, adam.beta2), fused=True)
    generator = torch.Generator().manual_seed(1)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = adam.lr * rate(settings.schedule, step, settings.steps)
        at = torch.randint(len(tokens) - LENGTH - 1, (settings.batch.rows,), generator=generator).tolist()
        x = torch.stack([torch.from_numpy(tokens[i : i + LENGTH].astype(np.int64)) for i in at])
        y = torch.stack([torch.from_numpy(tokens[i + 1 : i + 1 + LENGTH].astype(np.int64)) for i in at])
        loss = cross_entropy(model(x).view(-1, settings.model.vocabulary or 0), y.view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), adam.max_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 0:
            loss.item()


def main() -> None:
    """Print both rates, best of the rounds, and their ratio; with and without packed documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 1000, 2_000_000).astype(np.uint16)
    with tempfile.TemporaryDirectory() as scratch:
        from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

        root = Path(scratch)
        words = " ".join(f"w{i}" for i in rng.integers(0, 5000, 20000))
        train_tokenizer(
            [pa.record_batch({"id": ["a"], "text": [words]})], str(root / "tokenizer.json"), vocab_size=1024
        )
        paths = {kind: shards(root / kind, tokens, kind == "packed") for kind in ("plain", "packed")}
        seconds: dict[str, list[float]] = {"bare": [], "plain": [], "packed": []}
        for round_ in range(options.rounds + 1):  # the first warms up
            for kind, times in seconds.items():
                values = {
                    "output": str(root / f"run-{kind}-{round_}"),
                    "steps": options.steps,
                    "data": {"train": str(paths.get(kind, paths["plain"])), "tokenizer": str(root / "tokenizer.json")},
                    "model": {"layers": options.layers, "width": options.width, "heads": 4, "vocabulary": 1024},
                    "batch": {"rows": 8},
                    "schedule": {"warmup": 5},
                }
                settings = from_mapping(values)
                began = time.process_time()
                bare(settings, tokens) if kind == "bare" else train(settings)
                if round_:
                    times.append(time.process_time() - began)
    count = options.steps * 8 * LENGTH
    best = {kind: count / min(times) for kind, times in seconds.items()}
    print(f"{'loop':8} {'tokens per CPU s':>18} {'of bare':>8}")
    for kind, value in best.items():
        print(f"{kind:8} {value:18,.0f} {value / best['bare']:8.1%}")


if __name__ == "__main__":
    main()
