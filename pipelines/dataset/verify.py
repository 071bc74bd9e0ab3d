"""Rereads a snapshot and the dataset's own records, and lists what has changed since it was written."""

from __future__ import annotations

import hashlib
import json
import operator
import os

from corpusmill.pipelines.dataset import events, history, suppression, work
from corpusmill.pipelines.dataset.results import request_of
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError, DatasetError
from corpusmill.transforms.manifest import FileEntry, Funnel, Manifest, Parent, files_of, manifest_bytes, manifest_name
from corpusmill.transforms.progress import Meter, Tell
from corpusmill.transforms.shards import read_shard

LINEAGE = "lineage.json"
"""The file that says what was made from the dataset, see `corpusmill.pipelines.operations.lineage`."""


def problems(reader: Dataset, number: int | None = None, tell: Tell | None = None) -> list[str]:
    """Problems of a snapshot (default: the newest), one line each. None means that every byte is as committed. tell: takes
    reports of progress."""
    manifest = reader.manifest(number)
    newest = manifest["number"] == reader.numbers[-1]
    found = _file_problems(reader.path, manifest, newest, tell)
    found += funnel_problems(manifest["funnel"])
    parent = manifest["parent"]
    if parent and parent["number"] in reader.numbers and not _followed(reader, parent):
        found.append(f"{manifest_name(parent['number'])}: not the manifest that snapshot {manifest['number']} followed")
    if "suppressed" in manifest:
        line = suppression.problem(reader.path, manifest["suppressed"])
        found += [line] if line else []
    name = manifest_name(manifest["number"])
    if manifest["format"] != 1 and storage.read_bytes(os.path.join(reader.path, name)) != manifest_bytes(manifest):
        found.append(f"{name}: says what was committed, but in other bytes")
    if newest:
        found += _card_problems(reader.path, manifest)
        todo = "remove it, and a run that needs it makes it again"
        found += [f"{name}: {problem}; {todo}" for name, problem in work.damaged(reader.path)]
        found += _record_problems(reader.path)
    return found


def _file_problems(dataset: str, manifest: Manifest, newest: bool, tell: Tell | None) -> list[str]:
    """Shards and tables: digests, readability, rows."""
    found: list[str] = []
    rows = 0
    files = files_of(manifest)
    work = 2 * sum(f["size"] for f in files)  # each is read for its digest, and again for its rows
    with Meter(tell, f"verify snapshot {manifest['number']}", len(files), "file", work) as meter:
        for i, file in enumerate(files):
            line, count = _file_problem(dataset, file, newest, meter)
            found += [line] if line else []
            rows += count if i < len(manifest["files"]) else 0
            meter.add(1)
    if not found and rows != manifest["documents"]:
        found.append(f"{rows} documents in the shards, the manifest says {manifest['documents']}")
    return found


def _file_problem(dataset: str, file: FileEntry, newest: bool, meter: Meter) -> tuple[str, int]:
    """(what is wrong with a file, or "", how many rows it has)."""
    path, again = os.path.join(dataset, file["path"]), "the next run writes it again"
    try:
        digest = storage.sha256_of(path, lambda read: meter.add(bytes=read, work=read))
    except OSError as error:
        return f"{file['path']}: {error.strerror or error}" + (f"; {again}" if newest else ""), 0
    if digest != file["sha256"]:
        todo = f"; remove it, and {again}" if newest else ""
        return f"{file['path']}: its SHA-256 is {digest}, the manifest says {file['sha256']}{todo}", 0
    count = 0
    try:
        for batch in read_shard(path):
            count += batch.num_rows
            meter.add(documents=batch.num_rows, work=file["size"] * batch.num_rows / max(1, file["rows"]))
    except BadFileError as error:
        return f"{file['path']}: {error.what}", 0
    return "" if count == file["rows"] else f"{file['path']}: {count} rows, the manifest says {file['rows']}", count


def _record_problems(dataset: str) -> list[str]:
    """Events, history, reports of takedowns, released statistics, and the privacy ledger."""
    found = events.problems(dataset) + history.problems(dataset)
    for folder, field in (("takedowns", "digest"), ("statistics", "checksum"), ("", "checksum")):
        names = sorted(storage.names_in(os.path.join(dataset, folder))) if folder else [LINEAGE]
        for name in (n for n in names if n.endswith(".json")):
            path = os.path.join(folder, name)
            try:
                problem = "" if _sound(storage.read_bytes(os.path.join(dataset, path)), folder, field) else "damaged"
            except FileNotFoundError:
                continue
            found += [f"{path}: {problem}; restore it from a copy"] if problem else []
    if storage.is_local(dataset):
        from corpusmill.privacy.ledger import faults

        found += faults(dataset)
    return found


def _sound(data: bytes, folder: str, field: str) -> bool:
    """Whether a report is unchanged. Unfinished reports and reports of older versions have no digest."""
    try:
        report = json.loads(data)
    except ValueError:
        return False
    if not isinstance(report, dict):
        return False
    body = {k: v for k, v in report.items() if k != field}
    if field not in report:  # and no key that damage made of it
        return not any(len(k) == len(field) and sum(map(operator.ne, k, field)) == 1 for k in report)
    if folder == "takedowns":
        return bool(report[field] == request_of("takedown", body))
    return bool(report[field] == hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())


def _followed(reader: Dataset, parent: Parent) -> bool:
    """Whether a manifest is the parent that a snapshot names, or was so before documents were purged from it."""
    try:
        now = reader.manifest(parent["number"])
    except DatasetError:
        return False
    return parent["digest"] in (now["digest"], *(now["purged"]["was"] if "purged" in now else []))


def _card_problems(dataset: str, manifest: Manifest) -> list[str]:
    """Problems of README.md and SHA256SUMS of the newest snapshot."""
    contents = []
    for name in ("README.md", "SHA256SUMS"):
        try:
            contents.append(storage.read_bytes(os.path.join(dataset, name)))
        except OSError as error:
            return [f"{name}: {error.strerror or error}; the next run writes it"]
    card, listed = contents
    if listed in (sums(manifest, card), sums(manifest, None)):  # the first format does not list the card
        return []
    return ["README.md or SHA256SUMS: changed since the newest snapshot; the next run writes them again"]


def sums(manifest: Manifest, card: bytes | None) -> bytes:
    """SHA256SUMS of a snapshot: one line for each file and one for the dataset card."""
    lines = [f"{f['sha256']}  {f['path']}\n" for f in sorted(files_of(manifest), key=lambda f: f["path"])]
    lines += [] if card is None else [f"{hashlib.sha256(card).hexdigest()}  README.md\n"]
    return "".join(lines).encode()


def funnel_problems(funnel: Funnel) -> list[str]:
    """Sums of a funnel that do not add up: rows in = rows out + dropped - derived, step by step and as a whole."""
    found = []
    rows = funnel["rows_in"] - funnel["quarantined"]
    for step in funnel["steps"]:
        if step["rows_in"] != rows:
            found.append(f"step {step['name']}: took {step['rows_in']} rows, but {rows} came")
        if step["rows_in"] + step["derived"] != step["rows_out"] + sum(step["dropped"].values()):
            found.append(f"step {step['name']}: rows in, out, dropped and derived do not add up")
        rows = step["rows_out"]
    if rows != funnel["rows_out"]:
        found.append(f"the last step gave {rows} rows, {funnel['rows_out']} were published")
    return found
