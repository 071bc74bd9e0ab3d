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
from corpusmill.pipelines.recipe.path_checks import check_files, check_input, check_models, check_output
from corpusmill.pipelines.recipe.privacy_section import PrivacySection
from corpusmill.pipelines.recipe.registry import import_module
from corpusmill.pipelines.recipe.registry import load as load_transform
from corpusmill.pipelines.recipe.schedule import Schedule
from corpusmill.pipelines.recipe.source_checks import check_source
from corpusmill.pipelines.recipe.train_section import TrainSection, mistake_of, mistakes_of_stages
from corpusmill.transforms import storage
from corpusmill.transforms.base import Terminal, Transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings import yaml_positions
from corpusmill.transforms.settings.files import read
from corpusmill.transforms.settings.mistakes import Mistakes, render
from corpusmill.transforms.settings.overrides import apply_override
from corpusmill.transforms.settings.section import Section
from corpusmill.transforms.settings.yaml_positions import Marked, Problem
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.user_functions import CallsFunction

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


def step_names(names: Iterable[str]) -> list[str]:
    """Unique names in their order.

    >>> step_names(["clean", "noise", "clean"])
    ['clean', 'noise', 'clean#2']
    """
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return out


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
    classes = _step_classes(raw, mistakes, base_dir)
    for override in overrides:
        apply_override(override, marked, mistakes, partial(addresses.locate, step_names=[c[1] for c in classes]))
    mistakes.refuse_secrets()
    mistakes.unknown_sections(raw, SECTIONS)
    head = mistakes.validate(Head, {k: v for k, v in raw.items() if k in Head.model_fields}, (), "the recipe")
    sources = _sources(raw, mistakes)
    steps = _steps(raw, base_dir, mistakes, classes)
    expect = mistakes.section(Expect, raw, "expect")
    schedule = mistakes.section(Schedule, raw, "schedule")
    privacy = mistakes.section(PrivacySection, raw, "privacy")
    train = _train(raw, mistakes, classes, head)
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


def _step_classes(raw: dict, mistakes: Mistakes, base_dir: Path) -> list[tuple[type[Transform] | None, str, str]]:
    """(class or None, step name, key as written) of each entry of `steps`; what is wrong goes to `mistakes`."""
    entries = raw.get("steps")
    if entries is None:
        return []
    if not isinstance(entries, list):
        mistakes.add(
            ("steps",), "`steps` is a list: one `- transform: {field: value}` an entry", "put a `- ` before each entry"
        )
        return []
    out: list[tuple[type[Transform] | None, str]] = []
    for i, entry in enumerate(entries):
        key = entry if isinstance(entry, str) else next(iter(entry)) if isinstance(entry, dict) and entry else ""
        cls: type[Transform] | None = None
        if not key:
            mistakes.add(
                ("steps", i), "a step is the name of a transform, as in `- exact` or `- minhash: {threshold: 0.8}`"
            )
        elif isinstance(entry, dict) and len(entry) > 1:
            extra = list(entry)[1]
            advice = "a step of its own starts with `- `; fields go one level deeper"
            mistakes.add(("steps", i, extra), f"the step `{key}` has a second key, `{extra}`", advice, key=True)
        else:
            try:
                cls = load_transform(key, base_dir)
                if issubclass(cls, CallsFunction) and ":" in key:
                    fields = entry[key] if isinstance(entry, dict) else None
                    entries[i] = {key: {"call": key, **fields} if isinstance(fields, dict) else {"call": key}}
            except RecipeError as error:
                what, _, advice = str(error).partition("; ")
                mistakes.add(("steps", i, key), what, advice, key=True)
        out.append((cls, key))
    names = step_names([_written_name(cls, key) for cls, key in out])
    return [(cls, name, key) for (cls, key), name in zip(out, names)]


def _written_name(cls: type[Transform] | None, key: str) -> str:
    """The name of a step, before its fields are known to be right."""
    if cls is None:
        return key.partition("@")[0]
    return cls.model_construct(call=key).step_name if issubclass(cls, CallsFunction) and ":" in key else cls.name


