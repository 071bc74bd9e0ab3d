"""Low-rank adapters (Hu et al. 2021, LoRA): y = W x + (alpha / rank) B A x, where only A and B train.

The base's parameters are frozen, never written, and not saved with the adapters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from corpusmill.transforms.errors import RecipeError


class Adapted(nn.Module):
    """A frozen linear layer beside a product of two small ones. At the start B = 0: the output is the base's."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base, self.scale = base, alpha / rank
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        with torch.no_grad():
            self.down.weight.normal_(0.0, 1.0 / math.sqrt(base.in_features), generator=generator)
            self.up.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x)) * self.scale


def adapt(model: nn.Module, rank: int, alpha: float, targets: tuple[str, ...], seed: int = 0) -> nn.Module:
    """Freeze `model` and put an adapter on every linear layer whose last name is in `targets`, in place.

    A new classification head (`classes`, or what a Hugging Face folder lacks) trains whole. Raises RecipeError where no layer
    has such a name.
    """
    model.requires_grad_(False)
    fresh: set[str] = getattr(model, "fresh", set())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in fresh)
    generator = torch.Generator().manual_seed(seed)
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and n.rpartition(".")[2] in targets]
    if not layers:
        names = sorted({n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear)})
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
        layer.base.weight += layer.up.weight @ layer.down.weight * layer.scale
        setattr(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], layer.base)
    return model
