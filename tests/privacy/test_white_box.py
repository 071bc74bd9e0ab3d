"""The self-test passes what is right, and catches each fault in 19 of 20 runs. One run a fault, 20 with FAULTS=long."""

import os

import numpy as np
import pytest
import torch

pytest.importorskip("opacus")

from corpusmill.privacy import white_box as module
from corpusmill.privacy.optimizer import UnitOptimizer
from corpusmill.privacy.secret import NOISE, Secret
from corpusmill.privacy.units import Units
from corpusmill.privacy.white_box import white_box
from tests.command import invoke, invoke_json

RUNS = 20 if os.environ.get("FAULTS") == "long" else 1
NORMAL, SAMPLED, ADD = Secret.normal, Secret.sampled, UnitOptimizer.add


def halved(patch):
    patch.setattr(Secret, "normal", lambda *a, **k: NORMAL(*a, **k) / 2)
    return "noise, deviation"


def reused(patch):
    patch.setattr(
        Secret, "normal", lambda self, step, count, part=0, purpose=NOISE: NORMAL(self, 0, count, part, purpose)
    )
    return "noise, independence"


def reused_with_a_sign(patch):
    """Two steps cancel each other's noise."""
    patch.setattr(
        Secret,
        "normal",
        lambda self, step, count, part=0, purpose=NOISE: (
            NORMAL(self, step // 2, count, part, purpose) * (1 - 2 * (step % 2))
        ),
    )
    return "noise, independence"


def same_for_all_parameters(patch):
    patch.setattr(
        Secret, "normal", lambda self, step, count, part=0, purpose=NOISE: NORMAL(self, step, count, 0, purpose)
    )
    return "noise, independence"


def uniform(patch):
    patch.setattr(
        Secret, "normal", lambda self, step, count, *a, **k: (np.random.default_rng().random(count) - 0.5) * 12**0.5
    )
    return "noise, shape"


def clipped_by_microbatch(patch):
    """The sum of a physical batch is scaled down to C for each of its units, and no unit by itself."""

    def add(self, gradients, norms, total):
        parts = dict(gradients.weighted(dict.fromkeys(norms, torch.ones_like(total))))
        size = torch.stack([part.norm() for part in parts.values()]).norm()
        for p, part in parts.items():
            part = part * min(1.0, float(self.max_grad_norm * len(total) / size))
            p.summed_grad = part if p.summed_grad is None else p.summed_grad + part

    patch.setattr(UnitOptimizer, "add", add)
    return "one unit, of two that pull apart"


def rows_for_units(patch):
    patch.setattr(module, "Units", lambda number: Units(np.arange(len(number))))
    return "one unit, of equal rows"


def fixed_batches(patch):
    """Batches of a fixed size without replacement, a new order each epoch, accounted as Poisson sampling."""

    def sampled(self, step, units, rate):
        if rate >= 1:
            return np.arange(units)
        size = int(rate * units)
        epoch, place = divmod(step, units // size)
        order = np.random.default_rng([epoch, int(self.name[:8], 16)]).permutation(units)
        return np.sort(order[place * size : (place + 1) * size])

    patch.setattr(Secret, "sampled", sampled)
    return "sampling, joins by step"


def with_replacement(patch):
    """A fixed number of draws with replacement, accounted as Poisson sampling."""

    def sampled(self, step, units, rate):
        if rate >= 1:
            return np.arange(units)
        return np.unique(np.random.default_rng([step, int(self.name[:8], 16)]).integers(0, units, int(rate * units)))

    patch.setattr(Secret, "sampled", sampled)
    return "sampling, rate"


def one_batch_again_and_again(patch):
    patch.setattr(Secret, "sampled", lambda self, step, units, rate: SAMPLED(self, 0, units, rate))
    return "sampling, two steps running"


def divided_by_who_came(patch):
    scale = UnitOptimizer.scale_grad

    def own(self):
        came = sum(float(p.grad.norm() > 0) for p in self.params) or 1.0
        self.expected_batch_size *= 1 + 0.1 * came
        scale(self)

    patch.setattr(UnitOptimizer, "scale_grad", own)
    return "divisor"


FAULTS = (
    halved, reused, reused_with_a_sign, same_for_all_parameters, uniform, clipped_by_microbatch, rows_for_units, fixed_batches,
    with_replacement, one_batch_again_and_again, divided_by_who_came,
)  # fmt: skip


@pytest.mark.parametrize("mode", ["hooks", "fast", "ghost"])
def test_what_is_right_is_not_refuted(mode):
    alarms = [finding for _ in range(RUNS) for finding in white_box(mode) if finding.refuted]
    assert alarms == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_caught(fault, monkeypatch):
    name = fault(monkeypatch)
    caught = 0
    for _ in range(RUNS):
        caught += any(finding.refuted and finding.name == name for finding in white_box())
    assert caught >= 0.95 * RUNS


def test_the_command_says_what_holds_and_fails_where_something_does_not(monkeypatch):
    done = invoke("privacy", "audit", "--white-box")
    assert done.exit_code == 0, done.output
    assert "noise, deviation" in done.output
    assert all(not finding["refuted"] for finding in invoke_json("privacy", "audit", "--white-box")["findings"])
    halved(monkeypatch)
    done = invoke("privacy", "audit", "--white-box")
    assert done.exit_code == 1
    assert "REFUTED" in done.output
    assert "does not go with FILE" in invoke("privacy", "audit", "--white-box", "scores.jsonl").output
