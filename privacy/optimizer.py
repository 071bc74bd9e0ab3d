"""Opacus' DPOptimizer for units of privacy: sums of clipped gradients, with noise from the run's secret.

Opacus clips, sums, adds the noise and divides. What is added here: gradients are of units (the average of all rows of a person),
noise is drawn from the run's secret, so that any step can be drawn again after a crash, and the sum is divided by a public number
whoever came. The modes `fast` and `ghost` have no gradients that Opacus could clip; their weighted sums are added here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.hooks import Gradients
from corpusmill.transforms.errors import MissingDependencyError

try:
    from opacus.optimizers import DPOptimizer, DPPerLayerOptimizer
except ImportError as error:
    raise MissingDependencyError(f"private training needs {error.name}: pip install corpusmill[privacy]") from error


class UnitOptimizer(DPPerLayerOptimizer):
    """The sums of one step after another. The optimizer that it holds is never stepped: `p.grad` is what users step on."""

    def __init__(
        self,
        parameters: list[nn.Parameter],
        settings: DpSettings,
        noisy: Callable[[list[Tensor]], list[Tensor]],
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        """noisy: gives the sums of clipped gradients, one tensor a parameter, with their noise."""
        share = settings.clip / math.sqrt(len(parameters))
        super().__init__(
            optimizer or torch.optim.SGD(parameters),
            noise_multiplier=settings.gradient_sigma,
            max_grad_norm=[share] * len(parameters),
            expected_batch_size=settings.divisor,
        )
        self.settings, self.noisy = settings, noisy
        self._norms: list[Tensor] = []

    @property
    def accumulated_iterations(self) -> int:
        """1: the physical batches of a step are parts of one batch."""
        return 1

    @property
    def grad_samples(self) -> list[Tensor]:
        """What Opacus takes each unit's norm of: the norms, which are known, stand for the gradients, as [U, 1] each."""
        return self._norms

    def begin(self, clip: float) -> None:
        """Forget the last step's sums; clip to `clip` from now on."""
        self.max_grad_norm = clip
        for p in self.params:
            p.summed_grad = None

    @torch.no_grad()
    def add(self, gradients: Gradients, norms: dict[nn.Parameter, Tensor], total: Tensor) -> None:
        """Clip and add the gradients of one physical batch. norms, total: [U], of each parameter's gradient and of all.

        A unit whose gradient is no number gives nothing, which is within its bound.
        """
        broken = ~torch.isfinite(total)
        if broken.any():
            gradients.forget(broken)
        if type(gradients) is Gradients:
            self._norms = [torch.where(broken, 0.0, norms[p]).unsqueeze(1) for p in self.params]
            self.clip_and_accumulate()
            return
        if self.settings.clipping == "per-layer":
            share = self.max_grad_norm / math.sqrt(len(norms))
            factors = {p: _factor(norm, share, broken) for p, norm in norms.items()}
        else:
            factors = dict.fromkeys(norms, _factor(total, self.max_grad_norm, broken))
        for p, part in gradients.weighted(factors):
            state: Any = p
            state.summed_grad = part if state.summed_grad is None else state.summed_grad.add_(part)

    def clip_and_accumulate(self) -> None:
        """Opacus' own, for one norm or for each parameter."""
        if self.settings.clipping == "per-layer":
            super().clip_and_accumulate()
        else:
            DPOptimizer.clip_and_accumulate(self)

    @torch.no_grad()
    def add_noise(self) -> None:
        """Write the sums with their noise to `p.grad`; also where no unit came."""
        sums = self.noisy([torch.zeros_like(p) if p.summed_grad is None else p.summed_grad for p in self.params])
        for p, noisy in zip(self.params, sums, strict=True):
            p.grad, p.summed_grad = noisy, None


def _factor(norm: Tensor, clip: float, broken: Tensor) -> Tensor:
    """min(1, C / norm), a rounding error smaller; 0 for units whose gradient is no number."""
    return torch.where(broken, 0.0, (clip * (1 - 1e-6) / norm.clamp(min=1e-12)).clamp(max=1.0))
