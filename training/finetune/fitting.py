"""Documents and pairs that are longer than a row: what is cut, what is left out, and what is said about it.

A text that was cut has no end token behind it: a model that saw one there would learn to stop in mid-sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpusmill.transforms.errors import DatasetError


@dataclass
class Fitting:
    """Makes token ids fit `length`. The rules of `mode`, for those that do not fit:

    keep-prompt  the end is cut: of a text its end, of a pair the answer's end. A pair whose prompt alone fills the row is left out
    keep-answer  the beginning of the prompt is cut. A pair whose answer alone fills the row is left out. Texts are cut at the end
    drop         they are left out
    error        DatasetError
    """

    length: int
    mode: str
    path: str
    cut: int = 0
    left_out: int = 0
    of: int = 0

    def text(self, ids: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
        """before + ids + after, at most `length` ids; the ids are cut, or None leaves the document out.

        before, after: the frame that a model's tokenizer puts around each text, such as [CLS] and [SEP]. It stays around a cut
        text, as in `transformers`.
        """
        self.of += 1
        room = self.length - len(before) - len(after)
        if len(ids) > room:
            if self._refused():
                return None
            self.cut += 1
            ids = ids[: max(room, 1)]
        return np.concatenate((before, ids, after))[: self.length]

    def ended(self, ids: np.ndarray, end: np.ndarray) -> np.ndarray | None:
        """ids + end, at most `length` ids; without the end where ids are cut."""
        self.of += 1
        if len(ids) + len(end) <= self.length:
            return np.concatenate((ids, end))
        if self._refused():
            return None
        self.cut += 1
        return ids[: self.length]

    def pair(self, prompt: np.ndarray, answer: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """(prompt, answer + end) that together have at most `length` ids; None leaves the pair out."""
        self.of += 1
        if len(prompt) + len(answer) + len(end) <= self.length:
            return prompt, np.concatenate((answer, end))
        if self._refused():
            return None
        answers = self.mode == "keep-answer"
        room = self.length - (len(answer) + len(end) if answers else len(prompt))
        if room < 1:
            self.left_out += 1
            return None
        self.cut += 1
        return (prompt[-room:], np.concatenate((answer, end))) if answers else (prompt, answer[:room])

    def both(self, prompt: np.ndarray, answer: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """(prompt, answer + end), each of at most `length` ids, for an encoder and its decoder; both are cut at their ends."""
        self.of += 1
        if max(len(prompt), len(answer) + len(end)) <= self.length:
            return prompt, np.concatenate((answer, end))
        if self._refused():
            return None
        self.cut += 1
        written = np.concatenate((answer, end)) if len(answer) + len(end) <= self.length else answer[: self.length]
        return prompt[: self.length], written

    def note(self) -> str:
        """What was cut and left out, in a sentence; empty where all fit."""
        if not self.cut and not self.left_out:
            return ""
        done = [f"{count:,} are {what}" for count, what in ((self.cut, "cut"), (self.left_out, "left out")) if count]
        return (
            f"{self.path}: of {self.of:,} documents {' and '.join(done)}, which do not fit data.length {self.length:,} "
            f"(data.truncate: {self.mode}). Raise data.length to keep them whole."
        )

    def check(self) -> None:
        """Raise DatasetError if no document is left."""
        if self.of and self.left_out == self.of:
            raise DatasetError(
                f"{self.path}: no document fits data.length {self.length:,} (data.truncate: {self.mode}). Raise data.length."
            )

    def _refused(self) -> bool:
        if self.mode == "error":
            raise DatasetError(
                f"{self.path}: document {self.of:,} does not fit data.length {self.length:,}. Raise data.length, or set "
                "data.truncate to drop, keep-prompt or keep-answer."
            )
        self.left_out += self.mode == "drop"
        return self.mode == "drop"
