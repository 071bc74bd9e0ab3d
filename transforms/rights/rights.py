"""The step `rights`."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.rights import dep5
from corpusmill.transforms.rights.expressions import allows
from corpusmill.transforms.rights.gnu import Found
from corpusmill.transforms.rights.recognise import HINT, joined, licences
from corpusmill.transforms.rights.signals import signals

_HINT = f"(?i){HINT}"
_HEADER = r"(?i)robots|tdm-|licen[cs]e|content-(?:usage|signal)"
HEADERS = "rights_headers"
"""The column of web archives with the HTTP headers that speak of rights."""
_SIGNAL = r"(?i)licen[cs]e|rights|robots|tdm-|copyright"
UNKNOWN = "unknown"


class Rights(Filter):
    """Finds the licence that a document states and what its page reserves, writes both to columns, and drops documents by them.

    New columns: `licence`, an SPDX expression (null where nothing is stated; several statements are joined by AND),
    `licence_source`, `licence_start` and `licence_stop`: where the first evidence stands, in characters of `column` or, for
    evidence of the page, of `html`. Sources, the first of which decides:

    tag      SPDX-License-Identifier
    dep5     the License fields of a Debian copyright file (DEP-5)
    link     rel=license, an itemprop license, or an address of Creative Commons
    meta     a meta tag: license, dc.rights, dcterms.license and others
    json     the license of schema.org
    header   a Link header of HTTP with rel=license
    text     the text of a licence itself
    notice   a notice that names one, or the public domain (LicenseRef-public-domain)
    pointer  a file in /usr/share/common-licenses

    `robots` holds the directives of robots meta tags and X-Robots-Tag headers, `tdm_reserved` whether text and data mining is
    reserved (TDM Reservation Protocol, Content-Usage, Content-Signal; null where nothing is said), and `tdm_policy` the address
    of its conditions. The column `rights_headers` of web archives is read without being asked for. Read `html` before `extract`
    takes the page away.
    A statement is what the page says: it may be wrong, and may be of a part of the page.

    Raises SourceError for a column that is not there.

    >>> texts = ["# SPDX-License-Identifier: MIT", "no word of it"]
    >>> batch = pa.record_batch({"id": ["a", "b"], "text": texts, "source": ["s", "s"]})
    >>> Rights(keep=["MIT"])(batch).select(["id", "licence"]).to_pylist()
    [{'id': 'a', 'licence': 'MIT'}]
    """

    name: ClassVar[str] = "rights"
    version: ClassVar[int] = 3
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{keep: ['CC-BY-*', CC0-1.0, unknown]}"
    advice: ClassVar[str | None] = ": most documents state no licence; `unknown` in `keep` keeps these"

    column: str = Field("text", description="Column in which licences are looked for.")
    html: str | None = Field(None, description="Column of the page's HTML, for its links, meta tags and reservations.")
    headers: str | None = Field(
        None, description="Column of the HTTP headers, a line each; `rights_headers` of web archives if left out."
    )
    keep: tuple[str, ...] | None = Field(
        None, description="Licences to keep: SPDX names, patterns as `CC-BY-*`, and `unknown`; all if left out."
    )
    reserved: Literal["keep", "drop"] = Field(
        "keep",
        description="Pages that are reserved against text and data mining, or say noai, notrain or noml to robots.",
    )

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Reasons: `licence` (what is stated is not in `keep`), `no-licence` (nothing is stated), `reserved`."""
        n = batch.num_rows
        texts, text_hints = self._column(batch, self.column, _HINT)
        pages, page_hints = self._column(batch, self.html, _SIGNAL)
        headers = self.headers or (HEADERS if HEADERS in batch.schema.names else None)
        heads, head_hints = self._column(batch, headers, _HEADER)
        licence: list[str | None] = [None] * n
        first: list[Found | None] = [None] * n
        robots: list[str | None] = [None] * n
        tdm: list[bool | None] = [None] * n
        policy: list[str | None] = [None] * n
        reserved = np.zeros(n, np.bool_)
        for i in np.flatnonzero(text_hints | page_hints | head_hints).tolist():
            found = _stated(_text(texts, i)) if text_hints[i] else []
            if page_hints[i] or head_hints[i]:
                said = signals(_text(pages, i) if page_hints[i] else "", _text(heads, i) if head_hints[i] else "")
                # what the page's own markup says goes before what its text mentions
                tags = [f for f in found if f.source in ("tag", "dep5")]
                found = tags or said.licences or found
                robots[i], tdm[i], reserved[i] = ", ".join(said.robots) or None, said.tdm, said.reserved
                policy[i] = said.policy or None
            if found:
                licence[i], first[i] = _expression(found), found[0]
        rules = Rules(n)
        if self.keep is not None:
            stated = np.array([value is not None for value in licence], np.bool_)
            good = [value is None or allows(value, self.keep) for value in licence]
            rules.broken("licence", ~np.array(good, np.bool_), np.ones(n))
            if UNKNOWN not in self.keep:
                rules.broken("no-licence", ~stated, np.ones(n))
        if self.reserved == "drop":
            rules.broken("reserved", reserved, np.ones(n))
        out = set_column(batch, "licence", pa.array(licence, pa.string()))
        out = set_column(out, "licence_source", pa.array([f and f.source for f in first], pa.string()))
        out = set_column(out, "licence_start", pa.array([f and f.start for f in first], pa.int64()))
        out = set_column(out, "licence_stop", pa.array([f and f.stop for f in first], pa.int64()))
        if self.html is not None or headers is not None:
            out = set_column(out, "robots", pa.array(robots, pa.string()))
            out = set_column(out, "tdm_reserved", pa.array(tdm, pa.bool_()))
            out = set_column(out, "tdm_policy", pa.array(policy, pa.string()))
        return rules.verdict(out)

    def _column(self, batch: pa.RecordBatch, name: str | None, hint: str) -> tuple[pa.Array, np.ndarray]:
        """(the column, bool [n]: which rows may say something)."""
        if name is None:
            return pa.nulls(batch.num_rows), np.zeros(batch.num_rows, np.bool_)
        if name not in batch.schema.names:
            raise SourceError(
                f"rights: no column {name!r} among {', '.join(batch.schema.names)}. Correct the step's fields."
            )
        column = batch.column(name)
        kind = column.type
        if not any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary,
                                                  pa.types.is_large_binary)):  # fmt: skip
            raise SourceError(f"rights: column {name!r} is {kind}, not text or bytes.")
        hits = pc.match_substring_regex(column.cast(pa.large_binary()), hint).fill_null(False)
        return column, hits.to_numpy(zero_copy_only=False).astype(np.bool_)


def _text(column: pa.Array, i: int) -> str:
    value = column[i].as_py()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _stated(text: str) -> list[Found]:
    """The statements of a text, the best kind of evidence first."""
    if dep5.is_dep5(text):
        found = [Found(f"({e})" if " OR " in e else e, start, stop, "dep5") for e, start, stop in dep5.stated(text)]
        if found:
            return list({f.licence: f for f in reversed(found)}.values())[::-1]
    found = licences(text)
    return [f for f in found if f.source == "tag"] or found


def _expression(found: list[Found]) -> str:
    return joined(f.licence for f in found)
