"""The curve, and what is routed."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import corpusmill
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.mix.upsample import Upsample


def test_the_curve_between_and_beyond_its_points():
    step = Upsample(by="q", curve=((0.4, 0), (0.4, 1), (0.9, 2), (1, 7)))
    found = step.epochs_at(np.array([0.0, 0.39, 0.4, 0.65, 0.9, 0.95, 1.0]))
    assert found == pytest.approx([0, 0, 1, 1.5, 2, 4.5, 7])
    assert Upsample(by="q", curve=((0.5, 2),)).epochs_at(np.array([0.0, 0.5, 1.0])).tolist() == [2, 2, 2]
    for curve in (((0.5, 2), (0.4, 3)), ((0.4, 3), (0.5, 2)), ((0.4, 0),), ((0.4, -1), (1, 1)), ((2, 1),), ()):
        with pytest.raises(RecipeError):
            Upsample(by="q", curve=curve)


def table(n: int, **columns: list) -> pa.Table:
    made = {"id": [f"d{i}" for i in range(n)], "text": [f"text number {i}" for i in range(n)]}
    return pa.table({**made, "q": [float(i) for i in range(n)], **columns})


def times(answer: pa.Table) -> dict[str, int]:
    ids, counts = np.unique(answer["id"].to_numpy(zero_copy_only=False).astype(str), return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist()))


def test_the_worst_go_and_the_best_come_often():
    found = times(Upsample(by="q", curve=((0.4, 0), (0.4, 1), (0.9, 1), (0.9, 3)))(table(100)))
    assert found == {f"d{i}": 1 if i < 90 else 3 for i in range(40, 100)}


def test_groups_have_rankings_of_their_own_and_equal_values_equal_epochs():
    langs = ["en" if i < 80 else "zh" for i in range(100)]
    found = times(Upsample(by="q", within="lang", curve=((0.5, 0), (0.5, 1)))(table(100, lang=langs)))
    assert sorted(found, key=lambda d: int(d[1:])) == [f"d{i}" for i in [*range(40, 80), *range(90, 100)]]
    flat = pa.table({"id": ["a", "b", "c"], "text": ["x"] * 3, "q": [1.0] * 3})
    assert times(Upsample(by="q", curve=((0.0, 0), (0.5, 2), (1.0, 4)))(flat)) == {"a": 2, "b": 2, "c": 2}


def test_bytes_are_counted_in_the_ranking():
    given = pa.table({"id": ["a", "b", "c"], "text": ["x" * 70, "y" * 20, "z" * 10], "q": [1.0, 2.0, 3.0]})
    assert times(Upsample(by="q", curve=((0.7, 0), (0.7, 1)), unit="bytes")(given)) == {"b": 1, "c": 1}


def test_nulls_evaluation_splits_and_bad_columns():
    given = table(3, q=[1.0, None, 2.0], split=["train", "train", "test"])
    assert times(Upsample(by="q", curve=((0.0, 1),))(given)) == {"d0": 1}
    with pytest.raises(RecipeError, match="no column `score`"):
        Upsample(by="score")(table(3))
    with pytest.raises(RecipeError, match="name a column of numbers"):
        Upsample(by="text")(table(3))
    with pytest.raises(RecipeError, match="column `epoch`"):
        Upsample(by="q")(table(3, epoch=[0, 0, 0]))
    assert Upsample(by="q")(table(3).slice(0, 0)).num_rows == 0


def test_runs_agree_over_shards_and_workers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = table(200, lang=["en", "zh"] * 100)
    made = []
    for shards, workers in ((1, 1), (4, 2)):
        raw = tmp_path / f"raw{shards}"
        raw.mkdir()
        for shard in range(shards):
            pq.write_table(whole.take(list(range(shard, 200, shards))), raw / f"{shard}.parquet")
        source = {"name": "t", "path": f"raw{shards}/*.parquet", "columns": {"id": "id"}}
        step = {"upsample": {"by": "q", "within": "lang", "shards": 2}}
        recipe = {"name": "t", "sources": [source], "steps": [step], "output": f"out{shards}"}
        run = corpusmill.run(recipe, workers=workers)
        made.append(run.dataset.manifest["content"])
        step_count = run.dataset.manifest["funnel"]["steps"][0]
        assert step_count["dropped"]["not-sampled"] >= 70
        assert step_count["derived"] > 0
    assert made[0] == made[1]
