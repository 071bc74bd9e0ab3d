"""What a model learns: from rows of token ids to inputs and labels (numpy), and from logits to losses (torch).

Every objective returns (sum of losses, number of targets), never a mean. The loop divides once, by the count over all
processes and micro-batches, so every token has the same weight.

Labels are aligned with the logits they are compared with; -100 is no target. Columns of a batch:
    input_ids, segment_ids, position_ids               int64 [B, T]
    target_ids, target_segment_ids, target_position_ids  int64 [B, U]  what an encoder-decoder's decoder reads
    labels                                             int64 [B, T], [B, U], or [B] for classes
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from corpusmill.training.noised_copies import replaced
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.hashing import mix64_array

if TYPE_CHECKING:
    from torch import Tensor

    from corpusmill.training.settings import TrainSettings

Batch = dict[str, np.ndarray]
INPUTS = ("input_ids", "segment_ids", "position_ids", "target_ids", "target_segment_ids", "target_position_ids")
IGNORE = -100
NO_TARGETS = "no token is a target of the objective {}: each document is too short, or its loss is masked."


class Objective(abc.ABC):
    """Makes inputs and labels from rows. The loss is cross-entropy on the labels."""

    kinds: ClassVar[tuple[str, ...]]
    """Kinds of model that it trains."""
    documents: ClassVar[bool] = False
    """Whether it trains on documents as they are, and not only on packed shards."""
    shards: ClassVar[bool] = True
    """Whether it trains on packed shards."""
    columns: ClassVar[tuple[str, ...]] = ("text",)
    """Columns that documents need."""
    pairs: ClassVar[bool] = False
    """Whether rows are made of prompts and answers."""
    classes: ClassVar[bool] = False
    """Whether it learns the classes of documents, not text."""
    taught: ClassVar[bool] = False
    """Whether the loss needs a teacher's columns beside the rows. Private training refuses such objectives."""
    draws: ClassVar[bool] = False
    """Whether `prepare` draws at random, so that a score needs several draws."""
    transformers_class: ClassVar[str] = ""
    """The class of the package transformers that it fine-tunes, or empty."""
    highest_id = -1
    """Highest id that the objective itself puts into rows: mask, end or sentinel."""

    @classmethod
    def of(cls, settings: TrainSettings, vocabulary: Vocabulary) -> Objective:
        """The objective that the settings describe."""
        return cls()

    @abc.abstractmethod
    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        """Rows as stored to the columns above, with `labels`. keys: uint64 [B], one stream of draws a row."""

    def noised(self, batch: Batch, keys: np.ndarray) -> Batch:
        """A training batch with noise in what the model reads, where the settings ask for it. Labels stay."""
        return batch

    def logits(self, model: Any, batch: dict[str, Tensor]) -> Tensor:
        """The model's logits for the batch's labels: [B, T, V], or [B, classes]."""
        return model(**{name: batch[name] for name in INPUTS if name in batch})

    def loss(self, model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(sum of losses, number of targets), both scalars."""
        labels = batch["labels"]
        return label_losses(self.logits(model, batch), labels).sum(), (labels != IGNORE).sum()


def row_losses(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(sum of losses, number of targets) of each row, [B] each. Private training divides within a row."""
    rows = len(labels)
    return label_losses(logits, labels).reshape(rows, -1).sum(1), (labels != IGNORE).reshape(rows, -1).sum(1)


def label_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(logits)[label] for each label, float32 of the labels' shape; 0 where there is no target."""
    from torch.nn.functional import cross_entropy

    flat = cross_entropy(logits.flatten(0, -2).float(), labels.flatten(), ignore_index=IGNORE, reduction="none")
    return flat.view(labels.shape)


def drop_plain(batch: Batch) -> Batch:
    """The batch without `segment_ids` if every row is one whole document, because attention then needs no mask.

    Positions 0, 1, 2, ... are the model's default, so they are removed, too.
    """
    segments = batch.get("segment_ids")
    if segments is not None and (segments == 1).all():
        batch = {name: column for name, column in batch.items() if name not in ("segment_ids", "position_ids")}
    return batch


class Causal(Objective):
    """Autoregressive language model: each token from those before it in its document. Loss -sum_t log p(x_t | x_<t).

    The first token of a document is no target. A column `loss_mask` (1 counts, at the token's own place) or `labels`
    (-100 does not count) narrows the targets: instruction tuning is this objective with the loss on the answer only.

    >>> rows = {"input_ids": np.array([[5, 6, 7, 8]]), "segment_ids": np.array([[1, 1, 2, 2]])}
    >>> Causal().prepare(rows, np.zeros(1, np.uint64))["labels"].tolist()
    [[6, -100, 8, -100]]
    """

    kinds = ("decoder",)
    transformers_class = "AutoModelForCausalLM"

    @classmethod
    def of(cls, settings: TrainSettings, vocabulary: Vocabulary) -> Causal:
        return cls(settings.objective.noise, vocabulary.size)

    def __init__(self, noise: float = 0.0, size: int = 0) -> None:
        """noise: share of the tokens read in training that are replaced by others, drawn from `size` ids alike."""
        self.noise, self.size = noise, size

    def noised(self, batch: Batch, keys: np.ndarray) -> Batch:
        if not self.noise:
            return batch
        return batch | {"input_ids": replaced(batch, keys, self.noise, self.size)}

    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        ids = rows["input_ids"]
        target = rows.get("labels", ids)[:, 1:]
        counts = target != IGNORE
        if "segment_ids" in rows:
            segments = rows["segment_ids"]
            counts &= (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] != 0)
        if "loss_mask" in rows:
            counts &= rows["loss_mask"][:, 1:] != 0
        labels = np.full(ids.shape, IGNORE, np.int64)
        labels[:, :-1][counts] = target[counts]
        batch = {name: rows[name] for name in INPUTS[:3] if name in rows}
        return drop_plain(batch) | {"labels": labels}


