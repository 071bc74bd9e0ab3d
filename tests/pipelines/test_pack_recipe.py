"""`pack` as the last step of a recipe: rows that trainers read, and what the snapshot says of them."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import examine, load
from corpusmill.pipelines.report.document import render_why
from corpusmill.pipelines.report.funnel import advice, total
from corpusmill.pipelines.report.html import page
from corpusmill.pipelines.report.snapshot import render_diff, render_show
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.tokens.tokenizer import load_tokenizer
from tests.corpora import rows, write_recipe, write_shards, write_tokenizer

LENGTH = 64
N = 300


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    pytest.importorskip("tokenizers", reason="HF tokenizers is not installed (extra `train`)")
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), rows(N))


def make(folder, tokenizer, steps=(), fields=None, form="arrow", count=N, shards=3, **options):
    if not (folder / "raw").exists():
        write_shards(folder / "raw", rows(count), shards)
    pack = {"pack": {"tokenizer": str(tokenizer), "length": LENGTH, **(fields or {})}}
    recipe = write_recipe(folder, [*steps, pack], output={"path": "out", "format": form, "shard_bytes": 1 << 18})
    return run(load(recipe), **options)


def read(folder) -> pa.Table:
    tables = []
    for f in Dataset(folder / "out").files():
        tables.append(
            pq.read_table(f) if f.endswith(".parquet") else pyarrow.ipc.open_file(pa.memory_map(f)).read_all()
        )
    return pa.concat_tables(tables)


@pytest.fixture(scope="module")
def packed(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("packed")
    return folder, make(folder, tokenizer, workers=1)


def test_every_document_is_in_the_rows_with_its_own_ids(packed, tokenizer):
    folder, result = packed
    encoder = load_tokenizer(str(tokenizer))
    eos = encoder.id_of("<|endoftext|>", "eos")
    found: dict[str, dict[int, list[int]]] = {}
    for row in read(folder).to_pylist():
        assert len(row["input_ids"]) == LENGTH
        for piece in row["documents"]:
            ids = row["input_ids"][piece["start"] : piece["start"] + piece["length"]]
            found.setdefault(piece["id"], {})[piece["offset"]] = ids
    texts = {d["id"]: d["text"] for d in rows(N)}
    for name, text in texts.items():
        _, ids = encoder.encode(pa.array([text]))
        whole = [t for _, part in sorted(found.get(name, {}).items()) for t in part]
        assert whole == ([*ids.tolist(), eos] if len(ids) else [])
    assert result.funnel["steps"][-1]["dropped"] == {"empty": N - len(found), "used": len(found)}


def test_the_manifest_names_the_tokenizer_and_the_cost(packed, tokenizer):
    folder, result = packed
    details = result.funnel["steps"][-1]["details"]
    table = read(folder)
    assert details["rows"] == table.num_rows == result.manifest["documents"]
    assert details["tokens"] == sum(table["n_tokens"].to_pylist())
    assert details["padding"] == table.num_rows * LENGTH - details["tokens"]
    import hashlib

    assert details["tokenizer"] == hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    assert "encoder" not in json.dumps(result.manifest)
    card = (folder / "out" / "README.md").read_text()
    assert f"{table.num_rows:,} rows of {details['tokens']:,} tokens" in card
    shown = render_show("out", result.manifest)
    assert f"tokens     {details['tokens']:,}" in shown
    assert details["tokenizer"] in shown
    assert not advice(result.funnel)
    assert f"{details['packed']} documents, in {details['rows']} rows" in total(result.funnel)
    assert Dataset(folder / "out").verify() == []
    assert "<html" in page(Dataset(folder / "out"), result.manifest)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_same_bytes_for_any_workers(packed, tokenizer, tmp_path, form):
    one = make(tmp_path / "one", tokenizer, form=form, workers=1)
    two = make(tmp_path / "two", tokenizer, form=form, workers=2)
    assert one.manifest["content"] == two.manifest["content"]
    assert one.manifest["schema"] == packed[1].manifest["schema"]
    assert [f["type"] for f in one.manifest["schema"] if f["name"] == "input_ids"] == [
        f"fixed_size_list<item: uint16>[{LENGTH}]"
    ]
    if form == "arrow":
        assert one.manifest["content"] == packed[1].manifest["content"]
    assert read(tmp_path / "one").equals(read(packed[0]))


def test_the_tokenizers_content_counts_and_not_its_place(packed, tokenizer, tmp_path):
    elsewhere = tmp_path / "other.json"
    elsewhere.write_bytes(tokenizer.read_bytes())
    assert make(tmp_path, elsewhere).manifest["work"] == packed[1].manifest["work"]


def test_datasets_and_torch_read_the_result(packed, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed (extra `hf`)")
    torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    folder, result = packed
    loaded = datasets.load_dataset(str(folder / "out"), split="train", cache_dir=str(tmp_path))
    assert loaded.num_rows == result.manifest["documents"]
    columns = ["input_ids", "segment_ids", "position_ids"]
    loader = torch.utils.data.DataLoader(
        loaded.select_columns(columns).with_format("torch"), batch_size=8, shuffle=True
    )
    seen = Counter()
    for batch in loader:
        assert batch["input_ids"].shape[1] == LENGTH
        sees = (batch["segment_ids"][:, :, None] == batch["segment_ids"][:, None, :]).tril()
        assert sees.shape[1:] == (LENGTH, LENGTH)
        seen["rows"] += len(batch["input_ids"])
        seen["tokens"] += int((batch["segment_ids"] > 0).sum())
    assert seen["rows"] == result.manifest["documents"]
    assert seen["tokens"] == result.funnel["steps"][-1]["details"]["tokens"]


def test_why_finds_a_document_in_its_rows(packed):
    folder, _ = packed
    dataset, table = Dataset(folder / "out"), read(folder)
    pieces = [(r["id"], p) for r in table.to_pylist() for p in r["documents"]]
    name = Counter(p["id"] for _, p in pieces).most_common(1)[0][0]
    why = dataset.why(name)
    mine = sorted((row, p["start"], p["length"], p["offset"]) for row, p in pieces if p["id"] == name)
    assert why["outcome"] == "packed"
    assert sorted((h["in"], h["start"], h["length"], h["offset"]) for h in why["history"]) == mine
    assert len(mine) > 1
    assert "packed into row" in render_why(why)
    row = dataset.why(table["id"][0].as_py())
    assert row["outcome"] == "row"
    assert row["history"][0]["documents"] == table["documents"][0].as_py()
    assert "packed from" in render_why(row)
    blank = next(d["id"] for d in rows(N) if not d["text"])
    assert [h["reason"] for h in dataset.why(blank)["history"]] == ["empty"]
    assert dataset.why("nobody")["outcome"] == "unknown"


def test_diff_compares_rows_and_refuses_rows_with_documents(tokenizer, tmp_path):
    make(tmp_path, tokenizer)
    write_shards(tmp_path / "raw", rows(20, seed=5), 1, first=9)
    make(tmp_path, tokenizer)
    dataset = Dataset(tmp_path / "out")
    diff = dataset.diff(1, 2)
    assert diff["removed"] == diff["changed"] == {}
    assert diff["added"]["rows"] == diff["documents"][1] - diff["documents"][0] > 0
    assert "rows" in render_diff(diff)
    make(tmp_path, tokenizer, fields={"bos": "<|endoftext|>", "eos": None})
    changed = Dataset(tmp_path / "out").diff(2, 3)
    assert sum(changed["changed"].values()) + sum(changed["added"].values()) > 0
    run(load(write_recipe(tmp_path, [])))
    with pytest.raises(DatasetError, match="packed rows and snapshot 4 documents"):
        Dataset(tmp_path / "out").diff(3, 4)


def test_behind_groups_and_a_mixture(tokenizer, tmp_path):
    mix = {"mix": {"budget": 2 * N, "unit": "documents", "shards": 2}}
    result = make(tmp_path, tokenizer, [{"exact": {}}, mix], workers=2)
    table = read(tmp_path)
    assert len(result.manifest["files"]) == 2
    pieces = Counter((p["id"], p["offset"]) for r in table["documents"].to_pylist() for p in r)
    assert set(pieces.values()) == {2, 3}
    # repeats of a document are not packed side by side
    together = [len(r) - len({p["id"] for p in r}) for r in table["documents"].to_pylist()]
    assert np.mean(together) < 0.1
    assert len(set(table["id"].to_pylist())) == table.num_rows
    assert Dataset(tmp_path / "out").verify() == []


def test_users_do_not_share_rows_where_asked(tokenizer, tmp_path):
    make(tmp_path, tokenizer, fields={"separate": "year"})
    table = read(tmp_path)
    years = {d["id"]: None if d["year"] is None else str(d["year"]) for d in rows(N)}
    for row in table.to_pylist():
        assert {years[p["id"]] for p in row["documents"]} == {row["year"]}


def test_empty_sources_and_empty_shards(tokenizer, tmp_path):
    for number, count in enumerate((0, 1, 2)):
        folder = tmp_path / str(number)
        result = make(folder, tokenizer, count=count, shards=4, fields={"separate": "year"})
        assert result.funnel["rows_in"] == count
        assert (result.manifest["documents"] > 0) == (count > 0)
        assert Dataset(folder / "out").verify() == []


def test_a_step_behind_pack_is_refused_with_its_line(tokenizer, tmp_path):
    write_shards(tmp_path / "raw", rows(3), 1)
    recipe = write_recipe(tmp_path, [{"pack": {"tokenizer": str(tokenizer)}}, {"exact": {}}])
    found, problems = examine(recipe)
    assert found is None
    (problem,) = problems
    assert problem.what == "`pack` makes rows that are no documents, but the step `exact` follows"
    assert problem.advice == "put `pack` last"
    assert recipe.read_text().splitlines()[problem.spot.line - 1].strip().startswith("- pack")


def test_a_missing_tokenizer_is_said_before_the_run(tmp_path):
    write_shards(tmp_path / "raw", rows(3), 1)
    with pytest.raises(RecipeError, match=r"no file or folder tokenizer\.json") as error:
        load(write_recipe(tmp_path, [{"pack": {"tokenizer": "tokenizer.json"}}]))
    assert "corpusmill tokenizer" in str(error.value)
