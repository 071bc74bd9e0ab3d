"""Counts of units by group that may be published: how much text of which domain, language or length a private source has.

Each unit counts once in at most `max_groups` groups, chosen by a keyed draw; every group's count gets normal noise, and a group
is named only if its noisy count passes a threshold, so that a group which one unit alone makes up is named with probability at
most `delta`. Which groups exist is then private too (partition selection: Korolova et al. 2009; Gaussian thresholding as in
Desfontaines et al. 2022, "Differentially private partition selection", section 4).

    sensitivity  sqrt(k): a unit changes k counts by 1 each             sigma_count = sigma * sqrt(k)
    threshold    1 + sigma_count * Phi^-1((1 - delta)^(1 / k))          k = max_groups

Cost: one `gaussian` event of noise sigma, and one `approximate` event of (0, delta), for each set of groups.

`pairs`, `tally` and `release` are the same in three parts, for data in many places: the pairs of a unit must meet in one
`tally`, whose counts add up. `corpusmill.pipelines.beam.counts` is made of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.privacy.accounting import Event, sigma_for
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.secret import COUNT, Secret
from corpusmill.transforms.errors import PrivacyError
from corpusmill.transforms.hashing import hash64, hash128, mix64_array

UNIT_OF, COUNTED = "\0unit", "\0count"


@dataclass(frozen=True)
class Counts:
    """Groups that may be named, with noisy numbers of units. deviation: of each number's noise."""

    table: pa.Table
    deviation: float
    threshold: float


def cost(sigma: float, delta: float, sets: int = 1) -> list[Event]:
    """What `sets` sets of counts cost."""
    return [Event(kind="gaussian", sigma=sigma, count=sets), Event(kind="approximate", delta=delta, count=sets)]


def sigma_of(epsilon: float, delta: float, sets: int = 1) -> float:
    """The noise by which `sets` sets of counts cost `epsilon` at `delta`, of which half is for naming groups."""
    return sigma_for(epsilon, delta / 2, 1.0, sets, tolerance=1e-3)


def count_units(
    groups: pa.Table,
    units: pa.Array,
    sigma: float,
    delta: float,
    max_groups: int = 1,
    ledger: Ledger | None = None,
    unit: str = "document",
    what: str = "counts",
    secret: Secret | None = None,
) -> Counts:
    """Noisy counts of units by the columns of `groups`.

    groups: one row a document, the columns to group by; units: the unit of each row. sigma, delta: see `cost`; the ledger
    is charged before the data is looked at. Raises BudgetError where it has less left.
    """
    check(sigma, delta, max_groups)
    if ledger is not None:
        ledger.spend(cost(sigma, delta), what, unit)
    secret = secret or Secret()
    return release(tally(pairs(groups, units), max_groups, secret), sigma, delta, max_groups, secret)


def check(sigma: float, delta: float, max_groups: int) -> None:
    """Raises PrivacyError for what gives no privacy."""
    if sigma <= 0 or not 0 < delta < 1 or max_groups < 1:
        raise PrivacyError("counts need noise above 0, a delta between 0 and 1, and at least one group a unit.")


def pairs(groups: pa.Table, units: pa.Array) -> pa.Table:
    """Each (unit, group) once: the columns of `groups`, and `unit`, 16 bytes that stand for its name."""
    stands = pa.py_buffer(np.ascontiguousarray(hash128(units)))
    names = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(units), [None, stands])
    table = groups.append_column(UNIT_OF, names)
    return table.group_by(table.column_names, use_threads=False).aggregate([])


def tally(pairs: pa.Table, max_groups: int, secret: Secret, part: int = 0) -> pa.Table:
    """Exact, so private, counts of units by group, each unit in at most `max_groups`: the columns, and `count`.

    pairs: with all pairs of each unit, which may be there several times. part: number of the set of groups.
    """
    distinct = pairs.group_by(pairs.column_names, use_threads=False).aggregate([])
    names = [n for n in distinct.column_names if n != UNIT_OF]
    kept = distinct.take(pa.array(_chosen(distinct, names, max_groups, secret, part)))
    counts = kept.group_by(names, use_threads=False).aggregate([([], "count_all")])
    return counts.rename_columns([COUNTED if n == "count_all" else n for n in counts.column_names])


def release(tallied: pa.Table, sigma: float, delta: float, max_groups: int, secret: Secret, part: int = 0) -> Counts:
    """Counts that may be published, from all `tally` gave; counts of one group are added first."""
    names = [n for n in tallied.column_names if n != COUNTED]
    totals = tallied.group_by(names, use_threads=False).aggregate([(COUNTED, "sum")])
    totals = totals.sort_by([(name, "ascending") for name in names])  # draws go to groups in a fixed order
    deviation = sigma * math.sqrt(max_groups)
    threshold = 1 + deviation * NormalDist().inv_cdf((1 - delta) ** (1 / max_groups))
    exact = totals[f"{COUNTED}_sum"].to_numpy()
    noisy = exact + deviation * secret.normal(0, totals.num_rows, part, purpose=COUNT)
    passed = noisy > threshold
    table = totals.select(names).filter(pa.array(passed)).append_column("units", pa.array(np.round(noisy[passed], 1)))
    return Counts(table, deviation, threshold)


def _chosen(distinct: pa.Table, names: list[str], max_groups: int, secret: Secret, part: int) -> np.ndarray:
    """Rows of (group, unit) pairs that stay: at most `max_groups` a unit, by draws that depend on the pair alone."""
    if not distinct.num_rows:
        return np.zeros(0, np.int64)
    unit = pc.rank(distinct[UNIT_OF].combine_chunks(), tiebreaker="dense").to_numpy().astype(np.int64)
    label = pa.chunked_array([pa.array([""] * distinct.num_rows)])
    for name in names:
        label = pc.binary_join_element_wise(label, pc.fill_null(distinct[name].cast(pa.string()), ""), "\0")
    key = secret.words(COUNT, 1, part, 2)
    draws = mix64_array(hash64(label.combine_chunks()) ^ key[0])
    draws = mix64_array(draws ^ hash64(distinct[UNIT_OF].combine_chunks().cast(pa.binary())) ^ key[1])
    order = np.lexsort((draws, unit))
    u = unit[order]
    first = np.ones(len(u), np.bool_)
    first[1:] = u[1:] != u[:-1]
    begin = np.maximum.accumulate(np.where(first, np.arange(len(u)), 0))
    return np.sort(order[np.arange(len(u)) - begin < max_groups])


def lengths(texts: pa.Array) -> pa.Array:
    """The group of a text's length: the power of two at or below its bytes.

    >>> lengths(pa.array(["", "abc", "x" * 1000])).to_pylist()
    [0, 2, 512]
    """
    size = pc.binary_length(texts).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return pa.array(np.where(size > 0, 1 << np.log2(np.maximum(size, 1)).astype(np.int64), 0))
