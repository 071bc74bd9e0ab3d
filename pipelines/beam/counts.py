"""A PTransform of private counts: how many privacy units there are of each domain, language or length.

    batches | PrivateCounts(Ledger("out/docs"), epsilon=0.5, delta=1e-7, by=("source", "lang", "length"), unit="user")

Each worker sends (privacy unit, group) once for each batch and set of groups, in record batches keyed by a hash of the
privacy unit. The receiver makes them distinct, bounds and counts them. Counts are added up; noise and threshold come
last (`privacy.statistics`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.beam.coder import register
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.statistics import COUNTED, UNIT_OF, check, cost, lengths, pairs, release, sigma_of, tally
from corpusmill.privacy.units import unit_of
from corpusmill.transforms.errors import RecipeError

LENGTH = "length"
"""Name of the groups of text lengths. A group begins at a power of two in bytes."""
_SET, _GROUP = "set", "group"


class PrivateCounts(beam.PTransform):
    """Maps batches to one dict for each group above the threshold: `by`, `group`, `units` (a noisy count), `deviation`,
    `threshold`.

    The ledger is charged (epsilon, delta) when the transform is applied, before the pipeline reads anything. A pipeline
    that fails later has spent, and one that is run again spends again. Data between workers and the noise key in the
    graph are private: run it only where the text itself may be. Without `ledger` nothing is charged.

    by: columns, each a set of groups of its own, and `length`; null is a group. unit: as in
    `corpusmill.privacy.units.unit_of`. A unit counts in at most `max_groups` groups of a set. columns of public documents are
    to be filtered out before. sources: paths of the private data, beside which the ledger notes its end.

    Raises:
        BudgetError: the ledger has less left. PrivacyError: another unit than the ledger's, rows without one. RecipeError: no
        such column.
    """

    def __init__(
        self,
        ledger: Ledger | None,
        epsilon: float,
        delta: float,
        by: Sequence[str] = ("source", "lang", LENGTH),
        unit: str = "document",
        max_groups: int = 1,
        what: str = "counts by {by}",
        partitions: int = 16,
        sources: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if not by or len(set(by)) < len(by):
            raise RecipeError("counts: name at least one column to count by, and each once")
        self.sigma = sigma_of(epsilon, delta, len(by))
        self.threshold_delta = delta / 2 / len(by)
        check(self.sigma, self.threshold_delta, max_groups)
        self._ledger, self._by, self._unit, self._max_groups = ledger, tuple(by), unit, max_groups
        self._sources = tuple(sources)
        self._what, self._partitions = what.format(by=", ".join(by)), partitions

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """Charge the ledger, and add the transforms for pairs, counts and release."""
        register()
        if self._ledger is not None:
            events = cost(self.sigma, self.threshold_delta, len(self._by))
            self._ledger.spend(events, self._what, self._unit, sources=self._sources)
        key = secrets.token_bytes(32)
        keyed = beam.ParDo(_Pairs(self._by, self._unit, self._partitions)).with_output_types(tuple[int, pa.RecordBatch])
        counted = beam.ParDo(_Tally(key, self._max_groups)).with_output_types(pa.RecordBatch)
        ends = beam.ParDo(_Release(key, self._by, self.sigma, self.threshold_delta, self._max_groups))
        return (
            batches
            | "pairs" >> keyed
            | "by unit" >> beam.GroupByKey()
            | "tally" >> counted
            | "to one place" >> beam.Map(lambda batch: (0, batch)).with_output_types(tuple[int, pa.RecordBatch])
            | "all" >> beam.GroupByKey()
            | "release" >> ends.with_output_types(dict[str, Any])
        )


class _Pairs(beam.DoFn):
    """(partition of the privacy unit, its pairs in this batch)."""

    def __init__(self, by: tuple[str, ...], unit: str, partitions: int) -> None:
        self._by, self._unit, self._partitions = by, unit, partitions

    def process(self, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        units = unit_of(batch, self._unit)
        for number, name in enumerate(self._by):
            groups = pa.table({_SET: np.full(len(batch), number, np.int32), _GROUP: groups_of(batch, name)})
            found = pairs(groups, units).combine_chunks()
            if not len(found):
                continue
            stands = np.frombuffer(found[UNIT_OF].chunk(0).buffers()[1], np.uint64)[::2]  # the first half of each hash
            part = (stands % np.uint64(self._partitions)).astype(np.int64)
            for p in np.unique(part).tolist():
                yield p, found.filter(pa.array(part == p)).combine_chunks().to_batches()[0]


class _Tally(beam.DoFn):
    """Counts of the privacy units of one partition."""

    def __init__(self, key: bytes, max_groups: int) -> None:
        self._key, self._max_groups = key, max_groups

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        table = pa.Table.from_batches(list(element[1]))
        for number in pc.unique(table[_SET]).to_pylist():
            mine = table.filter(pc.equal(table[_SET], number))
            counted = tally(mine, self._max_groups, Secret(self._key), number)
            yield from counted.combine_chunks().to_batches()


class _Release(beam.DoFn):
    """The counts of all partitions, with noise, without what is below the threshold."""

    def __init__(self, key: bytes, by: tuple[str, ...], sigma: float, delta: float, max_groups: int) -> None:
        self._key, self._by, self._sigma, self._delta, self._max_groups = key, by, sigma, delta, max_groups

    def process(self, element: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[dict[str, Any]]:
        table = pa.Table.from_batches(list(element[1])).select([_SET, _GROUP, COUNTED])
        for number, name in enumerate(self._by):
            mine = table.filter(pc.equal(table[_SET], number))
            found = release(mine, self._sigma, self._delta, self._max_groups, Secret(self._key), number)
            for group, units in zip(found.table[_GROUP].to_pylist(), found.table["units"].to_pylist()):
                about = {"deviation": found.deviation, "threshold": found.threshold}
                yield {"by": name, "group": group, "units": units, **about}


def groups_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The group of each row: the column's value as text, or the length's power of two. Raises RecipeError."""
    if name in batch.schema.names:
        return batch.column(name).cast(pa.string())
    if name != LENGTH or "text" not in batch.schema.names:
        raise RecipeError(f"counts: documents have no column `{name}`; they have {', '.join(batch.schema.names)}")
    return lengths(batch.column("text")).cast(pa.string())
