"""Differentially private SGD (Abadi et al. 2016) for units of privacy, one step after another.

In step s every unit joins with probability `rate`, drawn by the run's secret. The rows of a unit, augmented copies included,
are averaged to one gradient, which is scaled down to the norm C at most; the sum over units gets normal noise of deviation
sigma * C and is divided by the public constant rate * units, never by the number that came:

    g = (1 / (rate * units)) * (sum over units u of  h_u * min(1, C / |h_u|)  +  N(0, sigma^2 C^2)),   h_u = mean of u's rows

So adding or removing one unit moves the sum by at most C (adjacency: add or remove one unit), and each step is one event
`poisson-gaussian` of (rate, sigma). What an optimizer makes of g costs nothing more. With correlated noise
(`corpusmill.privacy.mechanisms`) each unit is in one of `bands` groups, drawn by the secret, and step s is the turn of group
s mod bands.

    private = Private(model, settings, units, secret)
    private.check(loss, two_rows)                       # per-sample gradients are what they should be, or PrivacyError
    for step in range(settings.steps):
        for rows in private.begin(step):                # physical batches of whole units, this process's share
            private.add(lambda: loss(model, batch_of(rows)), rows)
        private.finish()                                # parameters' .grad is g
        optimizer.step()
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from corpusmill.privacy.check import Loss, check
from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.gradients import gradients_of
from corpusmill.privacy.layout import Layout
from corpusmill.privacy.ledger import Spend
from corpusmill.privacy.mechanisms.noise import Noise
from corpusmill.privacy.optimizer import UnitOptimizer
from corpusmill.privacy.secret import COUNT, Secret
from corpusmill.privacy.units import Units
from corpusmill.transforms.errors import PrivacyError

NOISE_PIECE = 1 << 18
"""Numbers of noise that are drawn at once, each piece from a stream of its own."""


class Private:
    """A private run: who comes in a step, what each may change, and what is done with it."""

    def __init__(
        self,
        model: nn.Module,
        settings: DpSettings,
        units: Units,
        secret: Secret,
        spend: Spend | None = None,
        fingerprint: str = "",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """model: trains in place, and is not wrapped for several processes: this class sums their gradients itself.
        spend: what the ledger has reserved; steps beyond it are refused. None: nobody keeps account.
        fingerprint: of all else that shapes a step (data, learning rate, base model): a run resumes only where it is equal.
        """
        if isinstance(model, nn.parallel.DistributedDataParallel):
            raise PrivacyError(
                "give the bare model: DistributedDataParallel would sum gradients before they are clipped."
            )
        units.require(settings.max_rows)
        for name, p in model.named_parameters():
            if p.requires_grad and p.dtype not in (torch.float32, torch.float64):
                raise PrivacyError(
                    f"{name}: is {str(p.dtype).removeprefix('torch.')}. Sums of clipped gradients round there by more than "
                    "the noise may hide (one unit moved a sum of 1,024 by 1.19 C). Train float32 weights: model.float()."
                )
        if spend is not None and spend.event.times(1) != settings.event().times(1):
            raise PrivacyError(
                f"the ledger has reserved {spend.event.short()}, the run would spend {settings.event().short()}. "
                "They must be the same."
            )
        self.model, self.settings, self.units, self.secret, self.spend = model, settings, units, secret, spend
        self.fingerprint, self.rank, self.world = fingerprint, rank, world
        self.noise = Noise(secret, settings)
        self._turns = secret.turns(units.count, settings.bands) if settings.bands > 1 else None
        self.gradients = gradients_of(model, settings.mode)
        self.clip, self.step = settings.clip, 0
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.sums = UnitOptimizer(list(self.parameters.values()), settings, self._noisy)
        self._checked = False
        self._open = False
        self._waiting = np.zeros(0, np.int64)
        self._unclipped = 0.0
        self.diagnostics: dict[str, float] = {}
        """Of the last step: units, clipped share, loss. These are private figures: look at them on public data only."""

    def check(self, loss: Loss, batch: dict[str, Tensor]) -> None:
        """Compare gradients of single rows with the truth; training is refused until this has passed. See `check`."""
        check(self.model, loss, batch, self.settings.mode, self.gradients)
        self._checked = True

    def begin(self, step: int) -> list[np.ndarray]:
        """Open `step`: the rows of the units that join it, as physical batches of this process."""
        if not self._checked:
            raise PrivacyError("per-sample gradients were not checked: call check(loss, batch) before the first step.")
        if self._open:
            raise PrivacyError(f"step {self.step} is open: finish() adds its noise before another begins.")
        if step != self.step:
            raise PrivacyError(
                f"step {step} was asked where step {self.step} is next. A step that is repeated or skipped would reuse noise on "
                "other sums, or count what was not done. Restore the checkpoint of this step, or start a new run."
            )
        if step >= self.settings.steps or (self.spend is not None and step >= self.spend.event.count):
            raise PrivacyError(
                f"step {step + 1} of {self.settings.steps}: its budget is not reserved. Ask for more steps first."
            )
        if self.spend is not None and self.spend.closed:
            raise PrivacyError("the ledger's reservation is closed. Open another for further steps.")
        joined = self.secret.sampled(step, self.units.count, self.settings.rate)
        if self._turns is not None:
            joined = joined[self._turns[joined] == step % self.settings.bands]
        self._waiting = joined[self.rank :: self.world]
        self.sums.begin(self.clip)
        self._unclipped, self._open = 0.0, True
        self.diagnostics = {"units": 0.0, "clipped": 0.0, "loss": 0.0}
        return self.units.batches(self._waiting, self.settings.micro_rows)

    def add(self, losses_of: Callable[[], Tensor], rows: np.ndarray) -> None:
        """Clip and add the gradients of the units in a physical batch.

        losses_of: runs the model on `rows` and gives one loss a row, in their order. Raises PrivacyError for rows that were
        not drawn for this step, and for units that are here a second time or not with all their rows.
        """
        if not self._open:
            raise PrivacyError("no step is open: begin(step) says which rows to take.")
        names, of_row = np.unique(self.units.number[rows], return_inverse=True)
        strange = ~np.isin(names, self._waiting)
        if strange.any():
            raise PrivacyError(
                f"{int(strange.sum())} units of this batch were not drawn for step {self.step}, or were added to it before. "
                "Rows come from begin(step) alone: shuffled batches, a second pass, or gradient accumulation outside of it are "
                "not what is accounted for."
            )
        if len(rows) != self.units.sizes[names].sum() or len(np.unique(rows)) != len(rows):
            raise PrivacyError(
                "a unit is here without all its rows, or with one twice: it would be clipped more than once."
            )
        self._waiting = np.setdiff1d(self._waiting, names, assume_unique=True)
        device = next(iter(self.parameters.values())).device
        losses = self.gradients.backward(losses_of, Layout.of(of_row, device))
        norms = self.gradients.norms()
        total = torch.stack(list(norms.values())).norm(dim=0)
        broken = ~torch.isfinite(total)
        if broken.any():  # a unit whose gradient is no number gives nothing, which is within its bound
            self.gradients.forget(broken)
        self.sums.add(self.gradients, norms, total)
        self.gradients.release()
        self._unclipped += float(((total <= self.clip) & ~broken).sum()) - 0.5 * len(names)
        self.diagnostics["units"] += len(names)
        self.diagnostics["clipped"] += float((total > self.clip).sum())
        self.diagnostics["loss"] += float(losses.sum())

    @torch.no_grad()
    def finish(self) -> None:
        """Add the noise, divide, and write the result into the parameters' `.grad`; also where nobody came."""
        if not self._open:
            raise PrivacyError("no step is open: begin(step) comes first.")
        if len(self._waiting):
            raise PrivacyError(
                f"{len(self._waiting)} units that joined step {self.step} were not added. Add all batches."
            )
        self.sums.add_noise()
        unclipped = torch.tensor(self._unclipped, dtype=torch.float64)
        if self.world > 1:
            import torch.distributed as dist

            for tensor in (*(p.grad for p in self.parameters.values()), unclipped):
                dist.all_reduce(tensor)
        self.sums.scale_grad()
        if self.settings.clipping == "adaptive":
            noise = (
                float(self.secret.normal(self.step, 1, purpose=COUNT)[0]) * self.settings.counting
                if self.settings.sigma
                else 0.0
            )
            share = (float(unclipped) + noise) / self.settings.divisor + 0.5
            self.clip *= math.exp(-self.settings.clip_rate * (min(max(share, 0.0), 1.0) - self.settings.quantile))
        self._open = False
        self.step += 1

    def _noisy(self, sums: list[Tensor]) -> list[Tensor]:
        """The sums of clipped gradients with this process's share of the noise."""
        deviation = self.settings.gradient_sigma * self.clip
        if self.rank == 0 and deviation:
            pieces = [piece for s in sums for piece in s.view(-1).split(NOISE_PIECE)]
            for part, piece in enumerate(pieces):  # a piece at a time: noise needs no memory of its own
                noise = torch.from_numpy(self.noise.normal(self.step, len(piece), part))
                piece.add_(noise.to(piece), alpha=deviation)
        return sums

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps besides parameters and optimizer. The secret is kept apart: it is no part of a release."""
        if self._open:
            raise PrivacyError("a checkpoint is written between steps, and one is open.")
        return {
            "step": self.step,
            "clip": self.clip,
            "run": self.secret.name,
            "plan": self.settings.digest(),
            "fingerprint": self.fingerprint,
        } | ({"strategy": self.settings.strategy()} if self.settings.noise != "independent" else {})

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises PrivacyError where noise would be used again for other sums."""
        missing = [name for name in ("step", "clip", "run", "plan", "fingerprint") if name not in state]
        if missing:
            raise PrivacyError(
                f"the checkpoint has no private state ({', '.join(missing)}): who came and which noise was used is unknown. "
                "Start a new run from its weights, which spends its budget anew."
            )
        if state["run"] != self.secret.name:
            raise PrivacyError(
                f"the checkpoint is of the run {state['run']}, the secret of {self.secret.name}. Give that run's secret, or "
                "start a new run from its weights, which spends its budget anew."
            )
        if other := self.differing(state):
            raise PrivacyError(
                f"the checkpoint was written under another {' and '.join(other)}. Going on would repeat its noise on other "
                "sums, whose difference is then without noise. Start a new run from its weights, with a new secret."
            )
        self.step, self.clip = int(state["step"]), float(state["clip"])

    def differing(self, state: dict[str, Any]) -> list[str]:
        """What decides this run's sums, and was another one in the run of `state`: names."""
        mine = {"plan": self.settings.digest(), "fingerprint": self.fingerprint}
        return [name for name, value in mine.items() if state.get(name) != value]

    def close(self) -> None:
        """Close the reservation with the steps that ran, and take the hooks off."""
        if self.spend is not None and not self.spend.closed and self.rank == 0:
            self.spend.close(self.step)
        self.gradients.close()
