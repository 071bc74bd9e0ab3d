"""Gradients of units through Opacus: its GradSampleModule finds them, a small subclass of its DPOptimizer clips and adds them.

This is the mode `hooks`: every row's gradient of every parameter is held, which takes the most memory and is the simplest. The
modes `fast` and `ghost` (`corpusmill.privacy.gradients`) are tested against it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from corpusmill.privacy.layers import WAY_OUT, Layers
from corpusmill.privacy.layout import Layout
from corpusmill.transforms.errors import PrivacyError

if TYPE_CHECKING:
    from opacus.grad_sample import GradSampleModule


class Gradients:
    """The gradients of units in one batch after another.

    `backward` runs the model; then `norms` and `weighted` may be asked until the next `backward`.
    """

    def __init__(self, model: nn.Module) -> None:
        """Raises PrivacyError for layers whose units cannot be told apart: normalisation over the batch, fused attention."""
        self.model = model
        self.names = {p: n for n, p in model.named_parameters() if p.requires_grad}
        if not self.names:
            raise PrivacyError("no parameter of the model trains: call requires_grad_(True) on those that should.")
        self.layers = Layers(model)
        self._layout = Layout(0, None, torch.zeros(0))
        try:
            self._attach()
        except BaseException:
            self.layers.close()
            raise

    def backward(self, losses_of: Callable[[], Tensor], layout: Layout) -> Tensor:
        """Run the model and go back; the losses, [B], detached.

        losses_of: calls the model on the batch; one loss a row. Raises PrivacyError if it gives anything else.
        """
        if not self.model.training:
            raise PrivacyError("the model is in evaluation mode: call model.train() before a private step.")
        self.release()
        self._layout, rows = layout, len(layout.weights)
        try:
            with self.layers.watching(rows):
                losses = self._run(losses_of)
            if losses.shape != (rows,):
                raise PrivacyError(
                    f"the loss has shape {tuple(losses.shape)}, not one value for each of {rows} rows. A mean over "
                    "the batch or its tokens lets one row move the others' gradients: give a mean for each sequence."
                )
            self._back(losses, layout.weights)
        except BaseException:
            self.release()
            raise
        return losses.detach()

    def close(self) -> None:
        """Leave the model as it was."""
        self.release()
        self._detach()
        self.layers.close()

    def _attach(self) -> None:
        from opacus.grad_sample import GradSampleModule

        if hasattr(self.model, "autograd_grad_sample_hooks"):
            raise PrivacyError("the model has hooks of Opacus already: close() the private run that it is in first.")
        # an embedding has no input that could need a gradient, which torch warns of in every step
        warnings.filterwarnings("ignore", message="Full backward hook is firing", category=UserWarning)
        try:
            self._opacus: GradSampleModule = GradSampleModule(self.model, loss_reduction="sum", strict=False)
        except NotImplementedError as error:
            raise self._unknown(error) from error
        self._opacus.disable_hooks()

    def _detach(self) -> None:
        self._opacus.cleanup()

    def _run(self, losses_of: Callable[[], Tensor]) -> Tensor:
        self._opacus.enable_hooks()
        return losses_of()

    def _back(self, losses: Tensor, weights: Tensor) -> None:
        before = {p: p.grad for p in self.names}
        for p in self.names:
            p.grad = None
        try:
            if losses.requires_grad:
                (losses * weights.to(losses)).sum().backward()
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            raise self._unknown(error) from error
        finally:
            self._opacus.disable_hooks()
            for p, gradient in before.items():  # the sum over rows that autograd leaves there is not private
                p.grad = gradient
        for p, name in self.names.items():
            opacus: Any = p  # Any: Opacus keeps its state on the parameters
            if opacus._forward_counter:
                raise PrivacyError(f"{name}: was used, but no gradient came back, so it cannot be clipped. Freeze it.")
            if opacus.grad_sample is None:
                opacus.grad_sample = p.new_zeros(len(weights), *p.shape)
            opacus.grad_sample = self._layout.sum(opacus.grad_sample)

    def _unknown(self, error: Exception) -> PrivacyError:
        """The error for a layer that Opacus' general rule cannot take."""
        odd = ", ".join(
            f"{layer.name} ({type(layer.module).__name__})" for layer in self.layers.found if not layer.known
        )
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        about = f" There is no rule for {odd}." if odd else ""
        return PrivacyError(f"gradients of single rows cannot be found here: {reason}.{about} To go on: {WAY_OUT}.")

    def release(self) -> None:
        """Let go of all that the last `backward` held, also where it failed on the way."""
        self._opacus.disable_hooks()
        for p in self.names:
            state: Any = p
            state.grad_sample, state._forward_counter = None, 0
            p.__dict__.pop("_current_grad_sample", None)
        for layer in self.layers.found:
            for name in ("activations", "max_batch_len"):
                layer.module.__dict__.pop(name, None)

    def norms(self) -> dict[nn.Parameter, Tensor]:
        """The norm of each unit's gradient of each parameter: [U] each, float32. A parameter that no unit used has 0."""
        return {p: self._of(p).flatten(1).norm(dim=1) for p in self.names}

    def forget(self, units: Tensor) -> None:
        """Set the gradients of `units` (bool [U]) to 0: those that are not numbers would spoil every sum."""
        for p in self.names:
            self._of(p)[units] = 0

    def weighted(self, factors: dict[nn.Parameter, Tensor]) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """(parameter, sum over units of factor * gradient), factors [U] each."""
        for p in self.names:
            yield p, torch.tensordot(factors[p].to(p), self._of(p), 1)

    def _of(self, p: nn.Parameter) -> Tensor:
        """Gradients of units, [U, ...]."""
        held: Any = p
        return held.grad_sample if held.grad_sample is not None else p.new_zeros(self._layout.units, *p.shape)
