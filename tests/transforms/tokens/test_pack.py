"""Rows hold every token of every document once, whatever the order in which documents come."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.tokens.pack import Pack
from corpusmill.transforms.tokens.pack_report import PackReport
from corpusmill.transforms.tokens.tokenize import Tokenize
from tests.transforms.tokens.conftest import make_documents
from tests.transforms.tokens.test_tokenizer import reference


def run(step: Pack, batches: list[pa.RecordBatch], seed: int = 1) -> tuple[list[dict], PackReport]:
    report = PackReport()
    out = list(step.pack(batches, Keyed(seed, "pack"), report))
    report.check()
    for batch in out:
        batch.validate(full=True)
        assert batch.schema == step.row_schema()
    return pa.Table.from_batches(out, step.row_schema()).to_pylist(), report


def unpacked(rows: list[dict]) -> dict[str, list[int]]:
    """Tokens of each document, put together again from the rows."""
    pieces: dict[str, list[tuple[int, list[int]]]] = {}
    for row in rows:
        for piece in row["documents"]:
            tokens = row["input_ids"][piece["start"] : piece["start"] + piece["length"]]
            pieces.setdefault(piece["id"], []).append((piece["offset"], tokens))
    made = {}
    for name, parts in pieces.items():
        made[name] = []
        for offset, tokens in sorted(parts):
            assert offset == len(made[name])
            made[name] += tokens
    return made


@pytest.mark.parametrize("strategy", ["best-fit", "concatenate"])
@pytest.mark.parametrize("length", [8, 64, 1000])
def test_documents_come_out_as_they_went_in(
    tokenizer_path: str, documents: pa.RecordBatch, strategy: str, length: int
) -> None:
    rows, report = run(Pack(tokenizer=tokenizer_path, length=length, strategy=strategy, pad="<|pad|>"), [documents])
    coded = reference(tokenizer_path, documents.column("text").to_pylist())
    expected = {i: [*ids, 0] for i, ids in zip(documents.column("id").to_pylist(), coded) if ids}
    assert unpacked(rows) == expected
    assert len({row["id"] for row in rows}) == len(rows) == report.rows
    for row in rows:
        n = row["n_tokens"]
        assert row["input_ids"][n:] == [1] * (length - n)
        segments = [k + 1 for k, piece in enumerate(row["documents"]) for _ in range(piece["length"])]
        positions = [p for piece in row["documents"] for p in range(piece["length"])]
        assert row["segment_ids"] == segments + [0] * (length - n)
        assert row["position_ids"] == positions + [0] * (length - n)
    assert report.documents == 200
    assert report.packed == len(expected)
    assert report.dropped == {"empty": 200 - len(expected)}
    assert report.tokens == sum(map(len, expected.values()))
    assert report.tokens + report.padding == length * len(rows)
    pieces = [p["id"] for row in rows for p in row["documents"]]
    assert report.cut == sum(pieces.count(i) > 1 for i in expected)


@pytest.mark.parametrize("strategy", ["best-fit", "concatenate"])
def test_order_and_batches_of_a_shard_change_nothing(tokenizer_path: str, strategy: str) -> None:
    table = pa.Table.from_batches([make_documents(150, seed=5)])
    step = Pack(tokenizer=tokenizer_path, length=128, strategy=strategy)
    rows, _ = run(step, table.to_batches())
    for order in range(5):
        shuffled = table.take(np.random.default_rng(order).permutation(150))
        assert run(step, shuffled.to_batches(17))[0] == rows
    assert run(step, table.to_batches(), seed=2)[0] != rows


def test_best_fit_wastes_little_and_cuts_only_what_is_too_long(tokenizer_path: str) -> None:
    batch = make_documents(2000, seed=9, most=8)
    best, fit = run(Pack(tokenizer=tokenizer_path, length=256), [batch])
    _, joined = run(Pack(tokenizer=tokenizer_path, length=256, strategy="concatenate"), [batch])
    sizes = [len(ids) + 1 for ids in reference(tokenizer_path, batch.column("text").to_pylist()) if ids]
    assert fit.cut == sum(n > 256 for n in sizes)
    assert fit.waste < 0.02
    assert joined.waste <= 255 / joined.tokens
    assert joined.cut_share > 3 * fit.cut_share
    # rows do not come out longest document first
    firsts = [row["documents"][0]["length"] for row in best]
    assert abs(np.corrcoef(firsts, np.arange(len(firsts)))[0, 1]) < 0.2


def test_min_fill_drops_rows_and_says_which_documents_went(tokenizer_path: str) -> None:
    texts = {"long": "shard " * 40, "short": "shard", "empty": ""}
    batch = pa.record_batch({"id": list(texts), "text": list(texts.values()), "source": ["s"] * 3})
    size = len(reference(tokenizer_path, [texts["long"]])[0]) + 1
    length = size - 1  # one token of the long document is left for the second row
    rows, report = run(Pack(tokenizer=tokenizer_path, length=length, min_fill=0.9), [batch])
    assert [row["n_tokens"] for row in rows] == [length]
    assert report.dropped == {"empty": 1, "min-fill": 1}
    assert (report.packed, report.cut, report.shortened) == (1, 1, 1)
    ledger = report.ledger().sort_by("id").to_pylist()
    assert [(r["id"], r["source"], r["reason"]) for r in ledger] == [
        ("empty", "s", "empty"),
        ("short", "s", "min-fill"),
    ]
    assert ledger[1]["value"] == report.lost_tokens - 1
    assert ledger[1]["bytes"] == 5


def test_ids_of_an_earlier_step_are_used(tokenizer_path: str, documents: pa.RecordBatch) -> None:
    step = Pack(tokenizer=tokenizer_path, length=100)
    coded = Tokenize(tokenizer=tokenizer_path)(documents)
    assert run(step, [coded])[0] == run(step, [documents])[0]
    assert run(step, [coded.slice(3, 50)])[0] == run(step, [documents.slice(3, 50)])[0]
    foreign = pa.record_batch({"id": ["a"], "input_ids": pa.array([[1, 2, 70_000]], pa.list_(pa.int32()))})
    with pytest.raises(RecipeError, match=r"run from 1 to 70000, but .* has 500 tokens"):
        run(step, [foreign])


def test_a_window_bounds_what_is_packed_together(tokenizer_path: str) -> None:
    table = pa.Table.from_batches([make_documents(400, seed=11)])
    rows, report = run(Pack(tokenizer=tokenizer_path, length=64, window_tokens=1024), table.to_batches(20))
    whole, all_at_once = run(Pack(tokenizer=tokenizer_path, length=64), table.to_batches(20))
    assert unpacked(rows) == unpacked(whole)
    assert report.documents == all_at_once.documents == 400
    assert report.rows >= all_at_once.rows


@pytest.mark.parametrize("strategy", ["best-fit", "concatenate"])
def test_empty_blank_and_single_documents(tokenizer_path: str, strategy: str) -> None:
    step = Pack(tokenizer=tokenizer_path, length=16, strategy=strategy)
    schema = pa.schema({"id": pa.string(), "text": pa.string(), "source": pa.string()})
    assert run(step, [])[0] == []
    assert run(step, [empty_batch(schema)])[0] == []
    none = pa.record_batch({"id": ["a", "b"], "text": pa.array(["", None], pa.string())})
    rows, report = run(step, [none])
    assert (rows, report.dropped) == ([], {"empty": 2})
    one, report = run(step, [pa.record_batch({"id": ["a"], "text": [" "]})])
    assert (len(one), report.packed) == (1, 1)
    assert step(none).num_rows == 0
    assert step(none).schema == step.row_schema()


def test_without_eos_or_segments(tokenizer_path: str) -> None:
    step = Pack(tokenizer=tokenizer_path, length=16, eos=None, segments=False)
    rows, _ = run(step, [pa.record_batch({"id": ["a"], "text": ["shard"]})])
    assert list(rows[0]) == ["id", "input_ids", "n_tokens", "documents"]
    assert rows[0]["input_ids"][: rows[0]["n_tokens"]] == reference(tokenizer_path, ["shard"])[0]


def test_chinese_and_japanese_come_back(tokenizer_path: str) -> None:
    from corpusmill.transforms.tokens.tokenizer import load_tokenizer

    texts = {"zh": "每个快照都是不可变的。" * 9, "ja": "スナップショットからなります。" * 9}
    rows, _ = run(
        Pack(tokenizer=tokenizer_path, length=24), [pa.record_batch({"id": list(texts), "text": list(texts.values())})]
    )
    tokenizer = load_tokenizer(tokenizer_path)
    assert {i: tokenizer.decode(np.array(ids)) for i, ids in unpacked(rows).items()} == texts


def test_mistakes_name_the_field(tokenizer_path: str, documents: pa.RecordBatch) -> None:
    with pytest.raises(RecipeError, match=r"pack.eos: '</s>'"):
        Pack(tokenizer=tokenizer_path, eos="</s>")(documents)
    with pytest.raises(BadFileError, match="train one with"):
        Pack(tokenizer="absent.json")(documents)


def test_fields_enter_the_fingerprint(tokenizer_path: str) -> None:
    assert Pack(tokenizer=tokenizer_path).fingerprint() != Pack(tokenizer=tokenizer_path, length=512).fingerprint()
    assert Pack(tokenizer="a.json").files() == ["a.json"]


@pytest.mark.parametrize("strategy", ["best-fit", "concatenate"])
def test_documents_of_different_users_share_no_row(tokenizer_path: str, strategy: str) -> None:
    batch = make_documents(120, seed=7, most=10)
    users = [None if i % 10 == 9 else f"u{i % 10}" for i in range(120)]
    table = pa.table({**dict(zip(batch.schema.names, batch.columns)), "user": pa.array(users)})
    step = Pack(tokenizer=tokenizer_path, length=64, strategy=strategy, separate="user")
    rows, report = run(step, table.to_batches(30))
    owner = dict(zip(table["id"].to_pylist(), users))
    for row in rows:
        assert {owner[piece["id"]] for piece in row["documents"]} == {row["user"]}
    together, _ = run(Pack(tokenizer=tokenizer_path, length=64, strategy=strategy), table.to_batches())
    assert unpacked(rows) == unpacked(together)
    assert report.rows >= len(together)
    # users are mixed in the shard, and the order of documents changes nothing
    assert len({row["user"] for row in rows[:15]}) > 4
    shuffled = table.take(np.random.default_rng(0).permutation(120))
    assert run(step, shuffled.to_batches(11))[0] == rows
    # what one user has moves no row of another
    without, _ = run(step, table.filter(pa.array([u != "u3" for u in users])).to_batches())
    assert [row for row in rows if row["user"] != "u3"] == without


def test_a_shard_of_many_windows_keeps_users_apart(tokenizer_path: str) -> None:
    batch = make_documents(400, seed=11)
    table = pa.table({**dict(zip(batch.schema.names, batch.columns)), "user": [f"u{i % 9}" for i in range(400)]})
    step = Pack(tokenizer=tokenizer_path, length=64, window_tokens=1024, separate="user")
    rows, _ = run(step, table.to_batches(20))
    assert sum(len(r["input_ids"]) for r in rows) > 4 * 1024
    without, _ = run(step, table.filter(pc.not_equal(table["user"], "u3")).to_batches(20))
    assert [row for row in rows if row["user"] != "u3"] == without


def test_separate_must_be_a_column_of_the_documents(tokenizer_path: str, documents: pa.RecordBatch) -> None:
    with pytest.raises(RecipeError, match="no column 'user'; they have id, text, source"):
        Pack(tokenizer=tokenizer_path, separate="user")(documents)
    with pytest.raises(RecipeError, match="of their own"):
        Pack(tokenizer=tokenizer_path, separate="id")


@pytest.mark.parametrize("strategy", ["best-fit", "concatenate"])
def test_a_document_repeated_as_in_several_epochs_makes_rows_of_different_ids(
    tokenizer_path: str, strategy: str
) -> None:
    batch = pa.record_batch({"id": ["a"] * 5, "text": ["shard " * 50] * 5})
    rows, report = run(Pack(tokenizer=tokenizer_path, length=16, strategy=strategy), [batch])
    assert len({row["id"] for row in rows}) == len(rows)
    assert report.packed == 5


def test_takedown_finds_every_token_of_a_document(tokenizer_path: str, documents: pa.RecordBatch) -> None:
    step = Pack(tokenizer=tokenizer_path, length=48)
    table = pa.Table.from_batches(list(step.pack([documents], Keyed(1, "pack"))))
    wanted = "doc-17"
    text = documents.column("text")[17].as_py()
    named = [any(piece["id"] == wanted for piece in row) for row in table["documents"].to_pylist()]
    found = [r for r, n in zip(table.to_pylist(), named) if n]
    pieces = [
        (p["offset"], r["input_ids"][p["start"] : p["start"] + p["length"]])
        for r in found
        for p in r["documents"]
        if p["id"] == wanted
    ]
    assert [t for _, part in sorted(pieces) for t in part] == [*reference(tokenizer_path, [text])[0], 0]
