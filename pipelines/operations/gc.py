"""Removes what no kept snapshot needs: old manifests, then the files that only they named, then work that no run would reuse.

Two phases: everything is listed first, under the dataset's lock, and only then removed, manifests before files. A death
between any two removals leaves files that no manifest names, which the next collection lists again.

Kept of the work in `.corpusmill`: what the newest snapshot was made from (`used/<work>.json`, written before each commit),
because the next run reuses it, and what was finished after it, because an interrupted run goes on from it. While a submitted
run may be in progress, all of it is kept (`corpusmill.pipelines.dataset.submissions`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.dataset import lock, submissions
from corpusmill.pipelines.dataset.results import Store, used_path
from corpusmill.pipelines.dataset.snapshot import MANIFESTS, Dataset, files_of, manifest_name
from corpusmill.pipelines.dataset.system_errors import explained
from corpusmill.transforms import storage
from corpusmill.transforms.storage import TEMPORARY, Entry, local

if TYPE_CHECKING:
    pass

TEMPORARY_AGE = 3600
"""Seconds after which a temporary file is taken for one that a dead process left."""
MARKS = ".corpusmill/marks"
"""What submitting processes left for their workers to see (`runners.worker_checks`): the dead and the submitted take none away."""
_PUBLISHED = re.compile(r"(?:.+|\d+)-[0-9a-f]{20}\.(?:parquet|arrow)")
_OWN = re.compile(r"[0-9a-f]{40}[.\w-]*")


@dataclass
class Garbage:
    """What is to be removed, and what it frees. snapshots: their numbers; files: paths relative to the dataset, by kind;
    bytes: freed on disk, counting a file with several names once, and not at all if a name of it stays; waiting: submitted
    runs for whose sake the work stays."""

    snapshots: list[int] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)
    bytes: int = 0
    waiting: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        counts = {kind: len(names) for kind, names in self.files.items()}
        return {"snapshots": self.snapshots, "files": counts, "bytes": self.bytes, "waiting": self.waiting}


def collect(dataset: str, keep: int = 5, dry_run: bool = False, give_up: Sequence[str] = ()) -> Garbage:
    """Remove all but the `keep` newest snapshots, and everything that is then needed by nothing. give_up: submitted runs that
    need nothing any more.

    Raises:
        LockedError: another process is writing the dataset.
        DatasetError: there is no snapshot, or no such run.
    """
    reader = Dataset(dataset)
    with explained(dataset), Store(dataset).lock():
        reader = Dataset(dataset)  # as it is now that nobody else writes
        for run in give_up:
            submissions.known(dataset, run)
        garbage = listed(reader, reader.numbers[:-keep], give_up=give_up)
        if not dry_run:
            sweep(dataset, garbage)
    return garbage


def listed(reader: Dataset, doomed: Iterable[int], purge: bool = False, give_up: Sequence[str] = ()) -> Garbage:
    """What to remove with the snapshots `doomed`; the caller holds the lock.

    purge: of the work, nothing stays but what the newest snapshot was made from, and no temporary file does. give_up: submitted
    runs that nothing is kept for.
    """
    garbage = Garbage(snapshots=sorted(doomed))
    kept = [n for n in reader.numbers if n not in garbage.snapshots]
    manifests = {n: reader.manifest(n) for n in kept}
    live = {f["path"] for m in manifests.values() for f in files_of(m)}
    age = 0 if purge else TEMPORARY_AGE
    waiting = [r for r in submissions.waiting(reader.path) if r not in give_up]
    over = {*submissions.ended(reader.path, set(kept)), *give_up, *(waiting if purge else ())}
    garbage.waiting = [] if purge else waiting
    found = _found(reader.path)
    garbage.files = {
        "runs": [n for n in _in(found, ".corpusmill/runs") if os.path.basename(n).removesuffix(".json") in over],
        "manifests": [manifest_name(n) for n in garbage.snapshots],
        "published": sorted(set(_published(found)) - live),
        "work": [] if garbage.waiting else [*_work(reader.path, found, manifests, purge), *_in(found, MARKS)],
        "temporary": sorted(_temporary(found, age)),
    }
    names = [n for names in garbage.files.values() for n in names]
    if storage.is_local(reader.path):
        garbage.bytes = local.freed([os.path.join(reader.path, n) for n in names])
    else:
        garbage.bytes = sum(found[n].size for n in names if n in found)
    return garbage


def sweep(dataset: str, garbage: Garbage) -> None:
    """Remove what was listed: manifests first, so that no snapshot is there in part."""
    lock.confirm(dataset)
    # a committed run is known by its snapshot: its note goes first, or it would be waited for
    for name in [*garbage.files["runs"], *garbage.files["manifests"]]:
        storage.remove(os.path.join(dataset, name))
    if garbage.files["manifests"] and storage.is_local(dataset):
        # a loss of power must not bring a manifest back whose files are gone
        local.sync_folder(os.path.join(dataset, MANIFESTS))
    # an outcome goes before the files that it names: while it is there, they are
    outcomes = [n for n in garbage.files["work"] if n.startswith(".corpusmill/done")]
    work = [n for n in garbage.files["work"] if not n.startswith(".corpusmill/done")]
    folders: set[str] = set()
    for names in (outcomes, [*garbage.files["published"], *work, *garbage.files["temporary"]]):
        storage.each(lambda n: storage.remove(os.path.join(dataset, n)), names, dataset)
        folders.update(map(os.path.dirname, names))
    Store(dataset).forget_known()
    if storage.is_local(dataset):  # what was purged is not gone while a loss of power could bring it back
        storage.sync_folders(os.path.join(dataset, f) for f in sorted(folders))
    for folder in sorted(folders if storage.is_local(dataset) else (), key=len, reverse=True):
        with contextlib.suppress(OSError):  # not empty
            if folder:
                os.rmdir(os.path.join(dataset, folder))


def _found(dataset: str) -> dict[str, Entry]:
    """Every file of the dataset, by its name relative to it."""
    return {e.uri[len(dataset) :].lstrip("/"): e for e in storage.below(dataset)}


def _in(found: dict[str, Entry], folder: str) -> list[str]:
    """Names of the files below a folder, sorted."""
    return sorted(n for n in found if n.startswith(folder + "/"))


def _published(found: dict[str, Entry]) -> Iterator[str]:
    """Files that are named as commits name them, one or two folders deep; the user's own files are not looked at."""
    for name in found:
        folders = os.path.dirname(name).split("/")
        if folders[0] in ("", ".corpusmill", MANIFESTS) or len(folders) > 2:
            continue
        if _PUBLISHED.fullmatch(os.path.basename(name)):
            yield name


