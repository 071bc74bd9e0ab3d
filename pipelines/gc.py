"""Removes what no kept snapshot needs: old manifests, then the files that only they named, then work that no run would reuse.

Two phases: everything is listed first, under the dataset's lock, and only then removed, manifests before files. A death
between any two removals leaves files that no manifest names, which the next collection lists again.

Kept of the work in `.corpusmill`: what the newest snapshot was made from (`used/<work>.json`, written before each commit),
because the next run reuses it, and what was finished after it, because an interrupted run goes on from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.snapshot import MANIFESTS, Dataset, manifest_name
from pipelines.store import Store
from transforms.storage import TEMPORARY, write_atomic

if TYPE_CHECKING:
    from pipelines.job import Job

TEMPORARY_AGE = 3600
"""Seconds after which a temporary file is taken for one that a dead process left."""
_PUBLISHED = re.compile(r"(?:.+|\d+)-[0-9a-f]{20}\.(?:parquet|arrow)")
_OWN = re.compile(r"[0-9a-f]{40}[.\w-]*")


@dataclass
class Garbage:
    """What is to be removed, and what it frees. snapshots: their numbers; files: paths relative to the dataset, by kind;
    bytes: freed on disk, counting a file with several names once, and not at all if a name of it stays."""

    snapshots: list[int] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)
    bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        counts = {kind: len(names) for kind, names in self.files.items()}
        return {"snapshots": self.snapshots, "files": counts, "bytes": self.bytes}


def remember(job: Job) -> None:
    """Note what a finished job was made from, before its snapshot is committed."""
    outcomes: set[str] = set()
    plans = [job.reads]
    for number in range(len(job.stages)):
        ready = job.prepare(number)
        plans.append(ready.plan)
        outcomes.update(ready.requests)
        outcomes.update(o["content"] for o in job.outcomes(number))
    note = {"plans": plans, "outcomes": sorted(outcomes)}
    path = _used_path(job.store, job.work_digest())
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomic(path, json.dumps(note).encode())
    # where the recipe's folder is, so that `forget` can run it again; relative, for the whole tree may be moved
    base = os.path.relpath(job.recipe.base_dir.resolve(), os.path.realpath(job.dataset))
    write_atomic(os.path.join(job.store.root, "recipe.json"), json.dumps({"base_dir": base}).encode())


def _used_path(store: Store, work: str) -> str:
    return os.path.join(store.root, "used", f"{work}.json")


def collect(dataset: str, keep: int = 5, dry_run: bool = False) -> Garbage:
    """Remove all but the `keep` newest snapshots, and everything that is then needed by nothing.

    Raises:
        LockedError: another process is writing the dataset.
        DatasetError: there is no snapshot.
    """
    reader = Dataset(dataset)
    with Store(dataset).lock():
        reader = Dataset(dataset)  # as it is now that nobody else writes
        garbage = listed(reader, reader.numbers[:-keep])
        if not dry_run:
            sweep(dataset, garbage)
    return garbage


def listed(reader: Dataset, doomed: Iterable[int], purge: bool = False) -> Garbage:
    """What to remove with the snapshots `doomed`; the caller holds the lock.

    purge: of the work, nothing stays but what the newest snapshot was made from, and no temporary file does.
    """
    garbage = Garbage(snapshots=sorted(doomed))
    kept = [n for n in reader.numbers if n not in garbage.snapshots]
    manifests = {n: reader.manifest(n) for n in kept}
    live = {f["path"] for m in manifests.values() for f in files_of(m)}
    age = 0 if purge else TEMPORARY_AGE
    garbage.files = {
        "manifests": [manifest_name(n) for n in garbage.snapshots],
        "published": sorted(set(_published(reader.path)) - live),
        "work": _work(reader.path, manifests, purge),
        "temporary": sorted(_temporary(reader.path, age)),
    }
    garbage.bytes = _freed(reader.path, [n for names in garbage.files.values() for n in names])
    return garbage


def files_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Every file that a manifest names."""
    return [*manifest["files"], *(f for files in manifest["tables"].values() for f in files)]


