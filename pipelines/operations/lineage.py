"""Remembers every snapshot that a dataset ever had, so that a takedown can name what was made from it.

    lineage.json    for each snapshot, also of those that `gc` removed or a takedown rewrote: digests of its manifests, of its
                    list of shards, of its shards and of its inputs; and what takedowns have found that was made from it

It holds digests and paths, and no text or id. `gc`, `forget` and `purge` write it before they remove or rewrite anything.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.privacy.certification import data_digest
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError

FILE = "lineage.json"
_SETS = ("manifests", "data", "shards", "inputs")


@dataclass
class Digests:
    """All digests that a snapshot ever had.

    manifests: SHA-256 of its manifest. data: digest of its list of shards, as training records it. shards: the first 32 digits
    of their SHA-256, as an input names them. inputs: digests of the files that it was made from.
    """

    manifests: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)
    shards: set[str] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)

    def add(self, manifest: Mapping[str, Any], digest: str) -> None:
        """Add those of a manifest; `digest`: the SHA-256 of its bytes."""
        self.manifests |= {digest, *manifest.get("purged", {}).get("was", [])}
        self.data |= {data_digest(manifest)} - {""}
        self.shards |= {f["sha256"][:32] for f in manifest.get("files", []) if isinstance(f, dict) and "sha256" in f}
        inputs = manifest.get("inputs", [])
        self.inputs |= {i["digest"] for i in inputs if isinstance(i, dict) and isinstance(i.get("digest"), str)}


@dataclass
class Lineage:
    """snapshots: digests by number. derived: what was found to be made from them, by path."""

    snapshots: dict[int, Digests] = field(default_factory=dict)
    derived: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, number: int, manifest: Mapping[str, Any], digest: str) -> None:
        """Add the digests of a manifest."""
        self.snapshots.setdefault(number, Digests()).add(manifest, digest)


def stored(dataset: str) -> Lineage:
    """What lineage.json holds; nothing if there is none.

    Raises:
        DatasetError: the file is damaged.
    """
    path = os.path.join(dataset, FILE)
    try:
        data = json.loads(storage.read_bytes(path))
        if data["checksum"] != _checksum(data):
            raise ValueError("its checksum differs")
        snapshots = {int(n): Digests(**{k: set(d[k]) for k in _SETS}) for n, d in data["snapshots"].items()}
        return Lineage(snapshots, {d["path"]: d for d in data["derived"]})
    except FileNotFoundError:
        return Lineage()
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path} is damaged ({error}). Restore it from a copy, or remove it: takedowns then no longer name what was made "
            "from snapshots that are gone."
        ) from None


def of(reader: Dataset) -> Lineage:
    """What is stored, and the snapshots that the dataset has now."""
    lineage = stored(reader.path)
    for number in reader.numbers:
        manifest = reader.manifest(number)
        lineage.add(number, manifest, manifest["digest"])
    return lineage


def record(reader: Dataset, lineage: Lineage | None = None) -> None:
    """Write lineage.json, if it changes. The caller holds the dataset's lock."""
    lineage = lineage or of(reader)
    data: dict[str, Any] = {
        "format": 1,
        "snapshots": {
            str(n): {k: sorted(getattr(digests, k)) for k in _SETS} for n, digests in sorted(lineage.snapshots.items())
        },
        "derived": [lineage.derived[path] for path in sorted(lineage.derived)],
    }
    data["checksum"] = _checksum(data)
    encoded = (json.dumps(data, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()
    path = os.path.join(reader.path, FILE)
    try:
        if storage.read_bytes(path) == encoded:
            return
    except FileNotFoundError:
        pass
    storage.write_atomic(path, encoded)
    storage.sync_folders([reader.path])


def _checksum(data: dict[str, Any]) -> str:
    body = {k: v for k, v in data.items() if k != "checksum"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