def _temporary(found: dict[str, Entry], age: float) -> Iterator[str]:
    now = time.time()
    for name, entry in found.items():
        if os.path.basename(name).startswith(TEMPORARY) and now - entry.modified >= age:
            yield name


def _work(dataset: str, found: dict[str, Entry], manifests: dict[int, dict[str, Any]], purge: bool) -> list[str]:
    """Files of `.corpusmill` that no run would reuse."""
    store = Store(dataset)
    newest = manifests[max(manifests)]
    try:
        note = json.loads(storage.read_bytes(used_path(store, newest["work"])))
        since = storage.stat(used_path(store, newest["work"])).modified
    except (FileNotFoundError, ValueError):
        if not purge:  # it is not known what the newest snapshot was made from
            return []
        note, since = {"plans": [], "outcomes": []}, 0.0
    outcomes, plans = set(note["outcomes"]), set(note["plans"])
    needed: set[str] = set()
    gone: list[str] = []
    stems = {n: os.path.basename(n).removesuffix(".json") for n in found}
    young = {n for n, e in found.items() if not purge and e.modified >= since}
    stay: list[str] = []
    for name in _in(found, ".corpusmill/done"):
        if _OWN.fullmatch(stems[name]):
            (stay if stems[name] in outcomes or name in young else gone).append(name)
    for outcome in store.outcomes([stems[n] for n in stay]):
        needed.update(f["path"] for f in (outcome or {"files": {}})["files"].values())
    gone += [
        n
        for n in _in(found, ".corpusmill/work")
        if _OWN.match(os.path.basename(n)) and n not in needed and n not in young
    ]
    gone += [n for n in _in(found, ".corpusmill/plans") if stems[n] not in plans and n not in young]
    works = {m["work"] for m in manifests.values()} if not purge else {newest["work"]}
    gone += [n for n in _in(found, ".corpusmill/used") if stems[n] not in works and n not in young]
    notes = ("failed.json", "running.json") if purge else ()
    return gone + [n for n in (f".corpusmill/{x}" for x in notes) if n in found]
