"""The manifest of a snapshot: its shape, and the one place where it is read, checked and written.

It lies at the bottom of the packages because training, privacy and pipelines read it. A manifest may come from somebody
else: whatever it says is data. Every path is checked to lie inside its dataset, in a folder that commits write to, before
anything opens or removes the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, NotRequired, TypedDict

from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError

MANIFESTS = "snapshots"
FORMAT = 2
"""Version of the file. Manifests of version 1 have no checksum."""


class FileEntry(TypedDict):
    """A file of the dataset. path: relative to it, with `/`; bytes: of text; size: of the file; source: of a shard, or null."""

    path: str
    rows: int
    bytes: int
    size: int
    sha256: str
    source: NotRequired[str | None]


class Input(TypedDict):
    """A source file that was read. digest: of its content; arrival: the wave with which it came, from 1."""

    source: str
    path: str
    size: int
    digest: str
    arrival: NotRequired[int]


class LeftOut(TypedDict):
    """Things of one kind that a source holds and that are no documents, such as files of unknown formats or requests in a web
    archive: how many, and where one of them is."""

    number: int
    example: str


class SourceCount(TypedDict):
    """What one source gave: rows, bytes of text, rows that could not be documents, and by kind, what was left out."""

    name: str
    rows: int
    bytes: int
    quarantined: int
    left_out: NotRequired[dict[str, LeftOut]]


EVALUATION = "evaluation:"
"""Beginning of a name in `StepCount.details`: documents of an evaluation split that a step wrote once. The split follows."""


class StepCount(TypedDict):
    """What one step did: rows_in + derived = rows_out + the sum of dropped (rows by reason)."""

    name: str
    kind: str
    rows_in: int
    rows_out: int
    derived: int
    bytes_in: int
    bytes_out: int
    dropped: dict[str, int]
    details: NotRequired[dict[str, Any]]


class Funnel(TypedDict):
    """Rows from the sources to the published shards; `quarantined` rows reach no step."""

    sources: list[SourceCount]
    steps: list[StepCount]
    rows_in: int
    rows_out: int
    quarantined: int


class Column(TypedDict):
    """A column of the shards, with its Arrow type in words."""

    name: str
    type: str


class Parent(TypedDict):
    """The snapshot before: its number, and the SHA-256 of its manifest."""

    number: int
    digest: str


class Suppressed(TypedDict):
    """How many files of the suppression list a snapshot obeys, and their digest."""

    lists: int
    digest: str


class Purged(TypedDict):
    """was: digests that the manifest had before documents were purged; lists: as in `Suppressed`."""

    was: list[str]
    lists: int


class Rollback(TypedDict):
    """The snapshot whose content this one repeats."""

    to: int
    digest: str


class Mixed(TypedDict):
    """One domain of a mixture: what was asked, planned and written."""

    domain: str
    unit: str
    size: int
    epochs: float
    asked_share: float
    planned_share: float
    realised_share: float
    realised_size: int
    realised_documents: int
    documents: int


class Origin(TypedDict):
    """Documents that share an origin, and their bytes of text. kind: `domain`, `licence`, `language` or `month`; value: empty where
    a document says nothing."""

    kind: str
    value: str
    documents: int
    bytes: int


class Origins(TypedDict):
    """distinct: how many values a kind has; top: the largest by bytes of text."""

    distinct: dict[str, int]
    top: list[Origin]


class ManifestBody(TypedDict):
    """What a manifest file holds. `recipe` is a recipe with all defaults, `privacy` what its private text demands."""

    format: int
    name: str
    parent: Parent | None
    documents: int
    bytes: int
    content: str
    files: list[FileEntry]
    tables: dict[str, list[FileEntry]]
    funnel: Funnel
    schema: list[Column]
    recipe: dict[str, Any]
    recipe_digest: str
    work: str
    inputs: list[Input]
    mixture: NotRequired[list[Mixed]]
    origins: NotRequired[Origins]
    privacy: NotRequired[dict[str, Any]]
    suppressed: NotRequired[Suppressed]
    purged: NotRequired[Purged]
    rollback: NotRequired[Rollback]
    checksum: NotRequired[str]


class Manifest(ManifestBody):
    """A manifest as readers get it. number: of its snapshot; digest: SHA-256 of its file; created: time of its event."""

    number: int
    digest: str
    created: str | None


_ADDED = ("number", "digest", "created", "checksum")
"""Fields that the file lacks, and the checksum, which does not cover itself."""
_HEX = {n: re.compile(f"[0-9a-f]{{{n}}}") for n in (32, 40, 64)}
_COUNTED = ("rows_in", "rows_out", "derived", "bytes_in", "bytes_out")


def manifest_name(number: int) -> str:
    """`snapshots/000001.json`"""
    return f"{MANIFESTS}/{number:06d}.json"


def snapshot_numbers(dataset: str) -> list[int]:
    """Numbers of the committed snapshots, ascending."""
    names = storage.names_in(os.path.join(dataset, MANIFESTS))
    return sorted(int(m.group(1)) for m in (re.fullmatch(r"(\d{6,})\.json", n) for n in names) if m)


def read_manifest(dataset: str, number: int) -> Manifest:
    """A manifest, checked; `created`, which stands in the dataset's events, is None.

    Raises:
        DatasetError: it is damaged, or says what no commit writes.
    """
    name = f"{dataset}/{manifest_name(number)}"
    data = storage.read_bytes(os.path.join(dataset, manifest_name(number)))
    body = parse_manifest(data, name)
    _stays_inside(dataset, body, name)
    return {**body, "number": number, "digest": hashlib.sha256(data).hexdigest(), "created": None}


def parse_manifest(data: bytes, name: str) -> ManifestBody:
    """The manifest in a file's bytes. name: for messages.

    Raises:
        DatasetError: it is damaged, or says what no commit writes.
    """
    try:
        body = json.loads(data)
        if not isinstance(body, dict):
            raise ValueError("it is no mapping")
        if body.get("format") not in (1, FORMAT):
            raise ValueError(f"its format is {body.get('format')!r}, and this corpusmill reads 1 to {FORMAT}")
        if body["format"] != 1 and body.get("checksum") != checksum(body):
            raise ValueError("its checksum differs")
        _check(body)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{name} is damaged: {error}. Restore it from a copy.") from error
    return body  # type: ignore[return-value]  # checked field by field


def _stays_inside(dataset: str, body: ManifestBody, name: str) -> None:
    """Raises DatasetError if a file that a manifest names is, or lies behind, a symbolic link that leads out of the dataset."""
    if not storage.is_local(dataset):
        return
    home = os.path.realpath(storage.local_path(dataset))
    paths = [os.path.join(home, file["path"]) for file in files_of(body)]
    for path in [*sorted({os.path.dirname(p) for p in paths}), *filter(os.path.islink, paths)]:
        real = os.path.realpath(path)
        if os.path.commonpath((home, real)) != home:
            raise DatasetError(
                f"{name}: {os.path.relpath(path, home)} is a symbolic link to {real}, out of the dataset, which is not followed. "
                "To go on: put the files themselves there."
            )


def checksum(body: Any) -> str:
    """Digest of what a manifest says, its own field `checksum` left out."""
    said = {k: v for k, v in body.items() if k not in _ADDED}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def manifest_bytes(manifest: ManifestBody | Manifest) -> bytes:
    """A manifest as it is written."""
    body = {k: v for k, v in manifest.items() if k not in _ADDED} | {"format": FORMAT}
    body = json.loads(json.dumps(body))  # as it will be read: keys that are numbers become strings
    body["checksum"] = checksum(body)
    return (json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def body_of(manifest: Manifest) -> ManifestBody:
    """What the file of a manifest holds, to be changed and written as another one."""
    body: Any = {k: v for k, v in manifest.items() if k not in _ADDED}
    return body


def files_of(manifest: ManifestBody | Manifest) -> list[FileEntry]:
    """Every file that a manifest names."""
    return [*manifest["files"], *(f for files in manifest["tables"].values() for f in files)]


def checked_path(path: Any, where: str) -> str:
    """A path of a published file: relative, below a folder that commits write to.

    >>> checked_path("data/web-0123.parquet", "files[0]")
    'data/web-0123.parquet'
    >>> checked_path("../other/x.parquet", "files[0]")
    Traceback (most recent call last):
    ValueError: files[0]: the path '../other/x.parquet' is none of a published file

    Raises:
        ValueError: it is absolute, leads out of the dataset, or names what no commit writes.
    """
    parts = path.split("/") if isinstance(path, str) else []
    fits = 1 <= len(parts) <= 3 and parts[-1].endswith((".parquet", ".arrow")) and path.isprintable()
    if not fits or "\\" in path or any(p.startswith(".") or not p for p in parts) or parts[0].endswith(":"):
        raise ValueError(f"{where}: the path {path!r} is none of a published file")
    if parts[0] in (MANIFESTS, "suppressed", "takedowns"):
        raise ValueError(f"{where}: the path {path!r} is none of a published file")
    return str(path)


def _check(body: dict[str, Any]) -> None:
    """Raises ValueError, which names the field, unless every field has the form that commits give it."""
    _text(body, "name", "content", "recipe_digest", "work")
    _count(body, "", "documents", "bytes")
    _digest(body["work"], 40, "work")
    for key, kind in (("files", list), ("tables", dict), ("funnel", dict), ("schema", list), ("recipe", dict)):
        _is(body.get(key), kind, key)
    for i, file in enumerate(body["files"]):
        _file(file, f"files[{i}]")
    for kind, files in body["tables"].items():
        for i, file in enumerate(_is(files, list, f"tables.{kind}")):
            _file(file, f"tables.{kind}[{i}]")
    _funnel(body["funnel"])
    for i, column in enumerate(body["schema"]):
        _text(_is(column, dict, f"schema[{i}]"), "name", "type", where=f"schema[{i}].")
    _recipe(body["recipe"])
    for i, file in enumerate(_is(body.get("inputs"), list, "inputs")):
        _text(_is(file, dict, f"inputs[{i}]"), "source", "path", "digest", where=f"inputs[{i}].")
        _count(file, f"inputs[{i}].", "size", *(("arrival",) if "arrival" in file else ()))
    if body.get("parent") is not None:
        _reference(body["parent"], "parent", "number")
    if "suppressed" in body:
        _reference(body["suppressed"], "suppressed", "lists", 40)
    if "rollback" in body:
        _reference(body["rollback"], "rollback", "to")
    if "purged" in body:
        _count(_is(body["purged"], dict, "purged"), "purged.", "lists")
        for digest in _is(body["purged"].get("was"), list, "purged.was"):
            _digest(digest, 64, "purged.was")
    _is(body.get("privacy", {}), dict, "privacy")
    for i, row in enumerate(_is(body.get("mixture", []), list, "mixture")):
        _text(_is(row, dict, f"mixture[{i}]"), "domain", "unit", where=f"mixture[{i}].")
    if "origins" in body:
        distinct = _is(_is(body["origins"], dict, "origins").get("distinct"), dict, "origins.distinct")
        _count(distinct, "origins.distinct.", *distinct)
        for i, row in enumerate(_is(body["origins"].get("top"), list, "origins.top")):
            _text(_is(row, dict, f"origins.top[{i}]"), "kind", "value", where=f"origins.top[{i}].")
            _count(row, f"origins.top[{i}].", "documents", "bytes")


def _is(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{where} is missing or no {'mapping' if kind is dict else 'list'}")
    return value


def _text(holder: dict[str, Any], *keys: str, where: str = "") -> None:
    for key in keys:
        if not isinstance(holder.get(key), str):
            raise ValueError(f"{where}{key} is missing or no text")


def _count(holder: dict[str, Any], where: str, *keys: str) -> None:
    for key in keys:
        value = holder.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise ValueError(f"{where}{key} is missing or no count")


def _digest(value: Any, digits: int, where: str) -> None:
    if not isinstance(value, str) or not _HEX[digits].fullmatch(value):
        raise ValueError(f"{where} is no digest of {digits} hexadecimal digits")


def _file(file: Any, where: str) -> None:
    _is(file, dict, where)
    checked_path(file.get("path"), where)
    _count(file, f"{where}.", "rows", "bytes", "size")
    _digest(file.get("sha256"), 64, f"{where}.sha256")
    if file.get("source") is not None:
        _text(file, "source", where=f"{where}.")


def _funnel(funnel: dict[str, Any]) -> None:
    _count(funnel, "funnel.", "rows_in", "rows_out", "quarantined")
    for i, source in enumerate(_is(funnel.get("sources"), list, "funnel.sources")):
        _text(_is(source, dict, f"funnel.sources[{i}]"), "name", where=f"funnel.sources[{i}].")
        _count(source, f"funnel.sources[{i}].", "rows", "bytes", "quarantined")
    for i, step in enumerate(_is(funnel.get("steps"), list, "funnel.steps")):
        where = f"funnel.steps[{i}]"
        _text(_is(step, dict, where), "name", "kind", where=f"{where}.")
        _count(step, f"{where}.", *_COUNTED)
        dropped = _is(step.get("dropped"), dict, f"{where}.dropped")
        _count(dropped, f"{where}.dropped.", *dropped)
        _is(step.get("details", {}), dict, f"{where}.details")


def _recipe(recipe: dict[str, Any]) -> None:
    _is(recipe.get("output"), dict, "recipe.output")
    for part in ("sources", "steps"):
        for i, entry in enumerate(_is(recipe.get(part), list, f"recipe.{part}")):
            where = f"recipe.{part}[{i}]"
            _text(_is(entry, dict, where), "name", *(["transform"] if part == "steps" else []), where=f"{where}.")
            if part == "steps":
                _is(entry.get("fields"), dict, f"{where}.fields")


def _reference(value: Any, where: str, number: str, digits: int = 64) -> None:
    _count(_is(value, dict, where), f"{where}.", number)
    _digest(value.get("digest"), digits, f"{where}.digest")
