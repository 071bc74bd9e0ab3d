"""Finds what was made from snapshots of a dataset, at any distance: datasets, models, tokenizers and exports.

The folders are searched once for artifacts that say what they were made from. Each artifact names keys that it needs (the
digest of a shard, of a list of shards or of a manifest; the path of a model or dataset) and keys that it provides to others.
What needs a key of the dataset was made from it, and its own keys are then followed in the same way.

| artifact    | file                     | made from                                                                        |
|-------------|--------------------------|----------------------------------------------------------------------------------|
| checkpoint  | state.json               | the data that it was trained on, its base model, its teacher                     |
| snapshot    | snapshots/NNNNNN.json    | the files that it read, the models that its recipe names                         |
| model       | provenance.json          | the data of the run that was exported                                            |
| teacher     | teacher.json             | the data and the model of a teacher's pass                                       |
| tokenizer   | FILE.origin.json         | the dataset that it was trained on                                               |
| export      | corpusmill-export.json   | the snapshot that was exported                                                   |
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.lineage import Digests, Lineage, stored
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.tokens.tokenizer import ORIGIN

DEPTH = 6
"""Folders below each searched one."""
EXPORT = "corpusmill-export.json"
"""Notes in the folder of an export which snapshot it holds."""


@dataclass
class Artifact:
    """Something that was found in a folder.

    verb: how it was made, for the report. needs: keys of what it was made from. provides: keys by which others name it.
    """

    kind: str
    path: str
    verb: str
    needs: set[str]
    provides: set[str] = field(default_factory=set)


def trace(
    folders: Iterable[str], reader: Dataset, lineage: Lineage, holding: set[int], shards: set[str]
) -> list[dict[str, Any]]:
    """Find what was made from these snapshots below `folders`.

    Args:
        folders: where to search.
        reader: of the dataset itself, which is not searched.
        lineage: of the dataset; snapshots that it names and that are gone are taken for holding the documents.
        holding: numbers of the snapshots that hold, or held, the documents.
        shards: SHA-256 of the shards of existing snapshots that hold the documents.

    Returns:
        kind, path, because, and snapshots: numbers of those it was made from; sorted by path. What earlier takedowns found
        and this search did not is included.
    """
    own = storage.absolute(reader.path)
    artifacts = list(_artifacts([storage.absolute(f) for f in folders], own))
    known = {d for digests in lineage.snapshots.values() for d in digests.data}
    known |= {key[5:] for a in artifacts if a.kind == "snapshot" for key in a.provides if key.startswith("data:")}
    for artifact in artifacts:  # a digest says more than a path does
        if any(key[5:] in known for key in artifact.needs if key.startswith("data:")):
            artifact.needs = {k for k in artifact.needs if not k.startswith("dataset:")}
    keys = _own_keys(own, reader, lineage, holding, {s[:32] for s in shards})
    found = dict(_reached(artifacts, keys))
    found |= _copies(artifacts, keys, {a["path"] for a in found.values()})
    for path, entry in lineage.derived.items():
        if path not in found and set(entry["snapshots"]) & (holding | (set(lineage.snapshots) - set(reader.numbers))):
            found[path] = entry
    return [found[path] for path in sorted(found)]


def _own_keys(
    own: str, reader: Dataset, lineage: Lineage, holding: set[int], shards: set[str]
) -> dict[str, tuple[str, set[int]]]:
    """Key -> (what it stands for, numbers of snapshots)."""
    gone = set(lineage.snapshots) - set(reader.numbers)
    keys: dict[str, tuple[str, set[int]]] = {}
    present = {f["sha256"][:32] for n in reader.numbers for f in reader.manifest(n)["files"]}
    for number in sorted(gone | holding & set(lineage.snapshots)):
        digests = lineage.snapshots[number]
        name = f"snapshot {number}" + (", which is gone and may have held them" if number in gone else "")
        for key in _keys_of(Digests(digests.manifests, digests.data)):
            keys.setdefault(key, (name, set()))[1].add(number)
        # of the shards that exist it is known which hold the documents; any of the others may have held them
        for shard in digests.shards & shards | digests.shards - present:
            keys.setdefault(f"shard:{shard}", (f"shards of {name}", set()))[1].add(number)
        for key in (f"snapshot:{own}#{number}", f"dataset:{own}"):
            keys.setdefault(key, (name if "#" in key else "an unknown snapshot of the dataset", set()))[1].add(number)
    return keys


def _keys_of(digests: Digests) -> set[str]:
    keys = {f"manifest:{d}" for d in digests.manifests} | {f"data:{d}" for d in digests.data}
    return keys | {f"shard:{d}" for d in digests.shards}


def _reached(artifacts: list[Artifact], keys: dict[str, tuple[str, set[int]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The artifacts that need one of the keys, then those that need one of theirs; `keys` gets what they provide."""
    waiting = artifacts
    while waiting:
        rest: list[Artifact] = []
        reached: list[Artifact] = []
        for artifact in waiting:
            hits = sorted(artifact.needs & set(keys))
            if not hits:
                rest.append(artifact)
                continue
            reached.append(artifact)
            numbers = set().union(*(keys[h][1] for h in hits))
            names = sorted({keys[h][0] for h in hits})
            yield artifact.path, _entry(artifact, f"{artifact.verb} {names[0]}", numbers)
            for key in artifact.provides:
                keys.setdefault(key, (artifact.path, set()))[1].update(numbers)
        if not reached:
            return
        waiting = rest


