"""Progress of a run on standard error: a bar for each stage on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from corpusmill.pipelines.report.terminal import is_rich
from corpusmill.pipelines.wording import count, duration, printable, say, some

FIRST, GROWTH, LONGEST = 5.0, 1.5, 60.0
"""Seconds to the first line about a stage, growth of the time between lines, and its limit."""


class Event(Protocol):
    """How far a stage is: tasks done of `total`. An earlier run did `reused` of them."""

    @property
    def stage(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def reused(self) -> int: ...


class Display:
    """Shows events as they come; a context manager."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._begin: dict[str, float] = {}
        self._next: dict[str, tuple[float, float]] = {}  # of a stage: when its next line is due, and the wait after it
        self._finished: set[str] = set()

    def __enter__(self) -> Display:
        if is_rich(sys.stderr):
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            columns = [
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
            ]
            self._bars = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, event: Event) -> None:
        """Show one event."""
        if self._bars is not None:
            note = f"{count(event.reused)} reused" if event.reused else ""
            if event.stage not in self._tasks:
                self._tasks[event.stage] = self._bars.add_task(printable(event.stage), total=event.total, note=note)
            self._bars.update(self._tasks[event.stage], completed=event.done, total=event.total, note=note)
            return
        now = time.monotonic()
        begin = self._begin.setdefault(event.stage, now)
        finished = event.done >= event.total
        due, wait = self._next.setdefault(event.stage, (begin + FIRST, FIRST))
        if event.stage in self._finished or (not finished and now < due):
            return
        wait = min(LONGEST, wait * GROWTH)
        self._next[event.stage] = now + wait, wait
        reused = f", {count(event.reused)} reused" if event.reused else ""
        if finished:
            self._finished.add(event.stage)
        spent = f", {duration(now - begin)}" if finished else ""
        tasks = f"{count(event.done)}/{some(event.total, 'task')}"
        say(f"{printable(event.stage)}: {tasks}{reused}{spent}", err=True)
