"""Runs a recipe and commits a snapshot."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from corpusmill.pipelines.dataset import history
from corpusmill.pipelines.dataset.arrivals import demanded
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

HEALINGS = 3
"""How often a run removes damaged work and continues. A disk that damages more needs a person."""


@dataclass(frozen=True)
class Progress:
    """Progress of a stage: tasks done of total. `reused` tasks were done before this run."""

    stage: str
    done: int
    total: int
    reused: int


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

    def _run(self) -> None:
        store = self._job.store
        current, waiting, reused, total, label = "", set(), 0, 0, ""
        while True:
            stopping = self._stop.wait(self._interval)
            with contextlib.suppress(StoreError):  # the run itself reports a lasting error
                note = store.announced()
                if note and note["plan"] != current:
                    if current:
                        self._tell(label, total, total, reused)
                    current = note["plan"]
                    requests = store.load_task_list(current)["requests"]
                    waiting = store.undone(requests)
                    total, reused = len(requests), note["reused"]
                    label = self._job.stages[note["stage"]].label(self._job)
                if current:
                    waiting = store.undone(waiting)
                    self._tell(label, total - len(waiting), total, reused)
            if stopping:
                return

    def _tell(self, label: str, done: int, total: int, reused: int) -> None:
        if self._progress:
            self._progress(Progress(label, done, total, min(reused, done)))


__all__ = ["Dataset", "Progress", "RunResult", "run"]
