"""A dataset directory as its readers see it: numbered, immutable snapshots, and what each says.

    data/*.parquet          shards, named by their content, never changed
    snapshots/000001.json   the manifest: shards with counts and SHA-256, funnel, recipe, inputs, parent and its digest
    dropped/ quarantine/ pairs/ ...   what was left out and why, Parquet
    suppressed/000001.json  salted hashes of what was taken out and must not come back
    README.md               dataset card; its YAML lists the newest snapshot's shards, which `load_dataset` obeys
    SHA256SUMS  events.jsonl

A manifest is deterministic: no time, host or user stands in it. When a snapshot was made stands in events.jsonl.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.packed import is_packed, pieces_of, row_digests
from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError, DatasetError
from corpusmill.transforms.hashing import hash128
from corpusmill.transforms.shards import read_shard

MANIFESTS = "snapshots"
FORMAT = 2
"""Of manifests. Those of the first format have no checksum."""
_NOT_WRITTEN = frozenset({"number", "digest", "created", "checksum"})
"""Fields that `Dataset.manifest` adds, and the checksum itself."""


def manifest_name(number: int) -> str:
    """`snapshots/000001.json`"""
    return f"{MANIFESTS}/{number:06d}.json"


class Dataset:
    """Reads a dataset directory.

    Raises:
        DatasetError: there is no snapshot in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path).rstrip("/") or "/"
        self.numbers = snapshot_numbers(self.path)
        if not self.numbers:
            what = "does not exist"
            if storage.is_dir(self.path):
                what = "is not a dataset of corpusmill: it has no snapshot"
            elif storage.has_file(self.path):
                what = "is a file; a dataset is a folder"
            raise DatasetError(f"{self.path} {what}. `corpusmill run RECIPE` makes one in the recipe's output.path.")

    def manifest(self, number: int | None = None) -> dict[str, Any]:
        """The manifest of a snapshot; of the newest without a number."""
        number = self.numbers[-1] if number is None else number
        if number not in self.numbers:
            known = ", ".join(map(str, self.numbers))
            raise DatasetError(f"{self.path} has no snapshot {number}. It has: {known}.")
        data = storage.read_bytes(os.path.join(self.path, manifest_name(number)))
        try:
            found: dict[str, Any] = json.loads(data)
            if found.get("format") != 1 and found.get("checksum") != checksum(found):  # the first format has none
                raise ValueError("its checksum differs")
        except (ValueError, AttributeError) as error:
            raise DatasetError(
                f"{self.path}/{manifest_name(number)} is damaged: {error}. Restore it from a copy."
            ) from error
        return {**found, "number": number, "digest": hashlib.sha256(data).hexdigest(), "created": self._created(number)}

    def _created(self, number: int) -> str | None:
        for event in reversed(self.events()):
            with contextlib.suppress(AttributeError, KeyError, IndexError, TypeError):  # a damaged line
                made = event["outputs"][0]["facets"]["version"]["datasetVersion"]
                if event["eventType"] == "COMPLETE" and made == str(number):
                    return str(event["eventTime"])
        return None

    def events(self) -> list[dict[str, Any]]:
        """Everything in events.jsonl that is whole."""
        try:
            lines = storage.read_bytes(os.path.join(self.path, "events.jsonl")).decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        events = []
        for line in lines:
            try:
                events.append(json.loads(line))
            except ValueError:  # the last line of a run that died
                continue
        return events

    def snapshots(self) -> list[dict[str, Any]]:
        """Number, time, size, recipe and parent of every snapshot, oldest first."""
        found = []
        for m in storage.each(self.manifest, self.numbers, self.path):
            found.append(
                {
                    "number": m["number"],
                    "created": m["created"],
                    "documents": m["documents"],
                    "bytes": m["bytes"],
                    "shards": len(m["files"]),
                    "recipe": m["recipe_digest"],
                    "content": m["content"],
                    "parent": m["parent"]["number"] if m["parent"] else None,
                }
            )
        return found

    def files(self, number: int | None = None) -> list[str]:
        """Full paths of a snapshot's shards."""
        return [os.path.join(self.path, f["path"]) for f in self.manifest(number)["files"]]

    def diff(self, a: int, b: int) -> dict[str, Any]:
        """Documents added, removed and changed from snapshot `a` to `b`, by source; of the removed, by reason, too.

        Only shards that stand in one of the two are read.
        """
        old, new = self.manifest(a), self.manifest(b)
        forms = ["packed rows" if is_packed(m["schema"]) else "documents" for m in (old, new)]
        if forms[0] != forms[1] and old["documents"] and new["documents"]:
            raise DatasetError(
                f"{self.path}: snapshot {a} holds {forms[0]} and snapshot {b} {forms[1]}, which do not compare; "
                f"`corpusmill why {self.path} ID` finds one document in either"
            )
        same = {f["path"] for f in old["files"]} & {f["path"] for f in new["files"]}
        before, after = self._texts(old, same), self._texts(new, same)
        added = {k: v for k, v in after.items() if k not in before}
        removed = {k: v for k, v in before.items() if k not in after}
        changed = {k: v for k, v in after.items() if k in before and before[k][1] != v[1]}
        reasons: Counter[str] = Counter()
        looked = set(removed)
        for batch in self._side(new, "dropped"):
            hit = batch.filter(pc.is_in(batch.column("id"), pa.array(list(looked), pa.string())))
            for row in hit.to_pylist():
                if row["id"] in looked:
                    looked.discard(row["id"])
                    reasons[f"{row['step']}: {row['reason']}"] += 1
        if looked:
            reasons["no longer in the sources"] += len(looked)
        return {
            "a": a,
            "b": b,
            "documents": [old["documents"], new["documents"]],
            "added": _by_source(added),
            "removed": _by_source(removed),
            "changed": _by_source(changed),
            "reasons": dict(sorted(reasons.items())),
            "recipe_changed": old["recipe_digest"] != new["recipe_digest"],
            "examples": {
                "added": sorted(added)[:5],
                "removed": sorted(removed)[:5],
                "changed": sorted(changed)[:5],
            },
        }

    def _texts(self, manifest: dict[str, Any], without: set[str]) -> dict[str, tuple[str, bytes]]:
        found: dict[str, tuple[str, bytes]] = {}
        names = [f["name"] for f in manifest["schema"]]
        wanted = None if is_packed(manifest["schema"]) else [n for n in ("id", "source", "text", "epoch") if n in names]
        for file in manifest["files"]:
            if file["path"] in without:
                continue
            for batch in read_shard(os.path.join(self.path, file["path"]), wanted):
                packed = "text" not in batch.schema.names
                digests = row_digests(batch) if packed else hash128(batch.column("text"))
                ids = batch.column("id").to_pylist()
                sources = ["rows"] * len(ids) if packed else batch.column("source").to_pylist()
                if "epoch" in batch.schema.names:  # repeats of one document share its id
                    epochs = batch.column("epoch").to_pylist()
                    ids = [f"{i}, epoch {e}" if e else i for i, e in zip(ids, epochs, strict=True)]
                found.update({i: (s, d.tobytes()) for i, s, d in zip(ids, sources, digests, strict=True)})
        return found

    def _side(self, manifest: dict[str, Any], what: str) -> Any:
        for file in manifest["tables"].get(what, []):
            yield from read_shard(os.path.join(self.path, file["path"]))

    def why(self, document: str, number: int | None = None) -> dict[str, Any]:
        """What happened to one document: where it is, or which step dropped it, why, and in favour of which."""
        manifest = self.manifest(number)
        steps = [s["name"] for s in manifest["funnel"]["steps"]]
        packed = is_packed(manifest["schema"])
        found: dict[str, Any] = {"id": document, "snapshot": manifest["number"], "outcome": "unknown", "history": []}
        for batch in self._side(manifest, "dropped"):
            for row in batch.filter(pc.equal(batch.column("id"), document)).to_pylist():
                found["outcome"] = "dropped"
                passed = steps[: steps.index(row["step"])] if row["step"] in steps else []
                found["history"].append({"outcome": "dropped", "source": row["source"], "passed": passed, **row})
        for file in manifest["files"]:
            first = 0
            for batch in read_shard(os.path.join(self.path, file["path"])):
                mine = pc.equal(batch.column("id"), document)
                if packed:
                    for piece in pieces_of(batch, document):
                        place = {"file": file["path"], "row": first + piece.pop("position")}
                        place["passed"] = steps[:-1]
                        found["outcome"] = "packed"
                        found["history"].append({"outcome": "packed", **place, **piece})
                if "parent" in batch.schema.names:
                    children = pc.equal(batch.column("parent"), document)
                    for row in batch.filter(children).to_pylist():
                        child = {"outcome": "derived", "child": row["id"], "derived_by": row.get("derived_by")}
                        found["history"].append({**child, "file": file["path"]})
                for position in pc.indices_nonzero(pc.fill_null(mine, False)).to_pylist():
                    row = batch.slice(position, 1).to_pylist()[0]
                    place = {"file": file["path"], "row": first + position}
                    if packed:  # the id is a row's
                        found["outcome"] = "row"
                        about = {k: row[k] for k in ("n_tokens", "documents") if k in row}
                        found["history"].append({"outcome": "row", **place, **about})
                        continue
                    place |= {"source": row["source"], "passed": steps}
                    lineage = {k: row[k] for k in ("parent", "derived_by", "epoch") if row.get(k) is not None}
                    found["outcome"] = "kept"
                    found["history"].append({"outcome": "kept", **place, **lineage, "bytes": len(row["text"].encode())})
                first += batch.num_rows
        from corpusmill.pipelines.dataset import suppression  # which imports this module

        if found["outcome"] == "unknown":
            bad = suppression.bad_rows_of(self._side(manifest, "quarantine"), manifest["recipe"]["sources"], document)
            found["history"] += [{"outcome": "quarantined", **row} for row in bad]
            found["outcome"] = "quarantined" if bad else "unknown"
        listed = manifest.get("suppressed")
        if found["outcome"] == "unknown" and not found["history"] and listed:
            gone = suppression.load(self.path, listed["lists"]).has("id", document)
            found["outcome"] = suppression.REASON if gone else "unknown"
        if found["outcome"] == "unknown" and found["history"]:
            found["outcome"] = "replaced"
        for batch in self._side(manifest, "dropped"):
            hits = batch.filter(pc.fill_null(pc.equal(batch.column("survivor"), document), False))
            for row in hits.to_pylist():
                found.setdefault("survivor_of", []).append(
                    {"id": row["id"], "step": row["step"], "value": row["value"]}
                )
        return found

    def verify(self, number: int | None = None) -> list[str]:
        """Reread everything a snapshot names: digests, rows, readability, the funnel's sums, the parents' digests.

        Returns the problems, one line each; none means that every byte is as it was committed.
        """
        manifest = self.manifest(number)
        newest = manifest["number"] == self.numbers[-1]
        problems: list[str] = []
        rows = 0
        tables = [f for files in manifest["tables"].values() for f in files]
        for file in [*manifest["files"], *tables]:
            path = os.path.join(self.path, file["path"])
            try:
                digest = storage.sha256_of(path)
            except OSError as error:
                todo = "; the next run writes it again" if newest else ""
                problems.append(f"{file['path']}: {error.strerror or error}{todo}")
                continue
            if digest != file["sha256"]:
                todo = "; remove it, and the next run writes it again" if newest else ""
                problems.append(f"{file['path']}: its SHA-256 is {digest}, the manifest says {file['sha256']}{todo}")
                continue
            try:
                count = sum(batch.num_rows for batch in read_shard(path))
            except BadFileError as error:
                problems.append(f"{file['path']}: {error.what}")
                continue
            if count != file["rows"]:
                problems.append(f"{file['path']}: {count} rows, the manifest says {file['rows']}")
            rows += count if file in manifest["files"] else 0
        if not problems and rows != manifest["documents"]:
            problems.append(f"{rows} documents in the shards, the manifest says {manifest['documents']}")
        problems += funnel_problems(manifest["funnel"])
        parent = manifest["parent"]
        if parent and parent["number"] in self.numbers and not self._followed(parent):
            problems.append(
                f"{manifest_name(parent['number'])}: not the manifest that snapshot {manifest['number']} followed"
            )
        if manifest.get("suppressed"):
            from corpusmill.pipelines.dataset import suppression  # which imports this module

            said = suppression.problem(self.path, manifest["suppressed"])
            problems += [said] if said else []
        name = manifest_name(manifest["number"])
        if manifest["format"] != 1 and storage.read_bytes(os.path.join(self.path, name)) != manifest_bytes(manifest):
            problems.append(f"{name}: says what was committed, but in other bytes")
        if newest:
            problems += self._card_problems(manifest)
        return problems

    def _card_problems(self, manifest: dict[str, Any]) -> list[str]:
        """Whether README.md and SHA256SUMS are as they were written for the newest snapshot."""
        found = []
        for name in ("README.md", "SHA256SUMS"):
            try:
                found.append(storage.read_bytes(os.path.join(self.path, name)))
            except OSError as error:
                return [f"{name}: {error.strerror or error}; the next run writes it"]
        card, said = found
        if said in (sums(manifest, card), sums(manifest, None)):  # those of the first format do not name the card
            return []
        return [
            "README.md or SHA256SUMS: not as they were written for the newest snapshot; the next run writes them again"
        ]

    def _followed(self, parent: dict[str, Any]) -> bool:
        """Whether a manifest is the one that a snapshot followed, or was it before documents were purged from it."""
        try:
            now = self.manifest(parent["number"])
        except DatasetError:
            return False
        return parent["digest"] in (now["digest"], *now.get("purged", {}).get("was", []))


