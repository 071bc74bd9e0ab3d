"""Perplexities as columns and buckets: from a file, from one source, for each language; the same for any shards."""

import json

import numpy as np
import pyarrow as pa
import pytest

import corpusmill
from corpusmill.steps import Perplexity
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.ngrams._symbols import text_symbols
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer
from tests.transforms.dedup.harness import cut, documents, run
from tests.transforms.ngrams.test_smoothing import sentences, trained

LIKE = [" ".join(sentences(6, seed)) for seed in range(60)]
NOISE = [" ".join(np.random.default_rng(seed).permutation(t.split())) for seed, t in enumerate(LIKE[:40])]
POOL = LIKE[30:50] + NOISE + ["日本語の文書です。" * 3, "", "..."]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    found, _ = trained(LIKE, folder, 3)
    return str(folder / "model"), found


def test_columns_buckets_and_the_table_of_percentiles(model):
    path, opened = model
    langs = ["x"] * 40 + ["y"] * (len(POOL) - 40)
    outcome = run(Perplexity(model=path, by="lang"), cut(documents(POOL, lang=langs), 2))
    table = outcome.documents
    expected = opened.perplexities(*text_symbols(pa.array(POOL), "pieces"))
    got = table["perplexity"].to_numpy(zero_copy_only=False)
    assert np.allclose(got, expected, equal_nan=True)
    assert table["perplexity_bucket"].null_count == np.isnan(expected).sum() == 1
    for lang in "xy":
        mine = table.filter(pa.compute.equal(table["lang"], lang))
        known = mine.filter(mine["perplexity"].is_valid())
        ranks = np.argsort(np.argsort(known["perplexity"].to_numpy())) / len(known)
        buckets = np.where(ranks < 0.3, "head", np.where(ranks < 0.6, "middle", "tail"))
        assert known["perplexity_bucket"].to_pylist() == buckets.tolist()
    lines = outcome.tables["perplexity"].to_pylist()
    assert [(line["group"], line["documents"], line["scored"]) for line in lines] == [("x", 40, 40), ("y", 23, 22)]
    assert all(line["p5"] <= line["p50"] <= line["p95"] for line in lines)


def test_buckets_and_bounds_are_kept(model):
    path, opened = model
    shards = cut(documents(POOL), 2)
    outcome = run(Perplexity(model=path, keep={"bucket": ["head", "middle"]}), shards)
    assert {reason for reason, _, _ in outcome.dropped.values()} == {"bucket-tail", "no-text"}
    assert set(outcome.documents["perplexity_bucket"].to_pylist()) == {"head", "middle"}
    scores = opened.perplexities(*text_symbols(pa.array(POOL), "pieces"))
    low, high = np.nanquantile(scores, [0.2, 0.8])
    outcome = run(Perplexity(model=path, keep={"min": low, "max": high}), shards)
    assert outcome.kept == [f"d{i:05d}" for i in np.flatnonzero((scores >= low) & (scores <= high))]
    assert {reason for reason, _, _ in outcome.dropped.values()} == {"min_perplexity", "max_perplexity", "no-text"}


def test_a_model_of_its_own_for_each_language(model, tmp_path):
    path, opened = model
    other, _ = trained(NOISE, tmp_path, 2)
    step = Perplexity(model={"x": path, "y": str(tmp_path / "model")}, by="lang", keep={"max": 1e9})
    outcome = run(step, cut(documents(LIKE[:9], lang=["x"] * 3 + ["y"] * 3 + ["z"] * 3)))
    got = outcome.documents["perplexity"].to_numpy()
    symbols = text_symbols(pa.array(LIKE[:6]), "pieces")
    assert np.allclose(got, np.append(opened.perplexities(*symbols)[:3], other.perplexities(*symbols)[3:]))
    assert {reason for reason, _, _ in outcome.dropped.values()} == {"no-model"}


@pytest.mark.parametrize("kind", ["words", "tokens", "file"])
def test_what_is_learned_does_not_depend_on_shards_order_or_partitions(tmp_path, kind):
    table = pa.concat_tables([documents(POOL), documents(LIKE, [f"l{i}" for i in range(len(LIKE))])])
    sources = pa.array(["pool"] * len(POOL) + ["like"] * len(LIKE))
    table = table.set_column(2, "source", sources)
    fields = {"like_source": "like"}
    if kind == "tokens":
        train_tokenizer(table.to_batches(), str(tmp_path / "t.json"), vocab_size=300)
        fields["tokenizer"] = str(tmp_path / "t.json")
    if kind == "file":
        (tmp_path / "like.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in LIKE))
        fields = {"like": str(tmp_path / "like.jsonl")}
    step = Perplexity(**fields, order=3, keep={"bucket": ["head"]})
    whole = run(step, cut(table))
    again = run(step, cut(table, shards=5, rows=13, seed=4), partitions=3, shuffle=2)
    assert again.documents.sort_by("id").equals(whole.documents.sort_by("id"))
    assert again.dropped.keys() == whole.dropped.keys()
    assert again.tables["perplexity"].equals(whole.tables["perplexity"])
    pool = {i for i in whole.kept if i.startswith("d")}
    assert len(pool & {f"d{i:05d}" for i in range(20)}) > 0.8 * len(pool) > 0
    if kind != "file":  # what is learned from stays
        assert {f"l{i}" for i in range(len(LIKE))} <= set(whole.kept)


def test_mistakes_are_named(model, tmp_path):
    for fields, message in (
        ({}, "name one of"),
        ({"like": "a", "like_source": "b"}, "name one of"),
        ({"model": {"en": "a"}}, "`by`"),
        ({"model": "a", "head": 0.7}, "`head`"),
        ({"model": "a", "keep": {"bucket": ["top"]}}, "keep"),
    ):
        with pytest.raises(RecipeError, match=message):
            Perplexity(**fields)
    with pytest.raises(RecipeError, match="like_source: none: there are no words"):
        run(Perplexity(like_source="none"), cut(documents(POOL)))


def test_a_recipe_gives_the_same_snapshot_for_any_workers_and_a_refresh(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, texts in (("like", LIKE), ("pool", POOL[:-3])):
        for part in range(2):
            rows = [{"id": f"{name}{i}", "text": t} for i, t in enumerate(texts) if i % 2 == part]
            (tmp_path / f"{name}{part}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    steps = [{"perplexity": {"like_source": "like", "keep": {"bucket": ["head", "middle"]}}}, "reweight"]

    def content(output, workers, pattern="*"):
        sources = [{"name": n, "path": f"{n}{pattern}.jsonl", "columns": {"id": "id"}} for n in ("like", "pool")]
        recipe = {"name": "t", "sources": sources, "steps": steps, "output": output}
        return corpusmill.run(recipe, workers=workers).dataset

    first = content("a", 1)
    assert content("b", 2).manifest["content"] == first.manifest["content"]
    assert {"perplexity", "perplexity_bucket", "weight"} <= set(first.to_arrow().column_names)
    content("c", 1, "0")
    assert sorted(content("c", 2).to_arrow().to_pylist(), key=str) == sorted(first.to_arrow().to_pylist(), key=str)