class Masked(Objective):
    """Masked language model (Devlin et al. 2019, section 3.1): loss -sum over chosen t of log p(x_t | corrupted x).

    Each token is chosen with probability `rate`; of those 80 % become the mask, 10 % a random token, 10 % stay. Special
    tokens are never chosen.
    """

    kinds = ("encoder",)
    draws = True
    transformers_class = "AutoModelForMaskedLM"

    @classmethod
    def of(cls, settings: TrainSettings, vocabulary: Vocabulary) -> Masked:
        return cls(vocabulary, settings.objective.rate)

    def __init__(self, vocabulary: Vocabulary, rate: float = 0.15) -> None:
        self.rate, self.mask, self.size = rate, vocabulary.mask, vocabulary.size
        self.special = np.zeros(vocabulary.size, np.bool_)
        self.special[[i for i in vocabulary.tokenizer.special.values() if i < vocabulary.size]] = True
        self.highest_id = vocabulary.mask

    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        from corpusmill.transforms.noise.objectives import mask_tokens

        pieces = Documents(rows, keys)
        shares, none = np.array([0.8, 0.1]), np.zeros(0, np.bool_)
        hidden, wanted, _ = mask_tokens(
            pieces.offsets,
            pieces.values,
            pieces.keys,
            pieces.active,
            self.rate,
            shares,
            self.mask,
            self.size,
            self.special,
            none,
        )
        ids, labels = rows["input_ids"].copy(), np.full(rows["input_ids"].shape, IGNORE, np.int64)
        ids[pieces.where], labels[pieces.where] = hidden, wanted
        batch = {name: rows[name] for name in INPUTS[1:3] if name in rows}
        return drop_plain({"input_ids": ids} | batch) | {"labels": labels}


