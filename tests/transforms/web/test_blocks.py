import numpy as np
import pytest

from corpusmill.transforms.web import tags
from corpusmill.transforms.web.blocks import (
    ANCESTRY,
    BREAKS,
    ELEMENT,
    LEVEL,
    LINK_BYTES,
    LIST_DEPTH,
    STOPS,
    WORDS,
    Blocks,
    cut,
)

pytest.importorskip("resiliparse")
from corpusmill.transforms.web.page import parse


def blocks_of(html: str) -> Blocks:
    return cut(parse(html).html)


def texts(html: str) -> list[str]:
    blocks = blocks_of(html)
    return [blocks.string(i) for i in range(len(blocks.values))]


def test_block_elements_divide_and_inline_elements_do_not() -> None:
    assert texts("<p>one <b>two</b><i> three</i></p>four<div>five<p>six</div>seven") == [
        "one two three",
        "four",
        "five",
        "six",
        "seven",
    ]
    assert texts("<ul><li>a<li>b<ul><li>c</ul></ul><table><tr><td>d<td>e</table>") == ["a", "b", "c", "d", "e"]


def test_white_space_folds_but_in_code() -> None:
    assert texts("<p>  a\n\t b&nbsp; c  </p>") == ["a b c"]
    assert texts("<pre>\nif x:\n    y &lt; 1 &amp;&amp; z\n\n</pre>") == ["if x:\n    y < 1 && z\n\n"]
    assert texts("<p>one<br>two <br/> three</p>") == ["one\ntwo\nthree"]


def test_what_is_not_shown_is_left_out() -> None:
    html = """<head><title>t</title><style>p{}</style></head><script>var a = "<p>no</p></s>";</script><!-- <p>no</p> -->
    <textarea>no</textarea><select><option>no</select><svg><text>no</text></svg><template><p>no</p></template><p>yes</p>"""
    assert texts(html) == ["yes"]


def test_text_is_that_of_a_browser() -> None:
    assert texts("<p>&lt;b&gt; &amp;amp; &quot;x&quot; &eacute; &#20013; so\u00adft</p>") == ['<b> &amp; "x" é 中 soft']


@pytest.mark.parametrize(
    "html",
    [
        '<p title="a > b">x</p>',
        '<a href="x" ="y" z"="">x</a>',
        "<p>x</p></div></p></body></html>",
        "<!--[if lt IE 8]><html><![endif]--><!--[if gt IE 8]><!--><html><!--<![endif]--><p>x",
        "<noscript><p>x</p></noscript>",
        "<!----><p>x</p><!-- a -- b -->",
        "<basefont><bgsound><keygen><p>x",
        "<div>" * 2000 + "x",
    ],
)
def test_malformed_pages_lose_no_text(html: str) -> None:
    assert texts(html) == ["x"]


def test_what_is_counted_of_a_block() -> None:
    blocks = blocks_of('<nav><ol><li><a href="x">Two words</a>, and more. Yes!</ol></nav><h2>H</h2><p>a<br>b</p>')
    item, heading, broken = blocks.values
    assert (item[LINK_BYTES], item[WORDS], item[STOPS], item[LIST_DEPTH]) == (8, 5, 2, 1)
    assert item[ANCESTRY] == sum(1 << tags.ANCESTORS.index(n) for n in ("nav", "ol"))
    assert (heading[LEVEL], heading[ANCESTRY]) == (2, 0)
    assert broken[BREAKS] == 1


def test_class_names_are_known_by_their_parts() -> None:
    blocks = blocks_of('<div id="mainContent" class="x"><p class="Related-Posts">a</p></div>')
    names = {w for bit, w in enumerate(tags.WORDS) if int(blocks.words[0]) >> bit & 1}
    assert {"main", "content", "relat", "post"} <= names
    assert {w for bit, w in enumerate(tags.WORDS) if int(blocks.own[0]) >> bit & 1} == {"relat", "post"}


def test_hidden_elements_are_marked() -> None:
    bit = 1 << tags.ANCESTORS.index("hidden")
    for attribute in ('style="color: red; display: none"', "hidden", 'aria-hidden="true"'):
        blocks = blocks_of(f"<div {attribute}><p>a</p></div><p>b</p>")
        assert [bool(v & bit) for v in blocks.values[:, ANCESTRY]] == [True, False]


def test_no_page_and_no_text() -> None:
    for html in ("", " ", "<p></p>", "<script>x</script>"):
        blocks = blocks_of(html)
        assert blocks.values.shape == (0, 16)
        assert blocks.text.dtype == np.uint8


def test_truncated_bytes_end_without_error() -> None:
    page = parse('<div class="a"><!-- c --><p style="display:none">x &amp; <b>y</b></p><script>z</script></div>').html
    for length in range(len(page)):
        cut(page[:length])


def test_the_elements_around_a_block() -> None:
    blocks = cut(parse("<ul><li>a<table><tr><td>b<pre>c</pre></td></tr></table></li></ul><p>d</p>").html)
    nearest = blocks.nearest()[blocks.values[:, ELEMENT]]
    assert blocks.strings(range(4)) == [blocks.string(i) for i in range(4)] == ["a", "b", "c", "d"]
    # item, row, cell, table, pre
    assert (nearest > 0).tolist() == [
        [True, False, False, False, False],
        [True, True, True, True, False],
        [True, True, True, True, True],
        [False, False, False, False, False],
    ]
