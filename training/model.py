"""One Transformer for decoders, encoders and encoder-decoders (Vaswani et al. 2017; parts as in Llama, Touvron et al. 2023).

Pre-norm blocks with RMSNorm, rotary positions (Su et al. 2021) and a gated feed-forward layer (Shazeer 2020). Packed rows
hold several documents: `segment_ids` says which token belongs to which, and no token attends to another document.

Every layer is one whose per-sample gradients are exact under differential privacy: plain Linear, Embedding and RMSNorm,
functional attention, positions given for each row of the batch. Tied weights are the exception, and off by default.

Shapes: B rows, T tokens, D width, H heads, V vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpusmill.training.settings import ModelSettings

Rotation = tuple[Tensor, Tensor]
PROMPT = -1
"""Segment of a prompt that every document of a row reads."""


def rotation(position_ids: Tensor, width: int, base: float) -> Rotation:
    """(cos, sin) of p / base^(2i / width) for position p and pair i: each float32 [B, 1, T, width / 2]."""
    frequencies = base ** (-torch.arange(0, width, 2, device=position_ids.device, dtype=torch.float32) / width)
    angles = position_ids[:, None, :, None].float() * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, by: Rotation) -> Tensor:
    """`x` [B, H, T, D / H] with the pair (x[i], x[i + half]) turned by its angle, in the type of `x`."""
    cos, sin = by
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)


def attention_mask(queries: Tensor, keys: Tensor, causal: bool) -> Tensor:
    """bool [B, 1, Tq, Tk]: True where query and key are of one document and, if `causal`, the key is not later.

    Padding is a document of its own (segment 0), so that no row of the mask is empty where queries and keys are the
    same tokens. A decoder's token without any key in the encoder (padding) sees all of them: its loss is not counted.
    Keys of the segment PROMPT are seen from every document.
    """
    mask = (queries[:, None, :, None] == keys[:, None, None, :]) | (keys == PROMPT)[:, None, None, :]
    if causal:
        t, s = queries.shape[1], keys.shape[1]  # with a cache the queries are the last t of the s keys
        return mask & torch.ones(t, s, dtype=torch.bool, device=mask.device).tril(s - t)
    return mask | ~mask.any(dim=-1, keepdim=True)


class Cache:
    """Keys and values of earlier tokens, for generation: one pair [B, H, T, D / H] a layer, and the tokens' segments."""

    def __init__(self, layers: int) -> None:
        self.pairs: list[tuple[Tensor, Tensor] | None] = [None] * layers
        self.segment_ids: Tensor | None = None

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values of `layer` so far, with these appended."""
        old = self.pairs[layer]
        pair = (key, value) if old is None else (torch.cat((old[0], key), 2), torch.cat((old[1], value), 2))
        self.pairs[layer] = pair
        return pair


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, section 3.2).

        head_h = softmax(Q_h K_h^T / sqrt(D / H) + M) V_h,   Q = x W_q,  K = m W_k,  V = m W_v
        output = [head_1 ... head_H] W_o

    x [B, Tq, D] asks, m [B, Tk, D] answers (m = x for self-attention, where Q and K are rotated by their positions);
    M [B, 1, Tq, Tk] is 0 where the mask is True and minus infinity elsewhere; the output is [B, Tq, D].
    """

    def __init__(self, config: ModelSettings, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = config.heads, causal
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key = nn.Linear(config.width, config.width, bias=False)
        self.value = nn.Linear(config.width, config.width, bias=False)
        self.output = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        mask: Tensor | None,
        turn: Rotation | None = None,
        cache: Cache | None = None,
        layer: int = 0,
    ) -> Tensor:
        def split(y: Tensor) -> Tensor:  # [B, T, D] -> [B, H, T, D / H]
            return y.view(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(memory)), split(self.value(memory))
        if turn is not None:
            query, key = rotate(query, turn), rotate(key, turn)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        # without a mask every row is one whole document, and the kernel needs none either
        mixed = functional.scaled_dot_product_attention(query, key, value, mask, is_causal=self.causal and mask is None)
        return self.output(mixed.transpose(1, 2).reshape(x.shape))


class FeedForward(nn.Module):
    """(silu(x W_gate) * x W_up) W_down (Shazeer 2020): [B, T, D] to [B, T, D]."""

    def __init__(self, config: ModelSettings) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.feed_forward, bias=False)
        self.up = nn.Linear(config.width, config.feed_forward, bias=False)
        self.down = nn.Linear(config.feed_forward, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """x + attention(norm(x)), with `cross` also x + attention(norm(x), memory), then x + feed_forward(norm(x))."""

    def __init__(self, config: ModelSettings, causal: bool, cross: bool) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.attention = Attention(config, causal)
        self.cross = Attention(config, causal=False) if cross else None
        self.cross_norm = nn.RMSNorm(config.width, eps=config.norm_eps) if cross else None
        self.feed_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.feed = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        turn: Rotation,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        cache: Cache | None = None,
        layer: int = 0,
    ) -> Tensor:
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, y, mask, turn, cache, layer))
        if self.cross is not None and self.cross_norm is not None and memory is not None:
            x = x + self.dropout(self.cross(self.cross_norm(x), memory, memory_mask))
        return x + self.dropout(self.feed(self.feed_norm(x)))


