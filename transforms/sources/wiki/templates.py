"""Templates of wikitext: dropped, but for those that stand for words of the sentence.

What a template shows is in other pages of the wiki, so its text is not known. The rule: a template is dropped with all that it
holds (infoboxes, navigation, footnotes, notices), unless it is one of the tables below, which name what is shown of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from corpusmill.transforms.sources.wiki.blocks import GONE

DEPTH = 40
"""Templates nested deeper are dropped, as MediaWiki refuses them."""
_TOKEN = re.compile(r"\{\{|\}\}")
_CUT = re.compile(r"\[\[|\]\]|\|")
_PARAMETER = re.compile(r"\{\{\{([^{}|]*)(?:\|([^{}]*))?\}\}\}")
_GAP = re.compile(rf"(?<![ \t{GONE}])[ \t]*{GONE}[ \t{GONE}]*")

FIRST = frozenset(
    """nowrap nobr small big smaller larger abbr tooltip strong em strikethrough nobold noitalic sub sup smallcaps sc
    var mvar math tmath code mono kbd samp tt center quote blockquote cquote quotation poemquote verse ill interlanguage_link
    nihongo ipa ipa_link ipalink angbr chem2 chem gaps nts visible_anchor anchored_text formatnum lc uc lcfirst ucfirst
    no_wrap rp_text color_text font bold italics italic highlight red green blue
    as_written not_a_typo sic linktext keyboard_press key key_press
    ruby ruby-ja flag flagcountry flagu country""".split()
)
"""Those that show their first argument."""
SECOND = frozenset(
    ["lang", "langx", "wikt-lang", "color", "font_color", "fontcolor", "colored_text", "script", "rtl-lang"]
)
LAST = frozenset(["transl", "transliteration", "tlit"])
LISTS = frozenset(
    ["ubl", "unbulleted_list", "plainlist", "plain_list", "flatlist", "bulleted_list", "blist", "hlist", "olist"]
)
"""Those that show all arguments, one a line."""
SIGNS = {
    "snd": " – ", "spnd": " – ", "spaced_ndash": " – ", "spaced_en_dash": " – ", "ndash": "–", "en_dash": "–", "mdash": "—",
    "em_dash": "—", "--": "–", "nbsp": " ", "space": " ", "sp": " ", "'": "'", "'s": "'s", "=": "=", "·": " · ", "dot": " · ",
    "•": " • ", "bull": " • ", "!": "|", "times": "×", "pi": "π", "minus": "−", "spaces": " ", "zwsp": "", "shy": "", "wbr": "",
    "(": "{", ")": "}", "((": "{{", "))": "}}", "!!": "||",
    "ellipsis": "…", "pagename": "\0", "fullpagename": "\0", "basepagename": "\0", "bra": "(", "ket": ")", "\"": '"',
}  # fmt: skip


CURRENCIES = {
    "us$": "US$", "usd": "US$", "$": "$", "£": "£", "gbp": "£", "€": "€", "eur": "€", "¥": "¥", "jpy": "¥", "a$": "A$",
    "aud": "A$", "c$": "C$", "cad": "C$", "inr": "₹", "rupee": "₹", "₹": "₹", "₽": "₽",
}  # fmt: skip


def expand(text: str, title: str) -> str:
    """The text without templates, or with what they show. Time goes with the length of the text.

    A blank between a word and the punctuation behind a dropped template or footnote goes, too.
    """
    if "{{{" in text:  # a parameter shows its default; they may be nested
        for _ in range(3):
            text = _PARAMETER.sub(lambda m: m[2] or "", text)
    return _GAP.sub(_closed, _expanded(text, title))


def _closed(gap: re.Match[str]) -> str:
    """The blanks that stay of a gap."""
    behind = gap.string[gap.end() : gap.end() + 1]
    return "" if gap[0].endswith(GONE) and behind and behind in ",.;:!?)" else gap[0].replace(GONE, "")


def _expanded(text: str, title: str) -> str:
    stack: list[list[str]] = [[]]
    at = 0
    for found in _TOKEN.finditer(text):
        stack[-1].append(text[at : found.start()])
        at = found.end()
        if found[0] == "{{":
            stack.append([])
        elif len(stack) > 1:
            body = "".join(stack.pop())
            stack[-1].append((shown(body, title) or GONE) if len(stack) <= DEPTH else GONE)
        else:
            stack[-1].append("}}")
    stack[-1].append(text[at:])
    # what is not closed is no template
    return "{{".join("".join(pieces) for pieces in stack) if len(stack) > 1 else "".join(stack[0])


def shown(body: str, title: str) -> str:
    """What the template with this content shows."""
    head = body[:200].partition("|")[0].strip()
    name, colon, _ = head.partition(":")
    name = re.sub(r"[\s_]+", "_", name.strip().lower())
    if colon:  # a function of the parser
        return body.partition(":")[2].partition("|")[0].strip() if name in FIRST else ""
    if name in SIGNS:
        return SIGNS[name].replace("\0", title)
    if name in CURRENCIES:
        return CURRENCIES[name] + _first(_arguments(body))
    if name == "val":
        return _value(body)
    reader = _READERS.get(name) or (_first if name in FIRST or name.startswith("lang-") else None)
    return reader(_arguments(body)) if reader else ""


def _arguments(body: str) -> list[str]:
    """Arguments without a name, in order; a name that is a number counts as none."""
    pieces, depth, at = [], 0, 0
    for found in _CUT.finditer(body):
        if found[0] != "|":
            depth += 1 if found[0] == "[[" else -1
        elif depth <= 0:
            pieces.append(body[at : found.start()])
            at = found.end()
    pieces.append(body[at:])
    out = []
    for piece in pieces[1:]:
        name, equals, value = piece.partition("=")
        if not equals or "<" in name or "[" in name:
            out.append(piece.strip())
        elif name.strip().isdigit() or name.strip() in ("text", "quote"):
            out.append(value.strip())
    return out


def _value(body: str) -> str:
    """`1.5|e=6|u=m` is "1.5×10^6 m"."""
    number = _first(_arguments(body))
    named = {k.strip(): v.strip() for k, _, v in (p.partition("=") for p in body.split("|")[1:]) if v}
    power = f"×10^{named['e']}" if named.get("e") else ""
    return f"{number}{power} {named.get('u') or named.get('ul') or ''}".strip()


def _first(arguments: list[str]) -> str:
    return arguments[0] if arguments else ""


def _second(arguments: list[str]) -> str:
    return arguments[1] if len(arguments) > 1 else ""


def _last(arguments: list[str]) -> str:
    return arguments[-1] if arguments else ""


def _lines(arguments: list[str]) -> str:
    joined = [a for a in arguments if a]
    return "".join(f"\n* {a}" if not a.startswith(("*", "#")) else f"\n{a}" for a in joined) + "\n" if joined else ""


def _convert(arguments: list[str]) -> str:
    """`5|km` is "5 km", and `5|to|10|km` is "5 to 10 km"."""
    words = arguments[:1]
    rest = arguments[1:]
    while len(rest) > 2 and rest[0] in ("to", "-", "–", "and", "or", "x", "by", "+/-", "to(-)"):
        words += [{"-": "–", "x": "×"}.get(rest[0], rest[0]), rest[1]]
        rest = rest[2:]
    return " ".join([*words, *rest[:1]])


def _fraction(arguments: list[str]) -> str:
    if len(arguments) > 2:
        return f"{arguments[0]} {arguments[1]}/{arguments[2]}"
    return "/".join(["1", *arguments] if len(arguments) == 1 else arguments)


def _circa(arguments: list[str]) -> str:
    return f"c. {' – '.join(arguments[:2])}".strip()


def _as_of(arguments: list[str]) -> str:
    return f"As of {' '.join(arguments[:3])}".strip()


_READERS: dict[str, Callable[[list[str]], str]] = {
    **dict.fromkeys(SECOND, _second),
    **dict.fromkeys(LAST, _last),
    **dict.fromkeys(LISTS, _lines),
    **dict.fromkeys(["convert", "cvt"], _convert),
    **dict.fromkeys(["frac", "fraction", "sfrac", "⁄"], _fraction),
    **dict.fromkeys(["circa", "c.", "ca."], _circa),
    "as_of": _as_of,
}
