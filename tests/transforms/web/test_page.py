import sys

import pytest

pytest.importorskip("resiliparse")
from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.web.page import parse


def test_what_a_page_says_of_itself() -> None:
    page = parse(
        '<html lang="de-AT"><title> Der\n Regen </title><meta property="article:published_time" content="2024-05-31T10:00:00Z"><p>x'
    )
    assert (page.title, page.lang, page.date) == ("Der Regen", "de-at", "2024-05-31")


@pytest.mark.parametrize(
    "html",
    [
        '<meta content="2024-05-31" name="DC.date.issued"><p>x',
        '<meta itemprop="datePublished" content="2024-05-31 10:00">',
        '<p>x</p><time class="a" datetime="2024-05-31T00:00">yesterday</time>',
    ],
)
def test_dates(html: str) -> None:
    assert parse(html).date == "2024-05-31"


def test_nothing_is_made_up() -> None:
    page = parse('<meta name="viewport" content="2024-05-31"><p>2024-05-31')
    assert (page.title, page.lang, page.date) == ("", "", "")


def test_bytes_are_decoded_by_what_they_say() -> None:
    assert "schön".encode() in parse('<meta charset="iso-8859-1"><p>schön'.encode("latin-1")).html
    assert "中文".encode() in parse('<meta charset="gb18030"><p>中文'.encode("gb18030")).html
    assert "schön".encode() in parse("<p>schön".encode()).html


def test_without_resiliparse(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "resiliparse.parse.encoding", None)
    with pytest.raises(MissingDependencyError, match="corpusmill\\[web\\]"):
        parse("<p>x")
