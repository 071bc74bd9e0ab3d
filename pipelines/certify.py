"""Whether what a recipe makes may be trained on privately: every step on private data, judged by how far one unit reaches.

A step is allowed if a document's result depends on that document (`record`), on the documents of its unit (`unit`), on public
data (`public`), or on others only through a mechanism that spends from the ledger (`private`). A step by which one unit's data
changes other units' rows (`cross`) breaks the count of what a unit can change, whatever noise training adds, and is refused
with the way out. Data sets that a source was made from are judged by their own recipes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transforms.errors import PrivacyError, RecipeError

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

SAFE = ("record", "unit", "public", "private")
_PUBLIC = "run it on public data in a recipe of its own, and mix the private source in afterwards"
_OUT = {
    "exact": (
        "one document decides whether other units' copies stay",
        f"use `bound-units: {{distinct: true}}`, which deduplicates within a unit; or {_PUBLIC}",
    ),
    "minhash": (
        "one document joins clusters, and so removes documents of other units",
        f"use `bound-units: {{distinct: true}}`, which deduplicates within a unit; or {_PUBLIC}",
    ),
    "substring": ("a text repeated by one unit is cut out of the documents of others", f"leave it out; or {_PUBLIC}"),
    "lines": ("a line repeated by one unit is cut out of the documents of others", f"leave it out; or {_PUBLIC}"),
    "paragraphs": (
        "a paragraph repeated by one unit is cut out of the documents of others",
        f"leave it out; or {_PUBLIC}",
    ),
    "mix": (
        "shares and epochs follow from the sizes of domains, which every document changes",
        "leave it out and weigh sources in training with fixed `data.weights`; or publish private counts and fix the epochs",
    ),
    "pack": (
        "a row holds pieces of several units, and one document moves the rows of others",
        "train on documents as they are; or pack with `separate` set to the unit's column",
    ),
    "filter": (
        "a rule of your own may look at other documents",
        'say in its class how far it reaches: `stability = "record"` if it looks at one document at a time',
    ),
}
_ANY = (
    "what it does to one document depends on the documents of other units",
    f"leave it out; or {_PUBLIC}; or use a step whose stability is `record` or `unit`",
)


@dataclass(frozen=True)
class Refusal:
    """One reason why the guarantee would not hold."""

    where: str
    step: str
    stability: str
    reason: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.where}: `{self.step}` ({self.stability}): {self.reason}. To go on: {self.way_out}."


@dataclass
class Certificate:
    """What a recipe's data may be used for.

    sources: the private ones; spends: steps that spend from the ledger; assumptions: what the certificate rests on and cannot
    see, to be confirmed by a person.
    """

    unit: str
    sources: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    spends: list[str] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def private(self) -> bool:
        """Whether any data is private."""
        return bool(self.sources)

    def require(self) -> None:
        """Raises PrivacyError that lists every refusal."""
        if self.refusals:
            lines = "\n  ".join(map(str, self.refusals))
            raise PrivacyError(f"this data cannot be trained on privately (unit: {self.unit}):\n  {lines}")


def certify(recipe: Recipe, unit: str = "document", train: Any = None) -> Certificate:
    """Judge a recipe along its lineage, and the training on its result.

    unit: `document`, or the column of the user; train: its settings (by default the recipe's own `train`).
    """
    found = Certificate(unit)
    name = recipe.name
    private = _sources(recipe, found)
    if not private:
        return found
    before_bound = True
    for step in recipe.bound_steps():
        transform = step.transform
        reach = _reach(transform, unit, found)
        found.steps.append((step.name, reach))
        if transform.name == "bound-units":
            before_bound = False
        if reach == "private":
            found.spends.append(step.name)
        elif reach not in SAFE:
            reason, way_out = _OUT.get(transform.name, _ANY)
            found.refusals.append(Refusal(f"{name}, line {step.line}", step.name, reach, reason, way_out))
        for path in transform.files():
            _file(path, f"{name}, step {step.name}", found)
    if unit != "document" and before_bound:
        found.assumptions.append(
            "no step `bound-units`: training refuses units with more rows than its `max_rows`, and averages the rest"
        )
    settings = train if train is not None else getattr(recipe, "train", None)
    if settings is not None:
        _training(settings, name, found)
    found.assumptions.append("the number of units that is given as public is not itself taken from the private data")
    return found


def _sources(recipe: Recipe, found: Certificate) -> bool:
    """Note the private sources, and judge the data sets that any source was made from."""
    for source in recipe.sources:
        if source.private:
            found.sources.append(source.name)
        for path in source.paths:
            home = dataset_of(str(recipe.resolve(path)) if "://" not in path else "")
            if home is None:
                continue
            made = _newest_recipe(home)
            hidden = [s["name"] for s in made.get("sources", []) if s.get("private")]
            if hidden and not source.private:
                found.refusals.append(
                    Refusal(
                        f"{recipe.name}, source {source.name}", home.name, "source",
                        f"it reads {home}, which was made from the private source {', '.join(hidden)}",
                        "mark the source `private: true`",
                    )
                )  # fmt: skip
                found.sources.append(source.name)
            if hidden:
                _published_steps(made, home, found)
    return bool(found.sources)


def _published_steps(made: dict[str, Any], home: Path, found: Certificate) -> None:
    """Judge the steps of a recipe as a manifest holds it."""
    from pipelines.registry import load

    for step in made.get("steps", []):
        key = str(step["transform"]).partition("@")[0]
        try:
            transform = load(key, home).model_validate(step["fields"])
            reach = _reach(transform, found.unit, found)
        except (RecipeError, ValueError):
            reach = "cross"  # a class that is not here any more: the default
        found.steps.append((f"{home.name}: {step['name']}", reach))
        if reach == "private":
            found.spends.append(f"{home.name}: {step['name']}")
        elif reach not in SAFE:
            reason, way_out = _OUT.get(key, _ANY)
            found.refusals.append(Refusal(f"{home}, its recipe", step["name"], reach, reason, way_out))


def _reach(transform: Any, unit: str, found: Certificate) -> str:
    """The stability of a step with its fields as they are."""
    if transform.name == "pack" and transform.separate is not None and transform.separate in (unit, "unit"):
        found.assumptions.append(
            "all documents of a unit lie in one shard when they are packed, and in one window of it"
        )
        return "unit"
    if transform.name == "bound-units" and unit != "document" and transform.by not in (unit, "unit", "user"):
        return "cross"
    return str(transform.stability)


def _file(path: str, where: str, found: Certificate) -> None:
    """A file that decides what a step does: refused where it was made from private data, else an assumption."""
    home = dataset_of(path)
    made = _newest_recipe(home) if home is not None else {}
    hidden = [s["name"] for s in made.get("sources", []) if s.get("private")]
    if hidden:
        found.refusals.append(
            Refusal(
                where, os.path.basename(path), "cross", f"the file was learned from the private source {', '.join(hidden)}",
                "make it from public data (a tokenizer, a word list or a reference model carries text of those it saw)",
            )
        )  # fmt: skip
        return
    note = f"{path} was made from public data only"
    if note not in found.assumptions:
        found.assumptions.append(note)


def _training(settings: Any, name: str, found: Certificate) -> None:
    """What a training run takes from private data besides its gradients."""
    where = f"{name}, train"
    evaluation = getattr(settings, "evaluation", None)
    if getattr(evaluation, "patience", 0) and getattr(settings.data, "validation", None):
        found.refusals.append(
            Refusal(
                where, "evaluation.patience", "cross",
                "the step at which training stops is chosen on validation data, which is private unless it is public",
                "fix the number of steps (`patience: 0`), or validate on public data outside of the run",
            )
        )  # fmt: skip
    if getattr(settings.model, "tie", False):
        found.refusals.append(
            Refusal(
                where, "model.tie", "cross", "tied weights have no exact per-sample gradients in every mode",
                "set `tie: false`",
            )
        )  # fmt: skip
    for path in (settings.data.tokenizer, settings.tune.base):
        if path and not str(path).startswith("hf:"):
            _file(str(path), where, found)


def dataset_of(path: str) -> Path | None:
    """The folder of the data set that a path lies in, or None."""
    if not path:
        return None
    here = Path(str(path).split("*")[0])
    for folder in (here, *here.parents):
        if (folder / "snapshots" / "000001.json").exists():
            return folder
    return None


def _newest_recipe(home: Path) -> dict[str, Any]:
    newest = max((home / "snapshots").glob("[0-9]*.json"))
    try:
        recipe: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError) as error:
        raise PrivacyError(
            f"{newest}: the recipe of a data set cannot be read ({error}); nobody can say what is in it."
        ) from error
    return recipe
