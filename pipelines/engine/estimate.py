"""What a corpus would cost on many workers, from what its units cost when they ran: nothing is guessed from a table.

Each finished unit's outcome holds its CPU seconds. For each stage, CPU seconds and key bytes per byte of source measured on
what is done scale to all that the recipe reads, or to a size that is named; a process's first unit of a stage, which loads
code and tables, counts where there is no other. Stages that work in one unit (`gather`) do not get faster by workers. A stage
no unit of which ever ran has no figure, and the estimate says so.
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
    """cpu_seconds, key_bytes, documents (that come out of a pass): for the whole corpus; kind: see
    `corpusmill.pipelines.engine.stage.Stage`; serial: works in one unit, whatever the workers."""

    name: str
    kind: str
    cpu_seconds: float
    key_bytes: int
    documents: int
    serial: bool

    def times(self, factor: float) -> StageCost:
        """The cost for so many times as much."""
        keys, documents = round(self.key_bytes * factor), round(self.documents * factor)
        return replace(self, cpu_seconds=self.cpu_seconds * factor, key_bytes=keys, documents=documents)


@dataclass(frozen=True)
class Estimate:
    """measured_bytes: source bytes behind the figures; bytes: of the corpus they are scaled to; mb_per_cpu_second: 10^6
    bytes of source; seconds: of the clock, all workers busy; memory: of one worker, with its formula; cost: CPU hours times
    price, or None without one."""

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
        """JSON-able form."""
        return asdict(self)


def estimate(recipe: Recipe, workers: int, price: float | None = None, size: int | None = None) -> Estimate:
    """The estimate for `workers` single-core workers. price: of a CPU hour, in any currency; size: bytes of source to scale
    to, instead of what the recipe reads.

    Raises:
        DatasetError: this recipe never ran to the end of its last stage, so there is nothing measured.
    """
    job = open_job(recipe)
    measured, stages = _measured(job)
    units = job.splits()
    total = sum(u.size for u in units) if size is None else size
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
    """(bytes of source that were read, the cost of each stage) of a job whose units are all done."""
    stages = []
    for number, stage in enumerate(job.stages):
        ready = job.refresh(number)
        if ready.pending:
            raise DatasetError(
                f"{job.dataset}: {len(ready.pending)} of {len(ready.requests)} units of `{stage.label(job)}` never ran, so "
                "there is nothing to estimate from. Run the recipe on a sample first (a few files are enough)."
            )
        outcomes = job.outcomes(number)
        cpu = _cpu([(o.get("cpu_seconds", 0.0), size, o.get("first", False)) for o, size in zip(outcomes, ready.sizes)])
        # a gather unit, and a decide unit that all keys go to, is one unit by its nature, not for want of data
        keys = sum(o.get("key_bytes", 0) for o in outcomes)
        documents = sum(o["rows"] for o in outcomes) if stage.kind == "pass" else 0
        stages.append(StageCost(stage.label(job), stage.kind, cpu, keys, documents, stage.kind == "gather"))
    size = sum(u.size for u in job.splits())
    if not size:
        raise DatasetError(f"{job.dataset}: the sources are empty, so there is nothing to estimate from.")
    return size, stages


def _cpu(units: list[tuple[float, int, bool]]) -> float:
    """CPU seconds of a stage's units (seconds, bytes, whether it was a process's first), as if none had been the first.

    >>> _cpu([(3.0, 10, True), (1.0, 10, False), (2.0, 20, False)])
    4.0
    >>> _cpu([(3.0, 10, True)])
    3.0
    """
    later = [(cpu, size) for cpu, size, first in units if not first]
    seen = sum(size for _, size in later)
    if not seen:
        return sum(cpu for cpu, _, _ in units)
    return sum(cpu for cpu, _ in later) * sum(size for _, size, _ in units) / seen


def parse_size(text: str) -> int:
    """Bytes of `500GB`, `1.5 TB`, `100MB` (powers of ten).

    >>> parse_size("1.5 TB")
    1500000000000

    Raises:
        ValueError: it is no size.
    """
    units = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "B": 1}
    word = text.strip().upper()
    unit = next((u for u in units if word.endswith(u)), "")
    value = float(word.removesuffix(unit)) * units.get(unit, 1)
    if not 1 <= value < 1e19:
        raise ValueError(f"{text}: a size is more than nothing, as in 500GB")
    return int(value)