def checksum(manifest: dict[str, Any]) -> str:
    """Of what a manifest says, its own field `checksum` left out."""
    body = {k: v for k, v in manifest.items() if k not in _NOT_WRITTEN}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """A manifest as it is written."""
    body = {k: v for k, v in manifest.items() if k not in _NOT_WRITTEN} | {"format": FORMAT}
    body = json.loads(json.dumps(body))  # as it will be read: keys that are numbers become strings
    body["checksum"] = checksum(body)
    return (json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def sums(manifest: dict[str, Any], card: bytes | None) -> bytes:
    """SHA256SUMS of a snapshot: a line a file, and one of the dataset card."""
    listed = [*manifest["files"], *(f for files in manifest["tables"].values() for f in files)]
    lines = [f"{f['sha256']}  {f['path']}\n" for f in sorted(listed, key=lambda f: f["path"])]
    lines += [] if card is None else [f"{hashlib.sha256(card).hexdigest()}  README.md\n"]
    return "".join(lines).encode()


def snapshot_numbers(path: str) -> list[int]:
    """Numbers of the committed snapshots, ascending."""
    names = storage.names_in(os.path.join(path, MANIFESTS))
    return sorted(int(m.group(1)) for m in (re.fullmatch(r"(\d{6,})\.json", n) for n in names) if m)


def funnel_problems(funnel: dict[str, Any]) -> list[str]:
    """Sums of a funnel that do not add up: rows in = rows out + dropped - derived, step by step and as a whole."""
    problems = []
    rows = funnel["rows_in"] - funnel["quarantined"]
    for step in funnel["steps"]:
        if step["rows_in"] != rows:
            problems.append(f"step {step['name']}: took {step['rows_in']} rows, but {rows} came")
        if step["rows_in"] + step["derived"] != step["rows_out"] + sum(step["dropped"].values()):
            problems.append(f"step {step['name']}: rows in, out, dropped and derived do not add up")
        rows = step["rows_out"]
    if rows != funnel["rows_out"]:
        problems.append(f"the last step gave {rows} rows, {funnel['rows_out']} were published")
    return problems


def _by_source(found: dict[str, tuple[str, bytes]]) -> dict[str, int]:
    return dict(sorted(Counter(source for source, _ in found.values()).items()))


def files_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Every file that a manifest names."""
    return [*manifest["files"], *(f for files in manifest["tables"].values() for f in files)]
