"""Writes into a page's HTML, as text, what Markdown keeps of its markup and blocks of text would lose.

code      in a line: between backquotes. Blocks: their language between two marks, which `render` puts behind the fence
formulas  MathML, KaTeX and MathJax as LaTeX between dollar signs (`mathml`)
images    the alternative text of those that have at least three words of it
left out  links that only name a heading's own address, numbers of lines of code
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from corpusmill.transforms.web.mathml import latex

LANGUAGE, END = "\ue000", "\ue001"
"""Around the language of a block of code, at its beginning: signs of the private use area, which no script has."""

_INNER = r"(?:[^>\"]|\"[^\"]*\")*"
_TAG = re.compile(
    rf"<(?P<close>/)?(?P<name>pre|code|math|script|img|td|span(?=\s+class=\"(?:katex-html|line-?nos?)\b))\b(?P<rest>{_INNER})>"
    rf"|<a\s[^<>]{{0,300}}=\"#[^<>]{{0,300}}>\s*(?:¶|#|§|🔗|&para;|link)\s*</a>"
)
_CLASS = re.compile(r"\sclass=\"([^\"]*)\"")
_WRAPPED = re.compile(r"class=\"[^\"]*\bhighlight-(?:source-)?([\w+#-]+)")
_LANGUAGES = re.compile(r"(?:^|\s)(?:language|lang|highlight-source|brush:?)[- ]?([\w+#-]+)")
_NONE = frozenset(("default", "none", "text", "plaintext", "plain", "nohighlight"))
_LONGEST = 2000
"""Characters of code in a line; what is longer stays as it is, so that no page is searched to its end from each tag."""
_MATHJAX = re.compile(r"\stype=\"math/tex(?:;\s*mode=(display))?\"")


def with_markup(page: bytes) -> bytes:
    """The serialised HTML of a page with its code, formulas and alternative texts written into it as text."""
    text = page.decode("utf-8", "replace")
    return "".join(_pieces(text)).encode("utf-8", "replace")


def _pieces(text: str) -> Iterator[str]:
    at = 0
    within = ""  # the fence of the code that is open, outside of `pre`
    while tag := _TAG.search(text, at):
        yield text[at : tag.start()]
        at = tag.end()
        if tag["name"] is None:  # a link of a heading to itself
            continue
        name, rest = tag["name"], tag["rest"]
        if tag["close"]:
            if name == "code" and within:
                yield within
                within = ""
            yield tag[0]
        elif name == "pre":
            stop = _end(text, at, "pre")
            yield tag[0] + _code(rest, text[at:stop], text[max(0, tag.start() - 300) : tag.start()])
            at = stop
        elif name == "code":
            stop = text.find("</code>", at, at + _LONGEST)
            if stop < 0:
                yield tag[0]
                continue
            shown = re.sub(r"<[^>]*>", "", text[at:stop])
            ticks = max(map(len, re.findall("`+", shown)), default=0)
            within = "`" * (ticks + 1) if shown.strip() else ""
            yield tag[0] + within
        elif name == "math":
            stop = _end(text, at, "math")
            yield _formula(latex(tag[0] + text[at:stop]), 'display="block"' in rest)
            at = stop + len("</math>")
        elif name == "script" and (mathjax := _MATHJAX.search(rest)):
            stop = _end(text, at, "script")
            yield _formula(" ".join(text[at:stop].split()), bool(mathjax[1]))
            at = stop + len("</script>")
        elif name == "script":
            stop = _end(text, at, "script")
            yield tag[0] + text[at:stop]
            at = stop
        elif name == "img":
            yield tag[0] + _image(rest)
        elif _is_aside(name, rest):
            at = _end(text, at, name)
            yield tag[0]
        else:
            yield tag[0]
    yield text[at:]


def _end(text: str, at: int, name: str) -> int:
    """Where the end tag of the element begins whose inside begins at `at`; the end of the text if it has none."""
    depth = 1
    for tag in re.compile(rf"<(/?){name}\b", re.IGNORECASE).finditer(text, at):
        depth += -1 if tag[1] else 1
        if not depth:
            return tag.start()
    return len(text)


def _is_aside(name: str, rest: str) -> bool:
    """KaTeX's drawing of a formula, and numbers of lines."""
    found = _CLASS.search(rest)
    words = found[1].split() if found else []
    return name == "span" or (
        name == "td" and not {"linenos", "gutter", "lineno", "hljs-ln-numbers", "blob-num"}.isdisjoint(words)
    )


def _code(rest: str, inside: str, before: str) -> str:
    """The inside of `pre` with its language, and with spaces that do not break as they are."""
    first = re.match(r"(?:\s|<span></span>)*<code([^>]*)>", inside)
    classes = " ".join(m[1] for part in (rest, first[1] if first else "") for m in _CLASS.finditer(part))
    language = _LANGUAGES.search(classes)
    around = _WRAPPED.findall(before)
    name = language[1] if language else around[-1] if around else ""
    inside = re.sub(r"<span class=\"(?:linenos|lineno)[^\"]*\">[^<]*</span>", "", inside).replace("&nbsp;", "\xa0")
    return f"{LANGUAGE}{name}{END}{inside}" if name and name.lower() not in _NONE else inside


def _formula(tex: str, display: bool) -> str:
    if not tex:
        return ""
    shown = html.escape(tex, quote=False)
    return f" $${shown}$$ " if display else f" ${shown}$ "


def _image(rest: str) -> str:
    alt = re.search(r"\salt=\"([^\"]*)\"", rest)
    if alt is None or 'aria-hidden="true"' in rest or "fallback-image" in rest:
        return ""
    found = _CLASS.search(rest)
    if found and "math" in found[1].split():  # Sphinx draws formulas
        return _formula(" ".join(html.unescape(alt[1]).split()), False)
    words = " ".join(alt[1].split())
    return f" ![{words}] " if len(words.split()) >= 3 or len(words) > 30 else ""
