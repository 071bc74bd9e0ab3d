"""Wikitext to text: the kinds of markup that users of parsers name in their issues."""

import pytest

from corpusmill.transforms.sources.wiki.links import Names
from corpusmill.transforms.sources.wiki.markup import render

CASES = [
    ("'''Rain''' is ''wet''.", "Rain is wet."),
    ("l'''eau''' d''or'' 5'' '''''both'''''", "leau dor 5 both"),
    (
        "[[a]], [[a b|c]], [[a]]s, [[Sea (water)|]], [[:File:x.png]], [[#Part]], [[a#b|c]]",
        "a, c, as, Sea, File:x.png, Part, c",
    ),
    ("A[[File:x.jpg|thumb|A ''b'' [[c]] {{d}}]] b[[Image:y.png]]", "A b"),
    ("x [http://a.b text of it] [http://a.b] http://a.b [//a.b y]", "x text of it http://a.b y"),
    ("a<ref>b</ref> c<ref name=d/> e<ref name='f'>[[g]] {{h}}</ref>.", "a c e."),
    ("{{Infobox|a={{b|c}}\n|d=[[e|f]]}}Text", "Text"),
    (
        "{{convert|5|km|mi}} {{convert|2|to|3|m}} {{lang|fr|eau}} {{lang-de|Wasser}} {{nowrap|a b}}",
        "5 km 2 to 3 m eau Wasser a b",
    ),
    ("a{{snd}}b {{frac|1|2}} {{circa|1900}} {{formatnum:1234}} {{lc:ABC}} {{'}}s", "a – b 1/2 c. 1900 1234 ABC 's"),
    ("{{As of|2020}} {{nihongo|Tokyo|東京|Tōkyō}} {{PAGENAME}} {{unknown|a}}.", "As of 2020 Tokyo Title."),
    ("Foo ({{lang-xx|}}, {{IPAc|y}}) is; ({{a}}) (b, {{c}})", "Foo is; (b)"),
    ("{{unclosed and [[open", "{{unclosed and [[open"),
    ("a }} b ]] c", "a }} b ]] c"),
    ("<!-- gone\n --> kept\n<!-- alone -->\nnext", "kept\nnext"),
    ("<nowiki>[[a]] ''b''</nowiki> <code>c</code> <math>x_1</math> <ce>H2O</ce>", "[[a]] ''b'' c $x_1$ $\\ce{H2O}$"),
    ("<syntaxhighlight lang=py>\nx = [[1]]\n\n  y = '''2'''\n</syntaxhighlight>", "x = [[1]]\n\n  y = '''2'''"),
    ("a &amp; b &nbsp;&lt;c&gt; &eacute; &#8364;", "a & b <c> é €"),
    ("* a\n** b\n# c\n# d\n#* e\n; f\n: g\n* ", "- a\n  - b\n1. c\n2. d\n  - e\nf\ng"),
    ("== A ==\ntext\n=== B ===\n== C ==\n=== D ===\nmore\n== Refs ==\n{{reflist}}", "A\n\ntext\n\nC\n\nD\n\nmore"),
    ("=Top=\nx\n== ==\n=== a = b ===\ny", "Top\n\nx\n== ==\n\na = b\n\ny"),
    (
        '{|\n|+ Cap\n! A !! B\n|-\n| 1 || x="y" | 2\n|-\n| [[c|d]]\n* e\n| \n|}\nafter',
        "Cap\nA | B\n1 | 2\nd e\n\nafter",
    ),
    ("{|\n| a\n{|\n| b\n|}\n| c\n|}", "a b | c"),
    ("{| class=x\n| not closed", "not closed"),
    ("a<br>b<br />c<div class='x'>d</div><small>e</small>", "a\nb\nc\nd\ne"),
    ("<table><tr><td>a</td><td>b</td></tr></table><ul><li>c</li></ul>", "a | b |\n\n- c"),
    ("__NOTOC__a __dunder__ -{zh-hans:计算机; zh-hant:電腦}- -{x}-", "a __dunder__ 计算机 x"),
    ("[[de:Wasser]] [[Category:Water| ]] [[fr:Eau|shown]]", "shown"),
    ("日本語の'''文章'''（[[東京|とうきょう]]、{{lang|ja|東}}）。", "日本語の文章（とうきょう、東）。"),
    ("{{ubl|a|b|[[c|d]]}}", "- a\n- b\n- d"),
    ("<gallery>\nFile:a.jpg|b\n</gallery><timeline>x</timeline>y", "y"),
    ("<ref>not closed {{x}} text", "not closed text"),
    ("a {{x}}, b <ref>y</ref>. c {{x}} ; d <ref>y</ref> {{x}}) e {{x}} f", "a, b. c ; d) e f"),
    ("A {{{1|default}}} B {{{x}}} C {{{1|{{{2|deep}}}}}} {{x|{{{y|}}}}}D {{{{{1}}}}}", "A default B C deep D"),
    ("{{a|{{b|{{c|d}}}}}} {{Temp<!-- }} -->late}}X [[Li<!-- c -->nk|sho<!-- x -->wn]]", "X shown"),
    ("-{A|zh:x;zh-hant:y}- -{H|zh-cn:a;zh-tw:b}-z -{T|zh-cn:a}--{zh;zh-hans|博客}- -{R|raw}-", "x z 博客 raw"),
    ("Hi ~~~~ there\n----\nText\n-----More", "Hi there\n\nText\n\nMore"),
    ("<onlyinclude>A</onlyinclude><noinclude>B</noinclude><includeonly>C</includeonly>D", "ABD"),
    (
        "{{val|1.5|e=6|u=m}} {{US$|5 million}} {{£|3}} {{flag|France}} {{ruby|漢|かん}}",
        "1.5×10^6 m US$5 million £3 France 漢",
    ),
    ("{{(}} {{!}} {{((}} {{Quote|text=Words.|author=Me}} {{blockquote|1=Said}}", "{ | {{ Words. Said"),
    ("A<ref name=x />B<ref group=n>c<br />[[d]]</ref> <ref name='e'/>F {{sfn|A|2000}}", "AB F"),
    ("[[File:A.jpg|thumb|alt=B|Cap [[c|d]] [http://x y] {{t|[[z]]}} [[File:B.jpg|2px]] e]]After", "After"),
    ("== R ==\n<references>\n<ref name=a>T</ref>\n</references>\n== S ==\n* [http://a.b Site]", "S\n\n- Site"),
    ("[[w:de:Foo|bar]] [[wikt:word|]] [[Foo|]] [[Foo, Bar|]] [[/Sub/]] [[a]]'s", "bar word Foo Foo /Sub/ a's"),
    ("{|\n| a <ref>x | y</ref> || b [[c|d]] || {{e|f}}\n|-\n| rowspan=2 | g\n|}", "a | b d\ng"),
    ("{|\n| o\n{|\n! H !! I\n|-\n| p || q\n|}\n|| r\n|}\nEnd", "o H | I p | q | r\n\nEnd"),
    ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby> H<sub>2</sub>O <s>x</s>", "漢(かん) H2O x"),
    (";Term\n:Def\n:::* deep\n: e", "Term\nDef\n      - deep\ne"),
    ("<nowiki/>x '<nowiki />'y'' <code><nowiki>{{c}}</nowiki></code>", "x y {{c}}"),
    ("<math display=block>x{{y}} < 1</math> <chem>H2O</chem>", "$$x{{y}} < 1$$ $\\ce{H2O}$"),
    (
        "<source lang=c>int a[[2]];</source> <syntaxhighlight inline lang=py>x = {}</syntaxhighlight>",
        "int a[[2]]; x = {}",
    ),
    (
        "=A=\nx\n==B== <!-- c -->\ny\n===''C''=== {{anchor|x}}\nz\n== {{lang|fr|e}}<ref>f</ref> ==\ng",
        "A\n\nx\n\nB\n\ny\n\nC\n\nz\n\ne\n\ng",
    ),
    ("{{DEFAULTSORT:Foo, Bar}}{{#if:x|yes|no}}{{CURRENTYEAR}}__INDEX__x <!-- open", "x"),
]


