"""Near-duplicates by meaning."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.embed.semantic import Semantic
from tests.transforms.dedup.harness import cut, documents, run

WORDS = [f"w{i:03d}" for i in range(400)]


def text(seed: int, topic: int) -> list[str]:
    """Eight sentences of ten words, half of them of a topic."""
    rng = np.random.default_rng(seed)
    pool = WORDS[topic * 40 : topic * 40 + 60]
    return [" ".join(rng.permutation([*rng.choice(pool, 5), *rng.choice(WORDS, 5)])) + "." for _ in range(8)]


def corpus(n: int = 120) -> tuple[pa.Table, dict[str, str]]:
    """Documents of five topics; every third has a copy with its sentences reversed and some of its words replaced."""
    texts, ids, parent = [], [], {}
    for i in range(n):
        sentences = text(i, i % 5)
        texts.append(" ".join(sentences))
        ids.append(f"a{i:04d}")
        if i % 3 == 0:
            words = [w.split() for w in reversed(sentences)]
            for sentence in words[::2]:
                sentence[4] = WORDS[(i * 7) % 400]
            texts.append(" ".join(" ".join(s) for s in words))
            ids.append(f"b{i:04d}")
            parent[ids[-1]] = f"a{i:04d}"
    return documents(texts, ids), parent


def by_ids(outcome):
    return sorted((p["id_a"], p["id_b"], p["cosine"], p["survivor"]) for p in outcome.tables["pairs"].to_pylist())


def test_rephrased_documents_go_and_name_their_parents():
    table, parent = corpus()
    outcome = run(Semantic(threshold=0.7), cut(table, 3))
    dropped = {i: survivor for i, (reason, _, survivor) in outcome.dropped.items() if reason == "near-meaning"}
    right = [i for i, survivor in dropped.items() if parent.get(i) == survivor]
    assert len(right) >= 0.95 * len(parent)
    assert len(right) >= 0.85 * len(dropped)
    pairs = outcome.tables["pairs"].to_pylist()
    assert {(p["id_a"], p["id_b"]) for p in pairs} == {tuple(sorted(pair)) for pair in dropped.items()}
    assert all(p["cosine"] >= 0.7 for p in pairs)


def test_any_sharding_order_and_partitioning_decides_the_same():
    table, _ = corpus()
    step = Semantic(threshold=0.7, sample=64, cluster_size=16)
    first = run(step, cut(table, 1))
    for shards, partitions, seed in [(4, 3, 1), (7, 1, 2), (2, 5, 3)]:
        again = run(step, cut(table, shards, 13, seed), partitions, shuffle=seed)
        assert again.dropped == first.dropped
        assert by_ids(again) == by_ids(first)


@pytest.mark.parametrize("chain", [True, False])
def test_equal_and_wordless_documents(chain):
    table = documents(["same words here", "Same words, here!", "", "...", "", "others", "..."])
    outcome = run(Semantic(chain=chain), cut(table, 2))
    assert sorted(outcome.kept) == ["d00000", "d00002", "d00003", "d00005"]


def test_shuffled_words_are_another_text():
    sentences = " ".join(text(1, 0))
    words = sentences.split()
    shuffled = " ".join(np.random.default_rng(0).permutation(words))
    assert len(run(Semantic(), cut(documents([sentences, shuffled]), 1)).kept) == 2


def test_chinese_texts_of_other_order_are_found():
    first = [
        "我们在春天种下许多种子。",
        "夏天的雨水让它们慢慢长大。",
        "秋天大家一起收获粮食。",
        "冬天人们在家里休息聊天。",
    ]
    texts = ["".join(first), "".join(reversed(first)), "机器学习模型需要大量的数据和计算资源才能训练。"]
    assert run(Semantic(), cut(documents(texts), 1)).kept == ["d00000", "d00002"]


def test_without_chains_every_dropped_document_is_near_its_survivor():
    base = text(5, 1)
    texts = [" ".join(base[k:] + text(9, 3)[:k]) for k in range(9)]  # each is near the next, and less near the first
    strict = run(Semantic(threshold=0.6), cut(documents(texts), 1))
    chained = run(Semantic(threshold=0.6, chain=True), cut(documents(texts), 1))
    assert len(chained.kept) == 1 < len(strict.kept)
    assert all(value >= 0.6 for _, value, _ in strict.dropped.values())


def test_an_empty_corpus_and_a_shard_without_rows():
    assert run(Semantic(), cut(documents([]), 2)).kept == []
    assert len(run(Semantic(), cut(documents(["one text"]), 3)).kept) == 1


def test_a_missing_column_is_told_at_once():
    with pytest.raises(Exception, match="keep: newest"):
        run(Semantic(keep="newest"), cut(documents(["a text"]), 1))
