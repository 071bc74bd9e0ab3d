"""Selection towards a target: what is kept follows the weights, and nothing else."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.select._ngrams import ngram_counts
from corpusmill.transforms.select.select import Select
from tests.transforms.dedup.harness import cut, documents, run

COOKING = "stir the onions in butter until golden then add flour and milk and simmer the sauce"
SPORT = "the striker scored a late goal and the keeper saved a penalty before the final whistle"


def texts(kind: str, number: int, seed: int) -> list[str]:
    words = kind.split()
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, 30)) for _ in range(number)]


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts(COOKING, 40, 0)))
    return str(path)


POOL = texts(COOKING, 60, 1) + texts(SPORT, 240, 2)


def test_documents_like_the_target_are_kept(target):
    outcome = run(Select(like=target, share=0.2), cut(documents(POOL), shards=3))
    kept = set(outcome.kept)
    assert len(kept) == 60
    assert len(kept & {f"d{i:05d}" for i in range(60)}) >= 58
    reasons = {reason for reason, _, _ in outcome.dropped.values()}
    assert reasons == {"not-selected"}


@pytest.mark.parametrize("shards", [1, 4, 7])
@pytest.mark.parametrize("partitions", [1, 5])
def test_the_draw_does_not_depend_on_shards_order_or_partitions(target, shards, partitions):
    step = Select(like=target, share=0.3, method="moore-lewis")
    expected = run(step, cut(documents(POOL))).kept
    outcome = run(step, cut(documents(POOL), shards=shards, rows=37, seed=shards), partitions=partitions, shuffle=3)
    assert outcome.kept == expected


def test_weights_are_those_of_the_definition(target):
    step = Select(like=target, budget=1, sample=False, buckets=997)
    dropped = run(step, cut(documents(POOL))).dropped
    pool = ngram_counts(pa.array(POOL), 2, 997) + 1.0
    goal = ngram_counts(pa.array(texts(COOKING, 40, 0)), 2, 997) + 1.0
    ratio = np.log(goal / goal.sum()) - np.log(pool / pool.sum())
    for i in (5, 100, 299):
        if f"d{i:05d}" in dropped:
            assert dropped[f"d{i:05d}"][1] == pytest.approx(ngram_counts(pa.array([POOL[i]]), 2, 997) @ ratio)


def test_a_sample_follows_the_weights():
    """Gumbel top-1 draws a document in proportion to exp(log weight): here mean log ratios, so that weights are near."""
    two = documents(["red green", "red blue"])
    wins = 0
    for seed in range(400):
        step = Select(like_source="goal", budget=1, method="moore-lewis", seed=seed, buckets=64, ngram=1)
        goal = documents(["red red red green"], ids=["g"]).set_column(2, "source", pa.array(["goal"]))
        kept = run(step, cut(pa.concat_tables([two, goal]))).kept
        assert "g" in kept
        wins += "d00000" in kept
    pool = {"red": 2, "green": 1, "blue": 1}
    goal_counts = {"red": 3, "green": 1, "blue": 0}
    ratio = {w: np.log((goal_counts[w] + 1) / (4 + 64)) - np.log((pool[w] + 1) / (4 + 64)) for w in pool}
    weights = [np.exp((ratio["red"] + ratio[w]) / 2) for w in ("green", "blue")]
    assert wins / 400 == pytest.approx(weights[0] / sum(weights), abs=0.08)


def test_budgets_count_documents_and_bytes(target):
    table = documents(POOL)
    assert len(run(Select(like=target, budget=7), cut(table)).kept) == 7
    kept = run(Select(like=target, budget=5000, unit="bytes"), cut(table)).texts
    size = sum(len(t.encode()) for t in kept.values())
    assert 5000 - 400 < size <= 5000
    assert len(run(Select(like=target, share=1.0), cut(table)).kept) == len(POOL)


def test_documents_of_the_targets_source_are_kept_and_not_counted():
    goal = documents(texts(COOKING, 20, 5), ids=[f"g{i}" for i in range(20)])
    goal = goal.set_column(2, "source", pa.array(["books"] * 20))
    outcome = run(Select(like_source="books", share=0.1), cut(pa.concat_tables([documents(POOL), goal]), shards=2))
    assert sum(k.startswith("g") for k in outcome.kept) == 20
    assert len(outcome.kept) == 20 + 30
    (row,) = outcome.tables["selection"].to_pylist()
    assert (row["documents"], row["selected_documents"]) == (300, 30)
    assert 1 <= row["effective_documents"] <= 300


def test_empty_and_wordless_documents_pass(target):
    table = documents(["", "!!!", "...", *POOL[:5]])
    assert len(run(Select(like=target, budget=3), cut(table, shards=2)).kept) == 3
    assert run(Select(like=target, share=0.5), cut(documents([]))).kept == []


def test_a_target_without_words_is_an_error(tmp_path):
    empty = tmp_path / "empty.parquet"
    pq.write_table(pa.table({"text": ["", "..."]}), empty)
    with pytest.raises(RecipeError, match="has no words"):
        run(Select(like=str(empty), share=0.5), cut(documents(POOL)))
    with pytest.raises(RecipeError, match="no document with words is of the source `books`"):
        run(Select(like_source="books", share=0.5), cut(documents(POOL)))


@pytest.mark.parametrize(
    "fields",
    [{"share": 0.5}, {"like": "a", "like_source": "b", "share": 0.5}, {"like": "a"}, {"like": "a", "share": 2}],
)
def test_a_step_names_one_target_and_one_budget(fields):
    with pytest.raises(RecipeError):
        Select(**fields)


def test_a_changed_target_changes_the_fingerprint(target):
    before = Select(like=target, share=0.5).fingerprint()
    with open(target, "a") as f:
        f.write('{"text": "more"}\n')
    assert Select(like=target, share=0.5).fingerprint() != before


def test_a_recipe_selects_the_same_documents_with_any_workers(tmp_path):
    from corpusmill.pipelines.recipe.model import loads
    from corpusmill.pipelines.run import run as run_recipe

    for name, kind, number, seed in (("books", COOKING, 30, 7), ("crawl", SPORT, 200, 8)):
        rows = [{"id": f"{name}-{i}", "text": t} for i, t in enumerate(texts(kind, number, seed))]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet", row_group_size=50)
    extra = [{"id": f"x{i}", "text": t} for i, t in enumerate(texts(COOKING, 20, 9))]
    pq.write_table(pa.Table.from_pylist(extra), tmp_path / "extra.parquet")
    contents = set()
    for workers in (1, 3):
        recipe = {
            "name": "s",
            "sources": [
                {"name": "books", "path": "books.parquet", "columns": {"id": "id"}},
                {"name": "crawl", "path": ["crawl.parquet", "extra.parquet"], "columns": {"id": "id"}},
            ],
            "steps": ["exact", {"select": {"like_source": "books", "budget": 20, "sample": False}}],
            "output": {"path": f"out{workers}"},
        }
        manifest = run_recipe(loads(json.dumps(recipe), base_dir=tmp_path), workers=workers).manifest
        contents.add(manifest["content"])
        files = [tmp_path / f"out{workers}" / f["path"] for f in manifest["files"]]
        kept = {i for f in files for i in pq.read_table(f)["id"].to_pylist()}
        assert len(kept) == 50
        assert sum(i.startswith("x") for i in kept) == 20
    assert len(contents) == 1


def test_a_table_of_several_batches_in_memory_is_decided_as_in_a_run(target):
    table = documents(
        POOL * 20, ids=[f"d{i:05d}" for i in range(len(POOL) * 20)]
    )  # more rows than a batch in memory holds
    step = Select(like=target, share=0.2)
    assert sorted(step(table)["id"].to_pylist()) == run(step, cut(table, shards=3)).kept
