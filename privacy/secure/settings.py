"""The settings of one party (`party.yaml`), and of the job that all parties agreed on (`job.yaml`).

    party.yaml: one a party, its own            job.yaml: the same at every party
        name: north                                 job: dedup-2026-11
        listen: 0.0.0.0:7001                        kind: dedup
        certificates: certs                         parties:
        addresses: {south: host:7001, ...}              owners: [north, south, east]
        state: state                                    aggregator: hub
        data: out/docs                              dedup: {threshold: 0.8}
        recipe: corpus.yaml

Fine-tuning takes `train: train.yaml` and `ledger: out/docs` in place of `data`, an average `model: runs/docs`.

The job's digest names the session in every message, so parties whose job files differ in one field refuse each other.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from corpusmill.privacy.secure.certificates import NAME
from corpusmill.transforms.settings.files import SettingsFile
from corpusmill.transforms.settings.section import IsPath, Section, with_paths

Kind = Literal["dedup", "count", "mix", "score", "finetune", "average"]


class Party(Section):
    """One party's own settings; paths are relative to its file."""

    name: str = Field(description="Name of this party, as in its certificate.")
    listen: str = Field(default="127.0.0.1:7001", description="HOST:PORT to listen on.")
    addresses: dict[str, str] = Field(description="HOST:PORT of every other party.")
    certificates: Annotated[str, IsPath()] = Field(description="Folder with authority.pem, NAME.pem and NAME.key.pem.")
    state: Annotated[str, IsPath()] = Field(
        description="Folder where this party keeps its jobs to resume them; holds secrets."
    )
    data: Annotated[str, IsPath()] = Field(
        default="", description="Documents: a dataset, a folder, a shard file or a glob; or a model file."
    )
    output: Annotated[str, IsPath()] = Field(
        default="", description="Folder of the results; default: the job's folder below `state`."
    )
    recipe: Annotated[str, IsPath()] = Field(
        default="", description="dedup: run with its step `kept-elsewhere` when the job is done."
    )
    train: Annotated[str, IsPath()] = Field(default="", description="finetune: this owner's train.yaml; owners only.")
    ledger: Annotated[str, IsPath()] = Field(
        default="", description="finetune: privacy.jsonl of this owner's population, or its folder."
    )
    model: Annotated[str, IsPath()] = Field(
        default="", description="average: this owner's run, or one of its checkpoints; owners only."
    )
    jobs: Annotated[tuple[str, ...], IsPath()] = Field(
        default=(), description="Job files that `corpusmill party` runs, in this order."
    )
    timeout: float = Field(default=120, gt=0, description="Seconds of silence after which a party counts as lost.")
    max_message_mb: int = Field(default=64, ge=1, le=1024, description="Larger messages are refused.")
    workers: int = Field(default=1, ge=1, le=256, description="Threads for the arithmetic.")

    def results(self, job: str) -> Path:
        """The folder of the results of a job."""
        return Path(self.output) if self.output else Path(self.state) / job


class Parties(Section):
    """Who takes part, and as what. The order of owners is the agreed order: an earlier owner keeps a duplicate."""

    owners: tuple[str, ...] = Field(min_length=1, max_length=100, description="Owners, in the agreed order.")
    aggregator: str = Field(description="Party that adds or matches masked data; not an owner.")
    key_holder: str = Field(default="", description="Encrypted sums: who can decrypt; never the aggregator.")
    threshold: int = Field(
        default=0, ge=0, description="Sums: owners that must remain; default: more than half, 3 or more in counts."
    )

    @model_validator(mode="after")
    def _apart(self) -> Parties:
        names = [*self.owners, self.aggregator]
        if bad := [n for n in names if not NAME.match(n)]:
            raise ValueError(f"{bad[0]!r} cannot name a party: use lower-case letters, digits and hyphens")
        if len(set(names)) < len(names):
            raise ValueError("a party is named twice; the aggregator is no owner, or it could take its own part out")
        if self.key_holder and self.key_holder == self.aggregator:
            raise ValueError(
                "the key holder must not be the aggregator: it could decrypt what each owner sends. Name an owner"
            )
        if self.key_holder and self.key_holder not in self.owners:
            raise ValueError(f"the key holder {self.key_holder!r} is no owner")
        if self.threshold and not len(self.owners) / 2 < self.threshold <= len(self.owners):
            raise ValueError(
                f"threshold {self.threshold}: must be more than half of {len(self.owners)} owners and at most all"
            )
        return self

    @property
    def least(self) -> int:
        """Owners that a sum needs."""
        return self.threshold or len(self.owners) // 2 + 1

    @property
    def everyone(self) -> tuple[str, ...]:
        """All parties, owners first."""
        return (*self.owners, self.aggregator)


