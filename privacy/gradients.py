"""Norms of the gradients of single units, and their weighted sums, without holding the gradients: the modes `fast` and `ghost`.

For each layer with parameters a forward hook keeps what went in, and a hook on the output's gradient what came back; from
the two, Opacus' rules for the layer give the gradient of each unit, or its norm without the gradient:

    fast    the gradient of one layer at a time, for its norm; then the weighted sum from (input, output gradient)
    ghost   norms from inner products over positions (Li et al. 2022, "ghost clipping"), layer by layer only where that needs
            less memory than the gradient (Bu et al. 2022, "mixed"); then the weighted sum as in `fast`

The weighted sum is one matrix product a layer, with no second backward pass (Bu et al. 2023, "book-keeping"). The rows of a unit
stand beside each other as positions of one row, so each mode sees one gradient a unit. Layers that have no such rule hold their
gradients. The mode `hooks` is Opacus' own (`corpusmill.privacy.hooks`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from corpusmill.privacy.dp_settings import Mode
from corpusmill.privacy.hooks import Gradients
from corpusmill.privacy.layers import rules
from corpusmill.transforms.errors import PrivacyError


def gradients_of(model: nn.Module, mode: Mode = "hooks") -> Gradients:
    """The gradients of units of a model in a mode."""
    return Gradients(model) if mode == "hooks" else Booked(model, mode)


@dataclass
class _Layer:
    """A layer with parameters that train."""

    name: str
    module: nn.Module
    sampler: Any
    flat: bool
    """Its gradient is a sum over positions, so that a unit's rows can stand beside each other."""
    booked: bool
    """`fast` and `ghost` keep (input, output gradient) of it instead of gradients."""
    pending: int = 0
    parts: list[tuple[list[Tensor], Tensor]] = field(default_factory=list)


