"""Accuracy of a private head on frozen features: banking77, all questions in every step (noisy gradient descent).

    python -m tests.benchmarks.private_head ../shared/data OUT.json [SEEDS]      the last prints the table

The encoder is that of `private_banking77` (clinc150 alone). The features are those of `tune: {method: head}`, or the last hidden
states alone. Features, rate and steps are chosen for each epsilon on public data alone: an encoder of half the intents of clinc150,
and a private head on the other half. The head steps with momentum 0.9, and the weights of the second half of the steps are
averaged, which costs no privacy.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
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
from corpusmill.training.finetune.classify import Classifier
from corpusmill.training.finetune.head import FrozenClassifier
from corpusmill.training.model import Transformer
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer
from tests.benchmarks.private_banking77 import DELTA, EPSILONS, public_encoder, rows_of, table, take

STEPS, RATES = (10, 20, 40), (16.0, 32.0, 64.0)
WIDTH = 96
KINDS: dict[str, type[Classifier]] = {"last states": Classifier, "words and last states": FrozenClassifier}


def losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """One loss a row."""
    return functional.cross_entropy(model(batch["x"]), batch["labels"], reduction="none")


@torch.no_grad()
def features(base: Transformer, data: dict[str, Tensor], kind: str) -> Tensor:
    """What a head of a kind is given: [N, width], twice that with words."""
    model = KINDS[kind](base, 2).eval()
    parts = [
        model.features(data["input_ids"][i : i + 512], data["segment_ids"][i : i + 512])
        for i in range(0, len(data["labels"]), 512)
    ]
    return torch.cat(parts)


def scaled(x: Tensor, public: Tensor) -> Tensor:
    """Features less the public mean, over the public deviation, of norm 1; words keep their larger size."""
    size = public.std(0)
    if x.shape[1] > WIDTH:
        size = torch.cat([size[:WIDTH] / 2, size[WIDTH:]])
    return functional.normalize((x - public.mean(0)) / size)


def head(x: Tensor, labels: Tensor, classes: int, sigma: float, steps: int, rate: float, key: bytes) -> nn.Linear:
    """A private head."""
    model = nn.Linear(x.shape[1], classes).train()
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    data = {"x": x, "labels": labels}
    plan = DpSettings(
        steps=steps, rate=1.0, sigma=sigma, units=len(x), clip=1.0 if sigma else 1e6, mode="ghost", micro_rows=4096
    )
    private = Private(model, plan, Units(np.arange(len(x))), Secret(key))
    other = int(torch.nonzero(labels != labels[0])[0])
    private.check(losses, take(data, np.array([0, other])))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    mean = [torch.zeros_like(p) for p in model.parameters()]
    for step in range(steps):
        for rows in private.begin(step):
            part = take(data, rows)
            private.add(lambda part=part: losses(model, part), rows)
        private.finish()
        optimizer.step()
        if step >= steps // 2:
            for m, p in zip(mean, model.parameters()):
                m.add_(p.detach() / (steps - steps // 2))
    private.close()
    with torch.no_grad():
        for m, p in zip(mean, model.parameters()):
            p.copy_(m)
    return model


def right(model: nn.Linear, x: Tensor, labels: Tensor) -> float:
    """Accuracy."""
    with torch.no_grad():
        return float((model(x).argmax(1) == labels).float().mean())


def main() -> None:
    """Choose on public data, then print and write one line a run, and the table."""
    torch.set_num_threads(1)
    root, out = Path(sys.argv[1]) / "labelled", Path(sys.argv[2])
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    files = [root / f"{n}.parquet" for n in ("clinc150-train", "banking77-train", "banking77-test")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        text = pq.read_table(files[0], columns=["id", "text"])
        train_tokenizer(
            [pa.record_batch({n: text[n].combine_chunks() for n in ("id", "text")})], str(path), vocab_size=3000
        )
        vocabulary = Vocabulary(path)
    intents, classes = (sorted({str(x) for x in pq.read_table(f)["label"].to_pylist()}) for f in files[:2])
    public, data, held = (
        rows_of(f, vocabulary, names) for f, names in zip(files, (intents, classes, classes), strict=True)
    )

    # chosen on public data: an encoder of the even intents, a head on the odd ones
    odd = public["labels"] % 2 == 1
    even = {name: column[~odd] for name, column in public.items()} | {"labels": public["labels"][~odd] // 2}
    base = public_encoder(even, len(intents), vocabulary.size, 720)
    y = public["labels"][odd] // 2
    test = torch.arange(len(y)) % 5 == 0
    chosen: dict[float, tuple[float, str, int, float]] = {}
    for kind in KINDS:
        x = scaled(features(base, public, kind)[odd], features(base, even, kind))
        for epsilon in EPSILONS:
            for steps in STEPS:
                sigma = 0.0 if epsilon == float("inf") else sigma_for(epsilon, DELTA, 1.0, steps)
                for rate in RATES:
                    model = head(x[~test], y[~test], len(intents) // 2, sigma, steps, rate, bytes(32))
                    one = right(model, x[test], y[test]), kind, steps, rate
                    chosen[epsilon] = max(chosen.get(epsilon, one), one)
            print(f"public, epsilon {epsilon:g}, best until {kind}: {chosen[epsilon]}", flush=True)

    base = public_encoder(public, len(intents), vocabulary.size, 720)
    found = []
    for epsilon, (_, kind, steps, rate) in chosen.items():
        known = features(base, public, kind)
        x, x_test = scaled(features(base, data, kind), known), scaled(features(base, held, kind), known)
        for seed in range(seeds):
            began = time.process_time()
            sigma = 0.0 if epsilon == float("inf") else sigma_for(epsilon, DELTA, 1.0, steps)
            model = head(x, data["labels"], len(classes), sigma, steps, rate, seed.to_bytes(32, "big"))
            line = {"epsilon": epsilon, "seed": seed, "sigma": round(sigma, 3), "steps": steps, "rate": rate}
            line |= {"accuracy": round(right(model, x_test, held["labels"]), 4)}
            line["cpu_seconds"] = round(time.process_time() - began, 1)
            print(json.dumps(line), flush=True)
            found.append(line)
            out.write_text(json.dumps(found, indent=1))
    print("\n" + table(found))


if __name__ == "__main__":
    main()
