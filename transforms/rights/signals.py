"""What a page says of its rights outside of its text: licence links and meta tags, robots and reservations.

Sources: rel="license" (HTML standard); Dublin Core terms; schema.org `license`; robots meta tags and X-Robots-Tag; the TDM
Reservation Protocol (W3C community group report, 2022), whose names are `tdm-reservation` and `tdm-policy`; Link headers with
rel=license (RFC 8288, RFC 4946); Content-Usage (draft-ietf-aipref-attach) and Content-Signal, where they say no to training.
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

from corpusmill.transforms.rights.gnu import Found
from corpusmill.transforms.rights.recognise import licences

_TAG = re.compile(r"<(meta|link|a)\b([^<>]{0,4000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"([a-zA-Z:-]{1,40})\s{0,20}=\s{0,20}(?:\"([^\"]{0,2000})\"|'([^']{0,2000})'|([^\s\"'>]{1,2000}))"
)
_STATED = frozenset(
    "license licence dc.rights dcterms.license dcterms.rights dc.rights.license rights copyright".split()
)
_JSON = re.compile(r"\"license\"\s{0,20}:\s{0,20}(?:\[\s{0,20})?\"([^\"]{1,500})\"", re.IGNORECASE)
_AT_ID = re.compile(
    r"(?:opensource\.org/(?:licenses|license)|spdx\.org/licenses)/([A-Za-z0-9.+-]{2,40}?)(?:\.html|/|\Z|[^A-Za-z0-9.+-])"
)
_AT_GNU = re.compile(
    r"gnu\.org/(?:licenses|copyleft)/(?:old-licenses/)?([al]?gpl|fdl)(?:-([123]\.[0-9]))?", re.IGNORECASE
)
_ROBOTS = frozenset(
    "robots googlebot bingbot gptbot ccbot google-extended anthropic-ai claudebot perplexitybot applebot-extended bytespider"
    " amazonbot meta-externalagent cohere-ai ai2bot corpusmill".split()
)
_VALUED = frozenset("max-snippet max-image-preview max-video-preview unavailable_after".split())
_NO_TRAINING = re.compile(r"(?:^|[,;\s])(?:train-ai|ai-train|ai)\s{0,9}=\s{0,9}(?:n|no)\b", re.IGNORECASE)
_LINK = re.compile(r"<([^<>]{1,2000})>([^<>]{0,2000})")
_OPEN = {
    "mit": "MIT",
    "apache-2.0": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "isc": "ISC",
}
RESERVED = frozenset(("noai", "notrain", "noml"))
"""Directives for robots that reserve a page against training."""


class Signals(NamedTuple):
    """licences: by place in the HTML, in characters, source `meta`, `link`, `json` or `header`; robots: directives, in lower case,
    sorted; tdm: whether text and data mining is reserved, None where nothing is said; policy: the address of its policy, or ""."""

    licences: list[Found]
    robots: tuple[str, ...]
    tdm: bool | None
    policy: str

    @property
    def reserved(self) -> bool:
        """Whether the page is reserved against training."""
        return bool(self.tdm) or not RESERVED.isdisjoint(self.robots)


def signals(page: str, headers: str) -> Signals:
    """The signals of a page (HTML, or "") and its HTTP headers (a line each, or "")."""
    found: list[Found] = []
    robots: set[str] = set()
    tdm: bool | None = None
    policy = ""
    for tag in _TAG.finditer(page):
        kind = tag[1].lower()
        if kind == "a" and "license" not in tag[2].lower():
            continue
        attributes = {m[1].lower(): html.unescape(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(tag[2])}
        if kind != "meta":
            if "license" in attributes.get("rel", "").lower().split() or attributes.get("itemprop") == "license":
                found += _at(attributes.get("href", ""), tag.start(), tag.end(), "link")
            continue
        name = (attributes.get("name") or attributes.get("property") or attributes.get("itemprop") or "").lower()
        content = attributes.get("content", "")
        if name in _ROBOTS:
            robots |= _directives(content)
        elif name == "tdm-reservation":
            tdm = _is_reserved(content, tdm)
        elif name == "tdm-policy":
            policy = policy or content
        elif name in _STATED:
            found += _at(content, tag.start(), tag.end(), "meta")
    for stated in _JSON.finditer(page):
        found += _at(stated[1].replace("\\/", "/"), stated.start(), stated.end(), "json")
    for line in headers.splitlines():
        name, _, value = line.partition(":")
        name = name.strip().lower()
        if name == "x-robots-tag":
            robots |= _directives(value)
        elif name == "tdm-reservation":
            tdm = _is_reserved(value, tdm)
        elif name == "tdm-policy":
            policy = policy or value.strip()
        elif name in ("content-usage", "content-signal"):
            tdm = True if _NO_TRAINING.search(value) else tdm
        elif name == "link":
            for link in _LINK.finditer(value):
                if re.search(r"rel\s*=\s*\"?[^\";,]*\blicense\b", link[2], re.IGNORECASE):
                    found += _at(link[1], 0, 0, "header")
    return Signals(sorted(set(found), key=lambda f: (f.start, f.licence)), tuple(sorted(robots)), tdm, policy)


def _is_reserved(value: str, before: bool | None) -> bool | None:
    """What is reserved once stays reserved."""
    return {"1": True, "0": bool(before)}.get(value.strip(), before)


def _directives(content: str) -> set[str]:
    """Directives with their values, without the name of a robot before them."""
    found = set()
    for part in content.lower().split(","):
        pieces = [p.strip() for p in part.split(":")]
        begin = next((i for i, p in enumerate(pieces) if p in _VALUED), len(pieces) - 1)
        word = ":".join(pieces[begin:])
        if word and len(word) < 60:
            found.add(word)
    return found


def _at(value: str, start: int, stop: int, source: str) -> list[Found]:
    """The licences that an address or a sentence names."""
    known = [f.licence for f in licences(value)]
    if not known and (named := _AT_ID.search(value)):
        known = [_OPEN.get(named[1].lower(), named[1])]
    if not known and (gnu := _AT_GNU.search(value)) and gnu[2]:
        family = {"fdl": "GFDL"}.get(gnu[1].lower(), gnu[1].upper())
        known = [f"{family}-{gnu[2]}-only"]
    return [Found(licence, start, stop, source) for licence in known]
