"""What Markdown keeps of a page: code, formulas, images, tables."""

import pyarrow as pa
import pytest

pytest.importorskip("resiliparse")

from corpusmill.transforms.web.extract import Extract
from corpusmill.transforms.web.markup import with_markup
from corpusmill.transforms.web.mathml import latex


def markdown(html):
    batch = pa.record_batch({"id": ["a"], "text": [f"<body>{html}</body>"], "source": ["s"]})
    return Extract(method="all-text", format="markdown", drop=[])(batch).column("text")[0].as_py()


def test_code_in_lines_is_quoted_and_blocks_have_their_language():
    assert markdown("<p>Call <code>f(<b>x</b>)</code> or <code>a`b</code>.</p>") == "Call `f(x)` or ``a`b``."
    assert markdown('<pre><code class="hljs language-rust">fn f() {}\n</code></pre>') == "```rust\nfn f() {}\n```"
    html = (
        '<div class="highlight-python3 notranslate"><div class="highlight"><pre><span></span>x = 1\n</pre></div></div>'
    )
    assert markdown(html) == "```python3\nx = 1\n```"
    assert markdown('<div class="highlight-default"><pre>x</pre></div>') == "```\nx\n```"
    assert markdown("<pre>a\xa0b &amp;\xa0c\n\n  <code>d</code></pre>") == "```\na\xa0b &\xa0c\n\n  d\n```"


def test_lines_of_code_in_elements_of_their_own_are_one_block_and_their_numbers_go():
    assert markdown("<pre><div>a</div><div>  b</div></pre>") == "```\na\n  b\n```"
    html = '<table><tr><td class="linenos"><pre>1\n2</pre></td><td class="code"><pre>a\nb</pre></td></tr></table>'
    assert markdown(html) == "```\na\nb\n```"
    assert markdown('<pre><span class="linenos">1</span>a\n<span class="linenos">2</span>b</pre>') == "```\na\nb\n```"


def test_links_to_the_heading_itself_go():
    html = '<h2>Two<a class="headerlink" href="#two" title="Permalink">¶</a></h2><p>See <a href="#x">the link</a></p>'
    assert markdown(html) == "## Two\n\nSee the link"


def test_formulas_are_latex():
    tex = '<semantics><mi>x</mi><annotation encoding="application/x-tex">x^2 &lt; y</annotation></semantics>'
    assert markdown(f"<p>So <math>{tex}</math> holds.</p>") == "So $x^2 < y$ holds."
    assert markdown(f'<p>So <math display="block">{tex}</math></p>') == "So $$x^2 < y$$"
    katex = f'<span class="katex"><span class="katex-mathml"><math>{tex}</math></span><span class="katex-html" aria-hidden="true">'
    assert markdown(f"<p>So {katex}<span>x2</span>&lt;y</span></span> holds.</p>") == "So $x^2 < y$ holds."
    assert markdown('<p>So <script type="math/tex">a<b</script> holds.</p>') == "So $a<b$ holds."
    assert markdown('<p>So <img class="math" alt="\\frac{1}{2}" src="a.png"/> holds.</p>') == "So $\\frac{1}{2}$ holds."


@pytest.mark.parametrize(
    ("mathml", "tex"),
    [
        ("<mfrac><mn>1</mn><mi>n</mi></mfrac>", r"\frac{1}{n}"),
        ("<msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><mi>α</mi>", r"x^{2}+\alpha"),
        ("<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><mi>i</mi>", r"\sum_{i=1}^{n}i"),
        ("<msqrt><mi>x</mi><mi>y</mi></msqrt>", r"\sqrt{xy}"),
        ("<mi>sin</mi><mi>x</mi>", r"\sin x"),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", r"\bar{x}"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr></mtable>", r"\begin{matrix}1 & 2\end{matrix}"),
        ("<mtext>if so</mtext>", r"\text{if so}"),
        ("<mfrac><mn>1</mn>", "1"),
        ("", ""),
    ],
)  # fmt: skip
def test_presentation_mathml(mathml, tex):
    assert latex(f"<math>{mathml}</math>") == tex


def test_alternative_texts_of_images_that_say_something():
    assert markdown('<p>See <img alt="A map of the town" src="a"/> here</p>') == "See ![A map of the town] here"
    assert markdown('<p>See <img alt="logo" src="a"/> here</p>') == "See here"


def test_tables_keep_empty_cells_pipes_and_paragraphs():
    html = "<table><tr><th></th><th>a|b</th></tr><tr><td><p>1</p><p>2</p></td><td></td></tr></table>"
    assert markdown(html) == "|  | a\\|b |\n| --- | --- |\n| 1 2 |  |"
    assert markdown("<table><tr><td>one</td></tr><tr><td>two | three</td></tr></table>") == "one\n\ntwo | three"


@pytest.mark.parametrize(
    "html",
    [
        "<pre>",
        "<p><code>x</p>" * 20_000,
        "<math>" * 2000 + "<mi>x",
        "<p><math><mrow>" + "<mrow>" * 5000 + "<mi>x</mi>",
        "<a href='#'>¶",
        "<pre>" * 500 + "x",
        '<img alt="' + "a " * 100_000,
    ],
)
def test_hostile_markup_is_read(html):
    page = f"<body>{html}</body>".encode()
    assert isinstance(with_markup(page), bytes)
    assert isinstance(markdown(html), str)
