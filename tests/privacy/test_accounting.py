"""Published values, to the digits given, and properties of the accountants."""

import math
import os

import pytest

from corpusmill.privacy.accounting import (
    COARSE,
    Event,
    epsilon,
    filter_epsilon,
    filter_order,
    merge,
    replace_one,
    sigma_for,
)
from corpusmill.transforms.errors import PrivacyError


def steps(sigma: float, rate: float, count: int, **more: int) -> list[Event]:
    return [Event(kind="poisson-gaussian", sigma=sigma, rate=rate, count=count, **more)]


@pytest.mark.parametrize(
    ("sigma", "rate", "count", "delta", "published", "digits"),
    [
        (0.7, 0.01, 120, 1e-5, 2.4612381, 7),
        (0.35, 0.01, 120, 1e-5, 18.6977407, 7),
        (0.7, 1.0, 2, 1e-5, 10.1224946, 7),
        (1.0, 0.0064, 782, 1e-6, 1.199, 3),
    ],
)
def test_published_values_of_pld(sigma, rate, count, delta, published, digits):
    assert round(epsilon(steps(sigma, rate, count), delta), digits) == published


@pytest.mark.parametrize(
    ("sigma", "rate", "count", "delta", "published", "digits"),
    [
        (1.3, 150 / 60000, 6000, 1e-5, 0.7242234026, 10),
        (1.0, 0.001, 30000, 1e-7, 1.4154988495, 10),
        (0.7, 0.01, 120, 1e-5, 3.2392676, 7),
    ],
)
def test_published_values_of_rdp(sigma, rate, count, delta, published, digits):
    assert round(epsilon(steps(sigma, rate, count), delta, "rdp"), digits) == published


def test_published_value_of_rdp_in_opacus():
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(1.5, 0.04, 2250)]
    assert round(accountant.get_epsilon(1e-5), 11) == 7.32911117144  # to the published 7.32911117143 within 1e-11
    ours = epsilon(steps(1.5, 0.04, 2250), 1e-5, "rdp")  # the orders differ: 7.32933
    assert abs(ours - 7.32911117143) < 3e-4


def test_a_loss_beyond_the_memory_is_told(monkeypatch):
    def huge(*_):
        raise MemoryError

    monkeypatch.setattr("corpusmill.privacy.accounting._pld", huge)
    with pytest.raises(PrivacyError, match="Take more noise"):
        epsilon(steps(0.0001, 0.01, 100), 1e-6)


def test_published_value_of_prv():
    assert round(epsilon(steps(1.5, 0.04, 2249), 1e-5, "prv"), 9) == 6.777395712


