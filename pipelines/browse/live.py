"""How far the job is that runs on a dataset now, from what its tasks have stored."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.dataset.lock import is_held
from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.wording import printable
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import snapshot_numbers


def progress(reader: Dataset) -> dict[str, Any]:
    """running, stage, done, total, reused, documents (that tasks under way have read), newest (snapshot).

    A run that was killed leaves its last stage announced; it runs no longer, for it does not hold the lock.
    """
    newest = max(snapshot_numbers(reader.path), default=0)
    idle: dict[str, Any] = {"running": False, "newest": newest}
    store = Store(reader.path)
    try:
        note = store.announced()
        if not note or not is_held(reader.path, store.root):
            return idle
        requests = store.load_task_list(note["plan"])["requests"]
        left = store.undone(requests)
        documents = sum(rows for rows, _ in store.parts(left).values())
    except (CorpusmillError, OSError, KeyError, TypeError):
        return idle  # it ended meanwhile
    stage = printable(str(note.get("label", f"stage {note['stage'] + 1}")))
    done = len(requests) - len(left)
    return {
        "running": True,
        "newest": newest,
        "stage": stage,
        "done": done,
        "total": len(requests),
        "reused": note["reused"],
        "documents": documents,
    }
