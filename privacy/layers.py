"""The layers of a model whose parameters train: what each must be, so that gradients of single rows can be told apart.

Before anything runs, layers that mix rows or hide their weights are refused. While the model runs, each layer must see every row
of the batch. What a model looks up once for all rows (the positions of BERT and GPT-2) is expanded to the batch, which changes no
result; anything else that is computed once is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpusmill.transforms.errors import MissingDependencyError, PrivacyError

WAY_OUT = "freeze it (`tune: {freeze: [NAME]}`, or requires_grad_(False)), or train adapters (`tune: {method: lora}`)"


@dataclass(frozen=True)
class Layer:
    """A layer with parameters that train. known: Opacus has a rule for its type; otherwise it covers its children."""

    name: str
    module: nn.Module
    known: bool


class Layers:
    """The layers of one model, watched while `watching` is on."""

    def __init__(self, model: nn.Module) -> None:
        """Raises PrivacyError for what cannot train privately, MissingDependencyError without Opacus."""
        _refuse(model)
        known = rules(model)
        self._aliases = list(_aliases(model, known))
        for module, name, p in self._aliases:
            del module._parameters[name]
            module.__dict__[name] = p
        self.found = [Layer(*one) for one in _walk(model, known)]
        self.shared = _shared(model)
        """Parameters that are in more than one layer."""
        self._rows = 0
        self._broadcast: set[nn.Module] = set()
        self._constants = [
            (layer.module, name, tensor)
            for layer in self.found
            for name, tensor in layer.module.named_buffers(recurse=False)
        ]
        for module, name, tensor in self._constants:  # Opacus refuses buffers; a constant is no state (Gemma's scale)
            del module._buffers[name]
            module.__dict__[name] = tensor
        self._versions = [tensor._version for _, _, tensor in self._constants]
        self._handles: list[Any] = []

        def expand(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            return self._expand(
                module, inputs
            )  # a plain function: Opacus copies layers, and what their hooks are bound to

        for layer in self.found:
            if isinstance(layer.module, nn.Embedding):
                self._handles.append(layer.module.register_forward_pre_hook(expand))
            self._handles.append(layer.module.register_forward_hook(self._hook(layer), with_kwargs=True))

    @contextlib.contextmanager
    def watching(self, rows: int) -> Iterator[None]:
        """Check each layer's input and output against the number of rows. Raises PrivacyError where a buffer changes."""
        self._rows = rows
        try:
            yield
        finally:
            self._rows = 0
        for (module, name, tensor), version in zip(self._constants, self._versions):
            if getattr(module, name) is not tensor or tensor._version != version:
                raise PrivacyError(
                    f"{type(module).__name__}.{name}: this buffer beside the weights changed while the model ran, and no noise is "
                    f"added to it. To go on: {WAY_OUT}."
                )

    def close(self) -> None:
        """Leave the model as it was."""
        for handle in self._handles:
            handle.remove()
        for module, name, tensor in self._constants:
            del module.__dict__[name]
            module.register_buffer(name, tensor, persistent=name not in module._non_persistent_buffers_set)
        for module, name, p in self._aliases:
            del module.__dict__[name]
            module.register_parameter(name, p)

    def _expand(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Ask an embedding for each row what the model asks once: [1, T] and [T] become [rows, T]."""
        if not self._rows or not inputs or not isinstance(inputs[0], Tensor):
            return None
        x = inputs[0]
        if x.dim() == 1 and len(x) != self._rows:
            self._broadcast.add(module)  # known from now on, also where by accident there are as many rows as positions
        if module in self._broadcast:
            x = x.unsqueeze(0)
        if x.dim() < 2 or len(x) != 1 or self._rows == 1:
            return (x, *inputs[1:]) if module in self._broadcast else None
        return (x.expand(self._rows, *x.shape[1:]), *inputs[1:])

    def _hook(self, layer: Layer) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if not self._rows or not torch.is_grad_enabled():
                return
            if kwargs or not inputs or not isinstance(inputs[0], Tensor) or not isinstance(output, Tensor):
                raise PrivacyError(
                    f"{layer.name}: {type(module).__name__} has weights of its own, and takes named arguments or gives more than "
                    f"one tensor, so that its gradients cannot be told apart. To go on: {WAY_OUT}."
                )
            for x in (inputs[0], output):
                if x.dim() == 0 or len(x) != self._rows:
                    seen = len(x) if x.dim() else 1
                    raise PrivacyError(
                        f"{layer.name}: saw {seen} rows in a batch of {self._rows}. What is computed once for all rows, or for "
                        f"some tokens alone (experts), has no gradient of its own for each row. To go on: {WAY_OUT}."
                    )

        return hook


def rules(model: nn.Module) -> Any:
    """Opacus' rules by type of layer, with two of ours: a LayerNorm without bias (ModernBERT), and GPT-2's Conv1D."""
    try:
        from opacus.grad_sample import GradSampleModule
    except ImportError as error:
        raise MissingDependencyError(f"private training needs {error.name}: pip install corpusmill[privacy]") from error
    known = GradSampleModule.GRAD_SAMPLERS
    known[nn.LayerNorm] = _layer_norm
    for module in model.modules():
        if type(module).__name__ == "Conv1D" and type(module).__module__ == "transformers.pytorch_utils":
            known[type(module)] = _conv1d
    return known


def _layer_norm(layer: nn.LayerNorm, inputs: list[Tensor], gradient: Tensor) -> dict[nn.Parameter, Tensor]:
    """Per-row gradients [B, ...] of a LayerNorm, with or without a bias."""
    found: dict[nn.Parameter, Tensor] = {}
    dims = tuple(range(1, gradient.dim() - len(layer.normalized_shape)))
    if layer.weight.requires_grad:
        each = functional.layer_norm(inputs[0], layer.normalized_shape, eps=layer.eps) * gradient
        found[layer.weight] = each.sum(dims) if dims else each
    bias: nn.Parameter | None = layer.bias
    if bias is not None and bias.requires_grad:
        found[bias] = gradient.sum(dims) if dims else gradient
    return found


def _conv1d(layer: Any, inputs: list[Tensor], gradient: Tensor) -> dict[nn.Parameter, Tensor]:
    """Per-row gradients of y = x W + b with W [in, out], which is a linear layer with its weight the other way round."""
    x, g = inputs[0].flatten(1, -2), gradient.flatten(1, -2)
    found: dict[nn.Parameter, Tensor] = {}
    if layer.weight.requires_grad:
        found[layer.weight] = torch.einsum("bti,bto->bio", x.to(g), g)
    if layer.bias.requires_grad:
        found[layer.bias] = g.sum(1)
    return found


def _aliases(model: nn.Module, known: Any) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """(module, name, parameter) of second names for a parameter of a layer inside the module, such as the bias of BERT's head."""
    for module in model.modules():
        inner = {
            p for m in module.modules() if m is not module and type(m) in known for p in m.parameters(recurse=False)
        }
        for name, p in module.named_parameters(recurse=False):
            if p.requires_grad and p in inner:
                yield module, name, p


def _walk(model: nn.Module, known: Any) -> Iterator[tuple[str, nn.Module, bool]]:
    """(name, module, whether there is a rule) of the layers; a module without a rule covers its children."""

    def walk(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
        own = any(p.requires_grad for p in module.parameters(recurse=False))
        if own:
            yield name or "model", module, type(module) in known
        if not own or type(module) in known:
            for child, part in module.named_children():
                yield from walk(f"{name}.{child}" if name else child, part)

    return walk("", model)


def _shared(model: nn.Module) -> set[nn.Parameter]:
    seen: dict[nn.Parameter, int] = {}
    for module in model.modules():
        for p in module.parameters(recurse=False):
            seen[p] = seen.get(p, 0) + 1
    return {p for p, n in seen.items() if n > 1}


def _refuse(model: nn.Module) -> None:
    """Raise for layers that mix rows, or that gradients of single rows cannot see into."""
    fused = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise PrivacyError(
                f"{name}: normalises over the batch, so one row changes all others. Use LayerNorm or RMSNorm."
            )
        if getattr(module, "gradient_checkpointing", False) is True:
            raise PrivacyError(
                f"{name or 'model'}: gradient checkpointing runs each layer a second time on the way back, and its gradients would "
                "count twice. Turn it off (`model.gradient_checkpointing_disable()`); to save memory take the mode `ghost` and "
                "smaller `batch.micro_rows`."
            )
        trains = any(p.requires_grad for p in module.parameters())
        if trains and isinstance(module, fused):
            raise PrivacyError(
                f"{name}: {type(module).__name__} hides its weights from per-sample gradients. Use linear layers around "
                "torch's scaled_dot_product_attention; Opacus' DPMultiheadAttention computes another function."
            )