class Booked(Gradients):
    """The modes `fast` and `ghost`: (input, output gradient) of each layer are kept, not gradients."""

    def __init__(self, model: nn.Module, mode: Mode) -> None:
        """Raises PrivacyError as `Gradients`, and for shared weights in the mode `ghost`."""
        self.mode = mode
        super().__init__(model)

    def _attach(self) -> None:
        from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import (
            GradSampleModuleFastGradientClipping as Ghost,
        )

        self._ghost, shared, samplers = Ghost.NORM_SAMPLERS, self.layers.shared, rules(self.model)
        self._watched: list[_Layer] = []
        for name, module, known in ((one.name, one.module, one.known) for one in self.layers.found):
            own = [p for p in module.parameters(recurse=not known) if p.requires_grad]
            flat = isinstance(module, (nn.Linear, nn.Embedding, nn.RMSNorm, nn.LayerNorm)) and known
            normed = flat and type(module) in self._ghost
            if self.mode == "ghost" and normed and any(p in shared for p in own):
                raise PrivacyError(
                    f"{name}: shares its weights with another layer, whose norms ghost clipping cannot add. Untie them (for "
                    "our models `tie: false`), or use the mode `hooks`."
                )
            booked = normed and not any(p in shared for p in own)
            self._watched.append(_Layer(name, module, samplers[type(module)] if known else None, flat, booked))
        self._held: dict[nn.Parameter, Tensor] = {}
        self._norms: dict[nn.Parameter, Tensor] = {}
        self._booked: list[tuple[_Layer, list[Tensor], Tensor]] = []
        self._on = False
        self._handles = [one.module.register_forward_hook(self._forward_hook(one)) for one in self._watched]

    def _detach(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _run(self, losses_of: Callable[[], Tensor]) -> Tensor:
        self._on = True
        with self._frozen():  # the graph has no products for gradients summed over the batch, which nobody needs
            losses = losses_of()
        self._on = False
        return losses

    def _back(self, losses: Tensor, weights: Tensor) -> None:
        if losses.requires_grad:
            (losses * weights.to(losses)).sum().backward()
        for layer in self._watched:
            if layer.pending:
                raise PrivacyError(
                    f"{layer.name}: was called, but no gradient came back, so it cannot be clipped. Freeze it."
                )

    def release(self) -> None:
        self._held, self._norms, self._booked, self._on = {}, {}, [], False
        for layer in self._watched:
            layer.pending, layer.parts = 0, []

    def norms(self) -> dict[nn.Parameter, Tensor]:
        zero = torch.zeros(self._layout.units)
        for p, held in self._held.items():
            if p not in self._norms:
                self._norms[p] = held.flatten(1).norm(dim=1)
        return {p: self._norms.get(p, zero.to(p.device)) for p in self.names}

    def forget(self, units: Tensor) -> None:
        for held in self._held.values():
            held[units] = 0
        for _, activations, backprops in self._booked:
            backprops[units] = 0
            for a in activations:
                if a.is_floating_point():
                    a[units] = 0

    def weighted(self, factors: dict[nn.Parameter, Tensor]) -> Iterator[tuple[nn.Parameter, Tensor]]:
        for p, held in self._held.items():
            yield p, torch.tensordot(factors[p].to(held), held, 1)
        for layer, (x, *_), g in self._booked:
            module: Any = layer.module  # Any: its attributes depend on its type
            weight: nn.Parameter = module.weight
            bias: nn.Parameter | None = getattr(module, "bias", None)
            if weight.requires_grad:
                flat = _scaled(g, factors[weight])
                if isinstance(module, nn.Embedding):
                    yield weight, torch.zeros_like(weight).index_add_(0, x.reshape(-1), flat)
                else:
                    yield weight, flat.t() @ x.reshape(-1, x.shape[-1]).to(flat)
            if bias is not None and bias.requires_grad:
                yield bias, _scaled(g, factors[bias]).sum(0)

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        for p in self.names:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in self.names:
                p.requires_grad_(True)

    def _forward_hook(self, layer: _Layer) -> Callable[..., Any]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
            if not self._on or not torch.is_grad_enabled():
                return None
            held = [x.detach() if isinstance(x, Tensor) else x for x in inputs]
            if not output.requires_grad:
                output = output.detach().requires_grad_(True)
            layer.pending += 1

            def back(gradient: Tensor) -> None:
                inputs = held.copy()
                held.clear()  # the graph keeps this hook to its end: what the layer does not need is let go at once
                self._capture(layer, inputs, gradient.detach())

            output.register_hook(back)
            return output

        return hook

    def _capture(self, layer: _Layer, inputs: list[Tensor], gradient: Tensor) -> None:
        layout, module = self._layout, layer.module
        layer.pending -= 1
        if layer.flat:
            last = 0 if isinstance(module, nn.Embedding) else 1
            inputs = [layout.group_positions(x, last=last).contiguous() for x in inputs[:1]]
            gradient = layout.group_positions(gradient, zero=True)
        if not layer.booked:
            for p, g in self._sample(layer, inputs, gradient).items():
                if not p.requires_grad:
                    continue
                g = g if layer.flat else layout.sum(g)
                self._held[p] = self._held[p] + g if p in self._held else g
            return
        layer.parts.append((inputs, gradient))
        if layer.pending:
            return  # a layer that is called twice has one gradient: its positions are those of all calls
        calls, layer.parts = layer.parts, []
        if len(calls) > 1:
            parts = [(x[0].flatten(1, -1 - last), g.flatten(1, -2)) for x, g in calls]
            inputs, gradient = [torch.cat([x for x, _ in parts], 1)], torch.cat([g for _, g in parts], 1)
        if gradient.dim() > 3:
            gradient = gradient.flatten(1, -2)
            inputs = [inputs[0].flatten(1, -1 - last)]
        self._norms.update(self._layer_norms(layer, inputs, gradient))
        self._booked.append((layer, inputs, gradient))

    def _sample(self, layer: _Layer, inputs: list[Tensor], gradient: Tensor) -> dict[nn.Parameter, Tensor]:
        if layer.sampler is not None:
            return layer.sampler(layer.module, inputs, gradient)
        from opacus.grad_sample.functorch import ft_compute_per_sample_gradient

        try:
            return ft_compute_per_sample_gradient(layer.module, inputs, gradient)
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            raise self._unknown(error) from error

    def _layer_norms(self, layer: _Layer, inputs: list[Tensor], gradient: Tensor) -> dict[nn.Parameter, Tensor]:
        module: Any = layer.module
        positions = gradient.shape[1] if gradient.dim() == 3 else 1
        smaller = 2 * positions**2 <= module.weight.numel()
        if self.mode == "ghost" and (smaller or isinstance(module, nn.Embedding)):
            norms = self._ghost[type(module)](module, inputs, gradient)
            if isinstance(module, nn.Linear) and module.bias is not None and module.bias.requires_grad:
                norms[module.bias] = (
                    gradient.flatten(1, -2).sum(1).norm(dim=1) if gradient.dim() > 2 else gradient.norm(dim=1)
                )
            return {p: norm for p, norm in norms.items() if p.requires_grad}
        return {
            p: g.flatten(1).norm(dim=1) for p, g in self._sample(layer, inputs, gradient).items() if p.requires_grad
        }


def _scaled(gradient: Tensor, factors: Tensor) -> Tensor:
    """[U, positions..., d] times a factor a unit, as [all positions, d]."""
    return (gradient * factors.to(gradient).view(-1, *[1] * (gradient.dim() - 1))).reshape(-1, gradient.shape[-1])
