"""Correlated noise: strategies as good as published ones, the noise that the matrix says, and its cost."""

import numpy as np
import pytest
import torch
from torch import nn

from corpusmill.privacy.accounting import COARSE, Event, epsilon, filter_epsilon, merge
from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.mechanisms import choice, strategy, toeplitz
from corpusmill.privacy.mechanisms.average import Average
from corpusmill.privacy.mechanisms.noise import Noise
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import Units
from corpusmill.transforms.errors import PrivacyError

SECRET = Secret(bytes(range(32)))


def matrix(column: np.ndarray, count: int) -> np.ndarray:
    """C whole."""
    padded = np.zeros(count)
    padded[: len(column)] = column[:count]
    return np.array([[padded[i - j] if i >= j else 0.0 for j in range(count)] for i in range(count)])


def banded_settings(**more: object) -> DpSettings:
    column = strategy.banded(12, 4)
    return DpSettings(
        **{"steps": 12, "rate": 0.5, "sigma": 1.0, "units": 40, "noise": "banded", "bands": 4, "column": column, **more}
    )


def buffered_settings(**more: object) -> DpSettings:
    return DpSettings(
        **{"steps": 12, "rate": 1.0, "sigma": 1.0, "units": 40, "noise": "buffered", "bands": 4}
        | {"buffers": ((0.3, 0.9), (0.2, 0.4)), **more}
    )


def column_of(settings: DpSettings) -> np.ndarray:
    return np.array(settings.column) if settings.column else toeplitz.buffered(settings.buffers, settings.steps)


def test_error_sensitivity_and_their_slopes_are_those_of_whole_matrices():
    column, count = np.array([0.8, 0.4, 0.3, 0.2, 0.1]), 11
    c = matrix(column, count)
    sums = np.tril(np.ones((count, count))) @ np.linalg.inv(c)
    assert toeplitz.error(column, count) == pytest.approx(np.sqrt((sums**2).sum() / count))
    moved = max(np.linalg.norm(c[:, first::3].sum(axis=1)) for first in range(3))
    assert toeplitz.sensitivity(column, count, 3) == pytest.approx(moved)
    for function in (
        lambda x: toeplitz.error_and_slope(x, count),
        lambda x: toeplitz.sensitivity_and_slope(x, count, 3),
    ):
        slope = function(column)[1]
        for i in range(len(column)):
            step = np.zeros(5)
            step[i] = 1e-6
            assert (function(column + step)[0] - function(column - step)[0]) / 2e-6 == pytest.approx(slope[i], rel=1e-5)


def test_strategies_are_as_good_as_those_of_jax_privacy():
    # root mean squared error of jax-privacy 2.0: toeplitz.optimize_banded_toeplitz, and buffered_toeplitz.optimize at sensitivity 1
    for count, bands, known in ((64, 8, 2.66397483), (256, 16, 3.63757382), (512, 32, 3.84970988)):
        assert toeplitz.error(np.array(strategy.banded(count, bands)), count) == pytest.approx(known, rel=1e-8)
    for count, separation, known in ((256, 64, 5.78927259), (512, 32, 16.3756501), (1024, 256, 6.6742478)):
        column = toeplitz.buffered(strategy.buffers(count, separation), count)
        found = toeplitz.error(column, count) * toeplitz.sensitivity(column, count, separation)
        assert found == pytest.approx(known, rel=1e-6)


@pytest.mark.parametrize("settings", [banded_settings(), buffered_settings()])
def test_noise_is_what_the_matrix_makes_of_independent_draws(settings):
    z = np.stack([SECRET.normal(step, 5, 2) for step in range(12)])
    wanted = np.linalg.solve(matrix(column_of(settings), 12), z)
    one = Noise(SECRET, settings)
    assert np.allclose([one.normal(step, 5, 2) for step in range(12)], wanted)
    forgetful = Noise(SECRET, settings, kept=0)  # draws all earlier steps again
    assert np.array_equal(forgetful.normal(9, 5, 2), Noise(SECRET, settings).normal(9, 5, 2))
    assert not forgetful._past
    late = Noise(SECRET, settings)  # a run that goes on
    assert [late.normal(step, 5, 2).tolist() for step in (7, 8)] == [one.normal(s, 5, 2).tolist() for s in (7, 8)]


