"""The suppression list names documents that must not be in a dataset again, even if its sources hold them.

    suppressed/000001.json, 000002.json, ...   each written once, atomically, and never changed or removed

An entry is an HMAC-SHA256 of an id, a user or a source's name under the dataset's salt, cut to 128 bits. A reader of
the list learns no id, but can check an id that he knows. Each entry also has 24 bits of a fast hash of the value.
Batches are filtered by these bits first, and the HMAC is computed only for rows that pass (one in 1,600 for 10,000
entries). The 24 bits fit one in 16 million strings, so they reveal little. A domain stands for all hosts below it, and
a host is that of the column `url`, or of an id that is a web address.

Pass 0 applies the list to what it reads (`Gate`). A small index keeps the ids, users and hosts of each split, with null
for suppressed rows. When the list grows, the index shows which splits have rows on it, and only those are read again.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError, LockedError
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.manifest import Suppressed, snapshot_numbers
from corpusmill.transforms.shards import ShardWriter, read_shard, text_bytes
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.web.address import above, addresses

FOLDER = "suppressed"
STEP = "suppression list"
"""Name of the list in the funnel and the ledger. No step of a recipe can have this name."""
REASON = "suppressed"
KINDS = ("id", "user", "source", "derived", "domain")
"""derived: ids that steps make. They are checked after every step that adds rows."""

_BITS = 24
INDEX = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("user", pa.string()),
        pa.field("bad", pa.bool_()),
        pa.field("host", pa.string()),
    ]
)
"""Schema of the index of a split: its rows in order, null except for `bad` if suppressed; then its quarantined rows."""
INDEX_FORM = "index 2"


class Suppression:
    """The first `number` files of a dataset's list."""

    def __init__(self, number: int, salt: bytes, entries: dict[str, list[tuple[str, int]]], digest: str) -> None:
        self.number, self.salt, self.digest = number, salt, digest
        self._known = {k: {bytes.fromhex(d) for d, _ in entries.get(k, [])} for k in KINDS}
        # np.unique would import numpy.ma, a fiftieth of the start-up of a run
        self._buckets = {k: np.array(sorted({b for _, b in entries.get(k, [])}), np.uint32) for k in KINDS}

    def __bool__(self) -> bool:
        return self.number > 0

    def count(self, kind: str) -> int:
        """Entries of a kind."""
        return len(self._known[kind])

    def seal(self, kind: str, value: str) -> bytes:
        """The HMAC of a value, 16 bytes."""
        return hmac.digest(self.salt, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), "sha256")[:16]

    def has(self, kind: str, value: str) -> bool:
        """Whether a value is on the list."""
        return self.seal(kind, value) in self._known[kind]

    def mask(self, kind: str, values: pa.Array) -> np.ndarray:
        """bool [n]: which strings are on the list. Null is not."""
        out = np.zeros(len(values), np.bool_)
        if not self._known[kind] or not len(values):
            return out
        known, asked = self._buckets[kind], buckets(values)
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        for i in np.flatnonzero(known[place] == asked):
            value = values[int(i)].as_py()
            out[i] = value is not None and self.has(kind, value)
        return out

    def rows(self, batch: pa.RecordBatch, ids: tuple[str, ...] = ("id",)) -> np.ndarray:
        """bool [n]: rows that the list names by a column of `ids`, by `user` or by `source`."""
        names = batch.schema.names
        out = np.zeros(batch.num_rows, np.bool_)
        for kind, columns in (("id", ids), ("derived", ids), ("user", ("user",)), ("source", ("source",))):
            for name in columns:
                if name in names and self._known[kind] and pa.types.is_string(batch.schema.field(name).type):
                    out |= self.mask(kind, batch.column(name))
        if self._known["domain"]:
            for name in ("url", *ids):
                if name in names and pa.types.is_string(batch.schema.field(name).type):
                    out |= self.below(addresses(batch.column(name)).host)
        return out

    def below(self, hosts: pa.Array) -> np.ndarray:
        """bool [n]: which hosts are, or lie below, a domain on the list; null does not."""
        if not self._known["domain"] or hosts.null_count == len(hosts):
            return np.zeros(len(hosts), np.bool_)
        coded = hosts.dictionary_encode()
        chains = [above(name) for name in coded.dictionary.to_pylist()]
        listed = self.mask("domain", pa.array([d for chain in chains for d in chain], pa.string()))
        ends = np.cumsum([len(chain) for chain in chains])
        hit = np.diff(np.concatenate([[0], np.cumsum(listed)[ends - 1]])) > 0
        return hit[coded.indices.fill_null(0).to_numpy()] & hosts.is_valid().to_numpy(zero_copy_only=False)


