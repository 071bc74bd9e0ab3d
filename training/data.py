"""Rows for training: random access to memory-mapped Arrow shards, and batches as a pure function of the step.

A shard is an uncompressed Arrow IPC file with a column `input_ids`, and optionally `segment_ids` (0 is padding, documents
count from 1), `position_ids`, `labels`, `loss_mask`, `target_ids` and its kin, and `source`; lists of a fixed size or not.
Columns are numpy views of the mapped files: opening 100 GB reads no more than the footers and the `source` column.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from corpusmill.privacy.certification import data_digest
from corpusmill.training.objectives import Batch, Objective
from corpusmill.training.order import Order
from corpusmill.transforms.errors import BadFileError, DatasetError, RecipeError
from corpusmill.transforms.hashing import mix64_array
from corpusmill.transforms.manifest import body_of, read_manifest, snapshot_numbers
from corpusmill.transforms.mix.split import SPLIT

TOKENS = ("input_ids", "segment_ids", "position_ids", "labels", "loss_mask")
TARGETS = ("target_ids", "target_segment_ids", "target_position_ids")
FILL = {"labels": -100}


class Rows(Protocol):
    """Protocol of rows with random access; `Shards`, `Arrays` and `finetune.documents.Documents` implement it."""

    digest: str
    sources: list[str]
    source_of: np.ndarray
    """int32 [rows]: the place in `sources` of each row's source, -1 for a row of several."""

    def __len__(self) -> int: ...

    def rows(self, index: np.ndarray) -> Batch:
        """The columns of rows `index`: int64 [n, T] each, padded to the longest."""


class _Column:
    """One list column of one record batch: numpy views of its values and, for lists of varying size, of its offsets."""

    def __init__(self, array: pa.Array) -> None:
        self.width = array.type.list_size if pa.types.is_fixed_size_list(array.type) else 0
        if self.width:
            flat = array.values.slice(array.offset * self.width, len(array) * self.width)
            self.values = flat.to_numpy().reshape(-1, self.width)
        else:
            self.values = array.values.to_numpy()
            self.offsets = array.offsets.to_numpy()

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[row] if self.width else self.values[self.offsets[row] : self.offsets[row + 1]]


class Shards:
    """The rows of a folder of packed shards, in the order of its manifest, or of file names if it has none.

    domain: the column of a row's domain (the `separate` column of `pack`). `splits`: the column `split`, or None.
    """

    def __init__(self, path: str | Path, snapshot: int | None = None, domain: str = "source") -> None:
        self.path = Path(path)
        files, manifest = _files(self.path, snapshot)
        self.files = files
        source_of_file = {
            self.path / f["path"]: f.get("source") for f in manifest.get("files", []) if isinstance(f, dict)
        }
        self.tokenizer_digest = _tokenizer_digest(manifest)
        self.teacher_temperature = _teacher_temperature(manifest)
        self.batches: list[dict[str, _Column]] = []
        sizes, sources, seen = [], [], hashlib.sha256()
        splits: list[pa.Array] = []
        for file in files:
            reader = _open(file)
            for i in range(reader.num_record_batches):
                batch = reader.get_batch(i)
                if not batch.num_rows:
                    continue
                names = [n for n in (*TOKENS, *TARGETS) if n in batch.schema.names]
                self.batches.append({name: _Column(batch.column(name)) for name in names})
                sizes.append(batch.num_rows)
                sources.append(_sources(batch, domain, source_of_file.get(file)))
                splits += [batch.column(SPLIT).cast(pa.string())] if SPLIT in batch.schema.names else []
            seen.update(f"{file.name}\0{file.stat().st_size}\0{reader.schema}\0".encode() + _ends(file))
        self.starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        if not self.batches:
            raise DatasetError(f"{path}: holds no rows. Look at the counts of the packing step.")
        known = pa.concat_arrays(sources).dictionary_encode()
        self.sources: list[str] = [s if s is not None else "" for s in known.dictionary.to_pylist()]
        self.source_of: np.ndarray = known.indices.fill_null(-1).to_numpy().astype(np.int32)
        self.digest = data_digest(manifest) or seen.hexdigest()
        self.length = self.batches[0]["input_ids"].width
        self.splits = pa.chunked_array(splits) if len(splits) == len(sizes) else None

    def __len__(self) -> int:
        return int(self.starts[-1])

    def rows(self, index: np.ndarray) -> Batch:
        """The columns of rows `index`: int64 [n, T] each. The only copy made on the way to the model."""
        places = np.searchsorted(self.starts, index, side="right") - 1
        within = index - self.starts[places]
        out: Batch = {}
        for name in self.batches[0]:
            out[name] = pad([self.batches[b][name][r] for b, r in zip(places, within)], FILL.get(name, 0))
        return out


