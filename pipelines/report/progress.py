"""Progress of a run: a bar a stage on a terminal, a line now and then anywhere else. Written to standard error."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

import click

from corpusmill.pipelines.report.terminal import is_rich
from corpusmill.pipelines.wording import count, duration

FIRST, GROWTH, LONGEST = 5.0, 1.5, 60.0  # seconds to the first line about a stage; how the waits grow, and up to what


class Event(Protocol):
    """How far a stage is: units done of total, of which `reused` were done by an earlier run."""

    @property
    def stage(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def reused(self) -> int: ...


class Display:
    """Shows events as they come; a context manager. Its clock decides only what is printed."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._begin: dict[str, float] = {}
        self._next: dict[str, tuple[float, float]] = {}  # when to say more of a stage, and how long to wait then
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
                TextColumn("{task.description}"),
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
                self._tasks[event.stage] = self._bars.add_task(event.stage, total=event.total, note=note)
            self._bars.update(self._tasks[event.stage], completed=event.done, total=event.total, note=note)
            return
        now = time.monotonic()
        begin = self._begin.setdefault(event.stage, now)
        whole = event.done >= event.total
        due, wait = self._next.setdefault(event.stage, (begin + FIRST, FIRST))
        if event.stage in self._finished or (not whole and now < due):
            return
        wait = min(LONGEST, wait * GROWTH)
        self._next[event.stage] = now + wait, wait
        reused = f", {count(event.reused)} reused" if event.reused else ""
        if whole:
            self._finished.add(event.stage)
        spent = f", {duration(now - begin)}" if whole else ""
        click.echo(
            f"{event.stage}: {count(event.done)}/{count(event.total)} unit{'' if event.total == 1 else 's'}{reused}{spent}",
            err=True,
        )
