"""Packs documents into rows of a fixed number of tokens: the last step of a recipe that makes training shards.

Pack is a Terminal: a row may hold several documents, and a long document fills several rows. It takes all documents of a shard
and gives rows; `documents` names the pieces of each row. The contract:

- `pack(batches, rng, report)` is called once a shard, behind every other step; it yields batches of `row_schema()`.
- `report` is complete when the iterator is exhausted. Every document is then packed or dropped (`report.check`):
  documents = packed + dropped[empty] + dropped[min-fill]; `report.ledger()` lists the dropped ones.
- Rows depend on the shard's documents, the fields, the recipe's seed and the step's name, not on the order or the batches
  in which documents come, as long as ids differ and the shard holds at most `window_tokens` tokens. With `separate` the whole
  shard is one window of any size, so that the rows of one value never depend on the documents of another.
- To take a document back out, drop or rebuild the rows whose `documents` name it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from corpusmill.transforms.base import Account, Stability, Terminal
from corpusmill.transforms.columns import labels, token_lists, weights
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash128, hex128
from corpusmill.transforms.mix._evaluation import of_evaluation
from corpusmill.transforms.noise.copies import EVALUATION_SPLITS
from corpusmill.transforms.random import EPOCH, Keyed, at_epochs, uniform_array
from corpusmill.transforms.tokens.pack_report import PackReport
from corpusmill.transforms.tokens.packing import distinct, fill, place, row_hashes, wrap
from corpusmill.transforms.tokens.tokenizer import Tokenizer, load_tokenizer, token_dtype

PIECE = pa.struct({"id": pa.string(), "start": pa.int32(), "length": pa.int32(), "offset": pa.int64()})
BATCH_TOKENS = 1 << 20


class Pack(Terminal):
    """Tokenises documents and packs them into rows of `length` tokens.

    Source: best-fit: Ding et al. 2024, "Fewer truncations improve language modeling", section 3; concatenate: Brown et al.
    2020, section 2.2 and appendix B. Takes `text`, or `input_ids` where a step before has made them. Each document is
    `bos` + ids + `eos`, then best-fit cuts it only if it is longer than a row, concatenate wherever a row ends. Documents
    without tokens are dropped. Pieces lie in a row, and rows in a shard, in an order drawn by document id.

    Columns: id string; input_ids [length] of uint16 (vocabulary up to 65,536) or int32; n_tokens int32, padding excluded;
    segment_ids [length], 0 for padding, else the number of the piece from 1; position_ids [length], from 0 in each piece;
    documents: list of {id, start in the row, length, offset in the document's tokens}; and the column of `separate`, without
    which rows mix the documents of different users and belong to no unit of privacy.

    Raises:
        BadFileError: the tokenizer cannot be read. RecipeError: it has no such token, or `input_ids` are not its own.

    >>> Pack(tokenizer="tokenizer.json", length=4).row_schema(np.dtype(np.uint16)).field("input_ids").type
    FixedSizeListType(fixed_size_list<item: uint16>[4])
    """

    name: ClassVar[str] = "pack"
    version: ClassVar[int] = 2
    stability: ClassVar[Stability] = "cross"
    example: ClassVar[str] = "{tokenizer: tokenizer.json, length: 1024}"
    refusal: ClassVar[tuple[str, str]] = (
        "a row holds pieces of several units, and one document moves the rows of others",
        "train on documents as they are; or pack with `separate` set to the unit's column",
    )
    makes_training_rows: ClassVar[bool] = True

    tokenizer: str = Field(description="path of a tokenizer.json")
    length: int = Field(2048, ge=2, le=1 << 24, description="tokens in a row")
    strategy: Literal["best-fit", "concatenate"] = Field(
        "best-fit",
        description="best-fit cuts only documents longer than a row; concatenate wastes nothing and cuts many",
    )
    bos: str | None = Field(None, description="token before each document; none by default")
    eos: str | None = Field("<|endoftext|>", description="token behind each document; null for none")
    pad: str | None = Field(None, description="token that fills rows up; by default eos, else id 0")
    min_fill: float = Field(0.0, ge=0, le=1, description="rows with a smaller share of tokens are dropped")
    separate: str | None = Field(
        None, description="column (user, lang, ...) whose values never share a row; it becomes a column of the rows"
    )
    segments: bool = Field(True, description="write segment_ids and position_ids, which also follow from `documents`")
    weight: str | None = Field(
        None,
        min_length=1,
        description="column of weights, as `reweight` writes them: a document is packed that many times, a fraction by a draw. "
        "With `separate: split`, documents of evaluation splits are packed once.",
    )
    special_in_text: bool = Field(False, description="special tokens written out in a text become their ids")
    window_tokens: int = Field(
        1 << 25,
        ge=1 << 10,
        description="tokens packed together, which bounds memory on huge shards; with `separate` a shard is packed as a whole",
    )

    @field_validator("separate")
    @classmethod
    def _not_ours(cls, value: str | None) -> str | None:
        if value in {"id", "input_ids", "n_tokens", "segment_ids", "position_ids", "documents", "text"}:
            raise ValueError(f"rows have a column {value!r} of their own, or none; name a column such as user or lang")
        return value

    def libraries(self) -> tuple[str, ...]:
        return ()

    def fingerprint(self) -> str:
        if self.weight is None:
            return self._fingerprint_without(("weight",))
        digest = self._fingerprint_without(())
        if self.separate != "split":
            return digest
        # evaluation documents have had no weight since this was added
        return hashlib.sha256(f"{digest} evaluation once".encode()).hexdigest()[:32]

    def needs(self) -> tuple[str, ...]:
        return ("tokenizers",)

    def reach(self, is_unit: Callable[[str], bool]) -> tuple[Stability, str]:
        if self.separate is not None and is_unit(self.separate):
            return "unit", "all documents of a unit lie in one shard when they are packed"
        return self.stability, ""

    def files(self) -> list[str]:
        """The tokenizer: its content is part of the fingerprint."""
        return [self.tokenizer]

    def row_schema(self, dtype: np.dtype | None = None) -> pa.Schema:
        """Schema of the rows; reads the tokenizer unless `dtype` says what ids are."""
        ids = pa.from_numpy_dtype(dtype or load_tokenizer(self.tokenizer, self.special_in_text).dtype)
        small = pa.from_numpy_dtype(token_dtype(self.length))
        fields = [pa.field("id", pa.string()), pa.field("input_ids", pa.list_(ids, self.length))]
        fields.append(pa.field("n_tokens", pa.int32()))
        if self.segments:
            fields += [pa.field(name, pa.list_(small, self.length)) for name in ("segment_ids", "position_ids")]
        if self.separate is not None:
            fields.append(pa.field(self.separate, pa.string()))
        return pa.schema([*fields, pa.field("documents", pa.list_(PIECE))])

    def account(self) -> PackReport:
        """A fresh report."""
        return PackReport()

    def finish(self, batches: Iterable[pa.RecordBatch], rng: Keyed, account: Account) -> Iterator[pa.RecordBatch]:
        """`pack`, with at least one batch."""
        if not isinstance(account, PackReport):
            raise TypeError("pack fills a PackReport")
        yield _none(self.row_schema())
        yield from self.pack(batches, rng, account)

    def pack(
        self, batches: Iterable[pa.RecordBatch], rng: Keyed, report: PackReport | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows of all documents of a shard; `report`, a fresh one, is filled on the way."""
        report = PackReport() if report is None else report
        tokenizer = load_tokenizer(self.tokenizer, self.special_in_text)
        report.tokenizer, report.encoder = tokenizer.digest, tokenizer.engine
        bos = tokenizer.id_of(self.bos, "pack.bos") if self.bos is not None else -1
        eos = tokenizer.id_of(self.eos, "pack.eos") if self.eos is not None else -1
        pad = tokenizer.id_of(self.pad, "pack.pad") if self.pad is not None else max(eos, 0)
        held: list[tuple[pa.RecordBatch, np.ndarray, np.ndarray]] = []
        waiting = 0
        for given in batches:
            batch = given if self.weight is None else self._repeated(given, self.weight, rng, report)
            offsets, ids = self._ids(batch, tokenizer)
            offsets, tokens = wrap(offsets, ids, bos, eos, tokenizer.dtype)
            held.append((_about(batch, self.separate), np.diff(offsets), tokens))
            waiting += len(tokens)
            if waiting >= self.window_tokens and self.separate is None:
                yield from self._window(held, pad, rng, report)
                held, waiting = [], 0
        if held:
            yield from self._window(held, pad, rng, report)

    def _repeated(self, batch: pa.RecordBatch, name: str, rng: Keyed, report: PackReport) -> pa.RecordBatch:
        """The documents as often as their weights say, with the number of the copy in `epoch`."""
        if EPOCH in batch.schema.names:
            raise RecipeError(
                "pack.weight: documents have a column `epoch`, so a step has repeated them; give `weight` to `mix` instead"
            )
        weight = weights(batch, name, "pack.weight") if batch.num_rows else np.zeros(0)
        if self.separate == "split":
            weight = np.where(of_evaluation(batch, EVALUATION_SPLITS, "pack.separate"), 1.0, weight)
        whole = np.floor(weight)
        times = (whole + (uniform_array(rng.keys(batch.column("id")), 1) < weight - whole)).astype(np.int64)
        gone = np.flatnonzero(times == 0)
        report.documents += len(gone)
        report.drop(pa.Table.from_batches([_about(batch, None)]), gone, weight, "not-sampled")
        rows = np.repeat(np.arange(batch.num_rows), times)
        copy = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
        more = len(rows) - (batch.num_rows - len(gone))
        report.repeats += more
        report.documents -= more  # `_window` counts every copy
        return batch.take(pa.array(rows)).append_column(EPOCH, pa.array(copy, pa.int32()))

    def _ids(self, batch: pa.RecordBatch, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
        if "input_ids" not in batch.schema.names:
            return tokenizer.encode(batch.column("text"))
        column = token_lists(batch, "input_ids", "pack")
        values = column.flatten().to_numpy(zero_copy_only=False)
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < tokenizer.vocab_size:
            raise RecipeError(
                f"pack: input_ids run from {values.min()} to {values.max()}, but {self.tokenizer} has "
                f"{tokenizer.vocab_size} tokens; name the tokenizer that made them"
            )
        offsets = np.zeros(len(column) + 1, np.int64)
        np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False), out=offsets[1:])
        return offsets, values

    def _window(self, held: list[Any], pad: int, rng: Keyed, report: PackReport) -> Iterator[pa.RecordBatch]:
        about = pa.Table.from_batches([h[0] for h in held]).combine_chunks()
        sizes = np.concatenate([h[1] for h in held])
        tokens = np.concatenate([h[2] for h in held])
        held.clear()
        report.documents += len(sizes)
        begins = np.cumsum(sizes) - sizes
        report.drop(about, np.flatnonzero(sizes == 0), sizes, "empty")
        document = np.flatnonzero(sizes > 0)
        if not len(document):
            return
        ids, values = _one(about["id"]), _one(about["group"])
        # each repeat of a document has its own draws, and its rows have their own names
        epochs = _one(about["epoch"])
        keys = at_epochs(rng.keys(ids), epochs)
        hashes = np.stack([at_epochs(half, epochs) for half in hash128(ids).T], axis=1)
        # documents in the order of their draws, so that rows do not depend on the order of input
        document = document[np.argsort(keys[document], kind="stable")]
        groups = values.dictionary_encode(null_encoding="encode").indices.to_numpy()[document].astype(np.int64)
        best = self.strategy == "best-fit"
        which, offset, size, row = place(sizes[document], keys[document], groups, self.length, best)
        which = document[which]
        used = np.bincount(row, size).astype(np.int64)
        kept = used >= self.min_fill * self.length
        stays = kept[row]
        report.place(about, which, size, stays, sizes)
        # drop rows and renumber the rest
        row = (np.cumsum(kept) - 1)[row[stays]]
        which, offset, size, used = which[stays], offset[stays], size[stays], used[kept]
        report.fill(used, self.length)
        first = np.zeros(len(used) + 1, np.int64)
        np.cumsum(np.bincount(row, minlength=len(used)), out=first[1:])
        names = hex128(distinct(row_hashes(first, which, offset, hashes)))
        step = max(1, BATCH_TOKENS // self.length)
        for r in range(0, len(used), step):
            cut = first[r : r + step + 1]
            pieces = slice(int(cut[0]), int(cut[-1]))
            part = (which[pieces], offset[pieces], size[pieces])
            rows = self._columns(used[r : r + step], cut - cut[0], part, begins, tokens, ids, pad)
            rows["id"] = names.slice(r, step)
            if self.separate is not None:
                rows[self.separate] = values.take(pa.array(which[cut[:-1]]))
            schema = self.row_schema(tokens.dtype)
            yield pa.RecordBatch.from_arrays([rows[name] for name in schema.names], schema=schema)

    def _columns(
        self,
        used: np.ndarray,
        first: np.ndarray,
        part: tuple[np.ndarray, np.ndarray, np.ndarray],
        begins: np.ndarray,
        tokens: np.ndarray,
        ids: pa.Array,
        pad: int,
    ) -> dict[str, pa.Array]:
        which, offset, size = part
        shape = (len(used), self.length)
        small = token_dtype(self.length)
        rows = np.full(shape, pad, tokens.dtype)
        segment, position = np.zeros(shape, small), np.zeros(shape, small)
        fill(first, begins[which] + offset, size, tokens, rows, segment, position)
        start = np.cumsum(size) - size
        start -= np.repeat(start[first[:-1]], np.diff(first))
        pieces = [
            ids.take(pa.array(which)),
            pa.array(start.astype(np.int32)),
            pa.array(size.astype(np.int32)),
            pa.array(offset.astype(np.int64)),
        ]
        structs = pa.StructArray.from_arrays(pieces, fields=list(PIECE))
        return {
            "input_ids": _fixed(rows),
            "n_tokens": pa.array(used.astype(np.int32)),
            "segment_ids": _fixed(segment),
            "position_ids": _fixed(position),
            "documents": pa.ListArray.from_arrays(pa.array(first.astype(np.int32)), structs),
        }


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The only chunk of a table that was combined, or of one without rows."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _fixed(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def _about(batch: pa.RecordBatch, separate: str | None) -> pa.RecordBatch:
    """The columns kept beside a document's tokens: id, source, bytes, the value that separates rows, and its epoch."""
    n, names = batch.num_rows, batch.schema.names
    source = batch.column("source") if "source" in names else pa.nulls(n, pa.string())
    size = pc.binary_length(batch.column("text")).cast(pa.int64()) if "text" in names else pa.nulls(n, pa.int64())
    if separate is not None and separate not in names and n:
        raise RecipeError(f"pack.separate: documents have no column {separate!r}; they have {', '.join(names)}")
    named = separate is not None and separate in names
    group = labels(batch, str(separate), "pack.separate") if named else pa.nulls(n, pa.string())
    repeated = EPOCH in names and batch.schema.field(EPOCH).type == pa.int32()
    epoch = batch.column(EPOCH) if repeated else pa.nulls(n, pa.int32())
    columns = [batch.column("id"), source.cast(pa.string()), size, group, epoch]
    return pa.RecordBatch.from_arrays(columns, names=["id", "source", "bytes", "group", "epoch"])
