"""The history of runs, as JSON lines and as metrics. Runs that committed, found nothing new, or failed are all
recorded.

    {"start": "2025-01-31T02:30:00Z", "end": ..., "seconds": 61.2, "cpu_seconds": 105.0, "outcome": "committed",
     "snapshot": 7, "documents": 1042, "rows_in": 1100, "new_shards": 2, "message": ""}

Each line is appended to the dataset's `history.jsonl` by a single write, so lines of two processes never mix. Metrics
are in the text format of Prometheus, for the textfile collector of its node exporter.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.secrets import mask

FILE = "history.jsonl"
OUTCOMES = ("committed", "nothing-new", "failed")
_PARTS = {"start", "end", "seconds", "cpu_seconds", "message"}
_FIELDS = _PARTS | {"outcome", "snapshot", "documents", "bytes", "rows_in", "new_shards"}
_MESSAGE = 2_000


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


@dataclass(frozen=True)
class Begin:
    """When a run began."""

    wall: float
    clock: float
    cpu: float

    @classmethod
    def now(cls) -> Begin:
        """This moment."""
        return cls(time.time(), time.perf_counter(), cpu_seconds())


def record(dataset: str, begin: Begin, manifest: Manifest | None, committed: bool, error: str = "") -> dict[str, Any]:
    """Append a run that ends now; returns the entry. manifest: of the newest snapshot, or None for a run that
    failed."""
    entry: dict[str, Any] = {
        "start": _utc(begin.wall),
        "end": _utc(time.time()),
        # a monotonic clock
        "seconds": round(time.perf_counter() - begin.clock, 3),
        "cpu_seconds": round(cpu_seconds() - begin.cpu, 3),
        "outcome": "failed" if manifest is None else "committed" if committed else "nothing-new",
        "message": mask(" ".join(error.split()))[:_MESSAGE],
    }
    if manifest is not None:
        entry |= {"snapshot": manifest["number"], "documents": manifest["documents"], "bytes": manifest["bytes"]}
        entry["rows_in"] = manifest["funnel"]["rows_in"]
    _append(os.path.join(dataset, FILE), _sealed(entry))
    return entry


def _append(path: str, entry: dict[str, Any]) -> None:
    try:
        storage.append_line(path, json.dumps(entry, sort_keys=True).encode())
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be written: {error.strerror}. The run itself is not affected: mend that, and run "
            "the same command again."
        ) from error


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def read(dataset: str) -> list[dict[str, Any]]:
    """Every run, oldest first, without damaged lines."""
    return [entry for entry in _entries(dataset) if entry is not None]


def problems(dataset: str) -> list[str]:
    """Problems of lines that have changed since they were written."""
    return [
        f"{FILE}, line {number}: damaged; readers leave it out, and it may be removed"
        for number, entry in enumerate(_entries(dataset), 1)
        if entry is None
    ]


def _entries(dataset: str) -> list[dict[str, Any] | None]:
    """The entry of each line; None for one that is torn or damaged. Entries of older versions have no checksum."""
    try:
        lines = storage.read_bytes(os.path.join(dataset, FILE)).decode(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    entries: list[dict[str, Any] | None] = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        good = isinstance(entry, dict) and entry.get("outcome") in OUTCOMES and entry.keys() >= _PARTS
        if good and "checksum" in entry:
            checksum = entry.pop("checksum")
            good = checksum == _sealed(entry)["checksum"]
        entries.append(entry if good and entry.keys() <= _FIELDS else None)
    return entries


def _sealed(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with its checksum."""
    digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    return {**entry, "checksum": digest[:16]}


def without_messages(dataset: str) -> None:
    """Clear the messages of failed runs, because a message may quote a document."""
    runs = read(dataset)
    if any(r["message"] for r in runs):
        lines = "".join(json.dumps(_sealed({**r, "message": ""}), sort_keys=True) + "\n" for r in runs)
        storage.write_atomic(os.path.join(dataset, FILE), lines.encode())


def metrics(dataset: str, name: str, manifest: Manifest | None) -> str:
    """The runs of a dataset and its newest snapshot as Prometheus metrics. `name`: the label `dataset` of each."""
    runs = read(dataset)
    label = f'dataset="{_escape(name)}"'
    lines: list[str] = []

    def add(metric: str, help_: str, samples: Sequence[tuple[str, float]], kind: str = "gauge") -> None:
        if samples:
            full = f"corpusmill_{metric}"
            lines.extend([f"# HELP {full} {help_}", f"# TYPE {full} {kind}"])
            lines.extend(f"{full}{{{label}{extra}}} {value:.15g}" for extra, value in samples)

    if runs:
        last = runs[-1]
        good = [r for r in runs if r["outcome"] != "failed"]
        by = [(f',outcome="{o}"', float(sum(r["outcome"] == o for r in runs))) for o in OUTCOMES]
        add("runs_total", "Runs recorded, by outcome.", by, "counter")
        add("last_run_end_timestamp_seconds", "When the last run ended.", [("", _epoch(last["end"]))])
        add("last_run_success", "1 if the last run committed or found nothing new.", [("", float(last in good))])
        add("last_run_seconds", "Duration of the last run.", [("", last["seconds"])])
        add("last_run_cpu_seconds", "CPU time of the last run.", [("", last["cpu_seconds"])])
        if good:
            add("last_success_timestamp_seconds", "When the last good run ended.", [("", _epoch(good[-1]["end"]))])
        total = sum(r["cpu_seconds"] for r in runs)
        add("cpu_seconds_total", "CPU time of all runs.", [("", total)], "counter")
    if manifest is not None:
        funnel = manifest["funnel"]
        add("snapshot", "Number of the newest snapshot.", [("", manifest["number"])])
        add("documents", "Documents in the newest snapshot.", [("", manifest["documents"])])
        add("text_bytes", "Bytes of text in the newest snapshot.", [("", manifest["bytes"])])
        add("rows_read", "Rows read for the newest snapshot.", [("", funnel["rows_in"])])
        add("rows_quarantined", "Rows that are not usable as documents.", [("", funnel["quarantined"])])
        lost = [
            (f',step="{_escape(s["name"])}",reason="{_escape(reason)}"', n)
            for s in funnel["steps"]
            for reason, n in s["dropped"].items()
        ]
        add("documents_dropped", "Documents dropped, by step and reason.", lost)
    return "".join(f"{line}\n" for line in lines)


def check_metrics(file: str) -> None:
    """Raise DatasetError if the metrics file cannot be written. Call this before the run."""
    path = storage.local_path(file)
    folder = os.path.dirname(os.path.abspath(path))
    if storage.is_local(file) and (os.path.isdir(path) or not os.access(folder, os.W_OK)):
        why = "it is a folder" if os.path.isdir(path) else f"{folder} is no folder that can be written to"
        raise DatasetError(f"--metrics {file}: {why}. Nothing ran; name another file.")


def write_metrics(file: str, dataset: str, name: str, manifest: Manifest | None) -> None:
    """Write the metrics atomically, because the collector may read at any moment."""
    try:
        storage.write_atomic(file, metrics(dataset, name, manifest).encode())
    except OSError as error:
        raise DatasetError(f"{file}: the metrics cannot be written: {error.strerror}; name another file") from error


def _epoch(utc: str) -> float:
    import calendar

    return float(calendar.timegm(time.strptime(utc, "%Y-%m-%dT%H:%M:%SZ")))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
