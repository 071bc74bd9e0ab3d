"""Which licences a text states: SPDX tags, notices and texts of licences, links to Creative Commons."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from corpusmill.transforms.rights.commons import commons
from corpusmill.transforms.rights.gnu import Found, gnu
from corpusmill.transforms.rights.phrases import NAMES_OTHERS, RULES, Rule, pattern

HINT = (
    r"licen[cs]e|permission|permitted|redistribut|creative\s?commons|public[^a-z0-9]+domain|\b[al]?gpl|\bgfdl|\bspdx|\bcc0\b"
    r"|\bgnu[^a-z0-9]|jurisdictions|beer in return|\bofl\b|common-licenses|\bcc[ _-]by\b"
    r"|commercial[^a-z0-9]+applications|\b(?:no|by|to|for)[^a-z0-9]{1,3}copyright"
)
"""A text that says something of licences holds this; without look-around, so that RE2 reads it, too."""
_HINT = re.compile(HINT)
_PARTS = (
    "licen", "permi", "redistribut", "creative", "public", "gpl", "gfdl", "spdx", "cc0", "cc by", "cc-by", "cc_by", "gnu",
    "jurisdictions", "beer", "ofl", "commercial", "copyright",
)  # fmt: skip
"""One of these is in whatever the hint finds. Looking for them is twenty times quicker than the hint."""
_TAG = re.compile(r"SPDX-License-Identifier:[ \t]*(?P<id>[^\s*#;\"'<>][^\n*#;\"'<>]{0,200})")
_LINK = re.compile(
    r"creativecommons\.org/licen[cs]es/(?P<kind>by(?:-(?:nc|sa|nd)){0,2}|publicdomain)(?:/(?P<version>[1-4]\.[0-9]))?"
)
_NAME = re.compile(
    r"(?:creative[\W_]+commons[\W_]+|\bcc[\W_]+(?=by\b))(?P<kind>(?:attribution|by)(?:[\W_]+(?:non[\W_]?commercial|share[\W_]?alike|"
    r"no[\W_]?deriv(?:ative)?(?:[\W_]work)?s?|nc|sa|nd)\b)*)(?:[\W_]{1,20}(?:unported|international|generic|license|licence|version|v)\b){0,3}[\W_]{0,20}(?P<version>[1-4]\.[0-9])?"
)
_CODE = re.compile(
    r"\b(?P<kind>attribution(?:[\W_]+(?:non[\W_]?commercial|share[\W_]?alike|no[\W_]?deriv(?:ative)?s?))*)[\W_]+(?P<version>[1-4]\.[0-9])"
    r"[\W_]+(?:(?:unported|international|generic)[\W_]+)?creative[\W_]+commons[\W_]+corporation"
)
"""The beginning of a text of Creative Commons."""
_PUBLIC = re.compile(r"\bpublic[\W_]{1,20}domain\b")
_IN_PUBLIC = re.compile(
    r"(?:\b(?:is|are|placed?|released?|dedicated?|donated?|put|belongs?|in|into|to)\b[^.]{0,40}|^\W*|:[ \t]*)\Z"
)
_NO_RIGHTS = re.compile(
    r"\b(?:no(?:ne)?\b|not\b|hardly\b|n't\b)[^.]{0,80}?\b(?:eligible[\W_]+for|subject[\W_]+to|protected[\W_]+by)[\W_]+copyright"
    r"|\bno[\W_]+copyright[\W_]+(?:is[\W_]+)?(?:claimed|asserted)\b"
)
"""What says of a work that nobody has rights to it."""
_POINTER = re.compile(r"/usr/share/common-licenses/([a-z0-9.-]*[a-z0-9])")
_POINTED = {
    "apache-2.0": "Apache-2.0",
    "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0",
    "cc0-1.0": "CC0-1.0",
    "artistic": "Artistic-1.0-Perl",
    "bsd": "BSD-3-Clause",
}
"""Texts of Debian that a notice points to; those of the GNU licences do not tell whether later versions are meant, too."""
_GNU = re.compile(r"[AL]?GPL-")
_FAR = 6000
PUBLIC_DOMAIN = "LicenseRef-public-domain"


@functools.cache
def _rules() -> tuple[tuple[Rule, tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]], ...]:
    return tuple((r, tuple(map(pattern, r.phrases)), tuple(map(pattern, r.without))) for r in RULES)


def licences(text: str) -> list[Found]:
    """The licences that a text states, by place; each once, with its first evidence. Sources: see `Rights`."""
    out = [Found(_tidy(m["id"]), m.start(), m.end(), "tag") for m in _TAG.finditer(text)]
    low = text.lower()
    if len(low) != len(text):  # İ becomes two characters
        low = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    for start, stop in _regions(low):
        out += [Found(f.licence, f.start + start, f.stop + start, f.source) for f in _stated(low[start:stop])]
    first: dict[str, Found] = {}
    for found in sorted(out, key=lambda f: (f.start, f.licence)):
        if found.licence:
            first.setdefault(found.licence, found)
    return list(first.values())


def joined(stated: Iterable[str]) -> str:
    """Licences as one SPDX expression that asks for all of them, each once."""
    parts = list(dict.fromkeys(stated))
    return " AND ".join(f"({p})" if " OR " in p and len(parts) > 1 and not p.startswith("(") else p for p in parts)


def _regions(text: str) -> list[tuple[int, int]]:
    """Parts of a text that may say something of licences."""
    if not any(part in text for part in _PARTS):
        return []
    out: list[tuple[int, int]] = []
    for hint in _HINT.finditer(text):
        start, stop = max(0, hint.start() - 1500), min(len(text), hint.end() + _FAR)
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], stop
        else:
            out.append((start, stop))
    return out


def _stated(text: str) -> list[Found]:
    out = gnu(text)
    for rule, phrases, without in _rules():
        begin = phrases[0].search(text)
        if begin is None:
            continue
        near = text[begin.start() : begin.start() + rule.reach]
        places = [p.search(near) for p in phrases[1:]]
        if all(places) and not any(p.search(near) for p in without):
            end = max([begin.end(), *(begin.start() + p.end() for p in places if p)])
            out.append(Found(rule.licence, begin.start(), end, "text" if rule.phrases[1:] else "notice"))
    for link in _LINK.finditer(text):
        if link["kind"] != "publicdomain" and link["version"]:
            out.append(Found(f"CC-{link['kind'].upper()}-{link['version']}", link.start(), link.end(), "link"))
    for name in _NAME.finditer(text):
        if name["version"]:
            out.append(Found(f"CC-{_kind(name['kind'])}-{name['version']}", name.start(), name.end(), "notice"))
    for code in _CODE.finditer(text):
        out.append(Found(f"CC-{_kind(code['kind'])}-{code['version']}", code.start(), code.end(), "text"))
    if not any(f.licence.startswith("CC-") for f in out):
        out += commons(text)
    for begins, (says, others) in NAMES_OTHERS.items():
        if any(f.licence.startswith(begins) for f in out) and says.search(text):
            out = [f for f in out if not f.licence.startswith(others) or (f.source == "text" and _GNU.match(f.licence))]
    if not out:
        out = [
            Found(_POINTED[m[1]], m.start(), m.end(), "pointer") for m in _POINTER.finditer(text) if m[1] in _POINTED
        ]
    for none in _NO_RIGHTS.finditer(text) if not out else ():
        return [Found(PUBLIC_DOMAIN, none.start(), none.end(), "notice")]
    for public in _PUBLIC.finditer(text) if not out else ():
        if _IN_PUBLIC.search(text[max(0, public.start() - 60) : public.start()]):
            return [Found(PUBLIC_DOMAIN, public.start(), public.end(), "notice")]
    return out


def _kind(words: str) -> str:
    plain = re.sub(r"[\W_]+", "", words)
    parts = ["BY", *(p for p, names in (("NC", ("noncommercial", "nc")), ("SA", ("sharealike", "sa")), ("ND", ("noderiv", "nd")))
                     if any(n in plain for n in names))]  # fmt: skip
    return "-".join(parts)


def _tidy(expression: str) -> str:
    """An SPDX expression as one writes it: without the end of a comment, operators in capitals."""
    expression = re.sub(r"\s*(?:\*/|-->|\]\]|\"|').*$", "", expression).strip().rstrip(".,")
    return re.sub(r"\s+(and|or|with)\s+", lambda m: f" {m[1].upper()} ", expression, flags=re.IGNORECASE)
