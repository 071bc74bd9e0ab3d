"""A new classification head on frozen features: nothing else trains.

For private training it is the method of choice where labels are few words' worth of information: the norm of one unit's gradient is
spread over few parameters, so noise weighs little (Tramer and Boneh 2021, "Differentially private learning needs better features").
The body never changes, so what it makes of each document is computed once; a step over all documents then costs one small matrix
product, and all units can join every step, which asks for the least noise (`corpusmill.privacy.planning`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from corpusmill.training.data import Rows
from corpusmill.training.finetune.classify import Classifier
from corpusmill.training.objectives import Objective
from corpusmill.training.parallel import Parallel
from corpusmill.transforms.errors import RecipeError

BLOCK = 512
"""Rows that go through the body at once."""


class FrozenClassifier(Classifier):
    """A classifier whose body stays as it is: the head sees the mean embedding of the tokens, too.

    The last layers of a body have learned to tell the classes of its own task, and lose words that others need. Both halves are
    normalised, embeddings at twice the length (chosen on clinc150, docs/benchmarks/private.md). A feature is about 1.
    """

    parts = 2

    def tokens(self, input_ids: Tensor, segment_ids: Tensor | None, position_ids: Tensor | None) -> Tensor:
        embedded = self.base.embed(input_ids)
        return torch.cat([embedded, self.base.states(embedded, segment_ids, position_ids)], dim=-1)

    def scaled(self, means: Tensor) -> Tensor:
        words, states = (layer_norm(half, half.shape[-1:], eps=1e-9) for half in means.chunk(2, dim=-1))
        return torch.cat([2 * words, states], dim=-1) / math.sqrt(5 / 2)


def adapt(model: nn.Module) -> nn.Module:
    """Freeze all of `model` but its new head, in place. Raises RecipeError where it has none."""
    fresh: set[str] = getattr(model, "fresh", set())
    for name, p in model.named_parameters():
        p.requires_grad_(name in fresh or (isinstance(model, Classifier) and name.startswith("classes.")))
    if not any(p.requires_grad for p in model.parameters()):
        raise RecipeError(
            "tune.method: head trains a new classification head, and this model has none: set objective.name to classification, "
            "and start from a base without these classes."
        )
    return model


@torch.no_grad()
def precomputed(
    model: nn.Module, data: Rows, objective: Objective, keys: np.ndarray, parallel: Parallel
) -> dict[str, Tensor] | None:
    """`features` [N, width] and `labels` [N] of all rows; None for models whose head takes more than features (Hugging Face).

    keys: uint64 [N], of the draws of each row.
    """
    if not isinstance(model, Classifier) or any(p.requires_grad for p in model.base.parameters()):
        return None
    parts: list[dict[str, Any]] = []
    for begin in range(0, len(data), BLOCK):
        rows = np.arange(begin, min(begin + BLOCK, len(data)))
        batch = parallel.put(objective.prepare(data.rows(rows), keys[rows]))
        if batch["labels"].dim() != 1:
            return None
        parts.append(
            {"features": model.features(batch["input_ids"], batch.get("segment_ids")), "labels": batch["labels"]}
        )
    return {name: torch.cat([part[name] for part in parts]) for name in ("features", "labels")}
