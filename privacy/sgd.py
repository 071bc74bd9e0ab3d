"""Differentially private SGD (Abadi et al. 2016) for units of privacy, one step after another.

In step s every unit joins with probability `rate`, drawn by the run's secret. The rows of a unit, augmented copies included,
are averaged to one gradient, which is scaled down to the norm C at most; the sum over units gets normal noise of deviation
sigma * C and is divided by the public constant rate * units, never by the number that came:

    g = (1 / (rate * units)) * (sum over units u of  h_u * min(1, C / |h_u|)  +  N(0, sigma^2 C^2)),   h_u = mean of u's rows

So adding or removing one unit moves the sum by at most C (adjacency: add or remove one unit), and each step is one event
`poisson-gaussian` of (rate, sigma). What an optimizer makes of g costs nothing more.

    private = Private(model, settings, units, secret)
    private.check(loss, two_rows)                       # per-sample gradients are what they should be, or PrivacyError
    for step in range(settings.steps):
        for rows in private.begin(step):                # physical batches of whole units, this process's share
            private.add(lambda: loss(model, batch_of(rows)), rows)
        private.finish()                                # parameters' .grad is g
        optimizer.step()
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from corpusmill.privacy.accounting import Event
from corpusmill.privacy.gradients import Gradients, Layout, Mode
from corpusmill.privacy.ledger import Spend
from corpusmill.privacy.secret import COUNT, Secret
from corpusmill.privacy.units import Units
from corpusmill.transforms.errors import PrivacyError

NOISE_PIECE = 1 << 18
"""Numbers of noise that are drawn at once, each piece from a stream of its own."""
Loss = Callable[[nn.Module, dict[str, Tensor]], Tensor]
"""Of (model, batch): one loss a row, [B]; a mean over the row's own tokens, never over the batch's."""


class DpSettings(BaseModel):
    """Everything public about a private run: what its epsilon and its updates depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1, description="steps of the whole run")
    rate: float = Field(gt=0, le=1, description="probability with which a unit joins a step")
    sigma: float = Field(ge=0, allow_inf_nan=False, description="noise: its deviation over the clipping norm")
    units: int = Field(
        ge=1, description="the public number of units; the sum of a step is divided by rate * units, whoever came"
    )
    clip: float = Field(
        default=1.0, gt=0, description="clipping norm C of a unit's gradient; where adaptive clipping starts"
    )
    clipping: Literal["fixed", "adaptive", "per-layer"] = Field(
        default="fixed",
        description="one norm; one that follows a quantile (Andrew et al. 2021); or C / sqrt(L) for each of L parameters",
    )
    quantile: float = Field(default=0.5, gt=0, lt=1, description="adaptive: share of units that should not be clipped")
    clip_rate: float = Field(default=0.2, gt=0, description="adaptive: how fast C follows")
    count_sigma: float | None = Field(
        default=None, gt=0, description="adaptive: noise on the number of unclipped units; by default rate * units / 20"
    )
    mode: Mode = Field(default="hooks", description="how gradients of units are found: hooks, fast or ghost")
    max_rows: int = Field(default=1, ge=1, description="rows of one unit; units with more are refused")
    micro_rows: int = Field(default=32, ge=1, description="rows that go through the model at once")

    @model_validator(mode="after")
    def _count_noise(self) -> DpSettings:
        if self.clipping == "adaptive" and self.sigma and 2 * self.counting <= self.sigma:
            raise ValueError(
                f"count_sigma {self.counting:g}: twice it must be above sigma ({self.sigma:g}), or nothing is left for gradients"
            )
        return self

    @property
    def divisor(self) -> float:
        """What the sum of a step is divided by."""
        return self.rate * self.units

    @property
    def counting(self) -> float:
        """Noise on the number of unclipped units."""
        return self.count_sigma or max(self.divisor / 20, self.sigma)

    @property
    def gradient_sigma(self) -> float:
        """Noise on gradients over C. With adaptive clipping, gradients and counts together cost what `sigma` says:
        sigma^-2 = gradient_sigma^-2 + (2 counting)^-2 (Andrew et al. 2021, theorem 1)."""
        if self.clipping != "adaptive" or self.sigma == 0:
            return self.sigma
        return (self.sigma**-2 - (2 * self.counting) ** -2) ** -0.5

    def event(self) -> Event:
        """What the whole run costs."""
        return Event(
            kind="poisson-gaussian" if self.rate < 1 else "gaussian", rate=self.rate, sigma=self.sigma, count=self.steps
        )

    def digest(self) -> str:
        """Equal for settings whose steps are the same; more steps, and how rows are batched, change none."""
        shaping = self.model_copy(update={"steps": 1, "micro_rows": 1})
        return hashlib.sha256(shaping.model_dump_json().encode()).hexdigest()[:32]


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
        self.gradients = Gradients(model, settings.mode)
        self.clip, self.step = settings.clip, 0
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._checked = False
        self._open = False
        self._waiting = np.zeros(0, np.int64)
        self._sums: dict[nn.Parameter, Tensor] = {}
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
        self._waiting = joined[self.rank :: self.world]
        self._sums, self._unclipped, self._open = {}, 0.0, True
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
        if self.settings.clipping == "per-layer":
            share = self.clip / math.sqrt(len(norms))
            factors = {p: _factor(norm, share, broken) for p, norm in norms.items()}
        else:
            factors = dict.fromkeys(norms, _factor(total, self.clip, broken))
        with torch.no_grad():
            for p, part in self.gradients.weighted(factors):
                self._sums[p] = self._sums[p].add_(part) if p in self._sums else part
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
        sums = self._noisy([self._sums.get(p, torch.zeros_like(p)) for p in self.parameters.values()])
        unclipped = torch.tensor(self._unclipped, dtype=torch.float64)
        if self.world > 1:
            import torch.distributed as dist

            for tensor in (*sums, unclipped):
                dist.all_reduce(tensor)
        for p, s in zip(self.parameters.values(), sums):
            p.grad = s.div_(self.settings.divisor)
        if self.settings.clipping == "adaptive":
            noise = (
                float(self.secret.normal(self.step, 1, purpose=COUNT)[0]) * self.settings.counting
                if self.settings.sigma
                else 0.0
            )
            share = (float(unclipped) + noise) / self.settings.divisor + 0.5
            self.clip *= math.exp(-self.settings.clip_rate * (min(max(share, 0.0), 1.0) - self.settings.quantile))
        self._sums, self._open = {}, False
        self.step += 1

    def _noisy(self, sums: list[Tensor]) -> list[Tensor]:
        """The sums of clipped gradients with this process's share of the noise."""
        deviation = self.settings.gradient_sigma * self.clip
        if self.rank == 0 and deviation:
            pieces = [piece for s in sums for piece in s.view(-1).split(NOISE_PIECE)]
            for part, piece in enumerate(pieces):  # a piece at a time: noise needs no memory of its own
                noise = torch.from_numpy(self.secret.normal(self.step, len(piece), part))
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
        }

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


