"""Licences by their texts and notices: each kind once, in a comment and across lines, with where it stands."""

import glob
import textwrap
import time
from pathlib import Path

import pytest

from corpusmill.transforms.rights.recognise import licences

GRANT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software, to deal in the Software "
    "without restriction, including to permit persons to whom the Software is furnished to do so"
)
NOTICE = "The above copyright notice and this permission notice shall be included in all copies."
SOURCE = "Redistributions of source code must retain the above copyright notice."
BINARY = "Redistributions in binary form must reproduce the above copyright notice."
USE = "Redistribution and use in source and binary forms, with or without modification, are permitted."
ENDORSE = "Neither the name of the author may be used to endorse or promote products derived from this software."
CASES = {
    "MIT": f"{GRANT}, subject to: {NOTICE}",
    "MIT-0": f"{GRANT}.",
    "X11": f"{GRANT}, subject to: {NOTICE} Except as contained in this notice, the name of X shall not be used.",
    "BSD-1-Clause": f"{USE} {SOURCE}",
    "BSD-2-Clause": f"{USE} {SOURCE} {BINARY}",
    "BSD-3-Clause": f"{USE} {SOURCE} {BINARY} {ENDORSE}",
    "BSD-4-Clause": f"{USE} {SOURCE} {BINARY} All advertising materials mentioning features must say so. {ENDORSE}",
    "ISC": "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is granted.",
    "Zlib": "Anyone may use this software for any purpose, including commercial applications. Altered source versions must be "
    "plainly marked as such.",
    "GPL-2.0-or-later": "under the terms of the GNU General Public License; either version 2 of the License, or (at your option) "
    "any later version. See the GNU General Public License for more details.",
    "GPL-2.0-only": "under the terms of the GNU General Public License version 2 as published by the FSF",
    "GPL-3.0-only": "This file is licensed under the GPLv3.",
    "LGPL-2.1-or-later": "under the GNU Lesser General Public License, version 2.1 or later",
    "LGPL-2.0-only": "the GNU Library General Public License, version 2",
    "AGPL-3.0-or-later": "the GNU Affero General Public License as published, version 3 or any later version",
    "GFDL-1.2-only": "the GNU Free Documentation License, Version 1.2",
    "GPL-1.0-or-later": "You may copy it under the GNU General Public License.",
    "Apache-2.0": "Licensed under the Apache License, Version 2.0 (the License)",
    "MPL-2.0": "This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.",
    "CC-BY-SA-4.0": "This page is under https://creativecommons.org/licenses/by-sa/4.0/deed.de",
    "CC-BY-NC-ND-3.0": "Creative Commons Attribution-NonCommercial-NoDerivs 3.0 Unported License",
    "CC-BY-2.0": "This photo: CC BY 2.0",
    "MPL-1.1": "Parts of it are licensed under MPL 1.1.",
    "NTP": "Permission to use, copy, modify, and distribute this software and its documentation for any purpose with or "
    "without fee is hereby granted, provided that both notices appear in supporting documentation.",
    "CC0-1.0": "released under CC0 1.0 Universal",
    "LicenseRef-public-domain": "This file was placed in the public domain by its author.",
    "Unlicense": "This is free and unencumbered software released into the public domain.",
}

COMMONS = (
    "THE WORK (AS DEFINED BELOW) IS PROVIDED UNDER THE TERMS OF THIS CREATIVE COMMONS PUBLIC LICENSE ('CCPL' OR 'LICENSE'). THE "
    "WORK IS PROTECTED BY COPYRIGHT. "
)


@pytest.mark.parametrize("wanted", CASES)
def test_a_licence_is_known_plain_in_a_comment_and_in_capitals(wanted):
    text = CASES[wanted]
    comment = "\n".join(
        f" * {line}" for line in textwrap.wrap(text, 60, break_on_hyphens=False, break_long_words=False)
    )
    for each in (text, comment, "x = 1\n" * 50 + "# " + text.replace(". ", ".\n# "), text.upper()):
        assert [f.licence for f in licences(each)] == [wanted], each


def test_the_span_is_that_of_the_evidence():
    text = "İstanbul 東京 " * 40 + CASES["MIT"] + " and no more"
    (found,) = licences(text)
    assert text[found.start :].startswith("Permission is hereby granted")
    assert found.stop < len(text)
    text = "// SPDX-License-Identifier: (MIT or Apache-2.0) */\ncode"
    assert [(f.licence, f.source, text[f.start : f.start + 4]) for f in licences(text)] == [
        ("(MIT OR Apache-2.0)", "tag", "SPDX")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "He got his driving licence, and permission to leave the public road, version 2.",
        "The gplot function and the public domain of mathematics are discussed. License plates: 3.0",
        "Creative Commons is an organisation.",
        "许可证",
    ],
)
def test_what_only_sounds_like_one_is_none(text):
    assert licences(text) == []


