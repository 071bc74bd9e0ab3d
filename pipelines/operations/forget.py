"""Takes documents out of a dataset, by id, user, domain or source, and reports what was affected.

    1. the suppression list gets the entries: no later run lets the documents in again
    2. the recipe runs again and commits the next snapshot: nothing is derived from them, a cluster of duplicates whose survivor
       is gone keeps another document, and rows are packed without them
    3. with `purge`, older snapshots are rewritten without them and work that holds them is removed; without it they stay in
       older snapshots until `gc` removes those

After a crash, the same command repeats or skips each step. The report in the dataset names no id.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
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
from corpusmill.pipelines.operations import lineage
from corpusmill.pipelines.operations.downstream import trace
from corpusmill.pipelines.operations.purge import Forgotten, affected, forget_answers, purge
from corpusmill.pipelines.operations.takedown_report import FOLDER, read_all, write
from corpusmill.pipelines.recipe.model import Recipe, restored
from corpusmill.pipelines.run import run
from corpusmill.pipelines.wording import printable
from corpusmill.transforms import storage
from corpusmill.transforms.base import Expand
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.lists import read_list
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.shards import read_shard, shard_schema
from corpusmill.transforms.web.address import above, addresses

CODE_FIELDS = ("call", "verifier")
"""Fields of steps that name a function of the user's own."""


@dataclass(frozen=True)
class Takedown:
    """A request.

    domains: as `read_domains` gives them; all hosts below them are meant.
    search: folders to search for models and datasets made from this one; none: the folder that the dataset lies in.
    """

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    purge: bool = False
    signed_off_by: str = ""
    search: tuple[str, ...] = field(default_factory=tuple)


def read_ids(file: str | Path) -> tuple[str, ...]:
    """Ids of a file: one a line, CSV with a header, JSON lines, or Parquet, with a column `id`.

    Raises:
        DatasetError: the file cannot be read, or holds no id.
    """
    ids = tuple(read_list(file, "id"))
    if not ids:
        raise DatasetError(f"{file}: holds no id; write one id a line")
    return ids


def read_domains(names: tuple[str, ...]) -> tuple[str, ...]:
    """Domains in the form in which they are compared: lower-case, ASCII, without scheme, path and `www.`.

    Raises:
        DatasetError: one is no domain.
    """
    found = []
    for name in names:
        host = addresses(pa.array([name if "://" in name else f"https://{name.strip()}"])).host[0].as_py()
        if host is None or "." not in host:
            raise DatasetError(f"forget: {printable(name)!r} is no domain; write it as in `--domain example.org`")
        found.append(host)
    return tuple(found)


def stored_recipe(dataset: str) -> Recipe:
    """The recipe that made the newest snapshot, with the folder where it lay.

    A dataset is data, perhaps somebody else's: no code that its manifest names is imported.

    Raises:
        RecipeError: its folder is not known, a step of it does not exist here, or it names code of a user.
    """
    advice = "name its file: --recipe corpus.yaml"
    code = sorted(_named_code(Dataset(dataset).manifest()["recipe"]["steps"]))
    if code:
        raise RecipeError(
            f"{dataset}: its recipe runs code beside corpusmill ({', '.join(map(printable, code))}), which a manifest may not "
            f"start. If the recipe is yours, {advice}"
        )
    try:
        noted = Store(dataset).load_base()
        if noted is None:
            raise RecipeError("the note of its folder is not there, or damaged")
        base = Path(noted)
        if storage.is_local(dataset):  # a local path is stored relative to the dataset
            base = Path(os.path.realpath(dataset), base)
        recipe = restored(Dataset(dataset).manifest()["recipe"], Path(os.path.normpath(base)))
    except (OSError, ValueError, KeyError, RecipeError) as error:
        raise RecipeError(f"{dataset}: the recipe that made it cannot be restored ({error}); {advice}") from error
    if storage.absolute(recipe.dataset) != storage.absolute(dataset):
        raise RecipeError(f"{dataset}: the recipe that made it writes to {recipe.dataset} now; {advice}")
    return recipe


