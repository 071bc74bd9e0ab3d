"""What the HTML pages of a map and of a bias show, and their sections in the report."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.coverage.bias import LIMITS, Bias
from corpusmill.pipelines.coverage.compare import Difference
from corpusmill.pipelines.coverage.map import CorpusMap
from corpusmill.pipelines.coverage.treemap import tiles
from corpusmill.pipelines.report.bias import interval, p_value
from corpusmill.pipelines.report.coverage import figure_cells
from corpusmill.pipelines.report.template import render, write_text
from corpusmill.pipelines.wording import count, share, some

CLUSTERS = 200
"""Clusters on the page, the biggest."""
SIZE = (960, 420)
"""Width and height of the drawing of clusters."""
COLOURS = 6
ROWS = 200
"""Rows of a table of tests, those of the smallest p."""
LINE, LETTER = 13, 6.4
"""Height of a line and width of a letter in the drawing."""


def write_map(found: CorpusMap, path: str) -> int:
    """Write the page of a map; returns its size in bytes."""
    facts = [("documents", count(found.documents)), ("in the sample", count(found.sampled))]
    facts.append(("clusters", count(len(found.counts))))
    return write_text(render("coverage.html", facts=facts, map=map_content(found)), path)


def map_content(
    found: CorpusMap, clusters: int = CLUSTERS, examples: int = 3, characters: int = 300, part: str = ""
) -> dict[str, Any]:
    """The variables of `map_sections.html`.

    Args:
        found: the map.
        clusters: how many are listed, the biggest.
        examples: of each cluster.
        characters: of each example.
        part: a sentence about what was looked at.
    """
    total, largest = int(found.counts.sum()), int(found.counts.max())
    order = sorted((c for c in range(len(found.counts)) if found.counts[c]), key=lambda c: (-int(found.counts[c]), c))
    empty = {(d.name, c, value) for d in found.dimensions for c, value, _, _ in d.holes}
    rows = [
        {
            "name": found.topics.names[c],
            "label": found.topics.labels[c],
            "group": found.topics.coarse_labels[int(found.topics.groups[c])],
            "share": share(int(found.counts[c]), total),
            "width": f"{100 * int(found.counts[c]) / largest:.1f}",
            "examples": _shortened(found.examples[c], examples, characters),
            "cells": [
                [(count(int(n)), (d.name, c, v) in empty) for v, n in zip(d.values, d.counts[c], strict=True)]
                for d in found.dimensions
            ],
        }
        for c in order[:clusters]
    ]
    there = {f.name: f for f in found.against.figures} if found.against else {}
    figures = [
        (
            f.name,
            *figure_cells(f),
            " ± ".join(c for c in figure_cells(there[f.name]) if c) if there else "",
            f.definition,
        )
        for f in found.figures
    ]
    return {
        "found": found,
        "part": part,
        "tiles": _tiles(found, order),
        "size": SIZE,
        "smaller": f"{some(len(order) - clusters, 'smaller cluster')} more." if len(order) > clusters else "",
        "rows": rows,
        "dimensions": found.dimensions,
        "figures": figures,
        "compared": bool(there),
        "sides": _sides(found),
    }


def _shortened(found: list[dict[str, str]], most: int, characters: int) -> list[dict[str, str]]:
    return [e | {"text": e["text"][:characters]} for e in found[:most]]


def _tiles(found: CorpusMap, order: list[int]) -> list[dict[str, Any]]:
    """The rectangles of the drawing: one a cluster, those of one larger topic beside each other."""
    groups = found.topics.groups
    made = []
    for c, x, y, width, height in tiles(found.counts, groups, *SIZE):
        label = found.topics.labels[c]
        letters = int((width - 8) / LETTER)
        lines = _wrapped(label, letters)[: max(0, int((height - 6) / LINE))] if letters >= 4 else []
        title = f"{found.topics.names[c]}: {label}, {share(int(found.counts[c]), int(found.counts.sum()))}"
        box = {"x": round(x, 1), "y": round(y, 1), "width": round(width, 1), "height": round(height, 1)}
        made.append(box | {"lines": lines, "title": title, "colour": int(groups[c]) % COLOURS})
    return made


def _wrapped(label: str, letters: int) -> list[str]:
    """Words in lines of so many letters; a longer word is cut."""
    lines: list[str] = []
    for word in label.split():
        if lines and len(lines[-1]) + 1 + len(word) <= letters:
            lines[-1] += " " + word
        else:
            lines.append(word if len(word) <= letters else word[: letters - 1] + "…")
    return lines


def _sides(found: CorpusMap) -> list[tuple[str, list[dict[str, Any]]]]:
    if found.against is None:
        return []

    def listed(side: list[tuple[Difference, list[dict[str, str]]]]) -> list[dict[str, Any]]:
        return [
            {
                "name": found.topics.names[d.cluster], "label": found.topics.labels[d.cluster], "z": f"{d.z:.1f}",
                "here": share(d.share_here, 1), "there": share(d.share_there, 1), "sure": d.sure, "examples": examples,
            }
            for d, examples in side[:40]
        ]  # fmt: skip

    return [
        ("The reference has, and this lacks", listed(found.against.lacks)),
        ("This has, and the reference lacks", listed(found.against.only_here)),
    ]


def write_bias(found: Bias, path: str) -> int:
    """Write the page of how a corpus speaks of people; returns its size in bytes."""
    facts = [("documents looked at", count(found.documents))]
    return write_text(render("bias.html", facts=facts, bias=bias_content(found)), path)


def bias_content(found: Bias, filters: bool = True, part: str = "", rows: int = ROWS) -> dict[str, Any]:
    """The variables of `bias_sections.html`.

    Args:
        found: the figures.
        filters: whether what filters drop was looked at.
        part: a clause about what was looked at.
        rows: of a table that are listed, the smallest p first.
    """
    mentions = [
        (m.group, m.here.hits, interval(m.here), interval(m.there), p_value(m.p))
        for m in found.mentions
        if m.here.hits or (m.there and m.there.hits)
    ]
    beside = [
        (b.group, b.target, interval(b.here), interval(b.others), p_value(b.p))
        for b in sorted(found.beside, key=lambda b: (b.p, b.group, b.target))
    ]
    return {
        "found": found,
        "filters": filters,
        "part": part,
        "limits": LIMITS,
        "mentions": mentions,
        "beside": beside[:rows],
        "disparities": found.disparities[:rows],
    }
