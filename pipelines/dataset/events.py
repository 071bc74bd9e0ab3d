"""events.jsonl: one OpenLineage run event for each commit (openlineage.io, spec 2-0-2).

An event carries a checksum, so that `verify` sees damage. What it says beside the time follows from the manifest. Events go to
servers. The event of a snapshot that holds private text therefore has no counts, no sizes and no digest of the text: a count tells
whether one document is there, and a digest confirms a guess of all documents.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from typing import Any

from corpusmill.privacy.certification import unguarded
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Manifest

FILE = "events.jsonl"
_PRODUCER = "https://github.com/corpusmill/corpusmill"


def event_of(manifest: Manifest) -> dict[str, Any]:
    """The event of a commit that ends now."""
    # the same snapshot has the same run id, so an event that is written after a crash is the event that the crash lost
    private = unguarded(manifest)
    named = f"{manifest['recipe_digest']}/{manifest['number']}" if private else manifest["digest"]
    run = str(uuid.uuid5(uuid.NAMESPACE_URL, named))
    facets: dict[str, Any] = {"version": {"datasetVersion": str(manifest["number"])}}
    if private:
        facets["corpusmill_private"] = {
            "_producer": _PRODUCER,
            "_schemaURL": f"{_PRODUCER}#private",
            "note": f"holds {'; '.join(private)}: counts and sizes are left out",
        }
    else:
        size = sum(f["size"] for f in manifest["files"])
        facets["outputStatistics"] = {"rowCount": manifest["documents"], "size": size}
    event: dict[str, Any] = {
        "eventType": "COMPLETE",
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "producer": _PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json",
        "run": {"runId": run},
        "job": {"namespace": "corpusmill", "name": manifest["name"]},
        "inputs": [{"namespace": "file", "name": i["path"]} for i in manifest["inputs"]],
        "outputs": [{"namespace": "file", "name": manifest["name"], "facets": facets}],
    }
    event["run"]["facets"] = _facets(event)
    return event


def append(dataset: str, event: dict[str, Any]) -> None:
    """Append an event.

    Raises:
        DatasetError: it cannot be written; the snapshot itself is committed.
    """
    path = os.path.join(dataset, FILE)
    try:
        storage.append_line(path, json.dumps(event, sort_keys=True).encode(), fsync=True)
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be written: {error.strerror}. The snapshot itself is committed: mend that, and run "
            "the same command again."
        ) from error


def read(dataset: str) -> list[dict[str, Any]]:
    """Every event that is whole, oldest first."""
    return [event for event in _lines(dataset) if event is not None]


def problems(dataset: str) -> list[str]:
    """Problems of lines that are not an event, or that have changed since they were written. Events of older versions
    have no checksum."""
    found = []
    for number, event in enumerate(_lines(dataset), 1):
        if event is None or not _sound(event):
            found.append(f"{FILE}, line {number}: damaged; readers leave it out, and it may be removed")
    return found


def _lines(dataset: str) -> list[dict[str, Any] | None]:
    """The event of each line; None for a line that is not a JSON object, such as the last line of a run that died."""
    try:
        lines = storage.read_bytes(os.path.join(dataset, FILE)).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    events: list[dict[str, Any] | None] = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        events.append(event if isinstance(event, dict) else None)
    return events


def _sound(event: dict[str, Any]) -> bool:
    run = event.get("run")
    if not isinstance(run, dict) or not {"eventType", "eventTime", "outputs"} <= event.keys():
        return False
    facets = run.get("facets")
    if facets is None:  # written by an older version
        return run.keys() == {"runId"}
    plain = {**event, "run": {k: v for k, v in run.items() if k != "facets"}}
    return bool(facets == _facets(plain))


def _facets(event: dict[str, Any]) -> dict[str, Any]:
    """The facet that holds the checksum of an event without it."""
    digest = hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
    return {"corpusmill_checksum": {"_producer": _PRODUCER, "_schemaURL": f"{_PRODUCER}#checksum", "sha256": digest}}
