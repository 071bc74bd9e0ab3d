"""The output of `corpusmill map` at the terminal."""

from __future__ import annotations

import math
from typing import Any

from corpusmill.pipelines.coverage.compare import Difference
from corpusmill.pipelines.coverage.map import CorpusMap
from corpusmill.pipelines.report.terminal import Cell, Column, bar, styled, table
from corpusmill.pipelines.wording import count, printable, share, some
from corpusmill.transforms.embed.diversity import Figure

ROWS = 24
"""Clusters, and differences, that are listed."""


def render_map(found: CorpusMap) -> str:
    """Clusters, holes, diversity, earlier snapshots, and the comparison with a reference."""
    parts = [_head(found), _clusters(found)]
    if found.against is not None:
        parts += [_against(found)]
    parts += [_holes(found), _one_topic(found), _figures(found)]
    if found.moved:
        parts.append(_moved(found))
    return "\n\n".join(p for p in parts if p)


def _head(found: CorpusMap) -> str:
    of = "" if found.sampled == found.documents else f" A sample of {count(found.sampled)} is shown, drawn by ids."
    lines = [f"{printable(found.path)}, snapshot {found.number}: {some(found.documents, 'document')}.{of}"]
    if found.wordless:
        lines.append(f"In no cluster: {some(found.wordless, 'document')} without words.")
    if found.hidden:
        lines.append(f"Left out: {some(found.hidden, 'document')} of private sources.")
    return "\n".join(lines)


def _clusters(found: CorpusMap) -> str:
    sizes, names, labels = found.counts.tolist(), found.topics.names, found.topics.labels
    total, largest = sum(sizes), max(sizes)
    order = sorted(range(len(sizes)), key=lambda c: (-sizes[c], c))
    rows = [[names[c], share(sizes[c], total), bar(sizes[c], largest), printable(labels[c])] for c in order[:ROWS]]
    columns: list[Column | str] = ["cluster", Column("share", right=True), "", "words"]
    left = len(order) - ROWS
    more = f"\n{some(left, 'smaller cluster')} more; --json and --html list them." if left > 0 else ""
    return styled("Clusters", "head") + "\n" + table(columns, rows) + more


def _against(found: CorpusMap) -> str:
    assert found.against is not None
    a = found.against
    lines = [
        styled(f"Against {a.path}", "head"),
        f"{some(a.documents, 'document')}; {share(a.distance, 1)} of the documents would have to change their cluster.",
    ]
    for title, side in (("It has, and this lacks", a.lacks), ("This has, and it lacks", a.only_here)):
        sure = [(d, e) for d, e in side if d.sure][:ROWS]
        if not sure:
            lines.append(f"\n{title}: nothing that chance does not explain.")
            continue
        lines.append(f"\n{title}:")
        columns: list[Column | str] = [
            "cluster",
            Column("here", right=True),
            Column("there", right=True),
            "words",
            "for example",
        ]
        lines.append(table(columns, [_difference(found, d, e) for d, e in sure]))
    return "\n".join(lines)


def _difference(found: CorpusMap, d: Difference, examples: list[dict[str, str]]) -> list[Cell | str]:
    first = " ".join(examples[0]["text"].split())[:60] if examples else ""
    here = Cell(share(d.share_here, 1), "loss" if not d.here else "")
    return [found.topics.names[d.cluster], here, share(d.share_there, 1), found.topics.labels[d.cluster], first]


def _holes(found: CorpusMap) -> str:
    rows: list[list[Cell | str]] = [
        [found.topics.names[c], d.name, value, str(n), f"{expected:.0f}", printable(found.topics.labels[c])]
        for d in found.dimensions
        for c, value, n, expected in d.holes
    ]
    if not rows:
        return styled("Holes", "head") + "\nNo cluster lacks a language, source, length or quality that others have."
    columns: list[Column | str] = [
        "cluster",
        "column",
        "value",
        Column("documents", right=True),
        Column("expected", right=True),
        "words",
    ]
    return styled("Holes", "head") + "\n" + table(columns, rows[:ROWS])


def _one_topic(found: CorpusMap) -> str:
    rows: list[list[Cell | str]] = [
        [d.name, printable(value), share(n, of), found.topics.names[c], printable(found.topics.labels[c])]
        for d in found.dimensions
        for c, value, n, of in d.one_topic
    ]
    if not rows:
        return ""
    columns: list[Column | str] = ["column", "value", Column("in the cluster", right=True), "cluster", "words"]
    return styled("Of one topic", "head") + "\n" + table(columns, rows[:ROWS])


def figure_cells(figure: Figure) -> tuple[str, str]:
    """A figure and its error, with as many digits as the error allows."""
    if math.isnan(figure.value):
        return "-", ""
    digits = (
        3 if math.isnan(figure.error) or figure.error <= 0 else min(5, max(1, 1 - math.floor(math.log10(figure.error))))
    )
    error = "" if math.isnan(figure.error) else f"{figure.error:.{digits}f}"
    return f"{figure.value:.{digits}f}", error


def _figures(found: CorpusMap) -> str:
    there = {f.name: f for f in found.against.figures} if found.against else {}
    rows: list[list[Any]] = []
    for figure in found.figures:
        other = [" ± ".join(c for c in figure_cells(there[figure.name]) if c)] if there else []
        rows.append(
            [figure.name, " ± ".join(c for c in figure_cells(figure) if c), *other, Cell(figure.definition, "dim")]
        )
    columns: list[Column | str] = ["figure", Column("here", right=True)]
    columns += [Column("there", right=True)] if there else []
    return styled("Diversity", "head") + " (± one standard error)\n" + table([*columns, "what it is"], rows)


def _moved(found: CorpusMap) -> str:
    rows = [
        [
            str(m.number), count(m.documents), f"{m.entropy:.2f}", share(m.distance, 1),
            ", ".join(f"{name} {share(then, 1)} → {share(now, 1)}" for name, then, now in m.clusters),
        ]
        for m in found.moved
    ]  # fmt: skip
    columns: list[Column | str] = [
        Column("snapshot", right=True),
        Column("documents", right=True),
        Column("entropy", right=True),
    ]
    columns += [Column("distance", right=True), "clusters that moved most since"]
    return styled("Earlier snapshots", "head") + "\n" + table(columns, rows)