@pytest.mark.parametrize(("wikitext", "text"), CASES)
def test_markup_becomes_what_is_shown(wikitext, text):
    assert render(wikitext, "Title")[0] == text


def test_markdown_has_headings_tables_and_code():
    wikitext = '== A ==\n{|\n! B !! C\n|-\n| 1 || 2{{!}}3\n|}\n<syntaxhighlight lang="c++">\nx\n</syntaxhighlight>'
    text = "## A\n\n| B | C |\n| --- | --- |\n| 1 | 2\\|3 |\n\n```c++\nx\n```"
    assert render(wikitext, markdown=True)[0] == text


def test_names_of_namespaces_of_the_wiki_count():
    names = Names(frozenset(["datei", "file"]), frozenset(["kategorie"]), frozenset(["datei", "kategorie"]))
    assert render("a[[Datei:x.png|b]][[Kategorie:Wasser_und Eis|c]] [[Image:y|z]]", names=names) == (
        "a z",
        ["Wasser und Eis"],
    )


HOSTILE = ["[[", "{{", "{|\n", "'''", "<div>", "[http://a ", "{{{", "<ref>", "<math>", "(,", "-{", "=", "| ", "<!--", "&",
           "{{nowrap|", "{{lang|[[", "* ", ":", "( ", "[[a|", "]]", "}}", "|}", "__", "{|\n|-\n||",
           " ", " {{x}}", "{{{1|", "-{A|", "~~~~ "]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_what_is_repeated_without_end_is_read_to_the_end(piece):
    # in time that grows with the square of the length, this would take hours
    text, _ = render(piece * 200_000 + "\nend of it")
    assert len(text) <= 200_000 * (len(piece) + 5) + 10
