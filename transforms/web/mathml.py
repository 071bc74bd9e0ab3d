"""Formulas of MathML as LaTeX.

The source that the page keeps beside the formula is taken where there is one (`annotation`, `alttext`). Else presentation MathML is
written as LaTeX, element by element; what is unknown gives the text in it.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"<(/?)([a-zA-Z][\w:.-]*)((?:[^<>\"]|\"[^\"]*\")*)>|([^<]+)")
_TEX = re.compile(
    r"<annotation\b[^>]*encoding=\"(?:application/x-tex|TeX|LaTeX|application/x-latex)\"[^>]*>(.*?)</annotation>",
    re.DOTALL | re.IGNORECASE,
)
_ALT = re.compile(r"\balttext=\"([^\"]*)\"")
_DEEPEST = 100
_ACCENTS = {
    "¯": "bar",
    "‾": "overline",
    "^": "hat",
    "ˆ": "hat",
    "~": "tilde",
    "˜": "tilde",
    "→": "vec",
    "⃗": "vec",
    "˙": "dot",
    "¨": "ddot",
}
_SIGNS = {
    "∑": r"\sum",
    "∏": r"\prod",
    "∫": r"\int",
    "∞": r"\infty",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "±": r"\pm",
    "×": r"\times",
    "⋅": r"\cdot",
    "→": r"\to",
    "∈": r"\in",
    "∂": r"\partial",
    "∇": r"\nabla",
    "√": r"\surd",
    "−": "-",
    "…": r"\ldots",
    "⋯": r"\cdots",
    "′": "'",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "#": r"\#",
    "&": r"\&",
    "_": r"\_",
    "\u2061": "",
    "\u2062": "",
    "\u2063": "",
    "\u2064": "",
}  # fmt: skip
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi o pi rho varsigma sigma tau upsilon phi chi psi omega"
).split()
_SIGNS |= {chr(0x3B1 + i): f"\\{name}" for i, name in enumerate(_GREEK) if name != "o"}
_SIGNS |= {c: f"\\{n}" for c, n in zip("ΓΔΘΛΞΠΣΦΨΩ", "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split())}
_FUNCTIONS = frozenset(
    "sin cos tan log ln exp lim max min sup inf det dim gcd arcsin arccos arctan sinh cosh tanh Pr".split()
)


@dataclass
class _Node:
    tag: str
    attributes: str = ""
    children: list[_Node] = field(default_factory=list)
    text: str = ""


def latex(element: str) -> str:
    """The LaTeX of a `math` element (serialised HTML, with its tags), without dollar signs; empty if it holds nothing."""
    source = _TEX.search(element)
    alt = _ALT.search(element[: element.find(">") + 1])
    if source or alt:
        tex = html.unescape((source or alt)[1])  # type: ignore[index]
        tex = re.sub(r"\A\s*\{\\(?:displaystyle|textstyle)\s*(.*)\}\s*\Z", r"\1", tex, flags=re.DOTALL)
        return " ".join(tex.split())
    return " ".join(_written(_tree(element)).split())


def _tree(element: str) -> _Node:
    root = _Node("mrow")
    open_: list[_Node] = [root]
    for close, tag, attributes, text in _TOKEN.findall(element):
        if text:
            open_[-1].text += html.unescape(text)
        elif close:
            if len(open_) > 1 and any(n.tag == tag for n in open_[1:]):
                while open_.pop().tag != tag:
                    pass
        else:
            node = _Node(tag, attributes)
            open_[-1].children.append(node)
            if not attributes.endswith("/") and len(open_) < _DEEPEST:
                open_.append(node)
    return root


def _written(node: _Node) -> str:
    tag, kids = node.tag, node.children
    if tag in ("annotation", "annotation-xml"):
        return ""
    if tag in ("mi", "mn", "mo", "mtext", "ms"):
        return _leaf(node)
    parts = [_written(k) for k in kids]
    if tag == "mfrac" and len(parts) == 2:
        return rf"\frac{{{parts[0]}}}{{{parts[1]}}}"
    if tag == "msqrt":
        return rf"\sqrt{{{_joined(parts)}}}"
    if tag == "mroot" and len(parts) == 2:
        return rf"\sqrt[{parts[1]}]{{{parts[0]}}}"
    if tag in ("msup", "msub", "mover", "munder") and len(parts) == 2:
        sign = kids[1].text.strip()
        if tag == "mover" and sign in _ACCENTS:
            return rf"\{_ACCENTS[sign]}{{{parts[0]}}}"
        return f"{_base(parts[0])}{'^' if tag in ('msup', 'mover') else '_'}{{{parts[1]}}}"
    if tag in ("msubsup", "munderover") and len(parts) == 3:
        return f"{_base(parts[0])}_{{{parts[1]}}}^{{{parts[2]}}}"
    if tag == "mfenced":
        inner = ", ".join(parts)
        return rf"\left({inner}\right)"
    if tag == "mtable":
        return rf"\begin{{matrix}}{(chr(92) * 2 + ' ').join(parts)}\end{{matrix}}"
    if tag in ("mtr", "mlabeledtr"):
        return " & ".join(parts)
    return _joined([node.text.strip(), *parts] if not kids else parts)


def _leaf(node: _Node) -> str:
    text = " ".join(node.text.split())
    if node.tag in ("mtext", "ms") and text:
        return rf"\text{{{text}}}"
    if node.tag == "mi" and len(text) > 1 and text.isalpha() and text.isascii():
        return rf"\{text}" if text in _FUNCTIONS else rf"\mathrm{{{text}}}"
    return _joined([_SIGNS.get(c, c) for c in text])


def _joined(parts: list[str]) -> str:
    """The parts, with a space where a command would run into a letter."""
    out = ""
    for part in parts:
        if part and re.search(r"\\[a-zA-Z]+\Z", out) and part[0].isalnum():
            out += " "
        out += part
    return out


def _base(text: str) -> str:
    return text if len(text) <= 1 or re.fullmatch(r"\\[a-zA-Z]+|\d", text) else f"{{{text}}}"
