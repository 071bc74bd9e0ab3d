"""Notes of a ledger's end that lie outside of the ledger: a ledger that was cut, edited, copied or begun anew is noticed.

    LEDGER.head                                beside the ledger
    FOLDER/.corpusmill-ledger-DIGEST.json      beside private sources, one for each source pattern

A note says how many lines the ledger had and the SHA-256 of the last one. It is written after the line is on disk, so a crash
leaves a note of an earlier end, which the ledger still contains. Checkpoints of private runs hold the same two values in
their guarantee (`corpusmill.privacy.guarantee`).

What cannot be noticed: a change of the ledger together with all of its notes, and sources that were copied to another place.
Notes are not written beside sources in object stores, or where the folder of the sources is read-only.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from corpusmill.transforms.errors import DatasetError, VerifyError
from corpusmill.transforms.storage import write_atomic

HEAD = ".head"
PREFIX = ".corpusmill-ledger-"


@dataclass(frozen=True)
class Note:
    """The end of a ledger as it was when the note was written."""

    ledger: str
    """SHA-256 of the ledger's first line: it tells populations of one name apart."""
    population: str
    path: str
    """Where the ledger was."""
    lines: int
    digest: str
    """SHA-256 of the last line, without its line end; "" for a ledger that has none yet."""
    source: str = ""
    """The source pattern that the note lies beside; "" for the note beside the ledger."""


def read(path: Path) -> Note | None:
    """The note in a file, None where there is no file. Raises VerifyError for a damaged note."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        seal = values.pop("seal")
        note = Note(**values)
        if seal != _seal(note):
            raise ValueError("its content is not what was written")
        return note
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatasetError(
            f"{path}: the note of a privacy ledger's end cannot be read ({error.strerror}). Let this user read it, or look after "
            "the disk; then run the same command again."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerifyError(
            f"{path}: the note of a privacy ledger's end is damaged ({error}). Restore it, with the ledger, from a backup."
        ) from error


def write(path: Path, note: Note) -> None:
    """Write a note whole, and wait until it is on disk."""
    write_atomic(str(path), json.dumps(asdict(note) | {"seal": _seal(note)}, sort_keys=True).encode() + b"\n")


def _seal(note: Note) -> str:
    return hashlib.sha256(json.dumps(asdict(note), sort_keys=True).encode()).hexdigest()


def head_of(ledger: Path) -> Path:
    """The note beside a ledger."""
    return ledger.with_name(ledger.name + HEAD)


def folder_of(source: str) -> Path:
    """The folder in which a source's note lies: the part of its pattern before the first wildcard."""
    path = Path(os.path.abspath(source))
    if not glob.has_magic(source):
        return path if path.is_dir() else path.parent
    parts = path.parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def mark_of(source: str, ledger: str) -> Path:
    """The note of ledger `ledger` beside a source."""
    name = hashlib.sha256(f"{os.path.abspath(source)}\0{ledger}".encode()).hexdigest()[:16]
    return folder_of(source) / f"{PREFIX}{name}.json"


def local(sources: Iterable[str]) -> list[str]:
    """Those sources that lie on a disk, as absolute patterns, each once."""
    return sorted({os.path.abspath(s) for s in sources if "://" not in s})


def beside(source: str) -> list[Note]:
    """All notes about files of `source`, of whatever ledger."""
    notes = []
    for folder in (folder_of(source), *folder_of(source).parents):
        for path in sorted(folder.glob(f"{PREFIX}*.json")):
            note = read(path)
            if note is not None and _overlap(note.source, source):
                notes.append(note)
    return notes


def _overlap(one: str, other: str) -> bool:
    """Whether two patterns name a common file."""
    return one == os.path.abspath(other) or bool(_files(one) & _files(other))


def _files(pattern: str) -> set[str]:
    path = os.path.abspath(pattern)
    if os.path.isdir(path):
        return {os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names}
    return {os.path.abspath(f) for f in glob.glob(pattern, recursive=True)}


def contradiction(note: Note, name: str, digests: Sequence[str]) -> str:
    """How a note contradicts a ledger, "" where they agree.

    Args:
        name: of the ledger, the digest of its first line.
        digests: of its lines, in order.
    """
    about = f"the private source {note.source}" if note.source else "the ledger here"
    if note.lines and note.ledger != name:
        return (
            f"{about} is accounted for in another ledger, {note.path} (population {note.population}). A population has one "
            "ledger: name that one"
        )
    if note.lines > len(digests):
        return f"it has {len(digests)} lines, and had {note.lines}: its end was cut off"
    if note.lines and digests[note.lines - 1] != note.digest:
        return f"its line {note.lines} is not the one that was written: it was edited, or a copy of the ledger went on"
    return ""


def models(ledger: Path, population: str) -> list[Path]:
    """Checkpoints of the population in DATASET-model, where a recipe trains beside the dataset of the ledger."""
    checkpoints = []
    for state in sorted(Path(f"{ledger.absolute().parent}-model").glob("**/checkpoints/*/state.json")):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            guarantee = json.loads(state.read_text(encoding="utf-8")).get("guarantee") or {}
            if guarantee.get("population") == population:
                checkpoints.append(state.parent)
    return checkpoints


def place(sources: Iterable[str], note: Note) -> list[str]:
    """Write the note beside sources; the sources where that could be done. A read-only folder is left without one."""
    marked = []
    for source in local(sources):
        with contextlib.suppress(OSError):
            if folder_of(source).is_dir():
                write(mark_of(source, note.ledger), Note(**{**asdict(note), "source": source}))
                marked.append(source)
    return marked