class Documents:
    """The documents of packed rows, one behind the other, for kernels that change their lengths.

    offsets int32 [documents + 1], values int32, keys uint64 [documents] (each a stream of its own), active bool
    [documents]; `where` bool [B, T] marks the tokens that `values` came from, and `row` int64 [documents] their row.
    """

    def __init__(self, rows: Batch, keys: np.ndarray) -> None:
        ids = rows["input_ids"]
        segments = rows.get("segment_ids", np.ones_like(ids))
        self.rows, self.where = len(ids), segments != 0
        label = (np.arange(len(ids))[:, None] << 32) + segments
        flat = label[self.where]
        starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1]))) if len(flat) else np.zeros(0, np.int64)
        self.offsets = np.append(starts, len(flat)).astype(np.int32)
        self.values = ids[self.where].astype(np.int32)
        self.row = flat[starts] >> 32
        self.keys = mix64_array(keys[self.row] + (flat[starts] & 0xFFFFFFFF).astype(np.uint64))
        self.active = np.ones(len(starts), np.bool_)

    def pack(self, offsets: np.ndarray, values: np.ndarray, prefix: str, multiple: int = 8) -> Batch:
        """Rows of the documents' new tokens: each in the row it came from, `PREFIXids`, `PREFIXsegment_ids`, `PREFIXposition_ids`.

        Document k of a row is segment k in every call, also where others have become empty.
        """
        sizes = np.diff(offsets).astype(np.int64)
        first = np.searchsorted(self.row, np.arange(self.rows))  # first document of each row
        begins = np.append(offsets, offsets[-1]).astype(np.int64)[first]  # its first token; rows without documents: any
        used = np.bincount(self.row, sizes, self.rows).astype(np.int64)
        width = max(multiple, -(-int(used.max(initial=0)) // multiple) * multiple)
        document = np.repeat(np.arange(len(sizes)), sizes)
        row = self.row[document]
        column = np.arange(len(document)) - begins[row]
        out = {name: np.zeros((self.rows, width), np.int64) for name in ("ids", "segment_ids", "position_ids")}
        out["ids"][row, column] = values
        out["segment_ids"][row, column] = document - first[row] + 1
        out["position_ids"][row, column] = np.arange(len(document)) - np.asarray(offsets, np.int64)[document]
        names = {"ids": f"{prefix}_ids"} if prefix == "input" else {name: f"{prefix}_{name}" for name in out}
        return {names.get(name, name): column for name, column in out.items()}


class Seq2Seq(Objective):
    """The encoder reads `input_ids` and the decoder writes `target_ids`. Loss -sum_u log p(y_u | y_<u, x) within
    documents.

    The decoder reads the targets moved one to the right, with the start token before each document's first: the end token, or
    the one that a Hugging Face model names.
    """

    kinds = ("encoder-decoder",)
    transformers_class = "AutoModelForSeq2SeqLM"

    @classmethod
    def of(cls, settings: TrainSettings, vocabulary: Vocabulary) -> Seq2Seq:
        return cls(vocabulary)

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.start, self.end = vocabulary.special.start, vocabulary.end
        self.highest_id = max(self.start, self.end)

    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        targets = rows["target_ids"]
        segments = rows.get("target_segment_ids", np.ones_like(targets))
        before = np.zeros_like(segments)
        before[:, 1:] = segments[:, :-1]
        read = np.full_like(targets, self.start)
        read[:, 1:] = np.where(before[:, 1:] == segments[:, 1:], targets[:, :-1], self.start)
        out = {name: rows[name] for name in INPUTS if name in rows}
        return out | {"target_ids": read, "labels": np.where(segments != 0, targets, IGNORE)}


class SpanCorruption(Seq2Seq):
    """Span corruption (Raffel et al. 2020, section 3.1.4): spans of about `mean_span` tokens, `rate` of all, are cut out.

    The encoder reads the rest with one sentinel a span; the decoder writes each sentinel, its span, and the end. Every
    document of a packed row is a task of its own.
    """

    draws = True

    @classmethod
    def of(cls, settings: TrainSettings, vocabulary: Vocabulary) -> SpanCorruption:
        return cls(vocabulary, settings.objective.rate, settings.objective.mean_span)

    def __init__(self, vocabulary: Vocabulary, rate: float = 0.15, mean_span: float = 3.0) -> None:
        super().__init__(vocabulary)
        self.rate, self.mean_span, self.sentinels = rate, mean_span, vocabulary.sentinels
        self.highest_id = max(self.start, self.end, int(vocabulary.sentinels.max()))

    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        from corpusmill.transforms.noise.objectives import corrupt_spans

        pieces = Documents(rows, keys)
        first, step = int(self.sentinels[0]), int(self.sentinels[1] - self.sentinels[0])
        read, inputs, written, targets = corrupt_spans(
            pieces.offsets, pieces.values, pieces.keys, pieces.active, np.array([self.rate]), np.array([self.mean_span]),
            np.array([-1], np.int64), first, step, len(self.sentinels), self.end,
        )  # fmt: skip
        return super().prepare(pieces.pack(read, inputs, "input") | pieces.pack(written, targets, "target"), keys)


class PrefixLM(Seq2Seq):
    """Prefix language model (Raffel et al. 2020, section 3.2.3): a document is cut at a drawn place; the encoder reads
    what is before, the decoder writes what is behind."""

    draws = True

    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        from corpusmill.transforms.noise.objectives import split_prefix

        pieces = Documents(rows, keys)
        _, late, lengths = split_prefix(pieces.offsets, pieces.values, pieces.keys, pieces.active)
        late = late.astype(np.bool_)
        read = np.concatenate(([0], np.cumsum(lengths)))
        written = pieces.offsets - read
        packed = pieces.pack(read, pieces.values[~late], "input") | pieces.pack(written, pieces.values[late], "target")
        return super().prepare(packed, keys)
