"""How far a piece of work is: what long operations tell whoever shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

INTERVAL = 0.2
"""Seconds between two reports of a Meter."""


@dataclass(frozen=True)
class Progress:
    """Progress of a stage: parts done of total. `reused` parts were done before.

    noun: what the parts are. documents, bytes, tokens: that were worked on so far, 0 where they are not counted. part: share of the
    work that is done, from 0 to 1, with parts that are under way; None: how much there is in all is not known. note: a short
    figure to show, such as a loss.
    """

    stage: str
    done: int
    total: int
    reused: int = 0
    documents: int = 0
    bytes: int = 0
    part: float | None = 0.0
    tokens: int = 0
    noun: str = "task"
    note: str = ""


Tell = Callable[[Progress], None]
"""Takes reports, from any thread."""


class Meter:
    """Counts the work of one stage and reports it, at most every INTERVAL seconds, and when it begins and ends; a context manager.

    tell: takes the reports; None: nothing is reported. total: parts of the stage, each a `noun`. work: what `add(work=...)` sums
    up to, for example bytes; None: parts are the measure; 0: it is not known. done: parts that were done before.

    >>> seen = []
    >>> with Meter(seen.append, "verify", 2, "file") as meter:
    ...     meter.add(1, bytes=10)
    ...     meter.add(1, bytes=20)
    >>> seen[-1].done, seen[-1].bytes, seen[-1].part
    (2, 30, 1.0)
    """

    def __init__(
        self, tell: Tell | None, stage: str, total: int, noun: str, work: float | None = None, done: int = 0
    ) -> None:
        self._tell, self._work, self._worked = tell, work, 0.0
        self._now = Progress(stage, done, total, noun=noun, part=self._part(done, total))
        self._due = 0.0

    def __enter__(self) -> Meter:
        self._report()
        return self

    def __exit__(self, *error: object) -> None:
        self._report()

    def add(
        self, done: int = 0, documents: int = 0, bytes: int = 0, tokens: int = 0, work: float = 0, note: str = ""
    ) -> None:
        """Count parts that are done, and what was worked on since the last call."""
        if self._tell is None:
            return
        now = self._now
        self._worked += work
        parts = min(now.done + done, now.total)
        self._now = replace(
            now,
            done=parts,
            documents=now.documents + documents,
            bytes=now.bytes + bytes,
            tokens=now.tokens + tokens,
            part=1.0 if parts == now.total else self._part(parts, now.total),
            note=note or now.note,
        )
        if time.monotonic() >= self._due:
            self._report()

    @contextmanager
    def ticking(self, every: float = 1.0) -> Iterator[None]:
        """Report every so many seconds while the block runs: for work that cannot be looked into."""
        if self._tell is None:
            yield
            return
        over = threading.Event()

        def tick() -> None:
            while not over.wait(every):
                self._report()

        thread = threading.Thread(target=tick, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _part(self, done: int, total: int) -> float | None:
        if self._work is None:
            return done / total if total else 1.0
        return min(1.0, self._worked / self._work) if self._work else None

    def _report(self) -> None:
        if self._tell is not None:
            self._due = time.monotonic() + INTERVAL
            self._tell(self._now)