class Dedup(Section):
    """Deduplication across owners."""

    method: Literal["exact", "minhash"] = Field(default="minhash", description="Equal, or similar documents.")
    normalize: Literal["none", "space", "words"] = Field(
        default="space", description="exact: differences that are ignored."
    )
    threshold: float = Field(default=0.8, gt=0, le=1, description="minhash: least estimated Jaccard similarity.")
    ngram: int = Field(default=5, ge=1, le=64, description="minhash: words per shingle.")
    bands: int = Field(default=32, ge=1, le=1024, description="minhash: bands of a sketch.")
    rows: int = Field(default=8, ge=1, le=64, description="minhash: slots per band.")
    confirm: bool = Field(default=True, description="minhash: estimate the similarity of candidates before they count.")
    keep: Literal["first", "longest"] = Field(
        default="first", description="Among one owner's documents: smallest id, or most bytes."
    )
    tell_keeper: bool = Field(default=True, description="Tell an owner which party keeps the copy of its duplicate.")


class Dimension(Section):
    """One axis of a joint count: a column with agreed values, or a number with agreed bounds."""

    column: str = Field(description="Column of the documents; `length` is the bytes of the text.")
    values: tuple[str, ...] = Field(default=(), max_length=100_000, description="Values; all others count as one more.")
    bounds: tuple[float, ...] = Field(default=(), max_length=10_000, description="Rising bounds of bins of a number.")

    @model_validator(mode="after")
    def _one(self) -> Dimension:
        if bool(self.values) == bool(self.bounds):
            raise ValueError(f"dimension `{self.column}`: give either `values` or `bounds`")
        if list(self.bounds) != sorted(set(self.bounds)) or len(set(self.values)) < len(self.values):
            raise ValueError(f"dimension `{self.column}`: values must differ, and bounds must rise")
        return self

    @property
    def size(self) -> int:
        """Cells along this axis."""
        return len(self.values or self.bounds) + 1


class Count(Section):
    """Joint counts over all owners' documents."""

    by: tuple[Dimension, ...] = Field(min_length=1, max_length=8, description="Axes of the table.")
    unit: Literal["documents", "bytes"] = Field(default="documents", description="What is counted.")
    method: Literal["masks", "encrypted"] = Field(
        default="masks", description="Masks need all owners at one time; encrypted needs a `key_holder`."
    )
    temperature: float = Field(default=1.0, gt=0, description="mix: weight of a cell is its share to the power 1/T.")

    @model_validator(mode="after")
    def _few(self) -> Count:
        if self.cells > 10_000_000:
            raise ValueError(f"{self.cells:,} cells are more than 10,000,000: give fewer values or bounds")
        return self

    @property
    def cells(self) -> int:
        """Cells of the table."""
        cells = 1
        for d in self.by:
            cells *= d.size
        return cells


class Score(Section):
    """Encrypted scoring: owners encrypt features; the aggregator holds the model and sees neither text nor scores."""

    features: int = Field(ge=1, le=4096, description="Numbers per document.")
    column: str = Field(default="embedding", description="Column of the features: a list of `features` numbers.")
    degree: Literal[1, 2] = Field(default=1, description="2: the model has quadratic terms.")
    norm: float = Field(
        default=1.0, gt=0, le=1e6, description="Longest feature vector (L2 norm); longer ones are refused."
    )


class Finetune(Section):
    """Private fine-tuning by all owners together. These settings are public, and epsilon depends on nothing else."""

    steps: int = Field(ge=1, le=1_000_000, description="Steps of the run; each is one secure sum.")
    units: int = Field(ge=1, description="Public number of units of all owners together.")
    rows: int = Field(ge=1, description="Expected units per step, of all owners together.")
    sigma: float = Field(
        ge=0,
        description="Noise of the sum over `clip`; `corpusmill privacy plan` finds it for an epsilon.",
    )
    clip: float = Field(default=1.0, gt=0, description="Clipping norm of a unit's gradient.")
    clipping: Literal["fixed", "per-layer"] = Field(default="fixed", description="One norm, or a share for each layer.")
    unit: str = Field(default="document", min_length=1, description="Unit of privacy: `document`, or the user column.")
    max_rows: int = Field(default=1, ge=1, description="Rows of one unit; units with more are refused.")
    colluding: int = Field(
        default=1,
        ge=0,
        description="Owners who may collude: their shares of the noise do not count. 0: protect against outsiders only.",
    )
    classes: tuple[str, ...] = Field(
        default=(), max_length=100_000, description="Labels of a classification, in order."
    )
    fraction_bits: int = Field(
        default=32, ge=8, le=48, description="Fractional bits of the fixed-point numbers that are added."
    )

    @model_validator(mode="after")
    def _rate(self) -> Finetune:
        if self.rows > self.units:
            raise ValueError(f"rows {self.rows} is more than units ({self.units})")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is named twice")
        return self


