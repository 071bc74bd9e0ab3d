"""Sequence classification: mean of the hidden states of a document's tokens, and one linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from corpusmill.training.model import Transformer
from corpusmill.training.objectives import Batch, Objective, drop_plain

if TYPE_CHECKING:
    from corpusmill.training.settings import ModelSettings


class Classifier(nn.Module):
    """`input_ids` [B, T], one document a row, to logits [B, classes]. The base's output layer is taken off."""

    def __init__(self, base: Transformer, classes: int, seed: int = 0) -> None:
        super().__init__()
        if base.config.kind == "encoder-decoder":
            raise ValueError("classification needs an encoder or a decoder")
        self.base = base
        setattr(base, "head", nn.Identity())  # noqa: B010
        self.classes = nn.Linear(base.config.width, classes)
        with torch.no_grad():
            self.classes.weight.normal_(0.0, 0.02, generator=torch.Generator().manual_seed(seed))
            self.classes.bias.zero_()

    @property
    def config(self) -> ModelSettings:
        """Shape of the base."""
        return self.base.config

    def forward(
        self, input_ids: Tensor, segment_ids: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        states = self.base.states(self.base.embed(input_ids), segment_ids, position_ids)
        if segment_ids is None:
            return self.classes(states.mean(dim=1))
        weights = (segment_ids != 0).to(states.dtype)[..., None]
        return self.classes((states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0))


class Classification(Objective):
    """The class of a document. Loss -log p(y | x), one target a row. Rows have a column `label` int64 [B]."""

    kinds = ("encoder", "decoder")
    documents, shards, classes = True, False, True
    columns = ("text", "label")
    transformers_class = "AutoModelForSequenceClassification"

    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        return drop_plain({n: rows[n] for n in ("input_ids", "segment_ids")}) | {"labels": rows["label"]}
