"""Whether steps on private data keep units apart: what a certification says, and what a data set says of its own making.

`corpusmill.pipelines.recipe.certify` judges recipes and writes certifications; private training on a data set asks for one.
This module reads manifests and imports no engine.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpusmill.transforms.errors import DatasetError, PrivacyError

MARK = ".private"
"""Ending of the note beside a file that was learned from private text."""
NUMBERED = "[0-9][0-9][0-9][0-9][0-9][0-9]*.json"
"""Manifests of snapshots, in the folder `snapshots` of a data set."""
SAFE = ("record", "unit", "public", "private")
"""Stabilities that a step on private data may have."""


@dataclass(frozen=True)
class Refusal:
    """One reason why the guarantee would not hold. place: the path in the recipe that it is about, () if it is not in it."""

    where: str
    step: str
    stability: str
    reason: str
    way_out: str
    place: tuple[str | int, ...] = ()

    @property
    def what(self) -> str:
        """Step, stability and reason."""
        return f"`{self.step}` ({self.stability}): {self.reason}"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. To go on: {self.way_out}."


@dataclass
class Certification:
    """What data may be used for.

    unit: the unit of privacy that it is about; sources: the private ones; spends: steps that spend from the ledger;
    assumptions: what the certification rests on and cannot see, to be confirmed by a person; data: digest of the manifest that
    was judged, "" for a recipe that has not run.
    """

    unit: str
    sources: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    spends: list[str] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    data: str = ""
    named: str = ""
    """The column that the step `unit` made the column `unit` of."""

    def __post_init__(self) -> None:
        self.private_files: Any = None
        """What is declared private, by path and content (`corpusmill.privacy.private_files.PrivateFiles`)."""
        self.check_paths = True
        """Whether a model that does not exist is refused; otherwise what it learned is an assumption."""

    @property
    def private(self) -> bool:
        """Whether any data is private."""
        return bool(self.sources)

    def copy_of(self, path: str) -> str:
        """What private file a path names or is a copy of, "" where it is none."""
        return str(self.private_files.match(path)) if self.private_files is not None else ""

    def assume(self, note: str) -> None:
        """Note an assumption once."""
        if note not in self.assumptions:
            self.assumptions.append(note)

    def require(self, what: str = "trained on") -> None:
        """Raises PrivacyError that lists every refusal. what: is to be done with the data."""
        if self.refusals:
            lines = "\n  ".join(map(str, self.refusals))
            raise PrivacyError(f"this data cannot be {what} privately (unit: {self.unit}):\n  {lines}")


def dataset_of(path: str | Path) -> Path | None:
    """The folder of the data set that a path lies in, or None."""
    if not str(path):
        return None
    here = Path(str(path).split("*")[0])
    for folder in (here, *here.parents):
        if any((folder / "snapshots").glob(NUMBERED)):
            return folder
    return None


def manifest_of(home: Path, snapshot: int | None = None) -> tuple[dict[str, Any], str]:
    """(manifest, its SHA-256) of a snapshot of the data set in `home`, of the newest without a number.

    Raises DatasetError where there is none that can be read.
    """
    known = sorted((home / "snapshots").glob(NUMBERED))
    file = home / "snapshots" / f"{snapshot:06}.json" if snapshot else known[-1] if known else home / "snapshots"
    try:
        data = file.read_bytes()
        manifest: dict[str, Any] = json.loads(data)
        manifest["recipe"]["sources"]  # what every question here is about
    except (OSError, ValueError, KeyError, TypeError) as error:
        todo = (
            "Run the same command again, or restore the file from a copy" if file.exists() else "Name another data set"
        )
        raise DatasetError(
            f"{file}: the recipe of a data set cannot be read ({error}); nobody can say what is in it. {todo}."
        ) from error
    return manifest, hashlib.sha256(data).hexdigest()


def data_digest(manifest: Mapping[str, Any]) -> str:
    """Digest of the shards that a manifest lists. Training records it, and a takedown finds models by it."""
    listed = [[f.get("path"), f.get("sha256"), f.get("rows")] for f in manifest.get("files", []) if isinstance(f, dict)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest() if listed else ""


def private_sources(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the sources that the recipe of a manifest marks as private."""
    return [str(s["name"]) for s in manifest["recipe"]["sources"] if s.get("private")]


