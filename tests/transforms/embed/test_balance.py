"""Groups between a floor and a ceiling."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import corpusmill
from corpusmill.transforms.embed.balance import Balance
from corpusmill.transforms.embed.cluster import Cluster
from corpusmill.transforms.errors import RecipeError

SIZES = {"big": 900, "mid": 100, "small": 20}


def corpus() -> pa.Table:
    rows = [(f"{name}{i:04d}", name, i / n) for name, n in SIZES.items() for i in range(n)]
    ids, names, near = zip(*rows)
    return pa.table({"id": ids, "text": ["ten bytes."] * len(ids), "cluster": names, "cluster.cosine": near})


def test_small_groups_are_repeated_and_large_ones_sampled():
    made = Balance(floor=0.25, ceiling=1.5)(corpus())
    counts = {c["values"]: c["counts"] for c in made["cluster"].value_counts().to_pylist()}
    assert counts["mid"] == 100  # 340 on average: between 85 and 510
    assert abs(counts["big"] - 510) < 60
    assert 60 <= counts["small"] <= 80  # four epochs at most
    assert max(made["epoch"].to_pylist()) == 3


def test_the_most_typical_documents_go_first():
    made = Balance(floor=0, ceiling=1.5, typical="cluster.cosine")(corpus()).to_pandas()
    big = made[made.cluster == "big"]
    assert 500 <= len(big) <= 530
    assert big["cluster.cosine"].max() < 0.6
    assert set(big.epoch) == {0}
    grown = Balance(floor=1, ceiling=9, typical="cluster.cosine", max_epochs=2)(corpus()).to_pandas()
    assert (grown.cluster == "mid").sum() == 200


def test_a_budget_and_several_columns():
    table = corpus().append_column("lang", pa.array(["en", "de"] * 510))
    made = Balance(by=("cluster", "lang"), floor=0, ceiling=1, budget=2_000, unit="bytes", max_epochs=1)(table)
    assert 1_700 <= 10 * made.num_rows <= 2_300


def test_a_refresh_that_changes_sizes_a_little_keeps_most_documents():
    table = corpus()
    before = set(Balance(floor=0, ceiling=1)(table)["id"].to_pylist())
    after = set(Balance(floor=0, ceiling=1)(table.slice(0, 880))["id"].to_pylist())
    lost = {i for i in before if i in set(table["id"].to_pylist()[:880])} - after
    assert len(lost) < 0.2 * len(before)


def test_any_sharding_writes_the_same_documents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table, found = corpus(), []
    for files in (1, 3):
        for number in range(files):
            rows = pa.array(np.arange(number, table.num_rows, files))
            pq.write_table(table.take(rows), tmp_path / f"{files}-{number}.parquet")
        source = {"name": "t", "path": f"{files}-*.parquet", "columns": {"id": "id"}}
        steps = [{"balance": {"ceiling": 1}}]
        run = corpusmill.run({"name": "t", "sources": [source], "steps": steps, "output": f"out{files}"})
        found.append(run.dataset.manifest["content"])
    assert found[0] == found[1]


def test_a_large_topic_in_many_clusters_gives_way_to_rare_words():
    rng = np.random.default_rng(0)
    words = {t: [f"topic{t}word{i}" for i in range(60)] for t in range(4)}
    texts = [(t, " ".join(rng.choice(words[t], 30))) for t, n in enumerate((900, 30, 30, 30)) for _ in range(n)]
    table = pa.table({"id": [f"{t}-{i}" for i, (t, _) in enumerate(texts)], "text": [x for _, x in texts]})
    table = Cluster(clusters=24, rarity=True)(table)

    def small(made: pa.Table) -> float:
        return float(np.mean([not i.startswith("0-") for i in made["id"].to_pylist()]))

    flat, lifted = Balance()(table), Balance(rarity="cluster.rarity")(table)
    assert small(table) < 0.1
    assert small(flat) < 0.3
    assert small(lifted) > 0.3 > small(flat)
    assert small(Balance(rarity="cluster.rarity", power=0)(table)) == small(flat)
    assert small(Balance(rarity="cluster.rarity", budget=50_000)(table)) > 0.3


def test_documents_of_unknown_rarity_stay_as_they_are():
    table = corpus().append_column("bits", pa.array([8.0] * 900 + [12.0] * 100 + [None] * 20))
    made = Balance(floor=0, ceiling=100, rarity="bits", power=1)(table)
    counts = {c["values"]: c["counts"] for c in made["cluster"].value_counts().to_pylist()}
    assert counts["small"] == 20
    assert counts["mid"] == 400
    with pytest.raises(RecipeError, match=r"cluster\.rarity"):
        Balance(rarity="cluster.rarity")(corpus())


def test_a_column_that_no_document_has_is_told():
    with pytest.raises(RecipeError, match="no document has a column `topic`"):
        Balance(by=("topic",))(corpus())
