"""IP addresses. The surrounding text distinguishes them from versions, section numbers, slices of code and netmasks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpusmill.transforms.redact import checksums as check
from corpusmill.transforms.redact.rules import Candidate, Value

_IPV4 = re.compile(rb"(?<![0-9A-Za-z_.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z_]|\.[0-9A-Za-z])")
_VERSION_WORDS = "|".join(
    """version versions ver vers v rv release releases released build builds rev revision update patch firmware driver sdk schema
    kernel assembly\\w* \\w*version \\w*release \\w*revision oid section sections sec sect clause clauses subclause chapter
    chapters chap ch article articles art paragraph paragraphs para item items figure figures fig table tables tab appendix annex
    step rule requirement req heading
    abschnitt abschnitte abschnitts kapitel ziffer absatz artikel punkt punkte
    sección seccion capítulo capitulo artículo articulo cláusula clausula seção versión versão versione sezione capitolo clausola
    articolo chapitre rilascio
    версия версии версию версией раздел раздела пункт пункта пункте глава статья статьи версія розділ
    wersja wersji sekcja rozdział sürüm bölüm madde utgåva avsnitt hoofdstuk paragraaf versie onderdeel""".split()
)
_LIST = r"(?:v?\d+(?:\.\d+){1,4}[\s,;–-]*(?:(?:and|or|und|oder|et|ou|y|o|e|и|to|bis|through|/|→|->)\s*)?){0,3}"
_VERSION = re.compile(
    rf"(?<![0-9a-zß-ɏа-я])(?:{_VERSION_WORDS})(?:\s+(?:no|nr|number|is|to|of))?\W{{0,4}}{_LIST}$|§\s*{_LIST}$"
    r"|(?:版本|版|第|章节|小节|条款|節|条項|항|버전|절|الإصدار|إصدار|संस्करण|धारा)\W{0,3}$"
)
_ADDRESS_KEY = re.compile(
    r"(?<![^\W_])(?:ip|ipv4|addr|address|host|hostname|server|src|source|dst|dest|destination|peer|client|remote|gateway|gw|dns|bind|listen"
    r"|node|from|to|via)\W*$"
)
_OPERATOR = re.compile(r"(?:[=!<>~^]=|(?<!-)[<>^~]|~>|=>)\s*[\"']?$")
_PRODUCT = re.compile(r"(?:^|[\s(;,\"'])[a-z][\w.+-]*/$")
_PACKAGE = re.compile(r"[^\W\d]-$")
_AFTER_VERSION = re.compile(
    rb"[-+_~]?(?:[A-Za-z]|\xe7\x89\x88)|-[0-9]+\.?[A-Za-z]|-[0-9]{1,2}(?:ubuntu|deb|\.el|\.fc)|\+[0-9A-Za-z]"
)
_HEADING = re.compile(r"(?:^|\n)[#\s*>-]*$")
_TITLE = re.compile(rb" {1,4}[A-Z\xc3\xd0\xce][^\s.:]*[a-z\x80-\xff][^\n]*")
_LOG_TITLE = re.compile(
    rb" {1,4}(?:[A-Z]{3,}|Connect|Accept|Host|Reply|From|To\b|Up\b|Down\b|Login|User|Server|Failed|Got)"
)


def _is_version(candidate: Candidate, start: int, stop: int) -> bool:
    """Whether four numbers with dots are a version or the number of a section, by the text around them."""
    before = candidate.before(start)
    line = before.rpartition("\n")[2]
    if _VERSION.search(line):
        return True
    if _OPERATOR.search(line) and not _ADDRESS_KEY.search(re.sub(r"[=!<>~^\"'\s]+$", "", line)):
        return True
    if _PRODUCT.search(line) or _PACKAGE.search(line):
        return True
    rest = candidate.text[stop : stop + 80]
    if _AFTER_VERSION.match(rest):
        return True
    parts = [int(p) for p in candidate.text[start:stop].split(b".")]
    small = all(1 <= p <= 40 for p in parts)
    starts_line = start == 0 or bool(_HEADING.search(before))
    return small and starts_line and bool(_TITLE.match(rest)) and not _LOG_TITLE.match(rest)


def ipv4(candidate: Candidate) -> Iterator[Value]:
    """Addresses of hosts in a stretch of digits, alone, with a port or a prefix, in attributes and in ranges."""
    for match in candidate.matches(_IPV4):
        value = check.ipv4(match[0])
        if value is not None and not _is_version(candidate, match.start(), match.end()):
            yield Value(match.start(), match.end(), "ip", value)


_COLONS = rb"(?<![0-9A-Za-z_:.])"
_IPV6 = re.compile(_COLONS + rb"[0-9A-Fa-f:]{3,38}[0-9A-Fa-f](?:\.[0-9]{1,3}){0,3}(?![0-9A-Za-z_]|:[0-9A-Fa-f:])")
_IPV6_NETWORK = re.compile(_COLONS + rb"(?:[0-9A-Fa-f]{1,4}:){1,7}:(?![0-9A-Za-z_:])")
_SLICE = re.compile(rb"[0-9]+::[0-9]*")


def ipv6(candidate: Candidate) -> Iterator[Value]:
    """Addresses from allocated ranges. Others, such as `1::2`, are slices, ratios and times."""
    for pattern in (_IPV6, _IPV6_NETWORK):
        for match in candidate.matches(pattern):
            value = check.ipv6(match[0])
            if value is not None and not _SLICE.fullmatch(match[0]):
                yield Value(match.start(), match.end(), "ip", value)
