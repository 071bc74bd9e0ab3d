"""Text from a model: greedy, by temperature, top-k and top-p; every draw keyed by (record's key, token number).

What a record gets does not depend on its neighbours in the batch: prompts are padded on the left with a segment of their
own, and token number t of a record is drawn with draw t of the record's own stream.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.finetune.soft_prompt import SoftPrompt
from training.model import Cache, Transformer
from transforms.errors import RecipeError
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
    """New token ids for each prompt, int64 arrays that stop before `end`.

    A decoder continues the prompt; an encoder-decoder reads it and writes an answer.
    keys: uint64 [n] from `Keyed.keys`, one a record; None or temperature 0 is greedy. top_k 0: all tokens. top_p: the
    fewest most likely tokens whose probability reaches it (Holtzman et al. 2020). allowed: ids below it (and `end`) only.
    width: prompts are padded to as many tokens at least, so that the shape of a pass need not depend on the other prompts.
    """
    base = model.base if isinstance(model, SoftPrompt) else model
    if not isinstance(base, Transformer) or base.decoder is None:
        raise RecipeError(
            "only our own decoders and encoder-decoders write text here; an encoder or classifier writes none, and a Hugging "
            "Face model does with its own `generate`."
        )
    if keys is None:
        temperature = 0.0
    device = base.embedding.weight.device
    base.eval()
    cache = Cache(base.config.layers)
    memory = memory_segments = None
    ids, segments = (
        _left_padded(prompts, end, device, width)
        if base.encoder is None
        else _left_padded([np.array([end])] * len(prompts), end, device)
    )
    embedded = base.embed(ids)
    if base.encoder is not None:
        source, memory_segments = _left_padded(prompts, end, device, width)
        read = base.embed(source)
        if isinstance(model, SoftPrompt):
            read, memory_segments = _prompted(model, read, memory_segments)
        memory = base.encoder(read, memory_segments, _positions(memory_segments))
    elif isinstance(model, SoftPrompt):
        embedded, segments = _prompted(model, embedded, segments)
    positions = _positions(segments)

    out: list[list[int]] = [[] for _ in prompts]
    running = np.ones(len(prompts), bool)
    for step in range(max_tokens):
        states = base.decoder(embedded, segments, positions, memory, memory_segments, cache)
        logits = base.head(states[:, -1]).double()
        if allowed is not None:
            logits[:, allowed : end if end >= allowed else None] = -torch.inf
            logits[:, max(allowed, end + 1) :] = -torch.inf
        uniforms = None if keys is None else uniform_array(keys, step)
        chosen = choose(logits, uniforms, temperature, top_k, top_p)
        picked = chosen.cpu().numpy()
        running &= picked != end
        for i in np.flatnonzero(running):
            out[i].append(int(picked[i]))
        if not running.any():
            break
        embedded = base.embed(chosen[:, None])
        segments, positions = torch.ones_like(chosen[:, None]), positions[:, -1:] + 1
    return [np.array(row, np.int64) for row in out]


def choose(logits: Tensor, uniforms: np.ndarray | None, temperature: float, top_k: int, top_p: float) -> Tensor:
    """One id a row, int64 [B], from logits float64 [B, V] and draws in [0, 1) [B]: the inverse of the distribution function,
    taken from the most likely token down (equal ones by id)."""
    if temperature == 0 or uniforms is None:
        return logits.argmax(dim=-1)
    ordered, ids = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    if top_k:
        ordered[:, top_k:] = -torch.inf
    shares = ordered.softmax(dim=-1)
    ends = shares.cumsum(dim=-1)
    if top_p < 1:  # a token stays while those before it have not reached top_p
        shares = shares.masked_fill(ends - shares >= top_p, 0.0)
        ends = shares.cumsum(dim=-1)
    drawn = torch.from_numpy(uniforms).to(ends)[:, None] * ends[:, -1:]
    place = torch.searchsorted(ends, drawn, right=True).clamp(max=logits.shape[1] - 1)
    return ids.gather(1, place)[:, 0]


def _left_padded(rows: list[np.ndarray], fill: int, device: torch.device, width: int = 0) -> tuple[Tensor, Tensor]:
    """(ids, segments): int64 [n, T] each; segment 0 before a row's first token. An empty row is one token `fill`."""
    rows = [row if len(row) else np.array([fill]) for row in rows]
    width = max(width, *(len(row) for row in rows))
    ids, segments = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :], segments[i, width - len(row) :] = row, 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(segments).to(device)


def _positions(segments: Tensor) -> Tensor:
    """Positions that count from 0 at each row's first token."""
    return (segments.cumsum(dim=1) - 1).clamp(min=0)


def _prompted(model: SoftPrompt, embedded: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
    """Embedded tokens and segments with the soft prompt before each row's first token."""
    rows, vectors = len(embedded), model.prompt.num_embeddings
    width = embedded.shape[1]
    out = torch.cat((embedded.new_zeros(rows, vectors, embedded.shape[2]), embedded), dim=1)
    whole = torch.cat((torch.zeros_like(segments[:, :1]).expand(-1, vectors), segments), dim=1).clone()
    for i, begin in enumerate((width - segments.sum(dim=1)).tolist()):
        out[i, begin : begin + vectors] = model.prompt.weight
        whole[i, begin : begin + vectors] = 1
    return out, whole
