"""Prompts as a model read them in training: with the special tokens around them, and the end token behind what ours encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpusmill.training.objective_table import objective_class

if TYPE_CHECKING:
    from corpusmill.training.vocabulary import Vocabulary


def encode(vocabulary: Vocabulary, texts: list[str], kind: str, task: str) -> list[np.ndarray]:
    """Token ids of each prompt: int64 arrays.

    A decoder reads what its tokenizer puts before a text. An encoder of Hugging Face reads the text in its frame. An encoder of
    ours that was tuned on pairs reads the text and the end token, and one that was only pretrained the text alone.

    kind: of the model. task: the objective that it was trained by.
    """
    if kind != "encoder-decoder":
        return vocabulary.prompts(texts)
    if vocabulary.named:
        return vocabulary.read(texts)
    rows = vocabulary.encode(texts)
    return [np.append(row, vocabulary.end) for row in rows] if objective_class(task).pairs else rows


def shortened(vocabulary: Vocabulary, ids: np.ndarray, room: int) -> np.ndarray:
    """A prompt of at most `room` tokens: its last ones, behind the tokens that its model begins with."""
    if len(ids) <= room:
        return ids
    before = np.array(vocabulary.special.before, np.int64)
    return np.concatenate((before, ids[len(ids) - (room - len(before)) :])) if len(before) < room else ids[-room:]
