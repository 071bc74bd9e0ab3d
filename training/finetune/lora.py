"""Low-rank adapters (Hu et al. 2021, LoRA): y = W x + (alpha / rank) B A x, where only A and B train.

The base's parameters are frozen, never written, and not saved with the adapters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from corpusmill.transforms.errors import RecipeError


class Adapted(nn.Module):
    """A frozen linear layer beside a product of two small ones. At the start B = 0: the output is the base's.

    by_rows: the base is a `Conv1D` of transformers (GPT-2), whose weight is [in, out].
    weight, bias: of the one layer that this amounts to. Some models multiply with them themselves (Mamba), or ask for their type
    (T5).
    """

    def __init__(self, base: nn.Module, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base, self.scale, self.by_rows = base, alpha / rank, not isinstance(base, nn.Linear)
        weight: Tensor = base.weight  # type: ignore[assignment]
        reads, writes = weight.shape if self.by_rows else weight.shape[::-1]
        self.down = nn.Linear(reads, rank, bias=False)
        self.up = nn.Linear(rank, writes, bias=False)
        with torch.no_grad():
            self.down.weight.normal_(0.0, 1.0 / math.sqrt(reads), generator=generator)
            self.up.weight.zero_()

    @property
    def weight(self) -> Tensor:
        product = self.up.weight @ self.down.weight * self.scale
        return self.base.weight + (product.T if self.by_rows else product)  # type: ignore[operator]

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x)) * self.scale


_ATTENTION = (
    ("query", "value"),  # ours, BERT
    ("q_proj", "v_proj"),  # Llama, OPT, BART
    ("q_lin", "v_lin"),  # DistilBERT
    ("q", "v"),  # T5
    ("c_attn",),  # GPT-2: queries, keys and values in one
    ("query_key_value",),  # GPT-NeoX, BLOOM, Falcon
    ("qkv_proj",),  # Phi-3
    ("Wqkv",),  # ModernBERT, MPT
    ("query_proj", "value_proj"),  # DeBERTa
)
"""Layers that make queries and values, by the name of the first: what is adapted where no targets are named."""


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (type(module).__name__ == "Conv1D" and hasattr(module, "nf"))


def adapt(model: nn.Module, rank: int, alpha: float, targets: tuple[str, ...], seed: int = 0) -> nn.Module:
    """Freeze `model` and put an adapter on every linear layer whose last name is in `targets`, in place; none: on those that make
    queries and values of attention (Hu et al. 2021, section 4.2), under the names that the architecture gives them.

    A new classification head (`classes`, or what a Hugging Face folder lacks) trains whole. Raises RecipeError where no layer
    has such a name.
    """
    model.requires_grad_(False)
    fresh: set[str] = getattr(model, "fresh", set())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in fresh)
    generator = torch.Generator().manual_seed(seed)
    linear = [(n, m) for n, m in model.named_modules() if _is_linear(m)]
    names = sorted({n.rpartition(".")[2] for n, _ in linear})
    targets = targets or next((group for group in _ATTENTION if group[0] in names), ())
    layers = [(n, m) for n, m in linear if n.rpartition(".")[2] in targets]
    if not targets:
        raise RecipeError(f"tune.targets: name the linear layers to adapt; there are {', '.join(names)}.")
    if not layers:
        raise RecipeError(f"tune.targets: no linear layer is named {', '.join(targets)}; there are {', '.join(names)}.")
    for name, layer in layers:
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], Adapted(layer, rank, alpha, generator))
    if isinstance(head := getattr(model, "classes", None), nn.Module):
        head.requires_grad_(True)
    return model


@torch.no_grad()
def merge(model: nn.Module) -> nn.Module:
    """Add every adapter into its layer's weights and take it off, in place: for export and serving."""
    for name, layer in [(n, m) for n, m in model.named_modules() if isinstance(m, Adapted)]:
        layer.base.weight.copy_(layer.weight)  # type: ignore[operator]
        setattr(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], layer.base)
    return model
