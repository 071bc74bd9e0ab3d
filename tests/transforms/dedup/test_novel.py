"""Duplicates without loss: what a survivor lacks is kept, and survivors are similar enough themselves."""

import random
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import corpusmill
from corpusmill.transforms.dedup._novel import passages
from corpusmill.transforms.dedup._shingles import shingle_sets
from corpusmill.transforms.dedup.minhash import Minhash
from corpusmill.transforms.errors import CorpusmillError
from tests.transforms.dedup.harness import cut, documents, run
from tests.transforms.dedup.test_minhash import CHINESE, jaccard, words


def planted(n: int) -> tuple[pa.Table, dict[str, str]]:
    """n pairs; the second of each has a paragraph of 12 to 30 words that the first lacks."""
    rng = random.Random(4)
    texts, ids, own = [], [], {}
    for i in range(n):
        paragraphs = [" ".join(words(rng, 40)) + "." for _ in range(5)]
        extra = " ".join(words(rng, rng.randint(12, 30))) + "."
        place = rng.randint(0, 5)
        texts += ["\n\n".join(paragraphs), "\n\n".join([*paragraphs[:place], extra, *paragraphs[place:]])]
        ids += [f"a{i:04d}", f"b{i:04d}"]
        own[ids[-1]] = extra
    return documents(texts, ids), own


def test_planted_paragraphs_survive_and_nothing_is_repeated():
    table, own = planted(300)
    outcome = run(Minhash(threshold=0.7, keep_novel=True), cut(table, 3))
    rows = [r for shard in outcome.shards for r in shard.to_pylist() if r["parent"]]
    kept = {r["parent"]: r["text"] for r in rows}
    whole = sum(kept.get(i) == paragraph for i, paragraph in own.items())
    assert whole >= 0.99 * len(own)
    texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist()))
    said = Counter(w for i, t in kept.items() for w in t.split())
    again = sum(said[w] for i in kept for w in set(kept[i].split()) & set(texts["a" + i[1:]].split()))
    assert again <= 0.01 * said.total()
    assert all(f'"survivor": "a{r["parent"][1:]}"' in r["derived_by"] for r in rows)
    assert len({r["id"] for r in rows}) == len(rows)


def test_what_two_dropped_documents_share_is_kept_once():
    rng = random.Random(1)
    base, extra = " ".join(words(rng, 200)), " ".join(words(rng, 20))
    table = documents([base, f"{base}\n{extra}", f"{extra}\n{base}"])
    shards = run(Minhash(threshold=0.7, keep_novel=True), cut(table, 2)).shards
    assert [r["text"] for s in shards for r in s.to_pylist() if r["parent"]] == [extra]


def test_passages_of_chinese_texts_and_of_what_is_said_twice():
    new = "今天下午我们去公园看了新开的荷花池"
    text = CHINESE + new + "。" + CHINESE + new
    whole, known = (set(s) for s in shingle_sets(pa.array([text, CHINESE]), 5).to_pylist())
    novel = pa.array([sorted(whole - known)], pa.list_(pa.uint32()))
    assert passages(pa.array([text]), novel, 5, 10) == [new + "。"]
    assert passages(pa.array([""]), shingle_sets(pa.array([""]), 5), 5, 1) == [""]


def test_the_same_documents_whatever_the_sharding():
    table, _ = planted(40)
    step = Minhash(threshold=0.7, keep_novel=True, chain=False)

    def rows(*how):
        return sorted((r["id"], r["text"]) for s in run(step, *how[:1], **how[1]).shards for r in s.to_pylist())

    first = rows(cut(table, 1), {})
    assert rows(cut(table, 5, 7, seed=3), {"partitions": 4, "shuffle": 1}) == first


def chain(length: int, step: int) -> list[str]:
    """Texts each of which shares most words with the next, and fewer with those behind it."""
    rng = random.Random(9)
    stream = words(rng, 100 + step * length)
    return [" ".join(stream[step * i : step * i + 100]) for i in range(length)]


@pytest.mark.parametrize(("length", "step"), [(9, 5), (200, 5)])
def test_without_chains_every_dropped_document_is_similar_to_its_survivor(length, step):
    texts = chain(length, step)
    chained = run(Minhash(), cut(documents(texts), 2))
    strict = run(Minhash(chain=False), cut(documents(texts), 2))
    assert len(chained.kept) == 1 < len(strict.kept)
    by_id = strict.texts | dict(zip([f"d{i:05d}" for i in range(length)], texts))
    for dropped, (_, value, survivor) in strict.dropped.items():
        assert survivor in strict.kept
        assert value == pytest.approx(jaccard(by_id[dropped], by_id[survivor]))
        assert value >= 0.8
    for a in strict.kept:
        for b in strict.kept:
            assert a == b or jaccard(by_id[a], by_id[b]) < 0.8
    assert len(strict.dropped) == strict.tables["pairs"].num_rows


def test_equal_documents_have_the_survivor_of_their_first():
    texts = chain(5, 5)
    outcome = run(Minhash(chain=False), cut(documents([*texts, texts[1], texts[1]]), 1))
    survivors = {i: outcome.dropped[i][1:] for i in ("d00001", "d00005", "d00006")}
    assert len(set(survivors.values())) == 1


def test_a_run_balances_and_its_parents_are_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table, own = planted(30)
    (tmp_path / "raw").mkdir()
    for i in range(3):
        pq.write_table(table.slice(20 * i, 20).drop_columns(["source"]), tmp_path / f"raw/{i}.parquet")
    recipe = {"name": "t", "sources": [{"name": "t", "path": "raw/*.parquet", "columns": {"id": "id"}}]}
    recipe |= {"steps": [{"minhash": {"threshold": 0.7, "keep_novel": True}}], "output": "out"}
    dataset = corpusmill.run(recipe).dataset
    step = dataset.manifest["funnel"]["steps"][0]
    assert step["rows_in"] + step["derived"] == step["rows_out"] + step["dropped"]["near-duplicate"]
    assert step["derived"] == len(own) == 30
    frame = dataset.to_pandas()
    assert set(frame[frame.parent.notna()].parent) == set(own)
    again = corpusmill.run(recipe | {"output": "again", "sources": [{**recipe["sources"][0], "path": "raw/2.parquet"}]})
    assert again.dataset.manifest["funnel"]["steps"][0]["derived"] == 10


def test_comparisons_that_are_turned_off_are_a_mistake():
    with pytest.raises((ValueError, CorpusmillError), match="verify"):
        Minhash(verify=False, chain=False)
