"""A recipe's section `privacy`: whose data it holds, and the budget that may be spent in all.

    privacy: {population: customers, unit: user, units: 10000, epsilon: 8, delta: 1.0e-6}

With it the recipe is certified (`corpusmill.pipelines.recipe.certify`) before anything runs, `run` begins the ledger beside
the dataset, and a section `train.privacy` need say no more than what its own run may cost. Importing this module imports
neither Beam nor torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from corpusmill.privacy.settings import PrivacySettings
from corpusmill.transforms import storage
from corpusmill.transforms.errors import RecipeError

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe
    from corpusmill.pipelines.recipe.train_section import TrainSection

LEDGER = "privacy.jsonl"


class PrivacySection(BaseModel):
    """Whose data the recipe's private sources hold, and the budget of that population."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    population: str = Field(min_length=1, description="whose data it is: the name of the ledger")
    unit: str = Field(
        default="document", min_length=1, description="unit of privacy: `document`, or a column such as `user`"
    )
    adjacency: Literal["add-or-remove"] = Field(
        default="add-or-remove", description="neighbouring data sets differ in the presence of one unit"
    )
    epsilon: float = Field(gt=0, allow_inf_nan=False, description="all that may ever be spent")
    delta: float = Field(gt=0, lt=1, description="below 1 / number of units")
    units: int = Field(ge=1, description="public number of units; never counted from the private data")
    composition: Literal["fixed", "adaptive"] = Field(
        default="fixed",
        description="adaptive: epsilon holds also where later runs are chosen after looking at earlier ones, and costs more",
    )
    ledger: str = Field(default="", description="file of the ledger; OUTPUT/privacy.jsonl when left out")
    allow_uncertified: bool = Field(
        default=False,
        description="let steps run by which one unit changes others' rows: the ledger's epsilon then bounds nothing",
    )


class TrainPrivacy(PrivacySettings):
    """Private training behind a recipe; what is left out is that of the recipe's section `privacy`."""

    ledger: str = Field(default="", description="privacy.jsonl; that of the section `privacy` when left out")
    units: int = Field(default=0, ge=0, description="public number of units; that of the section `privacy` when 0")


def ledger_of(recipe: Recipe) -> Path | None:
    """Where the ledger of a recipe is; None without a section `privacy`. Raises RecipeError where that is no disk."""
    section = recipe.privacy
    if section is None:
        return None
    if not section.ledger and not storage.is_local(recipe.output.path):
        raise RecipeError(
            "`ledger` is missing: the dataset lies in a store, and a ledger needs a disk that keeps its locks"
        )
    return (recipe.base_dir / section.ledger if section.ledger else recipe.output_dir / LEDGER).absolute()


def settings_of(trains: TrainPrivacy, section: PrivacySection | None, ledger: Path | None) -> dict[str, Any]:
    """The `privacy` of a train.yaml: what the run says, filled up from the recipe's section."""
    values: dict[str, Any] = trains.model_dump(mode="json", exclude_unset=True)
    if section is not None:
        values = {
            "ledger": str(ledger),
            "unit": section.unit,
            "units": section.units,
            "allow_uncertified": section.allow_uncertified,
            **{name: value for name, value in values.items() if value or name not in ("ledger", "units")},
        }
    return values


def mistakes_of(
    section: PrivacySection | None, train: TrainSection | list[TrainSection] | None
) -> list[tuple[tuple[str | int, ...], str, str]]:
    """(place, what is wrong, advice) for each mistake of the two sections together."""
    mistakes: list[tuple[tuple[str | int, ...], str, str]] = []
    if section is not None and section.delta * section.units > 1:
        what = f"`delta` is above 1 / `units` ({1 / section.units:.2g}): one unit in {section.units:,} may be revealed whole"
        mistakes.append((("privacy", "delta"), what, "lower it"))
    for i, stage in enumerate(train if isinstance(train, list) else [train] if train else []):
        place: tuple[str | int, ...] = ("train", i) if isinstance(train, list) else ("train",)
        mistakes += [((*place, *inner), what, advice) for inner, what, advice in _mistakes_of_stage(section, stage)]
    return mistakes


