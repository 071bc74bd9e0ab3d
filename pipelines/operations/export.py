"""Exports a snapshot to the formats of trainers and catalogues: `corpusmill export`.

megatron, nanogpt and mds are written shard by shard from a snapshot of packed rows (mds also from documents). croissant is one
JSON-LD file that describes the snapshot's own shards.

Rows with a column `split` go to files of their split: train-00000.bin, val-00000.bin; for mds to folders. nanoGPT gets train.bin
and val.bin. Shards are written to `OUT.partial`, which becomes `OUT` when all of them are done. A killed export therefore leaves
no folder that looks complete, and the same command continues it. `corpusmill-export.json` notes which snapshot the folder holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.packed import packing
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.downstream import EXPORT
from corpusmill.privacy.certification import data_digest
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError, LockedError, RecipeError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.mix.split import SPLIT, TEST, TRAIN, VALIDATION
from corpusmill.transforms.progress import Meter, Tell
from corpusmill.transforms.shards import read_shard, shard_schema
from corpusmill.transforms.tokens.formats import TARGETS, finish, load, write_shard
from corpusmill.transforms.tokens.formats.files import File, Shard, sinks

STATE, LOCK, SUMS = "export-state.json", "export.lock", "SHA256SUMS"
SPLITS = (TRAIN, VALIDATION, TEST)
SHORT = {VALIDATION: "val"}
"""What trainers call a split in the names of files."""


@dataclass(frozen=True)
class Exported:
    """files: what was written. rows, tokens: in them, without padding; for croissant, in the dataset that it describes."""

    files: tuple[File, ...]
    rows: int
    tokens: int


def export(
    dataset: Dataset,
    to: str,
    out: str,
    number: int | None = None,
    license: str = "",
    description: str = "",
    tell: Tell | None = None,
) -> Exported:
    """Write a snapshot in another format.

    Args:
        dataset: where it lies.
        to: one of TARGETS.
        out: folder to write, which must be empty or absent; for croissant, the JSON file, or a folder for croissant.json.
        number: of the snapshot; default: the newest.
        license: SPDX identifier or URL, which croissant demands.
        description: for croissant.
        tell: takes reports of progress.

    Raises:
        DatasetError: the snapshot has no tokens, or `out` is in use.
        LockedError: another process writes the same export.
        RecipeError: the format cannot hold the columns.
    """
    manifest = dataset.manifest(number)
    if to not in TARGETS:
        raise DatasetError(f"--to {to}: there are {', '.join(TARGETS)}")
    target = load(to)
    if target.describe is not None:
        with _told(out):
            return _describe(target.describe, to, dataset, manifest, out, license, description)
    names = [f["name"] for f in manifest["schema"]]
    if not target.documents and "input_ids" not in names:
        raise DatasetError(
            f"{dataset.path}: snapshot {manifest['number']} holds text, and {to} holds tokens; end the recipe with `pack`"
        )
    out = out.rstrip("/") or "/"
    with _told(out):
        if os.path.exists(out) and not os.path.isdir(out):
            raise DatasetError(f"{out} is a file; name a folder")
        used = os.listdir(out) if os.path.isdir(out) else []
        if used:
            raise DatasetError(
                f"{out} is not empty (it holds {used[0]}); name a folder that is empty or does not exist"
            )
        try:
            return _written(dataset, manifest, to, out, tell)
        except RecipeError:
            with contextlib.suppress(OSError):
                shutil.rmtree(out + ".partial")  # it holds nothing that another command could use
            raise


@contextlib.contextmanager
def _told(out: str) -> Iterator[None]:
    """Turns the OS errors of this block into a DatasetError that names the file, or `out`."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{error.filename or out}: cannot be written: {error.strerror}. Mend that and run the same command again, or name "
            "another folder."
        ) from None


