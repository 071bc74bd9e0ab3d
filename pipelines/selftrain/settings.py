"""The settings of `corpusmill selftrain`, and the YAML file that holds them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from corpusmill.training.settings import DataSettings, ObjectiveSettings, TrainSettings
from corpusmill.transforms.noise.noise import Noise
from corpusmill.transforms.settings.files import SettingsFile
from corpusmill.transforms.settings.mistakes import Mistakes
from corpusmill.transforms.settings.section import IsPath, Section, with_paths


class Select(Section):
    """Which of the teacher's labels the student learns from."""

    by: Literal["rank", "threshold"] = Field(
        default="rank",
        description="rank: the most confident of each class, equally many; threshold: all from a confidence on",
    )
    share: float = Field(
        default=0.8, gt=0, le=1, description="share of the unlabelled documents taken in the first round (rank)"
    )
    growth: float = Field(default=0.2, ge=0, le=1, description="added to the share in each later round (rank)")
    min_precision: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="the confidence from which this share of held-out labels is right (threshold)",
    )
    labels: Literal["auto", "soft", "hard"] = Field(
        default="auto",
        description="soft: the student learns the teacher's shares of the classes; hard: its first choice; auto: soft where "
        "the model is linear",
    )
    evenness: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="strength of the prior of equal classes when class shares are estimated, in documents per document seen; 1000: "
        "practically equal shares",
    )
    spread: float = Field(
        default=0.9,
        ge=0,
        lt=1,
        description="weight of the labels of similar documents against the teacher's label; 0: none. Time grows with the square of "
        "shard_rows",
    )


class Linear(Section):
    """A linear classifier on words, pairs of words and runs of three characters, trained in seconds."""

    l2: float = Field(default=1e-4, ge=0, description="weight of the squared weights in the loss")
    steps: int = Field(default=40, ge=1, description="steps of L-BFGS at most")


class Gate(Section):
    """When the best student takes the first teacher's place. It is asked once, at the end."""

    level: float = Field(
        default=0.2, gt=0, lt=1, description="largest chance of keeping a student where none is better than the teacher"
    )
    min_gain: float = Field(default=0.0, ge=0, lt=1, description="least gain of held-out accuracy")


class ClassifierData(DataSettings):
    """Where a classifier's rows come from. `train` is filled in with each round's documents."""

    train: str = Field(default="", description="filled in")


class Classifier(TrainSettings):
    """The section `train`: a train.yaml without `output`, `data.train` and `objective`, which are filled in."""

    output: str = Field(default="", description="filled in")
    data: ClassifierData = ClassifierData()
    objective: ObjectiveSettings = ObjectiveSettings(name="classification")


class SelfTrain(Section):
    """What `corpusmill selftrain` reads."""

    output: Annotated[str, IsPath()] = Field(min_length=1, description="folder of rounds, models and report")
    labelled: Annotated[str, IsPath()] = Field(description="documents with columns text and label")
    held_out: Annotated[str, IsPath()] = Field(
        description="the same; decides whether a student is kept, never trained on"
    )
    unlabelled: Annotated[str, IsPath()] = Field(
        description="documents with a column text; a column label is not looked at"
    )
    test: Annotated[str | None, IsPath()] = Field(
        default=None, description="documents with labels, measured once at the end; decide nothing"
    )
    seed: int = Field(default=1, ge=0, description="of noise, order and initial weights")
    rounds: int = Field(default=6, ge=1, description="students of each line, one after the other")
    select: Select = Field(default=Select(), description="which of the teacher's labels are learnt from")
    beside: Select | None = Field(
        default=Select(labels="hard", spread=0.0, share=0.2, growth=0.2),
        description="a second line of students, which select in another way; null: none",
    )
    gate: Gate = Field(default=Gate(), description="when a student takes the first teacher's place")
    noise: Noise | None = Field(
        default=None, description="noise on the student's input, as the step `noise`; none by default"
    )
    linear: Linear = Field(default=Linear(), description="the model, where there is no section `train`")
    train: dict[str, Any] | None = Field(
        default=None, description="settings of a classifier as in train.yaml, without output, data.train and objective"
    )
    shard_rows: int = Field(
        default=10_000, ge=1, description="unlabelled documents in a shard: what a killed run may redo"
    )

    @model_validator(mode="after")
    def _learnable(self) -> SelfTrain:
        if self.train is not None and any(line.labels == "soft" for line in self.lines.values()):
            raise ValueError(
                "`select.labels: soft` needs the linear model; a Transformer of `train` learns hard labels"
            )
        for judge in ("held_out", "test"):
            for learnt in ("labelled", "unlabelled"):
                if getattr(self, judge) == getattr(self, learnt):
                    raise ValueError(
                        f"`{judge}` is the file of `{learnt}`: it would judge what has been learnt from it"
                    )
        return self

    @property
    def lines(self) -> dict[str, Select]:
        """The lines of students by the folder of their rounds."""
        return {"rounds": self.select} | ({"beside": self.beside} if self.beside else {})

    def soft(self, line: Select) -> bool:
        """Whether the students of a line learn the teacher's shares of the classes."""
        return self.train is None and line.labels != "hard"


def _check_train(settings: SelfTrain, mistakes: Mistakes) -> None:
    """Note the mistakes of the section `train`, which is kept as it was written."""
    if settings.train is not None:
        mistakes.validate(Classifier, settings.train, ("train",), "`train`")


FILE = SettingsFile(
    SelfTrain,
    "the self-training run",
    "--selftrain",
    """Self-training. A line that starts with `# ` and a field shows that field's default. Paths are relative to this file.
  corpusmill selftrain FILE      train in rounds; again: go on where it stopped""",
    {
        "output": "out/selftrain",
        "labelled": "labelled.parquet",
        "held_out": "held_out.parquet",
        "unlabelled": "unlabelled.parquet",
    },
    _check_train,
)
"""What `corpusmill init --selftrain` writes, and `corpusmill selftrain` reads."""


def load(path: str | Path, overrides: Iterable[str] = ()) -> SelfTrain:
    """The settings in a YAML file. Paths become absolute. Raises RecipeError, which lists every mistake with its line."""
    root = Path(path).resolve().parent
    return with_paths(FILE.load(path, overrides), lambda p: str(root / p))
