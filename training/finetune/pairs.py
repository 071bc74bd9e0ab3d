"""Rows of prompts and answers: from two columns, from prompt templates, or from conversations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from corpusmill.training.finetune import templates
from corpusmill.training.finetune.chat import chat_of, messages_of
from corpusmill.training.finetune.fitting import Fitting
from corpusmill.training.finetune.texts import texts_of
from corpusmill.training.objective_table import objective_class
from corpusmill.training.settings import TrainSettings
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.document import text_ids
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.random import Keyed

Columns = dict[str, list[np.ndarray]]


def rows_of(
    table: pa.Table, path: str, settings: TrainSettings, vocabulary: Vocabulary, fitting: Fitting
) -> tuple[Columns, list[int], str]:
    """(columns of rows, numbers of the documents that they are of, a note on what was left out or empty)."""
    if is_chat(table, settings):
        return _conversations(table, path, settings, vocabulary, fitting)
    if vocabulary.end >= vocabulary.size and (settings.tune.base or "").startswith("hf:"):
        raise DatasetError(
            f"{settings.tune.base}: names no end token, so an answer could not be closed. Add eos_token to its "
            "tokenizer_config.json, or eos_token_id to its config.json."
        )
    prompts, answers = _texts(table, path, settings)
    asked, written = vocabulary.encode(prompts), vocabulary.encode(answers)
    special = vocabulary.special
    before, end = np.array(special.before, np.int64), np.array([vocabulary.end], np.int64)
    reads = settings.model.kind == "encoder-decoder"
    columns: Columns = {name: [] for name in ("input_ids", "target_ids" if reads else "loss_mask")}
    kept = []
    # an encoder reads what its tokenizer makes of a text; ours reads the text and the end
    after = np.array(special.after if vocabulary.named else [vocabulary.end], np.int64)
    opened = before if vocabulary.named else before[:0]  # BART's answers begin as its texts do
    for i, (x, y) in enumerate(zip(asked, written)):
        if reads:
            both = fitting.both(np.concatenate((before, x, after)), np.concatenate((opened, y)), end)
        else:
            both = fitting.pair(np.concatenate((before, x)), y, end)
        if both is None:
            continue
        kept.append(i)
        if reads:
            columns["input_ids"].append(both[0])
            columns["target_ids"].append(both[1])
        else:
            columns["input_ids"].append(np.concatenate(both))
            columns["loss_mask"].append(np.repeat(np.array([0, 1], np.int64), [len(both[0]), len(both[1])]))
    return columns, kept, ""


def is_chat(table: pa.Table, settings: TrainSettings) -> bool:
    """Whether the documents are conversations."""
    columns = objective_class(settings.objective.name).columns
    return not columns and "messages" in table.column_names and settings.objective.templates is None


def _conversations(
    table: pa.Table, path: str, settings: TrainSettings, vocabulary: Vocabulary, fitting: Fitting
) -> tuple[Columns, list[int], str]:
    chat = chat_of(settings, vocabulary)
    columns: Columns = {"input_ids": [], "loss_mask": []}
    kept, forged = [], 0
    for i, row in enumerate(table.column("messages").to_pylist()):
        messages = messages_of(row, path, i + 1)
        if chat.forged(messages):
            forged += 1
            continue
        one = chat.encode(messages)
        ids = fitting.ended(one.ids, np.empty(0, np.int64))
        if ids is None:
            continue
        mask = one.mask[: len(ids)]
        if not mask.any():  # the first answer begins behind the cut
            fitting.cut, fitting.left_out = fitting.cut - 1, fitting.left_out + 1
            continue
        kept.append(i)
        columns["input_ids"].append(ids)
        columns["loss_mask"].append(mask)
    note = (
        f"{path}: {forged:,} conversations are left out, because a message holds a special token as text."
        if forged
        else ""
    )
    return columns, kept, note


def _texts(table: pa.Table, path: str, settings: TrainSettings) -> tuple[list[str], list[str]]:
    """(prompts, answers) of the documents."""
    columns = objective_class(settings.objective.name).columns
    if columns:
        prompts, answers = (texts_of(table, name, path) for name in columns)
        return prompts, answers
    kinds = templates.load(settings.objective.templates)
    rng = Keyed(settings.seed, "templates")
    if "id" not in table.column_names:
        texts = pa.array([str(row) for row in table.to_pylist()])
        table = table.append_column("id", text_ids(Path(path).name, texts))
    pairs = [templates.render(kinds, row, rng) for row in table.to_pylist()]
    return [prompt for prompt, _ in pairs], [answer for _, answer in pairs]
