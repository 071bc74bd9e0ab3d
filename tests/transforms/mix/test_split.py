"""Splits are stable, keep groups together, and are obeyed by the steps and exports behind them."""

import json

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.mix.split import Split
from tests.command import invoke
from tests.corpora import rows, write_recipe, write_shards, write_tokenizer


def batch(n=2000, **columns):
    return pa.record_batch({"id": [f"d{i}" for i in range(n)], "text": ["文書"] * n, **columns})


def test_a_document_never_moves_whatever_else_is_there():
    step = Split(validation=0.1, test=0.1)
    whole = dict(zip(batch()["id"].to_pylist(), step(batch())["split"].to_pylist(), strict=True))
    part = step(batch().slice(500, 100))
    assert all(whole[i] == s for i, s in zip(part["id"].to_pylist(), part["split"].to_pylist(), strict=True))
    more = step.model_copy(update={"validation": 0.2})(batch())["split"].to_pylist()
    moved = {(a, b) for a, b in zip(whole.values(), more, strict=True) if a != b}
    assert moved == {("train", "validation")}


def test_documents_of_one_value_stay_together_and_copies_with_their_parent():
    users = [f"u{i % 50}" for i in range(2000)]
    found = Split(by="user", validation=0.3)(batch(user=users))["split"].to_pylist()
    assert len(set(zip(users, found, strict=True))) == 50
    assert 0.1 < np.mean([f == "validation" for f in found]) < 0.5
    derived = pa.record_batch({"id": ["copy"] * 400, "text": ["x"] * 400, "parent": [f"d{i}" for i in range(400)]})
    parents = Split(validation=0.3)(batch(400))["split"]
    assert Split(validation=0.3)(derived)["split"].equals(parents)


def test_a_column_decides_and_unknown_values_are_told():
    found = Split(column="part")(batch(3, part=["train", "dev", "test"]))
    assert found["split"].to_pylist() == ["train", "validation", "test"]
    with pytest.raises(RecipeError, match="d1 has `part` = other, which is in no split"):
        Split(column="part")(batch(2, part=["train", "other"]))
    with pytest.raises(RecipeError, match="no column `user`"):
        Split(by="user")(batch(1))
    with pytest.raises(RecipeError, match="leave nothing to train on"):
        Split(validation=0.5, test=0.5)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    docs = [d for d in rows(200) if d["text"].strip()]
    write_shards(tmp_path / "raw", docs, 2)
    write_tokenizer(tmp_path, docs)

    def made(**pack):
        steps = [{"split": {"validation": 0.2}}, {"pack": {"tokenizer": "tokenizer.json", "length": 64, **pack}}]
        return write_recipe(tmp_path, steps, output={"path": "out", "format": "arrow", "shard_bytes": 1 << 18})

    return made


def test_pack_that_mixes_splits_is_a_mistake_of_the_recipe(recipe):
    done = invoke("check", recipe())
    assert done.exit_code == 78
    assert "separate: split" in done.output
    assert invoke("check", recipe(separate="split")).exit_code == 0


def test_an_export_is_named_by_its_splits(recipe, tmp_path):
    done = invoke("run", recipe(separate="split"), "--workers", 1)
    assert done.exit_code == 0, done.output
    assert invoke("export", "out", "bin", "--to", "nanogpt").exit_code == 0
    names = {p.name for p in (tmp_path / "bin").iterdir()} - {"corpusmill-export.json", "SHA256SUMS"}
    assert names == {"train.bin", "val.bin"}
    tokens = {n: np.memmap(tmp_path / "bin" / n, np.uint16, "r") for n in names}
    assert len(tokens["train.bin"]) > len(tokens["val.bin"]) > 0
    assert invoke("export", "out", "meg", "--to", "megatron").exit_code == 0
    assert {p.name for p in (tmp_path / "meg").glob("*.idx")} == {
        "train-00000.idx",
        "train-00001.idx",
        "val-00000.idx",
        "val-00001.idx",
    }
    note = json.loads((tmp_path / "bin/corpusmill-export.json").read_text())
    assert note["format"] == "nanogpt"
