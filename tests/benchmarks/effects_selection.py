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
        "quality": [{"quality": {"model": str(Path(scorer).resolve()), "keep": TAKEN}}],
        "quality, learnt in the run": [{"quality": {"like": [target], "unlike": ["pool"], "keep": TAKEN}}],
        "quality, labels shuffled": [{"quality": {"model": str(Path(control).resolve()), "keep": TAKEN}}],
        "English, Gopher rules": [*rules, gopher],
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
        apart = name in ("quality", "quality, labels shuffled")  # the scorer is trained before the run
        arm = study.arm(name, seconds + (cpu if apart else 0.0), f"{len(table):,} documents")
        lab.language_model(arm, vocabulary, rows_of(tokens), held)
    study.comparisons = [
        *(Comparison(a, "random", "held") for a in arms if a != "random"),
        Comparison("quality", "quality, labels shuffled", "held"),
        Comparison("quality", "English", "held", -0.10),
        Comparison("quality, learnt in the run", "English", "held", -0.10),
        Comparison("select moore-lewis", "English", "held", -0.15),
        Comparison("select ngram-ratio", "English", "held", -0.15),
        *(Comparison(a, "English", "other") for a in ("quality", "select moore-lewis", "select ngram-ratio")),
    ]


@study_of(
    "another family",
    "A scorer that is learnt from one family of manuals finds text that teaches about another one.",
    "Scorer: half of the English documents of one source to be like, 3,000 of the pool to be unlike. Pool: all other sources "
    "without both families. 163,840 tokens of what it selects, or of documents drawn at random. Held out: the other half of "
    "the scorer's family (`held`), and a family that neither the scorer nor an arm has seen (`other`).",
)
def another_family(lab: Lab, study: Study) -> None:
    """Scorers of one family, and what they select, tried on another one."""
    every = corpus(lab.data)
    for seen, unseen in (("python/peps", TARGET), (TARGET, "python/peps")):
        like, rest = halves(english(of(lab.data, seen)))
        away = pc.is_in(every["source"], pa.array([seen, unseen]))
        pool = shuffled(every.filter(pc.invert(away))).select(["id", "text", "lang"])
        name = Path(seen).name
        vocabulary = lab.tokenizer(f"family-{name}", cut_off(pool["text"].to_pylist(), 1_000_000))
        texts = {"held": rest, "other": english(of(lab.data, unseen))}
        held = {n: rows_of(stream(cut_off(t["text"].to_pylist(), 150_000), vocabulary)) for n, t in texts.items()}
        scorer, cpu = scorer_file(lab, f"scorer-{name}", like, pool.slice(0, 3000))
        for arm_name, steps in {
            "random": [],
            "quality": [{"quality": {"model": str(Path(scorer).resolve()), "keep": TAKEN}}],
        }.items():
            table, seconds = prepared(
                lab.out, f"family-{name}-{arm_name}", {"pool": pool.select(["id", "text"])}, steps
            )
            tokens = stream(cut_off(shuffled(table)["text"].to_pylist(), 1_500_000), vocabulary, BUDGET)
            arm = study.arm(f"{arm_name} ({name})", seconds + (cpu if steps else 0.0), f"{len(table):,} documents")
            lab.language_model(arm, vocabulary, rows_of(tokens), held)
        study.comparisons += [Comparison(f"quality ({name})", f"random ({name})", figure) for figure in held]
