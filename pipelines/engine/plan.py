"""Says what a run would do, and why: the listing, the stages, what is reused, and what it costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.memory import BASE_MEMORY, BATCH_BYTES, BATCH_FACTOR, MB
from corpusmill.pipelines.engine.open_job import nothing_new, open_job
from corpusmill.pipelines.recipe import certify
from corpusmill.pipelines.recipe.model import Recipe
from corpusmill.transforms.manifest import snapshot_numbers
from corpusmill.transforms.sources.splits import Split


@dataclass(frozen=True)
class PlannedStage:
    """One stage: its number of tasks, how many of them are done, and the input bytes (None: not known yet)."""

    name: str
    kind: str
    tasks: int | None
    reused: int
    bytes: int | None
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a run would do. documents: None if the files' footers do not say. bytes: of the source files. memory:
    estimated peak, in bytes."""

    job: Job
    stages: list[PlannedStage]
    documents: int | None
    bytes: int
    memory: int
    splits: int
    nothing_new: bool
    changes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types, without the job."""
        fields = {k: v for k, v in self.__dict__.items() if k != "job"}
        return {**fields, "stages": [asdict(s) for s in self.stages]}


def make(recipe: Recipe, workers: int, as_new: bool = False) -> Plan:
    """The plan of a run with this many workers. as_new: as of `run`.

    Raises RecipeError if private training refuses the recipe.
    """
    certify.guard(recipe)
    job = open_job(recipe, [] if as_new else None)
    inputs = job.store.load_task_list(job.reads)["inputs"]
    size = sum(i["size"] for i in inputs)
    splits = job.splits()
    same = nothing_new(job)
    stages: list[PlannedStage] = []
    known = True
    for number, stage in enumerate(job.stages):
        label = stage.label(job)
        if not known:
            stages.append(PlannedStage(label, stage.kind, None, 0, None, "not known until the stage before is done"))
            continue
        ready = job.refresh(number)
        total, todo = len(ready.requests), len(ready.pending)
        reason = "all done before" if not todo else ("never done before" if todo == total else "new or changed input")
        stages.append(PlannedStage(label, stage.kind, total, total - todo, sum(ready.sizes), reason))
        known = not todo
    largest = max((sum(p.end - p.begin for p in s.parts) for s in splits), default=0)
    memory = BASE_MEMORY + workers * (BATCH_FACTOR * BATCH_BYTES + min(largest, 64 * MB))
    return Plan(job, stages, _documents(job, splits), size, memory, len(splits), same, _changes(job, same))


def _documents(job: Job, splits: list[Split]) -> int | None:
    """Rows of the sources, from outcomes of finished splits or from Parquet footers; None if neither has them."""
    total = 0
    for outcome, split in zip(job.store.outcomes(job.prepare(0).requests), splits, strict=True):
        if outcome is not None:
            total += outcome["read"]["rows"]
        else:
            rows = [split.reader.rows(part) for part in split.parts]
            if any(n is None for n in rows):
                return None
            total += sum(n or 0 for n in rows)
    return total


def _changes(job: Job, same: bool) -> list[str]:
    """Reasons why the next run has work, compared with the newest snapshot."""
    if not snapshot_numbers(job.dataset):
        return ["there is no snapshot yet"]
    if same:
        return []
    before = Dataset(job.dataset).manifest()
    inputs = job.store.load_task_list(job.reads)["inputs"]
    old = {(i["source"], i["digest"]) for i in before["inputs"]}
    new = {(i["source"], i["digest"]) for i in inputs}
    changes = []
    if new - old:
        changes.append(f"{len(new - old)} new or changed files")
    if old - new:
        changes.append(f"{len(old - new)} files are gone or changed")
    if job.suppressed != before.get("suppressed", {"lists": 0})["lists"]:
        changes.append("the suppression list is longer")
    if before.get("rollback"):
        changes.append(f"the newest snapshot is a rollback to {before['rollback']['to']}")
    changes += _recipe_changes(before["recipe"], job.recipe.canonical())
    return changes or ["corpusmill or one of its transforms changed its version"]


def _recipe_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    found = []
    if old["seed"] != new["seed"]:
        found.append(f"seed: {old['seed']} -> {new['seed']}")
    steps = {s["name"]: s for s in old["steps"]}
    for step in new["steps"]:
        was = steps.pop(step["name"], None)
        if was is None:
            found.append(f"step {step['name']} is new")
        elif was != step:
            fields = [
                f"{k}: {was['fields'].get(k)} -> {v}" for k, v in step["fields"].items() if was["fields"].get(k) != v
            ] or [f"{was['transform']} -> {step['transform']}"]
            found.append(f"step {step['name']}: {', '.join(fields)}")
    found += [f"step {name} is gone" for name in steps]
    if [s["name"] for s in old["steps"]] != [s["name"] for s in new["steps"]] and not found:
        found.append("the steps' order changed")
    if old["sources"] != new["sources"]:
        found.append("the sources' fields changed")
    return found
