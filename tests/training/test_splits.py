"""Rows with a column `split`: trained on, measured, and told apart."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.training import build, commands
from corpusmill.training.data import Shards
from corpusmill.training.loop import train
from corpusmill.training.splits import Selected, note_of, split_rows
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError


def splits_of(n):
    """Every fifth row is for validation, every tenth for test."""
    return ["test" if i % 10 == 9 else "validation" if i % 5 == 2 else "train" for i in range(n)]


@pytest.fixture(scope="module")
def divided(tmp_path_factory, shards):
    """The shards with a column `split`."""
    folder = tmp_path_factory.mktemp("divided")
    for file in sorted(shards.glob("*.arrow")):
        table = pa.ipc.open_file(str(file)).read_all()
        table = table.append_column("split", pa.array(splits_of(len(table))).dictionary_encode())
        with pa.OSFile(str(folder / file.name), "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
            writer.write_table(table)
    (folder / "manifest.json").write_text((shards / "manifest.json").read_text())
    return folder


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary(tokenizer)


def test_rows_of_the_wanted_split_and_none_where_rows_are_not_divided():
    column = pa.chunked_array([["train", "test"], ["train"]])
    part, index = split_rows(column, ("validation", "test"), "x", must=True)
    assert (part, index.tolist()) == ("test", [1])
    assert split_rows(pa.array(["a", "train"]), ("train",), "x", must=True) is None
    assert split_rows(None, ("train",), "x", must=True) is None
    assert split_rows(column, ("validation",), "x", must=False) is None
    with pytest.raises(DatasetError, match=r"x: no row is of the split validation; there are train, test\."):
        split_rows(column, ("validation",), "x", must=True)
    assert note_of(column, "train", "x") == "x: the 2 rows of the split train are taken, not 1 of test."


def test_training_reads_the_split_train_and_measures_validation(make, divided, shards, vocabulary):
    settings = make(data__train=str(divided), steps=2)
    rows = Shards(divided)
    held = build.held_out(settings, vocabulary)
    taken = build.rows_of(str(divided), settings, vocabulary)
    assert isinstance(taken, Selected)
    wanted = [i for i, s in enumerate(rows.splits.to_pylist()) if s == "train"]
    assert taken.index.tolist() == wanted
    assert np.array_equal(taken.rows(np.array([5]))["input_ids"], rows.rows(np.array([wanted[5]]))["input_ids"])
    assert not set(held.index.tolist()) & set(wanted)

    result = train(settings)
    assert result["validation"]["targets"] > 0
    assert any("rows of the split train are taken, not" in note for note in result["notes"])
    seen = commands.evaluate(settings.output)
    assert (seen["split"], seen["trained_on"]) == ("validation", False)
    assert seen["loss"] == pytest.approx(result["validation"]["loss"])
    assert commands.evaluate(settings.output, split="test")["trained_on"] is False
    assert commands.evaluate(settings.output, split="train")["trained_on"] is True
    whole = commands.evaluate(settings.output, str(shards))
    assert (whole["split"], whole["trained_on"]) == (None, False)
    with pytest.raises(DatasetError, match="are not divided"):
        commands.evaluate(settings.output, str(shards), split="test")


def test_documents_with_a_column_split(make, vocabulary, tmp_path):
    table = pa.table({"text": [f"red fox {i}" for i in range(20)], "label": ["a", "b"] * 10, "split": splits_of(20)})
    path = tmp_path / "documents.parquet"
    pq.write_table(table, path)
    settings = make(data__train=str(path), objective__name="classification", model__kind="encoder")
    taken, held = build.rows_of(str(path), settings, vocabulary), build.held_out(settings, vocabulary, ["a", "b"])
    assert (taken.part, held.part) == ("train", "validation")
    assert taken.kept.tolist() == [i for i, s in enumerate(splits_of(20)) if s == "train"]
    assert held.kept.tolist() == [2, 7, 12, 17]
    assert held.labels.tolist() == [i % 2 for i in (2, 7, 12, 17)]
