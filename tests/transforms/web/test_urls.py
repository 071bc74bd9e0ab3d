import pyarrow as pa
import pytest

import corpusmill
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.web.urls import Urls


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def batch_of(*urls: str | None, column: str = "url") -> pa.RecordBatch:
    n = len(urls)
    return pa.record_batch(
        {"id": [str(i) for i in range(n)], "text": ["x"] * n, "source": ["s"] * n}
        | {column: pa.array(urls, pa.string())}
    )


def reasons(step: Urls, *urls: str | None) -> list[str | None]:
    verdict = step.judge(batch_of(*urls), Keyed())
    return [None if c < 0 else verdict.reasons[c] for c in verdict.codes.tolist()]


def test_columns_of_an_address():
    row = Urls()(batch_of("http://www.news.example.co.uk/?utm_source=x")).to_pylist()[0]
    assert (row["url_normal"], row["host"], row["domain"]) == (
        "https://news.example.co.uk",
        "news.example.co.uk",
        "example.co.uk",
    )
    assert row["url"] == "http://www.news.example.co.uk/?utm_source=x"


def test_words_in_the_address():
    urls = [
        "https://essex.gov.uk/sex-education",
        "https://freeporn.com",
        "https://a.org/xxx/1",
        "https://a.org/hot_girls",
        "https://a.org/hot-dogs",
    ]
    assert reasons(Urls(), *urls) == [None, "max_address_words", "max_address_words", "max_address_words", None]
    assert reasons(Urls(max_address_words=None), *urls) == [None] * 5
    verdict = Urls().judge(batch_of(*urls), Keyed())
    assert verdict.scores["address_words"].tolist() == [1, 2, 2, 2, 1]


def test_lists_and_their_order(tmp_path):
    (tmp_path / "bad.txt").write_text("bad.org\nporn.com\n")
    (tmp_path / "good.txt").write_text("fine.bad.org\nporn.com\n")
    (tmp_path / "out.txt").write_text("owner.net\nfine.bad.org\n")
    step = Urls(block=("bad.txt",), allow=("good.txt",), opt_out=("out.txt",)).resolved(str(tmp_path))
    urls = [
        "https://bad.org",
        "https://x.bad.org",
        "https://porn.com",
        "https://a.owner.net",
        "https://fine.bad.org",
        None,
        "nowhere",
    ]
    assert reasons(step, *urls) == ["blocked-bad", "blocked-bad", None, "opted-out", "opted-out", "no-url", "no-url"]


def test_the_fingerprint_holds_the_entries_and_not_the_path(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "list.txt").write_text("bad.org\n" + "# note\n" * (name == "b"))
    prints = [Urls(block=(str(tmp_path / name),)).fingerprint() for name in ("a", "b")]
    assert prints[0] == prints[1] != Urls().fingerprint()
    (tmp_path / "b" / "list.txt").write_text("other.org\n")
    assert Urls(block=(str(tmp_path / "b"),)).fingerprint() != prints[0]
    assert Urls(opt_out=(str(tmp_path / "a"),)).fingerprint() != prints[0]


def test_the_column_of_addresses():
    assert Urls()(batch_of("https://a.org", column="id")).column("host").to_pylist() == ["a.org"]
    assert Urls(column="link")(batch_of("https://a.org", column="link")).column("host").to_pylist() == ["a.org"]
    with pytest.raises(RecipeError, match=r"urls\.column: documents have no column `link`"):
        Urls(column="link")(batch_of("https://a.org"))
    assert Urls()(batch_of()).schema.names[-3:] == ["url_normal", "host", "domain"]


def test_a_run_drops_pages_and_names_the_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ut1" / "games").mkdir(parents=True)
    (tmp_path / "ut1" / "games" / "domains").write_text("play.com\n")
    (tmp_path / "a.jsonl").write_text(
        '{"url": "https://play.com/1", "text": "x"}\n{"url": "https://work.com/1", "text": "y"}\n{"url": "work", "text": "z"}\n'
    )
    source = {"name": "t", "path": "a.jsonl", "columns": {"id": "url"}}
    recipe = {"name": "t", "sources": [source], "steps": [{"urls": {"block": ["ut1"]}}], "output": "out"}
    corpus = corpusmill.run(recipe).dataset
    assert corpus.to_pandas()[["id", "domain"]].values.tolist() == [["https://work.com/1", "work.com"]]
    assert sorted(corpus.table("dropped")["reason"].to_pylist()) == ["blocked-games", "no-url"]
