"""Steps called on data in memory give back the kind that they were given."""

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from corpusmill.transforms.clean.clean import Clean
from corpusmill.transforms.dedup.exact import Exact
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.length import Length
from corpusmill.transforms.filters.sample import Sample
from corpusmill.transforms.mix.mix import Mix
from corpusmill.transforms.noise.noise import Noise
from corpusmill.transforms.tokens.pack import Pack

TEXTS = ["cafÃ© au lait", "one", "cafÃ© au lait", "two words"]
COLUMNS = {"text": TEXTS, "n": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (pa.table, lambda t: t.to_pydict()),
        (pa.record_batch, lambda b: b.to_pydict()),
        (pd.DataFrame, lambda d: d.to_dict("list")),
        (pl.DataFrame, lambda d: d.to_dict(as_series=False)),
        (datasets.Dataset.from_dict, lambda d: d[:]),
    ],
    ids=["table", "batch", "pandas", "polars", "huggingface"],
)
def test_every_kind_of_step_gives_back_the_kind_of_table_that_came(make, read):
    given = make(COLUMNS)
    for step, wanted in (
        (Clean(), {"text": ["café au lait", "one", "café au lait", "two words"], "n": [1, 2, 3, 4]}),
        (Length(min_words=2), {"text": [TEXTS[0], TEXTS[2], TEXTS[3]], "n": [1, 3, 4]}),
        (Exact(), {"text": [TEXTS[0], TEXTS[1], TEXTS[3]], "n": [1, 2, 4]}),
    ):
        answer = step(given)
        assert type(answer) is type(given)
        assert read(answer) == wanted
    assert read(given) == COLUMNS


def test_a_list_of_texts_gives_texts():
    assert Clean()(TEXTS) == ["café au lait", "one", "café au lait", "two words"]
    assert Exact()(TEXTS) == [TEXTS[0], TEXTS[1], TEXTS[3]]
    assert [step([]) for step in (Clean(), Length(min_words=1), Exact(), Mix(), Noise(delete=0.1))] == [[]] * 5


def test_the_index_of_a_frame_stays_with_its_rows():
    assert Exact()(pd.DataFrame(COLUMNS, index=[*"abcd"])).index.tolist() == ["a", "b", "d"]


def test_draws_are_those_of_the_seed_and_the_id():
    texts = [f"text number {i}" for i in range(200)]
    half = Sample(fraction=0.5)
    assert half(texts, seed=1) == half(texts, seed=1) != half(texts, seed=2)
    assert half(texts[::-1], seed=1) == half(texts, seed=1)[::-1]


def test_a_mixture_repeats_and_leaves_out():
    table = pa.table({"text": [f"text {i}" for i in range(40)], "source": ["a"] * 30 + ["b"] * 10})
    mixed = Mix(weights={"a": 0.0, "b": 1.0}, unit="documents", budget=20)(table)
    assert mixed["source"].to_pylist() == ["b"] * 20
    assert sorted(mixed["epoch"].to_pylist()) == [0] * 10 + [1] * 10


def test_large_tables_pass_in_pieces_with_one_schema():
    table = pa.table({"text": [f"text {i}" for i in range(10_000)]})
    assert Noise(delete=0.2, copies=1, keep_unchanged=True)(table).num_rows == 20_000
    assert Exact()(pa.concat_tables([table, table])).num_rows == 10_000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (("a", "b"), "clean was given a builtins.tuple; give it a RecordBatch, a Table"),
        ([1], "clean was given a builtins.list"),
        (pa.table({"n": [1]}), "clean was given rows without `text` and `id`; they have: n"),
        (pa.table({"text": [1]}), "clean: the column `text` holds int64; cast it to string"),
        (pa.table({"id": ["a", None], "text": ["a", "b"]}), "clean: row 1 has no `id`"),
    ],
)
def test_what_cannot_be_taken_is_named(data, message):
    with pytest.raises(RecipeError) as caught:
        Clean()(data)
    assert str(caught.value).startswith(message)


def test_rows_of_tokens_are_no_list_of_texts(tmp_path):
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

    path = str(tmp_path / "tokenizer.json")
    train_tokenizer(
        pa.table({"id": [str(i) for i in range(80)], "text": TEXTS * 20}).to_batches(), path, vocab_size=270
    )
    pack = Pack(tokenizer=path, length=16)
    assert pack(pa.table(COLUMNS))["input_ids"].type.list_size == 16
    with pytest.raises(RecipeError, match="pack makes rows that are no texts; give it a Table"):
        pack(TEXTS)
