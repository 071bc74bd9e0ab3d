"""Estimates what a corpus would cost on many workers, from the measured cost of its tasks.

Each finished task's outcome holds its CPU seconds. The estimate scales the CPU seconds and key bytes of each stage by
the bytes of source: to all sources of the recipe, or to a given size. The first task of a stage in a process also loads
code and tables; it counts only if there is no other. More workers do not speed up a stage of one task (`gather`). A
stage of which no task ever ran is an error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.memory import task_memory
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import Recipe
from corpusmill.transforms.errors import DatasetError


@dataclass(frozen=True)
class StageCost:
    """cpu_seconds, key_bytes, documents (results of a pass): for the whole corpus. kind: see
    `corpusmill.pipelines.engine.stage.Stage`. serial: the stage is one task, whatever the number of workers."""

    name: str
    kind: str
    cpu_seconds: float
    key_bytes: int
    documents: int
    serial: bool

    def times(self, factor: float) -> StageCost:
        """The cost for `factor` times the data."""
        keys, documents = round(self.key_bytes * factor), round(self.documents * factor)
        return replace(self, cpu_seconds=self.cpu_seconds * factor, key_bytes=keys, documents=documents)


@dataclass(frozen=True)
class Estimate:
    """measured_bytes: source bytes that were measured. bytes: size of the corpus that the figures are scaled to.
    mb_per_cpu_second: 10^6 bytes of source. seconds: wall-clock time with all workers busy. memory: of one worker, with
    its formula. cost: CPU hours times price, or None without a price."""

    stages: list[StageCost]
    measured_bytes: int
    bytes: int
    cpu_hours: float
    mb_per_cpu_second: float
    shuffle_bytes: int
    seconds: float
    workers: int
    memory: int
    formula: str
    cost: float | None

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types."""
        return asdict(self)


def estimate(recipe: Recipe, workers: int, price: float | None = None, size: int | None = None) -> Estimate:
    """Estimate for `workers` single-core workers. price: of a CPU hour, in any currency. size: bytes of source to scale
    to; default: the size of the recipe's sources.

    Raises:
        DatasetError: this recipe never ran to its end, so there are no measurements.
    """
    job = open_job(recipe)
    measured, stages = _measured(job)
    splits = job.splits()
    total = sum(s.size for s in splits) if size is None else size
    factor = total / measured
    scaled = [s.times(factor) for s in stages]
    cpu = sum(s.cpu_seconds for s in scaled)
    seconds = sum(s.cpu_seconds if s.serial else s.cpu_seconds / workers for s in scaled)
    decided = [a.key_bytes for a, b in zip(scaled, scaled[1:], strict=False) if b.kind == "decide"]
    gathered = [a.documents for a in scaled[: max((i for i, s in enumerate(scaled) if s.serial), default=0)]]
    memory, formula = task_memory(job, max(decided, default=0), max(gathered, default=0))
    return Estimate(
        scaled,
        measured,
        total,
        cpu / 3600,
        total / 1e6 / cpu if cpu else 0.0,
        sum(s.key_bytes for s in scaled),
        seconds,
        workers,
        memory,
        formula,
        None if price is None else price * cpu / 3600,
    )


def _measured(job: Job) -> tuple[int, list[StageCost]]:
    """(bytes of source that were read, the cost of each stage) of a job whose tasks are all done."""
    stages = []
    for number, stage in enumerate(job.stages):
        ready = job.refresh(number)
        if ready.pending:
            raise DatasetError(
                f"{job.dataset}: {len(ready.pending)} of {len(ready.requests)} tasks of `{stage.label(job)}` never ran, so "
                "there is nothing to estimate from. Run the recipe on a sample first (a few files are enough)."
            )
        outcomes = job.outcomes(number)
        cpu = _cpu([(o.get("cpu_seconds", 0.0), size, o.get("first", False)) for o, size in zip(outcomes, ready.sizes)])
        # a gather task, and a decide task that gets all keys, stays one task for any size of data
        keys = sum(o.get("key_bytes", 0) for o in outcomes)
        documents = sum(o["rows"] for o in outcomes) if stage.kind == "pass" else 0
        stages.append(StageCost(stage.label(job), stage.kind, cpu, keys, documents, stage.kind == "gather"))
    size = sum(u.size for u in job.splits())
    if not size:
        raise DatasetError(f"{job.dataset}: the sources are empty, so there is nothing to estimate from.")
    return size, stages


def _cpu(tasks: list[tuple[float, int, bool]]) -> float:
    """CPU seconds of a stage's tasks without start-up. tasks: (seconds, bytes, whether it was the first in its
    process).

    >>> _cpu([(3.0, 10, True), (1.0, 10, False), (2.0, 20, False)])
    4.0
    >>> _cpu([(3.0, 10, True)])
    3.0
    """
    later = [(cpu, size) for cpu, size, first in tasks if not first]
    seen = sum(size for _, size in later)
    if not seen:
        return sum(cpu for cpu, _, _ in tasks)
    return sum(cpu for cpu, _ in later) * sum(size for _, size, _ in tasks) / seen


def parse_size(text: str) -> int:
    """Bytes of `500GB`, `1.5 TB`, `100MB` (powers of ten).

    >>> parse_size("1.5 TB")
    1500000000000

    Raises:
        ValueError: the text is not a size.
    """
    units = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "B": 1}
    word = text.strip().upper()
    unit = next((u for u in units if word.endswith(u)), "")
    value = float(word.removesuffix(unit)) * units.get(unit, 1)
    if not 1 <= value < 1e19:
        raise ValueError(f"{text}: must be a size above zero, as in 500GB")
    return int(value)
