"""Jobs that nobody waits for: submitted with the commit as their last step, and known by the id of their run.

What a run is stands in `.corpusmill/runs/<id>.json`: the recipe with every default and version, and the listing. So any
process that sees the dataset can commit a finished run (`corpusmill commit DIR --run ID`), once or ten times: a run that is
committed is found so, and one that lost a race commits on top of the winner.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.commit import commit, finish
from pipelines.job import Job
from pipelines.plan import nothing_new, open_job
from pipelines.recipe import Recipe, Step
from pipelines.registry import load as load_transform
from pipelines.store import Store
from transforms.errors import DatasetError, RecipeError
from transforms.storage import write_atomic

RUN_ID = 12
"""Digits of a run's id: the first ones of the digest of its work."""


def submit(recipe: Recipe, runner: str, workers: int | None = None, options: Sequence[str] = ()) -> tuple[str, str]:
    """Start a run and leave it to its engine: (id of the run, the engine's own name for it, or empty).

    Raises:
        RecipeError: this runner cannot run on without us, or nothing is new.
        LockedError: another process is writing the dataset.
    """
    from pipelines.runners import engine_of

    engine = engine_of(runner, workers, options)
    if not hasattr(engine, "submit"):
        raise RecipeError(
            f"--runner {runner} runs in this process, which must wait for it; `corpusmill run` does. "
            "Runners that go on alone: portable, dataflow."
        )
    with Store(str(recipe.output_dir)).lock():
        job = open_job(recipe)
        if nothing_new(job):
            raise RecipeError(f"nothing new: the newest snapshot of {recipe.output_dir} is what this recipe gives")
        engine.check(job)
        run = save_run(job)
        return run, engine.submit(job)


def run_id(job: Job) -> str:
    """The id of a job's run: equal for equal work."""
    return job.work_digest()[:RUN_ID]


def _path(dataset: str, run: str) -> str:
    return os.path.join(Store(dataset).root, "runs", f"{run}.json")


def save_run(job: Job) -> str:
    """Store what a run is; returns its id."""
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
    made: dict[str, Any] = {
        "recipe": {**recipe.canonical(), "steps": steps},
        "base_dir": str(recipe.base_dir.resolve()),
        "reads": job.reads,
        "suppressed": job.suppressed,
    }
    run = run_id(job)
    path = _path(job.dataset, run)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomic(path, json.dumps(made, sort_keys=True, indent=1).encode())
    return run


def runs(dataset: str) -> list[str]:
    """Ids of the runs that were submitted, oldest first."""
    folder = os.path.dirname(_path(dataset, ""))
    try:
        names = [n for n in os.listdir(folder) if n.endswith(".json") and not n.startswith(".")]
    except FileNotFoundError:
        return []
    return [n[:-5] for n in sorted(names, key=lambda n: os.stat(os.path.join(folder, n)).st_mtime_ns)]


def load_run(dataset: str, run: str | None = None) -> Job:
    """The job of a run; of the newest without an id.

    Raises:
        DatasetError: there is no such run, or it needs a transform of another version.
    """
    known = runs(dataset)
    if not known or run not in (None, *known):
        said = f"no run {run}. Submitted runs: {', '.join(known)}" if known else "no submitted run"
        raise DatasetError(f"{dataset} has {said}. `corpusmill submit RECIPE --runner dataflow` makes one.")
    with open(_path(dataset, run or known[-1]), encoding="utf-8") as f:
        data = json.load(f)
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


def commit_once(job: Job) -> dict[str, Any]:
    """Commit a job whose units are all done, or find that it is committed; the manifest.

    Raises:
        DatasetError: units are still to be done.
    """
    for number in range(len(job.stages)):
        pending = job.refresh(number).pending
        if pending:
            raise DatasetError(
                f"{job.dataset}: run {run_id(job)} is not finished: {len(pending)} units of "
                f"`{job.stages[number].label(job)}` are to be done. Wait for the engine, or run the recipe again."
            )
    return finish(job.dataset) if nothing_new(job) else commit(job)