def hosts_of(batch: pa.RecordBatch) -> pa.Array:
    """The host of each document: string [n], from the column `url`, else from an id that is a web address; else null."""
    found = pa.nulls(batch.num_rows, pa.string())
    for name in ("url", "id"):
        if name not in batch.schema.names or not found.null_count:
            continue
        kind = batch.schema.field(name).type
        values = (
            batch.column(name).cast(pa.string()) if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None
        )
        if values is not None and pc.any(pc.starts_with(values, "http", ignore_case=True)).as_py():
            found = pc.coalesce(found, addresses(values).host)
    return found


def buckets(values: pa.Array) -> np.ndarray:
    """The 24 bits of each string: uint32 [n]."""
    return (hash64(values) >> np.uint64(64 - _BITS)).astype(np.uint32)


def numbers(dataset: str) -> list[int]:
    """Numbers of the files of a dataset's list."""
    names = storage.names_in(os.path.join(dataset, FOLDER))
    return sorted(int(m.group(1)) for m in (re.fullmatch(r"(\d{6,})\.json", n) for n in names) if m)


def load(dataset: str, number: int | None = None) -> Suppression:
    """The list, or its first `number` files.

    Raises:
        DatasetError: a file is missing or damaged, so that suppressed documents would come back.
    """
    found = numbers(dataset)
    number = (found[-1] if found else 0) if number is None else number
    return _load(os.path.abspath(dataset) if storage.is_local(dataset) else dataset, number)


@functools.lru_cache(8)
def _load(dataset: str, number: int) -> Suppression:
    entries: dict[str, list[tuple[str, int]]] = {k: [] for k in KINDS}
    salt, state = b"", hashlib.sha256()
    for n in range(1, number + 1):
        path = os.path.join(dataset, FOLDER, f"{n:06d}.json")
        try:
            data = json.loads(storage.read_bytes(path))
            if data["sha256"] != _checksum(data):
                raise ValueError("its checksum differs")
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(
                f"{path}: a part of the suppression list is missing or damaged ({error}). Documents that were taken out "
                "would come back: restore the file from a copy, then run the same command again."
            ) from None
        salt = bytes.fromhex(data["salt"])
        for kind, digest, bucket in data["entries"]:
            entries[kind].append((digest, bucket))
        state.update(data["sha256"].encode())
    return Suppression(number, salt, entries, state.hexdigest()[:40])


