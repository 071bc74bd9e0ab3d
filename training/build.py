"""Builds data, model and objective from settings, and a model from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from corpusmill.training import checkpoint, huggingface, special_tokens
from corpusmill.training.data import Rows, Shards
from corpusmill.training.distill import OwnTeacherRows, TeacherRows, check_temperature
from corpusmill.training.finetune import head, lora
from corpusmill.training.finetune.classify import Classifier
from corpusmill.training.finetune.documents import Documents, is_documents
from corpusmill.training.finetune.packing import Packed
from corpusmill.training.finetune.soft_prompt import SoftPrompt
from corpusmill.training.model import Transformer
from corpusmill.training.objective_table import objective_class
from corpusmill.training.objectives import Objective
from corpusmill.training.settings import ModelSettings, TrainSettings
from corpusmill.training.special_tokens import SpecialTokens
from corpusmill.training.splits import Selected, note_of, split_rows
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.mix.split import TEST, TRAIN, VALIDATION


@dataclass
class Loaded:
    """A trained model and what belongs to it."""

    model: nn.Module
    vocabulary: Vocabulary
    settings: TrainSettings
    classes: list[str]
    state: dict[str, Any]
    path: Path


def vocabulary_of(settings: TrainSettings) -> Vocabulary:
    """The tokenizer that the settings name, or the one beside the shards or in the base."""
    named = settings.data.tokenizer
    places = [Path(named)] if named else [Path(settings.data.train) / "tokenizer.json"]
    base, special = settings.tune.base, None
    if base and base.startswith("hf:"):
        special = (
            special_tokens.read(base[3:]) if Path(base[3:]).is_dir() else None
        )  # a missing folder is refused later
        places += [] if named else [Path(base[3:]) / "tokenizer.json"]
    elif base:
        places += [] if named else [checkpoint.find(base) / "tokenizer.json"]
        special = SpecialTokens.of_state(checkpoint.read_state(checkpoint.find(base)))
    for place in places:
        if place.exists() or named:
            return Vocabulary(place, special)
    raise RecipeError(
        f"data.tokenizer: {places[0]} does not exist. Name the tokenizer.json that the data was tokenised with."
    )


def rows_of(
    path: str,
    settings: TrainSettings,
    vocabulary: Vocabulary,
    classes: list[str] | None = None,
    parts: Sequence[str] = (TRAIN,),
    must: bool = True,
) -> Rows:
    """Packed shards or documents; the tokenizer is checked against the shards'.

    parts, must: of rows with a column `split`, those of the first of these splits that has any; see
    `corpusmill.training.splits.split_rows`.
    """
    objective = objective_class(settings.objective.name)
    if is_documents(path):
        # private training takes documents as they are: a row of several documents could belong to several privacy units
        if not objective.documents and (settings.privacy is None or objective.taught):
            raise RecipeError(
                f"{path}: {settings.objective.name} trains on a folder of packed shards; run `pack` on these documents."
            )
        return Documents(path, settings, vocabulary, classes, parts, must)
    # the snapshot number belongs to the training data; validation data has its own numbers
    snapshot = settings.data.snapshot if path == settings.data.train else None
    shards = Shards(path, snapshot, settings.data.domain)
    if not objective.shards:
        raise RecipeError(
            f"{path}: {settings.objective.name} trains on a file of documents with columns {' and '.join(objective.columns)}, "
            "not on shards."
        )
    if shards.tokenizer_digest and shards.tokenizer_digest != vocabulary.digest:
        raise DatasetError(
            f"{path}: was tokenised with another tokenizer ({shards.tokenizer_digest[:12]}) than {vocabulary.path} "
            f"({vocabulary.digest[:12]}). Name the right one in data.tokenizer, or tokenise again."
        )
    if objective.taught and path == settings.data.train:
        return _selected(_taught(shards, settings, vocabulary), shards, parts, must)
    return _selected(shards, shards, parts, must)


def _taught(shards: Shards, settings: TrainSettings, vocabulary: Vocabulary) -> Rows:
    """The rows with what a teacher says of them."""
    temperature = settings.objective.temperature
    if not settings.objective.teacher:
        check_temperature(shards.path, shards.teacher_temperature, temperature)
        return OwnTeacherRows(shards)
    rows = TeacherRows(shards, settings.objective.teacher, vocabulary.digest)
    check_temperature(rows.folder, rows.about.get("temperature"), temperature)
    return rows


def _selected(rows: Rows, shards: Shards, parts: Sequence[str], must: bool) -> Rows:
    """The rows of a split of the shards; all of them where they are not divided."""
    found = split_rows(shards.splits, parts, shards.path, must)
    if found is None or shards.splits is None:
        return rows
    part, index = found
    copies = len(rows) // max(len(shards), 1)  # a teacher may have read each row several times
    index = (index + len(shards) * np.arange(copies)[:, None]).reshape(-1)
    return Selected(rows, index, part, note_of(shards.splits, part, shards.path))


def held_out(settings: TrainSettings, vocabulary: Vocabulary, classes: list[str] | None = None) -> Rows | None:
    """What training measures: `data.validation`, else the split `validation` of the training data, else nothing."""
    where = settings.data.validation
    if where:
        return rows_of(where, settings, vocabulary, classes, (VALIDATION, TEST), must=where == settings.data.train)
    rows = rows_of(settings.data.train, settings, vocabulary, classes, (VALIDATION,), must=False)
    return rows if getattr(rows, "part", None) == VALIDATION else None


def packed(data: Rows, model: nn.Module, settings: TrainSettings) -> Rows:
    """Documents packed into rows, if the settings and the model allow it; other rows as they are."""
    if not settings.data.pack or not isinstance(data, Documents) or not _separates_documents(model):
        return data
    return Packed(data, settings.data.length)


def _separates_documents(model: nn.Module) -> bool:
    """Whether the documents of a row stay apart in this model, with an output for each."""
    if isinstance(model, huggingface.Adapter):
        return bool(model.causal and model.packs)
    if isinstance(model, SoftPrompt):
        return bool(model.base.encoder is None)
    return isinstance(model, Transformer | Classifier)


def objective_of(settings: TrainSettings, vocabulary: Vocabulary) -> Objective:
    """The objective that the settings name, for their kind of model."""
    objective = objective_class(settings.objective.name)
    if settings.model.kind not in objective.kinds:
        raise RecipeError(
            f"objective {settings.objective.name} trains {' or '.join(objective.kinds)}; model.kind is {settings.model.kind}."
        )
    return objective.of(settings, vocabulary)


def resolve(settings: TrainSettings, vocabulary: Vocabulary, length: int) -> TrainSettings:
    """The settings with the complete shape of the model: from the base if there is one, else from tokenizer and
    data."""
    base = settings.tune.base
    if base and base.startswith("hf:"):
        return settings.model_copy(update={"model": huggingface.shape(base[3:], settings.objective.name)})
    if base:
        shape = ModelSettings.model_validate(checkpoint.read_state(checkpoint.find(base))["model"])
        dropout = settings.model.dropout
        return settings.model_copy(update={"model": shape.model_copy(update={"dropout": dropout})})
    needed = max(vocabulary.size, objective_of(settings, vocabulary).highest_id + 1)
    if objective_class(settings.objective.name).documents:
        needed = max(needed, vocabulary.end + 1)
    size = settings.model.vocabulary or needed
    if size < needed:
        raise RecipeError(
            f"model.vocabulary: {size} is below the {needed} ids that the tokenizer and the objective use."
        )
    shape = settings.model.model_copy(update={"vocabulary": size, "max_length": settings.model.max_length or length})
    return settings.model_copy(update={"model": shape})


def build(settings: TrainSettings, classes: list[str], start: bool = True) -> nn.Module:
    """The model of resolved settings, with the base's weights. Parameters that require gradients are trained.

    start: False if a checkpoint will overwrite all weights. A full fine-tune then needs no base.
    """
    tune = settings.tune
    model: Any
    if tune.base and tune.base.startswith("hf:"):
        model = huggingface.load(tune.base[3:], settings.objective.name, len(classes), settings.seed)
    else:
        needs_base = tune.base and (start or tune.method != "full" or tune.freeze)
        model = base_of(str(tune.base), settings) if needs_base else Transformer(settings.model, settings.seed)
        if objective_class(settings.objective.name).classes:
            kind = head.FrozenClassifier if tune.method == "head" else Classifier
            model = kind(model, len(classes), settings.seed)
    if tune.method == "lora":
        lora.adapt(model, tune.rank, tune.alpha, tune.targets, settings.seed)
    elif tune.method == "head":
        head.adapt(model)
    elif tune.method == "soft-prompt":
        if not isinstance(model, Transformer):
            raise RecipeError("tune.method: soft prompts train before our own language models; use lora or full here.")
        model = SoftPrompt(model, tune.vectors, settings.seed)
    freeze(model, tune.freeze)
    return model


def freeze(model: nn.Module, names: Sequence[str]) -> None:
    """Let the parameters whose dotted names hold one of `names`, as whole parts, stay as they are.

    Raises RecipeError where a name fits no parameter that trains, or nothing is left to train.
    """
    for name in names:
        found = [p for own, p in trainable(model).items() if f".{name}." in f".{own}."]
        if not found:
            known = sorted({part for own in trainable(model) for part in own.split(".") if not part.isdigit()})
            raise RecipeError(
                f"tune.freeze: no parameter that trains is named {name}; parts of their names are {', '.join(known)}."
            )
        for p in found:
            p.requires_grad_(False)
    if not trainable(model):
        raise RecipeError("tune.freeze: nothing is left to train; leave names out.")


def base_of(path: str, settings: TrainSettings) -> Transformer:
    """The Transformer of a run with merged adapters. Classifiers are refused, because they have no output layer."""
    loaded = load(path)
    model = lora.merge(loaded.model)
    if not isinstance(model, Transformer):
        raise RecipeError(f"tune.base: {path} holds a {type(model).__name__}. Start from a pretrained language model.")
    model.requires_grad_(True)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = settings.model.dropout
    return model


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trained parameters by name; shared ones appear once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def load(path: str | Path) -> Loaded:
    """The model of a run or checkpoint, in evaluation mode on the CPU.

    Raises DatasetError where there is none, or where the base of adapters has changed or gone.
    """
    folder = checkpoint.find(path)
    state = checkpoint.read_state(folder)
    settings = TrainSettings.model_validate(state["train"])
    checkpoint.verify(folder, "tokenizer.json")
    vocabulary = Vocabulary(folder / "tokenizer.json", SpecialTokens.of_state(state))
    base = settings.tune.base
    if (
        base
        and (settings.tune.method != "full" or settings.tune.freeze)
        and state["digests"]["base"] != base_digest(base)
    ):
        raise DatasetError(f"{folder}: was trained on another base than {base} holds now. Restore that base.")
    model = build(settings, state["classes"], start=False)
    fill(model, folder)
    return Loaded(model.eval(), vocabulary, settings, state["classes"], state, folder)


@torch.no_grad()
def fill(model: nn.Module, folder: Path) -> None:
    """Write a checkpoint's parameters into a model of the same shape."""
    saved = checkpoint.read_tensors(folder / "model.safetensors")
    wanted = trainable(model)
    if set(saved) != set(wanted):
        odd = sorted(set(saved) ^ set(wanted))
        raise DatasetError(
            f"{folder}: holds other parameters than the model: {', '.join(odd[:5])}. Was the base replaced?"
        )
    for name, parameter in wanted.items():
        parameter.copy_(saved[name])


def base_digest(base: str) -> str:
    """SHA-256 of the base's weights files."""
    return checkpoint.weights_digest(Path(base[3:]) if base.startswith("hf:") else checkpoint.find(base))
