"""Machine-readable copyright files of Debian (DEP-5): the licences of their paragraphs as SPDX expressions.

Source: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
"""

from __future__ import annotations

import re

_FORMAT = re.compile(
    r"\A\ufeff?(?:[^\n]*\n){0,5}?Format(?:-Specification)?:[^\n]*(?:copyright-format|dep5|DEP5)", re.IGNORECASE
)
_FIELD = re.compile(r"^License:[ \t]*([^\n]*)\n((?:[ \t][^\n]*(?:\n|\Z))*)", re.MULTILINE | re.IGNORECASE)
_GNU = re.compile(r"(A?GPL|LGPL|GFDL)(?:-NIV)?[- ]?v?([123](?:\.\d)?)?(\+)?(?:-(only|or-later))?\Z", re.IGNORECASE)
_SAME = {
    "expat": "MIT",
    "mit": "MIT",
    "mit/x11": "MIT",
    "mit-license": "MIT",
    "mit license": "MIT",
    "x11": "X11",
    "isc": "ISC",
    "bsd-4-clause-uc": "BSD-4-Clause",
    "bsd-4-clause-university": "BSD-4-Clause",
    "zlib": "Zlib",
    "zlib/libpng": "Zlib",
    "apache": "Apache-2.0",
    "asl-2": "Apache-2.0",
    "asl-2.0": "Apache-2.0",
    "bsl-1.0": "BSL-1.0",
    "bsl": "BSL-1.0",
    "boost-1.0": "BSL-1.0",
    "boost": "BSL-1.0",
    "cc0": "CC0-1.0",
    "cc0-1": "CC0-1.0",
    "sil-1.1": "OFL-1.1",
    "ofl": "OFL-1.1",
    "postgresql": "PostgreSQL",
    "public-domain": "LicenseRef-public-domain",
    "pd": "LicenseRef-public-domain",
    "public domain": "LicenseRef-public-domain",
    "fsfap": "FSFAP",
    "fsful": "FSFUL",
    "fsfullr": "FSFULLR",
    "ntp": "NTP",
    "curl": "curl",
    "unlicense": "Unlicense",
    "wtfpl": "WTFPL",
    "wtfpl-2": "WTFPL",
    "beerware": "Beerware",
    "artistic-perl": "Artistic-1.0-Perl",
    "artistic": "Artistic-1.0-Perl",
    "artistic-1": "Artistic-1.0-Perl",
    "artistic-2": "Artistic-2.0",
    "psf-2": "Python-2.0",
    "python": "Python-2.0",
    "tcl": "TCL",
    "openssl": "OpenSSL",
    "unicode-dfs-2016": "Unicode-DFS-2016",
    "unicode": "Unicode-DFS-2016",
    "bzip2-1.0.6": "bzip2-1.0.6",
    "zpl-2.1": "ZPL-2.1",
    "vim": "Vim",
    "sleepycat": "Sleepycat",
    "hpnd": "HPND",
    "hpnd-sell-variant": "HPND-sell-variant",
    "icu": "ICU",
    "ncsa": "NCSA",
    "mit-0": "MIT-0",
    "cddl": "CDDL-1.0",
    "apache-2-llvm-exceptions": "Apache-2.0",
    "sgi-b-2.0": "SGI-B-2.0",
    "bsd-2-clause-freebsd": "BSD-2-Clause",
    "cpl": "CPL-1.0",
}
_VERSIONED = re.compile(
    r"(apache|mpl|epl|cddl|ofl|afl|artistic|cpl|eupl|qpl)[- ]?v?(\d)(?:\.(\d))?\Z|(bsd)[- ]?([1234])(?:[- ]clauses?)?\Z"
    r"|cc[- ](by(?:-(?:nc|sa|nd)){0,2})-([1-4](?:\.\d)?)\Z",
    re.IGNORECASE,
)
_SPELLED = {"APACHE": "Apache", "ARTISTIC": "Artistic"}


def is_dep5(text: str) -> bool:
    """Whether a text is a machine-readable copyright file."""
    return bool(_FORMAT.match(text))


def fields(text: str) -> list[tuple[str, str]]:
    """(short name, the text behind it) of every `License` field; the text is empty where it stands elsewhere."""
    return [(m[1].strip(), re.sub(r"(?m)^[ \t]\.?[ \t]*$", "", m[2])) for m in _FIELD.finditer(text)]


def stated(text: str) -> list[tuple[str, int, int]]:
    """(SPDX expression, start and stop of its field) of every `License` field that names licences of SPDX."""
    return [(e, m.start(), m.end(1)) for m in _FIELD.finditer(text) if (e := spdx(m[1].strip()))]


def spdx(name: str) -> str:
    """The SPDX expression of a short name, or an empty one if some part of it is no licence that SPDX has.

    >>> spdx("GPL-2+ or Expat"), spdx("GPL-3"), spdx("my-own")
    ('GPL-2.0-or-later OR MIT', 'GPL-3.0-only', '')
    """
    parts = re.split(r"\s*,?\s+(and/or|and|or)\s+", name.strip(), flags=re.IGNORECASE)
    words = [_one(p) if i % 2 == 0 else p.upper().replace("AND/OR", "OR") for i, p in enumerate(parts)]
    return " ".join(words) if all(words) else ""


def _one(name: str) -> str:
    name = re.split(r"\s+with\s+", name.strip().rstrip(","), flags=re.IGNORECASE)[0]
    if name.lower() in _SAME:
        return _SAME[name.lower()]
    gnu = _GNU.match(name)
    if gnu:
        family = gnu[1].upper()
        if gnu[2] is None or float(gnu[2]) == 1:
            return f"{family}-{'1.0' if family in ('GPL', 'AGPL') else '2.0' if family == 'LGPL' else '1.1'}-or-later"
        version = gnu[2] if "." in gnu[2] else f"{gnu[2]}.0"
        return f"{family}-{version}-{'or-later' if gnu[3] or (gnu[4] or '').lower() == 'or-later' else 'only'}"
    other = _VERSIONED.match(name)
    if other is None:
        return ""
    if other[4]:
        return f"BSD-{other[5]}-Clause"
    if other[6]:
        return f"CC-{other[6].upper()}-{other[7] if '.' in other[7] else other[7] + '.0'}"
    return f"{_SPELLED.get(other[1].upper(), other[1].upper())}-{other[2]}.{other[3] or '0'}"