def _named_code(steps: list[dict[str, Any]]) -> Iterator[str]:
    """Import paths of a user's own code in a recipe."""
    for step in steps:
        if ":" in step["transform"]:
            yield step["transform"].partition("@")[0]
        yield from (str(step["fields"][name]) for name in CODE_FIELDS if step["fields"].get(name))


def forget(
    dataset: str, asked: Takedown, recipe: Recipe | None = None, workers: int | None = None, dry_run: bool = False
) -> dict[str, Any]:
    """Take documents out and commit the next snapshot.

    Args:
        dataset: its directory.
        asked: what to take out.
        recipe: the one that made the dataset; default: as the newest snapshot holds it.
        workers: of the run; default: all cores.
        dry_run: only examine what would be taken out; nothing is written.

    Returns:
        The report, which also lies in `takedowns/`; and `not_found`: what was asked for and is in no file of the dataset. The
        stored report has only the number of those.

    Raises:
        LockedError: another process is writing the dataset.
        ExpectationError: the snapshot without them breaks the recipe's `expect`; the list is written, nothing is committed.
    """
    if not (asked.ids or asked.users or asked.sources or asked.domains):
        raise DatasetError("forget: name ids, a user, a domain or a source")
    dataset = dataset.rstrip("/") or "/"
    reader = Dataset(dataset)
    recipe = recipe or stored_recipe(dataset)
    if storage.absolute(recipe.dataset) != storage.absolute(dataset):
        raise RecipeError(f"the recipe writes to {recipe.dataset}, not to {dataset}; name the one that made {dataset}")
    if recipe.expect is not None:  # a takedown brings nothing new, and must not wait for new documents
        recipe = recipe.model_copy(update={"expect": recipe.expect.model_copy(update={"min_new_documents": None})})
    with explained(dataset), Store(dataset).lock():
        if dry_run:
            listed = _only(_entries(dataset, recipe, asked))
            forgotten = Forgotten.of(reader, reader.numbers, listed)
            missing = _not_found(reader, recipe, suppress.load(dataset), forgotten, asked)
            report, _ = _examined(reader, listed, forgotten, asked, missing)
            return report | {"dry_run": True, "not_found": missing}
        waiting = submissions.waiting(dataset)
        before = suppress.load(dataset)
        listed = suppress.append(dataset, _entries(dataset, recipe, asked))
        void = set(waiting) - (set() if asked.purge else set(submissions.waiting(dataset)))
        path = os.path.join(dataset, FOLDER, _name(listed, asked))
        reader = Dataset(dataset)
        forgotten = Forgotten.of(reader, reader.numbers, listed)
        unfinished = _unfinished(path)
        if unfinished is None:
            missing = _not_found(reader, recipe, before, forgotten, asked)
            report, known = _examined(reader, listed, forgotten, asked, missing)
            lineage.record(reader, known)
        else:
            seals = set(unfinished.get("not_found_seals", []))
            missing = [v for kind, v in _values(asked) if listed.seal(kind, v).hex() in seals]
            report = unfinished
        report["void_runs"] = sorted({*report.get("void_runs", []), *void})
        report["model_answers"] = report.get("model_answers", 0) + forget_answers(reader, forgotten)
        write(path, report)
    result = run(recipe, workers=workers)
    report |= {"committed_snapshot": result.snapshot, "documents_after": result.manifest["documents"]}
    report["returned_documents"] = _returned(reader.path, report, result.manifest)
    if asked.purge:
        purge(dataset)
        # the manifests tell: the command that ends a purge also reports what a killed one rewrote
        report["purged_snapshots"] = sorted({*report["purged_snapshots"], *_purged(Dataset(dataset), listed)})
    report |= {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "purge": asked.purge}
    report |= {"signed_off_by": asked.signed_off_by}
    report["digest"] = request_of("takedown", {k: v for k, v in report.items() if k != "digest"})
    with explained(dataset):
        write(path, report)
    return report | {"not_found": missing}


