import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.dedup.minhash import Minhash
from tests.transforms.dedup.harness import cut, documents, run

DATA = Path(__file__).resolve().parents[3] / "../shared/data/neardup"
CHINESE = "人工智能正在改变我们的生活方式，从语音助手到自动驾驶汽车，机器学习算法无处不在，它们帮助我们做出更好的决定。"
JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    "何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。"
)


def words(rng: random.Random, n: int) -> list[str]:
    return [f"w{rng.randrange(10**6)}" for _ in range(n)]


def jaccard(a: str, b: str, n: int = 5) -> float:
    x, y = ({tuple(t.split()[i : i + n]) for i in range(len(t.split()) - n + 1)} for t in (a, b))
    return len(x & y) / len(x | y)


@pytest.mark.parametrize("text", [CHINESE, JAPANESE])
def test_chinese_and_japanese(text: str) -> None:
    other = text.replace("。", "！") + "完"
    far = text[len(text) // 2 :] + text[: len(text) // 2][::-1]
    got = run(Minhash(), cut(documents([text, other, far]), 2))
    assert got.kept == ["d00000", "d00002"]
    reason, value, survivor = got.dropped["d00001"]
    assert (reason, survivor) == ("near-duplicate", "d00000")
    assert 0.9 < value < 1


def test_short_documents_collapse_only_with_their_equals() -> None:
    got = run(Minhash(), cut(documents(["one two", "two three", "one three", "One, two!"])))
    assert got.kept == ["d00000", "d00001", "d00002"]
    assert got.dropped == {"d00003": ("near-duplicate", 1.0, "d00000")}


def test_documents_without_words_are_duplicates_only_byte_for_byte() -> None:
    got = run(Minhash(), cut(documents(["", "", " ", "...", "...", "....", "a"])))
    assert got.kept == ["d00000", "d00002", "d00003", "d00005", "d00006"]


def test_unique_documents_lose_nothing() -> None:
    rng = random.Random(1)
    got = run(Minhash(), cut(documents([" ".join(words(rng, 30)) for _ in range(3000)]), 3), 4)
    assert len(got.kept) == 3000
    assert got.tables["pairs"].num_rows == 0


@pytest.mark.parametrize("keep", ["first", "longest", "newest", "priority"])
def test_survivors(keep: str) -> None:
    base = " ".join(words(random.Random(2), 200))
    texts = [base, base + " more words here", base + "!", "other text altogether, of some more words"]
    table = documents(texts, ["b", "c", "a", "d"], created=[5, 1, 1, 0], priority=[0, 1, 3, 9])
    survivor = {"first": "a", "longest": "c", "newest": "b", "priority": "a"}[keep]
    for seed in range(5):
        got = run(Minhash(keep=keep), cut(table, 2, seed=seed), 2)  # type: ignore[arg-type]
        assert got.kept == sorted([survivor, "d"])
        assert {x[2] for x in got.dropped.values()} == {survivor}


def cluster_corpus() -> pa.Table:
    rng = random.Random(3)
    texts = []
    for _ in range(60):
        base = words(rng, rng.randrange(3, 120))
        for _ in range(rng.randrange(1, 8)):
            copy = list(base)
            for _ in range(rng.randrange(0, 3)):
                copy[rng.randrange(len(copy))] = f"e{rng.randrange(10**6)}"
            texts.append(" ".join(copy))
    return documents(texts)


def test_the_same_in_20_orders_and_any_number_of_partitions_shards_and_batches() -> None:
    table = cluster_corpus()
    expected = run(Minhash(), cut(table))
    assert 10 < len(expected.dropped) < table.num_rows
    for seed in range(20):
        got = run(Minhash(), cut(table, 1 + seed % 7, 1 + 13 * seed, seed), 1 + seed % 9, shuffle=seed)
        assert got.kept == expected.kept
        assert got.dropped == expected.dropped
        order = [("id_a", "ascending"), ("id_b", "ascending")]
        assert got.tables["pairs"].sort_by(order) == expected.tables["pairs"].sort_by(order)


def test_the_pairs_have_their_true_jaccard_and_every_drop_has_one() -> None:
    table = cluster_corpus()
    got = run(Minhash(), cut(table, 4), 3)
    text = dict(zip(table["id"].to_pylist(), table["text"].to_pylist()))
    partners = set()
    for pair in got.tables["pairs"].to_pylist():
        assert pair["id_a"] < pair["id_b"]
        assert pair["survivor"] in got.kept
        if len(text[pair["id_a"]].split()) >= 5:
            assert pair["jaccard"] == jaccard(text[pair["id_a"]], text[pair["id_b"]]) >= 0.8
        partners |= {pair["id_a"], pair["id_b"]}
    assert set(got.dropped) <= partners


def test_below_the_threshold_nothing_is_dropped_though_bands_agree() -> None:
    rng = random.Random(4)
    base = words(rng, 100)
    texts = [" ".join(base[:50] + words(rng, 25) + base[50:]) for _ in range(10)]
    assert run(Minhash(bands=200, rows=2), cut(documents(texts))).dropped == {}
    loose = run(Minhash(bands=200, rows=2, verify=False), cut(documents(texts), 3), 2)
    assert len(loose.kept) == 1
    assert np.isnan(next(iter(loose.dropped.values()))[1])
    assert loose.tables["pairs"]["jaccard"].null_count == loose.tables["pairs"].num_rows


def test_without_verification_at_least_the_same_are_dropped_and_no_shingles_sent() -> None:
    table = cluster_corpus()
    sure = run(Minhash(), cut(table, 3), 2)
    fast = run(Minhash(verify=False), cut(table, 3), 2)
    assert set(sure.dropped) <= set(fast.dropped)
    assert fast.sent[1] < sure.sent[1]


def test_50000_identical_documents_take_linear_time_and_memory() -> None:
    text = " ".join(words(random.Random(5), 60))
    sent = []
    for n in (5_000, 50_000):
        got = run(Minhash(), cut(documents([text] * n), 4, 10_000), 3)
        assert got.kept == ["d00000"]
        assert got.tables["pairs"].num_rows == n - 1
        sent.append(sum(got.sent))
    assert sent[1] < 10.5 * sent[0]


def test_a_hot_band_of_different_near_duplicates_is_one_cluster_in_linear_space() -> None:
    base = " ".join(words(random.Random(6), 120))
    n = 2000
    got = run(Minhash(), cut(documents([f"{base} n{i}" for i in range(n)]), 2), 2)
    assert got.kept == ["d00000"]
    assert got.tables["pairs"].num_rows < 20 * n


def test_a_chain_of_10000_near_duplicates_is_one_cluster() -> None:
    rng = random.Random(7)
    long = words(rng, 10_000 + 60)
    texts = [" ".join(long[i : i + 60]) for i in range(10_000)]
    # neighbours share 55 of 57 shingles, documents 60 apart share none
    got = run(Minhash(threshold=0.9, bands=60), cut(documents(texts), 3), 3)
    assert got.kept == ["d00000"]
    assert got.dropped["d09999"][2] == "d00000"


def test_labelled_near_duplicates() -> None:
    if not DATA.exists():
        pytest.skip(f"{DATA} is absent: the labelled near-duplicates are not on this machine")
    truth = pq.read_table(DATA / "truth.parquet").to_pylist()
    pairs = [(p["id_a"], p["id_b"]) for p in truth if p["jaccard"] >= 0.8]
    partnered = {x for p in pairs for x in p}
    table = pq.read_table(DATA / "docs", columns=["id", "text", "source"])
    got = run(Minhash(), cut(table, 4), 4)
    assert set(got.dropped) <= partnered
    kept = set(got.kept)
    left = sum(a in kept and b in kept for a, b in pairs)
    assert left <= 0.01 * len(pairs)


def test_golden() -> None:
    assert Minhash().fingerprint() == Minhash(threshold=0.8, ngram=5, bands=24, rows=7).fingerprint()
    assert Minhash().fingerprint() != Minhash(threshold=0.81).fingerprint()
