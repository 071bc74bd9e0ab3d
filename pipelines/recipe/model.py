"""The recipe: what a dataset is made of. Read from YAML with every mistake at once, or built in Python.

    recipe = load("corpus.yaml", overrides=["steps.minhash.threshold=0.9"])

Paths in a recipe are relative to its folder (`base_dir`). Importing this module imports neither Beam nor torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from corpusmill.pipelines.recipe import addresses, certify, privacy_section
from corpusmill.pipelines.recipe.expect import Expect
from corpusmill.pipelines.recipe.path_checks import (
    check_files,
    check_input,
    check_models,
    check_needs,
    check_output,
    check_sources,
)
from corpusmill.pipelines.recipe.privacy_section import PrivacySection
from corpusmill.pipelines.recipe.registry import import_module
from corpusmill.pipelines.recipe.registry import load as load_transform
from corpusmill.pipelines.recipe.schedule import Schedule
from corpusmill.pipelines.recipe.sections import sources_of, step_classes, step_names, steps_of, train_of
from corpusmill.pipelines.recipe.source_checks import check_source
from corpusmill.pipelines.recipe.train_section import TrainSection
from corpusmill.transforms import storage
from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings import yaml_positions
from corpusmill.transforms.settings.files import read
from corpusmill.transforms.settings.mistakes import Mistakes, render
from corpusmill.transforms.settings.overrides import apply_override
from corpusmill.transforms.settings.section import Section
from corpusmill.transforms.settings.yaml_positions import Marked, Problem
from corpusmill.transforms.sources.spec import SourceSpec

SLUG = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
SECTIONS = ("name", "seed", "sources", "steps", "output", "expect", "schedule", "train", "privacy")


class Output(Section):
    """Where the dataset goes, and in which form."""

    path: str = Field(
        min_length=1,
        description="Folder of the dataset, relative to the recipe, made if it is absent; or s3:// or gs://.",
    )
    format: Literal["parquet", "arrow"] = Field(
        default="parquet",
        description="Parquet, compressed by zstd; or Arrow IPC, uncompressed, which readers map into memory.",
    )
    shard_bytes: int = Field(
        default=64 << 20,
        ge=1 << 10,
        description="bytes of source files that make one shard: larger files are cut, smaller ones put together",
    )
    level: int = Field(
        default=3, ge=1, le=22, description="Level of zstd compression (Parquet): higher is smaller and slower."
    )


class Step(Section):
    """One entry of `steps`. Its name is that of its transform, with `#2` for the second of that name, and so on."""

    name: str
    transform: SerializeAsAny[Transform]
    line: int = Field(default=0, exclude=True)

    @property
    def key(self) -> str:
        """The transform and its version, as a recipe pins it: `gopher-quality@1`."""
        return f"{self.transform.name}@{self.transform.version}"


class Head(Section):
    """The fields that are read without looking at sources and steps."""

    name: str = Field(
        pattern=SLUG, max_length=100, description="Name of the dataset: letters, digits, '.', '-' and '_', no spaces."
    )
    seed: int = Field(default=1, ge=0, lt=2**63, description="Seed of every random draw: equal seeds give equal bytes.")
    output: Output = Field(description="Where the dataset goes, and in which form.")


class Recipe(Head):
    """What a dataset is made of: sources, steps and an output."""

    sources: list[SourceSpec] = Field(min_length=1, description="Where documents come from.")
    steps: list[Step] = Field(default_factory=list, description="What is done to them, in this order.")
    expect: Expect | None = Field(None, description="What the next snapshot must be like, or it is not committed.")
    schedule: Schedule | None = Field(None, description="When the recipe runs: see `corpusmill schedule export`.")
    train: TrainSection | list[TrainSection] | None = Field(
        None, description="The model that `run` trains on what it has committed, or stages that follow each other."
    )
    privacy: PrivacySection | None = Field(None, description="Whose data the private sources hold, and its budget.")
    base_dir: Path = Field(default=Path(), exclude=True, description="What relative paths are relative to.")

    @model_validator(mode="after")
    def _unique_names(self) -> Recipe:
        for what, names in (("source", [s.name for s in self.sources]), ("step", [s.name for s in self.steps])):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"two {what}s are called `{twice[0]}`")
        return self

    @property
    def stages(self) -> list[TrainSection]:
        """What is trained, in its order."""
        return self.train if isinstance(self.train, list) else [self.train] if self.train else []

    @property
    def private_stage(self) -> TrainSection | None:
        """The stage that trains privately."""
        return next((stage for stage in self.stages if stage.privacy is not None), None)

    @property
    def dataset(self) -> str:
        """The dataset: its folder on this machine, or its URI in a store."""
        return str(self.output_dir) if storage.is_local(self.output.path) else self.output.path.rstrip("/")

    @property
    def output_dir(self) -> Path:
        """The dataset's folder. Raises RecipeError where it lies in a store, and what asks needs a disk."""
        if not storage.is_local(self.output.path):
            raise RecipeError(
                f"{self.output.path} is in an object store, but this needs a folder of this machine's disk"
            )
        return self.resolve(storage.local_path(self.output.path))

    def resolve(self, path: str) -> Path:
        """A local path of the recipe, from its folder."""
        return self.base_dir / os.path.expanduser(path)

    @property
    def own_modules(self) -> set[str]:
        """Modules of the user's own that the steps need."""
        return {module for step in self.steps for module in step.transform.modules()}

    def bound_steps(self) -> list[Step]:
        """The steps with the paths of their files taken from the recipe's folder."""
        folder = str(self.base_dir)
        return [s.model_copy(update={"transform": s.transform.resolved(folder)}) for s in self.steps]

    def canonical(self) -> dict[str, Any]:
        """The recipe as JSON data with every default written out and every version pinned, without its folder."""
        later = {"expect": self.expect, "schedule": self.schedule, "train": self.train, "privacy": self.privacy}
        return {
            "name": self.name,
            "seed": self.seed,
            **{k: _without_defaults(v) for k, v in later.items() if v is not None},
            "sources": [s.model_dump(mode="json") for s in self.sources],
            "steps": [
                {"name": s.name, "transform": s.key, "fields": s.transform.model_dump(mode="json")} for s in self.steps
            ],
            "output": self.output.model_dump(mode="json"),
        }

    def digest(self) -> str:
        """32 hexadecimal digits of what makes the content: all but the folders that the recipe and its output are in, what is
        expected of the content, when it is made, what is trained on it, and what that may cost."""
        data = {k: v for k, v in self.canonical().items() if k not in ("expect", "schedule", "train", "privacy")}
        del data["output"]["path"]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]


