"""What holds of every transform of this folder."""

import random

import pyarrow as pa
import pytest

from corpusmill.transforms.base import Group
from corpusmill.transforms.dedup.exact import Exact
from corpusmill.transforms.dedup.lines import Lines
from corpusmill.transforms.dedup.minhash import Minhash
from corpusmill.transforms.dedup.paragraphs import Paragraphs
from corpusmill.transforms.dedup.substring import Substring
from corpusmill.transforms.errors import RecipeError
from tests.transforms.dedup.harness import cut, documents, run

GROUPS = [
    Exact(),
    Exact(normalize="words", keep="longest"),
    Minhash(),
    Minhash(verify=False, ngram=2),
    Lines(min_words=2),
    Paragraphs(min_words=2),
    Substring(min_bytes=20),
    Substring(min_bytes=20, keep_first=False),
]
ALL = pytest.mark.parametrize("group", GROUPS, ids=lambda g: f"{g.name}-{g.fingerprint()[:4]}")


@ALL
def test_no_rows_one_document_and_more_shards_than_documents(group: Group) -> None:
    empty = documents([])
    assert run(group, cut(empty)).kept == []
    assert run(group, cut(empty, 3), 4).kept == []
    one = documents(["just one document, with a few words in it"])
    assert run(group, cut(one)).shards[0].equals(one)
    assert run(group, cut(one, 5), 3).kept == ["d00000"]


@ALL
def test_empty_blank_and_no_word_documents_never_drop_others(group: Group) -> None:
    texts = ["", " ", "\n\n", "!!!", "\u3000", "a", "some words that stay", "🙂"]
    got = run(group, cut(documents(texts), 2), 2)
    assert {"d00005", "d00006", "d00007", "d00003"} <= set(got.kept)
    for dropped, (_, _, survivor) in got.dropped.items():
        assert not texts[int(dropped[1:])].strip()
        assert not texts[int(survivor[1:])].strip()  # type: ignore[index]


def mixed_corpus() -> pa.Table:
    rng = random.Random(11)
    pool = [
        " ".join(rng.choice(["alpha", "beta", "gamma", "重复", "文本", "かな"]) for _ in range(9)) for _ in range(25)
    ]
    texts = ["\n\n".join(rng.sample(pool, rng.randrange(1, 5))) for _ in range(70)]
    texts += rng.sample(texts, 20) + ["", " ", "!"] * 2
    return documents(texts, extra=list(range(len(texts))))


@ALL
def test_the_same_in_20_orders_shards_batches_and_partitions(group: Group) -> None:
    table = mixed_corpus()
    expected = run(group, cut(table))
    assert expected.dropped or expected.documents["text"] != table["text"]
    for seed in range(20):
        got = run(group, cut(table, 1 + seed % 6, 1 + 9 * (seed % 5), seed), 1 + seed % 8, shuffle=seed)
        assert got.documents == expected.documents
        assert repr(sorted(got.dropped.items())) == repr(sorted(expected.dropped.items()))  # nan is nan there


@ALL
def test_unique_documents_lose_nothing_and_columns_pass_through(group: Group) -> None:
    rng = random.Random(12)
    texts = [" ".join(f"{rng.random()}" for _ in range(12)) for _ in range(400)]
    table = documents(texts, user=[f"u{i}" for i in range(400)])
    got = run(group, cut(table, 3), 2)
    assert got.documents == table


@ALL
def test_duplicates_in_different_shards_are_found(group: Group) -> None:
    rng = random.Random(13)
    text = " ".join(str(rng.random()) for _ in range(20))
    got = run(group, [cut(documents([text], [name]))[0] for name in ("a", "b", "c")], 3)
    assert len(got.kept) <= 1
    assert set(got.dropped) >= {"b", "c"}


@ALL
def test_a_missing_column_is_a_recipe_error_in_the_first_round(group: Group) -> None:
    step = group.model_copy(update={"keep": "newest"})
    with pytest.raises(RecipeError, match=f"{group.name}: `keep: newest` needs a column `created`"):
        run(step, cut(documents(["a"])))


@ALL
def test_a_recipe_describes_every_field(group: Group) -> None:
    for name, field in type(group).model_fields.items():
        assert field.description, name
