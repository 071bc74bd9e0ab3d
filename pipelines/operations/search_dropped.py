"""Searches the texts of dropped documents, which stand in the sources alone.

All sources are read from front to back, so nothing is out of reach; rows whose text matches are looked up in the table of dropped
documents. Texts are those that were read, before any step. Documents that a step derived are in no source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.examples import Text, read_sources, source_splits, table
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.progress import Meter, Tell
from corpusmill.transforms.shards import text_bytes

MODES = ("text", "any case", "regex")
FIRST, MOST = 64, 65_536
"""Matching rows that are looked up together: at first, so that the first finds come soon, and later."""


def search(
    reader: Dataset,
    manifest: Manifest,
    pattern: str,
    mode: str = "regex",
    step: str | None = None,
    reason: str | None = None,
    without: tuple[str, ...] = (),
    tell: Tell | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[dict[str, Any], Text]]:
    """Yield dropped documents whose text matches, in the order of the sources: their row of the table `dropped`, and their text.

    Args:
        reader: of the dataset.
        manifest: of the snapshot.
        pattern: what is looked for.
        mode: one of MODES. Regular expressions are RE2's.
        step, reason: only documents that were dropped there, and for this.
        without: sources that are not read.
        tell: takes reports of progress.
        stopped: asked now and then; the search ends when it says so.

    Raises:
        DatasetError: the expression is wrong, or there is no such mode.
    """
    matches, _ = matcher(pattern, mode)
    waiting: dict[tuple[str, str], Text] = {}
    room = FIRST
    size = sum(split.size for spec, split in source_splits(reader, manifest) if spec.name not in without)
    with Meter(tell, "search the sources", 1, "search", size) as meter:
        for name, batches in read_sources(reader, manifest, without):
            row = 0
            for batch in batches:
                found = pc.indices_nonzero(pc.fill_null(matches(batch.column("text")), False))
                for place, source, key, text in _rows(batch, found):
                    waiting.setdefault((source, key), Text(text, name, row + place))
                row += batch.num_rows
                read = text_bytes(batch)
                meter.add(documents=batch.num_rows, bytes=read, work=read)
                if len(waiting) >= room:
                    yield from _dropped(reader, manifest, waiting, step, reason)
                    waiting, room = {}, min(2 * room, MOST)
                if stopped():
                    return
        yield from _dropped(reader, manifest, waiting, step, reason)
        meter.add(1)


def matcher(pattern: str, mode: str) -> tuple[Callable[[pa.Array], pa.Array], Callable[[pa.Array], pa.Array]]:
    """Two functions of texts: whether each matches, and at which byte the first match begins.

    Raises:
        DatasetError: the expression is wrong, or there is no such mode.
    """
    if mode not in MODES:
        raise DatasetError(f"no way to search is called {mode}; there are: {', '.join(MODES)}")
    kind, any_case = ("substring_regex" if mode == "regex" else "substring"), mode == "any case"
    found, place = getattr(pc, f"match_{kind}"), getattr(pc, f"find_{kind}")
    try:
        found(pa.array([""]), pattern)  # a wrong expression is told before anything is read
    except pa.ArrowInvalid as error:
        raise DatasetError(f"{pattern!r} is no regular expression: {error}. Correct it.") from None
    return (
        lambda texts: found(texts, pattern, ignore_case=any_case),
        lambda texts: place(texts, pattern, ignore_case=any_case),
    )


def _rows(batch: pa.RecordBatch, places: pa.Array) -> Iterator[tuple[int, str, str, str]]:
    """(place, source, id, text) of some rows."""
    columns = [batch.column(name).take(places).to_pylist() for name in ("source", "id", "text")]
    yield from zip(places.to_pylist(), *columns, strict=True)


def _dropped(
    reader: Dataset,
    manifest: Manifest,
    waiting: dict[tuple[str, str], Text],
    step: str | None,
    reason: str | None,
) -> Iterator[tuple[dict[str, Any], Text]]:
    """Those of the matching documents that were dropped, in the order in which they wait."""
    if not waiting:
        return
    ids = pa.array(sorted({key for _, key in waiting}), pa.string())
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for batch in table(reader, manifest, "dropped"):
        mask = pc.is_in(batch.column("id"), ids)
        for column, wanted in (("step", step), ("reason", reason)):
            if wanted is not None:
                mask = pc.and_(mask, pc.equal(batch.column(column), wanted))
        for row in batch.filter(mask).to_pylist():
            rows.setdefault((row["source"], row["id"]), row)
    for key, text in waiting.items():
        if key in rows:
            yield rows[key], text
