"""Studies of learned selection for `effects`: what a classifier, importance weights and rules are worth at equal tokens."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.operations.scorer_data import Labelled
from corpusmill.pipelines.operations.train_scorer import train_scorer
from corpusmill.transforms.select._features import Grams
from corpusmill.transforms.select._train import Training
from tests.benchmarks.effects_runs import BUDGET, Lab, rows_of, stream
from tests.benchmarks.effects_studies import Comparison, Study, study_of
from tests.benchmarks.effects_text import corpus, cut_off, of, prepared, shuffled

TARGET, OTHER = "rust-lang/book", "swiftlang/swift-evolution"
TAKEN = {"budget": 1_500_000, "unit": "bytes"}
"""How much of the pool each arm selects; the first tokens of it are trained on."""


def halves(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Two halves of a source. Files that differ in language or edition alone fall on one side, by their last name."""
    names = [Path(p).name for p in table["path"].to_pylist()]
    order = shuffled(pa.table({"id": sorted(set(names))}))["id"].to_pylist()
    first = set(order[: len(order) // 2])
    mask = pa.array([n in first for n in names])
    return table.filter(mask), table.filter(pc.invert(mask))


def english(table: pa.Table) -> pa.Table:
    """The documents in English."""
    return table.filter(pc.equal(table["lang"], "en"))


def scorer_file(lab: Lab, name: str, like: pa.Table, unlike: pa.Table, shuffle: bool = False) -> tuple[str, float]:
    """(path of a scorer that is trained on two tables, CPU seconds). shuffle: with labels in random order, as a control."""
    texts = pa.concat_arrays([c for t in (like, unlike) for c in t["text"].chunks])
    labels = ["like"] * len(like) + ["unlike"] * len(unlike)
    if shuffle:
        labels = [labels[i] for i in np.random.default_rng(0).permutation(len(labels))]
    path = lab.out / f"{name}.safetensors"
    began = time.process_time()
    train_scorer(Labelled(texts, labels, {}, ()), Training(Grams(2, 1 << 20))).save(str(path))
    return str(path), time.process_time() - began


@study_of(
    "selection",
    "Documents chosen by their likeness to a target teach more about it than rules or chance (DSIR; DCLM).",
    f"Target: English half of {TARGET}, by file. Pool: all other sources (40 languages). Each arm trains on 163,840 tokens "
    f"of what it selects. Held out: the other half of {TARGET}; `other`: {OTHER}, which no arm has seen.",
)
def selection(lab: Lab, study: Study) -> None:
    """Chance, rules, a classifier and importance weights."""
    book = english(of(lab.data, TARGET))
    like, held_book = halves(book)
    every = corpus(lab.data)
    away = pc.is_in(every["source"], pa.array([TARGET, OTHER]))
    pool = shuffled(every.filter(pc.invert(away))).select(["id", "text", "lang"])
    unlike = pool.slice(0, 3000)
    pq.write_table(like.select(["id", "text"]), lab.out / "like.parquet")
    vocabulary = lab.tokenizer("selection", cut_off(pool["text"].to_pylist(), 1_000_000))
    held = {
        "held": rows_of(stream(cut_off(held_book["text"].to_pylist(), 150_000), vocabulary)),
        "other": rows_of(stream(cut_off(english(of(lab.data, OTHER))["text"].to_pylist(), 150_000), vocabulary)),
    }
    scorer, cpu = scorer_file(lab, "scorer", like, unlike)
    control, _ = scorer_file(lab, "control", like, unlike, shuffle=True)
    target = str((lab.out / "like.parquet").resolve())
    rules: list[Any] = [{"language": {"keep": ["en"], "min_score": 0.5}}]
    gopher = {"gopher-quality": {"min_words": 20, "min_alpha_words": 0.5, "max_bullet_lines": 0.98}}
    arms: dict[str, list[Any]] = {
        "random": [],
        "English": rules,
        "English, Gopher rules": [*rules, gopher],
        "quality": [{"quality": {"model": str(Path(scorer).resolve())}}, {"top": {"by": "quality", **TAKEN}}],
        "quality, labels shuffled": [
            {"quality": {"model": str(Path(control).resolve())}},
            {"top": {"by": "quality", **TAKEN}},
        ],
        "select ngram-ratio": [{"select": {"like": target, **TAKEN}}],
        "select moore-lewis": [{"select": {"like": target, "method": "moore-lewis", "sample": False, **TAKEN}}],
    }
    for name, steps in arms.items():
        table, seconds = prepared(
            lab.out,
            f"selection-{name}".replace(", ", "-").replace(" ", "-"),
            {"pool": pool.select(["id", "text"])},
            steps,
        )
        texts = cut_off(shuffled(table)["text"].to_pylist(), 1_500_000)
        tokens = stream(texts, vocabulary, BUDGET)
        arm = study.arm(name, seconds + (cpu if name.startswith("quality") else 0.0), f"{len(table):,} documents")
        lab.language_model(arm, vocabulary, rows_of(tokens), held)
    study.comparisons = [
        *(Comparison(a, "random", "held") for a in arms if a != "random"),
        Comparison("quality", "English", "held", -0.10),
        Comparison("select moore-lewis", "English", "held", -0.15),
        Comparison("select ngram-ratio", "English", "held", -0.15),
        *(Comparison(a, "English", "other") for a in ("quality", "select moore-lewis", "select ngram-ratio")),
    ]
