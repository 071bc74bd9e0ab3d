"""A recipe cut into stages, and the tasks of each stage.

    pass 0 -> [keys] -> decide -> [gather] -> pass 1 -> ... -> pass n

A recipe is cut at its Group steps. A **pass** streams each shard through the fused steps between two cuts and emits the first
keys of the next group. A **decide** task sees all rows of some keys; the **gather** task sees all decisions at once; **keys**
tasks stream the staged shards again for a group's later rounds. The tasks of a stage are a pure function of the outcomes of
the stages before, which lie in the store. So any process can work them out, and only a task's name travels.
"""

from __future__ import annotations

import functools
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import corpusmill.training.serving.openers  # noqa: F401  where steps find their models
from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.arrivals import ranked
from corpusmill.pipelines.dataset.outcome import Outcome
from corpusmill.pipelines.dataset.results import Store, request_of
from corpusmill.pipelines.dataset.suppression import Suppression
from corpusmill.pipelines.dataset.task_list import StagedShard, TaskList
from corpusmill.pipelines.engine.fingerprints import (
    keys_content,
    pass_content,
    pass_fingerprint,
    source_fingerprint,
    step_fingerprint,
)
from corpusmill.pipelines.engine.stage import SHARE, GroupStep, Prepared, Stage, is_common
from corpusmill.transforms.arrow import schema_of, wire_of
from corpusmill.transforms.base import Group
from corpusmill.transforms.errors import EngineError, TooManyBadRowsError
from corpusmill.transforms.exchange import FINE, named, read_all_decisions, shard_names
from corpusmill.transforms.sources.splits import Split

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe, Step
    from corpusmill.transforms.shards import Format
    from corpusmill.transforms.sources.spec import SourceSpec

StageTasks = tuple[TaskList, list[str], list[int]]
"""What the tasks of a stage share, and the request and input bytes of each."""
DECIDE_BYTES = 8 << 20
"""Key bytes of one decide task: small enough to spread over cores, large enough to keep files few."""
KEPT_OUTCOMES = 4_000
"""Outcomes of a stage with up to this many tasks are kept in memory: some ten kilobytes each."""
DECISION_BYTES, DECISION_BYTES_AGAIN = 8 << 20, 64 << 20
"""Below this size, requests are named by their own decisions, so that unchanged shards are skipped. The first figure is for a
first run, where every shard has work anyway; the second for a dataset that has grown."""