def sweep(dataset: str, garbage: Garbage) -> None:
    """Remove what was listed: manifests first, so that no snapshot is there in part."""
    for name in garbage.files["manifests"]:
        _unlink(os.path.join(dataset, name))
    if garbage.files["manifests"]:
        handle = os.open(os.path.join(dataset, MANIFESTS), os.O_RDONLY)
        try:
            os.fsync(handle)  # a loss of power must not bring a manifest back whose files are gone
        finally:
            os.close(handle)
    # an outcome goes before the files that it names: while it is there, they are
    work = sorted(garbage.files["work"], key=lambda n: not n.startswith(os.path.join(".corpusmill", "done")))
    folders = set()
    for name in [*garbage.files["published"], *work, *garbage.files["temporary"]]:
        _unlink(os.path.join(dataset, name))
        folders.add(os.path.dirname(name))
    for folder in sorted(folders, key=len, reverse=True):
        with contextlib.suppress(OSError):  # not empty
            if folder:
                os.rmdir(os.path.join(dataset, folder))


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _walk(dataset: str, top: str = "") -> Iterator[str]:
    """Every file below a folder of the dataset, relative to the dataset."""
    for folder, _, names in os.walk(os.path.join(dataset, top)):
        inside = os.path.relpath(folder, dataset)
        yield from (os.path.normpath(os.path.join(inside, name)) for name in names)


def _published(dataset: str) -> Iterator[str]:
    """Files that are named as commits name them, one or two folders deep; the user's own files are not looked at."""
    for name in _walk(dataset):
        folders = os.path.dirname(name).split(os.sep)
        if folders[0] in ("", ".corpusmill", MANIFESTS) or len(folders) > 2:
            continue
        if _PUBLISHED.fullmatch(os.path.basename(name)):
            yield name.replace(os.sep, "/")


def _temporary(dataset: str, age: float) -> Iterator[str]:
    now = time.time()
    for name in _walk(dataset):
        if os.path.basename(name).startswith(TEMPORARY):
            with contextlib.suppress(FileNotFoundError):
                if now - os.stat(os.path.join(dataset, name)).st_mtime >= age:
                    yield name


def _work(dataset: str, manifests: dict[int, dict[str, Any]], purge: bool) -> list[str]:
    """Files of `.corpusmill` that no run would reuse."""
    store = Store(dataset)
    newest = manifests[max(manifests)]
    try:
        with open(_used_path(store, newest["work"]), encoding="utf-8") as f:
            note = json.load(f)
        since = os.stat(_used_path(store, newest["work"])).st_mtime
    except (FileNotFoundError, ValueError):
        if not purge:  # it is not known what the newest snapshot was made from
            return []
        note, since = {"plans": [], "outcomes": []}, 0.0
    outcomes, plans = set(note["outcomes"]), set(note["plans"])
    needed: set[str] = set()
    gone: list[str] = []
    for name in sorted(_walk(dataset, ".corpusmill/done")):
        stem = os.path.basename(name).removesuffix(".json")
        if not _OWN.fullmatch(stem):
            continue
        young = not purge and os.stat(os.path.join(dataset, name)).st_mtime >= since
        if stem not in outcomes and not young:
            gone.append(name)
            continue
        outcome = store.outcome(stem)
        needed.update(f["path"] for f in (outcome or {"files": {}})["files"].values())
    work = (n for n in _walk(dataset, ".corpusmill/work") if _OWN.match(os.path.basename(n)))
    for name in sorted(work):
        young = not purge and os.stat(os.path.join(dataset, name)).st_mtime >= since
        if name not in needed and not young:
            gone.append(name)
    for name in sorted(_walk(dataset, ".corpusmill/plans")):
        young = not purge and os.stat(os.path.join(dataset, name)).st_mtime >= since
        if os.path.basename(name).removesuffix(".json") not in plans and not young:
            gone.append(name)
    works = {m["work"] for m in manifests.values()} if not purge else {newest["work"]}
    gone += [
        n
        for n in sorted(_walk(dataset, ".corpusmill/used"))
        if os.path.basename(n).removesuffix(".json") not in works
        and (purge or os.stat(os.path.join(dataset, n)).st_mtime < since)
    ]
    notes = ("failed.json", "running.json") if purge else ()
    return gone + [n for n in (os.path.join(".corpusmill", x) for x in notes) if os.path.exists(store.path(n))]


def _freed(dataset: str, names: list[str]) -> int:
    """Bytes on disk that go with these names."""
    links: dict[tuple[int, int], int] = {}
    total = 0
    for name in names:
        try:
            stat = os.lstat(os.path.join(dataset, name))
        except FileNotFoundError:
            continue
        key = (stat.st_dev, stat.st_ino)
        links[key] = links.get(key, 0) + 1
        total += stat.st_size if links[key] == stat.st_nlink else 0
    return total
