"""Progress on standard error: a bar for each stage on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from corpusmill.pipelines.report.terminal import is_rich
from corpusmill.pipelines.wording import count, duration, printable, say, some
from corpusmill.transforms.progress import Progress

FIRST, EVERY = 5.0, 30.0
"""Seconds to the first line about a stage, and between lines."""
SETTLED = 3.0
"""Seconds after which a stage's rate is believed."""
LABEL, PERCENT, BAR = 14, 6, 22
"""Columns of a terminal: that a stage's name gets at least, and that the share and the bar take."""


class Display:
    """Shows reports as they come; a context manager.

    brief: of verbs whose result is what counts. Their bars vanish at the end, and stages that end before the first line is due
    print none.
    """

    def __init__(self, brief: bool = False) -> None:
        self._brief = brief
        self._bars: Any = None
        self._width = 80
        self._tasks: dict[str, Any] = {}
        self._begin: dict[str, tuple[float, float]] = {}  # of a stage: when it was first seen, and which part was done
        self._next: dict[str, float] = {}  # of a stage: when its next line is due
        self._told: set[str] = set()
        self._finished: set[str] = set()
        self._lock = threading.Lock()  # reports come from several threads

    def __enter__(self) -> Display:
        if is_rich(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
            from rich.table import Column

            console = Console(stderr=True)
            self._width = console.width
            cut: Any = "crop" if console.options.ascii_only else "ellipsis"
            label = TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow=cut)
            )
            columns = [label, *([BarColumn(bar_width=BAR - 2)] if self._is_wide() else []), TaskProgressColumn()]
            columns.append(TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True)))
            self._bars = Progress(
                *columns, console=console, expand=True, transient=self._brief, redirect_stdout=sys.stdout.isatty()
            )
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _is_wide(self) -> bool:
        return self._width >= 80

    def update(self, report: Progress) -> None:
        """Show one report. A stage whose work was all done before is not shown."""
        if report.reused >= report.total:
            return
        with self._lock:
            now = time.monotonic()
            begin, part = self._begin.setdefault(report.stage, (now, report.part or 0.0))
            figures = _figures(report, now - begin, part)
            if self._bars is not None:
                self._draw(report, figures)
            else:
                self._print(report, figures, now, begin)

    def _draw(self, report: Progress, figures: list[tuple[int, str]]) -> None:
        if report.stage not in self._tasks:
            self._tasks[report.stage] = self._bars.add_task(printable(report.stage), total=1.0, note="")
        room = self._width - LABEL - PERCENT - (BAR if self._is_wide() else 0)
        known, share = _fitting(figures, room), 1.0 if _is_done(report) else report.part
        total = None if share is None else 1.0  # without a total the bar moves to and fro
        self._bars.update(self._tasks[report.stage], completed=share or 0.0, total=total, note=known)

    def _print(self, report: Progress, figures: list[tuple[int, str]], now: float, begin: float) -> None:
        due = self._next.setdefault(report.stage, begin + FIRST)
        finished = _is_done(report)
        told = report.stage in self._told or not self._brief
        if report.stage in self._finished or (now < due and not (finished and told)):
            return
        self._next[report.stage] = now + EVERY
        self._told.add(report.stage)
        if finished:
            self._finished.add(report.stage)
        reused = [f"{count(report.reused)} reused"] if report.reused else []
        lone = self._brief and report.total == 1
        parts = [] if lone else [f"{count(report.done)}/{some(report.total, report.noun)}"]
        say(f"{printable(report.stage)}: {', '.join([*parts, *reused, *(text for _, text in figures)])}", err=True)


def _is_done(report: Progress) -> bool:
    return report.done >= report.total


def _figures(report: Progress, seconds: float, begin: float) -> list[tuple[int, str]]:
    """(rank, text) of what is known: documents, megabytes and tokens a second, the note, the time that was taken or is left.

    seconds, begin: since the stage was first seen, and the part that was done then. Rank 0 is the most important.
    """
    known = [(3, some(report.documents, "document"))] if report.documents else []
    if report.bytes and seconds >= 0.1:
        known.append((1, f"{report.bytes / 1e6 / seconds:.1f} MB/s"))
    if report.tokens and seconds >= 0.1:
        known.append((1, f"{count(round(report.tokens / seconds))} tokens/s"))
    if report.note:
        known.append((2, printable(report.note)))
    if _is_done(report) or report.part is None:
        known.append((0, duration(seconds)))
    elif seconds >= SETTLED and begin < report.part < 1:
        known.append((0, f"{duration(seconds * (1 - report.part) / (report.part - begin))} left"))
    return known


def _fitting(figures: list[tuple[int, str]], room: int) -> str:
    """The figures in a row, without the least important ones if they take more than `room` columns.

    >>> _fitting([(3, "7 documents"), (1, "2.0 MB/s"), (0, "3.0 s")], 18)
    '2.0 MB/s, 3.0 s'
    """
    while len(", ".join(text for _, text in figures)) > room and len(figures) > 1:
        worst = max(rank for rank, _ in figures)
        last = max(i for i, (rank, _) in enumerate(figures) if rank == worst)
        figures = figures[:last] + figures[last + 1 :]
    return ", ".join(text for _, text in figures)
