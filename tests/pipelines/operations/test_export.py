"""`corpusmill tokenizer` and `corpusmill export`: from a recipe to the files that trainers and catalogues read."""

import json
import struct
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
from click.testing import CliRunner

from corpusmill.pipelines.commands.documents import look
from corpusmill.pipelines.commands.snapshots import show
from corpusmill.pipelines.commands.tokens import export as export_verb
from corpusmill.pipelines.commands.tokens import tokenizer as tokenizer_verb
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.export import export
from corpusmill.pipelines.operations.train_tokenizer import train
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError, LockedError, RecipeError
from corpusmill.transforms.tokens.formats import write_shard
from corpusmill.transforms.tokens.tokenizer import load_tokenizer
from tests.corpora import rows, write_recipe, write_shards

pytest.importorskip("tokenizers", reason="HF tokenizers is not installed (extra `train`)")

STEPS = [
    {"exact": {}},
    {"mix": {"shards": 2}},
    {"pack": {"tokenizer": "made/tok.json", "length": 32, "pad": "<|pad|>"}},
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    write_shards(folder / "raw", rows(150), 3)
    recipe = write_recipe(folder, STEPS)
    made = train(str(recipe), vocab_size=400)
    run(load(recipe))
    return folder, made


def table_of(folder) -> pa.Table:
    return pa.concat_tables(pyarrow.ipc.open_file(pa.memory_map(f)).read_all() for f in Dataset(folder / "out").files())


def parquet_of(folder) -> pa.Table:
    import pyarrow.parquet as pq

    return pa.concat_tables(pq.read_table(f) for f in Dataset(folder / "out").files())


def tokens_of(table: pa.Table) -> list[list[int]]:
    return [r["input_ids"][: r["n_tokens"]] for r in table.select(["input_ids", "n_tokens"]).to_pylist()]


def test_a_tokenizer_is_trained_for_the_recipe_that_names_it(packed):
    folder, made = packed
    assert made["path"].endswith("made/tok.json")
    assert made["left_out"] == ["exact", "mix"]
    trained = load_tokenizer(made["path"])
    assert trained.vocab_size == made["tokens"] == 400
    assert trained.digest == made["sha256"]
    assert [trained.id_of(t, "x") for t in ("<|endoftext|>", "<|pad|>")] == [0, 1]
    # again: the same bytes, and another tokenizer is not put in its place
    assert train(str(folder / "recipe.yaml"), vocab_size=400) == made
    with pytest.raises(RecipeError, match="is another tokenizer"):
        train(str(folder / "recipe.yaml"), vocab_size=300)
    assert sorted(p.name for p in (folder / "made").iterdir()) == ["tok.json", "tok.json.origin.json"]


def test_a_tokenizer_is_trained_on_a_dataset(tmp_path):
    write_shards(tmp_path / "raw", rows(60), 2)
    run(load(write_recipe(tmp_path, [])))
    one = train(str(tmp_path / "out"), 300, str(tmp_path / "a.json"), special=("<mask>",))
    assert load_tokenizer(one["path"]).id_of("<mask>", "x") == 1
    with pytest.raises(RecipeError, match="vocab_size"):
        train(str(tmp_path / "out"), 256, str(tmp_path / "b.json"))


def test_megatron_and_nanogpt_hold_the_tokens(packed, tmp_path):
    folder, _ = packed
    dataset, expected = Dataset(folder / "out"), tokens_of(parquet_of(folder))
    made = export(dataset, "megatron", str(tmp_path / "mega"))
    found = []
    for stem in sorted(p.with_suffix("") for p in (tmp_path / "mega").glob("*.bin")):
        head = stem.with_suffix(".idx").read_bytes()
        assert head[:9] == b"MMIDIDX\x00\x00"
        count = struct.unpack("<QBQQ", head[9:34])[2]
        sizes = np.frombuffer(head[34 : 34 + 4 * count], "<i4")
        data = np.fromfile(stem.with_suffix(".bin"), "<u2")
        found += [part.tolist() for part in np.split(data, np.cumsum(sizes)[:-1])]
    assert found == expected
    assert (made.rows, made.tokens) == (len(expected), sum(map(len, expected)))
    export(dataset, "nanogpt", str(tmp_path / "nano"))
    data = np.concatenate([np.fromfile(p, "<u2") for p in sorted((tmp_path / "nano").glob("*.bin"))])
    assert data.tolist() == [t for row in expected for t in row]


def test_mds_has_an_index_over_all_shards(packed, tmp_path):
    folder, _ = packed
    made = export(Dataset(folder / "out"), "mds", str(tmp_path / "mds"))
    index = json.loads((tmp_path / "mds" / "index.json").read_text())
    assert sum(s["samples"] for s in index["shards"]) == made.rows == parquet_of(folder).num_rows
    names = [s["raw_data"]["basename"] for s in index["shards"]]
    assert names == sorted(names) == ["part-00000.00000.mds", "part-00001.00000.mds"]
    assert sorted(p.name for p in (tmp_path / "mds").iterdir()) == [
        "SHA256SUMS",
        "corpusmill-export.json",
        "index.json",
        *names,
    ]


def test_croissant_is_valid_and_reads_only_the_snapshot(tmp_path):
    write_shards(tmp_path / "raw", rows(40), 1)
    run(load(write_recipe(tmp_path, [])))
    write_shards(tmp_path / "raw", rows(50, seed=3), 1)
    run(load(write_recipe(tmp_path, [])))
    out = tmp_path / "out"
    made = export(Dataset(out), "croissant", str(out), license="CC-BY-4.0")
    text = json.loads((out / "croissant.json").read_text())
    assert text["version"] == "2.0.0"
    assert made.rows == 50
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    dataset = croissant.Dataset(jsonld=str(out / "croissant.json"))
    assert not dataset.metadata.issues.errors
    ids = [r["rows/id"] for r in dataset.records("rows")]
    assert sorted(i.decode() if isinstance(i, bytes) else i for i in ids) == sorted(d["id"] for d in rows(50, seed=3))
    # what it adds is no shard: other readers are not disturbed
    assert Dataset(out).verify() == []


def test_what_cannot_be_exported_is_said(packed, tmp_path):
    folder, _ = packed
    dataset = Dataset(folder / "out")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(DatasetError, match="is not empty"):
        export(dataset, "mds", str(tmp_path / "used"))
    with pytest.raises(DatasetError, match="--license"):
        export(dataset, "croissant", str(folder / "out"))
    with pytest.raises(DatasetError, match="below its own folder"):
        export(dataset, "croissant", str(tmp_path / "c.json"), license="MIT")
    write_shards(tmp_path / "raw", rows(5), 1)
    run(load(write_recipe(tmp_path, [])))
    with pytest.raises(DatasetError, match="end the recipe with `pack`"):
        export(Dataset(tmp_path / "out"), "megatron", str(tmp_path / "m"))


def test_the_verbs(packed, tmp_path):
    folder, made = packed
    call = CliRunner().invoke
    said = call(tokenizer_verb, [str(folder / "recipe.yaml"), "--vocab-size", "400", "--json"])
    assert (said.exit_code, json.loads(said.output)) == (0, made)
    said = call(export_verb, [str(folder / "out"), str(tmp_path / "nano"), "--to", "nanogpt"])
    assert said.exit_code == 0
    assert "tokens (1 file, " in said.output
    assert call(export_verb, [str(folder / "out"), "x", "--to", "mds", "--license", "MIT"]).exit_code == 2
    said = call(show, [str(folder / "out")])
    assert "mixture by bytes" in said.output
    assert "of the rows is padding" in said.output
    write_shards(tmp_path / "raw", rows(30), 1)
    recipe = write_recipe(tmp_path, [{"noise": {"delete": 0.3}}])
    said = call(look, [str(recipe), "--step", "noise", "-n", "1", "--json"])
    (document,) = json.loads(said.output)["documents"]
    assert document["before"] != document["after"]
    run(load(recipe))
    said = call(look, [str(tmp_path / "out"), "-n", "2"])
    assert said.exit_code == 0
    assert "[-" in said.output
    assert "\x1b" not in said.output
    assert call(look, [str(recipe), "--snapshot", "1"]).exit_code == 2


@pytest.mark.slow
def test_the_demo_recipe_from_documentation_to_a_data_loader(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed (extra `hf`)")
    torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    recipe = tmp_path / "training.yaml"
    recipe.write_bytes(files("corpusmill.pipelines").joinpath("recipes/training.yaml").read_bytes())
    small = [f"sources.{name}.limit=15" for name in ("licences", "metadata", "manuals")]
    train(str(recipe), vocab_size=500, overrides=small)
    result = run(load(recipe, [*small, "steps.pack.length=128"]))
    assert [s["name"] for s in result.funnel["steps"]] == ["clean", "exact", "noise", "mix", "pack"]
    loaded = datasets.load_dataset(str(tmp_path / "out/training"), split="train", cache_dir=str(tmp_path / "cache"))
    loader = torch.utils.data.DataLoader(loaded.select_columns(["input_ids"]).with_format("torch"), batch_size=16)
    shapes = [tuple(batch["input_ids"].shape) for batch in loader]
    assert sum(n for n, _ in shapes) == result.manifest["documents"] > 0
    assert {length for _, length in shapes} == {128}


@pytest.mark.parametrize("to", ["nanogpt", "megatron", "mds"])
def test_a_killed_export_leaves_no_folder_and_the_same_command_goes_on(packed, tmp_path, monkeypatch, to):
    folder, _ = packed
    dataset, out = Dataset(folder / "out"), tmp_path / "exp"
    export(dataset, to, str(tmp_path / "whole"))
    written = []

    def killed_at_the_second(form, batches, stem, schema):
        if len(written) == 1:
            (tmp_path / "exp.partial" / ".tmp-1").write_bytes(b"a part")
            raise KeyboardInterrupt
        written.append(stem)
        return write_shard(form, batches, stem, schema)

    with monkeypatch.context() as patched:
        patched.setattr("corpusmill.pipelines.operations.export.write_shard", killed_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            export(dataset, to, str(out))
    assert not out.exists()
    with pytest.raises(DatasetError, match=r"exp\.partial holds a part of another export"):
        export(dataset, "mds" if to != "mds" else "nanogpt", str(out))
    again = []
    with monkeypatch.context() as patched:
        patched.setattr(
            "corpusmill.pipelines.operations.export.write_shard", lambda *a: again.append(a[2]) or write_shard(*a)
        )
        made = export(dataset, to, str(out))
    assert [p.rpartition("/")[2] for p in again] == ["part-00001"]
    assert not (tmp_path / "exp.partial").exists()
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir()
    }
    assert all((out / f.path.rpartition("/")[2]).exists() for f in made.files)


def test_a_shard_that_was_damaged_meanwhile_is_written_again(packed, tmp_path, monkeypatch):
    folder, _ = packed
    dataset, out = Dataset(folder / "out"), tmp_path / "exp"
    with monkeypatch.context() as patched:
        patched.setattr("corpusmill.pipelines.operations.export.finish", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export(dataset, "nanogpt", str(out))
    shard = tmp_path / "exp.partial" / "part-00000.bin"
    good = shard.read_bytes()
    shard.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    export(dataset, "nanogpt", str(out))
    assert (out / "train.bin").read_bytes().startswith(good)


def test_two_exports_to_one_folder_exclude_each_other(packed, tmp_path):
    import fcntl

    folder, _ = packed
    (tmp_path / "exp.partial").mkdir()
    with (tmp_path / "exp.partial" / "export.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="another process writes this export"):
            export(Dataset(folder / "out"), "nanogpt", str(tmp_path / "exp"))
    export(Dataset(folder / "out"), "nanogpt", str(tmp_path / "exp"))
