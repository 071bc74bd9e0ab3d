"""Conversations: a column `messages` of {role, content}, rendered by the chat template of the model, with the loss on what the
assistant writes.

The mask is exact. A template that marks the assistant's text by `{% generation %}` says itself what is a target. For any other,
the conversation is rendered up to each turn of the assistant, once with a mark in place of its text: this shows where the text
begins. A template that writes earlier turns in another way than the last one (some leave out what the model thought) has no
such place and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.training import special_tokens
from corpusmill.training.settings import TrainSettings
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError, RecipeError

_MARK = "<corpusmill: the answer>"
_MARKED = re.compile(r"\{%-?\s*generation\b")


@dataclass
class Conversation:
    """Token ids int64 [n], and 1 for each that the assistant writes."""

    ids: np.ndarray
    mask: np.ndarray


class Chat:
    """The chat template of a model and its tokenizer.

    folder: of the Hugging Face model, or None for a model of ours. template: path of a Jinja file, instead of the folder's.

    Raises:
        RecipeError: there is no template.
        DatasetError: the template or the tokenizer cannot be read.
    """

    def __init__(self, vocabulary: Vocabulary, folder: str | None, template: str | None) -> None:
        self.ends = vocabulary.special.ends
        self.tokenizer = special_tokens.tokenizer_of(folder or Path(vocabulary.path).parent)
        self.name = template or f"{folder}/tokenizer_config.json"
        try:
            text = Path(template).read_text(encoding="utf-8") if template else self.tokenizer.chat_template
        except OSError as error:
            raise RecipeError(f"objective.chat_template: {template} cannot be read ({error.strerror}).") from error
        if not text:
            raise RecipeError(
                "objective: conversations (`messages`) need a chat template, and the model has none. Name a Jinja file in "
                "objective.chat_template."
            )
        self.template = str(text)
        self.special = sorted(vocabulary.tokenizer.special, key=len, reverse=True)

    def forged(self, messages: Sequence[dict[str, Any]]) -> bool:
        """Whether a message writes a special token as text, which would end the turn there."""
        return any(token in str(m["content"]) for m in messages for token in self.special)

    def render(self, messages: Sequence[dict[str, Any]]) -> str:
        """The text of the messages, as the model reads them."""
        try:
            return str(self.tokenizer.apply_chat_template(list(messages), chat_template=self.template, tokenize=False))
        except Exception as error:  # Jinja's errors, and those that a template raises
            raise DatasetError(f"{self.name}: the chat template cannot render a conversation ({error}).") from error

    def prompt(self, messages: Sequence[dict[str, Any]]) -> np.ndarray:
        """Token ids of the messages and of what the template writes before the assistant's answer: int64 [n]."""
        text = self.render([*messages, {"role": "assistant", "content": _MARK}])
        return np.array(self.tokenizer(text[: text.index(_MARK)], add_special_tokens=False)["input_ids"], np.int64)

    def encode(self, messages: Sequence[dict[str, Any]]) -> Conversation:
        """The tokens of a conversation and its targets.

        Raises:
            DatasetError: the template does not tell what the assistant writes.
        """
        if _MARKED.search(self.template):
            both = self.tokenizer.apply_chat_template(
                list(messages), chat_template=self.template, return_dict=True, return_assistant_tokens_mask=True
            )
            return Conversation(np.array(both["input_ids"], np.int64), np.array(both["assistant_masks"], np.int64))
        text = self.render(messages)
        coded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = np.array(coded["input_ids"], np.int64)
        places = np.array(coded["offset_mapping"], np.int64).reshape(-1, 2)
        mask = np.zeros(len(ids), np.int64)
        for i, message in enumerate(messages):
            if message["role"] == "assistant":
                begin, end = self._span(messages[: i + 1], text)
                inside = (places[:, 0] >= begin) & (places[:, 1] <= end)
                over = (places[:, 0] < begin) & (places[:, 1] > begin)
                if over.any():
                    raise self._refused("a token reaches from the frame into the answer")
                last = np.flatnonzero(inside & np.isin(ids, self.ends))
                mask[inside & (np.arange(len(ids)) <= (last[-1] if len(last) else len(ids)))] = 1
        return Conversation(ids, mask)

    def _span(self, messages: Sequence[dict[str, Any]], text: str) -> tuple[int, int]:
        """Where the last message's text begins in `text`, and where its turn ends."""
        whole = self.render(messages)
        marked = self.render([*messages[:-1], {**messages[-1], "content": _MARK}])
        begin = marked.find(_MARK)
        if begin < 0 or not text.startswith(whole) or marked[:begin] != whole[:begin]:
            raise self._refused("it writes earlier turns in another way than the last one")
        return begin, len(whole)

    def _refused(self, why: str) -> DatasetError:
        return DatasetError(
            f"{self.name}: the chat template does not tell what the assistant writes: {why}. Mark it by {{% generation %}} in a "
            "template of your own, and name that in objective.chat_template."
        )


def chat_of(settings: TrainSettings, vocabulary: Vocabulary) -> Chat:
    """The chat template that the settings name, or that of their base."""
    base = settings.tune.base or ""
    return Chat(vocabulary, base[3:] if base.startswith("hf:") else None, settings.objective.chat_template)


def messages_of(row: Any, path: str, number: int) -> list[dict[str, Any]]:
    """The messages of one row, checked.

    Raises:
        DatasetError: they are no conversation that an assistant takes part in.
    """
    where = f"{path}: row {number:,}"
    if not isinstance(row, list) or not row:
        raise DatasetError(f"{where}: `messages` is no list of messages. Remove the row.")
    out = []
    for message in row:
        kind = message if isinstance(message, dict) else {}
        role, content = kind.get("role"), kind.get("content")
        if not isinstance(role, str) or not isinstance(content, str):
            raise DatasetError(f"{where}: a message needs `role` and `content`, both text. Mend or remove the row.")
        out.append({"role": role, "content": content})
    if not any(m["role"] == "assistant" for m in out):
        raise DatasetError(f"{where}: no message is of the assistant, so nothing can be learned. Remove the row.")
    return out
