"""Removes what no kept snapshot needs: old manifests, the files that only they named, and work that no run would reuse.

Under the dataset's lock, everything is listed first and then removed, manifests before files. If the process is killed in
between, the files that are left belong to no manifest, and the next collection lists them again.

Two kinds of work in `.corpusmill` are kept: the work of the newest snapshot (`used/<work>.json`, written before each commit),
because the next run reuses it; and work that was finished later, because an interrupted run continues from it. All work is
kept while a submitted run may be in progress (`corpusmill.pipelines.dataset.submissions`).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.dataset import lock, submissions
from corpusmill.pipelines.dataset.results import Store, Used
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.system_errors import explained
from corpusmill.pipelines.operations import lineage
from corpusmill.transforms import storage
from corpusmill.transforms.manifest import MANIFESTS, Manifest, files_of, manifest_name
from corpusmill.transforms.storage import TEMPORARY, Entry, local

TEMPORARY_AGE = 3600
"""Age in seconds from which a temporary file counts as left by a dead process."""
MARKS = ".corpusmill/marks"
"""Files that submitting processes write for their workers (`runners.worker_checks`). Killed and submitted runs leave them."""
_PUBLISHED = re.compile(r"(?:.+|\d+)-[0-9a-f]{20}\.(?:parquet|arrow)")
_OWN = re.compile(r"[0-9a-f]{40}[.\w-]*")


@dataclass
class Garbage:
    """What to remove, and what it frees.

    snapshots: their numbers. files: paths relative to the dataset, by kind. bytes: freed on disk; a file with several names
    counts once, and not at all if one of its names stays. waiting: submitted runs that the work is kept for.
    """

    snapshots: list[int] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)
    bytes: int = 0
    waiting: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        counts = {kind: len(names) for kind, names in self.files.items()}
        return {"snapshots": self.snapshots, "files": counts, "bytes": self.bytes, "waiting": self.waiting}


def collect(dataset: str, keep: int = 5, dry_run: bool = False, give_up: Sequence[str] = ()) -> Garbage:
    """Remove all but the `keep` newest snapshots, and everything that nothing needs any more.

    Args:
        dataset: its directory.
        keep: number of snapshots to keep.
        dry_run: list, but remove nothing.
        give_up: submitted runs that no work is kept for.

    Raises:
        LockedError: another process is writing the dataset.
        DatasetError: there is no snapshot, or no such run.
    """
    reader = Dataset(dataset)
    with explained(dataset), Store(dataset).lock():
        reader = Dataset(dataset)  # reread under the lock
        for run in give_up:
            submissions.known(dataset, run)
        garbage = listed(reader, reader.numbers[:-keep], give_up=give_up)
        if not dry_run:
            lineage.record(reader)
            sweep(dataset, garbage)
    return garbage


def listed(reader: Dataset, doomed: Iterable[int], purge: bool = False, give_up: Sequence[str] = ()) -> Garbage:
    """List what to remove with the snapshots `doomed`. The caller holds the lock.

    purge: keep only the work of the newest snapshot, and no temporary file. give_up: submitted runs that no work is kept for.
    """
    garbage = Garbage(snapshots=sorted(doomed))
    kept = [n for n in reader.numbers if n not in garbage.snapshots]
    manifests = {n: reader.manifest(n) for n in kept}
    live = {f["path"] for m in manifests.values() for f in files_of(m)}
    age = 0 if purge else TEMPORARY_AGE
    waiting = [r for r in submissions.waiting(reader.path) if r not in give_up]
    over = {*submissions.ended(reader.path, set(kept)), *give_up, *(waiting if purge else ())}
    garbage.waiting = [] if purge else waiting
    entries = _entries(reader.path)
    garbage.files = {
        "runs": [n for n in _in(entries, ".corpusmill/runs") if os.path.basename(n).removesuffix(".json") in over],
        "manifests": [manifest_name(n) for n in garbage.snapshots],
        "published": sorted(set(_published(entries)) - live),
        "work": [] if garbage.waiting else [*_work(reader.path, entries, manifests, purge), *_in(entries, MARKS)],
        "temporary": sorted(_temporary(entries, age)),
    }
    names = [n for names in garbage.files.values() for n in names]
    if storage.is_local(reader.path):
        garbage.bytes = local.freed([os.path.join(reader.path, n) for n in names])
    else:
        garbage.bytes = sum(entries[n].size for n in names if n in entries)
    return garbage


def sweep(dataset: str, garbage: Garbage) -> None:
    """Remove what was listed. Manifests go first, so that every listed snapshot is complete."""
    lock.confirm(dataset)
    # a committed run is known by its snapshot: without the snapshot, its note would look like a run in progress
    for name in [*garbage.files["runs"], *garbage.files["manifests"]]:
        storage.remove(os.path.join(dataset, name))
    if garbage.files["manifests"] and storage.is_local(dataset):
        # after a power loss, no manifest may return whose files are gone
        local.sync_folder(os.path.join(dataset, MANIFESTS))
    # an outcome promises the files that it names, so it goes first
    outcomes = [n for n in garbage.files["work"] if n.startswith(".corpusmill/done")]
    work = [n for n in garbage.files["work"] if not n.startswith(".corpusmill/done")]
    folders: set[str] = set()
    for names in (outcomes, [*garbage.files["published"], *work, *garbage.files["temporary"]]):
        storage.each(lambda n: storage.remove(os.path.join(dataset, n)), names, dataset)
        folders.update(map(os.path.dirname, names))
    Store(dataset).forget_known()
    if storage.is_local(dataset):  # after a power loss, no purged file may return
        storage.sync_folders(os.path.join(dataset, f) for f in sorted(folders))
    for folder in sorted(folders if storage.is_local(dataset) else (), key=len, reverse=True):
        with contextlib.suppress(OSError):  # not empty
            if folder:
                os.rmdir(os.path.join(dataset, folder))


def _entries(dataset: str) -> dict[str, Entry]:
    """Every file of the dataset by its path relative to it."""
    return {e.uri[len(dataset) :].lstrip("/"): e for e in storage.below(dataset)}


def _in(entries: dict[str, Entry], folder: str) -> list[str]:
    """Paths of the files below a folder, sorted."""
    return sorted(n for n in entries if n.startswith(folder + "/"))


def _published(entries: dict[str, Entry]) -> Iterator[str]:
    """Files one or two folders deep with names as commits give them. Other files are the user's own."""
    for name in entries:
        folders = os.path.dirname(name).split("/")
        if folders[0] in ("", ".corpusmill", MANIFESTS) or len(folders) > 2:
            continue
        if _PUBLISHED.fullmatch(os.path.basename(name)):
            yield name


