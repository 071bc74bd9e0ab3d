"""A recipe's section `train`: what `corpusmill run` trains on the snapshot it has committed.

    train:
      steps: 2000
      model: {layers: 4, width: 256, heads: 4}

The fields are those of a train.yaml. `data.train` is the recipe's own output, which `pack` must end; private training (with a
section `privacy` of its own) takes documents as they are instead. The checkpoints go to a folder for each snapshot,
`OUTPUT/000001` (OUTPUT: the dataset's folder with `-model` behind it), so that a refresh never mixes two snapshots in one
model.

A list trains one stage after the other. `tune.base` names an earlier stage, and `teach.by` stages that teach this one:

    train:
      - {name: teachers, steps: 2000, members: 4}
      - {name: student, steps: 2000, objective: {name: distillation}, teach: {by: teachers}}
      - {name: support, steps: 300, data: {train: talks.jsonl}, objective: {name: instruction}, tune: {base: student}}

A stage is in `OUTPUT/000001/NAME`, and its members in `NAME/1`, `NAME/2`, ... Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from corpusmill.pipelines.recipe.privacy_section import TrainPrivacy, ledger_of
from corpusmill.pipelines.recipe.privacy_section import settings_of as privacy_settings
from corpusmill.training.settings import DataSettings, TrainSettings, from_recipe, resolved
from corpusmill.transforms.generate.model import ENSEMBLE
from corpusmill.transforms.settings.section import Section

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe
    from corpusmill.transforms.base import Transform


class TrainData(DataSettings):
    """Where the rows come from: the recipe's own output, unless `train` names something else."""

    train: str = Field(default="", description="packed shards; the recipe's own output when left out")


class Teach(Section):
    """What a teacher says of each next token of this stage's rows is written beside the model before it is trained."""

    by: str | list[str] = Field(
        description="an earlier stage, with all its members, or a run, a checkpoint or hf:FOLDER; several are an ensemble"
    )
    kind: Literal["sampled", "top-k", "full"] = Field(
        default="sampled", description="what is kept of the teacher's distribution"
    )
    draws: int = Field(default=12, ge=1, le=1000, description="token ids drawn for each token (sampled)")
    top_k: int = Field(default=16, ge=1, le=10_000, description="likeliest tokens kept (top-k)")
    noise: float = Field(
        default=0.0, ge=0, lt=1, description="share of random tokens in what teacher and student read; for small data"
    )
    copies: int = Field(default=1, ge=1, le=1000, description="times that each row is read, each time with other noise")

    @model_validator(mode="after")
    def _copies_differ(self) -> Teach:
        if self.copies > 1 and not self.noise:
            raise ValueError("`copies` without `noise` are all the same: set `noise`, for example 0.3")
        return self


class TrainSection(TrainSettings):
    """A training run on the recipe's output."""

    name: str = Field(
        default="", pattern=r"^([A-Za-z][A-Za-z0-9_-]*)?$", description="name of the stage, where `train` is a list"
    )
    members: int = Field(
        default=1, ge=1, le=64, description="models trained on the same data with other seeds, for an ensemble"
    )
    teach: Teach | None = Field(default=None, description="teachers that the objective distillation learns from")
    output: str = Field(default="", description="folder of the models, one a snapshot; DATASET-model when left out")
    data: TrainData = Field(default_factory=TrainData)
    privacy: TrainPrivacy | None = Field(
        default=None, description="train with differential privacy, spending from the ledger of the section `privacy`"
    )


@dataclass(frozen=True)
class Run:
    """One training run of a recipe. `label`: what it is called in messages. `teachers`: what is asked before it, or empty."""

    label: str
    settings: TrainSettings
    teachers: str = ""
    teach: Teach | None = None


def own_data(section: TrainSection) -> bool:
    """Whether the section trains on what the recipe makes."""
    return not section.data.train


def mistake_of(section: TrainSection, last: type[Transform] | None, form: str) -> tuple[str, str] | None:
    """(what is wrong, advice) of a section. last: the class of the recipe's last step; form: the format of its output."""
    if section.teach is not None and section.objective.name != "distillation":
        return "`teach` is for the objective `distillation`", "set `objective: {name: distillation}`, or remove `teach`"
    if section.teach is not None and section.objective.teacher:
        return "`teach` and `objective.teacher` both name a teacher", "remove one of them"
    if section.members > 1 and section.privacy is not None:
        return "each of `members` would spend from the ledger", "train one private model"
    if not own_data(section):
        return None
    packed = last is not None and last.makes_training_rows
    if section.privacy is not None and not packed:  # documents as they are
        return None
    if not packed:
        return "`train` needs rows of tokens, but the last step is not `pack`", "end the steps with `- pack: {...}`"
    if form != "arrow":
        return "`train` maps its rows into memory, but the output is Parquet", "set `format: arrow` in `output`"
    if section.data.snapshot:
        return "`train` takes the snapshot that was just committed", "remove `data.snapshot`, or name `data.train`"
    return None


