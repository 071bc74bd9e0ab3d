"""How far the job is that runs on a dataset now, from what its tasks have stored."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.wording import printable
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import snapshot_numbers


def progress(reader: Dataset) -> dict[str, Any]:
    """running, stage, done, total, reused, newest (snapshot)."""
    newest = max(snapshot_numbers(reader.path), default=0)
    idle: dict[str, Any] = {"running": False, "newest": newest}
    store = Store(reader.path)
    try:
        note = store.announced()
        if not note:
            return idle
        requests = store.load_task_list(note["plan"])["requests"]
        left = len(store.undone(requests))
    except (CorpusmillError, OSError, KeyError, TypeError):
        return idle  # it ended meanwhile
    stage = printable(str(note.get("label", f"stage {note['stage'] + 1}")))
    done = len(requests) - left
    return {
        "running": True,
        "newest": newest,
        "stage": stage,
        "done": done,
        "total": len(requests),
        "reused": note["reused"],
    }