class Arrays:
    """Rows in memory: columns int64 [rows, T] by name, and optionally the source of each row."""

    def __init__(self, columns: Batch, sources: list[str] | None = None) -> None:
        self.columns = {name: np.asarray(column, np.int64) for name, column in columns.items()}
        names = [""] * len(self) if sources is None else sources
        self.sources = sorted(set(names))
        self.source_of: np.ndarray = np.array([self.sources.index(name) for name in names], np.int32)
        self.length = self.columns["input_ids"].shape[1]
        seen = hashlib.sha256()
        for name in sorted(self.columns):
            seen.update(name.encode() + self.columns[name].tobytes())
        self.digest = seen.hexdigest()

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    def rows(self, index: np.ndarray) -> Batch:
        """The columns of rows `index`."""
        return {name: column[index] for name, column in self.columns.items()}


def pad(rows: list[np.ndarray], fill: int = 0, multiple: int = 1) -> np.ndarray:
    """Rows of different lengths as one int64 [n, T], filled at the end; T is a multiple of `multiple`."""
    width = -(-max((len(row) for row in rows), default=0) // multiple) * multiple
    out = np.full((len(rows), width), fill, np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _sources(batch: pa.RecordBatch, domain: str, otherwise: str | None) -> pa.Array:
    """The source of each row: from its column, from its file's entry in the manifest, or null."""
    if domain in batch.schema.names:
        column = batch.column(domain)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return column.cast(pa.string())
    return pa.array([otherwise if domain == "source" else None] * batch.num_rows, pa.string())


def _teacher_temperature(manifest: dict[str, Any]) -> float | None:
    """The temperature that the recipe's step `distill` asked the teacher at."""
    for step in reversed((manifest.get("recipe") or {}).get("steps") or []):
        if str(step.get("transform", "")).startswith("distill@"):
            return float(step["fields"]["temperature"])
    return None


def _ends(file: Path) -> bytes:
    """Digest of a file's first and last 64 KiB, which identifies data without a manifest."""
    with file.open("rb") as f:
        head = f.read(65536)
        f.seek(max(0, file.stat().st_size - 65536))
        return hashlib.sha256(head + f.read()).digest()


def _open(file: Path) -> Any:
    """A reader of the memory-mapped file."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(file)))
    except FileNotFoundError:
        raise DatasetError(
            f"{file}: this shard is in the manifest but not in the folder. Run the packing step again."
        ) from None
    except pa.ArrowInvalid as error:
        todo = "pack again with `output: {format: arrow}`; training maps uncompressed Arrow IPC files"
        raise BadFileError(str(file), f"is not a whole Arrow IPC file ({error})", todo) from error
    if "input_ids" not in reader.schema.names:
        raise DatasetError(f"{file}: has no column input_ids. Point data.train at the output of the packing step.")
    if "n_tokens" in reader.schema.names and "segment_ids" not in reader.schema.names:
        raise DatasetError(
            f"{file}: has no segment_ids, so documents would see each other. Pack with `segments: true`."
        )
    return reader


def _files(path: Path, snapshot: int | None) -> tuple[list[Path], dict[str, Any]]:
    """(shards in order, manifest or {}) of a dataset: a folder with `snapshots/`, or with Arrow files."""
    if not path.is_dir():
        raise DatasetError(f"{path}: there is no such folder of training shards. Pack first, or correct data.train.")
    numbers = snapshot_numbers(str(path))
    if numbers:
        number = snapshot or numbers[-1]
        if number not in numbers:
            raise DatasetError(f"{path}: has no snapshot {number}; the newest is {numbers[-1]}.")
        manifest: dict[str, Any] = {**body_of(read_manifest(str(path), number))}
        return [path / entry["path"] for entry in manifest["files"]], manifest
    files = sorted(f for f in path.rglob("*.arrow") if not f.name.startswith((".", "_")))
    side = path / "manifest.json"
    if not files:
        raise DatasetError(f"{path}: holds no .arrow files. Training reads the output of the packing step.")
    return files, json.loads(side.read_text()) if side.exists() else {}


def _tokenizer_digest(manifest: Any) -> str:
    """The SHA-256 of the tokenizer that a manifest names at any depth, or ""."""
    if isinstance(manifest, dict):
        for key, value in manifest.items():
            if "tokenizer" in key and isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
                return value
        manifest = list(manifest.values())
    if isinstance(manifest, list):
        return next((digest for item in manifest if (digest := _tokenizer_digest(item))), "")
    return ""


class Loader:
    """Batches for one process of `world`.

    Step s takes the rows of positions sG ... sG + G - 1 of `order`; process r of W the r-th slice of them, `micro_rows`
    at a time. Masks and other draws are keyed by (seed, position), so they differ between epochs and not between runs.
    One thread prepares the next step while this one trains.
    """

    def __init__(
        self, data: Rows, objective: Objective, order: Order, rows: int, micro_rows: int, rank: int = 0, world: int = 1
    ) -> None:
        if rows % world:
            raise RecipeError(
                f"batch.rows: {rows} rows cannot be shared by {world} processes; use a multiple of {world}."
            )
        self.data, self.objective, self.order = data, objective, order
        self.total, self.rank, self.share = rows, rank, rows // world
        self.micro_rows = min(micro_rows or self.share, self.share)
        self.key = order._key("draws")

    def state(self, step: int) -> dict[str, int]:
        """The position for a checkpoint: {epoch, step}."""
        return {"epoch": int(self.order.rows(np.array([step * self.total]))[1][0]), "step": step}

    def positions(self, step: int) -> np.ndarray:
        """Positions in the order that this process reads in `step`: int64."""
        return np.arange(self.share, dtype=np.int64) + step * self.total + self.rank * self.share

    def step(self, step: int) -> list[Batch]:
        """The micro-batches of one step."""
        positions = self.positions(step)
        index, _ = self.order.rows(positions)
        keys = mix64_array(mix64_array(positions.astype(np.uint64)) ^ self.key)
        batches = []
        for i in range(0, self.share, self.micro_rows):
            part = slice(i, i + self.micro_rows)
            batch = self.objective.prepare(self.data.rows(index[part]), keys[part])
            batches.append(self.objective.noised(batch, keys[part]))
        return batches

    def steps(self, start: int, stop: int) -> Iterator[list[Batch]]:
        """The steps start ... stop - 1, each prepared while the one before it is used."""
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:
            ahead: Future[list[Batch]] = pool.submit(self.step, start)
            for step in range(start, stop):
                batches = ahead.result()
                if step + 1 < stop:
                    ahead = pool.submit(self.step, step + 1)
                yield batches


def in_order(data: Rows, objective: Objective, index: np.ndarray, rows: int) -> Iterator[tuple[np.ndarray, Batch]]:
    """Batches of rows `index` as they come, for evaluation: (row numbers, batch). Draws are keyed by the row number."""
    for i in range(0, len(index), rows):
        part = index[i : i + rows]
        yield part, objective.prepare(data.rows(part), mix64_array(part.astype(np.uint64)))
