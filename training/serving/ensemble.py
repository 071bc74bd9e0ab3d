"""Several models as one teacher: the mean of their probabilities, as trained on the same data with other seeds.

    ensemble:runs/a,runs/b,runs/c

An ensemble is better than each of its members, and a student can take most of that over (Hinton et al. 2015; Kim et al. 2025 for
language models under a data limit).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from corpusmill.training.serving.local_model import LocalModel
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.model import Request, digest_of, members_of, open_model

if TYPE_CHECKING:
    from torch import Tensor


class Ensemble:
    """Local models of one vocabulary. Implements `corpusmill.transforms.generate.model.Model`.

    Raises:
        RecipeError: a member is no local model, or reads another tokenizer, or has other classes.
    """

    def __init__(self, spec: str) -> None:
        members: list[Any] = [open_model(member) for member in members_of(spec)]
        self.spec, self.digest = spec, digest(spec)
        for member in members:
            if not isinstance(member, LocalModel):
                raise RecipeError(
                    f"{spec}: its members must be models of this machine: runs, checkpoints or hf:FOLDER."
                )
            if (member.vocabulary.digest, member.classes) != (members[0].vocabulary.digest, members[0].classes):
                raise RecipeError(
                    f"{spec}: {member.spec} reads another tokenizer or has other classes than {members[0].spec}."
                )
        self.members: list[LocalModel] = members
        self.vocabulary, self.classes, self.rows = members[0].vocabulary, members[0].classes, members[0].rows

    @property
    def is_causal(self) -> bool:
        """Whether each token is told from those before it alone."""
        return all(member.is_causal for member in self.members)

    def complete(self, requests: Sequence[Request]) -> list[str]:
        """Refused: an ensemble is a teacher."""
        raise RecipeError(f"{self.spec}: an ensemble writes no text. Name one of its members, or a student of it.")

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        """Logarithms of the mean probabilities, float64 [n, classes]."""
        logits = np.stack([member.classify(texts) for member in self.members])
        each = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        return np.logaddexp.reduce(each, axis=0) - math.log(len(self.members))

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Refused: the likelihood of a text under an ensemble needs the members' probabilities of each token."""
        raise RecipeError(f"{self.spec}: an ensemble scores no text. Name one of its members, or a student of it.")

    def teach(
        self, batch: dict[str, np.ndarray], kind: Any, size: int, temperature: float, seed: int
    ) -> dict[str, np.ndarray]:
        """What the members say of each next token together: see `corpusmill.training.serving.teach.columns`."""
        from corpusmill.training.serving.teach import columns_of_rows

        return columns_of_rows(self, batch, kind, size, temperature, seed)

    def log_probabilities(self, inputs: dict[str, np.ndarray], temperature: float) -> Tensor:
        """log of the mean of the members' probabilities, float32 [n, T, V]."""
        import torch

        parts = [member.log_probabilities(inputs, temperature) for member in self.members]
        return torch.logsumexp(torch.stack(parts), dim=0) - math.log(len(parts))


def open_ensemble(spec: str) -> Ensemble:
    """The opener of `ensemble:`."""
    return Ensemble(spec)


def digest(spec: str) -> str:
    """Hexadecimal digest of the members' digests, in their order."""
    members = [digest_of(member) for member in members_of(spec)]
    return hashlib.sha256(json.dumps(members).encode()).hexdigest()[:32]


open_ensemble.digest = digest  # type: ignore[attr-defined]