def _without_defaults(section: Any) -> Any:
    if isinstance(section, list):
        return [one.model_dump(mode="json", exclude_defaults=True) for one in section]
    return section.model_dump(mode="json", exclude_defaults=True)


def make_steps(transforms: Iterable[Transform], lines: Sequence[int] = ()) -> list[Step]:
    """Steps for these transforms, named uniquely in their order: `clean`, `noise`, `clean#2`."""
    steps: list[Step] = []
    for i, (transform, name) in enumerate(zip(items := list(transforms), step_names([t.step_name for t in items]))):
        steps.append(Step(name=name, transform=transform, line=lines[i] if lines else 0))
    return steps


def load(
    path: str | Path, overrides: Iterable[str] = (), check_paths: bool = True, check_privacy: bool = True
) -> Recipe:
    """The recipe in a file. Raises one RecipeError that lists every mistake.

    overrides: `seed=7`, `output.path=out/b`, `sources.NAME.path=...`, `steps.NAME.field=...`; values are read as YAML.
    check_paths: a local source that matches no file is a mistake, and so is a missing model. check_privacy: so is a step that
    private training cannot stand, in a recipe that trains privately.
    """
    return _certain(*examine(path, overrides, check_paths, check_privacy))


def loads(
    data: bytes | str,
    name: str = "recipe",
    base_dir: Path = Path(),
    overrides: Iterable[str] = (),
    check_paths: bool = True,
) -> Recipe:
    """The recipe in `data`, which messages call `name`; otherwise as `load`."""
    return _certain(*_examine(data.encode() if isinstance(data, str) else data, name, base_dir, overrides, check_paths))


def examine(
    path: str | Path, overrides: Iterable[str] = (), check_paths: bool = True, check_privacy: bool = True
) -> tuple[Recipe | None, list[Problem]]:
    """The recipe in a file, or None, and its mistakes. Raises RecipeError if there is no file to read."""
    if not storage.is_local(str(path)):
        raise RecipeError(f"{path}: a recipe is read from a disk of this machine; copy it here and name the copy")
    data = read(path, "a recipe")
    return _examine(data, str(path), Path(path).resolve().parent, overrides, check_paths, check_privacy)