def _written(dataset: Dataset, manifest: Manifest, to: str, out: str, tell: Tell | None) -> Exported:
    """Write the shards to `OUT.partial`, then give the folder its name."""
    partial = out + ".partial"
    note = {"format": to, "dataset": manifest["name"], "snapshot": manifest["number"]}
    note |= {"manifest": manifest["digest"], "data": data_digest(manifest)}
    os.makedirs(partial, exist_ok=True)
    with _alone(partial):
        state = _state(partial, note)
        shards = []
        split = SPLIT in [f["name"] for f in manifest["schema"]]
        parts = SPLITS if split else (None,)
        extra: tuple[File, ...] = ()
        files, rows = manifest["files"], sum(f["rows"] for f in manifest["files"])
        with Meter(tell, f"export to {to}", len(files) * len(parts), "shard", rows * len(parts)) as meter:
            for part in parts:
                mine = []
                for i, file in enumerate(files):
                    key, path = f"{part}:{i}" if part else str(i), os.path.join(dataset.path, file["path"])
                    shard = _finished(partial, state["shards"].get(key))
                    if shard is None:
                        read = (_only(batch, part, meter) for batch in read_shard(path))
                        shard = write_shard(to, read, _stem(partial, to, part, i), shard_schema(path))
                        named = [{**asdict(f), "path": os.path.relpath(f.path, partial)} for f in shard.files]
                        state["shards"][key] = {**asdict(shard), "files": named}
                        storage.write_atomic(os.path.join(partial, STATE), json.dumps(state).encode(), fsync=False)
                    meter.add(1, documents=shard.rows, tokens=shard.tokens, bytes=sum(f.size for f in shard.files))
                    mine.append(shard)
                mine = [_without_empty(shard) for shard in mine] if part else mine
                if part is None or any(shard.rows for shard in mine):
                    extra += finish(to, os.path.dirname(_stem(partial, to, part, 0)), mine)
                    shards += _joined(partial, to, part, mine)
        noted = json.dumps(note, indent=1).encode() + b"\n"
        storage.write_atomic(os.path.join(partial, EXPORT), noted)
        sums = {os.path.relpath(f.path, partial): f.sha256 for f in (*_files(shards), *extra)}
        sums[EXPORT] = hashlib.sha256(noted).hexdigest()
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
        storage.write_atomic(os.path.join(partial, SUMS), lines.encode())
        for name in (STATE, *(n for n in os.listdir(partial) if n.startswith(storage.TEMPORARY))):
            with contextlib.suppress(FileNotFoundError):  # a killed process left the temporary ones
                os.unlink(os.path.join(partial, name))
        os.unlink(os.path.join(partial, LOCK))
        os.replace(partial, out)  # an empty folder of this name is replaced
    published = tuple(
        File(os.path.join(out, os.path.relpath(f.path, partial)), f.size, f.sha256) for f in (*_files(shards), *extra)
    )
    return Exported(published, sum(s.rows for s in shards), sum(s.tokens for s in shards))


def problems(out: str, tell: Tell | None = None) -> list[str]:
    """One line for each file of an exported folder that is not as it was written, by its SHA256SUMS. tell: takes reports of
    progress."""
    found = []
    todo = "export the snapshot again into another folder"
    try:
        lines = storage.read_bytes(os.path.join(out, SUMS)).decode().splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    except (FileNotFoundError, UnicodeDecodeError):
        return [f"{SUMS}: missing or damaged; {todo}"]
    files = (os.path.relpath(e.uri, out) for e in storage.local.below(out))
    present = {n for n in files if not os.path.basename(n).startswith(storage.TEMPORARY) and n != SUMS}
    both = {n: storage.stat(os.path.join(out, n)).size for n in present & sums.keys()}
    with Meter(tell, "verify", len(both), "file", sum(both.values())) as meter:
        for name in sorted(present | sums.keys()):
            if name not in both:
                found.append(f"{name}: {'is not in ' + SUMS if name in present else 'is missing'}; {todo}")
                continue
            digest = storage.sha256_of(os.path.join(out, name), lambda read: meter.add(bytes=read, work=read))
            meter.add(1)
            if digest != sums[name]:
                found.append(f"{name}: its SHA-256 is not that in {SUMS}; {todo}")
    return found


def _only(batch: pa.RecordBatch, part: str | None, meter: Meter) -> pa.RecordBatch:
    """The rows of one split; all of them for None."""
    meter.add(work=batch.num_rows)
    if part is None:
        return batch
    return batch.filter(pc.fill_null(pc.equal(batch.column(SPLIT).cast(pa.string()), part), False))


def _stem(partial: str, to: str, part: str | None, number: int) -> str:
    """The path of a shard without its suffix. Readers of mds take a folder for each split."""
    short = SHORT.get(part or "", part)
    if part is None:
        return os.path.join(partial, f"part-{number:05d}")
    if to == "mds":
        os.makedirs(os.path.join(partial, str(short)), exist_ok=True)
        return os.path.join(partial, str(short), f"part-{number:05d}")
    return os.path.join(partial, f"{short}-{number:05d}")


