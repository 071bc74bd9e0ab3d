"""The settings of a training run: `train.yaml`, or the `train:` section of a recipe. Imports no torch.

    output: runs/docs
    data: {train: out/docs, validation: out/held-out, tokenizer: out/docs/tokenizer.json}
    model: {kind: decoder, layers: 6, width: 384, heads: 6}
    objective: {name: causal}
    steps: 2000
    optimizer: {lr: 6.0e-4}
    schedule: {name: cosine, warmup: 100}

Relative paths are relative to the file that names them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from corpusmill.privacy.settings import PrivacySettings
from corpusmill.training.objective_table import OBJECTIVES
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings.files import SettingsFile, listed
from corpusmill.transforms.settings.section import IsPath, Section, with_paths
from corpusmill.transforms.settings.spelling import nearest


class ModelSettings(Section):
    """Shape of the Transformer. `vocabulary` and `max_length` are filled in from the tokenizer and the data when left out."""

    kind: Literal["decoder", "encoder", "encoder-decoder"] = Field(
        default="decoder", description="which stacks the model has"
    )
    layers: int = Field(default=6, ge=1, description="blocks in each stack")
    width: int = Field(default=384, ge=2, description="size of the hidden states")
    heads: int = Field(default=6, ge=1, description="attention heads; width / heads must be an even number")
    hidden: int | None = Field(
        default=None, ge=1, description="inner size of the feed-forward layer; 8/3 of width when left out"
    )
    vocabulary: int | None = Field(
        default=None, ge=2, description="number of token ids; from the tokenizer when left out"
    )
    max_length: int = Field(
        default=0, ge=0, description="longest row seen in training, for the exported config; 0: from the data"
    )
    rope_base: float = Field(default=10000.0, gt=1, description="base of the rotary frequencies")
    norm_eps: float = Field(default=1e-5, gt=0, description="epsilon of RMSNorm")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of residual values dropped in training")
    tie: bool = Field(
        default=False, description="share the embedding with the output layer (cannot be trained privately)"
    )

    @model_validator(mode="after")
    def _even_heads(self) -> ModelSettings:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of twice heads ({2 * self.heads})")
        return self

    @property
    def feed_forward(self) -> int:
        """Inner size of the gated feed-forward layer, a multiple of 8."""
        return self.hidden or -(-8 * self.width // 24) * 8


class DataSettings(Section):
    """Where the rows come from."""

    train: Annotated[str, IsPath()] = Field(
        description="folder of packed shards, or a Parquet, Arrow or JSONL file of documents to fine-tune on"
    )
    validation: Annotated[str | None, IsPath()] = Field(
        default=None, description="the same for evaluation; never trained on"
    )
    tokenizer: Annotated[str | None, IsPath()] = Field(
        default=None, description="tokenizer.json; the one beside the shards when left out"
    )
    snapshot: int | None = Field(
        default=None, ge=1, description="number of the dataset's snapshot; the newest when left out"
    )
    domain: str = Field(
        default="source", description="column of a row's domain, for weights and figures (pack's `separate`)"
    )
    weights: dict[str, float] | None = Field(
        default=None, description="share of the rows by source; in proportion to the data when left out"
    )
    length: int = Field(default=256, ge=2, description="longest row made from a document, in tokens (fine-tuning only)")
    columns: dict[str, str] = Field(default_factory=dict, description="role: column of a document (fine-tuning only)")
    truncate: Literal["keep-prompt", "keep-answer", "drop", "error"] = Field(
        default="keep-prompt",
        description="documents longer than `length`: keep-prompt cuts the end, keep-answer the prompt's beginning, drop leaves "
        "them out, error stops; a cut text has no end token (fine-tuning only)",
    )
    pack: bool = Field(
        default=True,
        description="several short documents in a row, none of which sees another, where the model can (fine-tuning only)",
    )


class ObjectiveSettings(Section):
    """What the model learns."""

    name: str = Field(default="causal", description=", ".join(OBJECTIVES), json_schema_extra={"enum": list(OBJECTIVES)})
    rate: float = Field(default=0.15, gt=0, lt=1, description="share of tokens masked or cut out (masked, span)")
    mean_span: float = Field(default=3.0, ge=1, description="mean length of a span that is cut out, in tokens (span)")
    noise: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the tokens read in training that are replaced by random ones; the targets stay (causal, "
        "distillation, instruction)",
    )
    templates: Annotated[str | None, IsPath()] = Field(
        default=None, description="YAML file of prompt templates (instruction)"
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="balanced: each class weighs the same in the loss, however rare (classification)"
    )
    chat_template: Annotated[str | None, IsPath()] = Field(
        default=None,
        description="Jinja file that renders a column `messages`; the model's own when left out (instruction)",
    )
    teacher: Annotated[str | None, IsPath()] = Field(
        default=None,
        description="folder of the teacher's shards for data.train; data.train's own columns when left out (distillation)",
    )
    temperature: float = Field(default=1.0, gt=0, description="temperature of teacher and student (distillation)")
    hard: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="weight of cross-entropy on the text; the rest is the teacher's (distillation)",
    )
    hidden: float = Field(
        default=0.0,
        ge=0,
        description="weight of matching the relations between the teacher's hidden states; needs states_of (distillation)",
    )
    states_of: Annotated[str | None, IsPath()] = Field(
        default=None, description="run or checkpoint of the teacher, which then runs beside the student (with hidden)"
    )

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in OBJECTIVES:
            raise ValueError(
                f"there is no objective {value!r}; {nearest(value, OBJECTIVES) or 'there are: ' + ', '.join(OBJECTIVES)}"
            )
        return value

    @model_validator(mode="after")
    def _states(self) -> ObjectiveSettings:
        if bool(self.hidden) != bool(self.states_of):
            raise ValueError(
                "`hidden` and `states_of` go together: the weight, and the teacher whose states are matched"
            )
        if self.hidden and self.name != "distillation":
            raise ValueError("`hidden` is a part of the objective distillation")
        return self


class TuneSettings(Section):
    """Which parameters train."""

    base: Annotated[str | None, IsPath()] = Field(
        default=None, description="run, checkpoint, or hf:FOLDER to start from; from scratch when left out"
    )
    method: Literal["full", "lora", "soft-prompt", "head"] = Field(
        default="full", description="what trains: all, adapters, prompt vectors, or a new classification head alone"
    )
    rank: int = Field(default=8, ge=1, description="rank of the adapters (lora)")
    alpha: float = Field(default=16.0, gt=0, description="scale of the adapters: alpha / rank (lora)")
    targets: tuple[str, ...] = Field(
        default=(), description="names of the linear layers adapted; those of queries and values when left out (lora)"
    )
    vectors: int = Field(default=16, ge=1, description="prompt vectors (soft-prompt)")
    freeze: tuple[str, ...] = Field(
        default=(),
        description="parameters that stay as they are: parts of their dotted names, such as position_embeddings",
    )


class OptimizerSettings(Section):
    """AdamW (Loshchilov and Hutter 2019)."""

    lr: float = Field(default=6e-4, gt=0, description="highest learning rate")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="decay of the gradient's mean")
    beta2: float = Field(default=0.95, ge=0, lt=1, description="decay of the gradient's square")
    weight_decay: float = Field(default=0.1, ge=0, description="applied to matrices, not to norms and biases")
    max_norm: float = Field(default=1.0, ge=0, description="gradients of a larger norm are scaled down to it; 0: never")


class ScheduleSettings(Section):
    """The learning rate over the steps."""

    name: Literal["cosine", "wsd", "constant"] = Field(default="cosine", description="wsd: warm up, stay, decay")
    warmup: int = Field(default=100, ge=0, description="steps of linear growth from 0")
    decay: int | None = Field(
        default=None, ge=0, description="steps of the final decay (wsd); a fifth of all when left out"
    )
    min_ratio: float = Field(default=0.1, ge=0, le=1, description="rate at the end, as a share of lr")


class BatchSettings(Section):
    """Rows of one optimiser step over all processes, and how many go through the model at once on each."""

    rows: int = Field(default=32, ge=1, description="rows of one step, over all processes")
    micro_rows: int = Field(default=0, ge=0, description="rows in one pass of one process; 0: as many as a process has")


class EvaluationSettings(Section):
    """When the model is measured on data.validation."""

    every: int = Field(default=200, ge=1, description="steps between evaluations")
    rows: int = Field(default=0, ge=0, description="rows looked at; 0: all")
    patience: int = Field(
        default=0, ge=0, description="stop after this many evaluations without a better loss; 0: never"
    )


class CheckpointSettings(Section):
    """When the state is written."""

    every: int = Field(default=500, ge=1, description="steps between checkpoints; the last step always writes one")
    keep: int = Field(default=2, ge=1, description="checkpoints kept, newest first")


class RuntimeSettings(Section):
    """Where and how it runs. These settings change the result by rounding only, unless there is dropout."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 on CUDA, else float32"
    )
    compile: bool = Field(default=False, description="torch.compile the model")
    parallel: Literal["ddp", "fsdp"] = Field(
        default="ddp", description="how processes started by torchrun share the work"
    )
    log_every: int = Field(default=10, ge=1, description="steps between lines of metrics")
    tensorboard: bool = Field(default=True, description="write TensorBoard files too, where it is installed")


