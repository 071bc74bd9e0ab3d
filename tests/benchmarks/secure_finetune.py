"""Federated private fine-tuning of three owners against pooled private fine-tuning at the same epsilon.

A linear head on a small encoder: the encoder learns the intents of clinc150 (public), the head those of banking77, of which
three owners have a third each, every third question. Pooled: one process, `privacy/sgd.py`. Federated: three owners and an
aggregator over TLS, each owner with its own secret, sample, share of the noise and ledger. `colluding 0` has pooled noise
against the aggregator and whoever gets the model; `colluding 1` also against an owner, who knows its own share: variance
3/2 of it. The loss is that of the 3,080 test questions, which nobody trains on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.privacy.secure.parties import OWNERS, Threads

EPSILON, DELTA, STEPS, ROWS, RATE = 3.0, 1e-5, 60, 500, 2.0
WIDTH = 96


def encoder(scratch: Path, data: Path) -> Any:
    """A function from texts to features of length 1: float32 [n, WIDTH]."""
    import pyarrow.parquet as pq
    import torch

    from corpusmill.training import build
    from corpusmill.training.loop import train
    from corpusmill.training.settings import from_mapping
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

    texts = pq.read_table(data / "labelled/clinc150-train.parquet", columns=["id", "text"])
    tokenizer = scratch / "tokenizer.json"
    train_tokenizer(texts.to_batches(), str(tokenizer), vocab_size=2048)
    settings = {
        "output": str(scratch / "encoder"),
        "steps": 700,
        "data": {
            "train": str(data / "labelled/clinc150-train.parquet"),
            "tokenizer": str(tokenizer),
            "length": 32,
        },
        "model": {"kind": "encoder", "layers": 1, "width": WIDTH, "heads": 2},
        "objective": {"name": "classification"},
        "optimizer": {"lr": 3e-3},
        "schedule": {"warmup": 50},
        "batch": {"rows": 64},
        "runtime": {"tensorboard": False, "device": "cpu"},
    }
    train(from_mapping(settings))
    loaded = build.load(scratch / "encoder")
    base: Any = loaded.model.base

    @torch.no_grad()
    def features(asked: list[str]) -> torch.Tensor:
        out = []
        for ids in loaded.vocabulary.encode(asked):
            row = torch.from_numpy(np.asarray(ids[:32], np.int64))[None]
            out.append(base.states(base.embed(row), None, None).mean(dim=1)[0])
        return torch.nn.functional.normalize(torch.stack(out))

    return features


def head(classes: int) -> Any:
    """The layer that is tuned, from 0."""
    import torch

    layer = torch.nn.Linear(WIDTH, classes)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    return layer.train()


def losses(model: Any, batch: dict[str, Any]) -> Any:
    """One a row."""
    import torch

    return torch.nn.functional.cross_entropy(model(batch["x"]), batch["y"], reduction="none")


def tuned(private: Any, x: Any, y: Any) -> Any:
    """The head after all steps."""
    import torch

    private.check(losses, {"x": x[:2], "y": y[:2]})
    optimizer = torch.optim.Adam(private.parameters.values(), lr=RATE / 20)
    for step in range(STEPS):
        for rows in private.begin(step):
            private.add(lambda rows=rows: losses(private.model, {"x": x[rows], "y": y[rows]}), rows)
        private.finish()
        optimizer.step()
    private.close()
    return private.model


def finetune(scratch: Path, data: Path, seeds: int = 5) -> list[str]:
    """Rows of the table: pooled, and federated with 0 and 1 colluding owners."""
    import pyarrow.parquet as pq
    import torch

    from corpusmill.privacy.accounting import sigma_for
    from corpusmill.privacy.dp_settings import DpSettings
    from corpusmill.privacy.ledger import Ledger
    from corpusmill.privacy.secret import Secret
    from corpusmill.privacy.secure.federated import Federated
    from corpusmill.privacy.secure.rounds import Rounds, as_aggregator
    from corpusmill.privacy.sgd import Private
    from corpusmill.privacy.units import Units

    scratch.mkdir(parents=True)
    torch.set_num_threads(1)
    features = encoder(scratch, data)
    tables = [pq.read_table(data / f"labelled/banking77-{part}.parquet") for part in ("train", "test")]
    names = sorted(set(tables[0]["label"].to_pylist()))
    (x, y), (test_x, test_y) = [
        (features(t["text"].to_pylist()), torch.tensor([names.index(label) for label in t["label"].to_pylist()]))
        for t in tables
    ]
    units = len(y)
    sigma = sigma_for(EPSILON, DELTA, ROWS / units, STEPS)
    plan = DpSettings(steps=STEPS, rate=ROWS / units, sigma=sigma, units=units, micro_rows=2048)

    def measured(model: Any) -> tuple[float, float]:
        with torch.no_grad():
            logits = model.eval()(test_x)
            loss = torch.nn.functional.cross_entropy(logits, test_y)
        return float(loss), float((logits.argmax(1) == test_y).float().mean())

    def made(kind: Any, folder: Path, mine: Any, *first: Any) -> Any:
        folder.mkdir(parents=True)
        ledger, secret = Ledger.create(folder, "questions", "document", EPSILON, DELTA), Secret()
        spend = ledger.reserve(secret.name, plan.event(), "benchmark", "document")
        rounds = (Rounds(*first, secret),) if first else ()
        return ledger, kind(*rounds, head(len(names)), plan, Units(np.arange(len(mine))), secret, spend, "head 1")

    def pooled(seed: int) -> tuple[tuple[float, float], list[float]]:
        ledger, private = made(Private, scratch / f"pooled-{seed}", y)
        return measured(tuned(private, x, y)), [ledger.spent()]

    def federated(seed: int, colluding: int) -> tuple[tuple[float, float], list[float]]:
        folder, spent = scratch / f"f{colluding}-{seed}", {}
        job = {"steps": STEPS, "units": units, "rows": ROWS, "sigma": sigma, "colluding": colluding}
        parties = Threads(folder, {"job": "f", "kind": "finetune", "finetune": job}, timeout=600)

        def owner(node: Any) -> Any:
            place = OWNERS.index(node.name)
            ledger, private = made(Federated, folder / node.name, y[place::3], node)
            model = tuned(private, x[place::3], y[place::3])
            spent[node.name] = ledger.spent()
            return model

        found = parties.run(dict.fromkeys(OWNERS, owner) | {"hub": as_aggregator})
        states = [found[o].state_dict() for o in OWNERS]
        assert all(torch.equal(s[k], states[0][k]) for s in states for k in s)
        return measured(found[OWNERS[0]]), [spent[o] for o in OWNERS]

    runs = {
        "pooled": [pooled(s) for s in range(seeds)],
        "federated, colluding 0": [federated(s, 0) for s in range(seeds)],
        "federated, colluding 1": [federated(s, 1) for s in range(seeds)],
    }
    plain, rows = np.array([r[0][0] for r in runs["pooled"]]), []
    for name, found in runs.items():
        loss, right = (np.array([r[0][k] for r in found]) for k in range(2))
        error = np.sqrt(loss.var(ddof=1) / seeds + plain.var(ddof=1) / seeds)
        apart = f"{(loss.mean() - plain.mean()) / error:+.2f}" if name != "pooled" else ""
        said = " / ".join(f"{s:.2f}" for s in np.mean([r[1] for r in found], axis=0))
        rows.append(
            f"| {name} | {sigma:.3f} | {loss.mean():.4f} | {loss.std(ddof=1):.4f} | {apart} | {right.mean():.4f} | {said} |"
        )
    rows.append(f"| no training | | {np.log(len(names)):.4f} | | | {1 / len(names):.4f} | |")
    return rows
