"""Phrases by which texts of licences are known, in our own order: what a text must say, and what it must not.

A phrase is matched in any case, with any signs between its words, so that it is found in a comment and across lines. `|` divides
choices of one word, `?` behind them makes the word optional, `...` stands for up to 200 characters.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """A licence. The first phrase is where its evidence begins; all phrases must be within `reach` characters behind that."""

    licence: str
    phrases: tuple[str, ...]
    without: tuple[str, ...] = ()
    reach: int = 4000


_GRANT = "permission is hereby granted free of charge to any person obtaining|getting"
_REDISTRIBUTE = "redistribution and use in|of source and|or binary|compiled form|forms"
_SOURCE = "redistributions of|in source code|form|forms must|should|shall retain"
_BINARY = "redistributions in|of binary|compiled|any form|forms must|should|shall reproduce|include|contain"
_ENDORSE = "endorse|promote|advertise or|and|nor endorse|promote|advertise? products|software|works? derived|based|that"
_ADVERTISE = "all advertising materials mentioning"
_ORIGIN = "source versions must be plainly marked"
_USE = "permission to use copy modify"
_DATED = "of the date|dates of first publication"
_EXCEPT = "except as contained in this notice"
_UNICODE = "data files or software"
_NTP = "for any purpose with or without fee"

RULES = (
    Rule(
        "MIT-0",
        (_GRANT, "furnished to do so"),
        (
            "notice and this",
            "copyright notice|notices",
            "subject to the following conditions",
            _UNICODE,
            "font software",
            _SOURCE,
        ),
        1600,
    ),
    Rule("SGI-B-2.0", (_GRANT, _DATED)),
    Rule("ICU", (_GRANT, "appear in supporting documentation"), (_UNICODE,)),
    Rule("X11", (_GRANT, _EXCEPT), (_DATED, "appear in supporting documentation", _UNICODE)),
    Rule(
        "MIT",
        (_GRANT, "copyright notice|notices"),
        (_EXCEPT, "appear in supporting documentation", _DATED, _SOURCE, _UNICODE, "font software"),
    ),
    Rule(
        "MIT",
        (_GRANT, "subject to the following conditions"),
        ("copyright notice|notices", "appear in supporting documentation", _DATED, _SOURCE, _UNICODE, "font software"),
    ),
    Rule("NCSA", (_GRANT, _SOURCE)),
    Rule("Unicode-DFS-2016", (_GRANT, _UNICODE)),
    Rule("Apache-1.1", (_REDISTRIBUTE, "end user documentation included with the redistribution")),
    Rule("OpenSSL", (_REDISTRIBUTE, _ADVERTISE, "openssl")),
    Rule("BSD-4-Clause", (_REDISTRIBUTE, _ADVERTISE), ("openssl",)),
    Rule("Sleepycat", (_REDISTRIBUTE, "how to obtain complete source code")),
    Rule("ZPL-2.1", (_REDISTRIBUTE, "servicemarks sm or trademarks")),
    Rule(
        "BSD-3-Clause",
        (_REDISTRIBUTE, _ENDORSE),
        (
            _ADVERTISE,
            "end user documentation included with the redistribution",
            "how to obtain complete source code",
            "servicemarks sm or trademarks",
            _ORIGIN,
        ),
        2200,
    ),
    Rule(
        "BSD-2-Clause",
        (_REDISTRIBUTE, _BINARY),
        (_ADVERTISE, _ENDORSE, "how to obtain complete source code", _ORIGIN),
        2200,
    ),
    Rule("bzip2-1.0.6", (_REDISTRIBUTE, _ORIGIN)),
    Rule(
        "BSD-1-Clause",
        (_REDISTRIBUTE, _SOURCE),
        (_BINARY, _ENDORSE, _ADVERTISE, "how to obtain complete source code"),
        2200,
    ),
    Rule(
        "PostgreSQL",
        (
            _USE
            + " and distribute this software and its documentation for any purpose without fee and without a written",
        ),
    ),
    Rule("TCL", ("authors hereby grant permission to use copy modify distribute and license this software",)),
    Rule("curl", (_USE + " and distribute this software for any purpose with or without fee", _EXCEPT)),
    Rule(
        "ISC",
        (_USE + " and? or? distribute this software for any purpose",),
        (_EXCEPT, "supporting documentation"),
        1200,
    ),
    Rule("HPND-sell-variant", (_USE + " distribute and sell this software",)),
    Rule("NTP", (_USE + " and|or distribute this software and its documentation " + _NTP, "supporting documentation")),
    Rule(
        "HPND",
        (_USE + " and|or distribute this software and its documentation", "supporting documentation"),
        ("without a written agreement", _NTP),
    ),
    Rule("Zlib", ("this|the software for any purpose including commercial applications", _ORIGIN)),
    Rule("BSL-1.0", ("boost software license|licence version? v? 1.0",)),
    Rule("BSL-1.0", ("permission is hereby granted free of charge to any person or organization obtaining",)),
    Rule("Apache-2.0", ("apache software? license|licence version? v? v2|2",)),
    Rule("Apache-2.0", ("apache.org licenses license 2.0",)),
    Rule("Apache-2.0", ("apache.org licenses terms and conditions for use reproduction and distribution",)),
    Rule("Apache-2.0", ("portions of this software are embedded into an object form",)),
    Rule("Apache-1.0", ("for use in the apache http server project",)),
    Rule("MPL-2.0", ("mozilla public license|licence version|v|mpl? 2.0",)),
    Rule("MPL-2.0", ("mozilla.org mpl 2.0",)),
    Rule("MPL-2.0", ("mpl v|version? 2.0",)),
    Rule("MPL-1.1", ("mpl v|version? 1.1",)),
    Rule("MPL-1.1", ("mozilla public license|licence version|v? 1.1",)),
    Rule("MPL-1.0", ("mozilla public license|licence version|v? 1.0",)),
    Rule("EPL-2.0", ("eclipse public license|licence version|v? 2.0",)),
    Rule("EPL-1.0", ("eclipse public license|licence version|v? 1.0",)),
    Rule("CPL-1.0", ("common public license|licence version|v? 1.0",)),
    Rule("CDDL-1.0", ("common development and distribution license|licence cddl? version? v? 1.0",)),
    Rule("EUPL-1.2", ("european union public licence|license v|version? 1.2",)),
    Rule("OFL-1.1", ("sil open font license|licence version? v? v1.1|1.1",)),
    Rule("OFL-1.1", ("goals of the open font license ofl are to stimulate",)),
    Rule("OFL-1.1", ("scripts.sil.org ofl",)),
    Rule("AFL-2.1", ("academic free license|licence version|v? 2.1",)),
    Rule("AFL-2.0", ("academic free license|licence version|v? 2.0",)),
    Rule("AFL-3.0", ("academic free license|licence version|v? 3.0",)),
    Rule("Artistic-2.0", ("artistic license|licence version? v? 2.0",)),
    Rule("Artistic-2.0", ("copyright holder maintains some artistic control over the development of that package",)),
    Rule(
        "Artistic-1.0-Perl",
        ("artistic license|licence",),
        (
            "maintains some artistic control over the development of that",
            "artistic license|licence version? v? 2.0",
        ),
    ),
    Rule("Python-2.0", ("python software foundation license|licence version 2",)),
    Rule("Python-2.0", ("under the same terms as python itself",)),
    Rule("Unlicense", ("free and unencumbered software released into the public domain",)),
    Rule("WTFPL", ("do what the fuck you want to public license|licence",)),
    Rule("Beerware", ("you can buy me|us a beer in return",)),
    Rule(
        "FSFAP",
        ("copying and distribution of this file|package with or without modification are permitted in any medium",),
    ),
    Rule("FSFULLR", ("unlimited permission to copy and or? distribute it with or without modifications",)),
    Rule("FSFUL", ("unlimited permission to copy distribute and modify it",)),
    Rule("LPPL-1.3c", ("latex project public license|licence ... 1.3",)),
    Rule("ZPL-2.1", ("zope public license|licence zpl? version? 2.1",)),
    Rule("Vim", ("vim license|licence",)),
    Rule("QPL-1.0", ("q public license|licence version? 1.0",)),
    Rule("CC0-1.0", ("creativecommons.org publicdomain zero 1.0",)),
    Rule("CC0-1.0", ("cc0 1.0 universal",)),
    Rule("CC0-1.0", ("creative commons cc0|zero",)),
    Rule("CC0-1.0", ("cc0 public domain dedication|license|licence",)),
    Rule("CC0-1.0", ("laws of most jurisdictions throughout the world automatically confer exclusive copyright",)),
)

NAMES_OTHERS = {
    "MPL-2.0": (re.compile(r"secondary\W+licenses?"), ("GPL-", "LGPL-", "AGPL-")),
    "Apache-2.0": (re.compile(r"llvm\W+exceptions?|embedded\W+into\W+an\W+object\W+form"), ("GPL-",)),
    "Artistic-2.0": (re.compile(r"artistic\W+control\W+over\W+the\W+development"), ("Artistic-1.0",)),
    "Vim": (re.compile(r"distribute\W+a\W+modified\W+vim|distributing\W+unmodified\W+copies\W+of\W+vim"), ("GPL-",)),
    "Python-2.0": (re.compile(r"beopen|cnri|stichting\W+mathematisch"), ("GPL-", "HPND", "NTP")),
    "GFDL-1.3": (re.compile(r"massive\W+multiauthor"), ("CC-",)),
    "CC-": (re.compile(r"creative\W+commons\W+corporation"), ("CC0-",)),
    "EUPL-": (re.compile(r"compatible\W+licences?"), ("GPL-", "AGPL-", "LGPL-", "MPL-", "EPL-", "CC-", "CeCILL")),
}
"""Licence -> (what its whole text says, beginnings of other licences that it then names without granting them)."""


def pattern(phrase: str) -> re.Pattern[str]:
    """The regular expression of a phrase, over text in lower case."""
    out = ""
    for word in phrase.split():
        if word == "...":
            out += r".{0,200}?"
            continue
        optional = word.endswith("?")
        word = word.removesuffix("?")
        choices = "|".join(re.escape(c).replace(r"\.", r"\W") for c in word.split("|"))
        piece = rf"(?:{choices})"
        out += rf"(?:{piece}[\W_]+)?" if optional else rf"{piece}[\W_]+"
    return re.compile(r"\b" + out.removesuffix(r"[\W_]+") + r"(?!\d)", re.DOTALL)