class TrainSettings(Section):
    """One training run."""

    output: Annotated[str, IsPath()] = Field(description="folder of checkpoints and metrics")
    seed: int = Field(default=1, ge=0, description="seed of the initial weights, the order of rows, masks and dropout")
    steps: int = Field(default=2000, ge=1, description="optimiser steps")
    data: DataSettings
    model: ModelSettings = Field(default_factory=lambda: ModelSettings())
    objective: ObjectiveSettings = Field(default_factory=lambda: ObjectiveSettings())
    tune: TuneSettings = Field(default_factory=lambda: TuneSettings())
    optimizer: OptimizerSettings = Field(default_factory=lambda: OptimizerSettings())
    schedule: ScheduleSettings = Field(default_factory=lambda: ScheduleSettings())
    batch: BatchSettings = Field(default_factory=lambda: BatchSettings())
    evaluation: EvaluationSettings = Field(default_factory=lambda: EvaluationSettings())
    checkpoint: CheckpointSettings = Field(default_factory=lambda: CheckpointSettings())
    runtime: RuntimeSettings = Field(default_factory=lambda: RuntimeSettings())
    privacy: PrivacySettings | None = Field(
        default=None, description="train with differential privacy, spending from a ledger"
    )
    resume: bool = Field(default=True, description="go on from the newest checkpoint in output, if there is one")
    allow_other_data: bool = Field(default=False, description="resume although the snapshot or tokenizer changed")
    allow_other_settings: bool = Field(
        default=False, description="resume although settings that shape the result changed"
    )

    def shaping(self) -> dict[str, Any]:
        """The settings that shape the result, without paths and without `runtime`."""
        kept = self.model_dump(
            mode="json", include={"seed", "steps", "model", "objective", "tune", "optimizer", "schedule"}
        )
        if not self.tune.freeze:  # so that the digests of other runs stay what they were
            del kept["tune"]["freeze"]
        kept["batch"] = {"rows": self.batch.rows}  # micro_rows and the number of processes change rounding only
        kept["data"] = {
            "domain": self.data.domain,
            "weights": self.data.weights,
            "length": self.data.length,
            "columns": self.data.columns,
        }
        kept["patience"] = self.evaluation.patience
        if self.objective.name != "distillation":  # so that the digests of other runs stay what they were
            for name in ("teacher", "temperature", "hard"):
                del kept["objective"][name]
        elif self.objective.teacher:
            kept["objective"]["teacher"] = Path(self.objective.teacher).name
        del kept["objective"]["states_of"]  # the run knows it by its weights
        if not self.objective.hidden:
            del kept["objective"]["hidden"]
        for name in ("chat_template", "noise", "class_weights"):
            if kept["objective"][name] in (None, 0.0, "none"):
                del kept["objective"][name]
        for path in (("objective", "templates"), ("objective", "chat_template"), ("tune", "base")):
            if kept[path[0]].get(path[1]) is not None:
                kept[path[0]][path[1]] = Path(kept[path[0]][path[1]]).name
        return kept

    def notes(self, processes: int = 1) -> list[str]:
        """Settings that are allowed but seldom meant, in sentences. processes: that share the work."""
        out = []
        if self.schedule.warmup >= self.steps > 1:
            out.append(
                f"schedule.warmup: the rate grows over {self.schedule.warmup:,} steps, and the run has {self.steps:,}: it never "
                f"reaches optimizer.lr. Set warmup to {max(1, self.steps // 10):,} or so."
            )
        pieces = self.batch.rows // processes
        if self.model.dropout and (processes > 1 or 0 < self.batch.micro_rows < pieces):
            out.append(
                "model.dropout: each pass of batch.micro_rows on each process draws its own, so another micro_rows or number of "
                "processes gives other weights, by more than rounding."
            )
        return out

    def stopped_early(self, state: Mapping[str, Any]) -> bool:
        """Whether the run of this checkpoint state stopped early because the loss did not improve."""
        return 0 < self.evaluation.patience <= state["bad"]

    def digest(self) -> str:
        """Hexadecimal digest of `shaping`: equal for runs that must give equal weights."""
        return hashlib.sha256(json.dumps(self.shaping(), sort_keys=True).encode()).hexdigest()[:32]


