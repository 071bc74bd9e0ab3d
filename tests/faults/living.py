"""A tiny dataset that lives, for tests that break it; and what is there, in a form that two lives can be compared by."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import RunResult, run
from corpusmill.transforms.sources import listing
from tests.corpora import rows, write_recipe

STEPS: list[Any] = [{"length": {"min_chars": 5}}, {"exact": {}}, {"noise": {"delete": 0.1, "copies": 1}}]
SOURCES = [{"name": "raw", "path": "raw/*.jsonl", "columns": {"id": "id", "user": "author"}, "max_bad_fraction": 0.9}]
_CHANGING = {"started", "finished", "digest"}


@contextlib.contextmanager
def folder(in_memory: bool = True) -> Iterator[Path]:
    """A folder that is gone afterwards; in memory, where it can be, so that forcing to disk costs nothing."""
    home = "/dev/shm" if in_memory and Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=home, ignore_cleanup_errors=True) as made:
        yield Path(made)


def write_source(base: Path, part: int, seed: int, n: int = 5) -> Path:
    """A file of n documents of three users, with one bad row."""
    docs = [{"id": d["id"], "text": d["text"], "author": f"u{i % 3}"} for i, d in enumerate(rows(n, seed=seed))]
    docs.append({"id": f"bad-{seed}", "text": None, "author": "u0"})  # type: ignore[dict-item]
    path = base / "raw" / f"part-{part}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(d) + "\n" for d in docs))
    return path


def recipe_in(base: Path, **changes: Any) -> Path:
    """The recipe, in a folder that has sources."""
    fields: dict[str, Any] = {
        "sources": SOURCES,
        "output": {"path": "out", "shard_bytes": 1024},
        "steps": STEPS,
        **changes,
    }
    return write_recipe(base, fields.pop("steps"), **fields)


def refresh(base: Path, workers: int = 1) -> RunResult:
    """Run the recipe of a folder. Its files count as old, so that their digests are kept however fast a test is."""
    with mock.patch.object(listing, "SETTLED", -1e9):
        return run(load(base / "recipe.yaml"), workers=workers)


@contextlib.contextmanager
def one_salt() -> Iterator[None]:
    """The same salt in every suppression list that is begun here, so that two lives have the same bytes."""
    with mock.patch.object(suppression.secrets, "token_bytes", lambda n: bytes(range(n))):
        yield


def contents(out: Path) -> dict[str, Any]:
    """What is in a dataset: bytes of what is published; of the work, the names; of events and reports, what does not tell
    the time. Temporary files of the dead are left out, as everybody leaves them out."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and not p.name.startswith(".tmp-")):
        name = path.relative_to(out).as_posix()
        if name == "events.jsonl":
            events = Dataset(out).events()
            found[name] = [(e["run"]["runId"], e["outputs"][0]["facets"]["version"]) for e in events]
        elif name.startswith("takedowns/"):
            if path.suffix == ".json":
                said = json.loads(path.read_bytes())
                found[name] = {k: v for k, v in said.items() if k not in _CHANGING}
        elif name.startswith(".corpusmill/"):
            found[name] = None
        elif name != "history.jsonl":
            found[name] = path.read_bytes()
    return found


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Names that two contents do not share, or share with other bytes."""
    said = [f"missing {n}" for n in sorted(a.keys() - b.keys())] + [f"new {n}" for n in sorted(b.keys() - a.keys())]
    return said + [f"differs {n}: {a[n]!r:.300} {b[n]!r:.300}" for n in sorted(a.keys() & b.keys()) if a[n] != b[n]]
