import json

import pyarrow as pa
import pytest

pytest.importorskip("resiliparse")
import corpusmill
from corpusmill.transforms.errors import RecipeError, SourceError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.web.extract import Extract
from tests.command import invoke

_MENU = "".join(f'<li><a href="/{n}">{n}</a></li>' for n in ("Home", "News", "Sport", "Weather", "Contact"))
_STORY = (
    "The river rose by two metres in one night, and the old bridge had to be closed before dawn.",
    "Nobody was hurt, said the mayor, but the school will stay shut until the engineers have looked at the piers.",
    "Farmers in the valley moved their cattle to higher ground; some of them had not slept for two days.",
)
_PAGE = f"""<html lang="en"><head><title>Bridge closed</title>
<meta property="article:published_time" content="2024-05-31"></head><body>
<header class="site-header"><nav class="main-menu"><ul>{_MENU}</ul></nav></header>
<div class="cookie-banner"><p>We use cookies to give you the best experience.</p><button>Accept all</button></div>
<main><article class="post-content"><h1>Bridge closed after flood</h1>{"".join(f"<p>{p}</p>" for p in _STORY)}</article></main>
<aside class="sidebar related"><h3>Related articles</h3><ul>{_MENU}</ul></aside>
<footer class="site-footer"><p>Copyright 2024 The Valley Post. All rights reserved.</p></footer></body></html>"""


def batch_of(*pages: object, column: str = "text", **more: list) -> pa.RecordBatch:
    return pa.record_batch(
        {"id": [str(i) for i in range(len(pages))], column: list(pages), "source": ["s"] * len(pages), **more}
    )


def test_the_story_stays_and_the_rest_goes() -> None:
    row = Extract()(batch_of(_PAGE)).to_pylist()[0]
    for paragraph in _STORY:
        assert paragraph in row["text"]
    for other in ("Home", "cookies", "Related", "Copyright"):
        assert other not in row["text"]
    assert (row["title"], row["html_lang"], row["date"]) == ("Bridge closed", "en", "2024-05-31")
    assert row["blocks_cut"] == row["blocks"] - len(_STORY) - 1


def test_markdown_has_headings() -> None:
    assert (
        "# Bridge closed after flood\n\nThe river rose"
        in Extract(format="markdown")(batch_of(_PAGE)).column("text")[0].as_py()
    )


def test_kinds_of_pages_are_told_apart() -> None:
    teasers = "".join(f'<li><a href="/{i}">The headline of story number {i} of the day</a></li>' for i in range(30))
    notice = "<p>We use cookies. Please accept our cookies or read the privacy policy.</p><button>Accept</button>"
    pages = {
        "content": _PAGE,
        "list": f"<nav><ul>{_MENU}</ul></nav><main><h1>News</h1><ul>{teasers}</ul></main>",
        "notice": f"<nav><ul>{_MENU}</ul></nav><div class='consent'>{notice}</div>",
        "empty": f"<nav><ul>{_MENU}</ul></nav>",
    }
    out = Extract(drop=())(batch_of(*pages.values()))
    assert out.column("page_kind").to_pylist() == list(pages)
    assert Extract()(batch_of(*pages.values())).column("page_kind").to_pylist() == ["content", "list"]
    verdict = Extract(drop=("list", "empty")).judge(batch_of(*pages.values()), Keyed())
    assert [None if c < 0 else verdict.reasons[c] for c in verdict.codes] == [None, "list-page", None, "empty-page"]
    for page in ("", "<script>x</script>", None):
        assert Extract(drop=())(batch_of(_PAGE, page)).column("page_kind").to_pylist() == ["content", "empty"]
        assert Extract()(batch_of(_PAGE, page)).num_rows == 1


def test_an_article_about_cookies_is_no_notice() -> None:
    page = _PAGE.replace(_STORY[0], " ".join(["A cookie is a small file, and a browser sends it back each time."] * 3))
    assert Extract()(batch_of(page)).column("page_kind").to_pylist() == ["content"]


def test_votes() -> None:
    pytest.importorskip("trafilatura")
    voters = ("learned", "resiliparse", "trafilatura")
    texts = [
        Extract(method="vote", voters=voters, min_votes=n)(batch_of(_PAGE)).column("text")[0].as_py() for n in (1, 2, 3)
    ]
    for text in texts:
        assert all(p in text for p in _STORY)
        assert "Copyright" not in text
    assert len(texts[0]) >= len(texts[1]) >= len(texts[2])
    union = (
        Extract(method="vote", voters=("learned", "all-text"), min_votes=1)(batch_of(_PAGE)).column("text")[0].as_py()
    )
    assert union == Extract(method="all-text")(batch_of(_PAGE)).column("text")[0].as_py()
    with pytest.raises(RecipeError, match="min_votes is 3, and there are 2 voters"):
        Extract(method="vote", voters=("learned", "resiliparse"), min_votes=3)