def test_whole_texts_name_other_licences_without_granting_them():
    texts = {
        Path(p).name: Path(p).read_text() for p in glob.glob("/usr/share/common-licenses/*") if not Path(p).is_symlink()
    }
    wanted = {
        "GPL-1": "GPL-1.0-only",
        "GPL-2": "GPL-2.0-only",
        "GPL-3": "GPL-3.0-only",
        "LGPL-2": "LGPL-2.0-only",
        "LGPL-2.1": "LGPL-2.1-only",
        "Apache-2.0": "Apache-2.0",
        "MPL-2.0": "MPL-2.0",
        "CC0-1.0": "CC0-1.0",
        "GFDL-1.2": "GFDL-1.2-only",
        "GFDL-1.3": "GFDL-1.3-only",
        "BSD": "BSD-3-Clause",
    }
    known = sorted(set(texts) & set(wanted))
    if not known:
        pytest.skip("no /usr/share/common-licenses here")
    assert {n: [f.licence for f in licences(texts[n])] for n in known} == {n: [wanted[n]] for n in known}


@pytest.mark.parametrize(
    "word", ["_", "gnu ", "creative commons ", "license ", "public ", "by-sa-", "permission is hereby granted "]
)
def test_hostile_texts_take_no_time_that_grows_faster_than_they_do(word):
    text = word * (300_000 // len(word))
    begin = time.process_time()
    licences("license " + text[: len(text) // 8])
    small = time.process_time() - begin
    begin = time.process_time()
    licences("license " + text)
    assert time.process_time() - begin < 32 * small + 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "either the GNU Lesser General Public License, version 3 of the License, or (at your option) any later version\n"
            "or the GNU General Public License as published; either version 2 of the License, or any later version",
            {"LGPL-3.0-or-later", "GPL-2.0-or-later"},
        ),
        ("version 2 of the GNU GPL, or version 3 of the GNU Affero GPL", {"GPL-2.0-only", "AGPL-3.0-only"}),
        (
            "GNU General Public License; either version 3, or any later version.\n\nGNU GENERAL PUBLIC LICENSE Version 3, "
            "29 June 2007\nEveryone is permitted to copy and distribute verbatim copies of this license document.",
            {"GPL-3.0-or-later"},
        ),
        # as a string in a source file; and a licence that is none
        (r"\n\nGNU GENERAL PUBLIC LICENSE Version 3\n Everyone is permitted to copy and distribute verbatim", set()),
        (
            "GNU Affero Free Documentation License, version 3. Everyone is permitted to copy and distribute verbatim",
            set(),
        ),
        (f"{GRANT}, subject to the following conditions:", {"MIT"}),
        ("None of these files contain any creative expression eligible for copyright.", {"LicenseRef-public-domain"}),
        ("2010-03-12 : Igor Pavlov : Public domain", {"LicenseRef-public-domain"}),
        ("Portions of this Software are embedded into an Object form; combine with GPLv2 software", {"Apache-2.0"}),
        (
            "The Artistic License 2.0. Some artistic control over the development; the Artistic License",
            {"Artistic-2.0"},
        ),
    ],
)
def test_each_licence_keeps_its_own_version_and_names_no_other(text, wanted):
    assert {f.licence for f in licences(text)} == wanted


@pytest.mark.parametrize(
    ("says", "wanted"),
    [
        ("'Adaptation' means a work based upon the Work. To create and reproduce Adaptations.", "CC-BY-3.0"),
        (
            "'License Elements' means. 'Adaptation' means a work based upon the Work. To create and reproduce Adaptations.",
            "CC-BY-SA-3.0",
        ),
        (
            "Primarily intended for or directed toward commercial advantage. Designate another party or parties.",
            "CC-BY-NC-ND-2.5",
        ),
        (
            "By offering the Work for public release under this license. To create and reproduce Derivative Works",
            "CC-BY-1.0",
        ),
    ],
)
def test_texts_of_creative_commons_are_known_without_their_title(says, wanted):
    assert [f.licence for f in licences(COMMONS + says + " Creative Commons may be contacted at https")] == [wanted]


def test_whatever_the_hint_finds_holds_one_of_its_parts():
    from corpusmill.transforms.rights.recognise import _HINT, _PARTS

    texts = [
        *CASES.values(),
        "CC_BY 4.0",
        "cc by",
        "gfdl",
        "beer in return",
        "public\ndomain",
        "no copyright",
        "most jurisdictions",
        "OFL",
    ]
    found = [m[0] for text in texts for m in _HINT.finditer(text.lower())]
    assert len(found) > 30
    assert all(any(part in each for part in _PARTS) for each in found)
