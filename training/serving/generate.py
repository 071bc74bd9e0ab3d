"""Text from a model: greedy, by temperature, top-k and top-p; every draw keyed by (record's key, token number).

What a record gets does not depend on its neighbours in the batch: prompts are padded on the left with a segment of their
own, and token number t of a record is drawn with draw t of the record's own stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from corpusmill.training.data import pad
from corpusmill.training.finetune.soft_prompt import SoftPrompt
from corpusmill.training.huggingface import Adapter, first_position
from corpusmill.training.model import Cache, Transformer
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.progress import Meter, Tell
from corpusmill.transforms.random import uniform_array

Advance = Callable[[Tensor | None], Tensor]
"""Logits [B, V] of each record's next token. It is called with None first, then with the tokens int64 [B] that were taken."""


@torch.no_grad()
def generate(
    model: nn.Module,
    prompts: list[np.ndarray],
    max_tokens: int,
    ends: Sequence[int],
    keys: np.ndarray | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    allowed: int | None = None,
    width: int = 0,
    start: int | None = None,
    tell: Tell | None = None,
) -> list[np.ndarray]:
    """New token ids for each prompt, int64 arrays that stop before the first of `ends`.

    A decoder continues the prompt; an encoder-decoder reads it and writes an answer, which begins behind `start` (the first of
    `ends` when left out). (transformers' own `generate` draws from one generator for the whole batch.)
    keys: uint64 [n] from `Keyed.keys`, one a record; None or temperature 0 is greedy. top_k 0: all tokens. top_p: the
    fewest most likely tokens whose probability reaches it (Holtzman et al. 2020). allowed: ids below it (and `ends`) only.
    width: prompts are padded to as many tokens at least, so that the shape of a pass need not depend on the other prompts.
    tell: takes reports of progress.

    Raises:
        RecipeError: the model writes no text.
    """
    model.eval()
    advance = _opened(model, prompts, ends[0] if start is None else start, width)
    closing = list(ends)
    out: list[list[int]] = [[] for _ in prompts]
    running = np.ones(len(prompts), bool)
    chosen = None
    with Meter(tell, "generate", len(prompts), "text", max_tokens) as meter:
        for step in range(max_tokens):
            logits = advance(chosen).double()
            if allowed is not None:
                kept = logits[:, [i for i in closing if i >= allowed]]
                logits[:, allowed:] = -torch.inf
                logits[:, [i for i in closing if i >= allowed]] = kept
            uniforms = None if keys is None else uniform_array(keys, step)
            chosen = choose(logits, uniforms, temperature, top_k, top_p)
            picked = chosen.cpu().numpy()
            ended = running & np.isin(picked, closing)
            running &= ~ended
            for i in np.flatnonzero(running):
                out[i].append(int(picked[i]))
            meter.add(int(ended.sum()), tokens=int(running.sum()), work=1)
            if not running.any():
                break
        meter.add(int(running.sum()))
    return [np.array(row, np.int64) for row in out]


def _opened(model: nn.Module, prompts: list[np.ndarray], start: int, width: int) -> Advance:
    """The model when it has read the prompts. start: what a decoder reads first, and what fills rows."""
    device = next(model.parameters()).device
    base = model.base if isinstance(model, SoftPrompt) else model
    if isinstance(base, Adapter) and base.causal:
        return _theirs(base.model, *_left_padded(prompts, start, device, width))
    if isinstance(base, Adapter) and base.writes:
        return _their_pair(base.model, prompts, start, device, width)
    decoder = base.decoder if isinstance(base, Transformer) else None
    if isinstance(base, Transformer) and decoder is not None:
        soft = model if isinstance(model, SoftPrompt) else None
        ids, segments = _left_padded(prompts, start, device, width)
        encoder = base.encoder
        if encoder is None:
            return _ours(base, decoder, *_embedded(base, soft, ids, segments))
        read, seen = _embedded(base, soft, ids, segments)
        ids, segments = _left_padded([np.array([start])] * len(prompts), start, device)
        return _ours(base, decoder, base.embed(ids), segments, encoder(read, seen, _positions(seen)), seen)
    raise RecipeError("decoders and encoder-decoders write text; an encoder or classifier writes none.")


def _ours(
    base: Transformer,
    decoder: nn.Module,
    embedded: Tensor,
    segments: Tensor,
    memory: Tensor | None = None,
    seen: Tensor | None = None,
) -> Advance:
    """A decoder before its first token: embedded [B, T, D] and segments [B, T] of the prompts, and what an encoder read."""
    cache = Cache(base.config.layers)
    positions = _positions(segments)

    def advance(chosen: Tensor | None) -> Tensor:
        nonlocal embedded, segments, positions
        if chosen is not None:
            embedded = base.embed(chosen[:, None])
            segments, positions = torch.ones_like(chosen[:, None]), positions[:, -1:] + 1
        states = decoder(embedded, segments, positions, memory, seen, cache)
        return base.head(states[:, -1])

    return advance


def _theirs(model: nn.Module, ids: Tensor, mask: Tensor) -> Advance:
    """A causal model of `transformers` before its first token; the mask and the positions say where each prompt begins."""
    positions, past = _positions(mask) + first_position(model), None

    def advance(chosen: Tensor | None) -> Tensor:
        nonlocal ids, mask, positions, past
        if chosen is not None:
            ids, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat((mask, torch.ones_like(ids)), dim=1)
        answer = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True)
        past = answer.past_key_values
        return answer.logits[:, -1]

    return advance


def _their_pair(model: nn.Module, prompts: list[np.ndarray], start: int, device: torch.device, width: int) -> Advance:
    """An encoder-decoder of `transformers` before its first token: the encoder reads each prompt once."""
    read = pad(prompts, multiple=max(1, width))
    ids = torch.from_numpy(read).to(device)
    mask = torch.from_numpy(pad([np.ones(len(p), np.int64) for p in prompts], multiple=max(1, width))).to(device)
    encoded = model.get_encoder()(input_ids=ids, attention_mask=mask)  # type: ignore[operator]
    past = None

    def advance(chosen: Tensor | None) -> Tensor:
        nonlocal past
        taken = ids.new_full((len(prompts), 1), start) if chosen is None else chosen[:, None]
        answer = model(
            encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=taken, past_key_values=past, use_cache=True
        )
        past = answer.past_key_values
        return answer.logits[:, -1]

    return advance


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


def _embedded(base: Transformer, soft: SoftPrompt | None, ids: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
    """Embedded tokens and segments, with the soft prompt before each row's first token."""
    embedded = base.embed(ids)
    if soft is None:
        return embedded, segments
    rows, vectors = len(embedded), soft.prompt.num_embeddings
    width = embedded.shape[1]
    out = torch.cat((embedded.new_zeros(rows, vectors, embedded.shape[2]), embedded), dim=1)
    out_segments = torch.cat((torch.zeros_like(segments[:, :1]).expand(-1, vectors), segments), dim=1).clone()
    for i, begin in enumerate((width - segments.sum(dim=1)).tolist()):
        out[i, begin : begin + vectors] = soft.prompt.weight
        out_segments[i, begin : begin + vectors] = 1
    return out, out_segments
