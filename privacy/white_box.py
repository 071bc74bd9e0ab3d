"""A self-test of private steps, which sees everything: `corpusmill privacy audit --white-box`.

It runs the code that training runs, on data whose gradients are known: each unit moves a coordinate of its own. So the noise, who
joined, and what each unit changed can be read off the release, and be compared with what the accounting assumes:

    one unit     taking a unit out moves the noiseless sum by at most C: in a physical batch with a unit that pulls the other
                 way, and for a unit of several rows
    noise        has its deviation, is normal, and is independent between steps and between parameters
    sampling     each unit joins each step by a coin of its own: joins by step and by unit, and joins in two steps running
    divisor      the sum is divided by the public constant
    epsilon      lower bounds from canaries, for one step of all units and for many sampled steps, stay below the claim

Each statistical check has a p-value; together they raise a false alarm in one of 1,000 runs. What they cannot see is in
docs/privacy.md: above all, lower bounds alone seldom refute sampled steps, whose epsilon is an upper bound far above what any
attack on few canaries reaches. There the direct checks decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from corpusmill.privacy.accounting import epsilon
from corpusmill.privacy.audit import audit
from corpusmill.privacy.dp_settings import DpSettings, Mode
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import Units

ALARM = 1e-3
"""Probability of any false alarm in a whole run of the self-test."""
DELTA = 1e-5
_TESTS = 9
_PULL = 50.0


@dataclass(frozen=True)
class Finding:
    """One check. found, expected: in words; refuted: the code does not do what is accounted for."""

    name: str
    found: str
    expected: str
    refuted: bool


class _Model(nn.Module):
    """Scores by the sum of two linear maps; the second sees zeros, so that its gradient is noise alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seen, self.blank = nn.Linear(width, 1, bias=False), nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.seen(x) + self.blank(torch.zeros_like(x)))[:, 0]


def white_box(mode: Mode = "hooks") -> list[Finding]:
    """Run every check in a mode, with fresh secrets. About two CPU seconds."""
    return [*_one_unit(mode), *_noise(mode), *_sampling(mode), *_bounds(mode)]


def _steps(x: Tensor, unit_of_row: np.ndarray, mode: Mode, **plan: float) -> list[tuple[Tensor, Tensor]]:
    """(sum of `seen`, sum of `blank`) that each step releases, times the divisor; a unit's gradient is along -x."""
    torch.manual_seed(0)
    net = _Model(x.shape[1]).train()
    given: dict[str, object] = {"steps": 1, "rate": 1.0, "sigma": 1.0, "max_rows": 8, "micro_rows": 64, "mode": mode}
    settings = DpSettings.model_validate(given | plan)
    private = Private(net, settings, Units(unit_of_row), Secret())

    def losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        scores: Tensor = model(batch["x"])
        return -scores

    private.check(losses, {"x": torch.eye(3, x.shape[1])[:2] + 1.0})
    out = []
    for step in range(settings.steps):
        for rows in private.begin(step):
            private.add(partial(losses, net, {"x": x[torch.from_numpy(rows)]}), rows)
        private.finish()
        seen, blank = ((-torch.as_tensor(p.grad)[0] * settings.divisor).double() for p in private.parameters.values())
        out.append((seen, blank))
        net.zero_grad()
    private.close()
    return out


def _one_unit(mode: Mode) -> list[Finding]:
    """Noiseless sums with and without a unit."""
    ways = {
        "of two that pull apart": (
            torch.tensor([[10.0, 0.0, 0.0], [-20.0, 0.0, 0.0], [0.0, 0.5, 0.0]]),
            np.array([0, 1, 2]),
        ),
        "of four rows": (torch.eye(4, 6) * _PULL, np.array([0, 1, 1, 1])),
        "of equal rows": (torch.tensor([[0.0, _PULL, 0.0]]).repeat(5, 1), np.array([0, 1, 1, 1, 1])),
    }
    out = []
    for name, (x, number) in ways.items():
        keep = number != 1
        rest = np.unique(number[keep], return_inverse=True)[1]
        whole = _steps(x, number, mode, sigma=0.0, units=1)[0]
        without = _steps(x[torch.from_numpy(keep)], rest, mode, sigma=0.0, units=1)[0]
        moved = math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(whole, without)))
        out.append(Finding(f"one unit, {name}", f"moves the sum by {moved:.4f} C", "at most 1 C", moved > 1 + 1e-4))
    return out


