"""Sampling that flattens clusters, or any columns, between a floor and a ceiling, and gives more to rare words."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.columns import labels, numbers
from corpusmill.transforms.mix._mixing import NO_DOMAIN, Mixing
from corpusmill.transforms.mix.epochs import spread

BINS = 64
"""Steps of `typical` from 0 to 1 by which documents are told apart."""
_MARK = " ~"


class Balance(Mixing):
    """Repeats the documents of small groups and samples those of large ones, and shuffles all of them over the shards.

    A group is a cluster (the column that the step `cluster` writes), or one combination of the values of `by`. Of G groups
    whose mean size is m, one of size n is asked to be min(max(n, floor m), ceiling m), and gets so many epochs, at
    most `max_epochs`. What lies between floor and ceiling stays as it is. With `budget`, all groups share it in the
    proportion of what they are asked to be.

    Clusters alone do not tell a large topic from small ones: k-means cuts the large topic into many clusters, so flat clusters
    leave it large. Words do: those of a large topic are frequent in the corpus. With `rarity`, what a group g is asked
    to be is multiplied by 2^(power (r_g - r)). r_g is its mean rarity and r that of all documents, in bits a word. Of
    topics without a common word, rarities differ by the logarithm of their sizes, and `power: 1` makes them equal. About half of
    the words of a text are those that all topics share, so 2 does. Text that is no language is rare, too: filter it before.

    A document is written floor(e) times, and once more with the chance e - floor(e), by a draw that is keyed by its id: a
    refresh that changes the sizes a little changes few documents. Rows, columns, the side table `mixture` and
    the treatment of evaluation splits are those of `mix`.
    With `typical`, the documents nearest to the centre of a large group go first, instead of drawn ones.
    Source: D4 (Tirumala et al. 2023, arXiv 2308.12284): prune duplicates by meaning (`semantic`), then the most typical ones.

    Raises:
        RecipeError: no document has a column of `by`; `typical` or `rarity` is absent or holds no numbers.

    >>> Balance(floor=0.5, ceiling=2).targets(np.array([10, 100, 490]))
    array([100., 100., 400.])
    """

    name: ClassVar[str] = "balance"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{by: [cluster], rarity: cluster.rarity, floor: 0.5, ceiling: 2}"

    by: tuple[str, ...] = Field(
        ("cluster",), min_length=1, description="Columns whose values, together, are the groups."
    )
    floor: float = Field(0.5, ge=0, le=1, description="Least size of a group, as a part of the mean size.")
    ceiling: float = Field(2.0, ge=1, description="Greatest size of a group, as a multiple of the mean size.")
    typical: str | None = Field(
        None,
        min_length=1,
        description="Column of numbers from 0 to 1, such as `cluster.cosine` (`cluster: {cosine: true}`): of a group that is cut, "
        "the documents with the highest values go.",
    )

    rarity: str | None = Field(
        None,
        min_length=1,
        description="Column of bits a word, such as `cluster.rarity` (`cluster: {rarity: true}`): groups of rare words get more.",
    )
    power: float = Field(2.0, ge=0, le=4, description="How much more, with `rarity`: a factor of 2^(power bits).")

    @model_validator(mode="after")
    def _columns_named(self) -> Balance:
        if not all(self.by):
            raise ValueError("`by`: a column has a name")
        return self

    def columns(self) -> tuple[str, ...]:
        return self.by

    def domains(self, batch: pa.RecordBatch) -> pa.Array:
        parts = []
        for column in self.by:
            if column not in batch.schema.names:
                parts.append(pa.array([NO_DOMAIN] * batch.num_rows, pa.string()))
            else:
                parts.append(labels(batch, column, "balance.by").fill_null(NO_DOMAIN))
        names = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, " / ")
        if self.typical is None or not batch.num_rows:
            return names
        values = numbers(batch, self.typical, "balance.typical").fill_null(0.0).to_numpy(zero_copy_only=False)
        bins = np.clip(np.nan_to_num(values) * BINS, 0, BINS - 1).astype(np.int64)
        marks = pa.array([f"{b:02d}" for b in range(BINS)]).take(pa.array(bins))
        return pc.binary_join_element_wise(names, marks, _MARK)

    def rarities(self, batch: pa.RecordBatch) -> np.ndarray:
        if self.rarity is None or not batch.num_rows:
            return np.zeros(batch.num_rows)
        bits = numbers(batch, self.rarity, "balance.rarity").fill_null(0.0).to_numpy(zero_copy_only=False)
        return np.clip(np.nan_to_num(bits), 0.0, 64.0)

    def targets(self, sizes: np.ndarray) -> np.ndarray:
        """What groups of `sizes` are asked to be: float64 [g]; 0 for an empty group."""
        n = np.asarray(sizes, np.float64)
        mean = n.sum() / max(1, int((n > 0).sum()))
        asked: np.ndarray = np.where(n > 0, np.clip(n, self.floor * mean, self.ceiling * mean), 0.0)
        return asked

    def plan(self, domains: list[str], sizes: np.ndarray, rarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = np.asarray(sizes, np.float64)
        groups, which = np.arange(len(n)), np.arange(len(n))
        if self.typical is not None:
            groups, which = np.unique([d.rpartition(_MARK)[0] for d in domains], return_inverse=True)
        whole = np.bincount(which, n, len(groups))
        asked = self.targets(whole)
        if self.rarity is not None:
            bits = np.bincount(which, n * rarity, len(groups)) / np.maximum(whole, 1e-300)
            known = bits > 0  # documents without words have no rarity
            mean = (whole * bits).sum() / max(whole[known].sum(), 1e-300)
            asked = np.where(known, asked * np.exp2(self.power * (bits - mean)), asked)
        if self.typical is not None:
            asked = self._least_typical(domains, n, which, whole, asked)
        shares = asked / max(asked.sum(), 1e-300)
        if self.budget is not None:
            return shares, spread(sizes, shares, float(self.budget), self.max_epochs)
        return shares, np.minimum(asked / np.maximum(n, 1e-300), self.max_epochs)

    def _least_typical(
        self, domains: list[str], sizes: np.ndarray, which: np.ndarray, whole: np.ndarray, asked: np.ndarray
    ) -> np.ndarray:
        """What the parts of groups are asked to be: float64 [d]. A group that is cut keeps its least typical documents.

        Args:
            domains, sizes: of the parts.
            which: int64 [d], the group of each.
            whole, asked: float64 [g], sizes of the groups, and what they are asked to be.
        """
        out = np.zeros(len(domains))
        order = np.lexsort((np.array(domains), which))
        begins = np.searchsorted(which[order], np.arange(len(whole) + 1))
        for g in range(len(whole)):
            mine = order[begins[g] : begins[g + 1]]
            n = sizes[mine]
            grown = n * (asked[g] / max(whole[g], 1e-300))
            out[mine] = grown if asked[g] >= whole[g] else np.clip(asked[g] - (np.cumsum(n) - n), 0.0, n)
        return out
