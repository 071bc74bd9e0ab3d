"""The stages of a job, and a stage that is ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from corpusmill.transforms.base import Group

if TYPE_CHECKING:
    from corpusmill.pipelines.engine.job import Job

Kind = Literal["pass", "keys", "decide", "gather", "scatter", "conform"]

STAGED = 4
SHARE = {"pass": STAGED, "scatter": STAGED, "conform": STAGED, "keys": 16, "decide": 8, "gather": 8}
"""Approximate cost per byte relative to pass 0, which reads compressed sources: a stage of this kind costs 1/share of
it."""


class GroupStep(NamedTuple):
    """A Group step with its name."""

    name: str
    transform: Group


def is_common(step: GroupStep, rnd: int | None = None) -> bool:
    """Whether all shards get one list of decisions of a round, the last one without a number."""
    group = step.transform
    return (group.rounds - 1 if rnd is None else rnd) in group.common


@dataclass(frozen=True)
class Stage:
    """One stage: its kind, the number of its pass or of its group, and the round within the group."""

    kind: Kind
    number: int
    round: int = 0

    def label(self, job: Job) -> str:
        """Label for messages: `pass 1 of 2: clean, gopher-quality`, `minhash: decide`."""
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
    """A stage ready to run. task_list: digest of the stored task list. requests, sizes (input bytes): one per task.
    pending: indexes of the tasks that are not done. share: from `SHARE`."""

    stage: int
    task_list: str
    requests: list[str]
    sizes: list[int]
    pending: list[int]
    share: int = 1

    @property
    def todo(self) -> int:
        """The remaining work, in bytes of sources of equal cost."""
        return sum(self.sizes[i] for i in self.pending) // self.share
