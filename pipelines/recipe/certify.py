"""Decides whether the result of a recipe may be trained on privately.

Each step on private data is judged by its stability: how far the data of one privacy unit reaches. A step is allowed if the
result for a document depends on that document (`record`), on the documents of its privacy unit (`unit`), on public data
(`public`), or on other documents only through a mechanism that spends from the ledger (`private`). A step by which one privacy
unit changes the rows of others (`cross`) is refused with a way out: it invalidates the guarantee, whatever noise training adds.
Datasets behind a source are judged by their own recipes, and models by the text that they were trained on
(`corpusmill.training.provenance`). `judge` has the judgements of steps, files, models and training.

A recipe that trains privately, or has a section `privacy`, is judged when it is read and before it runs. If it marks no source
as private, all of them count as private.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.recipe.judge import judge_step, judge_training
from corpusmill.pipelines.recipe.privacy_section import ledger_conflict
from corpusmill.privacy.certification import (
    Certification,
    Refusal,
    base_of,
    dataset_of,
    manifest_of,
    private_paths,
    private_sources,
    unguarded,
)
from corpusmill.privacy.private_files import PrivateFiles
from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import RecipeError

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe
    from corpusmill.training.settings import TrainSettings
    from corpusmill.transforms.settings.mistakes import Mistakes


def certify(
    recipe: Recipe, unit: str = "document", train: Any = None, assume: bool = False, check_paths: bool = True
) -> Certification:
    """Judge a recipe along its lineage, and the training on its result.

    Args:
        unit: `document`, or the column of the user.
        train: the settings of the training; the recipe's own `train` by default.
        assume: if no source is private, treat all of them as private.
        check_paths: refuse a model that does not exist.
    """
    certification = Certification(unit)
    certification.check_paths = check_paths
    every = assume and not any(source.private for source in recipe.sources)
    private = [p for s in recipe.sources if s.private or every for p in s.paths]
    certification.private_files = _declared(
        [str(recipe.resolve(p)) for p in private if "://" not in p], recipe.base_dir
    )
    if not _sources(recipe, certification, assume):
        return certification
    bounded = False
    for i, step in enumerate(recipe.bound_steps()):
        place = ("steps", i)
        where = f"{recipe.name}, line {step.line}" if step.line else f"{recipe.name}, step {step.name}"
        bounded = bounded or step.transform.bounds_units
        judge_step(step.name, step.transform, where, place, certification)
    if unit != "document" and not bounded:
        certification.assume(
            "no step `bound-units`: training refuses units with more rows than its `max_rows`, and averages the rest"
        )
    settings = train if train is not None else getattr(recipe, "train", None)
    if settings is not None:
        judge_training(settings, recipe.name, recipe.base_dir, certification)
    if getattr(recipe, "expect", None) is not None:
        certification.assume(
            "who sees whether a snapshot was committed may read the private text: `expect` decides by its exact figures"
        )
    if unit != "document":
        certification.assume(
            f"each person has one value of `{unit}`: who has several is protected in each of them alone"
        )
    certification.assume("the number of units that is given as public is not itself taken from the private data")
    return certification


def of_recipe(recipe: Recipe, check_paths: bool = True) -> Certification | None:
    """The certification of a recipe that trains privately or says whose data it holds; None for any other.

    check_paths: refuse a model that does not exist.
    """
    section, trains = recipe.privacy, recipe.private_stage
    if section is None and trains is None:
        return None
    return certify(recipe, unit_of(recipe), assume=True, check_paths=check_paths)


def unit_of(recipe: Recipe) -> str:
    """The unit of privacy that the recipe names."""
    trains = recipe.private_stage.privacy if recipe.private_stage else None
    if trains is not None and (recipe.privacy is None or "unit" in trains.model_fields_set):
        return trains.unit
    return recipe.privacy.unit if recipe.privacy else "document"


def allowed(recipe: Recipe) -> bool:
    """Whether the recipe says that refusals are let through."""
    trains = recipe.private_stage.privacy if recipe.private_stage else None
    return bool((recipe.privacy and recipe.privacy.allow_uncertified) or (trains and trains.allow_uncertified))


def guard(recipe: Recipe) -> Certification | None:
    """As `of_recipe`, but raises RecipeError with every refusal, unless the recipe allows them."""
    certification = of_recipe(recipe)
    if certification is not None and certification.refusals and not allowed(recipe):
        lines = "\n  ".join(map(str, certification.refusals))
        raise RecipeError(f"{recipe.name} cannot be trained on privately (unit: {certification.unit}):\n  {lines}")
    return certification


def note(recipe: Recipe, mistakes: Mistakes, check_paths: bool = True) -> None:
    """Note every refusal of a recipe at its place, and a ledger with another budget than the recipe's.

    check_paths: a model that does not exist is a mistake, too.
    """
    if other := ledger_conflict(recipe):
        advice = (
            "a population has one ledger and one budget, which does not change: correct the recipe, or name its ledger"
        )
        mistakes.add(("privacy",), other, advice, key=True)
    certification = of_recipe(recipe, check_paths)
    if certification is None or allowed(recipe):
        return
    for refusal in certification.refusals:
        inside = f"{refusal.where}: " if not refusal.place else ""
        mistakes.add(refusal.place or ("sources",), inside + refusal.what, refusal.way_out, key=True)


def summary(recipe: Recipe) -> str:
    """One line about the private data of a recipe, or an empty string."""
    certification = of_recipe(recipe)
    if certification is not None and certification.refusals:
        refused = f"{len(certification.refusals)} refused, and allowed"
        return f"NOT certified for the unit `{certification.unit}` ({refused}): epsilon bounds nothing"
    if certification is not None:
        assumed = f"on {len(certification.assumptions)} assumptions"
        return f"certified for the unit `{certification.unit}`, {assumed}: `corpusmill privacy certify`"
    private = [s.name for s in recipe.sources if s.private]
    if private and recipe.train:
        return f"`train` learns from {', '.join(private)} without any: give it a section `privacy`, or mark no source private"
    return ""


def of_training(settings: TrainSettings) -> Certification | None:
    """The certification of the data that a private run trains on, by the recipe in its snapshot's manifest, and of the run.

    None for runs that are not private. Raises DatasetError where a manifest cannot be read.
    """
    if settings.privacy is None:
        return None
    home = dataset_of(settings.data.train)
    if home is None:
        certification = Certification(settings.privacy.unit)
        certification.private_files = PrivateFiles([settings.data.train])
    else:
        certification = of_snapshot(home, settings.data.snapshot, settings.privacy.unit)
    judge_training(settings, "training", Path(), certification)
    return certification


def of_snapshot(home: Path, snapshot: int | None, unit: str) -> Certification:
    """The certification of a snapshot, the newest without a number, by the recipe in its manifest and those behind it.

    Raises DatasetError where a manifest cannot be read.
    """
    certification = Certification(unit)
    manifest, certification.data = manifest_of(home, snapshot)
    certification.sources = private_sources(manifest) or [str(s["name"]) for s in manifest["recipe"]["sources"]]
    base = base_of(home, manifest["recipe"])
    certification.private_files = _declared(private_paths(str(home), snapshot), base)
    _made(manifest, home, certification, [])
    return certification


def _declared(paths: Iterable[str], base: Path | None) -> PrivateFiles:
    """All that private sources name, with the datasets behind them; and what was learned from private text beside the recipe."""
    behind = {one for path in paths for one in (path, *private_paths(path)) if "://" not in one}
    return PrivateFiles(sorted(behind), [base, *sorted(p for p in base.iterdir() if p.is_dir())] if base else [])


def _sources(recipe: Recipe, certification: Certification, assume: bool) -> bool:
    """Note the private sources, and judge the data sets that any source was made from."""
    every = assume and not any(source.private for source in recipe.sources)
    for i, source in enumerate(recipe.sources):
        if source.private or every:
            certification.sources.append(source.name)
        for path in source.paths:
            if "://" in path:
                continue
            home = dataset_of(str(recipe.resolve(path)))
            hidden = unguarded(manifest_of(home)[0]) if home is not None else []
            copied = "" if source.private or every or hidden else certification.copy_of(str(recipe.resolve(path)))
            if copied:
                _refuse_source(recipe, i, path, f"it is taken for public, and holds {copied}", certification)
            if home is None:
                continue
            made = manifest_of(home)[0]
            if hidden and not source.private and not every:
                reason = f"it reads {home}, which was made from the {' and the '.join(hidden)}"
                _refuse_source(recipe, i, home.name, reason, certification)
                certification.sources.append(source.name)
            if hidden or source.private or every:
                _made(made, home, certification, [])
    return bool(certification.sources)


def _refuse_source(recipe: Recipe, i: int, what: str, reason: str, certification: Certification) -> None:
    """Refuse a public source that holds private text."""
    where = f"{recipe.name}, source {recipe.sources[i].name}"
    way_out = "mark the source `private: true`"
    certification.refusals.append(Refusal(where, what, "source", reason, way_out, ("sources", i)))


def _made(manifest: dict[str, Any], home: Path, certification: Certification, seen: list[Path]) -> None:
    """Judge the steps of the recipe in a manifest, the models that wrote in the data set, and the data sets behind it."""
    from corpusmill.pipelines.recipe.registry import built_in

    recipe, where = manifest["recipe"], f"{home}, its recipe"
    base = base_of(home, recipe)
    every = not any(source.get("private") for source in recipe.get("sources", []))
    for step in recipe.get("steps", []):
        key, name = str(step["transform"]).partition("@")[0], f"{home.name}: {step['name']}"
        cls: type[Transform] = Transform
        try:
            if (known := built_in(key)) is None:  # a dataset is data: code that it names is not imported
                raise RecipeError(f"`{key}` is a class of the user's own")
            cls = known
            transform = cls.model_validate(step["fields"]).resolved(str(base or home))
            if transform.modules():
                raise RecipeError(f"`{key}` calls a function of the user's own")
        except (RecipeError, ValueError):  # or the class does not take these fields any more
            certification.steps.append((name, "cross"))
            certification.refusals.append(Refusal(where, str(step["name"]), "cross", *cls.refusal))
            continue
        before = len(certification.steps)
        judge_step(str(step["name"]), transform, where, (), certification)
        certification.steps[before] = (name, certification.steps[before][1])
    # as it was known when the steps ran, wherever their models are now
    for reason in manifest.get("privacy", {}).get("unguarded", []):
        written = f"it holds text of a model: {reason}"
        if not any(reason == refusal.what or written == refusal.reason for refusal in certification.refusals):
            way_out = "make it with a model of public data, or one that was trained privately"
            certification.refusals.append(Refusal(where, home.name, "cross", written, way_out))
    for source in recipe.get("sources", []):
        paths = source.get("path") or []
        for path in [paths] if isinstance(paths, str) else paths:
            behind = dataset_of(base / path) if base is not None and "://" not in path else None
            if behind is None or behind in (home, *seen):
                continue
            before_it = manifest_of(behind)[0]
            if every or source.get("private") or unguarded(before_it):
                _made(before_it, behind, certification, [home, *seen])


__all__ = [
    "Certification",
    "Refusal",
    "base_of",
    "certify",
    "dataset_of",
    "guard",
    "of_recipe",
    "of_snapshot",
    "of_training",
]
