"""Vectors and clusters learned from the corpus."""

import numpy as np
import pyarrow as pa

import corpusmill
from corpusmill.transforms.embed.cluster import Cluster
from corpusmill.transforms.embed.embed import Embed
from corpusmill.transforms.embed.kmeans import cluster, nearest
from corpusmill.transforms.embed.vectors import train
from tests.transforms.embed.test_semantic import corpus, text


def test_words_of_one_context_have_near_vectors():
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(400):
        animal, other = rng.choice(["cat", "dog"]), rng.choice(["bolt", "screw"])
        texts.append(f"the {animal} sleeps on the warm sofa and eats meat")
        texts.append(f"turn the {other} into the steel frame with force")
    model = train(pa.array(texts), 256)
    a, b, c = model.embed(pa.array(["cat", "dog", "bolt"])).astype(float)
    cosine = lambda x, y: x @ y / np.linalg.norm(x) / np.linalg.norm(y)  # noqa: E731
    assert cosine(a, b) > cosine(a, c) + 0.1


def test_training_does_not_see_the_order_of_texts():
    texts = pa.array([" ".join(text(i, i % 4)) for i in range(60)])
    turned = texts.take(pa.array(np.random.default_rng(1).permutation(60)))
    a, b = train(texts, 64), train(turned, 64)
    assert all(np.array_equal(getattr(a, f), getattr(b, f)) for f in ("words", "vectors", "weights"))


def test_k_means_finds_planted_clusters_in_any_order():
    rng = np.random.default_rng(2)
    centres = rng.integers(-100, 100, (5, 64))
    vectors = np.clip(centres[np.arange(300) % 5] + rng.integers(-20, 20, (300, 64)), -127, 127).astype(np.int8)
    order = rng.integers(0, 1 << 63, 300).astype(np.uint64)
    found = cluster(vectors, np.ones(300, np.int64), 5, 1, order)
    which = nearest(vectors, found)[0][:, 0]
    assert all(len(set(which[k::5])) == 1 for k in range(5))
    turn = rng.permutation(300)
    assert np.array_equal(found, cluster(vectors[turn], np.ones(300, np.int64), 5, 1, order[turn]))


def write(tmp_path, table, files):
    (tmp_path / "raw").mkdir(exist_ok=True)
    import pyarrow.parquet as pq

    for number in range(files):
        pq.write_table(
            table.take(pa.array(np.arange(number, table.num_rows, files))), tmp_path / f"raw/{number}.parquet"
        )


def test_a_run_writes_vectors_and_clusters_that_no_sharding_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table, _ = corpus(90)
    table = table.drop_columns(["source"])
    found = []
    for files in (1, 4):
        write(tmp_path, table, files)
        recipe = {"name": "t", "sources": [{"name": "t", "path": "raw/*.parquet", "columns": {"id": "id"}}]}
        recipe |= {"steps": [{"cluster": {"clusters": 5}}, {"embed": {"dtype": "int8"}}], "output": f"out{files}"}
        dataset = corpusmill.run(recipe).dataset
        kept = {r["id"]: r["cluster"] for r in dataset.to_pandas().to_dict("records")}
        vectors = {r["id"]: r["vector"] for r in dataset.table("vectors").to_pylist()}
        assert set(vectors) == set(kept)
        found.append((kept, vectors))
        for path in (tmp_path / "raw").iterdir():
            path.unlink()
    assert found[0] == found[1]
    topics = {}
    for name, cluster_of in found[0][0].items():
        topics.setdefault(int(name[1:]) % 5, set()).add(cluster_of)
    assert len(set(map(frozenset, topics.values()))) > 1


def test_a_column_of_vectors_if_asked():
    table = pa.table({"id": ["a", "b"], "text": ["some words", ""], "source": ["s", "s"]})
    made = Embed(column=True, dims=64)(table)
    assert made.schema.field("vector").type == pa.list_(pa.float16(), 64)
    assert not np.array(made["vector"][1].as_py()).any()
    assert abs(np.linalg.norm(made["vector"][0].as_py()) - 1) < 1e-2


def test_documents_without_words_are_in_no_cluster():
    made = Cluster(clusters=2)(pa.table({"text": ["red green blue", "", "!!!", "seven eight nine"]}))
    names = made["cluster"].to_pylist()
    assert names[1] == names[2] == "-"
    assert names[0] != names[3]