def _entry(artifact: Artifact, because: str, numbers: set[int]) -> dict[str, Any]:
    return {"kind": artifact.kind, "path": artifact.path, "because": because, "snapshots": sorted(numbers)}


def _copies(
    artifacts: list[Artifact], keys: dict[str, tuple[str, set[int]]], found: set[str]
) -> dict[str, dict[str, Any]]:
    """Copies of tokenizers that were reached, by their bytes."""
    copies: dict[str, dict[str, Any]] = {}
    if any(k.startswith("tokenizer:") for k in keys):
        for artifact in artifacts:
            if artifact.kind == "copy" and artifact.path not in found and os.path.dirname(artifact.path) not in found:
                key = f"tokenizer:{hashlib.sha256(_bytes(artifact.path)).hexdigest()}"
                if key in keys:
                    name, numbers = keys[key]
                    artifact.kind = "tokenizer"
                    copies[artifact.path] = _entry(artifact, f"is a copy of {name}", numbers)
    return copies


def _artifacts(folders: list[str], own: str) -> Iterator[Artifact]:
    """Everything below the folders that says what it was made from, each once."""
    seen: set[str] = set()
    for top in folders:
        for folder, files in _folders(top, own):
            if folder in seen:
                continue
            seen.add(folder)
            for name in sorted(files):
                if name in _READERS:
                    yield from _READERS[name](folder, _read(os.path.join(folder, name)))
                elif name.endswith(ORIGIN):
                    yield from _tokenizer(os.path.join(folder, name), _read(os.path.join(folder, name)))
            if os.path.basename(folder) == "snapshots":
                yield from _snapshots(folder, files)


def _checkpoint(folder: str, state: dict[str, Any]) -> Iterator[Artifact]:
    digests, train = _dict(state, "digests"), _dict(state, "train")
    data = _dict(train, "data")
    needs = {f"data:{digests['data']}"} if isinstance(digests.get("data"), str) else set()
    for path in _places(folder, data.get("train")):
        number = data.get("snapshot")
        needs.add(f"snapshot:{path}#{number}" if isinstance(number, int) else f"dataset:{path}")
    for section, name in (("tune", "base"), ("objective", "teacher"), ("objective", "states_of")):
        needs |= {f"path:{p}" for p in _places(folder, _dict(train, section).get(name))}
    provides = {k for k in needs if k.startswith("data:")}
    yield Artifact(
        "checkpoint",
        folder,
        "was trained on",
        needs,
        provides | _run_paths(folder),
    )


def _model(folder: str, note: dict[str, Any]) -> Iterator[Artifact]:
    digest = _dict(note, "trained_on").get("digest")
    if isinstance(digest, str):
        yield Artifact("model", folder, "was trained on", {f"data:{digest}"}, _own_path(folder))


def _teacher(folder: str, note: dict[str, Any]) -> Iterator[Artifact]:
    needs = {f"data:{note['data']}"} if isinstance(note.get("data"), str) else set()
    yield Artifact("teacher", folder, "holds what a teacher says of", needs, _own_path(folder))


