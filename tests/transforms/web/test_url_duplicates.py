import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import corpusmill
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.web.url_duplicates import UrlDuplicates

PAGES = [
    {"id": "a", "url": "http://www.site.org/x/", "text": "one", "created": "2024-01-01"},
    {"id": "b", "url": "https://site.org/x?utm_source=n", "text": "two two", "created": "2024-03-01"},
    {"id": "c", "url": "https://site.org/x#top", "text": "three", "created": "2024-02-01"},
    {"id": "d", "url": "https://site.org/y", "text": "four", "created": "2024-01-01"},
    {"id": "e", "url": None, "text": "five", "created": None},
    {"id": "f", "url": None, "text": "five", "created": None},
]


def kept(keep: str) -> list[str]:
    return UrlDuplicates(keep=keep)(pa.RecordBatch.from_pylist(PAGES)).column("id").to_pylist()


def test_one_page_of_an_address_stays():
    assert kept("first") == ["a", "d", "e", "f"]
    assert kept("newest") == ["b", "d", "e", "f"]
    assert kept("longest") == ["b", "d", "e", "f"]


def test_absent_columns():
    batch = pa.RecordBatch.from_pylist([{"id": "a", "text": "x", "url": "https://a.org"}])
    with pytest.raises(RecipeError, match="needs a column `created`"):
        UrlDuplicates(keep="newest")(batch)
    with pytest.raises(RecipeError, match="no column `link`"):
        UrlDuplicates(column="link")(batch)


@pytest.mark.parametrize("shards", [1, 3])
def test_runs_agree_over_shards_and_workers(tmp_path, monkeypatch, shards):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    for shard in range(shards):
        pq.write_table(pa.Table.from_pylist(PAGES[shard::shards]), tmp_path / "raw" / f"{shard}.parquet")
    source = {"name": "t", "path": "raw/*.parquet", "columns": {"id": "id", "created": "created"}}
    recipe = {"name": "t", "sources": [source], "steps": [{"url-duplicates": {"keep": "newest"}}], "output": "out"}
    corpus = corpusmill.run(recipe, workers=shards).dataset
    assert sorted(corpus.to_pandas()["id"]) == ["b", "d", "e", "f"]
    dropped = corpus.table("dropped").to_pylist()
    assert {(r["id"], r["reason"], r["survivor"]) for r in dropped} == {("a", "same-url", "b"), ("c", "same-url", "b")}
