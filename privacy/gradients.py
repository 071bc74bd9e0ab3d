"""Gradients of single units: their norms, and their weighted sums.

For each layer with parameters a forward hook keeps what went in, and a hook on the output's gradient what came back; from
the two, Opacus' rules for the layer give the gradient of each unit, or its norm without the gradient:

    hooks   every unit's gradient of every parameter is held: the most memory, the simplest
    fast    the gradient of one layer at a time, for its norm; then the weighted sum from (input, output gradient)
    ghost   norms from inner products over positions (Li et al. 2022, "ghost clipping"), layer by layer only where that needs
            less memory than the gradient (Bu et al. 2022, "mixed"); then the weighted sum as in `fast`

The weighted sum of `fast` and `ghost` is one matrix product a layer, with no second backward pass (Bu et al. 2023,
"book-keeping"). The rows of a unit stand beside each other as positions of one row, so each mode sees one gradient a unit.
Layers that Opacus has no rule for go through its functorch fallback, whose gradients are held in every mode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from corpusmill.transforms.errors import MissingDependencyError, PrivacyError

Mode = Literal["hooks", "fast", "ghost"]


@dataclass(frozen=True)
class Layout:
    """Which rows of a batch make up which unit.

    units: their number U; slots: int64 [U, K], the rows of each unit, -1 for none; None where row i is unit i;
    weights: float [B], 1 / (rows of the row's unit).
    """

    units: int
    slots: Tensor | None
    weights: Tensor

    @classmethod
    def of(cls, unit_of_row: np.ndarray, device: torch.device | str = "cpu") -> Layout:
        """Of unit numbers 0 ... U - 1, one a row."""
        counts = np.bincount(unit_of_row)
        weights = torch.from_numpy((1.0 / counts[unit_of_row]).astype(np.float32)).to(device)
        if len(counts) == len(unit_of_row) and (unit_of_row == np.arange(len(counts))).all():
            return cls(len(counts), None, weights)
        slots = np.full((len(counts), counts.max()), -1, np.int64)
        order = np.argsort(unit_of_row, kind="stable")
        first = np.cumsum(counts) - counts
        slots[unit_of_row[order], np.arange(len(order)) - np.repeat(first, counts)] = order
        return cls(len(counts), torch.from_numpy(slots).to(device), weights)

    def group(self, x: Tensor, zero: bool = False) -> Tensor:
        """[B, ...] to [U, positions of all rows of the unit, ...]; positions without a row are 0 if `zero`."""
        if self.slots is None:
            return x
        y = x[self.slots.clamp(min=0)]
        if zero:
            y[self.slots < 0] = 0
        return y.flatten(1, 2)

    def group_positions(self, x: Tensor, zero: bool = False, last: int = 1) -> Tensor:
        """As `group` for [B, positions..., d] and, with `last` 0, for [B, positions...]; a row without positions has one."""
        if self.slots is None:
            return x
        return self.group(x.unsqueeze(1) if x.dim() == 1 + last else x, zero)

    def sum(self, x: Tensor) -> Tensor:
        """[B, ...] summed over the rows of each unit: [U, ...]."""
        if self.slots is None:
            return x
        rows = torch.where(self.slots >= 0)
        out = x.new_zeros(self.units, *x.shape[1:])
        return out.index_add_(0, rows[0], x[self.slots[rows]])


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


class Gradients:
    """The gradients of units in one batch after another.

    `backward` runs the model; then `norms` and `weighted` may be asked until the next `backward`.
    """

    def __init__(self, model: nn.Module, mode: Mode = "hooks") -> None:
        """Raises PrivacyError for layers whose units cannot be told apart: normalisation over the batch, fused attention."""
        try:
            from opacus.grad_sample import GradSampleModule
            from opacus.grad_sample.functorch import prepare_layer
            from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import (
                GradSampleModuleFastGradientClipping as Ghost,
            )
        except ImportError as error:
            raise MissingDependencyError(
                f"private training needs {error.name}: pip install corpusmill[privacy]"
            ) from error
        self.model, self.mode = model, mode
        self.names = {p: n for n, p in model.named_parameters() if p.requires_grad}
        if not self.names:
            raise PrivacyError("no parameter of the model trains: call requires_grad_(True) on those that should.")
        _refuse(model)
        shared = _shared(model)
        self._ghost = Ghost.NORM_SAMPLERS
        self.layers: list[_Layer] = []
        for name, module, known in _layers(model, GradSampleModule.GRAD_SAMPLERS):
            own = [p for p in module.parameters(recurse=not known) if p.requires_grad]
            flat = isinstance(module, (nn.Linear, nn.Embedding, nn.RMSNorm, nn.LayerNorm)) and known
            booked = flat and type(module) in self._ghost and mode != "hooks" and not any(p in shared for p in own)
            if mode == "ghost" and type(module) in self._ghost and any(p in shared for p in own):
                raise PrivacyError(
                    f"{name}: shares its weights with another layer, whose norms ghost clipping cannot add. Untie them (for "
                    "our models `tie: false`), or use the mode `hooks`."
                )
            if not known:
                prepare_layer(module, batch_first=True)
            self.layers.append(_Layer(name, module, GradSampleModule.GRAD_SAMPLERS.get(type(module)), flat, booked))
        self._held: dict[nn.Parameter, Tensor] = {}
        self._norms: dict[nn.Parameter, Tensor] = {}
        self._booked: list[tuple[_Layer, list[Tensor], Tensor]] = []
        self._layout = Layout(0, None, torch.zeros(0))
        self._rows = 0
        self._on = False
        self._handles = [
            layer.module.register_forward_hook(self._forward_hook(layer), with_kwargs=True) for layer in self.layers
        ]

    def close(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()

    def backward(self, losses_of: Callable[[], Tensor], layout: Layout) -> Tensor:
        """Run the model and go back; the losses, [B], detached.

        losses_of: calls the model on the batch; one loss a row. Raises PrivacyError if it gives anything else.
        """
        if not self.model.training:
            raise PrivacyError("the model is in evaluation mode: call model.train() before a private step.")
        self.release()
        self._layout, self._rows, self._on = layout, len(layout.weights), True
        for layer in self.layers:
            layer.pending, layer.parts = 0, []
        try:
            with self._frozen():  # the graph has no products for gradients summed over the batch, which nobody needs
                losses = losses_of()
            if losses.shape != (self._rows,):
                raise PrivacyError(
                    f"the loss has shape {tuple(losses.shape)}, not one value for each of {self._rows} rows. A mean over "
                    "the batch or its tokens lets one row move the others' gradients: give a mean for each sequence."
                )
            if losses.requires_grad:
                (losses * layout.weights.to(losses)).sum().backward()
        finally:
            self._on = False
        unused = [layer.name for layer in self.layers if layer.pending]
        if unused:
            raise PrivacyError(f"{unused[0]}: was called but had no gradient back; it cannot be clipped. Take it out.")
        return losses.detach()

    def release(self) -> None:
        """Let go of all that the last `backward` held."""
        self._held, self._norms, self._booked = {}, {}, []

    def norms(self) -> dict[nn.Parameter, Tensor]:
        """The norm of each unit's gradient of each parameter: [U] each, float32. A parameter that no unit used has 0."""
        zero = torch.zeros(self._layout.units)
        for p, held in self._held.items():
            if p not in self._norms:
                self._norms[p] = held.flatten(1).norm(dim=1)
        return {p: self._norms.get(p, zero.to(p.device)) for p in self.names}

    def forget(self, units: Tensor) -> None:
        """Set the gradients of `units` (bool [U]) to 0: those that are not numbers would spoil every sum."""
        for held in self._held.values():
            held[units] = 0
        for _, activations, backprops in self._booked:
            backprops[units] = 0
            for a in activations:
                if a.is_floating_point():
                    a[units] = 0

    def weighted(self, factors: dict[nn.Parameter, Tensor]) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """(parameter, sum over units of factor * gradient), factors [U] each."""
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
        def hook(module: nn.Module, inputs: tuple, kwargs: dict, output: Any) -> Any:
            if not self._on or not torch.is_grad_enabled():
                return None
            if kwargs or not isinstance(output, Tensor):
                raise PrivacyError(
                    f"{layer.name}: a layer with parameters of its own must take positional arguments and give one tensor, so "
                    "that its gradients can be told apart. Put the parameters into an nn.Embedding or nn.Linear."
                )
            held = [x.detach() if isinstance(x, Tensor) else x for x in inputs]
            for x in (held[0], output):
                if len(x) != self._rows:
                    raise PrivacyError(
                        f"{layer.name}: saw {len(x)} rows in a batch of {self._rows}. What is computed once and broadcast "
                        "(positions, a prompt) has no gradient of its own for each row: expand its input to the whole batch."
                    )
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

        return ft_compute_per_sample_gradient(layer.module, inputs, gradient)

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


def _layers(model: nn.Module, known: Any) -> Iterator[tuple[str, nn.Module, bool]]:
    """(name, module, whether Opacus has a rule) of the modules to watch; a module without a rule covers its children."""

    def walk(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
        own = any(p.requires_grad for p in module.parameters(recurse=False))
        if own:
            yield name or "model", module, type(module) in known
        if not own or type(module) in known:
            for child, part in module.named_children():
                yield from walk(f"{name}.{child}" if name else child, part)

    return walk("", model)


def _shared(model: nn.Module) -> set[nn.Parameter]:
    """Parameters that are in more than one layer."""
    seen: dict[nn.Parameter, int] = {}
    for module in model.modules():
        for p in module.parameters(recurse=False):
            seen[p] = seen.get(p, 0) + 1
    return {p for p, n in seen.items() if n > 1}


def _refuse(model: nn.Module) -> None:
    """Raise for layers that mix rows, or that per-sample gradients cannot see into."""
    fused = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise PrivacyError(
                f"{name}: normalises over the batch, so one row changes all others. Use LayerNorm or RMSNorm."
            )
        trains = any(p.requires_grad for p in module.parameters())
        if trains and isinstance(module, fused):
            raise PrivacyError(
                f"{name}: {type(module).__name__} hides its weights from per-sample gradients. Use linear layers around "
                "torch's scaled_dot_product_attention; Opacus' DPMultiheadAttention computes another function."
            )
        own = any(p.requires_grad for p in module.parameters(recurse=False))
        if own and any(True for _ in module.buffers(recurse=False)):
            raise PrivacyError(
                f"{name}: {type(module).__name__} keeps a buffer beside its weights, which is not private."
            )
