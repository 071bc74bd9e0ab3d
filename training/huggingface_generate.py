"""Text from a causal model of `transformers`, token by token, with draws keyed by record as in `training.generate`."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from training.generate import choose
from transforms.random import uniform_array


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: list[np.ndarray],
    max_tokens: int,
    end: int,
    keys: np.ndarray | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    allowed: int | None = None,
    width: int = 0,
) -> list[np.ndarray]:
    """New token ids for each prompt, int64 arrays that stop before `end`; arguments as `training.generate.generate`.

    transformers' own `generate` draws from one generator for the whole batch, so a record's text would depend on its
    neighbours. Prompts are padded on the left; the mask and the positions say where each begins.
    """
    model.eval()
    device = next(model.parameters()).device
    rows = [row if len(row) else np.array([end]) for row in prompts]
    size = max(width, *(len(row) for row in rows))
    ids, mask = np.zeros((2, len(rows), size), np.int64)
    for i, row in enumerate(rows):
        ids[i, size - len(row) :], mask[i, size - len(row) :] = row, 1
    read, seen = torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
    positions = (seen.cumsum(dim=1) - 1).clamp(min=0)
    past = None
    out: list[list[int]] = [[] for _ in rows]
    running = np.ones(len(rows), bool)
    for step in range(max_tokens):
        answer = model(
            input_ids=read, attention_mask=seen, position_ids=positions, past_key_values=past, use_cache=True
        )
        past = answer.past_key_values
        logits = answer.logits[:, -1].double()
        if allowed is not None:
            logits[:, allowed : end if end >= allowed else None] = -torch.inf
            logits[:, max(allowed, end + 1) :] = -torch.inf
        chosen = choose(logits, None if keys is None else uniform_array(keys, step), temperature, top_k, top_p)
        picked = chosen.cpu().numpy()
        running &= picked != end
        for i in np.flatnonzero(running).tolist():
            out[i].append(int(picked[i]))
        if not running.any():
            break
        read, positions = chosen[:, None], positions[:, -1:] + 1
        seen = torch.cat((seen, seen.new_ones(len(rows), 1)), dim=1)
    return [np.array(row, np.int64) for row in out]