@pytest.mark.parametrize(
    ("sigma", "rate", "count", "published"),
    [
        (4.0, 0.01, 10000, 1.26),
        (1.3, 256 / 60000, 15 * 60000 // 256, 1.19),
        (1.1, 256 / 60000, 60 * 60000 // 256, 3.01),
        (0.7, 256 / 60000, 45 * 60000 // 256, 7.10),
    ],
)
def test_published_values_with_the_classic_conversion(sigma, rate, count, published):
    assert abs(epsilon(steps(sigma, rate, count), 1e-5, "rdp-classic") - published) < 0.006


def test_published_calibration():
    count = int(90 / 0.04)
    assert sigma_for(8.0, 1e-5, 0.04, count, accountant="prv") == 1.34765625
    assert abs(sigma_for(8.0, 1e-5, 0.04, count, accountant="rdp") - 1.416) < 0.001


GRID = [
    (0.6, 0.005, 500, 1e-5),
    (0.8, 0.02, 1000, 1e-6),
    (1.0, 0.01, 3000, 1e-6),
    (1.0, 0.001, 10000, 1e-7),
    (1.5, 0.05, 300, 1e-5),
    (2.0, 0.1, 200, 1e-8),
]


@pytest.mark.parametrize("setting", GRID)
def test_prv_lies_within_0_011_above_pld(setting):
    sigma, rate, count, delta = setting
    pld, prv = (epsilon(steps(sigma, rate, count), delta, name) for name in ("pld", "prv"))
    assert 0 <= prv - pld < 0.011


@pytest.mark.parametrize("target", [0.5, 2.0, 8.0])
def test_noise_and_epsilon_round_trip(target):
    sigma = sigma_for(target, 1e-6, 0.01, 500, tolerance=1e-3)
    assert target - 1e-3 <= epsilon(steps(sigma, 0.01, 500), 1e-6) <= target


LONG = os.environ.get("FAULTS") == "long"


@pytest.mark.parametrize(
    ("rows", "published"), [(1, 2.13), (2, 4.55), (4, 10.0), *([(8, 23), (16, 57)] if LONG else [])]
)
def test_rows_that_are_clipped_each_for_itself_cost_their_unit_more(rows, published):
    """Sigma 1, rate 0.01, 1,000 steps, delta 1e-6: what a user with k rows really has."""
    found = epsilon(steps(1.0, 0.01, 1000, rows=rows), 1e-6, interval=COARSE)
    assert abs(found - published) < (0.011 if rows < 4 else 0.06 if rows < 8 else 0.6)


def test_heterogeneous_events_compose_below_the_sum_of_epsilons():
    runs = [steps(s, q, n)[0] for s, q, n in ((1.0, 0.01, 1000), (1.2, 0.02, 500), (0.9, 0.005, 2000))]
    together = epsilon(runs, 1e-6)
    assert together < 0.7 * sum(epsilon([r], 1e-6) for r in runs)
    assert together == epsilon(reversed(runs), 1e-6)
    assert merge([runs[0].times(400), runs[0].times(600)]) == (runs[0],)


def test_events_of_every_kind_compose():
    events = [
        Event(kind="gaussian", sigma=5.0, count=2),
        Event(kind="laplace", sigma=10.0),
        Event(kind="approximate", epsilon=0.1, delta=1e-8),
        *steps(1.0, 0.01, 100),
    ]
    assert max(epsilon([e], 1e-6) for e in events) < epsilon(events, 1e-6) < sum(epsilon([e], 2e-7) for e in events)
    assert epsilon([Event(kind="laplace", sigma=10.0)], 1e-9) == pytest.approx(0.1, abs=1e-3)


def test_no_noise_is_infinite_and_nothing_is_zero():
    assert epsilon(steps(0.0, 0.01, 1), 1e-6) == math.inf
    assert epsilon([], 1e-6) == 0.0


def test_a_filter_of_one_order_is_looser_than_the_best_order():
    events = steps(1.0, 0.01, 1000)
    best = min(filter_epsilon(events, 1e-6, a) for a in (4.0, 6.0, 8.0, 12, 16, 32))
    assert epsilon(events, 1e-6, "pld") < best <= filter_epsilon(events, 1e-6, 4.0)
    with pytest.raises(PrivacyError, match="nearest"):
        filter_epsilon(events, 1e-6, 3.14159)


def test_what_is_refused_says_why():
    with pytest.raises(PrivacyError, match="understates"):
        epsilon(steps(1, 0.01, 10), 1e-5, "gdp")
    with pytest.raises(PrivacyError, match="no accountant"):
        epsilon(steps(1, 0.01, 10), 1e-5, "moments")
    with pytest.raises(PrivacyError, match="delta"):
        epsilon(steps(1, 0.01, 10), 0.0)
    with pytest.raises(PrivacyError, match="Use `pld`"):
        epsilon([Event(kind="laplace", sigma=1.0)], 1e-5, "prv")
    with pytest.raises(PrivacyError, match="spent already"):
        sigma_for(1.0, 1e-6, 0.01, 10, before=steps(0.5, 0.1, 1000))
    with pytest.raises(ValueError, match="poisson-gaussian"):
        Event(kind="gaussian", sigma=1.0, rate=0.5)


def test_replacing_a_unit_costs_both_ways():
    assert replace_one(1.0, 1e-6) == (2.0, pytest.approx(1e-6 * (1 + math.e)))


@pytest.mark.parametrize(
    ("sigma", "count", "delta"), [(1.0, 1, 1e-5), (2.6, 1, 1e-5), (5.0, 100, 1e-6), (0.5, 3, 1e-9)]
)
def test_gaussian_sums_have_a_closed_form_that_the_grid_bounds(sigma, count, delta):
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    closed = epsilon([Event(kind="gaussian", sigma=sigma, count=count)], delta)
    grid = from_gaussian_mechanism(sigma / math.sqrt(count), value_discretization_interval=1e-3)
    assert closed <= grid.get_epsilon_for_delta(delta) <= closed * 1.001


def test_large_gaussian_sums_need_no_grid_that_fills_memory():
    """`privacy plan --rate 1` took 5.3 GB for this. The loss is normal with mean mu^2 / 2 and deviation mu."""
    mu = math.sqrt(10_000) / 0.6
    value = epsilon([Event(kind="gaussian", sigma=0.6, count=10_000)], 1e-5)
    assert mu * mu / 2 + 4.2 * mu < value < mu * mu / 2 + 4.3 * mu
    beside = epsilon([Event(kind="gaussian", sigma=0.6, count=10_000), *steps(1.0, 0.01, 10)], 1e-5)
    assert value < beside < value * 1.001


def test_deltas_of_approximate_events_come_off_the_gaussian_delta():
    sums = Event(kind="gaussian", sigma=2.0, count=3)
    lost = Event(kind="approximate", delta=1e-6, count=3)
    assert epsilon([sums, lost], 1e-5) == pytest.approx(epsilon([sums], 7e-6), abs=1e-5)
    assert epsilon([sums, lost], 2.9e-6) == math.inf


def test_a_filter_bounds_any_adaptive_choice_and_its_order_is_fixed_by_the_budget():
    runs = [*steps(1.0, 0.02, 200), *steps(0.8, 0.05, 100), Event(kind="gaussian", sigma=5.0)]
    order = filter_order(8.0, 1e-6)
    for n in (1, 2, 3):
        assert epsilon(runs[:n], 1e-6) < filter_epsilon(runs[:n], 1e-6, order)
        assert epsilon(runs[:n], 1e-6, f"filter-{order:g}") == filter_epsilon(runs[:n], 1e-6, order)
    # by hand: a Gaussian sum has divergence order / (2 sigma^2)
    by_hand = order / (2 * 5.0**2) + math.log1p(-1 / order) - math.log(1e-6 * order) / (order - 1)
    assert filter_epsilon(runs[2:], 1e-6, order) == pytest.approx(by_hand)
    assert filter_epsilon([*runs[2:], Event(kind="approximate", delta=5e-7)], 1e-6, order) > by_hand
    assert filter_epsilon([Event(kind="approximate", delta=5e-7, count=2)], 1e-6, order) == math.inf
    # a smaller budget fixes a larger order
    assert filter_order(0.5, 1e-6) > filter_order(8.0, 1e-6) > filter_order(30.0, 1e-6)