def _examine(
    data: bytes, name: str, base_dir: Path, overrides: Iterable[str], check_paths: bool, check_privacy: bool = True
) -> tuple[Recipe | None, list[Problem]]:
    marked = yaml_positions.parse(data, name)
    mistakes = Mistakes(marked)
    recipe = _read(marked, mistakes, base_dir, list(overrides), check_paths)
    if recipe is not None and check_privacy:
        certify.note(recipe, mistakes, check_paths)
    return (None if mistakes.problems else recipe), mistakes.ordered()


def _certain(recipe: Recipe | None, problems: list[Problem]) -> Recipe:
    if recipe is None:
        raise RecipeError(render(problems))
    return recipe


def _read(marked: Marked, mistakes: Mistakes, base_dir: Path, overrides: list[str], check_paths: bool) -> Recipe | None:
    raw = marked.value
    if not isinstance(raw, dict):
        if not mistakes.problems:
            what = (
                "the recipe is empty"
                if raw is None
                else "a recipe is a mapping: `name:`, `sources:`, `steps:`, `output:`"
            )
            mistakes.add((), what, "`corpusmill init` writes one to start from")
        return None
    classes = step_classes(raw, mistakes, base_dir)
    for override in overrides:
        apply_override(override, marked, mistakes, partial(addresses.locate, step_names=[c[1] for c in classes]))
    mistakes.refuse_secrets()
    mistakes.unknown_sections(raw, SECTIONS)
    head = mistakes.validate(Head, {k: v for k, v in raw.items() if k in Head.model_fields}, (), "the recipe")
    sources = sources_of(raw, mistakes)
    steps = steps_of(raw, base_dir, mistakes, classes)
    expect = mistakes.section(Expect, raw, "expect")
    schedule = mistakes.section(Schedule, raw, "schedule")
    privacy = mistakes.section(PrivacySection, raw, "privacy")
    train = train_of(raw, mistakes, classes, head.output.format if head else None)
    if not mistakes.problems:
        for place, what, advice in privacy_section.mistakes_of(privacy, train):
            mistakes.add(place, what, advice)
    if head is not None:
        check_output(head.output.path, [p for _, s in sources for p in s.paths], mistakes, base_dir)
        if train is not None and not storage.is_local(head.output.path):
            advice = "give the data its own recipe, copy the snapshot to a disk, and name that in a train.yaml"
            mistakes.add(
                ("train",), "`train` reads a folder of this machine's disk, not an object store", advice, key=True
            )
    if check_paths:
        for i, source in sources:
            absent = False
            for j, path in enumerate(source.paths):
                before = len(mistakes.problems)
                check_input(path, ("sources", i, "path", j), mistakes, base_dir)
                absent |= len(mistakes.problems) > before
            if not absent:
                check_source(source, ("sources", i), mistakes, base_dir)
        for i, step in steps:
            check_files(step, ("steps", i, classes[i][2]), mistakes, base_dir)
            check_models(step, ("steps", i, classes[i][2]), mistakes, base_dir)
            check_needs(step, ("steps", i, classes[i][2]), mistakes)
    if len(sources) == len(raw.get("sources") or ()):  # the names of all are known
        for i, step in steps:
            check_sources(step, ("steps", i, classes[i][2]), mistakes, [s.name for _, s in sources])
    if mistakes.problems or head is None:
        return None
    made = make_steps([t for _, t in steps], [marked.find(("steps", i), key=True).line for i, _ in steps])
    return Recipe(
        name=head.name,
        seed=head.seed,
        output=head.output,
        sources=[s for _, s in sources],
        steps=made,
        expect=expect,
        schedule=schedule,
        train=train,
        privacy=privacy,
        base_dir=base_dir,
    )


def restored(data: dict[str, Any], base_dir: Path) -> Recipe:
    """The recipe whose `canonical()` form a manifest holds, in its folder.

    Raises:
        RecipeError: this corpusmill has another version of a step, or a step is a class of the user's own.
    """
    transforms = [load_transform(s["transform"], base_dir).model_validate(s["fields"]) for s in data["steps"]]
    for module in {m for t in transforms for m in t.modules()}:
        import_module(module, base_dir)
    rest = {k: v for k, v in data.items() if k != "steps"}
    return Recipe(**rest, steps=make_steps(transforms), base_dir=base_dir)
