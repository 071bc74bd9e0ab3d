import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.clean.markdown import strip_markdown


def strip(text: str) -> str:
    return strip_markdown(pa.array([text])).to_pylist()[0]


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("# One\n## Two ##\n#hash\n", "One\nTwo\n#hash\n"),
        ("Title\n=====\n\ntext\n\n---\n", "Title\n\ntext\n\n"),
        ("- a\n* b\n+ c\n  1. d\n2) e\n", "a\nb\nc\nd\ne\n"),
        ("> quoted\n> > twice\n", "quoted\ntwice\n"),
        (
            "**bold** and *it* and ***both*** and __b__ and _i_ and ~~gone~~",
            "bold and it and both and b and i and gone",
        ),
        ("2*3*4 and snake_case_name and a * b * c", "2*3*4 and snake_case_name and a * b * c"),
        ("这是**粗体**文字", "这是粗体文字"),
        ("see [the *docs*](http://a.b/c_(d)) or ![an image](x.png)", "see the docs or an image"),
        ("[![badge](b.svg)](http://x.y) [ref][1] [not a link]", "badge ref [not a link]"),
        ("[1]: http://x.y\ntext", "text"),
        ("use `a_b *c*` and ``x`y`` and a ` tick", "use a_b *c* and x`y and a ` tick"),
        ("```python\ndef f(): # *x*\n    pass\n```\nafter", "def f(): # *x*\n    pass\nafter"),
        ("~~~\n```\n~~~\n", "```\n"),
        ("---\ntitle: x\n---\nbody", "body"),
        ("---\nno front matter", "no front matter"),
        ("a <b>bold</b> word<br/> <https://x.y/z> 1 < 2", "a bold word https://x.y/z 1 < 2"),
        ("a <!-- hidden\nstill --> b", "a \n b"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "| a | b |\n| 1 | 2 |"),
        (r"\*not\* \# C:\dir", "*not* # C:\\dir"),
        ("    indented code", "    indented code"),
        ("", ""),
        ("\n\n", "\n\n"),
    ],
)
def test_marks_go_and_text_stays(markdown, plain):
    assert strip(markdown) == plain


@settings(max_examples=800, deadline=None)
@given(st.lists(st.text(alphabet="ab*_`[]()<>!#-=|~\\ \n:/中é1.", max_size=30), min_size=1, max_size=4))
def test_any_text_gives_valid_text_that_does_not_depend_on_its_neighbours(texts):
    together = strip_markdown(pa.array(texts)).to_pylist()
    assert together == [strip(t) for t in texts]
    assert all(len(a) <= len(b) for a, b in zip(together, texts))


def test_empty_batch():
    assert strip_markdown(pa.array([], pa.string())).to_pylist() == []


def test_unmatched_marks_are_text_and_cost_one_pass() -> None:
    """A million of each: a search from every mark to the end of its line would take hours."""
    for mark in ("*a ", "_a ", "~~a ", "[", "[](", "![", "`a ``", "[a][", "\\[", "<a "):
        text = mark * (1_000_000 // len(mark))
        assert len(strip_markdown(pa.array([text]))[0].as_py()) > 0
    assert strip_markdown(pa.array(["*a *b *c d* [x [y](z) `q"])).to_pylist() == ["a b c d [x y `q"]
