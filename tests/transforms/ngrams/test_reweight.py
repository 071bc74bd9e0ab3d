"""Weights fall as text gets commoner, have mean 1, and `mix` and `pack` obey them."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.steps import Mix, Pack, Reweight
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer
from tests.transforms.dedup.harness import cut, documents, run
from tests.transforms.ngrams.test_smoothing import sentences

RARE = [" ".join(sentences(4, seed, 200)) for seed in range(80)]
COMMON = ["share this page with your friends and subscribe to our letter " * 3] * 40
TEXTS = [*COMMON, *RARE]


def test_common_documents_weigh_less_and_the_mean_over_bytes_is_one():
    table = documents([*TEXTS, ""])
    outcome = run(Reweight(ratio=4, segments=10), cut(table, 3))
    weight = outcome.documents["weight"].to_numpy()
    assert weight[:40].max() < weight[40:120].min()
    assert 1.5 < weight[:120].max() / weight[:120].min() < 4.001
    size = np.array([len(t) for t in TEXTS])
    assert (weight[:120] * size).sum() / size.sum() == pytest.approx(1)
    assert weight[120] == 1
    assert outcome.tables["reweight"]["documents"].to_numpy().sum() == 120
    again = run(Reweight(ratio=4, segments=10), cut(table, 7, 11, seed=3), partitions=2, shuffle=1)
    assert again.documents.equals(outcome.documents)


def weighted(weights, n=400):
    texts = [f"text number {i} of these" for i in range(n)]
    return documents(texts, weight=np.resize(np.array(weights, np.float64), n))


def test_mix_reads_documents_by_their_weights():
    table = weighted([0.25, 1.75])
    out = Mix(weight="weight", shards=1)(table)
    light = sum(w == 0.25 for w in out["weight"].to_pylist())
    assert 30 <= light <= 75
    assert 320 <= len(out) - light <= 380
    twice = Mix(weight="weight", budget=2 * 24 * 400, unit="bytes", shards=1)(table)
    assert 740 <= len(twice) <= 860
    assert Mix().fingerprint() != Mix(weight="weight").fingerprint()
    with pytest.raises(RecipeError, match=r"mix.weight: .* no column `w`"):
        Mix(weight="w")(table)


@pytest.mark.parametrize("value", [-1.0, float("nan"), None])
def test_weights_that_are_none_are_named(value):
    table = documents(["a", "b"], weight=[1.0, value])
    with pytest.raises(RecipeError, match=r"weight.*d00001"):
        Mix(weight="weight")(table)


def test_pack_reads_documents_by_their_weights(tmp_path):
    path = str(tmp_path / "t.json")
    table = weighted([0.0, 0.5, 2.0], 300)
    train_tokenizer(table.to_batches(), path, vocab_size=300)
    step = Pack(tokenizer=path, length=64, eos=None, weight="weight")
    report = step.account()
    rows = pa.Table.from_batches(list(step.finish(table.to_batches(), Keyed(1, "pack"), report)))
    used = [piece["id"] for row in rows["documents"].to_pylist() for piece in row if piece["offset"] == 0]
    number = dict(zip(table["id"].to_pylist(), table["weight"].to_pylist()))
    taken = {w: sum(number[i] == w for i in used) for w in (0.0, 0.5, 2.0)}
    assert taken[0.0] == 0
    assert 30 <= taken[0.5] <= 70
    assert taken[2.0] == 200
    report.check()
    assert report.dropped["not-sampled"] == 300 - len(set(used))


def test_pack_gives_evaluation_documents_no_weight(tmp_path):
    path = str(tmp_path / "t.json")
    table = weighted([0.0, 2.0, 3.0], 60).append_column(
        "split", pa.array(["train", "Test", "train", "validation"] * 15)
    )
    train_tokenizer(table.to_batches(), path, vocab_size=300)
    step = Pack(tokenizer=path, length=64, eos=None, weight="weight", separate="split")
    rows = pa.Table.from_batches(list(step.finish(table.to_batches(), Keyed(1, "pack"), step.account())))
    used = Counter(piece["id"] for row in rows["documents"].to_pylist() for piece in row if piece["offset"] == 0)
    for row in table.to_pylist():
        assert used[row["id"]] == (row["weight"] if row["split"] == "train" else 1)
    assert step.fingerprint() != Pack(tokenizer=path, length=64, eos=None, weight="weight").fingerprint()
