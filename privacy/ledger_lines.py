"""The lines of a privacy ledger: how they are written, and what is checked when they are read.

A line is a JSON object with sorted keys. `before` is the SHA-256 of the line before it, `digest` that of the line itself without
this key. Ledgers of earlier versions have lines without `digest`; behind one that has it, all must.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from corpusmill.transforms.errors import DatasetError, VerifyError

RESTORE = "Restore the ledger from a backup: without it nobody can say what was spent."
_KEYS = {
    "budget": {"population", "unit", "adjacency", "epsilon", "delta", "units"},
    "reserve": {"run", "event", "what", "by"},
    "close": {"run", "steps"},
    "spend": {"event", "what", "by"},
}
_EVERY = {"kind", "at", "before"}
_OPTIONAL = {"digest", "sources", "closes", "token", "order", "composition", "nonce"}


def sealed(line: dict[str, Any]) -> bytes:
    """A line with its own digest, as it is written, with its line end."""
    return _plain(line | {"digest": digest_of(_plain(line))}).encode() + b"\n"


def parse(data: bytes, path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(lines, SHA-256 of each) of a ledger's content.

    Raises:
        DatasetError: it is no ledger.
        VerifyError: a line was changed or taken out, or a `close` lacks the token of its reservation.
    """
    complete, _, rest = data.rpartition(b"\n")
    # behind the last line end: a line that a crash cut short, which nobody acted on. A whole line there has lost its end.
    lines: list[dict[str, Any]] = []
    digests: list[str] = []
    before, closes = "", {}
    for number, raw in enumerate([*complete.split(b"\n"), *([rest] if _is_whole(rest) else [])], 1):
        if not raw and number == 1:
            break
        try:
            line = json.loads(raw)
            good = line["before"] == before and _is_intact(line, bool(lines and "digest" in lines[-1]))
        except (ValueError, KeyError, TypeError):
            good = False
        if not good or raw is rest:
            raise VerifyError(f"{path}:{number}: the line was changed, or one before it is missing. {RESTORE}")
        if line["kind"] == "reserve" and "closes" in line:
            closes[line["run"]] = line["closes"]
        if (
            line["kind"] == "close"
            and line["run"] in closes
            and digest_of(line.get("token", "")) != closes[line["run"]]
        ):
            raise VerifyError(
                f"{path}:{number}: closes the run {line['run']} without the token that only its owner has: somebody "
                f"else gave its budget back. {RESTORE}"
            )
        lines.append(line)
        before = hashlib.sha256(raw).hexdigest()
        digests.append(before)
    if not lines or lines[0].get("kind") != "budget":
        raise DatasetError(f"{path}: is no privacy ledger: its first line is not a budget.")
    return lines, digests


def _is_intact(line: dict[str, Any], later: bool) -> bool:
    """Whether a line has the keys of its kind and its own digest. later: behind a line with one, when it must have one, too."""
    keys = set(line)
    needed = _KEYS[line["kind"]] | _EVERY
    if not needed <= keys <= needed | _OPTIONAL:
        return False
    if "digest" not in line:  # of a version that wrote none
        return not later
    return bool(line["digest"] == digest_of(_plain({k: v for k, v in line.items() if k != "digest"})))


def _is_whole(raw: bytes) -> bool:
    """Whether what stands behind the last line end begins with a whole line: its line end was damaged."""
    try:
        return isinstance(json.JSONDecoder().raw_decode(raw.decode("utf-8", "replace"))[0], dict)
    except ValueError:
        return False


def _plain(line: dict[str, Any]) -> str:
    return json.dumps(line, sort_keys=True, ensure_ascii=False)


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
