"""Takes documents out of a dataset: by id, by user or by source; and tells what that concerned.

    1. the suppression list gets the entries: from here on no run lets the documents in again
    2. the recipe runs again and commits the next snapshot: what was derived from them is not made, a cluster of duplicates
       whose survivor is gone keeps another, rows are packed without them
    3. with `purge`, older snapshots are written again without them, and work that holds them is removed; without it they stay
       in older snapshots until `gc` removes those

Each step is done again, or found done, when the same command is repeated after a crash. The report names no id.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset import submissions
from corpusmill.pipelines.dataset import suppression as suppress
from corpusmill.pipelines.dataset.results import Store, request_of
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.system_errors import explained
from corpusmill.pipelines.operations.downstream import trace
from corpusmill.pipelines.operations.purge import Forgotten, affected, forget_answers, purge
from corpusmill.pipelines.recipe.model import Recipe, restored
from corpusmill.pipelines.run import run
from corpusmill.pipelines.wording import some
from corpusmill.transforms import storage
from corpusmill.transforms.base import Expand
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.shards import read_shard

FOLDER = "takedowns"


@dataclass(frozen=True)
class Takedown:
    """What is asked for."""

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    purge: bool = False
    signed_off_by: str = ""
    search: tuple[str, ...] = field(default_factory=tuple)
    """Folders in which checkpoints and datasets made of this one are looked for."""


def read_ids(file: str | Path) -> tuple[str, ...]:
    """Ids of a text file, one a line; `{"id": ...}` lines and a Parquet file with a column `id` serve as well.

    Raises:
        DatasetError: the file cannot be read, or holds no id.
    """
    try:
        if str(file).endswith(".parquet"):
            found = [i for b in read_shard(str(file), ["id"]) for i in b.column("id").cast(pa.string()).to_pylist()]
        else:
            found = [_line(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"{file}: cannot be read as a list of ids ({error}); write one id a line") from error
    ids = tuple(dict.fromkeys(i for i in found if i))
    if not ids:
        raise DatasetError(f"{file}: holds no id; write one id a line")
    return ids


def _line(line: str) -> str:
    if line.lstrip().startswith("{"):
        return str(json.loads(line)["id"])
    return line.rstrip("\r")


def stored_recipe(dataset: str) -> Recipe:
    """The recipe that made the newest snapshot, in the folder where it lay.

    Raises:
        RecipeError: it is not known where, or a step of it is not here.
    """
    advice = "name its file: --recipe corpus.yaml"
    try:
        base = Path(json.loads(storage.read_bytes(os.path.join(Store(dataset).root, "recipe.json")))["base_dir"])
        if storage.is_local(dataset):  # it is relative there
            base = Path(os.path.realpath(dataset), base)
        recipe = restored(Dataset(dataset).manifest()["recipe"], Path(os.path.normpath(base)))
    except (OSError, ValueError, KeyError, RecipeError) as error:
        raise RecipeError(f"{dataset}: the recipe that made it cannot be restored ({error}); {advice}") from error
    if storage.absolute(recipe.dataset) != storage.absolute(dataset):
        raise RecipeError(f"{dataset}: the recipe that made it writes to {recipe.dataset} now; {advice}")
    return recipe


def forget(dataset: str, asked: Takedown, recipe: Recipe | None = None, workers: int | None = None) -> dict[str, Any]:
    """Take documents out and commit the next snapshot; returns the report, which lies in `takedowns/`, too.

    Raises:
        LockedError: another process is writing the dataset.
        ExpectationError: the snapshot without them breaks the recipe's `expect`; the list is written, nothing is committed.
    """
    if not (asked.ids or asked.users or asked.sources):
        raise DatasetError("forget: name ids, a user or a source")
    dataset = dataset.rstrip("/") or "/"
    reader = Dataset(dataset)
    recipe = recipe or stored_recipe(dataset)
    if storage.absolute(recipe.dataset) != storage.absolute(dataset):
        raise RecipeError(f"the recipe writes to {recipe.dataset}, not to {dataset}; name the one that made {dataset}")
    if recipe.expect is not None:  # a takedown brings nothing new, and must not wait for it
        recipe = recipe.model_copy(update={"expect": recipe.expect.model_copy(update={"min_new_documents": None})})
    with explained(dataset), Store(dataset).lock():
        waiting = submissions.waiting(dataset)
        listed = suppress.append(dataset, _entries(dataset, recipe, asked))
        void = set(waiting) - (set() if asked.purge else set(submissions.waiting(dataset)))
        path = os.path.join(dataset, FOLDER, _name(listed, asked))
        reader = Dataset(dataset)
        forgotten = Forgotten.of(reader, reader.numbers, listed)
        report = _unfinished(path) or _examined(reader, listed, forgotten, asked)
        report["void_runs"] = sorted({*report.get("void_runs", []), *void})
        report["model_answers"] = report.get("model_answers", 0) + forget_answers(reader, forgotten)
        _write(path, report)
    result = run(recipe, workers=workers)
    report |= {"committed_snapshot": result.snapshot, "documents_after": result.manifest["documents"]}
    report["returned_documents"] = _returned(reader.path, report, result.manifest)
    if asked.purge:
        purge(dataset)
        # by what the manifests say: of a purge that died, the one that ends it writes the rest
        report["purged_snapshots"] = sorted({*report["purged_snapshots"], *_purged(Dataset(dataset), listed)})
    report |= {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "purge": asked.purge}
    report |= {"signed_off_by": asked.signed_off_by}
    report["digest"] = request_of("takedown", {k: v for k, v in report.items() if k != "digest"})
    with explained(dataset):
        _write(path, report)
    return report


def _entries(dataset: str, recipe: Recipe, asked: Takedown) -> dict[str, Iterable[str]]:
    """What goes on the list. A user's ids go with him: ledgers and pairs of older snapshots name no user."""
    ids = set(asked.ids)
    ids.update(_ids_of_users(dataset, asked.users) if asked.users else ())
    entries: dict[str, Iterable[str]] = {"id": ids, "user": asked.users, "source": asked.sources}
    if any(isinstance(s.transform, Expand) for s in recipe.steps):
        # an id that was never read may be one that a step makes; of one on the list, that was decided when it came there
        listed = suppress.load(dataset)
        wanted = pa.array(sorted(i for i in ids if not listed or not listed.has("id", i)), pa.string())
        read = [pc.is_in(wanted, b.column("id")) for f in _indexes(dataset) for b in read_shard(f)]
        known = pa.array([False] * len(wanted), pa.bool_())
        for mask in read:
            known = pc.or_(known, mask)
        entries["derived"] = wanted.filter(pc.invert(known)).to_pylist()
    return entries


