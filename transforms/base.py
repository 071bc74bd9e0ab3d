"""The kinds of transform. A transform is a frozen pydantic model. Its fields are the step's fields in a recipe, in the JSON
schema and in the fingerprint. Its behaviour is a pure function of (batch, keyed random generator).

    Map      batch -> batch, the same rows
    Filter   batch -> a verdict per row: kept (perhaps edited), or the rule that drops it and the value that broke it
    Expand   batch -> batch with more rows, which name their parent
    Group    batch -> keys; rows of equal key meet from all shards -> decisions about documents, which go back to the shards
    Terminal all documents of a shard -> rows of another shape, as the last step (packed tokens)

The same objects work on plain batches, so a Beam user writes `batches | beam.Map(Noise(delete=0.05))`.
"""

from __future__ import annotations

import abc
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeVar, cast

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.exchange import decisions_about
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.versions import file_digest, library_version

Stability = Literal["record", "unit", "public", "cross", "private"]
"""How far the data of one privacy unit reaches: its own record, its own unit, public data only, other units, or other units
through a mechanism that spends privacy budget."""

USE_PUBLIC = "run it on public data in a recipe of its own, and mix the private source in afterwards"
"""A way out for steps that private training refuses."""


Data = TypeVar("Data")
"""Data in memory that a step is called with."""


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _StepClass(ModelMetaclass):
    """Makes constructors of steps in Python report mistakes in the words that a recipe gets."""

    def __call__(self, *args: Any, **fields: Any) -> Any:
        try:
            if args:
                return super().__call__(*args, **fields)
            # not the constructor: a step whose fields ask for another kind of decision is of another class
            return self.model_validate(fields)  # type: ignore[attr-defined]
        except ValidationError as error:
            from corpusmill.transforms.settings.explain import in_words

            step = cast("type[Transform]", self)
            raise RecipeError("\n".join(in_words(error, step, f"the step `{step.name}`", fields))) from None


class Transform(BaseModel, abc.ABC, metaclass=_StepClass):
    """Base of every transform. Subclasses set `name` (the recipe's key, which is their module's file name with hyphens for
    underscores), `version` (raised by every change of results) and `stability`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"
    refusal: ClassVar[tuple[str, str]] = (
        "what it does to one document depends on the documents of other units",
        f"leave it out; or {USE_PUBLIC}; or use a step whose stability is `record` or `unit`",
    )
    """(reason, way out) shown when private training refuses the step because it reaches across privacy units."""
    example: ClassVar[str] = ""
    """Fields as in a recipe, `{threshold: 0.8}`, for the step's page; empty if the step is mostly used without."""
    bounds_units: ClassVar[bool] = False
    """Whether the step bounds how much each privacy unit contributes."""
    makes_training_rows: ClassVar[bool] = False
    """Whether `train` can read the rows that the step makes."""
    made_for: ClassVar[str] = ""
    """What the defaults are made for, if anything: a report adds it where the step drops more than half of its input."""
    advice: ClassVar[str | None] = ""
    """End of the report's sentence about a step that drops more than half of its input; None: no sentence."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Check what the methods of a user's own class return, wherever they are called."""
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.__module__.startswith("corpusmill."):
            from corpusmill.transforms.contract import check_methods

            check_methods(cls)

    def reach(self, is_unit: Callable[[str], bool]) -> tuple[Stability, str]:
        """(stability with these fields, the assumption that it rests on or ""). is_unit: whether a column names the unit."""
        return self.stability, ""

    def behind(self, names: Collection[str]) -> Self:
        """The step as it is in a recipe behind steps of these names: a default that depends on them is filled in."""
        return self

    def unit_column(self) -> str | None:
        """The column whose values the step writes as the privacy unit, if it does so."""
        return None

    def __call__(self, data: Data, seed: int = 0) -> Data:
        """What the step makes of data in memory, in the kind that was given.

        Args:
            data: a RecordBatch, a Table, a pandas or Polars DataFrame, a Hugging Face Dataset, or a list of texts. A list
                gives the texts alone; the others keep all columns.
            seed: of the random draws, as `seed` of a recipe.

        Raises:
            RecipeError: `data` is of another kind, or lacks a column that the step needs.

        >>> from corpusmill.transforms.clean.clean import Clean
        >>> Clean()(["itâ€™s"])
        ['it’s']
        """
        from corpusmill.transforms.in_memory import call

        answer: Data = call(self, data, seed)
        return answer

    def fingerprint(self) -> str:
        """Hexadecimal digest of (name, version, fields, library versions), equal on any machine for equal results. Files that the
        fields name enter by their content and not by their path.

        Raises:
            RecipeError: a file that a field names cannot be read.
        """
        return self._fingerprint_without(())

    def _fingerprint_without(self, unused: Collection[str]) -> str:
        """`fingerprint` without some fields: those that were added later and change nothing as they stand."""
        digests = {path: f"sha256:{file_digest(path)}" for path in self.files()}
        fields = _replace(self.model_dump(mode="json", exclude=set(unused)), digests)
        data: dict[str, Any] = {"name": self.name, "version": self.version, "fields": fields}
        if versions := {name: library_version(name) for name in self.libraries()}:
            data["libraries"] = versions
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]

    def libraries(self) -> tuple[str, ...]:
        """What results depend on beside code, fields and files: "unicode" (the tables of Python's `unicodedata`, behind words,
        case and normal forms) and distributions whose versions change results. Another version is another fingerprint."""
        return ("unicode",)

    def needs(self) -> tuple[str, ...]:
        """Distributions that the step imports with its fields as they are: `check` says which of them are not installed."""
        return tuple(name for name in self.libraries() if name != "unicode")

    @property
    def step_name(self) -> str:
        """What the step is called in a recipe, its funnel and its messages, where it is the first of that name."""
        return self.name

    def modules(self) -> list[str]:
        """Modules of the user's own that the step needs wherever it runs."""
        module = type(self).__module__
        return [] if module.startswith("corpusmill.") else [module]

    def files(self) -> list[str]:
        """Paths of local files in the fields on whose content the result depends."""
        return []

    def resolved(self, folder: str) -> Self:
        """The transform with relative paths of its files taken from `folder`."""
        paths = {path: os.path.join(folder, os.path.expanduser(path)) for path in self.files()}
        return type(self).model_validate(_replace(self.model_dump(), paths)) if paths else self


