"""Generation: the same rows for any batch, every check in its place, lineage on every row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from corpusmill.transforms.embed.cluster import Cluster
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate import model as models
from corpusmill.transforms.generate.accepted import Accepted
from corpusmill.transforms.generate.cache import RequestCache
from corpusmill.transforms.generate.generate import Generate
from corpusmill.transforms.generate.model import Request
from corpusmill.transforms.random import Keyed, draw_array

WORDS = [
    "river",
    "stone",
    "lamp",
    "green",
    "paper",
    "window",
    "silver",
    "山",
    "水",
    "天",
    "地",
    "人",
    "music",
    "winter",
    "table",
]


class Echo:
    """A language model of fifteen words: text of 30 words drawn from the request's stream; `asked` counts."""

    digest, classes = "e" * 32, ["a", "b"]

    def __init__(self) -> None:
        self.asked = 0

    def complete(self, requests: Sequence[Request]) -> list[str]:
        self.asked += len(requests)
        keys = [draw_array(np.full(30, r.key, np.uint64) + np.arange(30, dtype=np.uint64)) for r in requests]
        return [" ".join(WORDS[int(d) % len(WORDS)] for d in k) for k in keys]

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return np.array([len(t) * 1.0 for t in texts]), np.array([len(t.encode()) * 1.0 for t in texts])

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(t) % 7, 3.0] for t in texts]).reshape(-1, 2)


ECHO = Echo()


def open_echo(spec: str) -> Echo:
    return ECHO


open_echo.digest = lambda spec: hashlib.sha256(spec.encode()).hexdigest()[:32]  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def echo() -> Iterator[Echo]:
    models.register("echo", "tests.transforms.generate.test_generate:open_echo")
    ECHO.asked = 0
    yield ECHO
    models._OPENERS.pop("echo")


def long_enough(text: str, parent: dict) -> float:
    return float("river" in text)


def fails(text: str, parent: dict) -> float:
    raise ValueError("no")


def batch(n: int) -> pa.RecordBatch:
    texts = [f"Document {i} tells of many things, one after the other, and 第{i}章 says more." for i in range(n)]
    return pa.record_batch({"id": [f"d{i}" for i in range(n)], "text": texts, "source": ["s"] * n, "label": ["x"] * n})


def step(**fields: object) -> Generate:
    return Generate(model="echo:one", **{"min_distinct": 0.0, **fields})  # type: ignore[arg-type]


def derived(out: pa.RecordBatch) -> list[dict]:
    return [row for row in out.to_pylist() if row["parent"]]


def test_same_rows_for_any_batches() -> None:
    whole = step(copies=2)(batch(20))
    assert len(derived(whole)) == 40
    assert whole.num_rows == 60
    for size in (1, 7):
        parts = [step(copies=2)(batch(20).slice(i, size)) for i in range(0, 20, size)]
        assert pa.Table.from_batches(parts).to_pylist() == whole.to_pylist()


def test_lineage_names_parent_prompt_model_and_seed() -> None:
    made = step(round=3, prompt="continue", words=3).expand(batch(2), Keyed(7, "generate"))
    row = derived(made)[0]
    about = json.loads(row["derived_by"])
    assert row["parent"] == "d0"
    assert row["origin"] == "synthetic"
    assert row["label"] == "x"
    assert row["id"] != "d0"
    assert about["model"] == models.digest_of("echo:one")
    assert about["round"] == 3
    assert about["seed"] == 7
    assert about["prompt"] == {"kind": "continue", "words": 3, "keep_prompt": False}
    assert about["prompt_sha256"] == hashlib.sha256(b"Document 0 tells").hexdigest()
    assert 0 <= about["scores"]["similarity"] < 0.8
    assert made.column("origin").to_pylist() == ["real", "synthetic"] * 2


def test_real_text_is_never_replaced_nor_asked_about_twice(echo: Echo) -> None:
    once = step()(batch(3))
    echo.asked = 0
    twice = step()(once)
    assert echo.asked == 3
    assert twice.num_rows == 9
    assert {"d0", "d1", "d2"} <= set(twice.column("id").to_pylist())


def test_what_is_not_asked_about(echo: Echo) -> None:
    rows = batch(4).append_column("split", pa.array(["train", "TEST", None, "train"]))
    rows = rows.set_column(1, "text", pa.array(["One text of words.", "Two", "  ", None]))
    assert len(derived(step()(rows))) == 1
    assert echo.asked == 1
    none = batch(2).slice(0, 0)
    assert step()(none).num_rows == 0
    assert step()(none).schema == step()(batch(2)).schema


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"min_chars": 1000}, "length"),
        ({"max_chars": 20}, "length"),
        ({"pattern": "^never$"}, "schema"),
        ({"json_keys": ("a",)}, "schema"),
        ({"min_distinct": 3.0}, "repetition"),
        ({"reference": "echo:ref", "max_bits": 0.1}, "likelihood"),
        ({"verifier": "tests.transforms.generate.test_generate:long_enough", "min_score": 2.0}, "verifier"),
    ],
)
def test_each_check_has_its_reason(fields: dict, reason: str) -> None:
    marked = step(refused="mark", tries=2, **fields)(batch(3))
    assert [row["refused"] for row in derived(marked)] == [reason] * 6
    assert derived(step(tries=2, **fields)(batch(3))) == []
    verdict = Accepted().judge(marked, Keyed())
    assert [verdict.reasons[c] for c in verdict.codes if c >= 0] == [reason] * 6
    assert verdict.kept.sum() == 3


