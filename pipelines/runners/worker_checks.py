"""Checks that workers see a job's files, run the same code, and have memory for a task.

Workers of a Dask cluster are checked before anything runs (`facts_here`). Every worker process also checks itself
before its first task (`Expected.verify`). An unfit worker stops the run with one sentence and contributes nothing. The
submitting process leaves a mark file in the dataset during the run; it shows that a worker sees the same disk, not only
the same path.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import uuid
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.memory import BASE_MEMORY, MB, task_memory
from corpusmill.transforms import storage
from corpusmill.transforms.errors import EngineError, RecipeError, SourceError

PACKAGES = ("apache-beam", "numpy", "pyarrow")
"""Packages that write or hash what workers exchange. Their versions must agree."""


@dataclass(frozen=True)
class Facts:
    """Facts about a process: Python's version, versions of packages, digest of our own code, bytes of memory that it
    may use."""

    python: str
    versions: dict[str, str]
    code: str
    memory: int


@functools.cache
def code_digest() -> str:
    """Digest of the source files of `pipelines` and `transforms` on this machine's disk."""
    import corpusmill.transforms as ours

    digest = hashlib.sha256()
    for root in sorted([Path(__file__).parents[1], *map(Path, ours.__path__)]):
        for file in sorted(root.rglob("*.py")):
            digest.update(f"{root.name}/{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def facts_here() -> Facts:
    """The facts of this process."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "none"
    return Facts(".".join(platform.python_version_tuple()[:2]), versions, code_digest(), memory_limit())


def memory_limit() -> int:
    """Bytes that this process may use: memory of the machine or limit of the control group, whichever is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(name).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return min(limits)


def differences(mine: Facts, theirs: Facts) -> list[str]:
    """Differences from another process that decide results, in words."""
    found = []
    if theirs.python != mine.python:
        found.append(f"Python {theirs.python}, here {mine.python}")
    for package, there in theirs.versions.items():
        if there != mine.versions[package]:
            found.append(f"{package} {there}, here {mine.versions[package]}")
    if theirs.code != mine.code:
        found.append(f"another version of corpusmill (code {theirs.code}, here {mine.code})")
    return found


@dataclass(frozen=True)
class Expected:
    """What a worker must have: the submitting process's facts, memory for a task, and a mark in the dataset."""

    facts: Facts
    memory: int
    mark: str

    def verify(self, job: Job) -> None:
        """Check this process once.

        Raises:
            EngineError: the code differs, or memory is too small.
            SourceError: this process cannot see a file of the job.
        """
        key = (job.dataset, job.reads)
        if _checked.get(key) == self:
            return
        here = facts_here()
        wrong = differences(self.facts, here)
        if wrong:
            raise EngineError(
                f"worker {platform.node()} runs {'; '.join(wrong)}. Nothing ran there. Install the same versions on the "
                "workers (the image of docker/ does)."
            )
        if here.memory < self.memory:
            raise EngineError(
                f"worker {platform.node()} has {here.memory / MB:.0f} MB of memory, a task takes {self.memory / MB:.0f}. "
                "Nothing ran there. Give workers more memory, or set a lower output.shard_bytes."
            )
        job.store.forget_known()
        unseen = unseen_from_here(job, self.mark)
        if unseen:
            raise SourceError(f"worker {platform.node()} {unseen}")
        _checked[key] = self


_checked: dict[tuple[str, str], Expected] = {}


def expected(job: Job) -> Expected:
    """What workers of this job must have. Leaves a mark file, which `forget` removes."""
    mark = uuid.uuid4().hex
    path = _mark(job, mark)
    storage.makedirs(os.path.dirname(path))
    storage.write_atomic(path, b"", fsync=False)
    return Expected(facts_here(), task_memory(job)[0], mark)


def forget(job: Job, wanted: Expected) -> None:
    """Remove the mark file after the run."""
    storage.remove(_mark(job, wanted.mark))


def _mark(job: Job, mark: str) -> str:
    return job.store.path(os.path.join(".corpusmill", "marks", mark))


def unseen_from_here(job: Job, mark: str) -> str:
    """Files of the job that this process cannot see or write, in words; empty if it sees all that were checked: the
    dataset, one file of each source's folders (at most 64), and each step's files."""
    advice = "Workers need the same disk under the same path (NFS, Lustre, a shared volume)."
    remote = "Workers need the store's credentials and address, as this process has them."
    store, disk = job.store, storage.is_local(job.dataset)
    folder = os.path.abspath(job.dataset) if disk else job.dataset
    try:
        if disk and not os.path.isdir(folder):
            return f"cannot see {folder}. {advice}"
        if not storage.has_file(_mark(job, mark)):
            return f"sees another {'disk' if disk else 'store'} at {folder}. {advice if disk else remote}"
        splits = job.splits()
        _try_write(store.path(".corpusmill"))
    except OSError as error:
        todo = "Mount it writable on the workers." if disk else remote
        return f"cannot write to {folder}: {error.strerror}. {todo}"
    looked: Counter[str] = Counter()
    for split in splits:
        for part in split.parts:
            folder = os.path.dirname(part.path)
            if part.path.startswith("hf://") or looked[folder] or len(looked) >= 64:
                continue
            looked[folder] += 1
            try:
                size = storage.stat(part.path).size
            except OSError:
                todo = advice if storage.is_local(part.path) else remote
                return f"cannot see {part.path} of source {split.source}. {todo}"
            if size != part.size:
                return f"sees another file at {part.path} ({size} bytes, not {part.size}). {advice}"
    for step in job.recipe.bound_steps():
        for path in step.transform.files():
            if not os.path.exists(path):
                return f"cannot see {path}, which the step {step.name} reads. {advice}"
    return ""


def _try_write(folder: str) -> None:
    path = os.path.join(folder, f".tmp-reach-{uuid.uuid4().hex[:12]}")
    storage.create_exclusive(path, b"")
    storage.remove(path)


def local_paths(job: Job) -> list[str]:
    """Everything in the recipe that only this machine's disks hold, in words."""
    found = []
    for source in job.recipe.sources:
        if not source.paths:
            found.append(f"source {source.name} reads the documentation of the machine that it runs on")
        found += [f"source {source.name}: {p}" for p in source.paths if storage.is_local(p)]
    for step in job.recipe.steps:
        found += [f"step {step.name}: {p}" for p in step.transform.files() if storage.is_local(p)]
    if storage.is_local(job.dataset):
        found.append(f"output: {job.recipe.output.path}")
    return found


def check_memory(job: Job, available: int, where: str, threads: int = 1) -> None:
    """Raise RecipeError if a worker has too little memory for one task per thread."""
    total, formula = task_memory(job)
    needed = BASE_MEMORY + threads * (total - BASE_MEMORY)
    if available < needed:
        raise RecipeError(
            f"{where} has {available / MB:.0f} MB of memory, but the recipe takes {needed / MB:.0f} MB: {formula}, "
            f"for {threads} thread{'s' if threads > 1 else ''}. Give it more memory or fewer threads, or set a lower "
            "output.shard_bytes."
        )
