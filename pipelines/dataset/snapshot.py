"""Reads a dataset directory: numbered, immutable snapshots and their manifests.

    data/*.parquet          shards, named by their content, never changed
    snapshots/000001.json   the manifest: shards with counts and SHA-256, funnel, recipe, inputs, parent and its digest
    dropped/ cut/ quarantine/ pairs/ ...   what was left out and why, Parquet
    suppressed/000001.json  salted hashes of what was taken out and must not come back
    README.md               dataset card; its YAML lists the newest snapshot's shards, which `load_dataset` obeys
    SHA256SUMS  events.jsonl

A manifest is deterministic: it has no time, host or user. events.jsonl has the time of each snapshot.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset import events
from corpusmill.pipelines.dataset.packed import is_packed, pieces_of, row_digests
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.hashing import hash128
from corpusmill.transforms.manifest import Manifest, read_manifest, snapshot_numbers
from corpusmill.transforms.progress import Tell
from corpusmill.transforms.shards import read_shard


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

    def manifest(self, number: int | None = None) -> Manifest:
        """The manifest of a snapshot; default: the newest."""
        number = self.numbers[-1] if number is None else number
        if number not in self.numbers:
            known = ", ".join(map(str, self.numbers))
            raise DatasetError(f"{self.path} has no snapshot {number}. It has: {known}.")
        return {**read_manifest(self.path, number), "created": self._created(number)}

    def _created(self, number: int) -> str | None:
        for event in reversed(self.events()):
            with contextlib.suppress(AttributeError, KeyError, IndexError, TypeError):  # a damaged line
                made = event["outputs"][0]["facets"]["version"]["datasetVersion"]
                if event["eventType"] == "COMPLETE" and made == str(number):
                    return str(event["eventTime"])
        return None

    def events(self) -> list[dict[str, Any]]:
        """The events of events.jsonl, without damaged lines."""
        return events.read(self.path)

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

        Only shards that are in one of the two are read.
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

    def _texts(self, manifest: Manifest, without: set[str]) -> dict[str, tuple[str, bytes]]:
        found: dict[str, tuple[str, bytes]] = {}
        names = [f["name"] for f in manifest["schema"]]
        wanted: list[str] | None = (
            None if is_packed(manifest["schema"]) else [n for n in ("id", "source", "text", "epoch") if n in names]
        )
        for file in manifest["files"]:
            if file["path"] in without:
                continue
            for batch in read_shard(os.path.join(self.path, file["path"]), wanted):
                packed = "text" not in batch.schema.names
                digests = row_digests(batch) if packed else hash128(batch.column("text"))
                ids = batch.column("id").to_pylist()
                sources = ["rows"] * len(ids) if packed else batch.column("source").to_pylist()
                if "epoch" in batch.schema.names:  # several rows of one document share its id
                    epochs = batch.column("epoch").to_pylist()
                    ids = [f"{i}, epoch {e}" if e else i for i, e in zip(ids, epochs, strict=True)]
                found.update({i: (s, d.tobytes()) for i, s, d in zip(ids, sources, digests, strict=True)})
        return found

    def _side(self, manifest: Manifest, what: str) -> Any:
        for file in manifest["tables"].get(what, []):
            yield from read_shard(os.path.join(self.path, file["path"]))

    def why(self, document: str, number: int | None = None) -> dict[str, Any]:
        """What happened to one document: where it is, or which step dropped it, why, and which document survived
        instead."""
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
        for batch in self._side(manifest, "cut"):
            for row in batch.filter(pc.equal(batch.column("id"), document)).to_pylist():
                found.setdefault("cut", []).append(row)
        for batch in self._side(manifest, "dropped"):
            hits = batch.filter(pc.fill_null(pc.equal(batch.column("survivor"), document), False))
            for row in hits.to_pylist():
                found.setdefault("survivor_of", []).append(
                    {"id": row["id"], "step": row["step"], "value": row["value"]}
                )
        return found

    def verify(self, number: int | None = None, tell: Tell | None = None) -> list[str]:
        """Reread everything that a snapshot names, and the dataset's own records: see `corpusmill.pipelines.dataset.verify`.

        Returns the problems, one line each; none means that every byte is as it was committed. tell: takes reports of progress.
        """
        from corpusmill.pipelines.dataset.verify import problems  # which imports this module

        return problems(self, number, tell)


def _by_source(found: dict[str, tuple[str, bytes]]) -> dict[str, int]:
    return dict(sorted(Counter(source for source, _ in found.values()).items()))
