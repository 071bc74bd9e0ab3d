"""What a ledger says, for people: figures, a plan of what a budget buys, and a statement in plain language."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpusmill.privacy.accounting import COARSE, Event, epsilon, replace_one
from corpusmill.privacy.ledger import Ledger
from corpusmill.transforms.display import printable
from corpusmill.transforms.errors import PrivacyError


@dataclass(frozen=True)
class Status:
    """What is spent and left of a population's budget."""

    budget: dict[str, Any]
    spent: float
    beside: float | None
    """Epsilon by Opacus' PRV accountant; None where it cannot say."""
    adaptive: float | None
    """Epsilon where later runs were chosen after looking at earlier ones (`Ledger.adaptive`)."""
    accountant: str
    runs: list[tuple[str, str, str]]
    """(when, what, what it counts), oldest first."""
    open_runs: int

    @property
    def left(self) -> float:
        """Epsilon that is left. Epsilons do not add up, so a run may cost more by itself and still fit."""
        return max(0.0, float(self.budget["epsilon"]) - self.spent)


def status(ledger: Ledger) -> Status:
    """Read a ledger."""
    entries = ledger.entries()
    try:
        beside = ledger.spent("prv") if entries else None
    except PrivacyError:
        beside = None
    runs = [
        (line["at"], line["what"] + (" (open: counts whole)" if run_open else ""), event.short())
        for line, event, run_open in entries
    ]
    return Status(
        ledger.budget,
        ledger.spent(),
        beside,
        ledger.adaptive(),
        ledger.accountant,
        runs,
        sum(run_open for *_, run_open in entries),
    )


def plan(
    delta: float, rate: float, sigmas: Sequence[float], counts: Sequence[int], before: Sequence[Event] = ()
) -> list[list[float]]:
    """Epsilon of every noise and number of steps, with all `before`: one row a noise, one column a number of steps."""
    kind: Any = "poisson-gaussian" if rate < 1 else "gaussian"
    return [
        [
            epsilon([*before, Event(kind=kind, sigma=sigma, rate=rate, count=count)], delta, interval=COARSE)
            for count in counts
        ]
        for sigma in sigmas
    ]


def plot(
    rows: Sequence[Sequence[float]], sigmas: Sequence[float], counts: Sequence[int], budget: float | None = None
) -> str:
    """Epsilon against steps, a line of letters a noise: text, 56 characters wide.

    >>> print(plot([[0.5, 1.0]], [1.0], [10, 20], budget=1.0))  # doctest: +ELLIPSIS
    epsilon
    ...
    """
    shown = [v for row in rows for v in row if 0 < v < math.inf]
    if not shown:
        return "every epsilon is 0 or infinite: there is nothing to plot"
    high, low = max(shown), min(shown)
    top, bottom = math.log(high * 1.1), math.log(max(low, high / 1000) / 1.1)
    height, width = 14, 48

    def line_of(value: float) -> int:
        share = (math.log(max(value, 1e-9)) - bottom) / (top - bottom)
        return height - 1 - min(height - 1, max(0, int(share * height)))

    grid = [[" "] * width for _ in range(height)]
    if budget is not None and math.exp(bottom) <= budget <= math.exp(top):
        grid[line_of(budget)] = ["-"] * width
    first, last = math.log(counts[0]), math.log(counts[-1]) if counts[-1] > counts[0] else math.log(counts[0]) + 1
    for letter, row in zip("abcdefghijklmnopqrstuvwxyz", rows):
        for count, value in zip(counts, row):
            if math.isfinite(value):
                grid[line_of(value)][min(width - 1, int((math.log(count) - first) / (last - first) * (width - 1)))] = (
                    letter
                )
    out = ["epsilon"]
    for i, cells in enumerate(grid):
        label = math.exp(top - (i + 0.5) / height * (top - bottom))
        out.append(f"{label:7.2f} |{''.join(cells).rstrip()}")
    ends = f"{counts[0]:,}", f"{counts[-1]:,} steps"
    out.append(" " * 8 + "+" + "-" * width)
    out.append(" " * 9 + ends[0] + " " * max(1, width - len(ends[0]) - len(ends[1])) + ends[1])
    out.append("  ".join(f"{letter}: noise {sigma:g}" for letter, sigma in zip("abcdefghijklmnopqrstuvwxyz", sigmas)))
    return "\n".join(out)


def statement(ledger: Ledger) -> str:
    """A statement for a data-protection officer: what is guaranteed, to whom, against whom, and what is not."""
    report = status(ledger)
    budget = {k: printable(v) if isinstance(v, str) else v for k, v in report.budget.items()}
    eps = report.spent
    delta = float(budget["delta"])
    who = "document" if budget["unit"] == "document" else f"person or account (column `{budget['unit']}`)"
    what = "documents" if budget["unit"] == "document" else f"all documents of one {who}, together,"
    prior, after = 0.5, 1 / (1 + math.exp(-eps))
    twice, twice_delta = replace_one(eps, delta)
    runs = "\n".join(f"  {i}. {when[:10]}  {name}: {cost}" for i, (when, name, cost) in enumerate(report.runs, 1))
    return f"""Privacy statement for the population "{budget["population"]}"

What is protected. The unit of protection is one {who}. Two data sets are compared that differ in {
        "one document" if budget["unit"] == "document" else what.rstrip(",")
    } being present or absent ("{budget["adjacency"]}").

What is guaranteed. Everything released from this population so far, taken together, is differentially private with
epsilon = {eps:.2f} at delta = {delta:g}. Whatever else somebody knows, and however they examine what was released, the
chance of any conclusion they draw differs by at most the factor e^epsilon = {
        math.exp(min(eps, 700)):.2f} between the two
data sets, but for a probability of {delta:g}. Somebody who thinks it {prior:.0%} likely that a given {
        budget["unit"]
    } was in
the data can become at most {after:.1%} sure of it. If one {
        budget["unit"]
    } is replaced by another instead, the figures are
epsilon = {twice:.2f} and delta = {min(1.0, twice_delta):.2g}.

The budget. Epsilon {budget["epsilon"]:g} may be spent in all; {report.left:.2f} is left. {
        f"{report.open_runs} run(s) are not closed and count as if all their steps had run. "
        if report.open_runs
        else ""
    }A run that would exceed the budget is refused before it reads data. Runs made only to choose settings are counted like
others.

What was spent, in the order of time:
{runs or "  nothing yet"}

How it was computed. {_method(report)}{
        f" A second accountant (PRV, Opacus) gives {report.beside:.2f}." if report.beside is not None else ""
    }

What is not covered. Facts that hold for a group without any one {
        budget["unit"]
    } may still be learned. Text that several {
        "documents" if budget["unit"] == "document" else "units"
    } share is not protected beyond each one's share of it. The guarantee rests on this software doing what it says, on the
secret of each run staying secret (it is deleted after the run), and on every use of the data being in this ledger. Intermediate
figures of a run (its losses, the sizes of its batches) are private and are not to be published.
"""


def _method(report: Status) -> str:
    """How epsilon was composed, and when that holds."""
    if report.accountant != "pld":
        return (
            "By a Renyi filter whose order was fixed when the ledger began (Feldman and Zrnic 2021). The figure is an upper bound "
            "however the settings of later runs were chosen, also after looking at earlier models."
        )
    also = (
        ""
        if report.adaptive is None
        else f" If they were chosen after looking at earlier models, {report.adaptive:.2f} holds."
    )
    return (
        "As composed privacy loss distributions (dp-accounting). The figure is an upper bound if noise, rates and steps of all "
        f"runs were fixed before the first result was seen.{also}"
    )
