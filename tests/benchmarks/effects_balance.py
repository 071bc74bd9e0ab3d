"""The study of balanced sampling for `effects`: a corpus of one big and many small topics, sampled by clusters that are learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.benchmarks.effects_runs import BUDGET, Lab, rows_of, stream
from tests.benchmarks.effects_selection import english
from tests.benchmarks.effects_studies import Comparison, Study, study_of
from tests.benchmarks.effects_text import cut_off, of, prepared, shuffled

BIG = "MicrosoftDocs/windows-driver-docs"
SMALL = (
    "rust-lang/book",
    "rust-lang/rfcs",
    "ethereum/EIPs",
    "python/peps",
    "swiftlang/swift-evolution",
    "vuejs/docs",
    "EbookFoundation/free-programming-books",
)
BIG_BYTES, SMALL_BYTES, HELD = 2_400_000, 60_000, 40_000


@study_of(
    "balance",
    "Sampling that flattens clusters teaches all topics of a skewed corpus better (D4; Tirumala et al. 2023).",
    f"{BIG_BYTES / 1e6:.1f} MB of {BIG}, 60 kB each of seven other sources, in English, as one source without a label. Each arm "
    "trains on 163,840 tokens. `balance` flattens the clusters that the step `cluster` finds; `random` is a half of the corpus, "
    "drawn by ids. Held out: other documents of each source; `mean` is that over the eight sources.",
)
def balance(lab: Lab, study: Study) -> None:
    """Natural, random and balanced samples of a skewed corpus."""
    tables, held_texts = [], {}
    for source in (BIG, *SMALL):
        every = shuffled(english(of(lab.data, source)))
        every = every.filter(pc.greater(pc.binary_length(every["text"]), 300))
        short = source.split("/")[1]
        held_texts[short] = cut_off(every["text"].to_pylist(), HELD)
        rest = every.slice(len(held_texts[short]))
        cut = pa.table({"id": rest["id"], "text": [t[:3000] for t in rest["text"].to_pylist()]})
        ends = np.cumsum(pc.binary_length(cut["text"]).to_numpy())
        size = BIG_BYTES if source == BIG else SMALL_BYTES
        tables.append(cut.slice(0, int(np.searchsorted(ends, size)) + 1))
    pool = shuffled(pa.concat_tables(tables))
    vocabulary = lab.tokenizer("balance", cut_off(pool["text"].to_pylist(), 400_000), 1024)
    held = {name: rows_of(stream(texts, vocabulary)) for name, texts in held_texts.items()}
    flat: dict[str, Any] = {"floor": 1.0, "ceiling": 1.0, "shards": 1}
    arms: dict[str, list[Any]] = {
        "natural": [],
        "random": [{"sample": {"fraction": 0.5}}],
        "balance": [{"cluster": {"clusters": 32}}, {"balance": flat}],
        "balance, not the typical": [
            {"cluster": {"clusters": 32, "cosine": True}},
            {"balance": {**flat, "typical": "cluster.cosine"}},
        ],
    }
    for name, steps in arms.items():
        table, seconds = prepared(
            lab.out, f"balance-{name.replace(', ', '-').replace(' ', '-')}", {"pool": pool}, steps
        )
        texts = table["text"].to_pylist() if "epoch" in table.column_names else shuffled(table)["text"].to_pylist()
        small = {i for t in tables[1:] for i in t["id"].to_pylist()}
        part = sum(
            len(t) for i, t in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True) if i in small
        )
        share = part / max(1, sum(map(len, table["text"].to_pylist())))
        arm = study.arm(name, seconds, f"{share:.0%} of the text is of small topics")
        lab.language_model(arm, vocabulary, rows_of(stream(texts, vocabulary, BUDGET)), held)
        if arm.missing:
            continue
        each = np.array([arm.figures[domain] for domain in held])  # [domains, seeds]
        arm.figures |= {"mean": each.mean(0).tolist(), "worst": each.max(0).tolist(), "biggest": each[0].tolist()}
    study.comparisons = [
        Comparison(arm, against, figure, goal)
        for arm in ("balance", "balance, not the typical")
        for against in ("natural", "random")
        for figure, goal in (("mean", 0.0), ("worst", 0.0), ("biggest", None))
    ]
