"""The output of `corpusmill bias` at the terminal."""

from __future__ import annotations

from corpusmill.pipelines.coverage.bias import LIMITS, Bias, Rate
from corpusmill.pipelines.report.terminal import Cell, Column, styled, table
from corpusmill.pipelines.wording import count, printable, share, some
from corpusmill.transforms.people.rates import LEVEL

ROWS = 30


def interval(rate: Rate | None) -> str:
    """A rate with its 95 % interval."""
    return (
        "-" if rate is None or not rate.n else f"{share(rate.value, 1)} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"
    )


def p_value(p: float | None) -> Cell:
    """A p-value, marked where it is below the level."""
    if p is None:
        return Cell("-")
    return Cell("<0.001" if p < 0.001 else f"{p:.3f}", "loss" if p < LEVEL else "dim")


def render_bias(found: Bias) -> str:
    """Mentions, company, filters, and what none of it can show."""
    head = f"{printable(found.path)}, snapshot {found.number}: {some(found.documents, 'document')} were looked at."
    if found.hidden:
        head += f" {some(found.hidden, 'document')} of private sources are left out."
    languages = ", ".join(f"{code} ({source})" for code, source in found.lexicons)
    parts = [f"{head}\nLexicons: {printable(languages)}", _mentions(found), _beside(found), _filters(found)]
    parts.append(styled("What this cannot show", "head") + "".join(f"\n- {limit}" for limit in LIMITS))
    return "\n\n".join(parts)


def _mentions(found: Bias) -> str:
    columns: list[Column | str] = ["group", Column("documents", right=True), "rate, 95 %"]
    columns += ["reference", Column("p", right=True)] if found.reference else []
    rows: list[list[Cell | str]] = []
    for m in found.mentions:
        if not m.here.hits and not (m.there and m.there.hits):
            continue
        row: list[Cell | str] = [m.group, count(m.here.hits), interval(m.here)]
        rows.append([*row, interval(m.there), p_value(m.p)] if found.reference else row)
    if not rows:
        return styled("Who is mentioned", "head") + "\nNo group of the lexicons."
    return styled("Who is mentioned", "head") + "\n" + table(columns, rows)


def _beside(found: Bias) -> str:
    title = "In one sentence with" + (
        " (against the reference)" if found.reference else " (against the rest of the axis)"
    )
    rows = sorted((b for b in found.beside if b.p < LEVEL), key=lambda b: (b.p, b.group, b.target))
    if not rows:
        return styled(title, "head") + "\nNo group differs from the others by more than chance explains."
    columns: list[Column | str] = ["group", "beside", "rate, 95 %", "others", Column("p", right=True)]
    cells: list[list[Cell | str]] = [
        [b.group, b.target, interval(b.here), interval(b.others), p_value(b.p)] for b in rows[:ROWS]
    ]
    return styled(title, "head") + "\n" + table(columns, cells)


def _filters(found: Bias) -> str:
    title = styled("What filters drop more often", "head")
    flagged = [d for d in found.disparities if d.flagged]
    notes = f"{some(found.dropped.documents, 'document')} of the sources, {some(len(found.disparities), 'test')}."
    if found.dropped.lost:
        notes += f" {some(found.dropped.lost, 'dropped document')} cannot be read again: the sources changed."
    if not flagged:
        return f"{title}\nNo rule drops a group more often than chance explains. {notes}"
    columns: list[Column | str] = [
        "step",
        "reason",
        "group",
        Column("dropped", right=True),
        Column("others", right=True),
    ]
    columns += [Column("ratio", right=True), "95 %", Column("p", right=True)]
    rows: list[list[Cell | str]] = [
        [
            d.step, d.reason, d.group, share(d.dropped, d.came), share(d.dropped_rest, d.came_rest), f"{d.ratio:.2f}",
            f"{d.low:.2f} to {d.high:.2f}", p_value(d.p),
        ]
        for d in flagged[:ROWS]
    ]  # fmt: skip
    return f"{title}\n{notes}\n{table(columns, rows)}"
