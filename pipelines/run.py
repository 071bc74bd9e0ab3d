"""Runs a recipe and commits a snapshot."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from corpusmill.pipelines.dataset import history
from corpusmill.pipelines.dataset.arrivals import demanded
from corpusmill.pipelines.dataset.outcome import Outcome
from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.system_errors import explained
from corpusmill.pipelines.dataset.work import remove_damaged, remove_temporary
from corpusmill.pipelines.engine.commit import commit, finish
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.open_job import nothing_new, open_job
from corpusmill.pipelines.engine.restore import lost, restore
from corpusmill.pipelines.recipe import certify, privacy_section
from corpusmill.pipelines.recipe.model import Recipe
from corpusmill.pipelines.runners import base
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DamagedWorkError, DatasetError, StoreError, UnfitStoreError
from corpusmill.transforms.manifest import Funnel, Input, Manifest, snapshot_numbers
from corpusmill.transforms.progress import Progress

HEALINGS = 3
"""How often a run removes damaged work and continues. A disk that damages more needs a person."""


@dataclass(frozen=True)
class RunResult:
    """committed: False if nothing was new. snapshot: the newest number. funnel: see
    `corpusmill.pipelines.engine.funnel.build`."""

    committed: bool
    snapshot: int
    funnel: Funnel
    manifest: Manifest
    seconds: float
    cpu_seconds: float
    restored: int = 0


def run(
    recipe: Recipe,
    *,
    workers: int | None = None,
    runner: str = "local",
    options: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
    metrics: str | None = None,
    arrivals: str | None = None,
    as_new: bool = False,
) -> RunResult:
    """Run a recipe and commit the next snapshot of its dataset, unless nothing is new.

    metrics: a file for the history of runs as Prometheus metrics, written even if the run fails. arrivals: a dataset
    whose history says which files came first, so that a rebuilt dataset keeps the same documents. as_new: ignore
    arrival history: repack shards and choose duplicates again.

    Raises:
        LockedError: another process is writing the dataset.
        RecipeError: the recipe trains privately, and one of its steps does not keep privacy units apart.
        ExpectationError: the snapshot would break the recipe's `expect`; nothing was committed.
        CorpusmillError: nothing was committed; finished tasks are kept, and the same command continues from them.
    """
    base.check_name(runner)
    certify.guard(recipe)
    if metrics:
        history.check_metrics(metrics)
    privacy_section.begin(recipe)
    begin, dataset = history.Begin.now(), recipe.dataset
    try:
        with explained(dataset):
            before: list[Input] | None = [] if as_new else demanded(arrivals) if arrivals else None
            new, manifest, restored = _run(recipe, workers, runner, options, progress, before)
    except UnfitStoreError:  # the dataset cannot be written, not even its history
        raise
    except BaseException as error:
        with contextlib.suppress(DatasetError):  # the run's own error is more important than the failed record
            history.record(dataset, begin, None, False, f"{type(error).__name__}: {error}")
            if metrics:
                newest = Dataset(dataset).manifest() if snapshot_numbers(dataset) else None
                history.write_metrics(metrics, dataset, recipe.name, newest)
        raise
    entry = history.record(dataset, begin, manifest, new)
    if metrics:
        history.write_metrics(metrics, dataset, recipe.name, manifest)
    number, funnel = manifest["number"], manifest["funnel"]
    return RunResult(new, number, funnel, manifest, entry["seconds"], entry["cpu_seconds"], restored)


def _run(
    recipe: Recipe,
    workers: int | None,
    runner: str,
    options: Sequence[str],
    progress: Callable[[Progress], None] | None,
    before: list[Input] | None,
) -> tuple[bool, Manifest, int]:
    """(whether a snapshot was committed, the newest manifest, how many of its missing files were restored)."""

    def completed(job: Job) -> Job:
        if not _complete(job):
            with _Watch(job, progress):
                base.run_stages(job, workers, runner, options)
        return job

    def once() -> tuple[bool, Manifest, int]:
        job = open_job(recipe, before)
        if not nothing_new(job):
            return True, commit(completed(job)), 0
        manifest = finish(job.dataset)
        missing = lost(job.dataset, manifest)
        if missing:
            restore(missing, lambda: completed(open_job(recipe, before)))
        return False, manifest, len(missing)

    store = Store(recipe.dataset)
    with store.lock():
        remove_temporary(recipe.dataset)
        for _ in range(HEALINGS):
            try:
                return once()
            except DamagedWorkError:  # its digest showed the damage; it is made again
                remove_damaged(recipe.dataset)
        return once()


def _complete(job: Job) -> bool:
    """Whether every task of every stage is done. A run that died before its commit needs no engine."""
    for number in range(len(job.stages)):
        if job.refresh(number).pending:
            return False
    return True


class _Watch:
    """Reports the progress of the running stage to a callback, from stored outcomes."""

    def __init__(self, job: Job, progress: Callable[[Progress], None] | None) -> None:
        self._job, self._progress = job, progress
        self._interval = 0.25 if storage.is_local(job.dataset) else 2.0  # each check of a store costs requests
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> _Watch:
        self._job.store.announce(None)
        if self._progress:
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
        self._job.store.announce(None)
        self._job.store.forget_parts()

    def _run(self) -> None:
        stage: _StageWatch | None = None
        while True:
            stopping = self._stop.wait(self._interval)
            with contextlib.suppress(StoreError):  # the run itself reports a lasting error
                note = self._job.store.announced()
                if note and (stage is None or note["plan"] != stage.plan):
                    if stage is not None:
                        self._tell(stage, finished=True)
                    stage = _StageWatch(self._job, note)
                if stage is not None:
                    stage.look()
                    self._tell(stage)
            if stopping:
                return

    def _tell(self, stage: _StageWatch, finished: bool = False) -> None:
        if self._progress:
            self._progress(stage.progress(finished))


class _StageWatch:
    """What is done of one stage, and what it came to."""

    def __init__(self, job: Job, note: dict[str, Any]) -> None:
        self._store, self._local = job.store, storage.is_local(job.dataset)
        self.plan = note["plan"]
        self._label = job.stages[note["stage"]].label(job)
        requests = self._store.load_task_list(self.plan)["requests"]
        self._sizes = dict(zip(requests, job.prepare(note["stage"]).sizes, strict=False))
        self._waiting = self._store.undone(requests)
        self._total, self._reused = len(requests), note["reused"]
        self._before = sum(self._sizes.get(r, 0) for r in set(requests) - self._waiting)
        self._documents = self._bytes = self._tokens = self._finished = 0
        self._parts: dict[str, tuple[int, int]] = {}

    def look(self) -> None:
        """Look which tasks are done now, and how far the others are."""
        left = self._store.undone(self._waiting)
        for request in self._waiting - left:
            if self._local:  # in a store each outcome is a request
                outcome = self._store.read_outcome(request)
                rows, size = _taken_in(outcome)
                self._documents += rows
                self._bytes += size
                self._tokens += _packed_tokens(outcome)
            self._finished += self._sizes.get(request, 0)
        self._waiting = left
        self._parts = self._store.parts(left)

    def progress(self, finished: bool = False) -> Progress:
        """How far it is. finished: another stage has begun."""
        done = self._total if finished else self._total - len(self._waiting)
        # text for each byte of a task's input, by the tasks that are done
        ratio = max(1.0, self._bytes / self._finished) if self._finished else 1.0
        under_way = sum(
            min(0.95 * self._sizes.get(r, 0), size / ratio)
            for r, (_, size) in self._parts.items()
            if r in self._waiting
        )
        work = sum(self._sizes.values()) - self._before
        part = (
            1.0 if finished else min(1.0, (self._finished + under_way) / work) if work else done / max(1, self._total)
        )
        documents = self._documents + sum(rows for rows, _ in self._parts.values())
        size = self._bytes + sum(text for _, text in self._parts.values())
        return Progress(self._label, done, self._total, min(self._reused, done), documents, size, part, self._tokens)


def _taken_in(outcome: Outcome | None) -> tuple[int, int]:
    """Rows and bytes of text that a finished task has read."""
    if outcome is None:
        return 0, 0
    if "read" in outcome:
        return outcome["read"]["rows"], outcome["read"]["bytes"]
    counts = outcome.get("counts") or []
    return (
        (counts[0]["rows_in"], counts[0]["bytes_in"]) if counts else (outcome.get("rows", 0), outcome.get("bytes", 0))
    )


def _packed_tokens(outcome: Outcome | None) -> int:
    """Tokens that a finished task has packed."""
    counts = (outcome or {}).get("counts") or []
    return int(counts[-1]["details"].get("tokens", 0)) if counts else 0


__all__ = ["Dataset", "Progress", "RunResult", "run"]