@dataclass
class Job:
    """A recipe with a listing of its sources and a dataset directory. It is cheap to pickle, because the listing is in
    the store."""

    recipe: Recipe
    dataset: str
    reads: str
    """Digest of the stored list of splits."""
    suppressed: int = 0
    """How many files of the dataset's suppression list apply."""
    stage_form: Format = "stage-lz4"
    """Format of staged shards. It does not change their content."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False, compare=False)
    """Names this job among the jobs of a process. It is not pickled, so that equal jobs are equal bytes."""
    _prepared: dict[int, Prepared] = field(default_factory=dict, repr=False)
    _outcomes: dict[int, list[Outcome]] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "dataset": self.dataset,
            "reads": self.reads,
            "suppressed": self.suppressed,
            "stage_form": self.stage_form,
            "_prepared": {},
            "_outcomes": {},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, token=uuid.uuid4().hex)

    @property
    def store(self) -> Store:
        return Store(self.dataset)

    @property
    def suppression(self) -> Suppression:
        """The suppression list of the dataset."""
        return suppression.load(self.dataset, self.suppressed)

    @functools.cached_property
    def steps(self) -> list[Step]:
        """The recipe's steps, with the paths of their files taken from its folder."""
        return self.recipe.bound_steps()

    @functools.cached_property
    def groups(self) -> list[GroupStep]:
        """The recipe's group steps, in order."""
        return [GroupStep(s.name, s.transform) for s in self.steps if isinstance(s.transform, Group)]

    def fused(self, number: int) -> list[Step]:
        """The steps of pass `number`, without groups."""
        parts: list[list[Step]] = [[]]
        for step in self.steps:
            if isinstance(step.transform, Group):
                parts.append([])
            else:
                parts[-1].append(step)
        return parts[number]

    @functools.cached_property
    def stages(self) -> list[Stage]:
        """All stages in the order in which they run."""
        stages = [Stage("pass", 0)]
        for number, step in enumerate(self.groups):
            for r in range(step.transform.rounds):
                stages += [Stage("keys", number, r)] if r else []
                stages.append(Stage("decide", number, r))
                stages += [Stage("gather", number, r)] if r in step.transform.gathered else []
            stages += [Stage("scatter", number)] if step.transform.moves else []
            stages.append(Stage("pass", number + 1))
        if not self.groups:  # no later pass unifies the schemas
            stages.append(Stage("conform", 0))
        return stages

    def last_pass(self, number: int) -> bool:
        """Whether pass `number` writes the published shards."""
        return number == len(self.groups)

    def source(self, name: str) -> SourceSpec:
        """A source of the recipe by its name."""
        return next(s for s in self.recipe.sources if s.name == name)

    def splits(self) -> list[Split]:
        """Every split, in the order that numbers the shards: by source as in the recipe, then by content."""
        return [Split.from_json(u) for u in self.store.load_task_list(self.reads)["units"]]

    def left_out(self) -> list[dict[str, Any]]:
        """`source`, number of `files` and an `example` of the files of folders that no source format knows."""
        return self.store.load_task_list(self.reads).get("left_out", [])

    @functools.cached_property
    def arrivals(self) -> list[int] | None:
        """Arrival wave of each split, as 0, 1, ...; None if all came at once."""
        return ranked([u.arrival for u in self.splits()])

    def work_digest(self) -> str:
        """Digest of everything that decides the snapshot's bytes: listing, steps, versions, output."""
        names = [s.name for s in self.recipe.sources]
        splits = self.splits()
        keys = sorted((names.index(s.source), s.key) for s in splits)
        came = []
        if self.arrivals:
            came = [sorted((u.source, u.key, w) for u, w in zip(splits, self.arrivals, strict=True))]
        listed = [self.suppression.digest] if self.suppressed else []
        read = [source_fingerprint(s) for s in self.recipe.sources]
        passes = [pass_fingerprint(self, n) for n in range(len(self.groups) + 1)]
        return request_of("work", keys, read, passes, *listed, *came)

    def prepare(self, stage: int) -> Prepared:
        """Compute the tasks of a stage. The stage before must be complete."""
        if stage not in self._prepared:
            self._prepared[stage] = self._prepare(stage)
        return self._prepared[stage]

    def refresh(self, stage: int) -> Prepared:
        """As `prepare`, and check again which tasks are done."""
        ready = self.prepare(stage)
        outcomes = self.store.outcomes([ready.requests[i] for i in ready.pending])
        ready.pending = [i for i, outcome in zip(ready.pending, outcomes, strict=True) if outcome is None]
        return ready

    def begin(self, stage: int) -> Prepared:
        """`refresh` before a stage runs, and announce the stage."""
        ready = self.refresh(stage)
        reused = len(ready.requests) - len(ready.pending)
        label = self.stages[stage].label(self)
        self.store.announce({"stage": stage, "plan": ready.task_list, "reused": reused, "label": label})
        return ready

    def outcomes(self, stage: int) -> list[Outcome]:
        """Outcomes of a complete stage, in the order of its tasks.

        Raises:
            EngineError: a task has not run.
        """
        if stage in self._outcomes:
            return self._outcomes[stage]
        requests = self.prepare(stage).requests
        outcomes = []
        for request, outcome in zip(requests, self.store.outcomes(requests), strict=True):
            if outcome is None:
                raise EngineError(f"{self.dataset}: stage {stage} is not complete: no outcome {request}")
            outcomes.append(outcome)
        if len(outcomes) <= KEPT_OUTCOMES:  # several later stages ask for them
            self._outcomes[stage] = outcomes
        return outcomes

    def _prepare(self, number: int) -> Prepared:
        stage = self.stages[number]
        make = {"pass": self._passes, "keys": self._keys, "decide": self._decide, "gather": self._gather}
        make |= {"conform": self._conform, "scatter": self._scatter}
        shared, requests, sizes = make[stage.kind](number, stage)
        shared["requests"] = requests
        task_list = self.store.save_task_list(shared)
        pending = [i for i, outcome in enumerate(self.store.outcomes(requests)) if outcome is None]
        # biggest first, because a big task at the end would run alone
        share = SHARE[stage.kind] if number else 1
        return Prepared(number, task_list, requests, sizes, sorted(pending, key=lambda i: (-sizes[i], i)), share)

    def _before(self, number: int, kinds: set[str]) -> int:
        """The nearest stage before `number` of one of these kinds."""
        return max(i for i in range(number) if self.stages[i].kind in kinds)

    def _decisions(self, number: int) -> tuple[list[str], str]:
        """(files of the decisions for a stage, digest of what they were computed from)."""
        last = self._before(number, {"decide", "gather"})
        stage = self.stages[last]
        adds = stage.kind == "gather" and stage.round in self.groups[stage.number].transform.adds
        files = [o["files"]["told"]["path"] for s in ([last - 1] if adds else []) + [last] for o in self.outcomes(s)]
        return files, request_of(self.prepare(last).requests)

    def _decisions_by_shard(self, number: int, paths: list[str], shards: list[StagedShard]) -> list[pa.Table] | None:
        """The decisions for each shard, or None if they are large. A request that holds the shard's own decisions shows
        without a worker whether the task is done."""
        last = self._before(number, {"decide", "gather"})
        sizes = [o["key_bytes"] for s in {last - 1, last} if s >= 0 for o in self.outcomes(s)]
        if sum(sizes) > (DECISION_BYTES_AGAIN if self.arrivals else DECISION_BYTES):
            return None
        names = shard_names([s["content"] for s in shards])
        if self._is_common(number):
            tables = read_all_decisions([self.store.path(p) for p in paths], 1)
            return [named(tables[0], names)] * len(shards)
        return [named(table, names) for table in read_all_decisions([self.store.path(p) for p in paths], len(shards))]

    def _is_common(self, number: int) -> bool:
        """Whether all shards of a stage get the same decisions."""
        last = self.stages[self._before(number, {"decide", "gather"})]
        return is_common(self.groups[last.number], last.round)

    def _passes(self, number: int, stage: Stage) -> StageTasks:
        fingerprint = pass_fingerprint(self, stage.number)
        if stage.number == 0:
            splits = self.splits()
            specs = {s.name: source_fingerprint(s) for s in self.recipe.sources}
            # with a suppression list, a task first checks which of its rows are on it
            listed = [self.suppression.digest] if self.suppressed else []
            requests = [request_of("pass", fingerprint, specs[s.source], s.key, *listed) for s in splits]
            return (
                {"units": [s.to_json() for s in splits]},
                requests,
                [sum(p.end - p.begin for p in s.parts) for s in splits],
            )
        if self.stages[number - 1].kind == "scatter":
            return self._gathered_passes(number, fingerprint)
        before, schema = self._staged(number)
        decisions, basis = self._decisions(number)
        shards = _shards(before)
        wire = wire_of(schema)
        each = self._decisions_by_shard(number, decisions, shards)
        if each is None:
            requests = [request_of("pass", fingerprint, s["content"], i, basis, wire) for i, s in enumerate(shards)]
        else:
            requests = [pass_content(fingerprint, s["content"], t, wire) for s, t in zip(shards, each, strict=True)]
        shared: TaskList = {"shards": shards, "told": decisions, "schema": wire}
        if self._is_common(number):
            shared["common"] = True
        return shared, requests, [o["bytes"] for o in before]

    def _staged(self, number: int) -> tuple[list[Outcome], pa.Schema]:
        """Outcomes of the pass before a stage, and the schema that all its shards shall have."""
        last = self._before(number, {"pass"})
        before = self.outcomes(last)
        if last == 0:
            check_bad_rows(self, before)
        return before, unified_schema(before)

    def _scatter(self, number: int, stage: Stage) -> StageTasks:
        before, schema = self._staged(number)
        decisions, basis = self._decisions(number)
        # the task that gets the keys decides the number of shards; a task without keys does not, nor does an empty
        # corpus
        counts = {n for o in self.outcomes(number - 1) if (n := o["shards"]) is not None} or {1}
        if len(counts) != 1:
            raise EngineError(f"{self.groups[stage.number].name} decided on {len(counts)} numbers of shards")
        shards = _shards(before)
        wire = wire_of(schema)
        group = [self.recipe.seed, step_fingerprint(self.groups[stage.number])]
        requests = [request_of("scatter", group, s["content"], i, basis, wire) for i, s in enumerate(shards)]
        shared: TaskList = {"shards": shards, "told": decisions, "schema": wire, "to": counts.pop()}
        if self._is_common(number):
            shared["common"] = True
        return shared, requests, [o["bytes"] for o in before]

    def _gathered_passes(self, number: int, fingerprint: list[Any]) -> StageTasks:
        """Tasks of a pass behind a group that moves rows: one for each shard that rows went to."""
        before = self.outcomes(number - 1)
        basis = request_of([o["content"] for o in before])
        to = before[0]["to"] if before else 1
        requests = [request_of("pass", fingerprint, j, basis) for j in range(to)]
        return (
            {"moved": [o["files"]["moved"]["path"] for o in before]},
            requests,
            [sum(o["bytes"] for o in before) // to] * to,
        )

    def _keys(self, number: int, stage: Stage) -> StageTasks:
        before = self.outcomes(self._before(number, {"pass"}))
        decisions, basis = self._decisions(number)
        shards = _shards(before)
        group = step_fingerprint(self.groups[stage.number])
        each = self._decisions_by_shard(number, decisions, shards)
        if each is None:
            requests = [request_of("keys", group, stage.round, s["content"], i, basis) for i, s in enumerate(shards)]
        else:
            requests = [keys_content(group, stage.round, s["content"], t) for s, t in zip(shards, each, strict=True)]
        # only rows of a staged shard that have decisions cost work
        shared: TaskList = {"shards": shards, "told": decisions}
        if self._is_common(number):
            shared["common"] = True
        return shared, requests, [o["bytes"] for o in before]

    def _decide(self, number: int, stage: Stage) -> StageTasks:
        before = self.outcomes(number - 1)
        total = sum(o["key_bytes"] for o in before)
        tasks = max(1, min(FINE, -(-total // DECIDE_BYTES)))
        ranges = [(FINE * i // tasks, FINE * (i + 1) // tasks) for i in range(tasks)]
        basis = request_of([o["content"] for o in before])
        group = step_fingerprint(self.groups[stage.number])
        # after rows have moved, a shard mixes arrival waves
        moved = any(g.transform.moves for g in self.groups[: stage.number])
        arrivals = None if moved else self.arrivals
        history = [arrivals] if arrivals else []
        requests = [request_of("decide", group, stage.round, basis, *r, *history) for r in ranges]
        keys = [o["files"]["keys"]["path"] for o in before]
        shared: TaskList = {"keys": keys, "ranges": ranges, "arrivals": arrivals}
        return shared, requests, [total // tasks] * tasks

    def _gather(self, number: int, stage: Stage) -> StageTasks:
        decisions, basis = self._decisions(number)
        rows = [o["rows"] for o in self.outcomes(self._before(number, {"pass"}))]
        group = step_fingerprint(self.groups[stage.number])
        return {"told": decisions, "rows": rows}, [request_of("gather", group, stage.round, basis)], [0]

    def _conform(self, number: int, stage: Stage) -> StageTasks:
        before = self.outcomes(number - 1)
        check_bad_rows(self, before)
        wire = wire_of(unified_schema(before)) if before else ""
        differ = [o for o in before if o["schema"] != wire]
        shards = _shards(differ)
        requests = [request_of("conform", s["content"], wire) for s in shards]
        return {"shards": shards, "schema": wire}, requests, [o["bytes"] for o in differ]

    def published(self) -> list[Outcome]:
        """Outcomes whose shards make the snapshot, in shard order."""
        last = max(i for i, s in enumerate(self.stages) if s.kind == "pass")
        outcomes = self.outcomes(last)
        if self.stages[-1].kind == "conform":
            again = {o["of"]: o for o in self.outcomes(len(self.stages) - 1)}
            outcomes = [
                o
                if o["content"] not in again
                else {**o, **again[o["content"]], "files": {**o["files"], **again[o["content"]]["files"]}}
                for o in outcomes
            ]
        return outcomes


def _shards(outcomes: list[Outcome]) -> list[StagedShard]:
    """What the tasks of the next stage need to know about staged shards."""
    return [{"content": o["content"], "rows": o["rows"], "shard": o["files"]["shard"]["path"]} for o in outcomes]


def unified_schema(outcomes: list[Outcome]) -> pa.Schema:
    """One schema for all shards of a pass. Null yields to any type, int to double; other conflicts become string."""
    from corpusmill.transforms.sources.schema import unify

    wires = sorted({o["schema"] for o in outcomes})
    if len(wires) == 1:  # unchanged: packed rows are lists of a fixed size, and `unify` knows no common type for them
        return schema_of(wires[0])
    return unify([schema_of(w) for w in wires])


def check_bad_rows(job: Job, outcomes: list[Outcome]) -> None:
    """Raises TooManyBadRowsError if a source has more bad rows, or more bytes in files that are quarantined whole, than its
    `max_bad_fraction`."""
    for spec in job.recipe.sources:
        mine = [o["read"] for o in outcomes if o["read"]["source"] == spec.name]
        bad, rows = sum(r["bad"] for r in mine), sum(r["rows"] for r in mine)
        if bad > spec.max_bad_fraction * rows:
            example = next((r["example"] for r in mine if r["bad"]), "")
            advice = "Mend the input, map other columns, or raise `max_bad_fraction` of this source."
            if bad == rows and f"column '{spec.column('text')}' is null" in example:
                advice = "Say which column holds the text, as in `columns: {text: body}`."
            raise TooManyBadRowsError(
                f"source {spec.name}: {bad} of {rows} rows cannot be used, more than max_bad_fraction "
                f"{spec.max_bad_fraction:g}. First: {example}. Nothing was committed. {advice}"
            )
        lost, size = sum(r.get("lost_bytes", 0) for r in mine), sum(r.get("file_bytes", 0) for r in mine)
        if lost > spec.max_bad_fraction * size:
            example = next((r["example"] for r in mine if r.get("lost_bytes")), "")
            raise TooManyBadRowsError(
                f"source {spec.name}: {lost:,} of {size:,} bytes lie in files that cannot be read, more than max_bad_fraction "
                f"{spec.max_bad_fraction:g}. One of them: {example}. Nothing was committed. Replace the files, or raise "
                "`max_bad_fraction` of this source."
            )
