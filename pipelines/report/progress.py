"""Progress of a run on standard error: a bar for each stage on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from corpusmill.pipelines.report.terminal import is_rich
from corpusmill.pipelines.wording import count, duration, printable, say, some

FIRST, EVERY = 5.0, 30.0
"""Seconds to the first line about a stage, and between lines."""
SETTLED = 3.0
"""Seconds after which a stage's rate is believed."""


class Event(Protocol):
    """How far a stage is: tasks done of `total`. An earlier run did `reused` of them.

    documents, bytes: that tasks of this run have read so far; part: share of the stage's work, in bytes, from 0 to 1.
    """

    @property
    def stage(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def reused(self) -> int: ...
    @property
    def documents(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def part(self) -> float: ...


class Display:
    """Shows events as they come; a context manager."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._begin: dict[str, float] = {}
        self._next: dict[str, float] = {}  # of a stage: when its next line is due
        self._finished: set[str] = set()

    def __enter__(self) -> Display:
        if is_rich(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
            from rich.table import Column

            console = Console(stderr=True)
            label = TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            )
            wide = console.width >= 80
            columns = [label, *([BarColumn(bar_width=20)] if wide else []), TaskProgressColumn()]
            columns.append(TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)))
            self._bars = Progress(*columns, console=console, expand=True)
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, event: Event) -> None:
        """Show one event. A stage whose tasks an earlier run did all is not shown."""
        if event.reused >= event.total:
            return
        now = time.monotonic()
        begin = self._begin.setdefault(event.stage, now)
        finished = event.done >= event.total
        if self._bars is not None:
            if event.stage not in self._tasks:
                self._tasks[event.stage] = self._bars.add_task(printable(event.stage), total=1.0, note="")
            note = ", ".join(_figures(event, now - begin, finished))
            self._bars.update(self._tasks[event.stage], completed=1.0 if finished else event.part, note=note)
            return
        due = self._next.setdefault(event.stage, begin + FIRST)
        if event.stage in self._finished or (not finished and now < due):
            return
        self._next[event.stage] = now + EVERY
        reused = [f"{count(event.reused)} reused"] if event.reused else []
        if finished:
            self._finished.add(event.stage)
        tasks = f"{count(event.done)}/{some(event.total, 'task')}"
        parts = [tasks, *reused, *_figures(event, now - begin, finished)]
        say(f"{printable(event.stage)}: {', '.join(parts)}", err=True)


def _figures(event: Event, seconds: float, finished: bool) -> list[str]:
    """Documents, megabytes a second, and the time that was taken or is left, as far as they are known."""
    known = [some(event.documents, "document")] if event.documents else []
    if event.bytes and seconds >= 0.1:
        known.append(f"{event.bytes / 1e6 / seconds:.1f} MB/s")
    if finished:
        return [*known, duration(seconds)]
    if seconds >= SETTLED and 0 < event.part < 1:
        known.append(f"{duration(seconds * (1 - event.part) / event.part)} left")
    return known
