"""Soft prompts (Lester et al. 2021): p vectors before the embedded input train, the model is frozen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from corpusmill.training.model import PROMPT, Transformer
from corpusmill.transforms.errors import RecipeError


class SoftPrompt(nn.Module):
    """A Transformer read after the p vectors of `prompt`; logits are those of the tokens, not of the prompt.

    A decoder's row may hold several documents: each reads the prompt, which reads none of them. What an encoder's prompt reads
    is the document, so that a row has one (segments 0 and 1), and the prompt belongs to segment 1. It starts from the
    embeddings of p tokens drawn by `seed`, which trains faster than noise (Lester et al. 2021, section 3.2).
    """

    def __init__(self, base: Transformer, vectors: int, seed: int = 0) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        tokens = torch.randint(base.embedding.num_embeddings, (vectors,), generator=torch.Generator().manual_seed(seed))
        # an embedding looked up in every row, not a bare parameter: its per-sample gradients are exact in Opacus
        self.prompt = nn.Embedding(vectors, base.config.width)
        with torch.no_grad():
            self.prompt.weight.copy_(base.embedding.weight[tokens])

    def vectors(self, rows: int) -> Tensor:
        """The prompt once for each row: [rows, p, D]."""
        ids = torch.arange(self.prompt.num_embeddings, device=self.prompt.weight.device)
        return self.prompt(ids.expand(rows, -1))

    def forward(
        self,
        input_ids: Tensor,
        segment_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        target_ids: Tensor | None = None,
        target_segment_ids: Tensor | None = None,
        target_position_ids: Tensor | None = None,
    ) -> Tensor:
        rows, vectors = len(input_ids), self.prompt.num_embeddings
        embedded = torch.cat((self.vectors(rows), self.base.embed(input_ids)), dim=1)
        if segment_ids is not None:
            if self.base.encoder is not None and int(segment_ids.max()) > 1:
                raise RecipeError(
                    "tune.method: an encoder's soft prompt reads one document a row, and rows hold several. Use lora, or full."
                )
            whose = PROMPT if self.base.encoder is None else 1
            segment_ids = torch.cat((segment_ids.new_full((rows, vectors), whose), segment_ids), dim=1)
        if position_ids is not None:
            first = torch.arange(vectors, device=position_ids.device).expand(rows, -1)
            position_ids = torch.cat((first, position_ids + vectors), dim=1)
        states = self.base.states(
            embedded, segment_ids, position_ids, target_ids, target_segment_ids, target_position_ids
        )
        return self.base.head(states if target_ids is not None else states[:, vectors:])
