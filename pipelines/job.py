"""A recipe cut into stages, and the units of each stage.

    pass 0 -> [keys] -> decide -> [gather] -> pass 1 -> ... -> pass n

A recipe is cut at its Group steps. A **pass** streams each shard through the fused steps between two cuts and, on the
way, emits the first keys of the next group. A **decide** unit sees all rows of some keys; a **gather** unit all decisions
at once; **keys** units stream the staged shards again for a group's later rounds. Each stage's units are a pure function of
the outcomes of the stages before, which lie in the store: any process can work them out, nothing travels but a unit's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa

import training.openers  # noqa: F401  where steps find their models
from pipelines import suppress
from pipelines.store import Store, request_of
from transforms.base import Expand, Group
from transforms.errors import EngineError, TooManyBadRowsError
from transforms.exchange import FINE
from transforms.sources.units import ReadUnit

if TYPE_CHECKING:
    from pipelines.recipe import Recipe, Step
    from transforms.sources.spec import SourceSpec

Kind = Literal["pass", "keys", "decide", "gather", "scatter", "conform"]

DECIDE_BYTES = 8 << 20
"""Key bytes a decide unit takes on; small enough to spread over cores, large enough to keep files few."""


class GroupStep(NamedTuple):
    """A step whose transform is a group."""

    name: str
    transform: Group


@dataclass(frozen=True)
class Stage:
    """One stage: its kind, the number of its pass or of its group, and the round within the group."""

    kind: Kind
    number: int
    round: int = 0

    def label(self, job: Job) -> str:
        """Words for people: `pass 1 of 2: clean, gopher-quality`, `minhash: decide`."""
        if self.kind == "pass":
            names = ", ".join(s.name for s in job.fused(self.number)) or ("read" if self.number == 0 else "write")
            if self.number:
                names = f"apply {job.groups[self.number - 1].name}, {names}"
            return f"pass {self.number + 1} of {len(job.groups) + 1}: {names}"
        if self.kind == "conform":
            return "one schema for all shards"
        group = job.groups[self.number]
        turn = f" {self.round + 1} of {group.transform.rounds}" if group.transform.rounds > 1 else ""
        return f"{group.name}: {self.kind}{turn}"


@dataclass
class Prepared:
    """A stage ready to run: what its units share (stored, named by its digest), their requests, and which are not done."""

    stage: int
    plan: str
    requests: list[str]
    sizes: list[int]
    pending: list[int]


@dataclass
class Job:
    """A recipe over a listing of its sources, in a dataset directory. Cheap to pickle: the listing lies in the store."""

    recipe: Recipe
    dataset: str
    reads: str
    """Digest of the stored list of read units."""
    suppressed: int = 0
    """How many files of the dataset's suppression list are obeyed."""
    _prepared: dict[int, Prepared] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "dataset": self.dataset,
            "reads": self.reads,
            "suppressed": self.suppressed,
            "_prepared": {},
        }

    @property
    def store(self) -> Store:
        return Store(self.dataset)

    @property
    def suppression(self) -> suppress.Suppression:
        """Which documents must not be in the dataset."""
        return suppress.load(self.dataset, self.suppressed)

    @property
    def groups(self) -> list[GroupStep]:
        """The recipe's group steps, in order."""
        return [GroupStep(s.name, s.transform) for s in self.recipe.bound_steps() if isinstance(s.transform, Group)]

    def fused(self, number: int) -> list[Step]:
        """The steps of pass `number`, without groups."""
        parts: list[list[Step]] = [[]]
        for step in self.recipe.bound_steps():
            if isinstance(step.transform, Group):
                parts.append([])
            else:
                parts[-1].append(step)
        return parts[number]

    @property
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
        if not self.groups:  # a later pass would see all schemas; without one, shards that differ are written again
            stages.append(Stage("conform", 0))
        return stages

    def last_pass(self, number: int) -> bool:
        """Whether pass `number` writes the published shards."""
        return number == len(self.groups)

    def source(self, name: str) -> SourceSpec:
        """A source of the recipe by its name."""
        return next(s for s in self.recipe.sources if s.name == name)

    def read_units(self) -> list[ReadUnit]:
        """Every read unit, in the order that numbers the shards: by source as in the recipe, then by content."""
        return [ReadUnit.from_json(u) for u in self.store.load_plan(self.reads)["units"]]

    def work_digest(self) -> str:
        """Digest of everything that decides the snapshot's bytes: listing, steps, versions, output."""
        names = [s.name for s in self.recipe.sources]
        units = sorted((names.index(u.source), u.key) for u in self.read_units())
        listed = [self.suppression.digest] if self.suppressed else []
        read = [source_fingerprint(s) for s in self.recipe.sources]
        passes = [pass_fingerprint(self, n) for n in range(len(self.groups) + 1)]
        return request_of("work", units, read, passes, *listed)

    def prepare(self, stage: int) -> Prepared:
        """Work out the units of a stage; the stage before must be complete."""
        if stage not in self._prepared:
            self._prepared[stage] = self._prepare(stage)
        return self._prepared[stage]

    def refresh(self, stage: int) -> Prepared:
        """`prepare`, looking again at which units are done."""
        ready = self.prepare(stage)
        store = self.store
        ready.pending = [i for i in ready.pending if store.outcome(ready.requests[i]) is None]
        return ready

    def outcomes(self, stage: int) -> list[dict[str, Any]]:
        """Outcomes of a complete stage, in the order of its units.

        Raises:
            EngineError: a unit has not run.
        """
        found = []
        for request in self.prepare(stage).requests:
            outcome = self.store.outcome(request)
            if outcome is None:
                raise EngineError(f"{self.dataset}: stage {stage} is not complete: no outcome {request}")
            found.append(outcome)
        return found

    def _prepare(self, number: int) -> Prepared:
        stage = self.stages[number]
        make = {"pass": self._passes, "keys": self._keys, "decide": self._decide, "gather": self._gather}
        make |= {"conform": self._conform, "scatter": self._scatter}
        shared, requests, sizes = make[stage.kind](number, stage)
        shared["requests"] = requests
        plan = self.store.save_plan(shared)
        pending = [i for i, request in enumerate(requests) if self.store.outcome(request) is None]
        # biggest first: workers are dealt their units beforehand, and a big one at the end would run alone
        return Prepared(number, plan, requests, sizes, sorted(pending, key=lambda i: (-sizes[i], i)))

    def _before(self, number: int, kinds: set[str]) -> int:
        """The nearest stage before `number` of one of these kinds."""
        return max(i for i in range(number) if self.stages[i].kind in kinds)

    def _told(self, number: int) -> tuple[list[str], str]:
        """(files that hold what the shards are told, digest of what they were computed from) before a stage."""
        last = self._before(number, {"decide", "gather"})
        files = [o["files"]["told"]["path"] for o in self.outcomes(last)]
        return files, request_of(self.prepare(last).requests)

    def _passes(self, number: int, stage: Stage) -> tuple[dict[str, Any], list[str], list[int]]:
        fingerprint = pass_fingerprint(self, stage.number)
        if stage.number == 0:
            units = self.read_units()
            specs = {s.name: source_fingerprint(s) for s in self.recipe.sources}
            # with a suppression list, a unit first looks which of its rows the list concerns
            listed = [self.suppression.digest] if self.suppressed else []
            requests = [request_of("pass", fingerprint, specs[u.source], u.key, *listed) for u in units]
            return (
                {"units": [u.to_json() for u in units]},
                requests,
                [sum(p.end - p.begin for p in u.parts) for u in units],
            )
        if self.stages[number - 1].kind == "scatter":
            return self._gathered_passes(number, fingerprint)
        before, schema = self._staged(number)
        told, basis = self._told(number)
        shards = [{"content": o["content"], "rows": o["rows"], "shard": o["files"]["shard"]["path"]} for o in before]
        wire = schema.serialize().to_pybytes().hex()
        requests = [request_of("pass", fingerprint, s["content"], i, basis, wire) for i, s in enumerate(shards)]
        return {"shards": shards, "told": told, "schema": wire}, requests, [o["bytes"] for o in before]

    def _staged(self, number: int) -> tuple[list[dict[str, Any]], pa.Schema]:
        """Outcomes of the pass before a stage, and the schema that all its shards shall have."""
        last = self._before(number, {"pass"})
        before = self.outcomes(last)
        if last == 0:
            check_bad_rows(self, before)
        return before, unified_schema(before)

    def _scatter(self, number: int, stage: Stage) -> tuple[dict[str, Any], list[str], list[int]]:
        before, schema = self._staged(number)
        told, basis = self._told(number)
        # the unit that got the keys decides; one that got none has nothing to say, nor has an empty corpus
        counts = {o["shards"] for o in self.outcomes(number - 1)} - {None} or {1}
        if len(counts) != 1:
            raise EngineError(f"{self.groups[stage.number].name} decided on {len(counts)} numbers of shards")
        shards = [{"content": o["content"], "rows": o["rows"], "shard": o["files"]["shard"]["path"]} for o in before]
        wire = schema.serialize().to_pybytes().hex()
        group = [self.recipe.seed, _step_fingerprint(self.groups[stage.number])]
        requests = [request_of("scatter", group, s["content"], i, basis, wire) for i, s in enumerate(shards)]
        shared = {"shards": shards, "told": told, "schema": wire, "to": counts.pop()}
        return shared, requests, [o["bytes"] for o in before]

    def _gathered_passes(self, number: int, fingerprint: list[Any]) -> tuple[dict[str, Any], list[str], list[int]]:
        """Units of a pass behind a group that moves rows: one for each shard that rows went to."""
        before = self.outcomes(number - 1)
        basis = request_of([o["content"] for o in before])
        to = before[0]["to"] if before else 1
        requests = [request_of("pass", fingerprint, j, basis) for j in range(to)]
        return (
            {"moved": [o["files"]["moved"]["path"] for o in before]},
            requests,
            [sum(o["bytes"] for o in before) // to] * to,
        )

    def _keys(self, number: int, stage: Stage) -> tuple[dict[str, Any], list[str], list[int]]:
        before = self.outcomes(self._before(number, {"pass"}))
        told, basis = self._told(number)
        shards = [{"content": o["content"], "rows": o["rows"], "shard": o["files"]["shard"]["path"]} for o in before]
        group = _step_fingerprint(self.groups[stage.number])
        requests = [request_of("keys", group, stage.round, s["content"], i, basis) for i, s in enumerate(shards)]
        return {"shards": shards, "told": told}, requests, [o["bytes"] for o in before]

    def _decide(self, number: int, stage: Stage) -> tuple[dict[str, Any], list[str], list[int]]:
        before = self.outcomes(number - 1)
        total = sum(o["key_bytes"] for o in before)
        units = max(1, min(FINE, -(-total // DECIDE_BYTES)))
        ranges = [[FINE * i // units, FINE * (i + 1) // units] for i in range(units)]
        basis = request_of([o["content"] for o in before])
        group = _step_fingerprint(self.groups[stage.number])
        requests = [request_of("decide", group, stage.round, basis, *r) for r in ranges]
        shared = {"keys": [o["files"]["keys"]["path"] for o in before], "ranges": ranges}
        return shared, requests, [total // units] * units

    def _gather(self, number: int, stage: Stage) -> tuple[dict[str, Any], list[str], list[int]]:
        told, basis = self._told(number)
        rows = [o["rows"] for o in self.outcomes(self._before(number, {"pass"}))]
        group = _step_fingerprint(self.groups[stage.number])
        return {"told": told, "rows": rows}, [request_of("gather", group, stage.round, basis)], [0]

    def _conform(self, number: int, stage: Stage) -> tuple[dict[str, Any], list[str], list[int]]:
        before = self.outcomes(number - 1)
        check_bad_rows(self, before)
        wire = unified_schema(before).serialize().to_pybytes().hex() if before else ""
        differ = [o for o in before if o["schema"] != wire]
        shards = [{"content": o["content"], "rows": o["rows"], "shard": o["files"]["shard"]["path"]} for o in differ]
        requests = [request_of("conform", s["content"], wire) for s in shards]
        return {"shards": shards, "schema": wire}, requests, [o["bytes"] for o in differ]

    def published(self) -> list[dict[str, Any]]:
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


def _step_fingerprint(step: Step | GroupStep) -> list[Any]:
    return [step.name, step.transform.fingerprint()]


def source_fingerprint(spec: SourceSpec) -> str:
    """Digest of the fields of a source that decide what is read from a given file."""
    return request_of(spec.model_dump(mode="json", exclude={"path", "private", "max_bad_fraction"}))


def pass_fingerprint(job: Job, number: int) -> list[Any]:
    """What decides the bytes of a pass, but its input: seed, steps, and what it emits or how it is written."""
    groups = job.groups
    # ids that steps make are looked for where they are made; all others, where documents are read
    derives = job.suppressed and any(isinstance(s.transform, Expand) for s in job.fused(number))
    listed = [job.suppression.digest] if derives and job.suppression.count("derived") else []
    return [
        *listed,
        job.recipe.seed,
        [_step_fingerprint(groups[number - 1])] if number else [],
        [_step_fingerprint(s) for s in job.fused(number)],
        job.recipe.output.model_dump(mode="json", exclude={"path", "shard_bytes"})
        if job.last_pass(number)
        else _step_fingerprint(groups[number]),
    ]


def unified_schema(outcomes: list[dict[str, Any]]) -> pa.Schema:
    """One schema for all shards of a pass: null gives way to any type, int to double, a conflict becomes string."""
    from transforms.sources.schema import unify

    wires = sorted({o["schema"] for o in outcomes})
    if len(wires) == 1:  # as it is: packed rows are lists of a fixed size, which have no common type but their own
        return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(wires[0])))
    return unify([pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(w))) for w in wires])


def check_bad_rows(job: Job, outcomes: list[dict[str, Any]]) -> None:
    """Raises TooManyBadRowsError if a source has more bad rows than its `max_bad_fraction`."""
    for spec in job.recipe.sources:
        mine = [o["read"] for o in outcomes if o["read"]["source"] == spec.name]
        bad, rows = sum(r["bad"] for r in mine), sum(r["rows"] for r in mine)
        if bad > spec.max_bad_fraction * rows:
            example = next((r["example"] for r in mine if r["bad"]), "")
            raise TooManyBadRowsError(
                f"source {spec.name}: {bad} of {rows} rows cannot be used, more than max_bad_fraction "
                f"{spec.max_bad_fraction:g}. First: {example}. Nothing was committed. Mend the input, map other columns, "
                f"or raise `max_bad_fraction` of this source."
            )
