"""Deduplication across owners: which of its documents each owner drops, without anybody seeing another's text.

Exact: one element a document, the 128-bit hash of the normalised text. MinHash: one element a band of the sketch
(Dahlgaard, Knudsen, Thorup 2017; `transforms/dedup/sketch.py`) and one for the words as a whole. Elements meet as tags in
`intersection.py`. The aggregator then decides as the steps `exact` and `minhash` decide on pooled data (from the same pairs):
an earlier owner (in the job's order) keeps a duplicate, within one owner the smallest id (or the most bytes) does.

With `confirm`, candidates are compared by their sketches before they count: for the documents that have a candidate, the
slots come to the aggregator as 32-bit values under a key (AES) that only owners have, and the share of equal slots
estimates their Jaccard similarity without bias (deviation sqrt(J (1 - J) / slots)). A pooled `minhash` compares shingles.

Who learns what (honest but curious), beyond `intersection.py`:
    an owner        the sizes of the other sets, and which of its documents to drop and which owner keeps one like it
                    (`tell_keeper: false`: only that another owner, or it itself, does)
    the aggregator  number of documents of each owner, the graph of who shares how many bands with whom, and estimated
                    similarities; no text, no id, no hash that it could try guesses on
Collusion: the aggregator and one owner together have the key of the slots and can test guesses of a whole document against
those that have candidates. Deduplication has no differential privacy claim for documents: whether a document is dropped
depends on one other document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from corpusmill.privacy.secure.intersection import match, receive_tags, send_elements, shuffled
from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.settings import Dedup
from corpusmill.transforms.dedup._candidates import EQUAL, band_pairs
from corpusmill.transforms.dedup._grouping import column
from corpusmill.transforms.dedup._order import order_columns, order_ranks
from corpusmill.transforms.dedup._sketch import band_keys, sketch
from corpusmill.transforms.dedup._union_find import join, roots
from corpusmill.transforms.dedup.exact import Exact
from corpusmill.transforms.errors import MissingDependencyError, ProtocolError, SourceError
from corpusmill.transforms.hashing import mix64_array

ROWS = 1 << 20
"""Element numbers a message."""
SLOT_BYTES = 1 << 23
SlotsOf = Callable[[int, np.ndarray], np.ndarray]
_AT_ONCE = 4096  # pairs compared


class Documents(NamedTuple):
    """An owner's documents in their order of survival: ids, and of each how many elements; all elements, document by
    document (uint64 [m, 2], the words as a whole first); slots uint64 [n, slots] where they will be compared."""

    ids: pa.Array
    counts: np.ndarray
    elements: np.ndarray
    slots: np.ndarray


def prepare(batches: Iterable[pa.RecordBatch], settings: Dedup) -> Documents:
    """The elements of all documents. Raises SourceError if two have the same id."""
    ranks, pieces = [], []
    for batch in batches:
        if batch.num_rows:
            ranks.append(pa.table(order_columns(batch, settings.keep, "secure dedup")))
            pieces.append(_elements(batch.column("text"), settings))
    if not pieces:
        empty = np.empty((0, 2), np.uint64)
        return Documents(pa.array([], pa.string()), np.empty(0, np.uint32), empty, np.empty((0, 0), np.uint64))
    table = pa.concat_tables(ranks).combine_chunks()
    ids = table.column("id").combine_chunks().cast(pa.string())
    if len(ids.unique()) < len(ids):
        raise SourceError(
            "two documents have the same id, so a list of ids could not say which to drop; make ids unique."
        )
    order = np.argsort(order_ranks(table))
    counts = np.concatenate([p[0] for p in pieces])
    elements = np.concatenate([p[1] for p in pieces])
    slots = np.concatenate([p[2] for p in pieces])
    begins = np.cumsum(counts) - counts
    taken = counts[order]
    within = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
    return Documents(
        ids.take(pa.array(order)),
        taken.astype(np.uint32),
        elements[np.repeat(begins[order], taken) + within],
        slots[order],
    )


def _elements(texts: pa.Array, settings: Dedup) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = len(texts)
    if settings.method == "exact":
        hashes = Exact(normalize=settings.normalize).hashes(texts)
        return np.ones(n, np.int64), hashes, np.empty((n, 0), np.uint64)
    slots, documents, shingles = sketch(texts, settings.bands * settings.rows, settings.ngram)
    key, _, document = band_keys(slots, documents, shingles, settings.bands, settings.rows)
    counts = np.bincount(document, minlength=n) + 1
    first = np.cumsum(counts) - counts
    elements = np.zeros((len(key) + n, 2), np.uint64)
    words = np.zeros(len(elements), np.bool_)
    words[first] = True
    elements[words, 0], elements[words, 1] = documents, 1  # 1: the words as a whole, 0: a band
    elements[~words, 0] = key
    slots[shingles == 0] = 0
    return counts, elements, slots if settings.confirm else np.empty((n, 0), np.uint64)


def as_owner(node: Node, documents: Documents, settings: Dedup) -> pa.Table:
    """An owner's part: `id` of its documents that are to be dropped, and `kept_by`, who keeps one like it (null if untold)."""
    hub, store = node.job.parties.aggregator, node.store
    distinct, inverse = _distinct(documents.elements)
    seed = store.once("order", lambda: {"seed": np.frombuffer(_random(32), np.uint8)})["seed"]
    order = shuffled(distinct, seed)
    place = np.empty(len(order), np.uint32)
    place[order] = np.arange(len(order), dtype=np.uint32)
    send_elements(node, distinct[order])
    node.send(hub, "rows", documents.counts, 0)
    where = place[inverse]
    for part, begin in enumerate(range(0, len(where), ROWS), 1):
        node.send(hub, "rows", where[begin : begin + ROWS], part)
    if settings.method == "minhash" and settings.confirm:
        _send_slots(node, documents)
    dropped = node.receive(hub, "drop")
    if len(dropped) and int(dropped.max()) >= len(documents.ids):
        raise ProtocolError(f"{hub} names a document that {node.name} does not have. Nothing is written.")
    kept = pa.nulls(len(dropped), pa.string())
    if settings.tell_keeper:
        owners, keepers = node.job.parties.owners, node.receive(hub, "keepers")
        if len(keepers) != len(dropped) or (len(keepers) and int(keepers.max()) > owners.index(node.name)):
            raise ProtocolError(f"{hub} names owners that cannot keep a document of {node.name}. Nothing is written.")
        kept = pa.array(owners, pa.string()).take(pa.array(keepers))
    return pa.table({"id": documents.ids.take(pa.array(dropped)), "kept_by": kept})


