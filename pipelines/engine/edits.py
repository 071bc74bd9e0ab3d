"""Counts what a step changed in texts: documents, and bytes that it took out and put in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.outcome import CountRecord

EDITED, CUT, ADDED = "edited", "bytes_cut", "bytes_added"
EDITS = "edits"
"""Details of a step in the funnel: documents whose text it changed, and by how many bytes they became shorter or longer;
of noise, edits in all copies."""


def add(details: dict[str, Any], before: pa.Array, after: pa.Array) -> None:
    """Add the edits of one batch to the details of a step.

    Args:
        details: of the step's count; `EDITED`, `CUT` and `ADDED` are added up.
        before: texts before the step.
        after: texts of the same documents behind it, in the same order.
    """
    for name in (EDITED, CUT, ADDED):
        details.setdefault(name, 0)
    if _same(before, after):
        return
    if before.type != after.type:
        before, after = before.cast(pa.binary()), after.cast(pa.binary())
    changed = pc.not_equal(before, after)
    documents = pc.sum(changed).as_py() or 0
    if documents:
        grown = pc.subtract(pc.binary_length(after).cast(pa.int64()), pc.binary_length(before).cast(pa.int64()))
        by = pc.fill_null(grown, 0).to_numpy(zero_copy_only=False)
        details[EDITED] += documents
        details[CUT] -= int(np.minimum(by, 0).sum())
        details[ADDED] += int(np.maximum(by, 0).sum())


def add_derived(details: dict[str, Any], derived_by: pa.Array) -> None:
    """Add the edits that the lineage of derived documents names: noise counts those of each copy."""
    found = pc.struct_field(pc.extract_regex(derived_by, r'"edits": (?P<n>[0-9]+)'), "n").cast(pa.int64())
    details.setdefault(EDITS, 0)
    details[EDITS] += pc.sum(found).as_py() or 0


def _same(before: pa.Array, after: pa.Array) -> bool:
    """Whether both are views of the same memory, as where a step passes texts on."""
    if before is after:
        return True
    if len(before) != len(after) or before.offset != after.offset:
        return False
    pairs = zip(before.buffers(), after.buffers(), strict=True)
    return all((a is None) == (b is None) and (a is None or a.address == b.address) for a, b in pairs)


def agreed(details: dict[str, int], counts: list[CountRecord], kind: str) -> dict[str, int]:
    """The summed details of a step without edits that mean nothing.

    Work that an earlier version stored has no count of edits; a sum with a part missing would be wrong. Steps other than
    maps name edits only where they made some.
    """
    whole = all(EDITED in c["details"] for c in counts if c["rows_in"]) and (
        kind == "map" or details.get(EDITED, 0) > 0
    )
    return details if whole else {k: v for k, v in details.items() if k not in (EDITED, CUT, ADDED)}