class Stack(nn.Module):
    """A column of blocks and a last norm: embedded tokens [B, T, D] to hidden states [B, T, D]."""

    def __init__(self, config: ModelSettings, causal: bool, cross: bool = False) -> None:
        super().__init__()
        self.config, self.causal = config, causal
        self.blocks = nn.ModuleList(Block(config, causal, cross) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=config.norm_eps)

    def forward(
        self,
        x: Tensor,
        segment_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        memory: Tensor | None = None,
        memory_segment_ids: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        if position_ids is None:  # one row of positions a row of the batch: a broadcast one breaks per-sample gradients
            position_ids = torch.arange(x.shape[1], device=x.device).expand(x.shape[0], -1)
        turn = rotation(position_ids, self.config.width // self.config.heads, self.config.rope_base)
        mask = memory_mask = None
        keys = segment_ids
        if cache is not None and segment_ids is not None:
            keys = segment_ids if cache.segment_ids is None else torch.cat((cache.segment_ids, segment_ids), 1)
            cache.segment_ids = keys
        if segment_ids is not None and keys is not None:
            mask = attention_mask(segment_ids, keys, self.causal)
        if memory_segment_ids is not None:
            asking = torch.ones_like(position_ids) if segment_ids is None else segment_ids
            memory_mask = attention_mask(asking, memory_segment_ids, causal=False)
        for layer, block in enumerate(self.blocks):
            x = block(x, mask, turn, memory, memory_mask, cache, layer)
        return self.norm(x)


class Transformer(nn.Module):
    """Token ids to logits.

    decoder, encoder: `input_ids` int64 [B, T] -> float [B, T, V]; the decoder's logits at t are of the token at t + 1,
    the encoder's of the token at t.
    encoder-decoder: `input_ids` are read by the encoder, `target_ids` [B, U] by the decoder -> [B, U, V].
    `segment_ids` None: each row is one document without padding. `position_ids` None: 0, 1, 2, ...
    """

    def __init__(self, config: ModelSettings, seed: int = 0) -> None:
        super().__init__()
        if config.vocabulary is None:
            raise ValueError("ModelSettings.vocabulary is needed to build a model")
        self.config = config
        both = config.kind == "encoder-decoder"
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.encoder = Stack(config, causal=False) if both or config.kind == "encoder" else None
        self.decoder = Stack(config, causal=True, cross=both) if both or config.kind == "decoder" else None
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        if config.tie:
            self.head.weight = self.embedding.weight
        self.initialise(seed)

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Normal with deviation 0.02; layers that write into the residual stream 0.02 / sqrt(2 layers) (Radford et al. 2019)."""
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                parameter.fill_(1.0)  # the norms' scales
                continue
            writes = name.endswith(("output.weight", "down.weight"))
            parameter.normal_(0.0, 0.02 / math.sqrt(2 * self.config.layers) if writes else 0.02, generator=generator)

    def embed(self, input_ids: Tensor) -> Tensor:
        """int64 [B, T] to float [B, T, D]."""
        return self.embedding(input_ids)

    def states(
        self,
        embedded: Tensor,
        segment_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        target_ids: Tensor | None = None,
        target_segment_ids: Tensor | None = None,
        target_position_ids: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [B, T, D] of embedded tokens; of the targets [B, U, D] for an encoder-decoder."""
        if self.encoder is None and self.decoder is not None:
            return self.decoder(embedded, segment_ids, position_ids)
        assert self.encoder is not None
        memory = self.encoder(embedded, segment_ids, position_ids)
        if self.decoder is None:
            return memory
        if target_ids is None:
            raise ValueError("an encoder-decoder needs target_ids")
        return self.decoder(self.embed(target_ids), target_segment_ids, target_position_ids, memory, segment_ids)

    def forward(
        self,
        input_ids: Tensor,
        segment_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        target_ids: Tensor | None = None,
        target_segment_ids: Tensor | None = None,
        target_position_ids: Tensor | None = None,
    ) -> Tensor:
        embedded = self.embed(input_ids)
        return self.head(
            self.states(embedded, segment_ids, position_ids, target_ids, target_segment_ids, target_position_ids)
        )
