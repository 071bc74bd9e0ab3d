"""The guarantee of a file of synthetic text: FILE.guarantee beside it, bound to its content.

Datasets that are made of the file, and models that are trained on it, inherit the guarantee
(`corpusmill.pipelines.recipe.released`, `corpusmill.training.provenance`).
"""

from __future__ import annotations

import json
from pathlib import Path

from corpusmill.privacy.guarantee import Guarantee
from corpusmill.transforms.storage import sha256_of, write_atomic

ENDING = ".guarantee"


def write(path: str | Path, guarantee: Guarantee) -> None:
    """Note the guarantee of what is in `path`."""
    note = {"sha256": sha256_of(str(path)), "guarantee": guarantee.model_dump(mode="json")}
    write_atomic(f"{path}{ENDING}", json.dumps(note, indent=1).encode() + b"\n")


def read(path: str | Path) -> tuple[Guarantee | None, str]:
    """(the guarantee of a file, "") where it has one; (None, why nobody can tell) for a damaged note, and (None, "") for none."""
    beside = Path(f"{path}{ENDING}")
    if not beside.exists():
        return None, ""
    try:
        note = json.loads(beside.read_text(encoding="utf-8"))
        guarantee = Guarantee.model_validate(note["guarantee"])
        same = note["sha256"] == sha256_of(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"synthetic text of unknown origin ({beside} cannot be read: {type(error).__name__})"
    return (guarantee, "") if same else (None, f"text that was changed since {beside} was written")