def _steps(
    raw: dict, base_dir: Path, mistakes: Mistakes, classes: list[tuple[type[Transform] | None, str, str]]
) -> list[tuple[int, Transform]]:
    steps = []
    for i, (cls, name, key) in enumerate(classes):
        entry = raw["steps"][i]
        fields = entry[key] if isinstance(entry, dict) and key in entry else None
        if cls is not None:
            step = mistakes.validate(cls, {} if fields is None else fields, ("steps", i, key), f"the step `{name}`")
            if step is not None and _importable(step, base_dir, mistakes, ("steps", i, key)):
                steps.append((i, step))
            if step is not None and (problem := _mixes_splits(step, classes[:i])):
                mistakes.add(("steps", i, key), *problem, key=True)
            if issubclass(cls, Terminal) and i < len(classes) - 1:
                behind = classes[i + 1][2]
                what = f"`{name}` makes rows that are no documents, but the step `{behind}` follows"
                mistakes.add(("steps", i, key), what, f"put `{name}` last", key=True)
    return steps


def _mixes_splits(step: Transform, before: list[tuple[type[Transform] | None, str, str]]) -> tuple[str, str] | None:
    """(what is wrong, advice) of a step that packs documents of training and validation into one row."""
    if not any(cls is not None and cls.name == "split" for cls, _, _ in before) or not step.makes_training_rows:
        return None
    if getattr(step, "separate", "split") == "split":
        return None
    return (
        f"`{step.name}` would put documents of training and validation into one row",
        "write `separate: split`, so that no row holds two splits",
    )


def _importable(step: Transform, base_dir: Path, mistakes: Mistakes, place: tuple[str | int, ...]) -> bool:
    """Imports the modules that a step needs; whether that went well."""
    try:
        for module in step.modules():
            import_module(module, base_dir)
    except RecipeError as error:
        what, _, advice = str(error).partition("; ")
        mistakes.add(place, what, advice, key=True)
        return False
    return True


def _train(
    raw: dict, mistakes: Mistakes, classes: list[tuple[type[Transform] | None, str, str]], head: Head | None
) -> TrainSection | list[TrainSection] | None:
    if not isinstance(raw.get("train"), list):
        stages: dict[tuple[int, ...], TrainSection | None] = {(): mistakes.section(TrainSection, raw, "train")}
    else:
        entries = raw["train"]
        stages = {(i,): mistakes.validate(TrainSection, e, ("train", i), "`train`") for i, e in enumerate(entries)}
        if not entries:
            mistakes.add(("train",), "`train` is an empty list", "add a stage, or remove `train`")
    last = classes[-1][0] if classes else None
    for place, stage in stages.items():
        if stage is not None and head is not None and (problem := mistake_of(stage, last, head.output.format)):
            mistakes.add(("train", *place), *problem, key=not place)
    if () in stages:
        return stages[()]
    made = [stage for stage in stages.values() if stage is not None]
    if len(made) == len(stages):
        for i, what, advice in mistakes_of_stages(made):
            mistakes.add(("train", i), what, advice)
    return made


def _sources(raw: dict, mistakes: Mistakes) -> list[tuple[int, SourceSpec]]:
    entries = raw.get("sources")
    if entries is None:
        mistakes.add(
            ("sources",), "the recipe names no sources", "add `sources:` with one `- {name: ..., path: ...}` an entry"
        )
        return []
    if not isinstance(entries, list) or not entries:
        mistakes.add(
            ("sources",), "`sources` is a list of at least one source", "write `- name: ...` and `path: ...` below it"
        )
        return []
    sources: list[tuple[int, SourceSpec]] = []
    taken: dict[str, int] = {}
    for i, entry in enumerate(entries):
        where = f"the source `{entry['name']}`" if isinstance(entry, dict) and "name" in entry else f"source {i + 1}"
        source = mistakes.validate(SourceSpec, entry, ("sources", i), where)
        if source is None:
            continue
        if source.name in taken:
            line = mistakes.marked.find(("sources", taken[source.name], "name")).line
            advice = f"the first is on line {line}: document ids depend on it"
            mistakes.add(("sources", i, "name"), f"two sources are called `{source.name}`", advice)
            continue
        taken[source.name] = i
        sources.append((i, source))
    return sources
