import numpy as np
import pytest

from corpusmill.transforms.web.blocks import cut
from corpusmill.transforms.web.render import render

pytest.importorskip("resiliparse")
from corpusmill.transforms.web.page import parse


def rendered(html: str, markdown: bool = True) -> str:
    blocks = cut(parse(html).html)
    return render(blocks, np.ones(len(blocks.values), np.bool_), markdown)


def test_headings_and_paragraphs() -> None:
    html = "<h1>One</h1><p>a<br>b</p><h3>Two <b>x</b></h3><p>c</p>"
    assert rendered(html) == "# One\n\na  \nb\n\n### Two x\n\nc"
    assert rendered(html, False) == "One\n\na\nb\n\nTwo x\n\nc"


def test_lists_with_depth_and_numbers() -> None:
    html = "<p>x</p><ul><li>a<ol><li>b<li>c</ol><li>d</ul><p>y</p>"
    assert rendered(html) == "x\n\n- a\n  1. b\n  2. c\n- d\n\ny"
    assert rendered(html, False) == "x\n\na\nb\nc\nd\n\ny"


def test_tables() -> None:
    html = "<table><tr><th>a<th>b<tr><td>1<td>2<tr><td>3<td>4</table><p>x</p>"
    assert rendered(html) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n\nx"
    assert rendered(html, False) == "a\tb\n1\t2\n3\t4\n\nx"


@pytest.mark.parametrize("code", ["def f(x):\n\treturn  x < 1 & 2\n\n\n# end", "a\n```\nb", "  indented\n    more"])
def test_code_stays_byte_for_byte(code: str) -> None:
    html = "<p>x</p><pre><code>\n" + code.replace("&", "&amp;").replace("<", "&lt;") + "</code></pre><p>y</p>"
    fence = "````" if "```" in code else "```"
    assert rendered(html, False) == f"x\n\n\n{code}\n\ny"
    assert rendered(html) == f"x\n\n{fence}\n\n{code}\n{fence}\n\ny"


def test_quotes() -> None:
    assert rendered("<blockquote><p>a<br>b</p></blockquote>") == "> a  \n> b"


def test_blocks_that_are_cut_leave_nothing() -> None:
    blocks = cut(parse("<ul><li>a<li>b<li>c</ul><p>d").html)
    assert render(blocks, np.array([False, True, False, True]), True) == "- b\n\nd"
    assert render(blocks, np.zeros(4, np.bool_), True) == ""