def test_links_and_microdata() -> None:
    head = '<script type="application/ld+json">{"@type": "NewsArticle"}</script><script type="application/ld+json">{oops</script>'
    head += '<meta property="og:title" content="A &amp; B"><base href="https://a.org/x/">'
    link = '<a href="../b?x=1&amp;y" rel="nofollow"><b>See</b> b</a></main>'
    page = _PAGE.replace("<head>", "<head>" + head).replace("</main>", link)
    row = Extract(links=True, microdata=True)(batch_of(page)).to_pylist()[0]
    assert {"url": "https://a.org/b?x=1&y", "text": "See b", "rel": "nofollow"} in row["links"]
    assert row["links"][0] == {"url": "https://a.org/Home", "text": "Home", "rel": ""}
    assert json.loads(row["microdata"])["json_ld"] == [{"@type": "NewsArticle"}]
    assert json.loads(row["microdata"])["meta"]["og:title"] == "A & B"
    assert Extract(microdata=True)(batch_of("<p>" + _STORY[0])).column("microdata").to_pylist() == [None]
    linked = Extract(links=True)(
        batch_of("<a href='/b'>b</a><a href='mailto:x@y.z'>c</a>" + _PAGE, url=["https://c.org/d"])
    )
    assert linked.column("links")[0].as_py()[0]["url"] == "https://c.org/b"


def test_what_was_left_out_is_counted_and_shown(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "a", "text": _PAGE}) + "\n")
    source = {"name": "t", "path": "a.jsonl", "columns": {"id": "id"}}
    run = corpusmill.run({"name": "t", "sources": [source], "steps": ["extract"], "output": "out"})
    answer = invoke("why", "out", "a").output
    assert "extract cut 14 blocks out of it" in answer
    assert "| Home" in answer
    assert run.dataset.manifest["funnel"]["steps"][0]["details"]["cut_blocks"] == 14
    assert "14 blocks cut out of 1 document" in invoke("show", "out").output


def test_all_text_keeps_all_that_is_shown() -> None:
    text = (
        Extract(method="all-text", drop=())(batch_of('<p>a</p><p style="display:none">b</p>')).column("text")[0].as_py()
    )
    assert text == "a"


@pytest.mark.parametrize("method", ["resiliparse", "trafilatura"])
def test_other_methods(method: str) -> None:
    pytest.importorskip(method)
    row = Extract(method=method)(batch_of(_PAGE)).to_pylist()[0]
    assert _STORY[1] in row["text"]
    assert "Copyright" not in row["text"]
    assert row["blocks"] is None


def test_columns_of_bytes_nulls_and_other_columns() -> None:
    batch = batch_of(_PAGE.encode(), None, column="html", label=[1, 2])
    out = Extract(column="html", drop=())(batch)
    names = ["id", "source", "label", "text", "title", "html_lang", "date", "page_kind", "blocks", "blocks_cut"]
    assert out.schema.names == names
    assert out.column("text")[1].as_py() is None
    assert _STORY[0] in out.column("text")[0].as_py()
    assert "html" in Extract(column="html", keep_column=True)(batch).schema.names
    with pytest.raises(SourceError, match="body"):
        Extract(column="body")(batch)
    with pytest.raises(SourceError, match="int64"):
        Extract(column="label")(batch)


def test_the_threshold_moves_what_stays() -> None:
    sizes = [
        len(Extract(threshold=t, drop=())(batch_of(_PAGE)).column("text")[0].as_py()) for t in (0.001, 0.5, 0.9999)
    ]
    assert sizes[0] >= sizes[1] >= sizes[2]
    assert sizes[0] > sizes[2]


def test_an_article_with_a_notice_beside_it_is_no_notice() -> None:
    story = "".join(f"<p>{p}</p>" for p in _STORY * 2)
    notice = (
        "<p>We use cookies. Our privacy policy speaks of cookies and consent. You consent to cookies by reading on.</p>"
    )
    page = f"<main><article class='post-content'><h1>Bridge closed</h1>{story}{notice}</article></main>"
    assert Extract(drop=(), method="all-text")(batch_of(page)).column("page_kind").to_pylist() == ["content"]


def test_signatures_terms_and_code_of_a_manual_stay() -> None:
    entries = "".join(
        f"<dt class='sig' id='tool.{name}'><code>tool.{name}</code>(<em>path</em>)<a href='#tool.{name}'>¶</a></dt>"
        f"<dd><p>{text}</p><pre>tool.{name}('a')\n</pre></dd>"
        for name, text in (("open", "Open a file."), ("close", "Close it again."), ("list", "List what is open."))
    )
    page = (
        f"<title>tool - open files</title><body><div class='related'><ul>{_MENU}</ul></div><div class='document'>"
        f"<div class='body' role='main'><section><h1>tool</h1><p>This module opens files.</p><h2>Functions</h2>"
        f"<dl>{entries}</dl><h2>Example</h2><pre>x = tool.open('a')\ntool.close(x)\n</pre></section></div></div>"
        f"<div class='sidebar'><ul>{_MENU}</ul></div></body>"
    )
    text = Extract(format="markdown", drop=())(batch_of(page)).column("text")[0].as_py()
    for part in ("# tool", "## Functions", "tool.open", "Close it again.", "tool.list('a')", "tool.close(x)"):
        assert part in text
    assert "Weather" not in text
