"""Documents to fine-tune on: read from any format alike, and wrong ones said by file, row and column."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.training.finetune.documents import Documents, is_documents, read_table
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import BadFileError, DatasetError, RecipeError

ROWS = [{"text": "the red fox", "label": "a"}, {"text": "a blue hill", "label": "b"}]


def lines(path, rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    return str(path)


@pytest.fixture
def vocabulary(tokenizer):
    return Vocabulary(tokenizer)


def test_strings_that_look_like_dates_and_long_lines_stay_as_they_are(tmp_path):
    rows = [
        {"label": "2020-01-01", "text": "x" * 3_000_000, "at": "2020-01-01 10:00:00"},
        {"label": "2021-02-03", "text": "y"},
    ]
    found = read_table(lines(tmp_path / "a.jsonl", rows))
    assert found.column_names == ["label", "text", "at"]
    assert found["label"].to_pylist() == ["2020-01-01", "2021-02-03"]
    assert found["at"].to_pylist() == ["2020-01-01 10:00:00", None]
    assert [len(t) for t in found["text"].to_pylist()] == [3_000_000, 1]


def test_a_label_that_is_missing_is_no_class(make, vocabulary, tmp_path):
    settings = make(objective__name="classification")
    file = lines(tmp_path / "a.jsonl", [*ROWS, {"text": "seven", "label": None}])
    with pytest.raises(DatasetError, match=r"a\.jsonl: row 3 has no label\. Remove rows without one, or label them\."):
        Documents(file, settings, vocabulary)
    found = Documents(lines(tmp_path / "b.jsonl", ROWS), settings, vocabulary)
    assert (found.classes, found.labels.tolist()) == (["a", "b"], [0, 1])


def test_held_out_labels_must_be_among_those_trained_on(make, vocabulary, tmp_path):
    file = lines(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(DatasetError, match="labels b are not among the 1 trained on"):
        Documents(file, make(objective__name="classification"), vocabulary, ["a"])
    assert Documents(file, make(objective__name="classification"), vocabulary, ["b", "x", "a"]).labels.tolist() == [
        2,
        0,
    ]


def test_columns_of_other_names(make, vocabulary, tmp_path):
    rows = [{"body": r["text"], "kind": r["label"]} for r in ROWS]
    file = lines(tmp_path / "a.jsonl", rows)
    named = make(objective__name="classification", data__columns={"text": "body", "label": "kind"})
    plain = Documents(lines(tmp_path / "b.jsonl", ROWS), make(objective__name="classification"), vocabulary)
    assert Documents(file, named, vocabulary).digest == plain.digest
    with pytest.raises(
        RecipeError, match=r"classification needs a column text\. Name it in data\.columns: \{text: YOURS\}"
    ):
        Documents(file, make(objective__name="classification"), vocabulary)
    with pytest.raises(RecipeError, match=r"data\.columns\.text: .*a\.jsonl has no column bdy, but body, kind\."):
        Documents(file, make(objective__name="classification", data__columns={"text": "bdy"}), vocabulary)
    with pytest.raises(RecipeError, match="text-to-text needs a column target"):
        Documents(lines(tmp_path / "c.jsonl", ROWS), make(objective__name="text-to-text"), vocabulary)


@pytest.mark.parametrize(
    ("name", "data", "error", "said"),
    [
        ("a.parquet", b"PAR1 no", BadFileError, r"is no readable Parquet file.*mend the file"),
        ("a.arrow", b"ARROW1 no", BadFileError, r"is no readable Arrow file"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', BadFileError, r"line 2 cannot be read: not-json"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, name, data, error, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=rf"{name}: {said}"):
        read_table(str(tmp_path / name))


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "jsonl"])
def test_a_file_that_is_not_there(tmp_path, suffix):
    with pytest.raises(DatasetError, match=r"none.*: there is no such file of documents"):
        read_table(str(tmp_path / f"none.{suffix}"))


def test_no_documents_are_an_error(make, vocabulary, tmp_path):
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}), tmp_path / "a.parquet"
    )
    with pytest.raises(DatasetError, match=r"a\.parquet: holds no documents"):
        Documents(str(tmp_path / "a.parquet"), make(objective__name="classification"), vocabulary)


def test_a_stream_of_arrow_is_read_as_a_file_of_it(tmp_path):
    table = pa.table({"text": ["a"]})
    for kind in (pa.ipc.new_file, pa.ipc.new_stream):
        with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as f, kind(f, table.schema) as writer:
            writer.write_table(table)
        assert read_table(str(tmp_path / "a.arrow")).equals(table)


def test_documents_are_files_and_datasets_of_text(tmp_path, shards):
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.run import run
    from tests.corpora import rows, write_recipe
    from tests.corpora import write_shards as write_raw

    assert all(is_documents(f"a.{s}") for s in ("parquet", "jsonl", "arrow"))
    assert not is_documents("a.txt")
    assert not is_documents(str(shards))
    assert not is_documents(str(tmp_path))
    for n in (10, 20):
        write_raw(tmp_path / "raw", rows(n), 1)
        run(load(write_recipe(tmp_path, [])), workers=1)
    out = str(tmp_path / "out")
    assert is_documents(out)
    assert [len(read_table(out, n)) for n in (None, 1, 2)] == [20, 10, 20]


def test_a_column_that_is_no_text_is_told(make, vocabulary, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": {"a": 1}, "label": "x"}\n')
    with pytest.raises(DatasetError, match=r"a\.jsonl: the column text is struct<a: int64>, not text"):
        Documents(str(tmp_path / "a.jsonl"), make(objective__name="classification"), vocabulary)
