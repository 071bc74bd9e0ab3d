"""Sequence classification: mean of the hidden states of a document's tokens, and one linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from corpusmill.training.model import Transformer
from corpusmill.training.objectives import IGNORE, Batch, Objective, drop_plain, label_losses

if TYPE_CHECKING:
    from corpusmill.training.settings import ModelSettings


class Classifier(nn.Module):
    """`input_ids` [B, T] to logits [B, classes]; where rows hold up to S > 1 documents, [B, S, classes], segment by segment.

    The base's output layer is taken off.
    """

    parts = 1
    """How many vectors of the model's width the head sees of a token."""

    def __init__(self, base: Transformer, classes: int, seed: int = 0) -> None:
        super().__init__()
        if base.config.kind == "encoder-decoder":
            raise ValueError("classification needs an encoder or a decoder")
        self.base = base
        setattr(base, "head", nn.Identity())  # noqa: B010
        self.classes = nn.Linear(self.parts * base.config.width, classes)
        with torch.no_grad():
            self.classes.weight.normal_(0.0, 0.02, generator=torch.Generator().manual_seed(seed))
            self.classes.bias.zero_()

    @property
    def config(self) -> ModelSettings:
        """Shape of the base."""
        return self.base.config

    def train(self, mode: bool = True) -> Classifier:
        """As nn.Module; a frozen base stays without dropout, so that a document has the same features in every step."""
        super().train(mode)
        if not any(p.requires_grad for p in self.base.parameters()):
            self.base.eval()
        return self

    def tokens(self, input_ids: Tensor, segment_ids: Tensor | None, position_ids: Tensor | None) -> Tensor:
        """What the head sees the mean of: the hidden states, [B, T, width]."""
        return self.base.states(self.base.embed(input_ids), segment_ids, position_ids)

    def scaled(self, means: Tensor) -> Tensor:
        """What the head is given of the means over documents, [..., width]."""
        return means

    def features(self, input_ids: Tensor, segment_ids: Tensor | None = None) -> Tensor:
        """What the head is given of rows of one document: [B, width]."""
        return self.scaled(_means(self.tokens(input_ids, segment_ids, None), segment_ids))

    def forward(
        self, input_ids: Tensor, segment_ids: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        states = self.tokens(input_ids, segment_ids, position_ids)
        most = 0 if segment_ids is None else int(segment_ids.max())
        if segment_ids is None or most <= 1:
            return self.classes(self.scaled(_means(states, segment_ids)))
        numbers = torch.arange(1, most + 1, device=segment_ids.device)
        member = (segment_ids[:, None, :] == numbers[None, :, None]).to(states.dtype)  # [B, S, T]
        return self.classes(self.scaled(member @ states / member.sum(dim=2, keepdim=True).clamp(min=1.0)))


def _means(states: Tensor, segment_ids: Tensor | None) -> Tensor:
    """Mean over the tokens of each row, padding left out: [B, width]."""
    if segment_ids is None:
        return states.mean(dim=1)
    weights = (segment_ids != 0).to(states.dtype)[..., None]
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


class Classification(Objective):
    """The class of a document. Loss -log p(y | x), one target a document. Rows have a column `label` int64 [B], or [B, S] where
    they hold up to S documents, and with balanced classes `weight` float32 of the same shape."""

    kinds = ("encoder", "decoder")
    documents, shards, classes = True, False, True
    columns = ("text", "label")
    transformers_class = "AutoModelForSequenceClassification"

    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        names = ("input_ids", "segment_ids", "position_ids")
        more = {"weight": rows["weight"]} if "weight" in rows else {}
        return drop_plain({n: rows[n] for n in names if n in rows}) | {"labels": rows["label"], **more}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        if "weight" not in batch:
            return super().loss(model, batch)
        labels = batch["labels"]
        return (label_losses(self.logits(model, batch), labels) * batch["weight"]).sum(), (labels != IGNORE).sum()
