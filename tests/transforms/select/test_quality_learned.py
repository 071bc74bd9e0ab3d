"""`quality` with a scorer that is learnt in the run, exact shares and ensembles."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import corpusmill
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.select._quality_learned import LearnedQuality
from corpusmill.transforms.select._quality_ranked import RankedQuality
from corpusmill.transforms.select._train import train
from corpusmill.transforms.select.quality import Quality
from tests.transforms.select.fasttext.written import write_model
from tests.transforms.select.test_linear import data
from tests.transforms.select.test_select import COOKING, SPORT, texts

LEARN = {"like": ["good"], "unlike": ["bad"], "buckets": 4096, "ngram": 1}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    kinds = (("good", COOKING, 90), ("bad", SPORT, 90), ("a", COOKING, 30), ("b", SPORT, 30))
    rows = [(t, source) for seed, (source, kind, n) in enumerate(kinds) for t in texts(kind, n, seed)]
    columns = {"id": [f"d{i}" for i in range(len(rows))], "text": [t for t, _ in rows], "source": [s for _, s in rows]}
    return pa.table(columns | {"lang": ["en", "de"] * (len(rows) // 2)})


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("scorer") / "s.safetensors")
    train(*data(), ("like", "unlike"), 1, 1 << 12, 5).save(path)
    return path


def test_the_fields_choose_the_class(model):
    assert type(Quality(model=model)) is Quality
    assert type(Quality(model=model, keep={"top": 0.5})) is RankedQuality
    assert type(Quality(model=(model, model), combine="mean-rank")) is RankedQuality
    assert type(Quality(**LEARN)) is LearnedQuality


def test_documents_to_be_like_stay_and_the_best_of_the_others(table):
    kept = Quality(**LEARN, keep={"top": 0.2})(table)
    assert sorted(set(kept["source"].to_pylist())) == ["a", "good"]
    assert kept.num_rows == 90 + 30
    assert Quality(**LEARN, min_score=0.5)(table).num_rows == 120


def test_any_order_of_documents_gives_the_same_scores(table):
    step = Quality(**LEARN)
    first = step(table)
    mixed = step(table.take(np.random.default_rng(1).permutation(table.num_rows)))
    by_id = dict(zip(mixed["id"].to_pylist(), mixed["quality"].to_pylist()))
    assert [by_id[i] for i in first["id"].to_pylist()] == first["quality"].to_pylist()


def test_a_share_is_exact_in_each_group(table, model):
    kept = Quality(model=model, keep={"top": 0.3, "by": "lang"})(table)
    counts = kept["lang"].value_counts().to_pylist()
    assert {c["values"]: c["counts"] for c in counts} == {"en": 36, "de": 36}
    size = pa.compute.sum(pa.compute.binary_length(table["text"])).as_py()
    some = Quality(model=model, keep={"budget": size // 4, "unit": "bytes"})(table)
    assert size // 4 - 200 < pa.compute.sum(pa.compute.binary_length(some["text"])).as_py() <= size // 4


def test_ensembles_take_the_highest_or_the_mean(table, model, tmp_path):
    other = str(write_model(tmp_path / "m.bin"))
    with pytest.raises(RecipeError, match=r"say which label of .*m\.bin is the score; it has good, bad, odd, rare"):
        Quality(model=other)(table)
    alone = [Quality(model=m, label=n)(table)["quality"].to_numpy() for m, n in ((model, "like"), (model, "unlike"))]
    train(*data(seed=7), ("like", "unlike"), 2, 1 << 10, 2).save(str(tmp_path / "two"))
    both = (model, str(tmp_path / "two"))
    one, two = (Quality(model=m)(table)["quality"].to_numpy() for m in both)
    assert np.allclose(alone[0] + alone[1], 1, atol=2e-6)
    assert (Quality(model=both)(table)["quality"].to_numpy() == np.maximum(one, two)).all()
    assert np.allclose(Quality(model=both, combine="mean")(table)["quality"].to_numpy(), (one + two) / 2, atol=1e-6)
    ranks = Quality(model=both, combine="mean-rank")(table)["quality"].to_numpy()
    assert ranks.min() < 0.05
    assert ranks.max() > 0.95


def test_a_file_is_learnt_from_and_its_digest_counts(table, tmp_path):
    path = tmp_path / "like.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts(COOKING, 80, 9)))
    step = Quality(like=[str(path)], unlike=["bad"], buckets=4096, keep={"top": 0.4})
    kept = step(table)
    assert set(kept["source"].to_pylist()) == {"good", "a"}
    assert kept.num_rows == 96
    before = step.fingerprint()
    path.write_text(path.read_text() + json.dumps({"text": "more"}) + "\n")
    assert step.fingerprint() != before


def test_the_sample_bounds_what_is_learnt_from(table):
    step = Quality(**LEARN | {"sample": 40})
    decided = step.decide(
        0, step.keys(0, table.combine_chunks().to_batches()[0], np.arange(240, dtype=np.uint32), None)
    )
    batch = table.combine_chunks().to_batches()[0]
    sent = step.keys(1, batch, np.arange(240, dtype=np.uint32), decided.decisions)
    labels = sent.column("label").to_pylist()
    assert 15 < labels.count(0) < 70
    assert 15 < labels.count(1) < 70
    known = set(hash64(batch.column("text")).tolist())
    assert all(h in known for h in sent.column("hash").to_pylist() if h is not None)
    assert sent.schema.names == ["key", "row", "label", "hash", "slots", "counts"]  # no text travels


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"like": ["none"]}, "quality.like: no document that reaches this step is of none"),
        ({"like": ["few"]}, "quality.like: of 2 documents none is"),
        ({"like": ["good"], "evaluation": ["eval.jsonl"]}, "documents share text with the evaluation set"),
        ({"like": ["empty.jsonl"]}, "empty.jsonl holds no text"),
    ],
)
def test_nothing_to_learn_from_is_told(table, tmp_path, monkeypatch, fields, said):
    monkeypatch.chdir(tmp_path)
    item = " ".join(f"{w} spoon" for w in range(20))
    (tmp_path / "eval.jsonl").write_text(json.dumps({"text": item}) + "\n")
    (tmp_path / "empty.jsonl").write_text(json.dumps({"text": " "}) + "\n")
    extra = pa.table(
        {"id": ["x", "y", "z"], "text": ["one", "two", item], "source": ["few", "few", "good"], "lang": ["en"] * 3}
    )
    with pytest.raises(RecipeError, match=said):
        Quality(**LEARN | fields)(pa.concat_tables([table, extra]))


def test_equal_scores_and_scores_that_are_no_numbers_are_told(table, model, tmp_path):
    same = table.set_column(1, "text", pa.array(["!"] * table.num_rows))
    with pytest.raises(RecipeError, match="all 240 documents have the score"):
        Quality(model=model, keep={"top": 0.5})(same)
    assert Quality(model=model, keep={"top": 1.0})(same).num_rows == 240


def test_contradicting_fields_are_told(model):
    for fields, said in (
        ({}, "name a scorer, `model`, or what to learn one from"),
        ({"model": model, "like": ["a"], "unlike": ["b"]}, "exclude each other"),
        ({"like": ["a"]}, "give both `like` and `unlike`"),
        ({"like": ["a"], "unlike": ["a"]}, "stands under `like` and under `unlike`"),
        ({"model": model, "keep": {"top": 0.5}, "min_score": 0.5}, "exclude each other"),
        ({"model": model, "keep": {"top": 0.5, "budget": 1}}, "either by `top` or by `budget`"),
    ):
        with pytest.raises(RecipeError, match=said):
            Quality(**fields)


def test_a_run_is_the_same_for_any_sharding_and_workers(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole, split = tmp_path / "whole", tmp_path / "split"
    whole.mkdir(), split.mkdir()
    pq.write_table(table.drop_columns(["source"]), whole / "0.parquet")
    for source in ("good", "bad", "a", "b"):
        mine = table.filter(pa.compute.equal(table["source"], source)).drop_columns(["source"])
        pq.write_table(mine, whole / f"{source}.parquet")
        for i in range(3):
            pq.write_table(mine.take(np.arange(i, mine.num_rows, 3)), split / f"{source}-{i}.parquet")
    steps = [{"quality": LEARN | {"keep": {"top": 0.25, "by": "lang"}, "keep_scores": True}}]
    made = {}
    for folder, pattern, workers in ((whole, "{}.parquet", 1), (whole, "{}.parquet", 2), (split, "{}-*.parquet", 2)):
        sources = [{"name": s, "path": str(folder / pattern.format(s))} for s in ("good", "bad", "a", "b")]
        name = f"out{len(made)}"
        run = corpusmill.run({"name": "t", "sources": sources, "steps": steps, "output": name}, workers=workers)
        made[name] = run.dataset
    rows = [sorted(zip(d.to_pandas()["id"], d.to_pandas()["quality"])) for d in made.values()]
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0]) > 90
    assert made["out0"].manifest["content"] == made["out1"].manifest["content"]
    percentiles = [sorted(d.table("quality").to_pylist(), key=lambda r: r["group"]) for d in made.values()]
    assert percentiles[0] == percentiles[2]
    assert [r["group"] for r in percentiles[0]] == ["de", "en"]
    card = json.loads(made["out2"].table("scorer")["card"][0].as_py())
    assert card == json.loads(made["out0"].table("scorer")["card"][0].as_py())
    assert card["learnt_from"] == {"like": 90, "unlike": 90}
    assert card["held_out"]["auc"] == 1.0
    assert made["out0"].table("scores/quality").num_rows == 240