def _mistakes_of_stage(section: PrivacySection | None, train: TrainSection) -> list[tuple[tuple[str, ...], str, str]]:
    trains = train.privacy
    mistakes: list[tuple[tuple[str, ...], str, str]] = []
    if trains is None:
        return mistakes
    units = trains.units or (section.units if section else 0)
    if train.batch.rows > units > 0:
        what = f"`rows` is {train.batch.rows}, more than the {units} units: a step draws so many of them on average"
        mistakes.append((("batch", "rows"), what, "lower it"))
    if section is None:
        for name in ("ledger", "units"):
            if not getattr(trains, name):
                advice = "or say whose data it is in a section `privacy`"
                mistakes.append((("privacy",), f"`{name}` is missing", advice))
    elif "unit" in trains.model_fields_set and trains.unit != section.unit:
        what = f"`unit`: the section `privacy` keeps account of `{section.unit}`, not of `{trains.unit}`"
        mistakes.append((("privacy", "unit"), what, "remove one of them"))
    elif trains.epsilon is not None and trains.epsilon > section.epsilon:
        what = f"`epsilon` is {trains.epsilon:g}, more than the population's {section.epsilon:g}"
        mistakes.append((("privacy", "epsilon"), what, "lower it"))
    return mistakes


def ledger_conflict(recipe: Recipe) -> str:
    """How an existing ledger differs from the recipe, or why there cannot be a ledger; an empty string if all is well.

    Raises VerifyError for a damaged ledger.
    """
    from corpusmill.privacy.ledger import Ledger

    try:
        section, path = recipe.privacy, ledger_of(recipe)
    except RecipeError as error:
        return str(error)
    if section is None or path is None or not path.exists() or not path.stat().st_size:
        return ""
    budget = Ledger(path).budget
    wanted = {n: getattr(section, n) for n in ("population", "unit", "adjacency", "epsilon", "delta", "units")}
    other = [f"{n} {budget.get(n)}, the recipe {v}" for n, v in wanted.items() if budget.get(n) not in (v, None)]
    return f"{path} says {'; '.join(other)}" if other else ""


def begin(recipe: Recipe) -> None:
    """Write the ledger of a recipe with its budget, where there is none yet."""
    from corpusmill.privacy.ledger import Ledger

    section, path = recipe.privacy, ledger_of(recipe)
    if section is None or path is None or (path.exists() and path.stat().st_size):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    every = not any(source.private for source in recipe.sources)
    private = [
        str(p) if "://" in p else str(recipe.resolve(p)) for s in recipe.sources if s.private or every for p in s.paths
    ]
    Ledger.create(
        path,
        section.population,
        section.unit,
        section.epsilon,
        section.delta,
        section.units,
        private,
        section.composition,
    )


def forecast(recipe: Recipe) -> str:
    """A line on the epsilon after the recipe's next private run, or an empty string if it has no private training."""
    from corpusmill.privacy.accounting import Event, epsilon
    from corpusmill.privacy.ledger import Ledger

    train, section, path = recipe.private_stage, recipe.privacy, ledger_of(recipe)
    if train is None or train.privacy is None or section is None or path is None:
        return ""
    known = Ledger(path) if path.exists() and path.stat().st_size else None
    before, accountant = (known.events(), known.accountant) if known else ([], "pld")
    spent, after = epsilon(before, section.delta, accountant), train.privacy.epsilon
    if after is None and train.privacy.sigma is not None:
        units, rows = train.privacy.units or section.units, train.batch.rows
        if train.privacy.noise == "independent":
            kind: Any = "poisson-gaussian" if rows < units else "gaussian"
            event = Event(kind=kind, rate=rows / units, count=train.steps)
        else:
            from corpusmill.privacy.mechanisms.choice import most_bands, strategy_of

            bands = train.privacy.bands or most_bands(rows, units, train.steps)
            event = strategy_of(train.privacy.noise, bands, rows, units, train.steps)[1]
        event = event.model_copy(update={"sigma": train.privacy.sigma})
        after = epsilon([*before, event], section.delta, accountant)
    over = "; it would be refused" if after is None or after > section.epsilon or after <= spent else ""
    brings = f"from {spent:.2f} to {after:.2f} of {section.epsilon:g}"
    return f"a new run of `train` brings epsilon of {section.population} {brings}{over}"
