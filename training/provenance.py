"""Records the private text behind a model: its guarantees, text learned without one, and unknown origins.

A run's state names its base, its teachers and its dataset. Shards of a teacher's pass and exported folders have no
state; they carry the record from when they were written (`provenance.json`, or a field of `teacher.json`). The record
of a folder is bound to its weights. Importing this module does not import torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpusmill.privacy.certification import dataset_of, manifest_of, unguarded
from corpusmill.privacy.synthetic import note
from corpusmill.training import checkpoint
from corpusmill.transforms.errors import CorpusmillError, DatasetError
from corpusmill.transforms.generate.model import members_of, scheme_of
from corpusmill.transforms.storage import write_atomic

FILE = "provenance.json"
MANIFEST = "teacher.json"
"""What describes the shards of a teacher's pass (`corpusmill.training.distill`)."""
MODELS = (("tune", "base"), ("objective", "teacher"), ("objective", "states_of"))
"""The settings of a run that name models, or what one has said."""
_FOLDERS = ("hf", "hf-classifier")


class Provenance(BaseModel):
    """The private text behind a model."""

    model_config = ConfigDict(extra="forbid")

    guarantees: list[dict[str, Any]] = Field(
        default=[], description="of private runs, as `corpusmill.privacy.guarantee` has them"
    )
    unguarded: list[str] = Field(default=[], description="what it learned without a guarantee: `private source mail`")
    unknown: list[str] = Field(default=[], description="models whose data nobody can tell, taken for public")

    def add(self, other: Provenance) -> None:
        """Add the record of another model that this one was made of."""
        for mine, more in zip(self._lists(), other._lists(), strict=True):
            mine += [x for x in more if x not in mine]

    def _lists(self) -> tuple[list[Any], ...]:
        return self.guarantees, self.unguarded, self.unknown


class Note(Provenance):
    """`provenance.json` of a folder."""

    weights: str = Field(description="SHA-256 of the weights that it is about")
    trained_on: dict[str, Any] = Field(default={}, description="name, snapshot and digest of the run's data")


def of(spec: str) -> Provenance:
    """The record of a run, a checkpoint, an exported folder (`hf:FOLDER`), or the shards of a teacher's pass."""
    import corpusmill.training.serving.openers  # noqa: F401

    if len(members := members_of(spec)) > 1:
        together = Provenance()
        for member in members:
            together.add(of(member))
        return together
    if scheme := scheme_of(spec):
        noted = Path(spec.partition(":")[2]) if scheme in _FOLDERS else None
        return of_folder(noted) if noted and (noted / FILE).exists() else Provenance(unknown=[spec])
    if (Path(spec) / MANIFEST).exists():
        return _of_pass(Path(spec))
    try:
        state = checkpoint.read_state(checkpoint.find(spec))
    except CorpusmillError:
        return Provenance(unknown=[spec])
    return _of_run(spec, state)


def of_folder(folder: Path) -> Provenance:
    """The record of an exported folder. A record that is damaged or belongs to other weights counts as unknown."""
    try:
        note = Note.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError) as error:
        return Provenance(unguarded=[f"unknown text ({folder / FILE} cannot be read: {type(error).__name__})"])
    if note.weights != checkpoint.weights_digest(folder):
        return Provenance(unguarded=[f"unknown text ({folder / FILE} is about other weights)"])
    return note


def of_settings(train: dict[str, Any]) -> Provenance:
    """The record of a run without a privacy section: from the models that it names and the dataset that it reads."""
    provenance = Provenance()
    for section, name in MODELS:
        if spec := train.get(section, {}).get(name):
            provenance.add(of(spec))
    provenance.add(_of_data(train["data"]["train"], train["data"].get("snapshot")))
    return provenance


def write(folder: Path, state: dict[str, Any], provenance: Provenance) -> None:
    """Write the record of the run of `state` beside its exported weights."""
    data = state["train"]["data"]
    digest = state.get("digests", {}).get("data")
    about = {"name": Path(data["train"]).name, "snapshot": data.get("snapshot"), "digest": digest}
    note = Note(weights=checkpoint.weights_digest(folder), trained_on=about, **provenance.model_dump())
    write_atomic(str(folder / FILE), note.model_dump_json(indent=1).encode() + b"\n")


def _of_run(spec: str, state: dict[str, Any]) -> Provenance:
    guarantee, provenance = state.get("guarantee"), Provenance()
    if average := state.get("average"):
        for owner in average["owners"]:
            if not owner["private"] or not owner["certified"]:
                provenance.unguarded.append(f"data of the owner {owner['name']}")
        base = state["train"]["tune"]["base"]
        if base and not guarantee:  # earlier rounds, perhaps
            provenance.add(of(base))
    elif guarantee and not guarantee["certified"]:
        provenance.unguarded.append(f"population {guarantee['population']} by steps without a certificate")
    if guarantee:  # with those of all that it was made from
        provenance.guarantees.append(guarantee)
    elif not average:
        provenance = of_settings(state["train"])
    if provenance == Provenance():
        provenance.unknown.append(spec)
    return provenance


def _of_pass(folder: Path) -> Provenance:
    """The teacher's record in the shards of a teacher's pass."""
    try:
        recorded = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("provenance")
        return Provenance.model_validate(recorded) if recorded else Provenance(unknown=[f"that wrote {folder}"])
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"{folder / MANIFEST}: cannot be read ({error}). Run the teacher's pass again.") from error


def _of_data(path: str, snapshot: int | None) -> Provenance:
    """The private text in a dataset's manifest; files outside of a dataset have no record."""
    home = dataset_of(path)
    if home is None:
        guarantee, why = note.read(path)
        found = [] if guarantee is None else [guarantee.model_dump(mode="json")]
        return Provenance(guarantees=found, unguarded=[why] if why else [])
    try:
        manifest = manifest_of(home, snapshot)[0]
    except DatasetError:  # taken away since
        return Provenance(unguarded=[f"unknown text (snapshot {snapshot} of {home} cannot be read any more)"])
    guarantees = manifest.get("privacy", {}).get("guarantees", [])
    return Provenance(guarantees=guarantees, unguarded=unguarded(manifest))