class Average(Section):
    """The weighted average of the changes that the owners' runs made to a common base."""

    method: Literal["masks", "encrypted"] = Field(
        default="masks", description="Masks need all owners at one time; encrypted needs a `key_holder`."
    )
    weights: dict[str, float] = Field(
        default_factory=dict, description="Public weight of each owner; equal when left out."
    )
    max_change: float = Field(
        default=16.0,
        gt=0,
        description="Largest change of a parameter from the base; runs that changed more are refused.",
    )
    fraction_bits: int = Field(
        default=32, ge=8, le=48, description="Fractional bits of the fixed-point numbers that are added."
    )

    @model_validator(mode="after")
    def _weights(self) -> Average:
        given = self.weights.values()
        if given and not (all(0 < w < math.inf for w in given) and max(given) <= 1e6 * min(given)):
            raise ValueError("weights must be above 0, and the largest at most a million times the smallest")
        return self


class Job(Section):
    """What all parties agreed to compute."""

    job: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Its name; a new run needs a new one.")
    kind: Kind = Field(description="dedup, count, mix, score, finetune or average.")
    parties: Parties = Field(description="Who takes part, and as what.")
    dedup: Dedup | None = Field(default=None, description="kind dedup: deduplication across owners.")
    count: Count | None = Field(default=None, description="kind count or mix: joint counts over all owners' documents.")
    score: Score | None = Field(default=None, description="kind score: encrypted scoring.")
    finetune: Finetune | None = Field(default=None, description="kind finetune: private fine-tuning by all owners.")
    average: Average | None = Field(default=None, description="kind average: the weighted average of owners' models.")

    @model_validator(mode="after")
    def _section(self) -> Job:
        section = "count" if self.kind == "mix" else self.kind
        given = {s for s in ("dedup", "count", "score", "finetune", "average") if getattr(self, s) is not None}
        if given - {section} or (section != "dedup" and not given):
            raise ValueError(f"a job of kind `{self.kind}` has the section `{section}` and no other")
        if self.kind != "score" and len(self.parties.owners) < 2:
            raise ValueError(f"a job of kind `{self.kind}` needs at least two owners")
        added = self.count or self.average
        if added and (added.method == "encrypted") != bool(self.parties.key_holder):
            raise ValueError(f"`parties.key_holder` goes with `{section}.method: encrypted`, and only with it")
        if self.finetune and self.finetune.colluding >= self.parties.least:
            raise ValueError(
                f"colluding {self.finetune.colluding}: must be below the threshold ({self.parties.least}), or no noise is left "
                "that they do not know"
            )
        if self.average:
            self._hidden(self.average)
        return self

    def _hidden(self, average: Average) -> None:
        owners, least = self.parties.owners, self.parties.least
        if len(owners) < 3 or least < 3:
            raise ValueError(
                f"an average needs at least three owners in it, and {min(len(owners), least)} would do here: of two, each takes "
                "its own update away and has the other's. Name three owners or more, and `parties.threshold: 3` or more"
            )
        if average.weights and set(average.weights) != set(owners):
            odd = ", ".join(sorted(set(average.weights) ^ set(owners)))
            raise ValueError(f"`average.weights` names each owner once, or none: look at {odd}")

    @property
    def least(self) -> int:
        """Owners that a sum needs. Of exact counts over two, each owner takes its own away and has the other's: by default
        counts need three, where there are as many."""
        counts = self.kind in ("count", "mix") and len(self.parties.owners) >= 3 and not self.parties.threshold
        return max(3, self.parties.least) if counts else self.parties.least

    @property
    def session(self) -> str:
        """Name of the computation in every message: a digest of all that was agreed."""
        canonical = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(b"corpusmill job 1\0" + canonical.encode()).hexdigest()[:32]


PARTY = SettingsFile(
    Party,
    "the party",
    "--party",
    """One party's own settings. A line that starts with `# ` and a field shows that field's default. Paths are relative to
this file. `corpusmill party certificates` makes certificates.
  corpusmill party --config FILE      take part in every job of `jobs`""",
    {
        "name": "north",
        "addresses": {"south": "localhost:7002", "hub": "localhost:7003"},
        "certificates": "certs",
        "state": "state",
        "data": "out/docs",
        "jobs": ["job.yaml"],
    },
)
JOB = SettingsFile(
    Job,
    "the job",
    "--job",
    """What all parties agreed to compute: the same file at every party. A job has the section of its kind and no other.
A line that starts with `# ` and a field shows that field's default; `...` stands for what must be filled in.""",
    {
        "job": "dedup-1",
        "kind": "dedup",
        "parties": {"owners": ["north", "south"], "aggregator": "hub"},
        "dedup": {"method": "minhash", "threshold": 0.8},
    },
)


def load_party(path: str | Path) -> Party:
    """The settings in a party.yaml. Paths become absolute. Raises RecipeError, which lists every mistake with its line."""
    base = Path(path).resolve().parent
    return with_paths(PARTY.load(path), lambda p: str(base / p))


def load_job(path: str | Path) -> Job:
    """The job in a file. Raises RecipeError, which lists every mistake with its line."""
    return JOB.load(path)