def base_of(home: Path, recipe: dict[str, Any]) -> Path | None:
    """The folder of the recipe that made the data set in `home`, as far as its relative output path tells; else None."""
    output = Path(os.path.normpath(recipe.get("output", {}).get("path", "/")))
    parts = home.absolute().parts
    if output.is_absolute() or ".." in output.parts or parts[-len(output.parts) :] != output.parts:
        return None
    return Path(*parts[: -len(output.parts)])


def private_paths(path: str, snapshot: int | None = None) -> list[str]:
    """The private files behind what a run reads: paths or patterns of sources, absolute; those in object stores with their scheme.

    path: a file, which is its own source; or a path in a dataset, whose recipe names its sources (all of them where it marks
    none as private), and so on through the datasets that these were made from.
    """
    return sorted(_behind(Path(path).absolute(), snapshot, set()))


def _behind(path: Path, snapshot: int | None, seen: set[Path]) -> set[str]:
    home = dataset_of(path)
    if home is None:
        return {str(path)}
    if home in seen:
        return set()
    seen.add(home)
    manifest = manifest_of(home, snapshot)[0]
    base, marked = base_of(home, manifest["recipe"]), private_sources(manifest)
    sources: set[str] = set()
    for source in manifest["recipe"]["sources"]:
        if marked and str(source["name"]) not in marked:
            continue
        paths = source.get("path") or []
        for one in [paths] if isinstance(paths, str) else paths:
            if "://" in one:
                sources.add(one)
            elif base is not None or os.path.isabs(one):
                sources |= _behind(Path(os.path.normpath((base or Path()) / one)), None, seen)
    return sources


def unguarded(manifest: Mapping[str, Any]) -> list[str]:
    """What private text is in a data set without a guarantee: `private source mail`, its own or inherited, and what was written
    by models that have none."""
    own = manifest.get("privacy", {})
    sources = own.get("sources") or private_sources(manifest)
    text = [f"text of a model ({reason})" for reason in own.get("unguarded", [])]
    return ([f"private source {', '.join(sources)}"] if sources else []) + text


def mark(path: str | Path, sources: Sequence[str]) -> None:
    """Note beside a file that it was learned from private sources: FILE.private."""
    Path(f"{path}{MARK}").write_text(json.dumps({"learned from": list(sources)}) + "\n", encoding="utf-8")


def learned_from(path: str | Path) -> list[str]:
    """The private sources that a file was learned from, as its mark or the data set that it lies in tells."""
    beside = Path(f"{path}{MARK}")
    if beside.exists():
        try:
            return [str(name) for name in json.loads(beside.read_text(encoding="utf-8"))["learned from"]]
        except (OSError, ValueError, KeyError, TypeError):
            return ["that its damaged mark named"]
    home = dataset_of(path)
    return private_sources(manifest_of(home)[0]) if home is not None else []


def require(
    path: str, snapshot: int | None, unit: str, certification: Certification | None, allow_uncertified: bool
) -> Certification:
    """The certification of what a private run trains on, if it holds.

    path, snapshot: the data; nobody can judge files that lie in no data set, and the certification says so.
    Raises PrivacyError where one is missing, is of other data or another unit, or names a refusal that is not allowed.
    """
    home = dataset_of(path)
    if home is None:
        own = certification or Certification(unit)
        own.assume(f"{path} was made so that no unit of privacy changes the rows of another")
    elif certification is None:
        raise PrivacyError(
            f"{home}: a private run on a data set needs a certification that its steps keep units apart. `corpusmill train` asks "
            "for one; in Python, give `certification=corpusmill.pipelines.recipe.certify.of_training(settings)`."
        )
    else:
        own = certification
        if own.data != manifest_of(home, snapshot)[1]:
            raise PrivacyError(
                f"{home}: the certification is of another snapshot than the one to train on. Certify again."
            )
    if own.unit != unit:
        raise PrivacyError(f"the certification is about the unit `{own.unit}`, the run about `{unit}`. Certify again.")
    if not allow_uncertified:
        own.require()
    return own
