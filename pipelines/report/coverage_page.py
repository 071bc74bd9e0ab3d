"""One HTML page of a map of a snapshot, or of its bias: without scripts, and nothing of it comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from corpusmill.pipelines.coverage.bias import LIMITS, Bias
from corpusmill.pipelines.coverage.compare import Difference
from corpusmill.pipelines.coverage.map import CorpusMap
from corpusmill.pipelines.report.bias import interval, p_value
from corpusmill.pipelines.report.coverage import figure_cells
from corpusmill.pipelines.wording import clean, count, printable, share
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError

CLUSTERS = 200
"""Clusters on the page, the biggest."""


def write_page(template: str, path: str, **content: Any) -> int:
    """Write a page of `pipelines/report/` to a file; returns its size in bytes.

    Raises:
        DatasetError: the file cannot be written.
    """
    folder = files("corpusmill.pipelines.report")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = {
        "count": count,
        "share": lambda part: share(part, 1),
        "safe_line": printable,
        "clean": clean,
    }
    environment.filters |= filters
    source = folder.joinpath(template).read_text(encoding="utf-8")
    page = environment.from_string(source).render(style=Markup(style), style_hash=Markup(f"sha256-{digest}"), **content)
    data = page.encode()
    try:
        storage.write_atomic(os.path.abspath(path), data, fsync=False)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror}; name another file") from None
    return len(data)


def write_map(found: CorpusMap, path: str) -> int:
    """Write the page of a map; returns its size in bytes."""
    return write_page("coverage.html", path, **_content(found))


def _content(found: CorpusMap) -> dict[str, Any]:
    total, largest = int(found.counts.sum()), int(found.counts.max())
    order = sorted(range(len(found.counts)), key=lambda c: (-int(found.counts[c]), c))[:CLUSTERS]
    empty = {(d.name, c, value) for d in found.dimensions for c, value, _, _ in d.holes}
    rows = [
        {
            "name": found.topics.names[c],
            "label": found.topics.labels[c],
            "group": found.topics.coarse_labels[int(found.topics.groups[c])],
            "share": share(int(found.counts[c]), total),
            "width": f"{100 * int(found.counts[c]) / largest:.1f}",
            "examples": found.examples[c],
            "cells": [
                [(count(int(n)), (d.name, c, v) in empty) for v, n in zip(d.values, d.counts[c], strict=True)]
                for d in found.dimensions
            ],
        }
        for c in order
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
        "rows": rows,
        "dimensions": found.dimensions,
        "figures": figures,
        "compared": bool(there),
        "sides": _sides(found),
    }


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
    mentions = [
        (m.group, m.here.hits, interval(m.here), interval(m.there), p_value(m.p))
        for m in found.mentions
        if m.here.hits or (m.there and m.there.hits)
    ]
    beside = [
        (b.group, b.target, interval(b.here), interval(b.others), p_value(b.p))
        for b in sorted(found.beside, key=lambda b: (b.p, b.group, b.target))
    ]
    return write_page("bias.html", path, found=found, limits=LIMITS, mentions=mentions, beside=beside[:200])