def _only(entries: dict[str, Iterable[str]]) -> suppress.Suppression:
    """A list of these entries alone, which is written nowhere."""
    salt = secrets.token_bytes(16)
    empty = suppress.Suppression(0, salt, {}, "")
    sealed = {}
    for kind, values in entries.items():
        distinct = sorted(set(values))
        bits = suppress.buckets(pa.array(distinct, pa.string()))
        sealed[kind] = [(empty.seal(kind, v).hex(), int(b)) for v, b in zip(distinct, bits, strict=True)]
    return suppress.Suppression(1, salt, sealed, "")


def _values(asked: Takedown) -> Iterator[tuple[str, str]]:
    """(kind, value) of everything that is asked for."""
    for kind, values in (
        ("id", asked.ids),
        ("user", asked.users),
        ("source", asked.sources),
        ("domain", asked.domains),
    ):
        yield from ((kind, value) for value in dict.fromkeys(values))


def _not_found(
    reader: Dataset, recipe: Recipe, before: suppress.Suppression, forgotten: Forgotten, asked: Takedown
) -> list[str]:
    """Ids, users, domains and sources that were asked for, and that no file of the dataset has.

    before: the suppression list until now. What an earlier takedown took out counts as found, unless it was not found then:
    the reports hold the seals of those.
    """
    never = {s for report in read_all(reader.path) for s in report.get("not_found_seals", [])}
    manifests = [reader.manifest(n) for n in reader.numbers]
    known = {
        "id": set(forgotten.ids.to_pylist()),
        "user": set(forgotten.users),
        "source": {s.name for s in recipe.sources} | {s["name"] for m in manifests for s in m["recipe"]["sources"]},
        "domain": _of_domains(reader.path, asked.domains)[1] if asked.domains else set(),
    }
    wanted = {kind: pa.array([v for k, v in _values(asked) if k == kind], pa.string()) for kind in ("id", "user")}
    for file in _indexes(reader.path):
        for batch in read_shard(file):
            for kind, values in wanted.items():
                known[kind].update(values.filter(pc.is_in(values, batch.column(kind))).to_pylist())
    return [
        value
        for kind, value in _values(asked)
        if value not in known[kind]
        and (kind == "source" or not before.has(kind, value) or before.seal(kind, value).hex() in never)
    ]


def _entries(dataset: str, recipe: Recipe, asked: Takedown) -> dict[str, Iterable[str]]:
    """What goes on the list. With a user go the ids of his documents, because ledgers of older snapshots name no user; with a
    domain those of its pages."""
    ids = set(asked.ids)
    ids.update(_ids_of_users(dataset, asked.users) if asked.users else ())
    ids.update(_of_domains(dataset, asked.domains)[0] if asked.domains else ())
    entries: dict[str, Iterable[str]] = {"id": ids, "user": asked.users, "source": asked.sources}
    entries["domain"] = asked.domains
    if any(isinstance(s.transform, Expand) for s in recipe.steps):
        # an id that was never read may be one that a step makes; for ids on the list, this was decided before
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
    yield from sorted(e.uri for e in work if e.uri.endswith(".ids.batches"))


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