def _indexes(dataset: str) -> Iterable[str]:
    work = storage.below(os.path.join(Store(dataset).root, "work"))
    yield from sorted(e.uri for e in work if e.uri.endswith(".ids.arrow"))


def _ids_of_users(dataset: str, users: tuple[str, ...]) -> set[str]:
    wanted = pa.array(users, pa.string())
    found: set[str] = set()
    for file in _indexes(dataset):
        for batch in read_shard(file):
            found.update(batch.column("id").filter(pc.is_in(batch.column("user"), wanted)).drop_null().to_pylist())
    reader = Dataset(dataset)
    for path in sorted({f["path"] for n in reader.numbers for f in reader.manifest(n)["files"]}):
        for batch in read_shard(os.path.join(dataset, path)):
            if {"id", "user", "text"} <= set(batch.schema.names):
                found.update(batch.column("id").filter(pc.is_in(batch.column("user"), wanted)).drop_null().to_pylist())
    return found - {""}


def _name(listed: suppress.Suppression, asked: Takedown) -> str:
    """The report's file: the same for the same request, and unlike for another, without showing what was asked."""
    request = json.dumps([sorted(asked.ids), sorted(asked.users), sorted(asked.sources)])
    return f"{listed.seal('request', request).hex()[:20]}.json"


def _unfinished(path: str) -> dict[str, Any] | None:
    """What was found before a crash: afterwards, the documents may be gone already."""
    try:
        found: dict[str, Any] = json.loads(storage.read_bytes(path))
    except (FileNotFoundError, ValueError):
        return None
    return found


def _examined(reader: Dataset, listed: suppress.Suppression, forgotten: Forgotten, asked: Takedown) -> dict[str, Any]:
    """What the takedown concerns, as the dataset is now."""
    snapshots: list[dict[str, Any]] = []
    shards: dict[str, str] = {}
    stands_for: set[str] = set()
    for number in reader.numbers:
        manifest = reader.manifest(number)
        hit = affected(reader, manifest, forgotten)
        shards.update({f["path"]: f["sha256"] for f in manifest["files"] if f["path"] in hit})
        entry = {"number": number, "digest": manifest["digest"], "shards": dict(sorted(hit.items()))}
        entry |= {"rows": sum(hit.values()), "tables": _tables(manifest, reader.path, forgotten, stands_for)}
        if entry["rows"] or entry["tables"]:
            snapshots.append(entry)
    digests = {reader.manifest(s["number"])["digest"] for s in snapshots}
    folders = asked.search or _beside(reader.path)
    return {
        "format": 1,
        "dataset": reader.manifest()["name"],
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "asked": {"ids": len(asked.ids), "users": len(asked.users), "sources": len(asked.sources)},
        "suppression_list": {"files": listed.number, "digest": listed.digest},
        "documents": len(forgotten.ids) - forgotten.derived,
        "derived_documents": forgotten.derived,
        "rows_by_source": forgotten.sources,
        "duplicates_of_them": len(stands_for),
        "documents_before": reader.manifest()["documents"],
        "snapshots": snapshots,
        "searched": len(folders),
        "in_store": not storage.is_local(reader.path),
        "downstream": trace(folders, reader.path, digests, set(shards.values())),
        "purged_snapshots": [],
    }


def _beside(dataset: str) -> tuple[str, ...]:
    """The folder that a dataset lies in; nothing where that is a whole bucket, which may hold anything."""
    parent = os.path.dirname(storage.absolute(dataset))
    return () if parent.endswith(":/") or (not storage.is_local(parent) and parent.count("/") < 3) else (parent,)


