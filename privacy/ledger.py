"""The ledger of a population: what was spent of its privacy budget, by whom, as events that compose.

A file of JSON lines beside the dataset, one population each. Lines are only appended, each flushed to disk before anybody acts
on it:

    budget    the population, its unit and adjacency, epsilon and delta that may be spent in all
    reserve   a run may begin: the event of the whole run counts as spent from here on
    close     how many of its steps ran: the rest is given back
    spend     a mechanism at once (a private count)

A reservation is on disk before the first step that spends it: a crash at any moment loses no spend, and at worst counts
steps that never ran until the run is resumed and closed. A run that ends by an error before its first step closes at 0. Runs
that were only made to tune parameters are runs like others.

Each line holds its own SHA-256 (`digest`) and that of the line before it (`before`); the end is noted outside of the ledger
(`corpusmill.privacy.anchors`). A `close` holds a token whose digest the reservation holds: only the process that has the run's
secret can give budget back. A change of the ledger together with all of its notes is not noticed.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from corpusmill.privacy import anchors
from corpusmill.privacy.accounting import ADJACENCY, FILTER, Event, epsilon, filter_order
from corpusmill.privacy.anchors import Note
from corpusmill.privacy.ledger_lines import RESTORE, digest_of, parse, sealed
from corpusmill.transforms.errors import BudgetError, CorpusmillError, DatasetError, PrivacyError, VerifyError

NAME = "privacy.jsonl"
Composition = Literal["fixed", "adaptive"]


class Spend:
    """A reservation of one run."""

    def __init__(self, ledger: Ledger, run: str, event: Event, token: str | None, fresh: bool = False) -> None:
        """
        Args:
            token: what the reservation holds the digest of; None where the caller does not know it, who cannot close then.
            fresh: made just now, and not found where an earlier start of the run had left it.
        """
        self.ledger, self.run, self.event, self.fresh = ledger, run, event, fresh
        self.steps: int | None = None
        self._token = token

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.steps is not None

    def close(self, steps: int) -> None:
        """The run is over after `steps` steps; nothing of it will run again.

        Raises:
            PrivacyError: more steps than were reserved, or the reservation is not this caller's.
        """
        if not 0 <= steps <= self.event.count:
            raise PrivacyError(f"{self.run}: {steps} steps cannot be closed where {self.event.count} were reserved.")
        line: dict[str, Any] = {"kind": "close", "run": self.run, "steps": steps}
        if self.ledger.closes(self.run):
            if self._token is None:
                raise PrivacyError(f"{self.run}: only who holds the secret of the run can close it.")
            line["token"] = self._token
        self.ledger._append(line)
        self.steps = steps


class Ledger:
    """The ledger in one file. Every method reads what is on disk."""

    def __init__(self, path: str | Path) -> None:
        """path: the file, or the folder of the dataset that it lies in."""
        path = Path(path)
        self.path = path / NAME if path.is_dir() else path
        self._tokens: dict[str, str] = {}

    @classmethod
    def create(
        cls,
        path: str | Path,
        population: str,
        unit: str,
        epsilon: float,
        delta: float,
        units: int | None = None,
        sources: Iterable[str] = (),
        composition: Composition = "fixed",
    ) -> Ledger:
        """A new ledger.

        Args:
            unit: `document`, or the column of the user.
            units: their public number, if there is one.
            sources: paths or patterns of the private data, beside which the ledger's end is noted.
            composition: `fixed` counts by privacy loss distributions, which hold if noise, rates and steps of all runs were fixed
                before the first result was seen; `adaptive` by a Renyi filter, which holds however they were chosen.

        Raises:
            PrivacyError: there is a ledger here, or was one; a source is accounted for in another; or the budget is no budget.
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
        kept = anchors.local(sources)
        ledger._never_before(population, kept)
        line: dict[str, Any] = {"kind": "budget", "population": population, "unit": unit, "adjacency": ADJACENCY}
        line |= {"epsilon": epsilon, "delta": delta, "units": units, "order": filter_order(epsilon, delta)}
        line |= {"composition": composition} if composition != "fixed" else {}
        line |= {"nonce": secrets.token_hex(16)}  # a ledger that is begun anew in the same second is another one
        empty = Note("", population, str(ledger.path.absolute()), 0, "")
        with _clear_errors(ledger.path):
            # a note of no line first: where it stands alone, a crash came before the budget was written
            anchors.write(anchors.head_of(ledger.path), empty)
        ledger._append(line | ({"sources": kept} if kept else {}), first=True)
        return ledger

    def _never_before(self, population: str, sources: Sequence[str]) -> None:
        """Raise where the population has or had a ledger."""
        head = anchors.read(anchors.head_of(self.path))
        if head is not None and head.lines:
            raise PrivacyError(
                f"{self.path}: a ledger of {head.population} was here ({head.lines} lines) and is gone. {RESTORE}"
            )
        if known := anchors.models(self.path, population):
            raise PrivacyError(
                f"{self.path}: there is no ledger, but {known[-1]} was trained on {population}: what it cost would be forgotten. "
                f"{RESTORE}"
            )
        for source in sources:
            for note in anchors.beside(source):
                here = Path(note.path) == self.path.absolute()
                gone = here or not Path(note.path).exists()
                todo = RESTORE if gone else f"Name it: `ledger: {note.path}`."
                raise PrivacyError(
                    f"{source}: is accounted for in {note.path} (population {note.population}, {note.lines} lines)"
                    f"{', which is gone' if gone else ''}. A population has one budget: a second ledger would spend it "
                    f"again. {todo}"
                )

    @property
    def budget(self) -> dict[str, Any]:
        """The first line: population, unit, adjacency, epsilon, delta, units."""
        return self.lines()[0]

    def end(self) -> tuple[int, str]:
        """(number of lines, SHA-256 of the last one): what notes and checkpoints hold."""
        digests = self._read()[1]
        return len(digests), digests[-1]

    def contains(self, lines: int, digest: str) -> bool:
        """Whether the ledger had this end once, and has it still."""
        digests = self._read()[1]
        return lines <= len(digests) and digests[lines - 1] == digest

    def lines(self) -> list[dict[str, Any]]:
        """All lines.

        Raises:
            DatasetError: there is no ledger, or it cannot be read.
            VerifyError: a line was changed or taken out, a `close` was forged, or a note of the ledger's end says otherwise.
        """
        return self._read()[0]

    def _read(self) -> tuple[list[dict[str, Any]], list[str]]:
        """(lines, SHA-256 of each), checked against each other and against the notes."""
        head = anchors.read(anchors.head_of(self.path))  # before the ledger, which may grow meanwhile
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            if head is not None and head.lines:
                raise VerifyError(
                    f"{self.path}: the ledger of {head.population} was here ({head.lines} lines) and is gone. {RESTORE}"
                ) from None
            raise DatasetError(
                f"{self.path}: there is no privacy ledger. `corpusmill privacy plan` says what a budget buys; "
                "`corpusmill privacy budget` writes one."
            ) from None
        except OSError as error:
            raise DatasetError(
                f"{self.path}: the ledger cannot be read ({error.strerror}). Let this user read it, or look after the "
                "disk; then run the same command again."
            ) from error
        lines, digests = parse(data, self.path)
        if head is None and "digest" in lines[-1]:
            raise VerifyError(
                f"{self.path}: its note {anchors.head_of(self.path).name} is missing, so nobody can tell whether lines were cut "
                "off. Restore both files from one backup."
            )
        self._agree([head] if head is not None else [], digests)
        return lines, digests

    def _agree(self, notes: Iterable[Note], digests: list[str]) -> None:
        for note in notes:
            if why := anchors.contradiction(note, digests[0], digests):
                raise VerifyError(f"{self.path}: {why}. {RESTORE}")

    def _marks(self, lines: Sequence[dict[str, Any]], name: str) -> list[Note]:
        """The notes of this ledger beside the sources that its lines name."""
        sources = {source for line in lines for source in line.get("sources", ())}
        notes = [anchors.read(anchors.mark_of(source, name)) for source in sorted(sources)]
        return [note for note in notes if note is not None]

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

    def closes(self, run: str) -> bool:
        """Whether closing a run takes the token of its reservation."""
        return any(line.get("run") == run and "closes" in line for line in self.lines())

    @property
    def accountant(self) -> str:
        """What decides whether there is budget left: `pld`, or the filter of the order that the first line fixes."""
        budget = self.budget
        return f"{FILTER}{budget['order']:g}" if budget.get("composition") == "adaptive" else "pld"

    def spent(self, accountant: str = "") -> float:
        """Epsilon of everything that counts, at the budget's delta, by the ledger's own accountant or another."""
        return epsilon(self.events(), self.budget["delta"], accountant or self.accountant)

    def adaptive(self) -> float | None:
        """Epsilon of everything that counts where later runs were chosen after looking at earlier ones; None if not known: a
        ledger of an earlier version fixed no order, and some events have no Renyi divergence."""
        order = self.budget.get("order")
        try:
            return None if order is None else self.spent(f"{FILTER}{order:g}")
        except PrivacyError:
            return None

    def reserve(
        self,
        run: str,
        event: Event,
        what: str,
        unit: str,
        by: str = "",
        at_most: float | None = None,
        token: str | None = None,
        sources: Iterable[str] = (),
    ) -> Spend:
        """Reserve the budget of a whole run before it touches data.

        Args:
            run: its secret's name; the same run may ask again and goes on with what it has.
            what: for readers of the ledger.
            at_most: what the ledger may stand at afterwards, where that is less than its budget.
            token: what closes the reservation, from the run's secret (`Secret.token`). Without one, only this object closes it.
            sources: paths or patterns of the data that the run reads.

        Raises:
            BudgetError: less is left.
            PrivacyError: the unit is another one, the run is closed, or a source is accounted for in another ledger.
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
                return Spend(self, run, event, token or self._tokens.get(run))
            self._afford(event, at_most=at_most)
            token = self._tokens.setdefault(run, token or secrets.token_hex(32))
            line = {"kind": "reserve", "run": run, "event": event.model_dump(), "what": what, "by": by}
            self._append(line | {"closes": digest_of(token)} | self._new_sources(sources), locked=True)
        return Spend(self, run, event, token, fresh=True)

    def spend(
        self, events: Event | Sequence[Event], what: str, unit: str, by: str = "", sources: Iterable[str] = ()
    ) -> None:
        """Spend at once, all events or none: call it before the mechanism looks at data. Raises as `reserve`."""
        events = [events] if isinstance(events, Event) else list(events)
        with self._locked():
            self._same_unit(unit)
            self._afford(*events)
            more = self._new_sources(sources)
            for event in events:
                self._append({"kind": "spend", "event": event.model_dump(), "what": what, "by": by} | more, locked=True)

    def _new_sources(self, sources: Iterable[str]) -> dict[str, list[str]]:
        """The field `sources` of a line. Raises PrivacyError where one is accounted for in another ledger."""
        kept = anchors.local(sources)
        name = self._read()[1][0]
        for source in kept:
            for note in anchors.beside(source):
                if note.ledger != name:
                    raise PrivacyError(
                        f"{source}: is accounted for in {note.path} (population {note.population}), not in {self.path}. A "
                        "population has one ledger: name that one."
                    )
        return {"sources": kept} if kept else {}

    def _same_unit(self, unit: str) -> None:
        kept = self.budget["unit"]
        if unit != kept:
            raise PrivacyError(
                f"{self.path}: keeps account for the unit `{kept}`, not `{unit}`. Epsilons of different units do not add up."
            )

    def _afford(self, *events: Event, at_most: float | None = None) -> None:
        lines, digests = self._read()
        self._agree(self._marks(lines, digests[0]), digests)  # a copy of the ledger may have gone on
        budget = self.budget
        most = min(budget["epsilon"], math.inf if at_most is None else at_most)
        after = epsilon([*self.events(), *events], budget["delta"], self.accountant)
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
            self.lines()  # raises the error of a missing ledger
        with _clear_errors(self.path):
            handle = os.open(self.path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _append(self, line: dict[str, Any], first: bool = False, locked: bool = False) -> None:
        """Write one line behind the last whole one, wait until it is on disk, and note the new end."""
        with contextlib.nullcontext() if locked else self._locked(create=first), _clear_errors(self.path):
            data = self.path.read_bytes()
            end = data.rfind(b"\n") + 1
            if first == bool(end):
                raise PrivacyError(f"{self.path}: another process has {'made' if first else 'removed'} the ledger.")
            before = "" if first else self._read()[1][-1]
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            raw = sealed(line | {"at": now, "before": before})
            lines, digests = parse(data[:end] + raw, self.path)
            handle = os.open(self.path, os.O_RDWR)
            try:
                os.ftruncate(handle, end)
                done = 0
                while done < len(raw):  # a write may take in a part
                    done += os.pwrite(handle, raw[done:], end + done)
                os.fsync(handle)
            finally:
                os.close(handle)
            _sync(self.path.parent)
            note = Note(digests[0], lines[0]["population"], str(self.path.absolute()), len(lines), digests[-1])
            anchors.write(anchors.head_of(self.path), note)
            anchors.place((source for line in lines for source in line.get("sources", ())), note)


def faults(path: str | Path) -> list[str]:
    """What is wrong with the ledger of a dataset: [] where all is well, or where there is and was none. For `verify`.

    path: the ledger, or the dataset's folder. Beside what reading a ledger checks, the notes of its end beside private sources
    must be there, where the sources still are.
    """
    ledger = Ledger(path)
    if not ledger.path.exists() and not anchors.head_of(ledger.path).exists():
        return []
    try:
        lines, digests = ledger._read()
        notes = ledger._marks(lines, digests[0])
        ledger._agree(notes, digests)
    except CorpusmillError as error:
        return [str(error)]
    noted = {note.source for note in notes}
    missing = {
        source
        for line in lines
        for source in line.get("sources", ())
        if source not in noted and anchors.folder_of(source).is_dir() and os.access(anchors.folder_of(source), os.W_OK)
    }
    return [
        f"{ledger.path}: the note of its end beside {source} ({anchors.mark_of(source, digests[0]).name}) was removed. Compare "
        "the ledger with a backup."
        for source in sorted(missing)
    ]


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turns an OS error into a DatasetError that names the ledger."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{path}: the ledger cannot be written ({error.strerror or error}). Nothing may be spent without it: give this "
            "user the right to write the file and its folder, or free space."
        ) from error
