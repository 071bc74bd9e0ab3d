"""A manifest as commits write one, for tests that make their own."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from corpusmill.transforms.manifest import manifest_bytes

FILE: dict[str, Any] = {
    "path": "data/web-0123456789abcdef0123.parquet",
    "rows": 2,
    "bytes": 9,
    "size": 700,
    "sha256": "a" * 64,
}
STEP: dict[str, Any] = {
    "name": "clean",
    "kind": "map",
    "rows_in": 2,
    "rows_out": 2,
    "derived": 0,
    "bytes_in": 9,
    "bytes_out": 9,
}
BODY: dict[str, Any] = {
    "format": 2,
    "name": "web",
    "parent": {"number": 1, "digest": "b" * 64},
    "documents": 2,
    "bytes": 9,
    "content": "c" * 40,
    "files": [{**FILE, "source": "web"}],
    "tables": {"dropped": [{**FILE, "path": "dropped/0-0123456789abcdef0123.parquet"}]},
    "funnel": {
        "sources": [{"name": "web", "rows": 2, "bytes": 9, "quarantined": 0}],
        "steps": [{**STEP, "dropped": {}}],
        "rows_in": 2,
        "rows_out": 2,
        "quarantined": 0,
    },
    "schema": [{"name": "id", "type": "string"}],
    "recipe": {"output": {"level": 3}, "sources": [{"name": "web"}], "steps": []},
    "recipe_digest": "d" * 32,
    "work": "e" * 40,
    "inputs": [{"source": "web", "path": "raw/a", "size": 3, "digest": "f" * 32, "arrival": 1}],
}


def manifest_of(**changes: Any) -> Any:
    """A whole manifest with some fields changed."""
    return copy.deepcopy(BODY) | changes


def write_manifest(dataset: Path, number: int, files: Iterable[str]) -> None:
    """Write the manifest of a snapshot whose shards are these paths below `dataset`."""
    (dataset / "snapshots").mkdir(exist_ok=True)
    manifest = manifest_of(files=[{**FILE, "path": path, "source": "web"} for path in files])
    (dataset / "snapshots" / f"{number:06}.json").write_bytes(manifest_bytes(manifest))