def _checksum(data: dict[str, Any]) -> str:
    body = {k: v for k, v in data.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def current(dataset: str) -> Suppression:
    """The whole list, after a check that it is not shorter than the list of the newest snapshot.

    Raises:
        DatasetError: files of the list are gone.
    """
    found = load(dataset)
    if snapshot_numbers(dataset):
        noted = Dataset(dataset).manifest().get("suppressed")
        if noted and (noted["lists"] > found.number or load(dataset, noted["lists"]).digest != noted["digest"]):
            raise DatasetError(
                f"{dataset}/{FOLDER}: the newest snapshot was made with a suppression list of {noted['lists']} files, which "
                f"are not all there as they were. Documents that were taken out would come back: restore the folder."
            )
    return found


def problem(dataset: str, noted: Suppressed) -> str:
    """Problems of the part of the list that a snapshot was made with. noted: `suppressed` of its manifest."""
    try:
        found = _load.__wrapped__(dataset, noted["lists"]).digest  # read the files again
    except DatasetError as error:
        return str(error)
    return "" if found == noted["digest"] else f"{FOLDER}: differs from the list that the snapshot was made with"


def append(dataset: str, values: dict[str, Iterable[str]]) -> Suppression:
    """Add values by kind; returns the whole list. Values that are on it are not added again. The caller holds the
    lock."""
    before = load(dataset)
    salt = before.salt or secrets.token_bytes(16)
    sealed = Suppression(before.number, salt, {}, "")
    entries = []
    for kind in KINDS:
        new = sorted({v for v in values.get(kind, ()) if not before.has(kind, v)})
        bits = buckets(pa.array(new, pa.string()))
        entries += sorted([kind, sealed.seal(kind, v).hex(), int(b)] for v, b in zip(new, bits, strict=True))
    if not entries:
        return before
    data: dict[str, Any] = {"format": 1, "salt": salt.hex(), "entries": entries}
    data["sha256"] = _checksum(data)
    storage.makedirs(os.path.join(dataset, FOLDER))
    path = os.path.join(dataset, FOLDER, f"{before.number + 1:06d}.json")
    if not storage.create_exclusive(path, (json.dumps(data, sort_keys=True) + "\n").encode()):
        raise LockedError(f"{path} was written by another process meanwhile. Run the same command again.")
    storage.sync_folders([dataset])
    return load(dataset)


def index_mask(suppression: Suppression, path: str, source: str) -> np.ndarray:
    """bool [rows]: which rows of a split are suppressed, from its index."""
    masks = [_index_rows(suppression, b, source) for b in read_shard(path)]
    return np.concatenate([np.zeros(0, np.bool_), *masks])


def _index_rows(suppression: Suppression, batch: pa.RecordBatch, source: str) -> np.ndarray:
    gone = pc.is_null(batch.column("id")).to_numpy(zero_copy_only=False) | suppression.rows(batch)
    gone |= suppression.below(batch.column("host"))
    return gone | suppression.has("source", source) if suppression else gone


def content_of(base: str, mask: np.ndarray) -> str:
    """Digest of the content of a split: `base`, and which of its rows are suppressed. It does not depend on the
    salt."""
    if not mask.any():
        return base
    return hashlib.sha256(base.encode() + len(mask).to_bytes(8, "little") + np.packbits(mask).tobytes()).hexdigest()[
        :40
    ]


class Gate:
    """Removes suppressed rows from a split as it is read, and writes the split's index.

    Attributes: dropped, bytes: number of suppressed rows, and size of their text. mask: of all rows read, see
    `index_mask`.
    """

    def __init__(self, suppression: Suppression, spec: SourceSpec, path: str) -> None:
        self._list, self._spec = suppression, spec
        # it is kept after the work is removed: a takedown finds in it documents that later steps dropped
        self.writer = ShardWriter(path, INDEX, "stage", durable=True)
        self._masks: list[np.ndarray] = []
        self.dropped = self.bytes = 0

    @property
    def mask(self) -> np.ndarray:
        """bool [rows read and quarantined]."""
        return np.concatenate([np.zeros(0, np.bool_), *self._masks])

    def pass_on(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches without suppressed rows. Batches may be empty."""
        for batch in batches:
            user = batch.column("user") if "user" in batch.schema.names else None
            gone = self._note(batch.column("id"), user, hosts_of(batch), False)
            if gone.any():
                lost = batch.filter(pa.array(gone))
                self.dropped += lost.num_rows
                self.bytes += text_bytes(lost)
                batch = batch.filter(pa.array(~gone))
            yield batch

    def quarantined(self, bad: BadRows) -> pa.Table:
        """The quarantined rows. If the list names their id or user, their content is removed."""
        table = bad.to_table()
        if not table.num_rows:
            return table
        ids, users = bad_keys(table, self._spec)
        return scrubbed(table, self._note(ids, users, bad_hosts(table, ids), True))

    def _note(self, ids: pa.Array, users: pa.Array | None, hosts: pa.Array, bad: bool) -> np.ndarray:
        n = len(ids)
        users = pa.nulls(n, pa.string()) if users is None else users.cast(pa.string())
        batch = pa.record_batch([ids.cast(pa.string()), users, pa.array(np.full(n, bad)), hosts], schema=INDEX)
        gone = _index_rows(self._list, batch, self._spec.name)
        self._masks.append(gone)
        if gone.any():
            stays = pa.array(~gone)
            id_, user, host = (pc.if_else(stays, batch.column(i), pa.nulls(n, pa.string())) for i in (0, 1, 3))
            batch = pa.record_batch([id_, user, batch.column(2), host], schema=INDEX)
        self.writer.write(batch)
        return gone


def ledger(source: str, rows: int, schema: pa.Schema) -> pa.Table:
    """Ledger rows of suppressed documents. They have no names."""
    fixed = {"source": source, "step": STEP, "reason": REASON, "value": float("nan"), "bytes": 0}
    return pa.table([pa.array([fixed.get(f.name)] * rows, f.type) for f in schema], schema=schema)


def bad_keys(table: pa.Table, spec: SourceSpec) -> tuple[pa.Array, pa.Array]:
    """(ids, users) in the raw rows of a quarantine table; an empty string if a row has none."""
    found: dict[str, list[str]] = {"id": [], "user": []}
    for raw in table.column("raw").to_pylist():
        for role, values in found.items():
            name = spec.column("id" if role == "id" else "user")
            values.append("" if name is None else _field(raw, name))
    return pa.array(found["id"], pa.string()), pa.array(found["user"], pa.string())


def bad_hosts(table: pa.Table, ids: pa.Array) -> pa.Array:
    """Hosts that the raw rows of a quarantine table show, by their field `url` or by the ids that `bad_keys` found."""
    urls = pa.array([_field(raw, "url") for raw in table.column("raw").to_pylist()], pa.string())
    return hosts_of(pa.record_batch({"url": urls, "id": ids}))


def bad_rows_of(
    batches: Iterable[pa.RecordBatch], sources: list[dict[str, Any]], document: str
) -> list[dict[str, Any]]:
    """Place and reason of the quarantined rows that have this id in their raw text."""
    specs = [SourceSpec.model_validate(s) for s in sources]
    found: list[dict[str, Any]] = []
    for batch in batches:
        for spec in specs:
            mine = pa.Table.from_batches([batch.filter(pc.equal(batch.column("source"), spec.name))])
            hits = mine.filter(pc.equal(bad_keys(mine, spec)[0], document))
            found += hits.drop_columns(["raw"]).to_pylist()
    return found


def _field(raw: str, name: str) -> str:
    """The value of a field of a JSON object, which may be cut off or malformed."""
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):  # malformed, or nested too deeply
        row = None
    if isinstance(row, dict):
        value = row.get(name)
        return "" if value is None else value if isinstance(value, str) else json.dumps(value)
    m = re.search(rf'"{re.escape(name)}"\s*:\s*("(?:[^"\\]|\\.)*"|-?[\w.+-]+)', raw)
    if m is None:
        return ""
    try:
        value = json.loads(m.group(1))
    except ValueError:
        return m.group(1).strip('"')
    return value if isinstance(value, str) else json.dumps(value)


def scrubbed(table: pa.Table, gone: np.ndarray) -> pa.Table:
    """The quarantine table with only place and reason in the rows `gone`."""
    if not gone.any():
        return table
    stays = pa.array(~gone)
    for name, value in (("raw", ""), ("detail", REASON)):
        i = table.schema.get_field_index(name)
        table = table.set_column(i, table.schema.field(i), pc.if_else(stays, table.column(i), value))
    return table
