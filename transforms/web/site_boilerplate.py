"""The step `site-boilerplate`."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.base import USE_PUBLIC, Applied, Cuts, Decided, Group
from corpusmill.transforms.columns import texts
from corpusmill.transforms.dedup._cut import cut
from corpusmill.transforms.dedup._grouping import column
from corpusmill.transforms.dedup._parts import _parts
from corpusmill.transforms.hashing import hash64, mix64_array
from corpusmill.transforms.unicode import tables
from corpusmill.transforms.web.address import addresses

_HOSTS = pa.schema({"key": pa.uint64(), "row": pa.uint32(), "pages": pa.int64()})
_BLOCKS = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint32(),
        "second": pa.uint64(),
        "text": pa.uint64(),
        "pages": pa.int64(),
        "of": pa.int64(),
    }
)
_CUT = pa.schema({"shard": pa.uint32(), "row": pa.uint32(), "block": pa.uint64(), "second": pa.uint64()})
_SAMPLES, _SAMPLE = 3, 80


class SiteBoilerplate(Group):
    """Cuts blocks of text that recur on many pages of one host: menus, notices, teasers that `extract` left.

    A block is a line. It is cut wherever it stands on a host if it is on at least `min_pages` pages and on at least
    `min_share` of all pages of that host. Pages of equal text count as one for `min_pages`, so that copies of an article do not
    make it boilerplate. A page of which nothing is left is dropped as `only-boilerplate`. The funnel has the number of blocks
    that were cut, and `corpusmill why DIR ID` those of a page.

    The host is that of the column `url`, or of `id` where there is no `url`. Documents without a web address stay as they are.

    Round 0 counts the pages of each host, round 1 those of each block. Each batch sends a block once with its count, and up to
    `min_pages` hashes of texts that hold it, so that memory goes with distinct blocks and not with pages. The decisions about a
    host's blocks go to each shard that has them.

    Source: repetition over the pages of a site as in site-level template detection (Bar-Yossef and Rajagopalan 2002), with exact
    lines in place of parts of the page's tree.

    >>> SiteBoilerplate(min_pages=3).min_share
    0.05
    """

    name: ClassVar[str] = "site-boilerplate"
    version: ClassVar[int] = 1
    rounds: ClassVar[int] = 2
    broadcast: ClassVar[frozenset[int]] = frozenset({0, 1})
    refusal: ClassVar[tuple[str, str]] = (
        "a line repeated by one unit is cut out of the documents of others",
        f"leave it out; or {USE_PUBLIC}",
    )

    column: str | None = Field(
        None, min_length=1, description="Column of addresses; by default `url`, or `id` where there is no `url`."
    )
    min_pages: int = Field(5, ge=2, le=1000, description="Blocks on fewer pages of a host stay.")
    min_share: float = Field(0.05, ge=0, le=1, description="Blocks on a smaller share of the host's pages stay.")
    min_chars: int = Field(12, ge=1, description="Shorter blocks stay, such as a bracket on a line of its own.")

    def _hosts(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """(hash of each document's host uint64 [n], whether it has one bool [n])."""
        name = self.column or ("url" if "url" in batch.schema.names else "id")
        host = addresses(texts(batch, name, "site-boilerplate.column")).host
        return mix64_array(hash64(host)), host.is_valid().to_numpy(zero_copy_only=False)

    def _found(
        self, batch: pa.RecordBatch, hosts: np.ndarray, known: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(hashes uint64 [m, 2], document, begin, end int64 [m]) of the blocks of pages that have a host."""
        offsets, data = string_buffers(batch.column("text"))
        hashes, document, begin, end = _parts(offsets, data, False, 0, self.min_chars, *tables(), hosts)
        on_page = known[document]
        return hashes[on_page], document[on_page], begin[on_page], end[on_page]

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        hosts, known = self._hosts(batch)
        if rnd == 0:
            key, pages = np.unique(hosts[known], return_counts=True)
            columns = [key, np.zeros(len(key), np.uint32), pages.astype(np.int64)]
            return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=_HOSTS)
        hashes, document, _, _ = self._found(batch, hosts, known)
        # a block that occurs twice on a page counts once
        text = hash64(batch.column("text"))
        order = np.lexsort((document, text[document], hashes[:, 1], hashes[:, 0]))
        key, second, document = hashes[order, 0], hashes[order, 1], document[order]
        fresh = _changes(key, second, document)
        key, second, document = key[fresh], second[fresh], document[fresh]
        starts = np.flatnonzero(_changes(key, second))
        pages = np.diff(np.append(starts, len(key)))
        which = np.cumsum(_changes(key, second)) - 1
        distinct = _changes(key, second, text[document])
        nth = np.cumsum(distinct) - np.cumsum(distinct)[starts][which] if len(key) else np.zeros(0, np.int64)
        sent = np.flatnonzero(distinct & (nth < self.min_pages))
        counts = np.zeros(len(key), np.int64)
        counts[starts] = pages
        of = self._pages_of(decisions, hosts[document[sent]])
        zeros = np.zeros(len(sent), np.uint32)
        columns = [key[sent], zeros, second[sent], text[document[sent]], counts[sent], of]
        return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=_BLOCKS)

    @staticmethod
    def _pages_of(decisions: pa.Table | None, hosts: np.ndarray) -> np.ndarray:
        """The number of pages of each host, by the decisions of round 0."""
        if decisions is None or not decisions.num_rows or not len(hosts):
            return np.zeros(len(hosts), np.int64)
        key, pages = column(decisions, "host"), column(decisions, "pages")
        order = np.argsort(key)
        return pages[order][np.searchsorted(key[order], hosts)]

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        key, shard = column(keys, "key"), column(keys, "shard")
        if rnd == 0:
            order = np.lexsort((shard, key))
            key, shard, pages = key[order], shard[order], column(keys, "pages")[order]
            totals, which = _sums(_changes(key), pages)
            first = _changes(key, shard)
            host = {"shard": shard[first], "row": np.zeros(int(first.sum()), np.uint32), "host": key[first]}
            return Decided(pa.table(host | {"pages": totals[which[first]]}))
        second, text = column(keys, "second"), column(keys, "text")
        order = np.lexsort((shard, text, second, key))
        key, second, text, shard = key[order], second[order], text[order], shard[order]
        group = _changes(key, second)
        pages, which = _sums(group, column(keys, "pages")[order])
        distinct, _ = _sums(group, _changes(key, second, text).astype(np.int64))
        least = np.maximum(self.min_pages, np.ceil(self.min_share * column(keys, "of")[order][group]))
        often = ((distinct >= self.min_pages) & (pages >= least))[which]
        key, second, shard = key[often], second[often], shard[often]
        order = np.lexsort((second, key, shard))
        key, second, shard = key[order], second[order], shard[order]
        first = _changes(shard, key, second)
        columns = [shard[first], np.zeros(int(first.sum()), np.uint32), key[first], second[first]]
        return Decided(pa.Table.from_arrays([pa.array(c) for c in columns], schema=_CUT))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        hosts, known = self._hosts(batch)
        hashes, document, begin, end = self._found(batch, hosts, known)
        listed = np.sort(_joint(column(decisions, "block"), column(decisions, "second")))
        asked = _joint(hashes[:, 0], hashes[:, 1])
        place = np.minimum(np.searchsorted(listed, asked), max(len(listed) - 1, 0))
        hit = listed[place] == asked if len(listed) else np.zeros(len(asked), np.bool_)
        document, begin, end = document[hit], begin[hit], end[hit]
        ranges = pa.table(
            {
                "row": rows[document],
                "begin": begin.astype(np.uint32),
                "end": end.astype(np.uint32),
                "survivor": pa.nulls(len(document), pa.string()),
            }
        )
        return replace(
            cut(batch, rows, ranges, "only-boilerplate"), cuts=_cuts(batch.column("text"), document, begin, end)
        )


def _joint(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two hashes as one: uint64 [n]."""
    return mix64_array(first ^ mix64_array(second))


def _changes(*columns: np.ndarray) -> np.ndarray:
    """bool [n]: rows that differ from the one before in any of the columns, which are sorted."""
    out = np.ones(len(columns[0]), np.bool_)
    out[1:] = np.logical_or.reduce([c[1:] != c[:-1] for c in columns])
    return out


def _sums(group: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sum of the values of each group int64 [g], the group of each row int64 [n]). group: bool [n], where one begins."""
    starts = np.flatnonzero(group)
    return (np.add.reduceat(values, starts) if len(starts) else np.zeros(0, np.int64)), np.cumsum(group) - 1


def _cuts(texts: pa.Array, document: np.ndarray, begin: np.ndarray, end: np.ndarray) -> Cuts:
    """What is cut out of each document, with the beginnings of the first blocks."""
    rows, first, blocks = np.unique(document, return_index=True, return_counts=True)
    size = np.add.reduceat(end - begin, first) if len(rows) else np.zeros(0, np.int64)
    samples = []
    for row, i, n in zip(rows.tolist(), first.tolist(), blocks.tolist(), strict=True):
        text = texts[row].as_buffer().to_pybytes()
        parts = [text[begin[k] : end[k]] for k in range(i, i + min(n, _SAMPLES))]
        samples.append([" ".join(p.decode("utf-8", "replace").split())[:_SAMPLE] for p in parts])
    return Cuts(rows.astype(np.int64), blocks.astype(np.int64), size.astype(np.int64), samples)