def _export(folder: str, note: dict[str, Any]) -> Iterator[Artifact]:
    needs = {f"{key}:{note[key]}" for key in ("manifest", "data") if isinstance(note.get(key), str)}
    yield Artifact("export", folder, "holds", needs, _own_path(folder))


def _copy(folder: str, _: dict[str, Any]) -> Iterator[Artifact]:
    yield Artifact("copy", os.path.join(folder, "tokenizer.json"), "", set())


def _tokenizer(file: str, note: dict[str, Any]) -> Iterator[Artifact]:
    path = file.removesuffix(ORIGIN)
    needs = {f"{key}:{note[key]}" for key in ("manifest", "data") if isinstance(note.get(key), str)}
    needs |= {f"dataset:{p}" for p in _places(os.path.dirname(file), note.get("recipe_output"))}
    provides = {f"tokenizer:{note['sha256']}"} if isinstance(note.get("sha256"), str) else set()
    yield Artifact("tokenizer", path, "was trained on", needs, provides)


def _snapshots(folder: str, files: list[str]) -> Iterator[Artifact]:
    """The snapshots of another dataset, also those that are gone."""
    home = os.path.dirname(folder)
    try:
        lineage = stored(home)
    except (DatasetError, OSError):
        lineage = Lineage()
    for name in sorted(f for f in files if f.endswith(".json") and f[:-5].isdigit()):
        data = _bytes(os.path.join(folder, name))
        manifest = _parsed(data)
        if manifest:
            lineage.add(int(name[:-5]), manifest, hashlib.sha256(data).hexdigest())
    base = _base_of(home)
    for number, digests in sorted(lineage.snapshots.items()):
        name = f"{number:06d}.json"
        needs = {f"shard:{d}" for d in digests.inputs}
        if name in files:
            steps = _dict(_read(os.path.join(folder, name)), "recipe").get("steps")
            strings = set(_strings(steps))
            needs |= {f"path:{p}" for text in strings for p in _places(home, text, base)}
        provides = _keys_of(digests) | {f"snapshot:{home}#{number}", f"dataset:{home}"}
        yield Artifact("snapshot", os.path.join(folder, name), "was made from", needs, provides)


_READERS = {
    "state.json": _checkpoint,
    "provenance.json": _model,
    "teacher.json": _teacher,
    EXPORT: _export,
    "tokenizer.json": _copy,
}
"""File name -> the artifacts that it describes."""


def _own_path(folder: str) -> set[str]:
    return {f"path:{folder}"}


def _run_paths(folder: str) -> set[str]:
    """Keys of a checkpoint RUN/checkpoints/STEP: others name the checkpoint or the run."""
    parent = os.path.dirname(folder)
    run = {f"path:{parent}", f"path:{os.path.dirname(parent)}"} if os.path.basename(parent) == "checkpoints" else set()
    return _own_path(folder) | run


def _places(folder: str, named: Any, base: str = "") -> set[str]:
    """Where a path may lie that was written relative to an unknown folder: below `base`, or any folder above `folder`.

    A path inside of a dataset (its files, or a pattern of them) stands for the dataset as well.
    """
    if not isinstance(named, str) or not named or "\n" in named or len(named) > 1000:
        return set()
    texts = {named, named.partition(":")[2]} - {""} if not storage.is_local(named) or ":" in named else {named}
    above = [base] if base else []
    while len(above) <= DEPTH + 2 and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
        above.append(folder)
    places: set[str] = set()
    for text in texts:
        joined = [text] if not storage.is_local(text) else [os.path.normpath(os.path.join(a, text)) for a in above]
        places.update(joined)
        for place in joined:
            parts = place.split("/data/")
            places.update("/data/".join(parts[:i]) for i in range(1, len(parts)))
            if place.endswith("/data"):
                places.add(place.removesuffix("/data"))
    return places


def _base_of(home: str) -> str:
    """The folder of the recipe that made a dataset, if it is known."""
    base = _read(os.path.join(home, ".corpusmill", "recipe.json")).get("base_dir")
    return os.path.normpath(os.path.join(home, base)) if isinstance(base, str) else ""


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


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _bytes(path: str) -> bytes:
    try:
        return storage.read_bytes(path)
    except OSError:
        return b""


def _read(path: str) -> dict[str, Any]:
    return _parsed(_bytes(path))


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _dict(value: dict[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}
