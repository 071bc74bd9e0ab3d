"""Kinds of pages (`page_kind`) on the labelled pages, whole and with parts of them taken away.

    python tests/benchmarks/extract_kinds.py [PAGES.parquet]

All labelled pages have main content. Without the blocks that the classifier keeps, none has (but for comments and long teasers); of
their cookie notices alone, all are notices.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pyarrow.parquet as pq

from corpusmill.transforms.web import tags
from corpusmill.transforms.web.blocks import Blocks, cut
from corpusmill.transforms.web.features import features
from corpusmill.transforms.web.kinds import KINDS, kind_of
from corpusmill.transforms.web.model import kept
from corpusmill.transforms.web.page import parse
from corpusmill.transforms.web.render import render
from tests.benchmarks.extract_train import PAGES

_NOTICES = np.uint64(sum(1 << tags.WORDS.index(word) for word in ("cookie", "consent", "gdpr")))


def only(blocks: Blocks, which: np.ndarray) -> Blocks:
    """The page with some of its blocks."""
    return blocks._replace(values=blocks.values[which], words=blocks.words[which], own=blocks.own[which])


def main() -> None:
    found: dict[str, Counter[str]] = {"whole": Counter(), "without main content": Counter(), "notices alone": Counter()}
    for html in pq.read_table(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGES)["html"].to_pylist():
        page = parse(html)
        blocks = cut(page.html)
        if not len(blocks.values):
            continue
        parts = {
            "whole": np.ones(len(blocks.values), np.bool_),
            "without main content": ~kept(features(blocks, page.title), 0.5),
            "notices alone": (blocks.words & _NOTICES) > 0,
        }
        for name, which in parts.items():
            if which.any():
                part = only(blocks, which)
                keep = kept(features(part, page.title), 0.5)
                found[name][kind_of(part, keep, render(part, keep, False))] += 1
    for name, kinds in found.items():
        print(f"{name}: {kinds.total()} pages; " + ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS))


if __name__ == "__main__":
    main()
