"""The first rows of each source: absent columns and unknown formats are found before anything runs."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.recipe.model import load, loads
from corpusmill.pipelines.recipe.source_checks import guess_columns, notes
from corpusmill.pipelines.recipe.starter import starter
from corpusmill.transforms.errors import RecipeError
from tests.corpora import write_recipe

ROW = {"url": "https://a/1", "content": "some words", "lang": "en"}


@pytest.fixture
def folder(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.jsonl").write_text(json.dumps(ROW) + "\n")
    (raw / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROW).encode() + b"\n"))
    pq.write_table(pa.table({name: [value] for name, value in ROW.items()}), raw / "c.parquet")
    (raw / "d.bin").write_bytes(b"\x00\x01")
    (raw / "empty.jsonl").write_text("")
    (raw / "broken.parquet").write_bytes(b"PAR1 broken")
    (raw / "README.md").write_text("about")
    return tmp_path


def mistakes(folder, **source):
    path = write_recipe(folder, [], sources=[{"name": "raw", **source}])
    try:
        load(path)
    except RecipeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("file", ["a.jsonl", "b.jsonl.gz", "c.parquet", "*.parquet", "{a,b}.jsonl*"])
def test_an_absent_text_column_is_named_with_those_that_are_there(folder, file):
    if file == "*.parquet":
        (folder / "raw/broken.parquet").unlink()
    said = mistakes(folder, path=f"raw/{file}")
    assert "has no column `text`" in said
    assert "it has: content, lang, url; name the column with the text, as in `columns: {text: content}`" in said
    assert mistakes(folder, path=f"raw/{file}", columns={"text": "content"}) == ""


def test_each_absent_column_is_a_mistake_at_its_place(folder):
    said = mistakes(folder, path="raw/c.parquet", columns={"text": "contents", "user": "usr"}, keep=["lang", "x"])
    assert "has no column `contents`" in said
    assert "did you mean `content`?" in said
    assert "has no column `usr`" in said
    assert "has no column `x`" in said
    assert said.endswith("3 mistakes in the recipe")


def test_rows_of_json_may_lack_what_later_rows_have(folder):
    assert mistakes(folder, path="raw/a.jsonl", columns={"text": "content", "user": "user"}, keep=["x"]) == ""


def test_an_unknown_format_is_found(folder):
    said = mistakes(folder, path="raw/d.bin")
    assert "raw/d.bin is unknown" in said
    assert "set `format` to " in said


@pytest.mark.parametrize("file", ["empty.jsonl", "broken.parquet"])
def test_empty_and_damaged_files_are_left_to_the_run(folder, file):
    assert mistakes(folder, path=f"raw/{file}") == ""


def test_a_readme_among_other_files_says_nothing_about_columns(folder):
    for name in ("broken.parquet", "d.bin"):
        (folder / "raw" / name).unlink()
    assert mistakes(folder, path="raw", columns={"text": "content", "id": "url"}) == ""


def test_a_column_that_could_name_documents_is_said(folder):
    recipe = load(
        write_recipe(folder, [], sources=[{"name": "raw", "path": "raw/c.parquet", "columns": {"text": "content"}}])
    )
    assert notes(recipe.sources[0], folder) == [
        "source raw: documents are named by their column `url`, as no other is named in `columns`"
    ]
    named = recipe.sources[0].model_copy(update={"columns": {"text": "content", "id": "url"}})
    assert notes(named, folder) == []


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["id", "text", "url"], {"id": "id"}),
        (["url", "text"], {"id": "url"}),
        (["url", "content", "lang", "extra"], {"id": "url", "text": "content", "lang": "lang"}),
        (["id", "Text"], {"id": "id", "text": "Text"}),
        (["a", "b"], {}),
    ],
)
def test_columns_of_a_new_recipe(names, columns):
    assert guess_columns(names) == columns


@pytest.mark.parametrize("file", ["raw/a.jsonl", "raw/b.jsonl.gz", "raw/c.parquet"])
def test_a_new_recipe_takes_format_and_columns_from_the_files(folder, file):
    recipe = loads(starter("c", file, folder), base_dir=folder)
    assert recipe.sources[0].format == ("parquet" if file.endswith("parquet") else "jsonl")
    assert recipe.sources[0].columns == {"id": "url", "text": "content", "lang": "lang"}


@pytest.mark.parametrize("path", ["raw/none*", "s3://b/x", "hf://org/name", "raw/empty.jsonl", "raw/d.bin"])
def test_a_new_recipe_of_what_cannot_be_looked_at_leaves_the_format_open(folder, path):
    assert loads(starter("c", path, folder), check_paths=False, base_dir=folder).sources[0].format == "auto"


def test_a_library_that_a_format_needs_is_missed_before_anything_runs(folder, monkeypatch):
    (folder / "raw/a.warc").write_bytes(b"WARC/1.1\r\n")
    (folder / "raw/a.html").write_bytes(b"<p>a</p>")
    monkeypatch.setattr("corpusmill.pipelines.recipe.source_checks.library_version", lambda name: "")
    said = mistakes(folder, path="raw/a.warc")
    assert "the format warc of " in said
    assert "needs the package FastWARC" in said
    assert "pip install 'corpusmill[web]'" in said
    assert mistakes(folder, path="raw/a.html") == ""
