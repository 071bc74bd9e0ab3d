"""Trains and measures scorers: text classifiers from labelled documents, or from pairs of which one is preferred."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.operations.scorer_data import Labelled, Pairs
from corpusmill.privacy.certification import mark
from corpusmill.transforms import storage
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.select._features import bags
from corpusmill.transforms.select._linear import FILE, Scorer, open_scorer
from corpusmill.transforms.select._measure import agreement, measured, overlap
from corpusmill.transforms.select._train import LIKE, Training, fit, fit_pairs, held_out_by

FEW = 20
"""A language or source with fewer documents gets no figures of its own."""


def train_scorer(given: Labelled, training: Training, evaluation: tuple[str, ...] = ()) -> Scorer:
    """A scorer with its card, which has figures on the held-out documents, overall and by language and source.

    Raises:
        RecipeError: fewer than two labels, a label with too few documents, or text of an evaluation set among them.
    """
    labels = tuple(sorted(set(given.labels), key=lambda n: (n != LIKE, n)))
    if len(labels) < 2:
        what = f"all documents have the label `{labels[0]}`" if labels else "there are no documents"
        raise RecipeError(f"{what}; a scorer needs documents of two labels at least")
    texts = given.texts.fill_null("")
    overlap(texts, [str(i) for i in range(len(texts))], evaluation, "the labelled documents, by row number")
    number = np.array([labels.index(n) for n in given.labels])
    hashes = hash64(texts)
    held = held_out_by(hashes)
    for side, word in ((held, "held-out"), (~held, "training")):
        counts = np.bincount(number[side], minlength=len(labels))
        if not counts.all():
            name = labels[int(np.argmin(counts))]
            raise RecipeError(
                f"the label `{name}` has {int((number == labels.index(name)).sum())} documents, none of them among the "
                f"{word} ones (one in ten is held out, by a hash of its text); give it some dozens"
            )
    scorer = fit(bags(texts, training.grams), hashes, number, labels, training)
    card = _about(given, training) | {
        "documents": {n: int((number == k).sum()) for k, n in enumerate(labels)},
        "held_out": figures(scorer, texts, number, given.facets, held),
    }
    if len(given.judged_twice):
        card["judge"] = agreement(given.judged_twice)
    return replace(scorer, card=card)


def train_on_pairs(given: Pairs, training: Training, evaluation: tuple[str, ...] = ()) -> Scorer:
    """A scorer that gives preferred texts the higher score, with its card.

    Raises:
        RecipeError: too few pairs, or pairs of equal texts alone.
    """
    differ = pc.not_equal(given.chosen, given.rejected)
    chosen, rejected = given.chosen.filter(differ), given.rejected.filter(differ)
    hashes = hash64(pa.concat_arrays([chosen, rejected]))
    n = len(chosen)
    held = held_out_by(hashes[:n])
    if not held.any() or held.all():
        what = f"there are {n} pairs of different texts"
        raise RecipeError(
            f"{what}, and one in ten is held out, by a hash of its preferred text; give some dozens of pairs"
        )
    texts = pa.concat_arrays([chosen, rejected])
    overlap(texts, [str(i) for i in range(len(texts))], evaluation, "the texts of the pairs, by row number")
    first, second = np.arange(n), np.arange(n, 2 * n)
    scorer = fit_pairs(bags(texts, training.grams), hashes, first, second, training)
    logits = scorer.logits(texts)[:, 0]
    margin = (logits[:n] - logits[n:])[held]
    right = float((margin > 0).mean() + (margin == 0).mean() / 2)
    figures = {"pairs": int(held.sum()), "accuracy": round(right, 4)}
    return replace(scorer, card=_about(given, training) | {"pairs": n, "held_out": figures})


def _about(given: Labelled | Pairs, training: Training) -> dict[str, Any]:
    grams = training.grams
    about: dict[str, Any] = {"files": {f: _digest(f) for f in sorted(given.files)}, "ngram": grams.order}
    about |= {"buckets": grams.buckets, "epochs": training.epochs}
    if grams.longest:
        about["characters"] = [grams.shortest, grams.longest]
    if training.dims:
        about["dims"] = training.dims
    return about | ({"private": given.private} if given.private else {})


def _digest(path: str) -> str:
    if not storage.is_dir(path):
        return storage.sha256_of(path)
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.privacy.certification import data_digest

    return data_digest(Dataset(path).manifest())


def figures(
    scorer: Scorer, texts: pa.Array, labels: np.ndarray, facets: dict[str, pa.Array], rows: np.ndarray
) -> dict[str, Any]:
    """Figures of a scorer on some documents (bool [n]), overall and for each language and source with `FEW` documents or more."""
    chosen = np.flatnonzero(rows)
    logits = scorer.logits(texts.take(pa.array(chosen))) / scorer.temperature
    found = measured(logits, labels[chosen])
    for facet, column in facets.items():
        values = np.array(column.take(pa.array(chosen)).fill_null("").to_pylist(), np.str_)
        each = {}
        for value in sorted(set(values.tolist()) - {""}):
            mask = values == value
            if mask.sum() >= FEW:
                each[value] = {
                    k: v for k, v in measured(logits[mask], labels[chosen][mask]).items() if k != "reliability"
                }
        if each:
            found[f"by_{facet}"] = each
    return found


def evaluate(path: str, given: Labelled) -> dict[str, Any]:
    """Figures of a scorer on labelled documents.

    Raises:
        RecipeError: the documents have a label that the scorer does not know.
    """
    scorer = open_scorer(path)
    unknown = sorted(set(given.labels) - set(scorer.labels))
    if unknown:
        raise RecipeError(f"{path}: has no label `{unknown[0]}`; its labels are {', '.join(scorer.labels[:20])}")
    if not given.labels:
        raise RecipeError("there are no documents to measure the scorer on; name files that hold some")
    labels = np.array([scorer.labels.index(n) for n in given.labels], np.int64)
    return figures(scorer, given.texts.fill_null(""), labels, given.facets, np.ones(len(labels), np.bool_))


def write(scorer: Scorer, out: str, describe: str) -> str:
    """Write a scorer as a file, or, where `out` ends with a slash, as a folder with a README. Returns the scorer's file.

    A scorer of private sources is marked as theirs, so that private training refuses it.
    """
    folder = out.endswith("/")
    path = storage.join(out, FILE) if folder else out
    if folder:
        storage.makedirs(out)
        storage.write_atomic(storage.join(out, "README.md"), describe.encode())
    if private := scorer.card.get("private"):
        mark(path, private)
    elif os.path.exists(f"{path}.private"):
        os.unlink(f"{path}.private")
    scorer.save(path)
    return path
