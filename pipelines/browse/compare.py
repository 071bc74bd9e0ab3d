"""Two documents side by side, and two snapshots document by document."""

from __future__ import annotations

import os
from typing import Any

from corpusmill.pipelines.browse.tables import Tables, literal, parquet
from corpusmill.pipelines.report.look import side_by_side
from corpusmill.pipelines.wording import clean
from corpusmill.transforms.errors import DatasetError

CHARACTERS = 40_000
"""Of each text that are compared."""


def texts(a: str, b: str) -> list[list[list[list[Any]]]]:
    """Lines of both, side by side: [[[text, changed], ...], [...]] each."""
    lines = side_by_side(clean(a[:CHARACTERS]), clean(b[:CHARACTERS]))
    return [[[[bit.text, bit.changed] for bit in side] for side in line] for line in lines]


def _joined(old: Tables, new: Tables) -> str:
    """SQL of (id, source, change) of all documents that differ. Only shards of one of the two are read."""
    for tables in (old, new):
        if "rows" in tables.tables:
            raise DatasetError("snapshots of packed rows are compared by `corpusmill diff`")
    same = {f["path"] for f in old.manifest["files"]} & {f["path"] for f in new.manifest["files"]}
    sides = []
    for tables in (old, new):
        files = [f["path"] for f in tables.manifest["files"] if f["path"] not in same and f["rows"]]
        paths = [os.path.join(tables.reader.path, p) for p in files]
        if not all(p.endswith(".parquet") for p in paths):
            raise DatasetError("snapshots of Arrow files are compared by `corpusmill diff`")
        sides.append(_side(paths, tables.private))
    return (
        "(SELECT coalesce(b.id, a.id) AS id, coalesce(b.source, a.source) AS source, "
        "CASE WHEN a.id IS NULL THEN 'added' WHEN b.id IS NULL THEN 'removed' ELSE 'changed' END AS change "
        f"FROM {sides[0]} a FULL JOIN {sides[1]} b ON a.id = b.id WHERE a.h IS DISTINCT FROM b.h)"
    )


def _side(paths: list[str], private: list[str]) -> str:
    if not paths:
        return "(SELECT NULL::VARCHAR AS id, NULL::VARCHAR AS source, NULL::UBIGINT AS h WHERE false)"
    hidden = f" WHERE source NOT IN ({', '.join(map(literal, private))})" if private else ""
    # repeats of one document share its id
    return (
        f"(SELECT id, any_value(source) AS source, bit_xor(hash(text)) AS h FROM {parquet(paths)}{hidden} GROUP BY id)"
    )


def snapshots(cursor: Any, old: Tables, new: Tables, change: str, offset: int, count: int) -> dict[str, Any]:
    """How many documents were added, removed and changed by source, and a page of them. change: of these only, or ""."""
    joined = _joined(old, new)
    counts = cursor.execute(f"SELECT source, change, count(*) FROM {joined} GROUP BY 1, 2 ORDER BY 1, 2").fetchall()
    where = " WHERE change = ?" if change else ""
    query = f"SELECT id, source, change FROM {joined}{where} ORDER BY change, id LIMIT {count} OFFSET {offset}"
    rows = cursor.execute(query, [change] if change else []).fetchall()
    return {
        "counts": [list(c) for c in counts],
        "rows": [{"id": r[0], "_id": r[0], "source": r[1], "change": r[2]} for r in rows],
    }
