"""Reads the sections of a recipe from YAML data: steps, sources and `train`. Mistakes are noted with their places."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from corpusmill.pipelines.recipe.registry import import_module
from corpusmill.pipelines.recipe.registry import load as load_transform
from corpusmill.pipelines.recipe.train_section import TrainSection, mistake_of, mistakes_of_stages
from corpusmill.transforms.base import Terminal, Transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings.mistakes import Mistakes
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.user_functions import CallsFunction

StepEntry = tuple[type[Transform] | None, str, str]
"""Of an entry of `steps`: its class (None if there is none), the name of the step, the key as written."""


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


def step_classes(raw: dict[str, Any], mistakes: Mistakes, base_dir: Path) -> list[StepEntry]:
    """Find the class of each entry of `steps`. The entry of a function of a text gets its field `call`."""
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


def steps_of(
    raw: dict[str, Any], base_dir: Path, mistakes: Mistakes, classes: list[StepEntry]
) -> list[tuple[int, Transform]]:
    """(position, transform) of each entry without a mistake. Modules that they need are imported."""
    steps = []
    for i, (cls, name, key) in enumerate(classes):
        entry = raw["steps"][i]
        fields = entry[key] if isinstance(entry, dict) and key in entry else None
        if cls is not None:
            step = mistakes.validate(cls, {} if fields is None else fields, ("steps", i, key), f"the step `{name}`")
            if step is not None:
                step = step.behind({cls.name for cls, _, _ in classes[:i] if cls is not None})
            if step is not None and _importable(step, base_dir, mistakes, ("steps", i, key)):
                steps.append((i, step))
            if step is not None and (problem := _mixes_splits(step, classes[:i], [s for _, s in steps])):
                mistakes.add(("steps", i, key), *problem, key=True)
            if issubclass(cls, Terminal) and i < len(classes) - 1:
                behind = classes[i + 1][2]
                what = f"`{name}` makes rows that are no documents, but the step `{behind}` follows"
                mistakes.add(("steps", i, key), what, f"put `{name}` last", key=True)
    return steps


def _mixes_splits(step: Transform, before: list[StepEntry], made: list[Transform]) -> tuple[str, str] | None:
    """(what is wrong, advice) of a step that packs documents of training and validation into one row. made: the steps `before`
    that are without mistakes."""
    divided = any(cls is not None and cls.name == "split" for cls, _, _ in before)
    divided = divided or any(getattr(s, "evaluation", "") == "once" for s in made)
    if not divided or not step.makes_training_rows:
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


def train_of(
    raw: dict[str, Any], mistakes: Mistakes, classes: list[StepEntry], form: str | None
) -> TrainSection | list[TrainSection] | None:
    """The section `train`, or its stages without mistakes. form: `output.format`, if the head is right."""
    if not isinstance(raw.get("train"), list):
        stages: dict[tuple[int, ...], TrainSection | None] = {(): mistakes.section(TrainSection, raw, "train")}
    else:
        entries = raw["train"]
        stages = {(i,): mistakes.validate(TrainSection, e, ("train", i), "`train`") for i, e in enumerate(entries)}
        if not entries:
            mistakes.add(("train",), "`train` is an empty list", "add a stage, or remove `train`")
    last = classes[-1][0] if classes else None
    for place, stage in stages.items():
        if stage is not None and form is not None and (problem := mistake_of(stage, last, form)):
            mistakes.add(("train", *place), *problem, key=not place)
    if () in stages:
        return stages[()]
    made = [stage for stage in stages.values() if stage is not None]
    if len(made) == len(stages):
        for i, what, advice in mistakes_of_stages(made):
            mistakes.add(("train", i), what, advice)
    return made


def sources_of(raw: dict[str, Any], mistakes: Mistakes) -> list[tuple[int, SourceSpec]]:
    """(position, source) of each entry without a mistake."""
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