def _without_empty(shard: Shard) -> Shard:
    """A shard without files, if it has no row of its split."""
    if shard.rows:
        return shard
    for file in shard.files:
        os.unlink(file.path)
    return Shard((), 0, 0)


def _joined(partial: str, to: str, part: str | None, shards: list[Shard]) -> list[Shard]:
    """nanoGPT reads one file, train.bin or val.bin: the tokens of all shards one behind the other."""
    if to != "nanogpt":
        return shards
    with sinks(os.path.join(partial, f"{SHORT.get(part or '', part or TRAIN)}.bin")) as (sink,):
        for file in _files(shards):
            with open(file.path, "rb") as source:
                while block := source.read(1 << 24):
                    sink.write(block)
        whole = sink.publish()
    for file in _files(shards):
        os.unlink(file.path)
    return [Shard((whole,), sum(s.rows for s in shards), sum(s.tokens for s in shards))]


@contextlib.contextmanager
def _alone(partial: str) -> Iterator[None]:
    """Hold the lock of an export. The system releases it when the process ends."""
    import fcntl

    with open(os.path.join(partial, LOCK), "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LockedError(f"{partial}: another process writes this export. Wait for it, or stop it.") from None
        yield


def _state(partial: str, note: dict[str, Any]) -> dict[str, Any]:
    """What a killed export of the same snapshot has finished.

    Raises:
        DatasetError: the folder holds a part of another export.
    """
    try:
        state: dict[str, Any] = json.loads(storage.read_bytes(os.path.join(partial, STATE)))
    except (FileNotFoundError, ValueError):
        state = {}
    if state.get("about", note) != note:
        raise DatasetError(f"{partial} holds a part of another export; remove it, or name another folder")
    return {"about": note, "shards": state.get("shards", {})}


def _finished(partial: str, entry: dict[str, Any] | None) -> Shard | None:
    """A shard that is complete, by the digests of its files; None if it must be written."""
    try:
        files = tuple(File(os.path.join(partial, f["path"]), f["size"], f["sha256"]) for f in (entry or {})["files"])
        if all(storage.sha256_of(f.path) == f.sha256 for f in files):
            return Shard(files, entry["rows"], entry["tokens"], tuple(entry["index"]))  # type: ignore[index]
    except (OSError, KeyError, TypeError):
        pass
    return None


def _files(shards: list[Shard]) -> Iterator[File]:
    for shard in shards:
        yield from shard.files


def _describe(
    write: Callable[..., File],
    to: str,
    dataset: Dataset,
    manifest: Manifest,
    out: str,
    license: str,
    description: str,
) -> Exported:
    """Metadata of the snapshot's own files, for catalogues."""
    if not license:
        raise DatasetError(f"{to} names the licence of the data: give it with --license, for example CC-BY-4.0")
    if not manifest["files"]:
        raise DatasetError(f"{dataset.path}: snapshot {manifest['number']} is empty: there is nothing to describe")
    path = os.path.join(out, f"{to}.json") if os.path.isdir(out) or not out.endswith(".json") else out
    folder = os.path.dirname(os.path.abspath(path))
    files = []
    for f in manifest["files"]:
        # catalogues read paths with '/', relative to the metadata, or URIs
        place = os.path.join(dataset.path, f["path"])
        if storage.is_local(place):
            place = os.path.relpath(os.path.abspath(place), folder).replace(os.sep, "/")
        files.append(File(place, f["size"], f["sha256"]))
    if any(f.path.startswith("..") for f in files):
        raise DatasetError(
            f"{path}: {to} names files below its own folder; write it into {dataset.path} or a folder above it"
        )
    schema: pa.Schema = shard_schema(os.path.join(dataset.path, manifest["files"][0]["path"]))
    packed = packing(manifest)
    what = f"rows of tokens from {packed['packed']:,} documents" if packed else "documents"
    text = description or f"{manifest['documents']:,} {what}, made by corpusmill, recipe {manifest['recipe_digest']}"
    form = manifest["recipe"]["output"]["format"]
    published = date.fromisoformat(str(manifest["created"])[:10])
    version = f"{manifest['number']}.0.0"
    written = write(path, manifest["name"], text, schema, files, form, license, published, version)
    return Exported((written,), manifest["documents"], packed["tokens"] if packed else 0)