def _factor(norm: Tensor, clip: float, broken: Tensor) -> Tensor:
    """min(1, C / norm), a rounding error smaller; 0 for units whose gradient is no number."""
    return torch.where(broken, 0.0, (clip * (1 - 1e-6) / norm.clamp(min=1e-12)).clamp(max=1.0))


def check(
    model: nn.Module, loss: Loss, batch: dict[str, Tensor], mode: Mode = "hooks", gradients: Gradients | None = None
) -> float:
    """The largest relative error of the gradients of units against rows that went through the model alone.

    Compared are single rows at the weights as they are; and, at weights moved by random numbers, single rows and a unit of several
    rows: where a factor is 0 at first (LoRA's B, a gate), the weights as they are show nothing of what is behind it. The model, its
    gradients and torch's generator stay as they were.

    Args:
        batch: columns of at least two rows that differ.

    Raises:
        PrivacyError: a row's loss depends on the others, or a parameter's gradient differs by more than 1e-3 of its norm: weights
            used outside of their layer (`F.linear(x, embedding.weight)`), or what is computed once for all rows.
    """
    sizes = {len(column) for column in batch.values()}
    if len(sizes) != 1 or min(sizes) < 2:
        raise PrivacyError("the check needs a batch of at least two rows, all columns of one length.")
    # a batch as long as its rows are would let what has no batch dimension pass by accident
    inner = {n for column in batch.values() for n in column.shape[1:]}
    count = next(n for n in range(3, len(inner) + 4) if n not in inner)
    index = torch.arange(count) % 2
    batch = {name: column[index.to(column.device)] for name, column in batch.items()}
    if all(torch.equal(column[0], column[1]) for column in batch.values()):
        raise PrivacyError("the check needs two rows that differ.")
    own = gradients or Gradients(model, mode)
    before = {p: p.grad for p in own.names}
    was = model.training
    alone, unit = np.arange(count), np.maximum(np.arange(count) - 1, 0)  # the second: rows 0 and 1 are one unit
    try:
        with _without_dropout(model):
            model.train()
            worst = _compare(model, loss, batch, own, alone)
            with _moved(list(own.names)):
                worst = max(worst, *(_compare(model, loss, batch, own, of_row) for of_row in (alone, unit)))
    finally:
        for p, grad in before.items():
            p.grad = grad
        model.train(was)
        if gradients is None:
            own.close()
    return worst


