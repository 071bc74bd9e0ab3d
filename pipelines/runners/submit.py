"""Submits jobs without waiting for them. The commit is their last step, and an id names the run.

A record (`corpusmill.pipelines.dataset.submissions`) holds the recipe with every default and version, the listing, and
the newest snapshot at submission. So any process that sees the dataset can commit a finished run (`corpusmill commit
DIR --run ID`), any number of times. A committed run is recognised, whatever was committed after it. A run that lost a
race is committed on top of the winner. A run that was submitted before a takedown is never committed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from corpusmill.pipelines.dataset import submissions, suppression
from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.system_errors import explain
from corpusmill.pipelines.engine.commit import commit, finish
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.open_job import nothing_new, open_job
from corpusmill.pipelines.recipe.model import Recipe, Step
from corpusmill.pipelines.recipe.registry import load as load_transform
from corpusmill.transforms import storage
from corpusmill.transforms.errors import CorpusmillError, DatasetError, RecipeError
from corpusmill.transforms.manifest import Manifest, snapshot_numbers

RUN_ID = 12
"""Length of a run's id: the first digits of the digest of its work."""


def submit(
    recipe: Recipe, runner: str, workers: int | None = None, options: Sequence[str] = ()
) -> tuple[str, str] | None:
    """Start a run and leave it to its engine: (id of the run, the engine's own name for it, or empty); None: nothing is new.

    Raises:
        RecipeError: this runner cannot run on without us.
        LockedError: another process is writing the dataset.
        CorpusmillError: the engine failed; the message says what to do if the engine has the run nevertheless.
    """
    from corpusmill.pipelines.runners.base import engine_of, failed

    engine = engine_of(runner, workers, options)
    if not hasattr(engine, "submit"):
        raise RecipeError(
            f"--runner {runner} runs in this process, which must wait for it; `corpusmill run` does. "
            "Runners that go on alone: portable, dataflow."
        )
    with Store(recipe.dataset).lock():
        job = open_job(recipe)
        if nothing_new(job):
            return None
        engine.check(job)
        before = run_id(job) in submissions.runs(job.dataset)
        run = save_run(job)
        try:
            return run, engine.submit(job)
        except CorpusmillError:  # the engine did not get it, so nothing is kept for it
            if not before:
                storage.remove(submissions.path_of(job.dataset, run))
            raise
        except Exception as error:  # the answer may be lost: then the job runs, and the record must stay
            explained = explain(error, job.dataset)
            if explained is not error:
                raise explained from error
            raise CorpusmillError(
                f"{failed(runner, error)} Look whether it has a job of run {run} all the same; if not, submit again."
            ) from error


def run_id(job: Job) -> str:
    """The id of a job's run. It is equal for equal work."""
    return job.work_digest()[:RUN_ID]


def save_run(job: Job) -> str:
    """Store the record of a run; returns its id."""
    recipe = job.recipe
    steps = [
        {
            "name": s.name,
            "transform": type(s.transform).__module__ + ":" + type(s.transform).__qualname__,
            "version": s.transform.version,
            "fields": s.transform.model_dump(mode="json"),
        }
        for s in recipe.steps
    ]
    submission: submissions.Submission = {
        "recipe": {**recipe.canonical(), "steps": steps},
        "base_dir": str(recipe.base_dir.resolve()),
        "reads": job.reads,
        "suppressed": job.suppressed,
        "since": max(snapshot_numbers(job.dataset), default=0),
    }
    run = run_id(job)
    submissions.write(job.dataset, run, submission)
    return run


def load_run(dataset: str, run: str | None = None) -> Job:
    """The job of a run; default: the newest.

    Raises:
        DatasetError: there is no such run, it is damaged, its work was removed, or it needs a transform of another version.
    """
    run = _named(dataset, run)
    data = submissions.read(dataset, run)
    _check_work(dataset, data["reads"], f"run {run}")
    base, raw = Path(data["base_dir"]), data["recipe"]
    steps = []
    for step in raw["steps"]:
        cls = load_transform(step["transform"], base)
        if cls.version != step["version"]:
            raise DatasetError(
                f"{dataset}: the run used {cls.name}@{step['version']}, here is {cls.name}@{cls.version}. "
                "Commit it with the corpusmill that submitted it."
            )
        steps.append(Step(name=step["name"], transform=cls.model_validate(step["fields"])))
    recipe = Recipe.model_validate({**raw, "steps": steps, "base_dir": base})
    return Job(recipe, dataset, data["reads"], data["suppressed"])


def _named(dataset: str, run: str | None) -> str:
    """The id of an existing run; default: the newest."""
    there = submissions.runs(dataset)
    run = there[-1] if there and run is None else run or ""
    submissions.known(dataset, run)
    return run


def _has_work(dataset: str, reads: str) -> bool:
    return storage.has_file(os.path.join(Store(dataset).root, "plans", f"{reads}.json"))


def _check_work(dataset: str, reads: str, what: str) -> None:
    if not _has_work(dataset, reads):
        raise DatasetError(
            f"{dataset}: the work of {what} was removed by `corpusmill gc`: it was committed, given up, or made void by a "
            "takedown. Submit the recipe again."
        )


def commit_run(dataset: str, run: str | None = None) -> tuple[str, Manifest]:
    """Commit a run (default: the newest) unless it is committed. Returns (its id, the manifest of its snapshot).

    Raises:
        DatasetError: as of `load_run` and `commit_once`.
        LockedError: another process is writing the dataset.
    """
    run = _named(dataset, run)
    data = submissions.read(dataset, run)
    number = submissions.committed_as(dataset, run, data["since"])
    if number is not None and not _has_work(dataset, data["reads"]):
        return run, Dataset(dataset).manifest(number)
    job = load_run(dataset, run)
    with job.store.lock():
        return run, commit_once(job)


def commit_once(job: Job) -> Manifest:
    """Commit a job whose tasks are all done, unless it is committed; returns the manifest of its snapshot.

    Raises:
        DatasetError: tasks are still to be done, or documents were taken out meanwhile that the job would bring back.
        LockedError: another process committed meanwhile.
    """
    _check_work(job.dataset, job.reads, "this run")
    # another process may commit at any moment; this one then finds the number taken
    newest = max(snapshot_numbers(job.dataset), default=0)
    if nothing_new(job):
        return finish(job.dataset)
    run = run_id(job)
    noted = storage.has_file(submissions.path_of(job.dataset, run))
    since = submissions.read(job.dataset, run)["since"] if noted else 0
    number = submissions.committed_as(job.dataset, job.work_digest(), since)
    if number is not None:
        finish(job.dataset)
        return Dataset(job.dataset).manifest(number)
    if suppression.current(job.dataset).number != job.suppressed:
        raise DatasetError(
            f"{job.dataset}: documents were taken out since run {run} was submitted, and it would bring them back. "
            "Submit the recipe again: what is finished is reused."
        )
    for stage in range(len(job.stages)):
        pending = job.refresh(stage).pending
        if pending:
            raise DatasetError(
                f"{job.dataset}: run {run} is not finished: {len(pending)} tasks of "
                f"`{job.stages[stage].label(job)}` are to be done. Wait for the engine, or run the recipe again."
            )
    return commit(job, newest)
