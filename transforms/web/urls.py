"""The step `urls`."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.columns import texts
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.web.address import addresses, domains
from corpusmill.transforms.web.block_lists import BlockList, block_list


class Urls(Filter):
    """Writes the normal form, host and registered domain of web addresses, and drops pages by their address.

    Source: URL filtering as in RefinedWeb (Penedo et al. 2023, appendix G.1): lists of domains, then words in the address. The
    word lists are ours. The new columns are `url_normal`, `host` and `domain` (by the public suffix list). Two pages with the
    same `url_normal` are one page; the step `url-duplicates` keeps one of them.

    A page is dropped as `no-url` if its value is no http(s) address, as `opted-out` if a list of `opt_out` names its domain,
    as `blocked-CATEGORY` if a list of `block` does. An entry of a list names a domain with everything below it, or the
    beginning of an address. Lists are files or folders, also as UT1 and hosts files have them; they are compiled once
    (`corpusmill.transforms.web.block_lists`).

    The score `address_words` is 2 for each of `words` in the address and of `parts` anywhere in the host, and 1 for each of
    `hints`; above `max_address_words` the page is dropped.

    `corpusmill forget DIR --domain NAME` takes a domain out of a dataset that exists.

    Raises:
        RecipeError: a list or the column is not there.
        BadFileError: a line of a list is no domain or address.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["x"], "url": ["http://www.news.example.co.uk/?utm_source=x"]})
    >>> Urls()(batch).select(["url_normal", "host", "domain"]).to_pylist()
    [{'url_normal': 'https://news.example.co.uk', 'host': 'news.example.co.uk', 'domain': 'example.co.uk'}]
    """

    name: ClassVar[str] = "urls"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{block: [lists/ut1], categories: [adult, malware], opt_out: [opted-out.txt]}"

    column: str | None = Field(
        None, min_length=1, description="Column of addresses; by default `url`, or `id` where there is no `url`."
    )
    block: tuple[str, ...] = Field((), description="Lists of domains and addresses to drop: files or folders.")
    categories: tuple[str, ...] | None = Field(
        None, description="Categories of the block lists that count; all by default."
    )
    allow: tuple[str, ...] = Field((), description="Lists of domains and addresses that neither lists nor words drop.")
    opt_out: tuple[str, ...] = Field((), description="Lists of domains whose owners want no page of theirs used.")
    max_address_words: int | None = Field(1, ge=0, description="Highest score of words in the address.")
    parts: tuple[str, ...] = Field(
        ("porn", "xvideo", "xnxx", "hentai", "xhamster", "camgirl", "bdsm", "milf", "nudist", "sexcam", "sexchat"),
        description="Parts of a host that stand for adult pages.",
    )
    words: tuple[str, ...] = Field(
        ("porn", "porno", "pornos", "xxx", "hentai", "milf", "milfs", "orgy", "blowjob", "cumshot", "creampie", "gangbang",
         "fetish", "viagra", "cialis"),
        description="Words of an address that stand for adult or spam pages.",
    )  # fmt: skip
    hints: tuple[str, ...] = Field(
        ("sex", "sexy", "nude", "nudes", "naked", "erotic", "escort", "escorts", "webcam", "webcams", "adult", "adults", "hot",
         "babes", "girls", "teens", "amateur", "dating", "casino", "casinos", "gambling", "slots", "poker", "betting", "bonus",
         "payday", "loans", "replica", "pills", "cheap", "torrent", "warez", "crack", "keygen", "serial"),
        description="Words of an address of which two stand for adult or spam pages.",
    )  # fmt: skip

    def files(self) -> list[str]:
        """The lists."""
        return [*self.block, *self.allow, *self.opt_out]

    def libraries(self) -> tuple[str, ...]:
        return ("unicode", "publicsuffixlist")

    def fingerprint(self) -> str:
        """Lists count by their entries."""
        lists = [found.digest if found else "" for found in self._lists()]
        plain = self.model_copy(update={"block": (), "allow": (), "opt_out": ()})
        return hashlib.sha256(f"{Filter.fingerprint(plain)}\0{lists}".encode()).hexdigest()[:32]

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Score: address_words."""
        column = self.column or ("url" if "url" in batch.schema.names else "id")
        found = addresses(texts(batch, column, "urls.column"))
        blocked, allowed, opted = (each.find(found.normal, found.host) if each else None for each in self._lists())
        n = batch.num_rows
        rules = Rules(n)
        ones = np.ones(n)
        rules.broken("no-url", found.normal.is_null().to_numpy(zero_copy_only=False), ones)
        if opted is not None:
            rules.broken("opted-out", opted >= 0, ones)
        free = np.zeros(n, np.bool_) if allowed is None else allowed >= 0
        if blocked is not None:
            for number in np.unique(blocked[(blocked >= 0) & ~free]).tolist():
                category = self._lists()[0].categories[number]  # type: ignore[union-attr]
                rules.broken(f"blocked-{category}", (blocked == number) & ~free, ones)
        rules.check("max_address_words", self._score(found.normal, found.host), self.max_address_words, ~free)
        batch = set_column(batch, "url_normal", found.normal)
        batch = set_column(batch, "host", found.host)
        return rules.verdict(set_column(batch, "domain", domains(found.host)))

    def _lists(self) -> tuple[BlockList | None, BlockList | None, BlockList | None]:
        """The lists of `block`, `allow` and `opt_out`."""
        return (
            block_list(self.block, self.categories) if self.block else None,
            block_list(self.allow) if self.allow else None,
            block_list(self.opt_out) if self.opt_out else None,
        )

    def _score(self, normal: pa.Array, host: pa.Array) -> np.ndarray:
        words = pc.replace_substring(pc.utf8_lower(normal), "_", "-")
        total = 2.0 * _count(words, _whole(self.words)) + _count(words, _whole(self.hints))
        return total + 2.0 * _count(host, "|".join(map(re.escape, self.parts)))


@functools.lru_cache(8)
def _whole(words: tuple[str, ...]) -> str:
    return rf"\b(?:{'|'.join(map(re.escape, words))})\b" if words else ""


def _count(values: pa.Array, pattern: str) -> np.ndarray:
    """int64 [n]: how often a pattern matches; 0 in null."""
    if not pattern:
        return np.zeros(len(values), np.int64)
    return pc.fill_null(pc.count_substring_regex(values, pattern), 0).to_numpy(zero_copy_only=False).astype(np.int64)
