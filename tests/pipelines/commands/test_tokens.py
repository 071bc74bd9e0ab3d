"""`tokenizer` and `export` as they are typed; what they write is the matter of tests/pipelines/test_export.py."""

import hashlib
import json

import pytest

from tests.command import invoke, invoke_json
from tests.corpora import rows, write_recipe, write_shards

pytest.importorskip("tokenizers", reason="tokenizers is not installed (extra `tokens`)")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a dataset of plain documents, and a recipe of packed ones."""
    folder = tmp_path_factory.mktemp("built")
    write_shards(folder / "raw", rows(40), 2)
    assert invoke("run", write_recipe(folder, ["exact"]), "--workers", 1).exit_code == 0
    return folder


def test_a_tokenizer_is_told_with_its_digest_and_what_was_left_out(built, tmp_path):
    done = invoke("tokenizer", built / "recipe.yaml", "--vocab-size", 300, "--out", tmp_path / "t.json")
    assert done.exit_code == 0
    digest = hashlib.sha256((tmp_path / "t.json").read_bytes()).hexdigest()
    assert done.stdout == f"{tmp_path}/t.json is written: 300 tokens, SHA-256 {digest}\n"
    assert done.stderr == "Skipped exact: these steps need the whole corpus.\n"
    # of a dataset, all documents stand in the sample
    done = invoke("tokenizer", built / "out", "--vocab-size", 300, "--out", tmp_path / "d.json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = invoke_json(
        "tokenizer", built / "out", "--vocab-size", 300, "--out", tmp_path / "e.json", "--special", "<pad>"
    )
    assert found["tokens"] == 300


def test_a_tokenizer_of_private_text_says_so(tmp_path):
    write_shards(tmp_path / "raw", rows(40), 1)
    source = {"name": "calls", "path": "raw/*.parquet", "private": True, "columns": {"id": "id"}}
    path = write_recipe(tmp_path, ["clean"], sources=[source])
    done = invoke("tokenizer", path, "--vocab-size", 300, "--out", tmp_path / "t.json")
    assert done.exit_code == 0
    assert "text of the private source calls: no model can be trained privately with it" in done.stderr
    assert "t.json is written: 300 tokens" in done.stdout
    assert invoke_json("tokenizer", path, "--vocab-size", 300, "--out", tmp_path / "t.json")["private"] == ["calls"]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["tokenizer", "out", "--set", "seed=3"], 2, "--set goes with a recipe"),
        (["tokenizer", "recipe.yaml", "--vocab-size", 100], 2, "100 is not in the range x>=256"),
        (["tokenizer", "recipe.yaml", "--vocab-size", 257, "--special", "<a>", "--special", "<b>"], 78,
         "vocab_size: 257 is below 259, all bytes and the special tokens"),
        (["tokenizer", "none.yaml"], 78, "none.yaml: there is no such file"),
        (["tokenizer", "raw"], 1, "raw"),
        (["tokenizer", "out", "--vocab-size", 300, "--out", "recipe.yaml"], 78, "recipe.yaml exists and is another tokenizer"),
        (["tokenizer", "out", "--vocab-size", 300, "--out", "recipe.yaml/t"], 78, "cannot be written"),
        (["export", "out", "x", "--to", "parquet"], 2, "'parquet' is not one of"),
        (["export", "out", "x"], 2, "--to"),
        (["export", "out", "x", "--to", "mds", "--license", "MIT"], 2, "--license and --description go with --to croissant"),
        (["export", "out", "x", "--to", "croissant"], 1, "give it with --license, for example CC-BY-4.0"),
        (["export", "out", "x", "--to", "megatron"], 1, "end the recipe with `pack`"),
        (["export", "out", "raw", "--to", "mds"], 1, "raw is not empty"),
        (["export", "out", "x", "--to", "mds", "--snapshot", 9], 1, "has no snapshot 9"),
        (["export", "out", "x", "--to", "mds", "--snapshot", 0], 2, "--snapshot"),
        (["export", "none", "x", "--to", "mds"], 1, "none does not exist"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said_and_nothing_is_written(built, monkeypatch, args, code, said):
    monkeypatch.chdir(built)
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*") if p.is_file()}
    done = invoke(*args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert {p: p.stat().st_mtime_ns for p in built.rglob("*") if p.is_file()} == before


def test_an_export_counts_its_files_and_digests_them(built):
    found = invoke_json("export", built / "out", built / "croissant.json", "--to", "croissant", "--license", "MIT")
    (file,) = found["files"]
    assert (found["rows"], found["tokens"]) == (len(documents(built / "out")), 0)
    data = (built / "croissant.json").read_bytes()
    assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    said = invoke(
        "export", built / "out", built / "c.json", "--to", "croissant", "--license", "MIT", "--description", "It."
    )
    assert said.stdout.startswith(f"{built}/c.json is written: {found['rows']} rows (1 file, ")
    assert json.loads((built / "c.json").read_text())["description"] == "It."


def documents(out):
    import pyarrow.parquet as pq

    return [i for f in sorted((out / "data").glob("*.parquet")) for i in pq.read_table(f)["id"].to_pylist()]
