"""Scores of n-gram models beside kenlm's: `python -m tests.benchmarks.ngrams`; PEERS=1 for kenlm.

One ARPA file (5 pieces, modified Kneser-Ney, written by the plain definition in tests/transforms/ngrams/reference.py) is read by
both. Documents of the corpus that it was not made of are scored, as text by both, and as lists of symbols in Arrow.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms.ngrams._arpa import convert
from corpusmill.transforms.ngrams._counts import Counts
from corpusmill.transforms.ngrams._smoothing import estimate
from corpusmill.transforms.ngrams._symbols import text_symbols
from corpusmill.transforms.ngrams._table import open_model
from tests.benchmarks.corpora import corpus
from tests.transforms.ngrams.reference import Reference

ROUNDS = 3


def least(work: Callable[[], Any]) -> tuple[float, Any]:
    """(the least CPU seconds of a few rounds, the answer)."""
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        answer = work()
        took.append(time.process_time() - began)
    return min(took), answer


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value; values are distinct enough for ties not to matter."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)


def main() -> None:
    """Print documents per CPU second, ratios and the rank correlation."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = sorted(corpus(folder).glob("*.parquet"))
        texts = pa.concat_arrays([c for f in files[:2] for c in pq.read_table(f, columns=["text"])["text"].chunks])
        words = np.array([len(t.split()) for t in texts.to_pylist()])
        texts = texts.filter(pa.array((words > 20) & (words < 4000)))
        made_of, scored = texts.slice(0, 500), texts.slice(500, 4000)
        (folder / "m.arpa").write_text(Reference([t.split() for t in made_of.to_pylist()], 5).arpa())
        convert(str(folder / "m.arpa"), str(folder / "m"))
        model = open_model(str(folder / "m"))
        offsets, symbols = text_symbols(scored, "pieces")
        n = len(scored)
        kernel, logs = least(lambda: model.log_probabilities(offsets, symbols))
        whole, _ = least(lambda: model.log_probabilities(*text_symbols(scored, "pieces")))
        size = sum(len(t.encode()) for t in scored.to_pylist()) / 1e6
        print(f"{n:,} documents, {len(symbols):,} pieces, {size:.1f} MB; {sum(model.head.card['ngrams']):,} n-grams")
        print(f"ours, lists of symbols: {n / kernel:,.0f} documents/CPU s, {size / kernel:.0f} MB/CPU s")
        print(f"ours, text:             {n / whole:,.0f} documents/CPU s, {size / whole:.0f} MB/CPU s")
        if os.environ.get("PEERS"):
            import kenlm

            lists = scored.to_pylist()
            for suffix in ("m.arpa",):
                peer = kenlm.Model(str(folder / suffix))
                theirs, scores = least(lambda peer=peer: [peer.score(t) for t in lists])
                rho = np.corrcoef(ranks(np.array(scores)), ranks(logs))[0, 1]
                per = np.corrcoef(
                    ranks(np.array(scores) / (np.diff(offsets) + 1)), ranks(logs / (np.diff(offsets) + 1))
                )[0, 1]
                print(f"kenlm, text:            {n / theirs:,.0f} documents/CPU s")
                print(f"ours to kenlm: lists {theirs / kernel:.1f} times, text {theirs / whole:.1f} times")
                print(f"Spearman of log probabilities {rho:.6f}, of perplexities {per:.6f}")
        for memory in (1 << 30, 1 << 27):
            with tempfile.TemporaryDirectory() as scratch:
                began = time.process_time()
                counts = Counts(5, Path(scratch), memory)
                for begin in range(0, len(scored), 1000):
                    counts.add(*text_symbols(scored.slice(begin, 1000), "words"))
                card = estimate(counts, str(folder / "w"), "words", "", {})
                took, grams = time.process_time() - began, sum(card["ngrams"])
            words_seen = int(text_symbols(scored, "words")[0][-1])
            print(
                f"training, memory {memory >> 20} MiB: {words_seen / took / 1e6:.2f} million words/CPU s, {grams:,} n-grams, "
                f"{os.path.getsize(folder / 'w') / grams:.1f} bytes each"
            )
        print(f"greatest resident set {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")


if __name__ == "__main__":
    main()