FILE = SettingsFile(
    TrainSettings,
    "the training run",
    "--train",
    """A training run. A line that starts with `# ` and a field shows that field's default. Paths are relative to this file.
  corpusmill train FILE                        train; again: go on from the newest checkpoint
  corpusmill train FILE --set optimizer.lr=1e-3   override a setting""",
    {"output": "runs/docs", "data": {"train": "out/docs"}, "steps": 2000},
)
"""What `corpusmill init --train` writes, and `corpusmill train` reads."""


def load(path: str | Path, overrides: Iterable[str] = ()) -> TrainSettings:
    """The settings in a train.yaml, with overrides such as "optimizer.lr=1e-3". Paths become relative to its folder.

    Raises RecipeError, which lists every mistake with its line.
    """
    return _from_folder(FILE.load(path, overrides), Path(path).parent)


def from_mapping(values: Mapping[str, Any], folder: str | Path = ".", where: str = "train") -> TrainSettings:
    """Settings from a mapping. Relative paths become relative to `folder`. Raises RecipeError, which lists every mistake."""
    try:
        settings = TrainSettings.model_validate(values)
    except ValidationError as error:
        raise RecipeError(listed(TrainSettings, error, where)) from None
    return _from_folder(settings, folder)


def _from_folder(settings: TrainSettings, folder: str | Path) -> TrainSettings:
    return with_paths(settings, lambda path: str(resolved(path, folder)))


def resolved(path: str | None, folder: str | Path) -> str | None:
    """A path, or `hf:` and one, relative to `folder`; a name behind `hf:` that is no path stays as it is."""
    if path is None or path[:3] != "hf:":
        return None if path is None else str(Path(folder) / path)
    return f"hf:{Path(folder) / path[3:]}" if (Path(folder) / path[3:]).exists() else path


def from_recipe(
    values: Mapping[str, Any], folder: str | Path, dataset: str, tokenizer: str | None = None
) -> TrainSettings:
    """Settings from a recipe's `train:` section: the data is the recipe's own output unless the section names another.

    folder: the recipe's; dataset: the output's path; tokenizer: that of the `pack` step. Without `output` the run goes
    beside the dataset, into DATASET-model.
    """
    data = {"train": str(Path(dataset).absolute())} | (
        {"tokenizer": str(Path(tokenizer).absolute())} if tokenizer else {}
    )
    filled = {
        "output": str(Path(dataset).absolute()) + "-model",
        **values,
        "data": data | dict(values.get("data") or {}),
    }
    return from_mapping(filled, folder)
