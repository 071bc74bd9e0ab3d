"""GNU licences: which one a text grants, of which version, and whether of later ones, too."""

from __future__ import annotations

import re
from typing import NamedTuple


class Found(NamedTuple):
    """An SPDX licence expression, and where in a text its evidence stands, in characters; source: the kind of evidence."""

    licence: str
    start: int
    stop: int
    source: str


_S = r"[\W_]+"
_MENTION = re.compile(
    rf"\bgnu{_S}(?P<kind>affero{_S}|lesser{_S}|library{_S}|free{_S}documentation{_S})?(?:general{_S}|genral{_S})?"
    rf"(?:\(?library\)?{_S})?(?:public{_S})?licen[cs]es?"
    rf"|\b(?P<short>(?:affero{_S}|lesser{_S}|library{_S})?[al]?gpl|gfdl)(?=[\W_v\d]|\Z)"
)
_VERSION = re.compile(r"(?:\bversions?|\bv\.?|licen[cs]es?|[al]?gpl[\W_]{0,3}v?|gfdl)[\W_]{0,8}([123](?:\.[0-9])?)\b")
_LATER = re.compile(
    rf"\bany{_S}(?:later|newer){_S}(?:version|edition)|\bor{_S}(?:at{_S}your{_S}option{_S})?(?:any{_S})?(?:later|newer|above|higher)\b"
    rf"|[123](?:\.[0-9])?\+"
)
_OF_THE = re.compile(rf"(?:(?!{_S}of{_S}the{_S}licen[cs]e\b)[^.]|\.(?=\d)){{0,90}}?{_S}of{_S}(?:the{_S})?(?:gnu{_S})?")
"""What stands between a version and the name behind it that it belongs to."""
_ALSO = re.compile(rf"(?:version|v)?[\W_]*([123](?:\.[0-9])?){_S}or{_S}(?:version{_S})?([123](?:\.[0-9])?)\b")
_DEBIAN = re.compile(
    rf"(?:on{_S}debian|the{_S}(?:complete|full){_S}text|a{_S}copy{_S}of{_S}the{_S}gnu|see{_S}).{{0,200}}?/usr/share/common-licenses\S*",
    re.DOTALL,
)
_WHOLE = re.compile(
    rf"\bgnu{_S}(?:affero{_S}|lesser{_S}|library{_S})?(?:free{_S}documentation|general{_S}public){_S}licen[cs]e[\W_]*(?:[al]?gpl[\W_]*)?"
    rf"version{_S}(?P<version>[123](?:\.[0-9])?)\b.{{0,400}}?everyone{_S}is{_S}permitted{_S}to{_S}copy{_S}and{_S}distribute{_S}verbatim",
    re.DOTALL,
)
"""The beginning of the text of a licence itself; SPDX calls a licence without a notice `-only`."""
_NAMES = {"affero": "AGPL", "lesser": "LGPL", "library": "LGPL", "free": "GFDL", "": "GPL"}
_KNOWN = {
    "GPL": ("1.0", "2.0", "3.0"),
    "LGPL": ("2.0", "2.1", "3.0"),
    "AGPL": ("1.0", "3.0"),
    "GFDL": ("1.1", "1.2", "1.3"),
}
_LEAST = {"GPL": "1.0", "LGPL": "2.0", "AGPL": "1.0", "GFDL": "1.1"}
_BEFORE, _BEHIND = 160, 420


def gnu(text: str) -> list[Found]:
    """The GNU licences that a text in lower case grants or holds. A version that is mentioned with a licence counts for it."""
    found: dict[str, list[tuple[str, bool, int, int]]] = {}
    bare: dict[str, tuple[int, int]] = {}
    for whole in _WHOLE.finditer(text):
        name = _MENTION.match(text, whole.start())
        family = _family(name) if name else ""
        if name and (version := _version(family, whole["version"])):
            # its own text names other licences, and says how to grant it with later versions
            before = gnu(text[: whole.start()])
            if any(
                f.licence.startswith(f"{family}-{version}-") for f in before
            ):  # the notice grants it, the text is attached
                return before
            return [*before, Found(f"{family}-{version}-only", whole.start(), whole.end(), "text")]
    # where Debian's files say where the licence lies, that is no grant
    elsewhere = [(m.start(), m.end()) for m in _DEBIAN.finditer(text)]
    mentions = [m for m in _MENTION.finditer(text) if not any(a <= m.start() < b for a, b in elsewhere)]
    for i, mention in enumerate(mentions):
        family = _family(mention)
        begin = max(mention.start() - _BEFORE, mentions[i - 1].end() if i else 0)
        stop = min(mention.end() + _BEHIND, len(text))
        if i + 1 < len(mentions) and _family(mentions[i + 1]) != family:
            stop = min(stop, mentions[i + 1].start())
        stop = min([stop, *(a for a, _ in elsewhere if a > mention.end())])
        window = _grant(text, begin, mention, stop)
        versions = [v for m in _VERSION.finditer(window) if (v := _version(family, m[1]))]
        if not versions:
            bare.setdefault(family, (mention.start(), mention.end()))
            continue
        also = _ALSO.search(window)
        later = bool(_LATER.search(window))
        chosen = [versions[0]]
        if also and not later and (second := _version(family, also[2])):
            chosen.append(second)
        for version in chosen:
            found.setdefault(family, []).append((version, later, mention.start(), stop))
    out = []
    for family, grants in found.items():
        later = any(g[1] for g in grants)
        for version in dict.fromkeys(g[0] for g in grants):
            first = next(g for g in grants if g[0] == version)
            out.append(Found(f"{family}-{version}-{'or-later' if later else 'only'}", first[2], first[3], "notice"))
        if later:
            out = [f for f in out if not f.licence.startswith(f"{family}-")] + [
                min((f for f in out if f.licence.startswith(f"{family}-")), key=lambda f: f.licence)
            ]
    for family, (start, stop) in bare.items():
        # a licence without a version, where no other is named: any version may be chosen (GPL 2, section 9)
        if not found and not out:
            out.append(Found(f"{family}-{_LEAST[family]}-or-later", start, stop, "notice"))
    return out


def _grant(text: str, begin: int, mention: re.Match[str], stop: int) -> str:
    """The part of text[begin:stop] around a licence's name that says its version.

    It is what stands behind the name, unless the version stands right before it ("version 2 of the GNU ..."), or nowhere else. So
    two licences that are granted side by side each have their own version.
    """
    before = text[begin : mention.start()]
    own = [m for m in _VERSION.finditer(before) if _OF_THE.fullmatch(before, m.end())]
    if own:
        return text[begin + own[-1].start() : stop]
    behind = text[mention.start() : stop]
    return behind if _VERSION.search(behind) else text[begin:stop]


def _family(mention: re.Match[str]) -> str:
    if mention["short"]:
        short = mention["short"]
        return {"a": "AGPL", "l": "LGPL"}.get(short[0], "GFDL" if short == "gfdl" else "GPL")
    kind = re.match(r"[a-z]*", mention["kind"] or "")
    family = _NAMES[kind[0] if kind else ""]
    return "LGPL" if family == "GPL" and "library" in mention[0] else family


def _version(family: str, version: str) -> str | None:
    full = version if "." in version else f"{version}.0"
    return full if full in _KNOWN[family] else None