def _of_domains(dataset: str, domains: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """(ids of the documents of these domains, the domains that have any), in what was read and in all snapshots."""
    listed = _only({"domain": domains})
    ids: set[str] = set()
    found: set[str] = set()

    def look(batch: pa.RecordBatch, hosts: pa.Array) -> None:
        hit = pa.array(listed.below(hosts))
        ids.update(batch.column("id").filter(hit).drop_null().to_pylist())
        found.update(d for h in pc.unique(hosts.filter(hit)).to_pylist() for d in above(h) if d in domains)

    for file in _indexes(dataset):
        for batch in read_shard(file):
            if "host" in batch.schema.names:  # an index of an older form has none
                look(batch, batch.column("host"))
    reader = Dataset(dataset)
    for path in sorted({f["path"] for n in reader.numbers for f in reader.manifest(n)["files"]}):
        full = os.path.join(dataset, path)
        names = shard_schema(full).names
        if "text" in names:
            for batch in read_shard(full, [n for n in ("id", "url") if n in names]):
                look(batch, suppress.hosts_of(batch))
    return ids - {""}, found


def _name(listed: suppress.Suppression, asked: Takedown) -> str:
    """Name of the report: a keyed hash of the request, so that it is the same for the same request and shows nothing."""
    parts = [sorted(asked.ids), sorted(asked.users), sorted(asked.sources)]
    request = json.dumps([*parts, sorted(asked.domains)] if asked.domains else parts)
    return f"{listed.seal('request', request).hex()[:20]}.json"


def _unfinished(path: str) -> dict[str, Any] | None:
    """The report that a killed command wrote. Its counts cannot be made again: the documents may be gone already."""
    try:
        found: dict[str, Any] = json.loads(storage.read_bytes(path))
    except (FileNotFoundError, ValueError):
        return None
    return found


def _examined(
    reader: Dataset, listed: suppress.Suppression, forgotten: Forgotten, asked: Takedown, not_found: list[str]
) -> tuple[dict[str, Any], lineage.Lineage]:
    """What the takedown affects in the dataset as it is now, and the lineage with what was found downstream."""
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
    folders = asked.search or _beside(reader.path)
    known = lineage.of(reader)
    holding, wanted = {s["number"] for s in snapshots}, len(list(_values(asked)))
    downstream = trace(folders, reader, known, holding, set(shards.values())) if len(not_found) < wanted else []
    known.derived |= {d["path"]: d for d in downstream}
    seals = [listed.seal(kind, v).hex() for kind, v in _values(asked) if v in not_found]
    report = {
        "format": 1,
        "dataset": reader.manifest()["name"],
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "asked": {
            "ids": len(asked.ids),
            "users": len(asked.users),
            "domains": len(asked.domains),
            "sources": len(asked.sources),
        },
        "suppression_list": {"files": listed.number, "digest": listed.digest},
        "documents": len(forgotten.ids) - forgotten.derived,
        "derived_documents": forgotten.derived,
        "rows_by_source": forgotten.sources,
        "duplicates_of_them": len(stands_for),
        "documents_before": reader.manifest()["documents"],
        "snapshots": snapshots,
        "searched": len(folders),
        "in_store": not storage.is_local(reader.path),
        "downstream": downstream,
        "asked_but_not_found": len(not_found),
        "not_found_seals": sorted(seals),
        "purged_snapshots": [],
    }
    return report, known


def _beside(dataset: str) -> tuple[str, ...]:
    """The folder that a dataset lies in; none if that is a whole bucket, which may be too large to search."""
    parent = os.path.dirname(storage.absolute(dataset))
    return () if parent.endswith(":/") or (not storage.is_local(parent) and parent.count("/") < 3) else (parent,)


def _tables(manifest: Manifest, dataset: str, forgotten: Forgotten, stands_for: set[str]) -> dict[str, int]:
    """Rows of side tables that name a forgotten document, by table. Adds their duplicates to `stands_for`."""
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
                    duplicates = batch.filter(pc.is_in(batch.column("survivor"), forgotten.ids))
                    stands_for.update(i for i in duplicates.column("id").to_pylist() if i is not None)
    return dict(sorted(found.items()))


def _returned(dataset: str, report: dict[str, Any], manifest: Manifest) -> int:
    """Documents of the new snapshot that the previous one lacks: duplicates that came back, and new documents."""
    before = max((s["number"] for s in report["snapshots"]), default=0)
    if not before or before not in Dataset(dataset).numbers or before == manifest["number"]:
        return int(report.get("returned_documents", 0))
    return sum(Dataset(dataset).diff(before, manifest["number"])["added"].values())


def _purged(reader: Dataset, listed: suppress.Suppression) -> list[int]:
    """Snapshots that were rewritten without what the list names."""
    lists = {n: reader.manifest(n).get("purged", {}).get("lists") for n in reader.numbers}
    return [n for n, number in lists.items() if number == listed.number]
