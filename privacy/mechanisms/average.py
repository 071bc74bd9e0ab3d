"""Averages the weights of a run's last steps (Polyak and Juditsky 1992): post-processing, so it costs no privacy.

Noise moves the weights of single steps; their mean has less of it (De et al. 2022, "Unlocking high-accuracy differentially private
image classification through scale", who average exponentially).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SUFFIX = ".average"


class Average:
    """The running mean of parameters over the steps from `first` on."""

    def __init__(self, parameters: dict[str, nn.Parameter], steps: int, share: float) -> None:
        """steps: of the whole run; share: of them that are averaged, 0 for none."""
        self.parameters, self.first = parameters, steps - round(steps * share)
        self._means: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Take in the weights that step `step` (from 0) has left."""
        if step < self.first:
            return
        for name, p in self.parameters.items():
            mean = self._means.setdefault(name, torch.zeros_like(p))
            mean.add_(p - mean, alpha=1 / (step - self.first + 1))

    @torch.no_grad()
    def finish(self) -> None:
        """Give the parameters their means, where there are any."""
        for name, mean in self._means.items():
            self.parameters[name].copy_(mean)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps beside the optimizer's means."""
        return {name + SUFFIX: mean.detach().cpu() for name, mean in self._means.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from the tensors that lie beside the optimizer's means in a checkpoint."""
        for name, p in self.parameters.items():
            if name + SUFFIX in tensors:
                self._means[name] = tensors[name + SUFFIX].to(p)
