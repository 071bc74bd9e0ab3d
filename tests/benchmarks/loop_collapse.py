"""Does a model collapse when it is trained on what it wrote? A trigram model over tokens, five generations, three ways.

replace      each generation is trained on the text of the one before, and on nothing else
accumulate   on the real text and the text of all generations before
guarded      on the real text and what the steps `generate` and `synthetic-cap` let through of the generation before
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.generate import model as models
from corpusmill.transforms.generate.generate import Generate
from corpusmill.transforms.generate.model import Request, Sampling
from corpusmill.transforms.generate.prompts import beginning
from corpusmill.transforms.generate.synthetic_cap import SyntheticCap
from corpusmill.transforms.random import Keyed, uniform_array
from tests.benchmarks.effects_runs import Lab
from tests.benchmarks.loop_distill import VOCABULARY, texts

WEIGHTS = (0.6, 0.3, 0.1)
"""Of trigram, bigram and unigram, where the context was seen; else its weight goes to the next lower one."""
DOCUMENTS, CHARS, LENGTH, GENERATIONS = 1000, 1000, 256, 5


class Trigram:
    """An interpolated trigram model of token streams. It writes and scores text, which is what the step `generate` asks of a
    model (`corpusmill.transforms.generate.model.Model`); it is no classifier."""

    def __init__(self, vocabulary: Vocabulary, documents: list[str]) -> None:
        self.vocabulary, self.size = vocabulary, vocabulary.extended_size
        end = np.array([vocabulary.end])
        parts = [np.concatenate((end, end, ids, end)) for ids in vocabulary.encode(documents)]
        tokens = np.concatenate(parts)
        first = np.cumsum([0, *[len(p) for p in parts[:-1]]])
        inside = np.ones(len(tokens), bool)
        inside[first] = inside[first + 1] = False  # the two that stand before a document are no targets
        at = np.flatnonzero(inside)
        self.unigrams = np.sort(tokens[at])
        self.counts = np.bincount(tokens[at], minlength=self.size) + 0.1
        self.total = self.counts.sum()
        pairs, triples = tokens[at - 1], tokens[at - 2] * self.size + tokens[at - 1]
        self.by_pair, self.by_triple = self._sorted(pairs, tokens[at]), self._sorted(triples, tokens[at])
        self.digest = hashlib.sha256(tokens.tobytes()).hexdigest()[:32]

    def _sorted(self, context: np.ndarray, token: np.ndarray) -> np.ndarray:
        return np.sort(context * self.size + token)

    def _range(self, table: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.searchsorted(table, context * self.size), np.searchsorted(table, (context + 1) * self.size)

    def _weights(self, seen3: np.ndarray, seen2: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        w3 = np.where(seen3, WEIGHTS[0], 0.0)
        w2 = np.where(seen2, WEIGHTS[1] + WEIGHTS[0] - w3, 0.0)
        return w3, w2, 1.0 - w3 - w2

    def nats(self, document: np.ndarray) -> float:
        """-log p of a document's tokens."""
        end = np.array([self.vocabulary.end])
        t = np.concatenate((end, end, document))
        a, b, c = t[:-2] * self.size + t[1:-1], t[1:-1], t[2:]
        low3, high3 = self._range(self.by_triple, a)
        low2, high2 = self._range(self.by_pair, b)
        n3 = np.searchsorted(self.by_triple, a * self.size + c, "right") - np.searchsorted(
            self.by_triple, a * self.size + c
        )
        n2 = np.searchsorted(self.by_pair, b * self.size + c, "right") - np.searchsorted(
            self.by_pair, b * self.size + c
        )
        w3, w2, w1 = self._weights(high3 > low3, high2 > low2)
        p = (
            w3 * n3 / np.maximum(high3 - low3, 1)
            + w2 * n2 / np.maximum(high2 - low2, 1)
            + w1 * self.counts[c] / self.total
        )
        return float(-np.log(p).sum())

    def complete(self, requests: Sequence[Request]) -> list[str]:
        if not requests:
            return []
        keys = np.array([r.key for r in requests], np.uint64)
        steps = requests[0].sampling.max_tokens
        end = self.vocabulary.end
        prompts = [
            np.concatenate(([end, end], ids))[-2:] for ids in self.vocabulary.encode([r.prompt for r in requests])
        ]
        a, b = np.array(prompts).T
        out = np.full((len(requests), steps), end)
        running = np.ones(len(requests), bool)
        for step in range(steps):
            low3, high3 = self._range(self.by_triple, a * self.size + b)
            low2, high2 = self._range(self.by_pair, b)
            w3, w2, _ = self._weights(high3 > low3, high2 > low2)
            which, place = uniform_array(keys, 2 * step), uniform_array(keys, 2 * step + 1)
            from3 = self.by_triple[
                np.minimum(low3 + (place * (high3 - low3)).astype(np.int64), len(self.by_triple) - 1)
            ]
            from2 = self.by_pair[np.minimum(low2 + (place * (high2 - low2)).astype(np.int64), len(self.by_pair) - 1)]
            from1 = self.unigrams[(place * len(self.unigrams)).astype(np.int64)]
            c = np.where(which < w3, from3 % self.size, np.where(which < w3 + w2, from2 % self.size, from1))
            running &= c != end
            out[running, step] = c[running]
            a, b = b, c
        return [self.vocabulary.decode(row[row != end]) for row in out]

    def score(self, documents: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        nats = [self.nats(ids) for ids in self.vocabulary.encode(list(documents))]
        return np.array(nats), np.array([float(len(d.encode())) for d in documents])

    def bits(self, held: list[str]) -> float:
        """Bits per byte of held-out documents."""
        nats, size = self.score(held)
        return float(nats.sum() / math.log(2) / size.sum())


MODELS: dict[str, Trigram] = {}


def open_trigram(spec: str) -> Trigram:
    """The opener of `trigram:DIGEST`."""
    return MODELS[spec.partition(":")[2]]


open_trigram.digest = lambda spec: spec.partition(":")[2]  # type: ignore[attr-defined]


def batch_of(documents: list[str], seed: int) -> pa.RecordBatch:
    names = [f"{seed}-{i}" for i in range(len(documents))]
    return pa.record_batch({"id": names, "text": documents, "source": ["real"] * len(names)})


def raw(model: Trigram, real: list[str], seed: int, generation: int) -> list[str]:
    """One text for each real document, with its first words as the prompt, unchecked."""
    keys = Keyed(seed, f"raw\0{generation}").keys(pa.array([str(i) for i in range(len(real))]))
    prompts = [beginning(d, 4) for d in real]
    sampling = Sampling(LENGTH, 1.0, 0, 1.0)
    made = model.complete([Request(p, int(k), "", sampling) for p, k in zip(prompts, keys)])
    return [p + t for p, t in zip(prompts, made)]


def guarded(model: Trigram, reference: Trigram, real: pa.RecordBatch, seed: int, generation: int) -> list[str]:
    """The real text and what our steps let through, by their defaults."""
    MODELS.update({m.digest: m for m in (model, reference)})
    step = Generate(
        model=f"trigram:{model.digest}", reference=f"trigram:{reference.digest}", prompt="continue", words=4, keep_prompt=True,
        max_tokens=LENGTH, temperature=1.0, top_p=1.0, round=generation,
    )  # fmt: skip
    rows = step.expand(real, Keyed(seed, f"generate\0{generation}"))
    cap = SyntheticCap()
    places = np.arange(rows.num_rows, dtype=np.uint32)
    keys = cap.keys(0, rows, places, None)
    decisions = cap.decide(
        0, pa.Table.from_batches([keys.append_column("shard", pa.array([0] * keys.num_rows, pa.uint32()))])
    ).decisions
    return cap.apply(rows, places, decisions.sort_by("row")).batch.column("text").to_pylist()


def study(data: Path, out: Path, seeds: int) -> dict[str, Any]:
    """{arm: bits per byte of real held-out text, generation by generation, mean of the seeds}."""
    models.register("trigram", "tests.benchmarks.loop_collapse:open_trigram")
    found = texts(data)
    vocabulary = Lab(data, out, seeds).tokenizer("mixed-english", found[:1000], VOCABULARY)
    everything = [t[:CHARS] for t in found if len(t) >= CHARS // 2]
    held = everything[:300]
    curves: dict[str, list[list[float]]] = {"replace": [], "accumulate": [], "guarded": []}
    for seed in range(1, seeds + 1):
        order = np.random.default_rng(seed).permutation(len(everything) - 300)[:DOCUMENTS] + 300
        real = [everything[i] for i in order]
        first = Trigram(vocabulary, real)
        for arm, curve in curves.items():
            model, seen = first, list(real)
            bits = [model.bits(held)]
            for generation in range(1, GENERATIONS + 1):
                if arm == "guarded":
                    seen = guarded(model, first, batch_of(real, seed), seed, generation)
                else:
                    made = raw(model, real, seed, generation)
                    seen = made if arm == "replace" else seen + made
                model = Trigram(vocabulary, seen)
                bits.append(model.bits(held))
            curve.append(bits)
            print(f"  {arm}, seed {seed}: {' '.join(f'{b:.3f}' for b in bits)}", flush=True)
    mean = {arm: np.mean(curve, axis=0) for arm, curve in curves.items()}
    return {
        "bits_per_byte": {arm: m.tolist() for arm, m in mean.items()},
        "lost": {arm: float(m[-1] - m[0]) for arm, m in mean.items()},
        "guarded_over_generation_0": float(mean["guarded"][-1] / mean["guarded"][0] - 1),
        "guarded_last_step": float(abs(mean["guarded"][-1] - mean["guarded"][-2])),
    }