def test_verifier_makes_rejection_sampling(echo: Echo) -> None:
    made = derived(step(tries=20, verifier="tests.transforms.generate.test_generate:long_enough")(batch(6)))
    assert len(made) == 6
    assert all("river" in row["text"] for row in made)
    assert 6 <= echo.asked < 40
    with pytest.raises(RecipeError, match=r"verifier .* failed on a text made of document d0: ValueError: no"):
        step(verifier="tests.transforms.generate.test_generate:fails")(batch(1))
    with pytest.raises(RecipeError, match="cannot be imported"):
        step(verifier="nothing:here")(batch(1))


def test_texts_that_repeat_others_are_refused(tmp_path) -> None:
    greedy = derived(step()(batch(1)))[0]["text"]
    pq.write_table(pa.table({"text": [greedy, "another text"]}), tmp_path / "real.parquet")
    marked = derived(step(refused="mark", tries=1, against=(str(tmp_path / "real.parquet"),))(batch(1)))
    assert marked[0]["text"] == greedy
    assert marked[0]["refused"] == "near-real"
    parrot = derived(
        step(refused="mark", tries=1, prompt="continue", keep_prompt=True, words=99, max_similarity=0.3)(batch(1))
    )
    assert parrot[0]["refused"] == "near-real"


def test_language_of_the_parent() -> None:
    marked = derived(step(refused="mark", tries=1, same_language=True)(batch(2)))
    assert len(marked) == 2
    assert {row["refused"] for row in marked} <= {None, "language"}


def test_cache_asks_nothing_twice(echo: Echo, tmp_path) -> None:
    path = str(tmp_path / "requests.sqlite")
    with models.cache_in(path):
        first = step(copies=2)(batch(10))
        asked = echo.asked
        assert step(copies=2)(batch(10)).equals(first)
        assert echo.asked == asked > 0
        half = [step(copies=2)(batch(10).slice(i, 5)) for i in (0, 5)]
    assert echo.asked == asked
    assert pa.Table.from_batches(half).to_pylist() == first.to_pylist()
    cache = RequestCache.at(path)
    assert len(cache) == asked
    assert cache.forget(["d3"]) > 0
    assert len(cache) < asked
    assert b"d3" not in Path(path).read_bytes().replace(b"d30", b"")


def test_fingerprint_follows_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert step().fingerprint() == step().fingerprint() != Generate(model="echo:two", min_distinct=0.0).fingerprint()
    assert step(temperature=0.5).fingerprint() != step().fingerprint()
    monkeypatch.delitem(models._OPENERS, "", raising=False)
    with pytest.raises(RecipeError, match="nothing here opens it"):
        Generate(model="no-such").fingerprint()


@pytest.mark.parametrize(
    "fields", [{"prompt": "instruct"}, {"copies": 4, "tries": 3}, {"template": "{text!r}"}, {"template": "{"}]
)
def test_mistakes(fields: dict) -> None:
    with pytest.raises((ValidationError, RecipeError)):
        step(**fields)


def test_for_holes_small_clusters_get_what_they_lack() -> None:
    rows = batch(200)
    lack = [3.0] * 20 + [0.5] * 80 + [0.0] * 90 + [None] * 10
    rows = rows.append_column("cluster.lack", pa.array(lack))
    made = step(**{"for": "holes"}, copies=2, tries=4, max_similarity=1.0)(rows)
    written = [int(row["parent"][1:]) for row in derived(made)]
    assert sum(p < 20 for p in written) == 40  # two copies each at most
    assert 25 <= sum(20 <= p < 100 for p in written) <= 55
    assert max(written) < 100
    halves = [step(**{"for": "holes"}, copies=2, tries=4, max_similarity=1.0)(rows.slice(i, 100)) for i in (0, 100)]
    assert pa.Table.from_batches(halves).to_pylist() == made.to_pylist()
    with pytest.raises(RecipeError, match=r"cluster\.lack"):
        step(**{"for": "holes"})(batch(2))


def test_clusters_say_what_they_lack() -> None:
    table = pa.table(
        {
            "id": [f"{t}{i}" for t, n in (("a", 90), ("b", 30)) for i in range(n)],
            "text": ["red green blue"] * 90 + ["one two three"] * 30,
        }
    )
    made = Cluster(clusters=2, lack=True)(table).to_pandas()
    lacking = made.groupby(made.id.str[0])["cluster.lack"].first()
    assert lacking["a"] == 0
    assert lacking["b"] == 1.0  # 60 on average