def test_cost_of_bands_is_that_of_the_turns_of_a_group():
    banded = Event(kind="banded-gaussian", sigma=1.0, rate=0.2, bands=8, count=60)
    assert banded.plain() == Event(kind="poisson-gaussian", sigma=1.0, rate=0.2, count=8)
    # two runs of 9 steps are three turns each, not two and a half
    assert merge([banded.times(9)] * 2)[0].count == 4
    assert merge([banded.times(0)]) == ()
    assert filter_epsilon([banded], 1e-5, 8.0) >= epsilon([banded], 1e-5, interval=COARSE)
    whole = Event(kind="banded-gaussian", sigma=3.0, bands=1, count=9)
    assert epsilon([whole], 1e-5) == epsilon([Event(kind="gaussian", sigma=1.0)], 1e-5)


def test_cost_of_buffers_is_one_sum_of_their_sensitivity():
    buffers = ((0.3, 0.9), (0.2, 0.4))
    event = Event(kind="buffered-gaussian", sigma=5.0, bands=4, count=12, buffers=buffers)
    most = np.linalg.norm(matrix(toeplitz.buffered(buffers, 12), 12)[:, ::4].sum(axis=1))
    assert event.plain().sigma == pytest.approx(5.0 / most)
    assert epsilon([event.times(5)], 1e-5) < epsilon([event], 1e-5)  # closed after five steps
    assert Event.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "gaussian", "sigma": 1.0, "bands": 2},
        {"kind": "buffered-gaussian", "sigma": 1.0, "bands": 2},
        {"kind": "banded-gaussian", "sigma": 1.0, "bands": 2, "buffers": ((0.1, 0.5),)},
        {"kind": "buffered-gaussian", "sigma": 1.0, "bands": 2, "buffers": ((0.1, 1.5),)},
        {"kind": "buffered-gaussian", "sigma": 1.0, "bands": 2, "buffers": ((-0.1, 0.5),)},
        {"kind": "banded-gaussian", "sigma": 1.0, "bands": 2, "rows": 3},
    ],
)
def test_events_that_contradict_themselves_are_refused(wrong):
    with pytest.raises(ValueError):
        Event(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"column": (0.9, 0.9, 0.1, 0.1)},
        {"column": (0.9, -0.1, 0.1, 0.1)},
        {"column": (0.9,)},
        {"clipping": "adaptive"},
        {"noise": "buffered"},
    ],
)
def test_settings_whose_sensitivity_is_not_accounted_for_are_refused(wrong):
    with pytest.raises(ValueError):
        banded_settings(**wrong)


@pytest.mark.parametrize("settings", [banded_settings(sigma=0.0), buffered_settings(sigma=0.0)])
def test_a_unit_joins_only_the_turns_of_its_group(settings):
    net = nn.Linear(40, 1, bias=False).train()
    private = Private(net, settings, Units(np.arange(40)), SECRET)
    private.check(lambda model, batch: -model(batch["x"])[:, 0], {"x": torch.eye(40)[:2] * 9})
    seen = []
    for step in range(12):
        for rows in private.begin(step):
            private.add(lambda rows=rows: -net(torch.eye(40)[torch.from_numpy(rows)] * 9)[:, 0], rows)
        private.finish()
        seen.append((net.weight.grad[0] != 0).numpy())
        assert float(net.weight.grad.abs().max()) <= 1 / settings.divisor + 1e-6  # C over the public size of a step
        net.zero_grad()
    seen = np.stack(seen)
    for unit in range(40):
        assert len(set(np.flatnonzero(seen[:, unit]) % 4)) <= 1
    assert seen.any(axis=0).sum() > 30


def test_bands_are_chosen_by_what_they_are_worth():
    found = choice.plan("banded", 2500, 10_000, 16, 8.0, 1e-5, accountant="pld-quick")
    assert found.bands > 1
    alone = choice.plan("independent", 2500, 10_000, 16, 8.0, 1e-5, accountant="pld-quick")
    assert found.deviation < 0.9 * alone.deviation
    event = choice.strategy_of("banded", found.bands, 2500, 10_000, 16)[1]
    assert 7.98 < epsilon([event.model_copy(update={"sigma": found.sigma})], 1e-5, "pld-quick") <= 8.0
    with pytest.raises(PrivacyError, match="do not fit"):
        choice.plan("banded", 128, 10_000, 64, 8.0, 1e-5, bands=65)


def test_the_average_is_the_mean_of_the_last_weights_and_goes_on():
    net = nn.Linear(1, 1, bias=False)
    whole, parts = (Average(dict(net.named_parameters()), 4, 0.5) for _ in range(2))
    for step in range(4):
        net.weight.data.fill_(float(step))
        whole.add(step)
        parts.add(step)
        stored, parts = parts.state(), Average(dict(net.named_parameters()), 4, 0.5)
        parts.restore(stored)
    parts.finish()
    assert net.weight.item() == 2.5
    whole.finish()
    assert net.weight.item() == 2.5