def _tables(manifest: dict[str, Any], dataset: str, forgotten: Forgotten, stands_for: set[str]) -> dict[str, int]:
    """Rows of side tables that name a forgotten document, by table; `stands_for` gets the duplicates of one."""
    found: dict[str, int] = {}
    for kind, files in manifest["tables"].items():
        for file in files:
            for batch in read_shard(os.path.join(dataset, file["path"])):
                strings = [
                    f.name for f in batch.schema if pa.types.is_string(f.type) and f.name not in ("raw", "detail")
                ]
                hit = np.zeros(batch.num_rows, np.bool_)
                for name in strings:
                    hit |= forgotten.names(batch.column(name))
                if hit.any():
                    found[kind] = found.get(kind, 0) + int(hit.sum())
                if kind == "dropped" and len(forgotten.ids):
                    told = batch.filter(pc.is_in(batch.column("survivor"), forgotten.ids))
                    stands_for.update(i for i in told.column("id").to_pylist() if i is not None)
    return dict(sorted(found.items()))


def _returned(dataset: str, report: dict[str, Any], manifest: dict[str, Any]) -> int:
    """Documents of the new snapshot that the one before the takedown lacked: duplicates that came back, and what is new."""
    before = max((s["number"] for s in report["snapshots"]), default=0)
    if not before or before not in Dataset(dataset).numbers or before == manifest["number"]:
        return int(report.get("returned_documents", 0))
    return sum(Dataset(dataset).diff(before, manifest["number"])["added"].values())


def _purged(reader: Dataset, listed: suppress.Suppression) -> list[int]:
    """Snapshots that were written again without what the list names."""
    lists = {n: reader.manifest(n).get("purged", {}).get("lists") for n in reader.numbers}
    return [n for n, number in lists.items() if number == listed.number]


def _write(path: str, report: dict[str, Any]) -> None:
    storage.makedirs(os.path.dirname(path))
    storage.write_atomic(path, (json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
    storage.write_atomic(path.removesuffix(".json") + ".md", render(report).encode())
    storage.sync_folders([os.path.dirname(os.path.dirname(path))])


def render(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    asked = ", ".join(some(n, what.removesuffix("s")) for what, n in report["asked"].items() if n)
    done, suppressed = report.get("finished"), report["suppression_list"]
    lines = [
        f"# Takedown from {report['dataset']}",
        "",
        f"Asked for: {asked}. Begun {report['started']}" + (f", finished {done}." if done else "; not finished yet."),
        "",
        f"- Documents found: {report['documents']:,}, and {report['derived_documents']:,} derived from them.",
        f"- Duplicates that they stood for: {report['duplicates_of_them']:,}.",
        f"- Answers of models about them, removed: {report['model_answers']:,}.",
        f"- Suppression list: {some(suppressed['files'], 'file')}, digest `{suppressed['digest']}`.",
    ]
    if done:
        after = f"{report['documents_before']:,} rows before, {report['documents_after']:,} after"
        lines.append(f"- Snapshot {report['committed_snapshot']} is without them: {after}.")
        purged = ", ".join(map(str, report["purged_snapshots"])) or "none held any"
        older = f"Older snapshots were written again: {purged}."
        if not report["purge"]:
            rest = "Older snapshots still hold them, until `corpusmill gc` removes those or `forget --purge` rewrites them."
            older = rest if report["snapshots"] else "No older snapshot holds them."
        lines.append(f"- {older}")
    if report.get("void_runs"):
        lines.append(
            f"- Submitted runs that were in progress: {', '.join(report['void_runs'])}. Stop them on their engine: they are not "
            "committed, but may write what they have read. Then take out again, with `--purge`, what they wrote."
        )
    lines += ["", "## Snapshots and shards that held them", ""]
    lines += [
        f"- snapshot {s['number']} (`{s['digest'][:16]}`): {some(s['rows'], 'row')} in {some(len(s['shards']), 'shard')}"
        + "".join(f", {some(n, 'row')} of {kind}" for kind, n in s["tables"].items())
        + "".join(f"\n  - `{path}`: {n:,}" for path, n in s["shards"].items())
        for s in report["snapshots"]
    ] or ["None."]
    lines += ["", "## Made from those snapshots", ""]
    nothing = "Nothing was found." if report.get("searched", 1) else "Nothing was searched: name folders by --search."
    lines += [f"- {d['kind']} `{d['path']}`: {d['because']}" for d in report["downstream"]] or [nothing]
    if report.get("in_store"):
        lines += ["", "The dataset lies in an object store. Where its bucket keeps old versions or deleted objects, they hold the "
                  "documents until its lifecycle rule removes them; that is the bucket's owner to see to."]  # fmt: skip
    if done:
        lines += ["", f"Signed off by: {report['signed_off_by'] or '____________________'}"]
        lines += [f"Digest of this report's data: `{report['digest']}`"]
    return "\n".join([*lines, ""])
