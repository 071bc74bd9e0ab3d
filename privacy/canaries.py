"""Canaries: made-up rows, each put into training by a coin, whose scores tell how much a model keeps of single rows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.transforms.errors import BadFileError, DatasetError, PrivacyError
from corpusmill.transforms.sources.items import read_items

_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


def write(
    folder: str | Path, count: int, words: int = 12, columns: Mapping[str, Sequence[str]] | None = None
) -> tuple[Path, Path]:
    """Write `canaries.jsonl`, a source for a recipe with the canaries that are in, and `members.jsonl` with all of them.

    columns: further columns, such as a label, each with the values that are drawn from. Texts are random words of two to three
    syllables, so that nothing but training can teach them; texts and coins come from the operating system. Raises
    PrivacyError where either file exists: coins are thrown once.
    """
    folder = Path(folder)
    source, members = folder / "canaries.jsonl", folder / "members.jsonl"
    if source.exists() or members.exists():
        raise PrivacyError(f"{folder}: holds canaries already. An audit throws its coins once; name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    draw = secrets.SystemRandom()
    rows = []
    for i in range(count):
        text = " ".join("".join(draw.choices(_SYLLABLES, k=draw.randint(2, 3))) for _ in range(words))
        more = {name: draw.choice(list(values)) for name, values in (columns or {}).items()}
        name = f"canary-{i:06}"
        rows.append({"id": name, "text": text, "user": name, **more, "member": draw.random() < 0.5})
    inside = [{k: v for k, v in row.items() if k != "member"} for row in rows if row["member"]]
    for path, some in ((source, inside), (members, rows)):
        path.write_text("".join(json.dumps(r) + "\n" for r in some), encoding="utf-8")
    return source, members


def read_scores(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """(scores of members, scores of others) of a Parquet or JSONL file with columns `score` and `member`."""
    path = str(path)
    if not Path(path).exists():
        raise DatasetError(f"{path}: there is no such file of scores.")
    table = read_items(path).table
    return split(table, path)


def split(table: Any, path: str = "scores", column: str = "score") -> tuple[np.ndarray, np.ndarray]:
    """(scores of members, scores of others) of a table with columns `score` (or another) and `member`."""
    import pyarrow as pa

    if not {column, "member"} <= set(table.column_names):
        raise BadFileError(path, f"has the columns {', '.join(table.column_names)}", f"give `{column}` and `member`")
    member = table["member"].cast(pa.bool_()).to_numpy(zero_copy_only=False).astype(np.bool_)
    score = table[column].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return score[member], score[~member]