def _send_slots(node: Node, documents: Documents) -> None:
    owners, hub = node.job.parties.owners, node.job.parties.aggregator
    if node.name == owners[0]:
        key = node.store.once("slot-key", lambda: {"key": np.frombuffer(_random(32), np.uint8)})["key"]
        for other in owners[1:]:
            node.send(other, "slot-key", key)
    else:
        key = node.receive(owners[0], "slot-key")
    compared = node.receive(hub, "compared")
    if len(compared) and int(compared.max()) >= len(documents.ids):
        raise ProtocolError(f"{hub} asks for a document that {node.name} does not have. Nothing is written.")
    for part, rows in enumerate(_slot_chunks(compared, documents.slots.shape[1])):
        node.send(hub, "slots", keyed_slots(documents.slots[rows], bytes(key)), part)


def keyed_slots(slots: np.ndarray, key: bytes) -> np.ndarray:
    """32 bits of AES-256 of (slot's value, its number), each row rising: uint32 [n, slots]."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError as error:
        raise MissingDependencyError("comparing sketches needs cryptography: pip install 'corpusmill[mpc]'") from error
    n, t = slots.shape
    blocks = np.empty((n, t, 2), "<u8")
    blocks[:, :, 0], blocks[:, :, 1] = slots, np.arange(t, dtype=np.uint64)
    # every block occurs once in a row and stands for itself: the mode without chaining is a keyed hash here
    sealed = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks.tobytes())
    return np.sort(np.frombuffer(sealed, "<u4").reshape(n, t, 4)[:, :, 0], axis=1)


def as_aggregator(node: Node, settings: Dedup) -> dict[str, int]:
    """The aggregator's part; documents that each owner drops."""
    owners = node.job.parties.owners
    tags = receive_tags(node)
    numbers = match(tags)
    counts, rows = [], []
    for owner, own in zip(owners, numbers, strict=True):
        per = node.receive(owner, "rows", 0).astype(np.int64)
        total = int(per.sum())
        chunks = [node.receive(owner, "rows", 1 + i) for i in range(-(-total // ROWS))]
        where = np.concatenate(chunks) if chunks else np.empty(0, np.uint32)
        if len(where) != total or (total and int(where.max()) >= len(own)):
            raise ProtocolError(f"{owner} sent documents whose elements are not those it announced.")
        counts.append(per)
        rows.append(own[where])

    def slots_of(owner: int, compared: np.ndarray) -> np.ndarray:
        node.send(owners[owner], "compared", compared)
        width = settings.bands * settings.rows
        chunks = [node.receive(owners[owner], "slots", i) for i, _ in enumerate(_slot_chunks(compared, width))]
        out = np.concatenate(chunks) if chunks else np.empty((0, width), np.uint32)
        if out.shape != (len(compared), width):
            raise ProtocolError(f"{owners[owner]} sent {out.shape} slots for {len(compared)} documents.")
        return out

    decided = Decider(settings, counts, rows).decide(slots_of)
    for owner, (drop, kept) in zip(owners, decided, strict=True):
        if settings.tell_keeper:
            node.send(owner, "keepers", kept)
        node.send(owner, "drop", drop)
    return {owner: len(drop) for owner, (drop, _) in zip(owners, decided, strict=True)}


class Decider:
    """What the aggregator decides from element numbers; the same on pooled data without any cryptography.

    counts: int64 [n] of each owner, elements a document; rows: int64 [m] of each, the numbers of these elements.
    """

    def __init__(self, settings: Dedup, counts: list[np.ndarray], rows: list[np.ndarray]) -> None:
        self.settings, self.counts, self.rows = settings, counts, rows

    def decide(self, slots_of: SlotsOf) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each owner: (documents to drop, rising, uint32; number of the owner who keeps one like it, uint16).

        slots_of(owner, documents): keyed slots, with `confirm`.
        """
        shard = np.repeat(np.arange(len(self.counts)), [len(c) for c in self.counts])
        row = np.concatenate([np.arange(len(c)) for c in self.counts])
        if self.settings.method == "exact":
            number = np.concatenate(self.rows)
            _, first, same = np.unique(
                number, return_index=True, return_inverse=True
            )  # the first in the order survives
            lost = np.ones(len(number), np.bool_)
            lost[first] = False
            kept = shard[first][same].astype(np.uint16)
            return [
                (row[at].astype(np.uint32), kept[at])
                for o in range(len(self.counts))
                if (at := lost & (shard == o)) is not None
            ]
        return self._similar(shard, row, slots_of)

    def _similar(self, shard: np.ndarray, row: np.ndarray, slots_of: SlotsOf) -> list[tuple[np.ndarray, np.ndarray]]:
        per = np.concatenate(self.counts)
        number = np.concatenate(self.rows).astype(np.uint64)
        first = np.cumsum(per) - per
        is_document = np.zeros(len(number), np.bool_)
        is_document[first] = True
        bands = per - 1
        document = np.repeat(np.arange(len(per)), bands)
        key = mix64_array(number[~is_document] + np.uint64(1))
        begins = np.cumsum(bands) - bands
        at = np.arange(len(key)) - np.repeat(begins, bands)
        following = key[np.repeat(begins, bands) + (at + 1) % np.maximum(bands[document], 1)]
        words = number[is_document] << np.uint64(1)
        content = (following >> np.uint64(48) << np.uint64(48)) | words[document] | (at == 0).astype(np.uint64)
        keys = pa.table(
            {
                "key": key,
                "content": content,
                "shard": shard[document].astype(np.uint32),
                "row": row[document].astype(np.uint32),
            }
        )
        links = band_pairs(keys)
        begins = np.cumsum([0] + [len(c) for c in self.counts])
        a, b = (
            begins[column(links, shard_name)] + column(links, row_name)
            for shard_name, row_name in (("shard", "row"), ("other_shard", "other_row"))
        )
        equal = column(links, "what") == EQUAL
        pairs = np.unique(np.stack([a[~equal], b[~equal]], axis=1), axis=0)
        if self.settings.confirm:
            pairs = pairs[self._alike(pairs, begins, slots_of)]
        forest = np.arange(begins[-1])  # in the agreed order: the root of a cluster is the one that stays
        join(forest, np.concatenate([a[equal], pairs[:, 0]]), np.concatenate([b[equal], pairs[:, 1]]))
        root = roots(forest)
        lost, keeper = root != np.arange(len(root)), shard[root].astype(np.uint16)
        mine = [np.flatnonzero(lost & (shard == o)) for o in range(len(self.counts))]
        return [(row[at].astype(np.uint32), keeper[at]) for at in mine]

    def _alike(self, pairs: np.ndarray, begins: np.ndarray, slots_of: SlotsOf) -> np.ndarray:
        """bool [pairs]: whether their sketches have enough slots in common. J is e of t slots, so that e / t >= threshold."""
        width = self.settings.bands * self.settings.rows
        named = np.unique(pairs)
        slots = np.concatenate(
            [
                slots_of(o, (named[(named >= low) & (named < high)] - low).astype(np.uint32))
                for o, (low, high) in enumerate(zip(begins, begins[1:], strict=False))
            ]
        )
        common = np.empty(len(pairs), np.int64)
        for begin in range(0, len(pairs), _AT_ONCE):
            part = np.searchsorted(named, pairs[begin : begin + _AT_ONCE])
            both = np.sort(np.concatenate([slots[part[:, 0]], slots[part[:, 1]]], axis=1), axis=1)
            common[begin : begin + len(part)] = (both[:, 1:] == both[:, :-1]).sum(axis=1)
        return common >= self.settings.threshold * width - 1e-9


def _slot_chunks(compared: np.ndarray, width: int) -> list[np.ndarray]:
    step = max(1, SLOT_BYTES // max(4 * width, 1))
    return [compared[begin : begin + step] for begin in range(0, len(compared), step)]


def _distinct(elements: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((elements[:, 1], elements[:, 0]))
    ranked = elements[order]
    fresh = np.ones(len(ranked), np.bool_)
    fresh[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    inverse = np.empty(len(ranked), np.int64)
    inverse[order] = np.cumsum(fresh) - 1
    return ranked[fresh], inverse


def _random(count: int) -> bytes:
    import os

    return os.urandom(count)