def _compare(model: nn.Module, loss: Loss, batch: dict[str, Tensor], own: Gradients, of_row: np.ndarray) -> float:
    """The largest relative error of the gradients of units; of_row: the unit of each row. Raises as `check`."""
    names, count = own.names, len(of_row)
    truths: list[dict[nn.Parameter, Tensor]] = []
    losses = []
    for i in range(count):
        for p in names:
            p.grad = None
        single = loss(model, {name: column[i : i + 1] for name, column in batch.items()})
        if single.shape != (1,):
            raise PrivacyError(
                f"the loss of one row has shape {tuple(single.shape)}, not (1,). Give one loss a row: a mean over the "
                "row's own tokens, not over the batch."
            )
        single.sum().backward()
        losses.append(float(single.detach()[0]))
        truths.append({p: torch.zeros_like(p) if p.grad is None else p.grad for p in names})
    together = own.backward(lambda: loss(model, batch), Layout.of(of_row))
    for i, value in enumerate(losses):
        if abs(float(together[i]) - value) > 1e-4 * max(1.0, abs(value)):
            raise PrivacyError(
                f"the loss of a row is {value:.6g} alone and {float(together[i]):.6g} among others. Divide by "
                "the row's own number of tokens, not by the batch's, and let no layer mix rows."
            )
    norms, worst = own.norms(), 0.0
    units = int(of_row.max()) + 1
    for u in range(units):
        rows = np.flatnonzero(of_row == u)
        one = torch.zeros(units)
        one[u] = 1.0
        sums = {p: torch.zeros_like(p) for p in names}
        for p, part in own.weighted(dict.fromkeys(names, one.to(next(iter(names)).device))):
            sums[p] = sums[p] + part
        truth = {p: torch.stack([truths[i][p] for i in rows]).mean(0) for p in names}
        size = math.sqrt(sum(float(t.square().sum()) for t in truth.values()))
        for p, name in names.items():
            scale = max(float(truth[p].norm()), 1e-3 * size, 1e-12)
            error = max(
                float((sums[p] - truth[p]).norm()) / scale,
                abs(float(norms[p][u]) - float(truth[p].norm())) / scale,
            )
            worst = max(worst, error)
            if not error < 1e-3:
                raise PrivacyError(
                    f"{name}: its per-sample gradient is off by {error:.1%}. A weight that is used outside of its own "
                    "layer (tied by F.linear), or something computed once for the whole batch, is the usual cause: "
                    "untie the weights, expand positions to the batch, or freeze this parameter."
                )
    return worst


@contextlib.contextmanager
def _moved(parameters: list[nn.Parameter]) -> Iterator[None]:
    """The parameters moved by normal numbers of about half the size of a usual initialisation, then as they were."""
    generator = torch.Generator().manual_seed(1)
    kept = [p.detach().clone() for p in parameters]
    try:
        with torch.no_grad():
            for p in parameters:
                deviation = 0.5 / math.sqrt(p[0].numel()) if p.dim() > 1 else 0.1
                p.add_(torch.randn(p.shape, generator=generator).to(p) * deviation)
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(parameters, kept):
                p.copy_(value)


@contextlib.contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Dropout off, in training mode; torch's generator as it was afterwards."""
    layers = [m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
    rates = [m.p for m in layers]
    state = torch.get_rng_state()
    try:
        for m in layers:
            m.p = 0.0
        yield
    finally:
        for m, p in zip(layers, rates):
            m.p = p
        torch.set_rng_state(state)