def _temporary(entries: dict[str, Entry], age: float) -> Iterator[str]:
    now = time.time()
    for name, entry in entries.items():
        if os.path.basename(name).startswith(TEMPORARY) and now - entry.modified >= age:
            yield name


def _work(dataset: str, entries: dict[str, Entry], manifests: dict[int, Manifest], purge: bool) -> list[str]:
    """Files in `.corpusmill` that no run would reuse."""
    store = Store(dataset)
    newest = manifests[max(manifests)]
    used = store.load_used(newest["work"])
    if used is None and not purge:  # the work of the newest snapshot is unknown
        return []
    since = storage.stat(store.used_path(newest["work"])).modified if used else 0.0
    kept: Used = used or {"plans": [], "outcomes": []}
    outcomes, plans = set(kept["outcomes"]), set(kept["plans"])
    needed: set[str] = set()
    unused: list[str] = []
    stems = {n: os.path.basename(n).removesuffix(".json") for n in entries}
    young = {n for n, e in entries.items() if not purge and e.modified >= since}
    stay: list[str] = []
    for name in _in(entries, ".corpusmill/done"):
        if _OWN.fullmatch(stems[name]):
            (stay if stems[name] in outcomes or name in young else unused).append(name)
    for outcome in store.outcomes([stems[n] for n in stay]):
        needed.update(f["path"] for f in (outcome or {"files": {}})["files"].values())
    unused += [
        n
        for n in _in(entries, ".corpusmill/work")
        if _OWN.match(os.path.basename(n)) and n not in needed and n not in young
    ]
    unused += [n for n in _in(entries, ".corpusmill/plans") if stems[n] not in plans and n not in young]
    works = {m["work"] for m in manifests.values()} if not purge else {newest["work"]}
    unused += [n for n in _in(entries, ".corpusmill/used") if stems[n] not in works and n not in young]
    notes = ("failed.json", "running.json") if purge else ()
    return unused + [n for n in (f".corpusmill/{x}" for x in notes) if n in entries]
