import pyarrow as pa
import pytest

pytest.importorskip("resiliparse")
from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.web.extract import Extract

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


def test_a_page_without_main_content_is_empty() -> None:
    for page in (f"<nav><ul>{_MENU}</ul></nav>", "", "<script>x</script>"):
        assert Extract()(batch_of(page)).column("text")[0].as_py() == ""


def test_all_text_keeps_all_that_is_shown() -> None:
    text = Extract(method="all-text")(batch_of('<p>a</p><p style="display:none">b</p>')).column("text")[0].as_py()
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
    out = Extract(column="html")(batch)
    assert out.schema.names == ["id", "source", "label", "text", "title", "html_lang", "date", "blocks", "blocks_cut"]
    assert out.column("text")[1].as_py() is None
    assert _STORY[0] in out.column("text")[0].as_py()
    assert "html" in Extract(column="html", keep_column=True)(batch).schema.names
    with pytest.raises(SourceError, match="body"):
        Extract(column="body")(batch)
    with pytest.raises(SourceError, match="int64"):
        Extract(column="label")(batch)


def test_the_threshold_moves_what_stays() -> None:
    sizes = [len(Extract(threshold=t)(batch_of(_PAGE)).column("text")[0].as_py()) for t in (0.001, 0.5, 0.9999)]
    assert sizes[0] >= sizes[1] >= sizes[2]
    assert sizes[0] > sizes[2]