def mistakes_of_stages(stages: Sequence[TrainSection]) -> Iterator[tuple[int, str, str]]:
    """(place, what is wrong, advice) of stages together."""
    seen: dict[str, TrainSection] = {}
    for i, stage in enumerate(stages):
        if not stage.name:
            yield i, "a stage of `train` has no name", "add `name: ...`, by which later stages refer to it"
        elif stage.name in seen:
            yield i, f"two stages are called `{stage.name}`", "rename one of them"
        base = stage.tune.base
        if base in seen and seen[base].members > 1:
            yield i, f"`tune.base`: {base} has {seen[base].members} members", f"name one of them: `{base}/1`"
        if base is not None and base in {s.name for s in stages[i:]}:
            yield i, f"`tune.base`: {base} is trained later", "put its stage before this one"
        seen[stage.name] = stage
    private = [i for i, stage in enumerate(stages) if stage.privacy is not None]
    for i in private[1:]:
        yield i, "two stages train privately", "give each a recipe of its own, so that each spends what it says"


def runs_of(recipe: Recipe, snapshot: int) -> list[Run]:
    """The runs that train on `snapshot` of the recipe's dataset, in their order."""
    made: dict[str, list[str]] = {}
    runs: list[Run] = []
    several = isinstance(recipe.train, list)
    for section in recipe.stages:
        home = _settings(recipe, section, snapshot, made, section.name if several else "")
        outputs = (
            [home.output] if section.members == 1 else [f"{home.output}/{k}" for k in range(1, section.members + 1)]
        )
        teachers = _teachers(section.teach, made, recipe.base_dir) if section.teach else ""
        for k, output in enumerate(outputs):
            settings = home.model_copy(update={"output": output, "seed": home.seed + k})
            label = section.name if section.members == 1 else f"{section.name} {k + 1} of {section.members}".strip()
            runs.append(Run(label, settings, teachers, section.teach))
        made[section.name] = outputs
    return runs


def settings_of(recipe: Recipe, snapshot: int) -> TrainSettings:
    """The settings of the last run that trains on `snapshot` of the recipe's dataset: its model is what the recipe makes."""
    runs = runs_of(recipe, snapshot)
    if not runs:
        raise ValueError("the recipe has no section `train`")
    return runs[-1].settings


def _settings(
    recipe: Recipe, section: TrainSection, snapshot: int, made: dict[str, list[str]], name: str
) -> TrainSettings:
    """The settings of a stage, before its members. made: outputs of earlier stages by name."""
    values: dict[str, Any] = section.model_dump(mode="json", exclude_unset=True)
    for own in ("name", "members", "teach"):
        values.pop(own, None)
    tokenizer = next((getattr(s.transform, "tokenizer", None) for s in reversed(recipe.bound_steps())), None)
    if own_data(section):
        values["data"] = {k: v for k, v in values.get("data", {}).items() if k != "train"} | {"snapshot": snapshot}
    if section.privacy is not None:
        values["privacy"] = privacy_settings(section.privacy, recipe.privacy, ledger_of(recipe))
    stage, _, member = (section.tune.base or "").partition("/")
    if stage in made:
        values["tune"] = {**values["tune"], "base": made[stage][int(member or 1) - 1]}
    settings = from_recipe(values, recipe.base_dir, str(recipe.output_dir), tokenizer)
    output = f"{settings.output}/{snapshot:06}" + (f"/{name}" if name else "")
    settings = settings.model_copy(update={"output": output})
    if section.teach is not None:
        objective = settings.objective.model_copy(update={"teacher": f"{output}/teacher"})
        settings = settings.model_copy(update={"objective": objective})
    return settings


def _teachers(teach: Teach, made: dict[str, list[str]], folder: Path) -> str:
    """The specification of a stage's teachers."""
    named = [teach.by] if isinstance(teach.by, str) else teach.by
    models = [model for name in named for model in made.get(name) or [str(resolved(name, folder))]]
    return models[0] if len(models) == 1 else ENSEMBLE + ",".join(models)


def is_trained(settings: TrainSettings) -> bool:
    """Whether the run came to its end: its last step, or an early stop."""
    from corpusmill.training import checkpoint

    last = checkpoint.newest(settings.output)
    if last is None:
        return False
    state = checkpoint.read_state(last)
    return state["step"] >= settings.steps or settings.stopped_early(state)
