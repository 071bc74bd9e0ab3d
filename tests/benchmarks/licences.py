"""Licences by their text against the fields of machine-readable copyright files (DEP-5).

    python tests/benchmarks/licences.py [held-out | tuning | FOLDER] [--wrong]

Truth is the short name of each `License:` paragraph of /usr/share/doc/*/copyright, as an SPDX identifier; the text is the
paragraph without that line. Packages are halved by a hash of the source's name; rules were written on the tuning half, and once
corrected on the other. FOLDER/*/copyright are files of other packages, all of which count.
Paragraphs of short names that are no SPDX licence (`permissive`, `BSD-variant`) have no truth and are left out, and so are those
whose text only names a file. Equal files count once (packages of one source have the same).
"""

from __future__ import annotations

import glob
import hashlib
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from corpusmill.transforms.rights.dep5 import fields, spdx
from corpusmill.transforms.rights.recognise import licences

_POINTS = re.compile(r"[^.]{0,300}?/usr/share/common-licen[cs]es\S*(?:\s+file\.|\s+for \w+)?")


def half(package: str) -> str:
    return "tuning" if hashlib.sha256(package.encode()).digest()[0] & 1 else "held-out"


def paragraphs(which: str) -> list[tuple[str, str]]:
    """(short name, text) of every field of one half, or of a folder; equal files count once."""
    out: list[tuple[str, str]] = []
    seen = set()
    folder = "/usr/share/doc" if which in ("tuning", "held-out") else which
    for path in sorted(glob.glob(f"{folder}/*/copyright")):
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        if text in seen:
            continue
        seen.add(text)
        package = re.search(r"^Upstream-Name:\s*(\S+)", text, re.MULTILINE)
        if which != folder and half(package[1].lower() if package else Path(path).parent.name) != which:
            continue
        for name, body in fields(text):
            # what is left is no text of a licence
            rest = _POINTS.sub("", body)
            if spdx(name) and len(rest.split()) >= 12:
                out.append((name, body))
    return out


LOOSE = {
    "MIT": {"MIT", "X11", "HPND", "HPND-sell-variant", "MIT-0", "ICU"},
    "MIT/X11": {"MIT", "X11"},
    "GFDL-NIV": {"GFDL-1.1-only", "GFDL-1.1-or-later", "GFDL-1.2-only", "GFDL-1.2-or-later", "GFDL-1.3-or-later"},
    "Artistic": {"Artistic-1.0-Perl", "Artistic-2.0"},
}
"""Short names that DEP-5 itself calls unclear (`Expat` and `X11` say which one is meant)."""


def main() -> None:
    which = next((a for a in sys.argv[1:] if not a.startswith("--")), "held-out")
    pairs = paragraphs(which)
    wrong: Counter[tuple[str, tuple[str, ...]]] = Counter()
    example = {}
    kinds = {"fields": pairs, "different texts": list(dict.fromkeys(pairs))}
    for kind, same in [(k, s) for k in kinds for s in (str, lambda licence: re.sub("-(only|or-later)$", "", licence))]:
        hits = found = total = 0
        for name, body in kinds[kind]:
            said = {same(f.licence.partition(" WITH ")[0]) for f in licences(body)}
            wanted = {same(t) for t in re.split(" AND | OR ", spdx(name))}
            wanted = (
                wanted - LOOSE[name] | ((said & LOOSE[name]) or (wanted & LOOSE[name])) if name in LOOSE else wanted
            )
            hits += len(wanted & said)
            found += len(said)
            total += len(wanted)
            if said != wanted and same is str and kind == "fields":
                key = name, tuple(sorted(said))
                wrong[key] += 1
                example.setdefault(key, body)
        precision, recall = hits / found, hits / total
        f = 2 * precision * recall / (precision + recall)
        how = "as SPDX" if same is str else "later versions aside"
        number = len({spdx(n) for n, _ in pairs})
        figures = f"precision {precision:.3f}, recall {recall:.3f}, F {f:.3f}"
        print(f"{which}, {how}: {len(kinds[kind])} {kind} of {number} licences; {figures}")
    if "--wrong" in sys.argv:
        for (truth, said), n in wrong.most_common(80):
            print(n, truth, "<-", said, "|", " ".join(example[truth, said].split())[:700], "\n")


if __name__ == "__main__":
    main()