def _noise(mode: Mode, width: int = 1500, steps: int = 12) -> list[Finding]:
    """Deviation, shape and independence of the noise: [steps, width] of each of two parameters, no unit behind it."""
    from scipy import stats

    sigma = 1.3
    found = _steps(torch.zeros(2, width), np.arange(2), mode, steps=steps, sigma=sigma, units=2, clip=0.7)
    noise = np.stack([torch.stack(list(one)).numpy() for one in found]) / (sigma * 0.7)  # [steps, 2, width]
    flat = noise.ravel()
    below = stats.chi2.cdf(float((flat**2).sum()), flat.size)
    rows = noise.reshape(2 * steps, width)  # every step of every parameter beside every other
    between = np.abs(np.asarray(np.corrcoef(rows))[np.triu_indices(len(rows), 1)]).max()
    alike = 2 * stats.norm.sf(between * math.sqrt(width)) * len(rows) * (len(rows) - 1) / 2
    return [
        _test("noise, deviation", f"{flat.std():.3f} sigma C", "1 sigma C", 2 * min(below, 1 - below)),
        _test("noise, shape", f"skew {stats.skew(flat):.2f}", "normal", stats.kstest(flat / flat.std(), "norm").pvalue),
        _test("noise, independence", f"largest correlation {between:.3f}", "about 0", alike),
    ]


def _sampling(mode: Mode, units: int = 300, steps: int = 80, rate: float = 0.2) -> list[Finding]:
    """Who joined, read off sums with next to no noise; each unit has a coordinate of its own."""
    from scipy import stats

    sums = _steps(torch.eye(units) * _PULL, np.arange(units), mode, steps=steps, rate=rate, sigma=1e-3, units=units)
    size = torch.stack([seen for seen, _ in sums]).numpy()
    joined = size > 0.3
    spread = {
        "by step": (joined.sum(1), units),
        "by unit": (joined.sum(0), steps),
    }
    out = []
    for name, (counts, of) in spread.items():
        below = stats.chi2.cdf(float(((counts - of * rate) ** 2).sum() / (of * rate * (1 - rate))), len(counts))
        ratio = counts.var() / (of * rate * (1 - rate))
        out.append(_test(f"sampling, joins {name}", f"{ratio:.2f} of its variance", "1", 2 * min(below, 1 - below)))
    away = joined - rate  # products of steps running have mean 0 and no correlation with each other
    alike = float((away[1:] * away[:-1]).mean()) / (rate * (1 - rate))
    chance = 2 * stats.norm.sf(abs(alike) * math.sqrt((steps - 1) * units))
    out.append(_test("sampling, two steps running", f"correlation {alike:.3f}", "0", chance))
    total = stats.binomtest(int(joined.sum()), joined.size, rate).pvalue
    out.append(_test("sampling, rate", f"{joined.mean():.4f}", f"{rate:g}", total))
    odd = float(np.abs(size[joined] - 1).max()) if joined.any() else 0.0
    out.append(Finding("divisor", f"a unit adds 1 C up to {odd:.3f} C", "the public constant", odd > 0.02))
    return out


def _bounds(mode: Mode) -> list[Finding]:
    """Lower bounds on epsilon from canaries that a coin put in, beside what the accounting claims."""
    rng = np.random.default_rng(int.from_bytes(Secret().name[:8].encode(), "big"))
    out = []
    for name, count, rate, steps, sigma in (
        ("one step of all units", 1000, 1.0, 1, 1.0),
        ("sampled steps", 400, 0.25, 16, 0.8),
    ):
        member = rng.random(count) < 0.5
        x = (torch.eye(count) * _PULL)[torch.from_numpy(member)]
        plan = {"steps": steps, "rate": rate, "sigma": sigma, "units": count}
        sums = torch.stack([seen for seen, _ in _steps(x, np.arange(len(x)), mode, **plan)]).numpy()
        # the log likelihood ratio of joining each step with the rate, against never
        ratio = np.exp(np.minimum((2 * sums - 1) / (2 * sigma**2), 60))
        score = np.log1p(rate * (ratio - 1)).sum(0) if rate < 1 else sums.sum(0)
        bounds = audit(score[member], score[~member], DELTA, 1 - ALARM / _TESTS)
        claim = epsilon([DpSettings.model_validate(plan).event()], DELTA)
        least = max(bounds.epsilon, bounds.epsilon_gaussian if rate == 1 else 0.0)
        out.append(Finding(f"epsilon, {name}", f"at least {least:.2f}", f"at most {claim:.2f}", least > claim))
    return out


def _test(name: str, found: str, expected: str, p: float) -> Finding:
    """A finding that is refuted where its p-value is below its share of the false alarms."""
    return Finding(name, f"{found} (p = {min(p, 1.0):.2g})", expected, bool(p < ALARM / _TESTS))