def _replace(value: Any, by: dict[str, str]) -> Any:
    """`value` with every string that is a key of `by` replaced, at any depth."""
    if isinstance(value, str):
        return by.get(value, value)
    if isinstance(value, dict):
        return {k: _replace(v, by) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(v, by) for v in value]
    return value


class Map(Transform):
    """Batch to batch, the same rows in the same order; `id` and `source` stay as they are."""

    @abc.abstractmethod
    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        """The batch with changed or added columns. Must work on a batch without rows: the result then has the schema."""


class Expand(Transform):
    """Batch to batch with more rows. Added rows have their own `id`, and `parent` and `derived_by`, which are null for
    originals. Originals may be left out (`keep_originals: false`) and then count as dropped by this step."""

    @abc.abstractmethod
    def expand(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        """The batch with the derived rows behind or among the originals. Must work on a batch without rows."""


@dataclass(frozen=True)
class Cuts:
    """What a step cut out of documents, for the funnel and for `corpusmill why`.

    rows: int64 [m] positions in the batch that the step got; blocks, bytes: int64 [m], how much was cut out of each; samples:
    the beginnings of a few of the blocks of each.
    """

    rows: np.ndarray
    blocks: np.ndarray
    bytes: np.ndarray
    samples: list[list[str]]


@dataclass(frozen=True)
class Verdict:
    """The verdict of a filter on n rows.

    reasons: names of the rules; codes: int16 [n], -1 for a kept row, else the index of the rule that drops it;
    values: float64 [n], the value that broke the rule (nan for a kept row); scores: every score by name, [n] each.
    batch: the same n rows in the same order with changed or added columns, from filters that edit what they keep (line rules
    cut lines, language identification adds a column); None if the rows stay as they are. Dropped rows may hold anything there:
    a dropped document is recorded from the batch that was judged.
    cuts: what was cut out of texts, from filters that say so.
    """

    reasons: tuple[str, ...]
    codes: np.ndarray
    values: np.ndarray
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    batch: pa.RecordBatch | None = None
    cuts: Cuts | None = None

    @property
    def kept(self) -> np.ndarray:
        """bool [n]."""
        return self.codes < 0


class Filter(Transform):
    """Batch to a verdict per row."""

    advice: ClassVar[str | None] = (
        "; with `keep_scores: true` on it, `corpusmill plan RECIPE --what-if` shows other thresholds"
    )

    keep_scores: bool = Field(
        default=False,
        description="keep every score as a column `<step>.<score>`, so that thresholds can be tried without a rerun",
    )

    @abc.abstractmethod
    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """The verdict on each row. Must work on a batch without rows; `Verdict.batch` then has the edited schema."""


@dataclass(frozen=True)
class Decided:
    """The result of `Group.decide` for one partition of keys.

    decisions: a table with columns `shard` uint32 and `row` uint32 (the row that a decision is about) and any others;
    tables: rows for a side table of the snapshot, by its name (`pairs`), same schema in every partition;
    shards: number of output shards of a group that `moves`. It is decided once, so all keys of such a group must be equal.
    """

    decisions: pa.Table
    tables: dict[str, pa.Table] = field(default_factory=dict)
    shards: int | None = None


@dataclass(frozen=True)
class Routed:
    """Where rows go.

    batch: m rows, among which a row of the input may occur several times (its epochs) or not at all; to: uint32 [m], numbers
    of shards; order: uint64 [m], by which a shard's rows are sorted; applied: the rows of the input that are dropped (its
    `batch` is not used).
    """

    batch: pa.RecordBatch
    to: np.ndarray
    order: np.ndarray
    applied: Applied
    details: dict[str, int] = field(default_factory=dict)
    """Figures for the funnel, summed over all batches."""


@dataclass(frozen=True)
class Applied:
    """A batch after decisions were carried out: the rows that stay, and the rows that were dropped.

    dropped: int64 positions in the input batch; reasons, values, survivors (ids or None): one entry a dropped row. cuts: what
    was cut out of texts, from groups that say so.
    """

    batch: pa.RecordBatch
    dropped: np.ndarray
    reasons: list[str]
    values: list[float]
    survivors: list[str | None]
    cuts: Cuts | None = None
    derived: int = 0
    """Rows at the end of `batch` that the group made itself; each names its parent (`Group.adds_to`)."""
    tables: dict[str, pa.RecordBatch] = field(default_factory=dict)
    """Rows for side tables of the snapshot, by name; always the same names and schemas."""
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    """Scores of the rows of the input by name, [n] each, from groups that keep them as filters do."""

    @classmethod
    def without(
        cls,
        batch: pa.RecordBatch,
        dropped: np.ndarray,
        reasons: list[str],
        values: list[float],
        survivors: list[str | None] | None = None,
    ) -> Applied:
        """`batch` without the rows at the positions `dropped`, for the given reasons."""
        kept = np.ones(batch.num_rows, np.bool_)
        kept[dropped] = False
        return cls(batch.filter(pa.array(kept)), dropped, reasons, values, survivors or [None] * len(dropped))


class Group(Transform):
    """Decides from rows of several shards that share a key, in one or more rounds.

    A round is: `keys` per shard -> rows of equal key meet in one partition -> `decide` per partition [-> `gather` once,
    over all partitions, in rounds listed in `gathered`] -> each shard gets the decisions about its rows. The decisions of
    the last round go to `apply`; those of an earlier round go to the next round's `keys`.

    A document's place in the run is (shard, row): the number of its shard and its row in the staged shard. Places are
    for routing only: decisions must follow from content (`order`, ids, hashes), never from places. A decision may name
    another document by its place (`other_shard`, `other_row`); the engine replaces places by names that do not change when
    other shards come or go (`corpusmill.transforms.exchange.named`).
    """

    rounds: ClassVar[int] = 1
    gathered: ClassVar[frozenset[int]] = frozenset()
    adds: ClassVar[frozenset[int]] = frozenset()
    """Gathered rounds whose shards get the decisions of the partitions and those of `gather` (same columns). In other
    gathered rounds they get those of `gather` only."""
    broadcast: ClassVar[frozenset[int]] = frozenset()
    """Rounds whose decisions go whole to every batch of a shard, to the next round's `keys` or to `apply`. Decisions of other
    rounds go to the batch that holds the row."""
    common: ClassVar[frozenset[int]] = frozenset()
    """Rounds with one list of decisions for all shards, written once: their `shard` and `row` are 0. Each batch of each shard
    gets the whole list. A model that a group learns from the corpus travels so."""
    moves: ClassVar[bool] = False
    """Whether rows leave their shard. The engine then calls `route` in place of `apply`."""

    def decisions_for(self, rnd: int, decisions: pa.Table, first: int, n: int) -> pa.Table:
        """The decisions of round `rnd` that the batch of rows [first, first + n) gets: those about its rows, or all of them in a
        round of `broadcast` or `common`. decisions: of the shard, sorted by `row`."""
        whole = rnd in self.broadcast or rnd in self.common
        return decisions if whole else decisions_about(decisions, first, n)

    @abc.abstractmethod
    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        """Rows to send: `key` uint64 (rows of equal key meet), `row` uint32 (taken from `rows`), and any other columns.

        A document may send no row or several. The engine adds `shard` uint32 before `decide`. Must work on a batch without
        rows: the result then has the schema.

        Args:
            rnd: the round, from 0.
            batch: documents of one shard.
            rows: uint32 [n], the staged row number of each row of `batch`.
            decisions: None in round 0, else the last round's decisions about rows of this batch (all of the shard's, if the
                last round is in `broadcast`), sorted by `row`, without `shard` and with names for places.
        """

    @abc.abstractmethod
    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        """Decide from all rows of one partition.

        Args:
            rnd: the round, from 0.
            keys: rows of `keys` in any order, with `shard`, and with `arrival` uint32 where files came to the dataset in
                several waves. May be empty; the schema of the decisions must not depend on that.
        """

    def gather(self, rnd: int, decisions: Iterable[pa.Table], shard_rows: np.ndarray) -> pa.Table:
        """The decisions to send to shards, from those of all partitions.

        Args:
            rnd: the round, from 0.
            decisions: tables of at most a few hundred thousand rows, as the partitions wrote them. May be iterated several
                times and holds one table at a time; a group keeps what it needs longer in as few bytes as it can.
            shard_rows: int64 [shards], the number of staged rows of each shard.
        """
        raise TypeError(f"{self.name} lists round {rnd} in `gathered` without a `gather` method")

    def adds_to(self) -> bool:
        """Whether `apply` adds columns, or documents that name their parent. It must then work on a batch without rows."""
        return False

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        """Carry out the last round's decisions about rows of this batch (sorted by `row`; all of the shard's, if the last round is
        in `broadcast` or `common`). The columns stay as they are, but for a group that `adds_to` documents."""
        raise TypeError(f"{self.name} has no `apply` method")

    def route(self, batch: pa.RecordBatch, decisions: pa.Table, rng: Keyed) -> Routed:
        """Of a group that `moves`: where the rows of this batch go. decisions: all decisions of this shard, whatever their
        row; `Decided.shards` is the number of output shards. Must work on a batch without rows."""
        raise TypeError(f"{self.name} moves rows but has no `route` method")


class Account(Protocol):
    """The account of a shard's documents in a terminal step: documents = used + dropped, by reason."""

    documents: int
    rows: int
    dropped: Counter[str]

    @property
    def used(self) -> int:
        """Documents that are in rows, whole or in part."""

    def check(self, where: str) -> None:
        """Raises ConservationError unless every document is used or dropped."""

    def ledger(self) -> pa.Table:
        """Dropped documents: id, source, reason, value, bytes."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able details for the funnel."""


class Terminal(Transform):
    """Turns all documents of a shard into rows that are no documents. Only the last step of a recipe may be terminal.

    Packing tokens is an example: a row holds several documents and a long document fills several rows, so no batch can be
    packed on its own. The column `documents` names the documents in a row.
    """

    @abc.abstractmethod
    def account(self) -> Account:
        """A fresh account for one shard."""

    @abc.abstractmethod
    def finish(self, batches: Iterable[pa.RecordBatch], rng: Keyed, account: Account) -> Iterator[pa.RecordBatch]:
        """Rows of all documents of a shard, in at least one batch, which may be empty. Fills `account` on the way."""


KINDS = (Map, Filter, Expand, Group, Terminal)
"""The kinds of transform that a recipe can run."""


def kind_of(transform: Transform) -> str:
    """The kind of a transform, in lower case."""
    for kind in KINDS:
        if isinstance(transform, kind):
            return kind.__name__.lower()
    raise TypeError(f"{type(transform).__name__} is none of the kinds of transform")
