"""Study of perplexity buckets for `effects`: what the head, middle and tail of a pool are worth at equal tokens."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.benchmarks.effects_runs import BUDGET, Lab, rows_of, stream
from tests.benchmarks.effects_selection import OTHER, TARGET, english, halves
from tests.benchmarks.effects_studies import Comparison, Study, study_of
from tests.benchmarks.effects_text import corpus, cut_off, of, prepared, shuffled


@study_of(
    "perplexity",
    "Documents that a model of clean text finds neither likely nor strange teach more (Wenzek et al. 2020, CCNet).",
    f"Model: five words, learned from the English half of {TARGET}, by file. Pool: English documents of all other sources of 300 "
    f"bytes and more, without equal ones. Each arm trains on 163,840 tokens of its bucket. Held out: the other half of {TARGET}; "
    f"`other`: {OTHER}, which no arm has seen.",
)
def perplexity(lab: Lab, study: Study) -> None:
    """All documents, and buckets of them."""
    like, held_book = halves(english(of(lab.data, TARGET)))
    every = english(corpus(lab.data))
    away = pc.is_in(every["source"], pa.array([TARGET, OTHER]))
    pool = every.filter(pc.invert(away))
    pool = shuffled(pool.filter(pc.greater(pc.binary_length(pool["text"]), 300))).select(["id", "text"])
    path = lab.out / "perplexity-like.parquet"
    pq.write_table(like.select(["id", "text"]), path)
    vocabulary = lab.tokenizer("perplexity", cut_off(pool["text"].to_pylist(), 1_000_000))
    held = {
        "held": rows_of(stream(cut_off(held_book["text"].to_pylist(), 150_000), vocabulary)),
        "other": rows_of(stream(cut_off(english(of(lab.data, OTHER))["text"].to_pylist(), 150_000), vocabulary)),
    }
    scored: list[Any] = ["exact", {"perplexity": {"like": str(path.resolve())}}]
    table, cpu = prepared(lab.out, "perplexity", {"pool": pool}, scored)
    table = shuffled(table)
    buckets: dict[str, list[str]] = {
        "all": ["head", "middle", "tail"],
        "head": ["head"],
        "middle": ["middle"],
        "tail": ["tail"],
        "head and middle": ["head", "middle"],
    }
    for name, kept in buckets.items():
        chosen = table.filter(pc.is_in(table["perplexity_bucket"], pa.array(kept)))
        tokens = stream(cut_off(chosen["text"].to_pylist(), 1_500_000), vocabulary, BUDGET)
        arm = study.arm(name, 0.0 if name == "all" else cpu, f"{len(chosen):,} documents")
        lab.language_model(arm, vocabulary, rows_of(tokens), held)
    study.comparisons = [Comparison(a, "all", figure) for figure in held for a in buckets if a != "all"]
