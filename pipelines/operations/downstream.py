"""Finds what was made from snapshots of a dataset: checkpoints that name one, and datasets that read one of its shards."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from corpusmill.transforms import storage

DEPTH = 6
"""Folders below each searched one."""


def trace(folders: Iterable[str], dataset: str, snapshots: set[str], shards: set[str]) -> list[dict[str, Any]]:
    """Checkpoints and datasets below `folders` that were made from these.

    snapshots: SHA-256 of manifests; shards: SHA-256 of shards. A checkpoint's `state.json` has the digest of the manifest that
    it was trained on; a dataset's manifest has the digests of the files that it read. Returns kind, path and reason of each.
    """
    own = storage.absolute(dataset)
    manifests = _loader_digests(dataset, snapshots)
    found: dict[str, dict[str, Any]] = {}
    for top in folders:
        for folder, files in _folders(storage.absolute(top), own):
            if "state.json" in files:
                state = _read(os.path.join(folder, "state.json"))
                data = state.get("digests", {}).get("data") if isinstance(state.get("digests"), dict) else None
                if data in manifests:
                    why = f"was trained on snapshot {manifests[data]}"
                    found[folder] = {"kind": "checkpoint", "path": folder, "because": why}
            if os.path.basename(folder) == "snapshots":
                for name in sorted(f for f in files if f.endswith(".json")):
                    inputs = _read(os.path.join(folder, name)).get("inputs", [])
                    read = {i.get("digest") for i in inputs if isinstance(i, dict)} & {s[:32] for s in shards}
                    if read:
                        path = os.path.join(os.path.dirname(folder), f"snapshots/{name}")
                        why = f"was made from {len(read)} of the shards"
                        found[path] = {"kind": "snapshot", "path": path, "because": why}
    return [found[k] for k in sorted(found)]


def _folders(base: str, own: str) -> Iterator[tuple[str, list[str]]]:
    """(folder, names of files in it) below `base`, without hidden folders and what lies in `own`."""
    if storage.is_local(base):
        for folder, names, files in os.walk(base):
            deep = folder[len(base) :].count(os.sep)
            names[:] = sorted(
                n
                for n in names
                if deep < DEPTH and not n.startswith(".") and os.path.realpath(os.path.join(folder, n)) != own
            )
            yield folder, files
        return
    inside: dict[str, list[str]] = {}
    for entry in storage.below(base):
        folder, _, name = entry.uri.rpartition("/")
        between = folder[len(base) :]
        if between.count("/") <= DEPTH and "/." not in between and not entry.uri.startswith(own + "/"):
            inside.setdefault(folder, []).append(name)
    yield from sorted(inside.items())


def _loader_digests(dataset: str, snapshots: set[str]) -> dict[str, int]:
    """How training names a snapshot (the digest of its manifest, sorted) -> the snapshot's number."""
    found: dict[str, int] = {}
    folder = os.path.join(dataset, "snapshots")
    for name in sorted(storage.names_in(folder)):
        data = storage.read_bytes(os.path.join(folder, name))
        if hashlib.sha256(data).hexdigest() in snapshots:
            number = int(os.path.splitext(name)[0])
            found[hashlib.sha256(json.dumps(json.loads(data), sort_keys=True).encode()).hexdigest()] = number
    return found


def _read(path: str) -> dict[str, Any]:
    try:
        found = json.loads(storage.read_bytes(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
