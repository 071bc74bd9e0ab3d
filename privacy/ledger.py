"""The ledger of a population: what was spent of its privacy budget, by whom, as events that compose.

A file of JSON lines beside the data set, one population each. Lines are only appended, each written whole, flushed to disk
and chained to the one before by its SHA-256:

    budget    the population, its unit and adjacency, epsilon and delta that may be spent in all
    reserve   a run may begin: the event of the whole run counts as spent from here on
    close     how many of its steps ran: the rest is given back
    spend     a mechanism at once (a private count)

A reservation is on disk before the first step that spends it: a crash at any moment loses no spend, and at worst counts
steps that never ran until the run is resumed and closed. A run that ends by an error before its first step closes at 0. Runs
that were only made to tune parameters are runs like others.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from corpusmill.privacy.accounting import ADJACENCY, Event, epsilon
from corpusmill.transforms.errors import BudgetError, DatasetError, PrivacyError, VerifyError

NAME = "privacy.jsonl"


class Spend:
    """A reservation of one run."""

    def __init__(self, ledger: Ledger, run: str, event: Event, fresh: bool = False) -> None:
        """fresh: made just now, and not found where an earlier start of the run had left it."""
        self.ledger, self.run, self.event, self.fresh = ledger, run, event, fresh
        self.steps: int | None = None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.steps is not None

    def close(self, steps: int) -> None:
        """The run is over after `steps` steps; nothing of it will run again."""
        if not 0 <= steps <= self.event.count:
            raise PrivacyError(f"{self.run}: {steps} steps cannot be closed where {self.event.count} were reserved.")
        self.ledger._append({"kind": "close", "run": self.run, "steps": steps})
        self.steps = steps


class Ledger:
    """The ledger in one file. Every method reads what is on disk."""

    def __init__(self, path: str | Path) -> None:
        """path: the file, or the data set's folder that it lies in."""
        path = Path(path)
        self.path = path / NAME if path.is_dir() else path

    @classmethod
    def create(
        cls, path: str | Path, population: str, unit: str, epsilon: float, delta: float, units: int | None = None
    ) -> Ledger:
        """A new ledger. unit: `document` or the user column; units: their public number, if there is one.

        Raises PrivacyError where there is one already, or the budget is no budget.
        """
        ledger = cls(path)
        if ledger.path.exists() and ledger.path.stat().st_size:
            raise PrivacyError(
                f"{ledger.path}: there is a ledger already. A population has one budget, which does not change."
            )
        if not (0 < epsilon < math.inf and 0 < delta < 1):
            raise PrivacyError(f"a budget needs epsilon above 0 and delta between 0 and 1, not {epsilon} and {delta}.")
        if units is not None and delta * units > 1:
            raise PrivacyError(
                f"delta {delta:g} is above 1 / {units:,} units: one unit in {units:,} may be revealed whole."
            )
        line = {"kind": "budget", "population": population, "unit": unit, "adjacency": ADJACENCY}
        ledger._append(line | {"epsilon": epsilon, "delta": delta, "units": units}, first=True)
        return ledger

    @property
    def budget(self) -> dict[str, Any]:
        """The first line: population, unit, adjacency, epsilon, delta, units."""
        return self.lines()[0]

    def lines(self) -> list[dict[str, Any]]:
        """All lines. Raises DatasetError if there is no ledger, VerifyError if a line was changed or taken out."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            raise DatasetError(
                f"{self.path}: there is no privacy ledger. `corpusmill privacy plan` says what a budget buys; Ledger.create "
                "writes one."
            ) from None
        return self._parse(data)

    def _parse(self, data: bytes) -> list[dict[str, Any]]:
        complete = data[: data.rfind(b"\n") + 1]  # behind it: a line that a crash cut short, which nobody acted on
        lines, before = [], ""
        for number, raw in enumerate(complete.splitlines(), 1):
            try:
                line = json.loads(raw)
                good = line["before"] == before
            except (ValueError, KeyError, TypeError):
                good = False
            if not good:
                raise VerifyError(
                    f"{self.path}:{number}: the line was changed, or one before it is missing. Restore the ledger from a "
                    "backup: without it nobody can say what was spent."
                )
            lines.append(line)
            before = hashlib.sha256(raw).hexdigest()
        if not lines or lines[0].get("kind") != "budget":
            raise DatasetError(f"{self.path}: is no privacy ledger: its first line is not a budget.")
        return lines

    def events(self) -> list[Event]:
        """What counts as spent: closed runs by the steps that ran, open ones whole."""
        return [event for _, event, _ in self.entries()]

    def entries(self) -> list[tuple[dict[str, Any], Event, bool]]:
        """(line, what counts of it, whether its run is open) of every reservation and spend."""
        lines = self.lines()
        closed = {line["run"]: line["steps"] for line in lines if line["kind"] == "close"}
        out = []
        for line in lines:
            if line["kind"] in ("reserve", "spend"):
                event = Event.model_validate(line["event"])
                run_open = line["kind"] == "reserve" and line["run"] not in closed
                out.append((line, event.times(closed.get(line.get("run"), event.count)), run_open))
        return out

    def spent(self, accountant: str = "pld") -> float:
        """Epsilon of everything that counts, at the budget's delta."""
        return epsilon(self.events(), self.budget["delta"], accountant)

    def reserve(
        self, run: str, event: Event, what: str, unit: str, by: str = "", at_most: float | None = None
    ) -> Spend:
        """Reserve the budget of a whole run before it touches data.

        run: its secret's name; the same run may ask again and goes on with what it has. what: for readers of the ledger.
        at_most: what the ledger may stand at afterwards, where that is less than its budget.
        Raises BudgetError where less is left, PrivacyError where the unit is another one or the run is closed.
        """
        with self._locked():
            lines = self.lines()
            self._same_unit(unit)
            mine = [line for line in lines if line.get("run") == run]
            if any(line["kind"] == "close" for line in mine):
                raise PrivacyError(f"the run {run} is closed. Start a new one, with a new secret.")
            if mine:
                old = Event.model_validate(mine[0]["event"])
                if old != event:
                    raise PrivacyError(f"the run {run} has reserved {old.short()}, and now asks for {event.short()}.")
                return Spend(self, run, event)
            self._afford(event, at_most=at_most)
            line = {"kind": "reserve", "run": run, "event": event.model_dump(), "what": what, "by": by}
            self._append(line, locked=True)
        return Spend(self, run, event, fresh=True)

    def spend(self, events: Event | Sequence[Event], what: str, unit: str, by: str = "") -> None:
        """Spend at once, all events or none: call it before the mechanism looks at data. Raises as `reserve`."""
        events = [events] if isinstance(events, Event) else list(events)
        with self._locked():
            self._same_unit(unit)
            self._afford(*events)
            for event in events:
                self._append({"kind": "spend", "event": event.model_dump(), "what": what, "by": by}, locked=True)

    def _same_unit(self, unit: str) -> None:
        kept = self.budget["unit"]
        if unit != kept:
            raise PrivacyError(
                f"{self.path}: keeps account for the unit `{kept}`, not `{unit}`. Epsilons of different units do not add up."
            )

    def _afford(self, *events: Event, at_most: float | None = None) -> None:
        budget = self.budget
        most = min(budget["epsilon"], math.inf if at_most is None else at_most)
        after = epsilon([*self.events(), *events], budget["delta"])
        if after > most:
            asked = " and ".join(event.short() for event in events)
            raise BudgetError(
                f"{self.path}: {asked} would bring epsilon to {after:.3f} of {most:g} (delta "
                f"{budget['delta']:g}); {self.spent():.3f} is spent or reserved. Use more noise, fewer steps or a lower rate: "
                "`corpusmill privacy plan` shows what fits. No data was touched."
            )

    @contextlib.contextmanager
    def _locked(self, create: bool = False) -> Iterator[None]:
        """One process at a time, on every machine that shares the file system's locks."""
        if not create and not self.path.exists():
            self.lines()  # says that there is none
        handle = os.open(self.path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _append(self, line: dict[str, Any], first: bool = False, locked: bool = False) -> None:
        """Write one line behind the last whole one, and wait until it is on disk."""
        with contextlib.nullcontext() if locked else self._locked(create=first):
            data = self.path.read_bytes()
            end = data.rfind(b"\n") + 1
            if first == bool(end):
                raise PrivacyError(f"{self.path}: another process has {'made' if first else 'removed'} the ledger.")
            if not first:
                self._parse(data)
            last = data[:end].splitlines()[-1] if end else b""
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            chained = line | {"at": now, "before": hashlib.sha256(last).hexdigest() if end else ""}
            raw = json.dumps(chained, sort_keys=True, ensure_ascii=False).encode() + b"\n"
            handle = os.open(self.path, os.O_RDWR)
            try:
                os.ftruncate(handle, end)
                os.pwrite(handle, raw, end)
                os.fsync(handle)
            finally:
                os.close(handle)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
