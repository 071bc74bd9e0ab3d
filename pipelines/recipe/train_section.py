"""A recipe's section `train`: what `corpusmill run` trains on the snapshot it has committed.

    train:
      steps: 2000
      model: {layers: 4, width: 256, heads: 4}

The fields are those of a train.yaml. `data.train` is the recipe's own output, which `pack` must end; private training (with a
section `privacy` of its own) takes documents as they are instead. The checkpoints go to a folder for each snapshot,
`OUTPUT/000001` (OUTPUT: the dataset's folder with `-model` behind it), so that a refresh never mixes two snapshots in one
model. Importing this module does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from corpusmill.pipelines.recipe.privacy_section import TrainPrivacy, ledger_of
from corpusmill.pipelines.recipe.privacy_section import settings_of as privacy_settings
from corpusmill.training.settings import DataSettings, TrainSettings, from_recipe

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe
    from corpusmill.transforms.base import Transform


class TrainData(DataSettings):
    """Where the rows come from: the recipe's own output, unless `train` names something else."""

    train: str = Field(default="", description="packed shards; the recipe's own output when left out")


class TrainSection(TrainSettings):
    """A training run on the recipe's output."""

    output: str = Field(default="", description="folder of the models, one a snapshot; DATASET-model when left out")
    data: TrainData = Field(default_factory=TrainData)
    privacy: TrainPrivacy | None = Field(
        default=None, description="train with differential privacy, spending from the ledger of the section `privacy`"
    )


def own_data(section: TrainSection) -> bool:
    """Whether the section trains on what the recipe makes."""
    return not section.data.train


def mistake_of(section: TrainSection, last: type[Transform] | None, form: str) -> tuple[str, str] | None:
    """(what is wrong, advice) of a section. last: the class of the recipe's last step; form: the format of its output."""
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


def settings_of(recipe: Recipe, snapshot: int) -> TrainSettings:
    """The settings of the run that trains on `snapshot` of the recipe's dataset."""
    section = recipe.train
    if section is None:
        raise ValueError("the recipe has no section `train`")
    values: dict[str, Any] = section.model_dump(mode="json", exclude_unset=True)
    tokenizer = next((getattr(s.transform, "tokenizer", None) for s in reversed(recipe.bound_steps())), None)
    if own_data(section):
        values["data"] = {k: v for k, v in values.get("data", {}).items() if k != "train"} | {"snapshot": snapshot}
    if section.privacy is not None:
        values["privacy"] = privacy_settings(section.privacy, recipe.privacy, ledger_of(recipe))
    settings = from_recipe(values, recipe.base_dir, str(recipe.output_dir), tokenizer)
    return settings.model_copy(update={"output": f"{settings.output}/{snapshot:06}"})


def is_trained(settings: TrainSettings) -> bool:
    """Whether the run came to its end: its last step, or an early stop."""
    from corpusmill.training import checkpoint

    last = checkpoint.newest(settings.output)
    if last is None:
        return False
    state = checkpoint.read_state(last)
    return state["step"] >= settings.steps or settings.stopped_early(state)
