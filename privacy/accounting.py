"""What a private computation costs: epsilon of composed events at a given delta.

An event says which mechanism ran, how often, and with how much noise for the largest change that one unit of privacy can
make. Adjacency is add-or-remove: two data sets are neighbours if one has one unit more. Events compose numerically as
privacy loss distributions (Koskela et al. 2020; Doroshenko et al. 2022, "connect the dots"), computed by dp-accounting: the
result is an upper bound up to floating point. Opacus' PRV accountant (Gopi et al. 2021) can be asked beside it.

    poisson-gaussian   every unit joins a step with probability `rate`; the sum of clipped gradients gets noise sigma * C
    gaussian           a sum of sensitivity C over all units gets noise sigma * C
    laplace            a sum of sensitivity C over all units gets Laplace noise of scale sigma * C
    approximate        anything that is (epsilon, delta)-differentially private
    banded-gaussian    units are in `bands` groups that take turns, and join their group's steps with probability `rate`; noise
                       sigma * C is correlated by a banded matrix with columns of norm 1 (`corpusmill.privacy.mechanisms`)
    buffered-gaussian  units are in `bands` groups that take turns; noise sigma * C is correlated by the matrix of `buffers`

The last two are counted as events of the first two kinds (`plain`).
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpusmill.transforms.errors import MissingDependencyError, PrivacyError

Kind = Literal["poisson-gaussian", "gaussian", "laplace", "approximate", "banded-gaussian", "buffered-gaussian"]
SAMPLED = ("poisson-gaussian", "banded-gaussian")
FILTER = "filter-"
ADJACENCY = "add-or-remove"
"""The adjacency of every epsilon here: neighbours differ in the presence of one unit."""
FINE, COARSE, ROUGH = 1e-4, 1e-3, 1e-2
"""Widths of the grid on which privacy losses lie; a coarser one is faster and only makes epsilon larger."""
CELLS = 2_000_000
"""Most cells of a grid for Gaussian sums; where losses spread further, the grid is coarser and epsilon a little larger."""


class Event(BaseModel):
    """One mechanism, run `count` times.

    >>> Event(kind="poisson-gaussian", sigma=1.0, rate=0.01, count=1000).short()
    '1,000 steps at rate 0.01, noise 1'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    count: int = Field(default=1, ge=0, description="how often the mechanism ran")
    sigma: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="noise over the largest change by one unit"
    )
    rate: float = Field(default=1.0, gt=0, le=1, description="probability with which a unit joins a step")
    rows: int = Field(
        default=1,
        ge=1,
        description="rows of one unit that are sampled and clipped each for itself; 1: the unit as a whole",
    )
    bands: int = Field(default=1, ge=1, description="groups of units that take turns, one a step")
    buffers: tuple[tuple[float, float], ...] = Field(default=(), description="(scale, decay) of a buffered strategy")
    epsilon: float = Field(default=0.0, ge=0, description="of an approximate event")
    delta: float = Field(default=0.0, ge=0, lt=1, description="of an approximate event")

    @model_validator(mode="after")
    def _consistent(self) -> Event:
        if (self.epsilon or self.delta) and self.kind != "approximate":
            raise ValueError("`epsilon` and `delta` belong to events of kind `approximate`")
        if self.kind == "approximate" and (self.sigma or self.rate != 1 or self.rows != 1):
            raise ValueError("an event of kind `approximate` has only `epsilon`, `delta` and `count`")
        if self.kind not in SAMPLED and (self.rate != 1 or self.rows != 1):
            raise ValueError(f"`rate` and `rows` belong to events of kind `poisson-gaussian`, not `{self.kind}`")
        if self.kind == "banded-gaussian" and self.rows != 1:
            raise ValueError("`rows` belongs to events of kind `poisson-gaussian`, not `banded-gaussian`")
        if (self.bands != 1 and not self.correlated) or bool(self.buffers) != (self.kind == "buffered-gaussian"):
            raise ValueError("`bands` and `buffers` belong to correlated noise, and `buffered-gaussian` needs both")
        if any(not (scale >= 0 and 0 <= decay <= 1) for scale, decay in self.buffers):
            raise ValueError("a buffer has a scale of at least 0, and a decay between 0 and 1")
        return self

    @property
    def correlated(self) -> bool:
        """Whether noise is correlated between steps."""
        return self.kind in ("banded-gaussian", "buffered-gaussian")

    def plain(self) -> Event:
        """The event of independent noise that costs as much as this one.

        Banded: a unit joins every `bands`-th step at most. The columns of these steps are orthogonal, so the whole is at most as
        many sampled Gaussian steps as its group has turns (Choquette-Choo et al. 2023, theorem 4; McKenna 2024, arXiv 2405.15913).
        Buffered: one Gaussian sum, of the sensitivity of all the steps that a unit joins (McMahan et al. 2024, arXiv 2408.08868).
        """
        if not self.correlated or not self.count:
            return self
        if self.kind == "banded-gaussian":
            turns = -(-self.count // self.bands)
            return Event(
                kind="poisson-gaussian" if self.rate < 1 else "gaussian", sigma=self.sigma, rate=self.rate, count=turns
            )
        from corpusmill.privacy.mechanisms.toeplitz import buffered, sensitivity

        most = sensitivity(buffered(self.buffers, self.count), self.count, self.bands)
        return Event(kind="gaussian", sigma=self.sigma / most)

    def times(self, count: int) -> Event:
        """The same mechanism, run `count` times."""
        return self.model_copy(update={"count": count})

    def short(self) -> str:
        """One line for tables."""
        if self.kind == "approximate":
            return f"{self.count:,} x epsilon {self.epsilon:g}, delta {self.delta:g}"
        if self.correlated:
            by = "bands" if self.kind == "banded-gaussian" else "turns"
            more = f", {len(self.buffers)} buffers" if self.buffers else f" at rate {self.rate:g}"
            return f"{self.count:,} steps of {self.bands} {by}{more}, noise {self.sigma:g}"
        unit = "steps" if self.kind == "poisson-gaussian" else f"{self.kind} sums"
        rate = f" at rate {self.rate:g}" if self.kind == "poisson-gaussian" else ""
        rows = f", {self.rows} rows a unit" if self.rows > 1 else ""
        return f"{self.count:,} {unit}{rate}{rows}, noise {self.sigma:g}"


def merge(events: Iterable[Event]) -> tuple[Event, ...]:
    """Plain events, with equal mechanisms counted together, in a fixed order: what epsilon depends on."""
    counts: dict[Event, int] = {}
    for event in (e.plain() for e in events):
        key = event.times(1)
        counts[key] = counts.get(key, 0) + event.count
    return tuple(sorted((e.times(n) for e, n in counts.items() if n), key=lambda e: e.model_dump_json()))


def epsilon(events: Iterable[Event], delta: float, accountant: str = "pld", interval: float = FINE) -> float:
    """Epsilon at `delta` of all events composed; infinite where one has no noise.

    accountant: pld (the one to claim), pld-quick (a wide grid, to compare plans), prv, rdp (Mironov 2017, conversion of Balle et
    al. 2020), rdp-classic (conversion of Abadi et al. 2016: loose, for comparison with old papers), filter-ORDER (see
    `filter_epsilon`).
    interval: of the grid of `pld`. Raises PrivacyError for `gdp` and for what an accountant cannot do.

    >>> round(epsilon([Event(kind="poisson-gaussian", sigma=0.7, rate=0.01, count=120)], 1e-5), 4)
    2.4612
    """
    if not 0 < delta < 1:
        raise PrivacyError(f"delta is {delta}; it is a probability between 0 and 1, well below 1 / number of units.")
    merged = merge(events)
    if not merged:
        return 0.0
    if accountant == "gdp":
        raise PrivacyError(
            "the accountant `gdp` rests on a central limit and understates epsilon (1.89 where 3.85 is spent). Use `pld`."
        )
    if accountant.startswith(FILTER):
        noise_free = any(e.kind != "approximate" and e.sigma == 0 for e in merged)
        return math.inf if noise_free else filter_epsilon(merged, delta, float(accountant.removeprefix(FILTER)))
    if accountant not in _ACCOUNTANTS:
        raise PrivacyError(f"no accountant is called `{accountant}`; there are {', '.join(_ACCOUNTANTS)}.")
    if any(e.kind != "approximate" and e.sigma == 0 for e in merged):
        return math.inf
    if accountant == "pld":
        return float(_pld_epsilon(merged, delta, interval))
    return float(_ACCOUNTANTS[accountant](merged, delta))


@lru_cache(512)
def _pld_epsilon(events: tuple[Event, ...], delta: float, interval: float) -> float:
    mu = math.sqrt(sum(e.count / e.sigma**2 for e in events if e.kind == "gaussian"))
    others = [e for e in events if e.kind != "gaussian"]
    if all(e.kind == "approximate" and e.epsilon == 0 for e in others):
        lost = -math.expm1(sum(e.count * math.log1p(-e.delta) for e in others))
        return _gaussian_epsilon(mu, delta, lost)
    # n Gaussian sums are one with less noise, exactly; the grid must hold its losses, which a large one spreads far
    if mu:
        others.append(Event(kind="gaussian", sigma=1 / mu))
        interval = max(interval, (mu * mu / 2 + 10 * mu) * 2 / CELLS)
    total: Any = None
    for event in others:
        try:
            one = _pld(event, interval)
            total = one if total is None else total.compose(one)
        except MemoryError:  # the grid of losses grows with what each step gives away
            raise PrivacyError(
                f"a privacy loss this large cannot be computed: {event.kind} noise of {event.sigma:g} times the sensitivity hides "
                "nothing. Take more noise; below 0.1 there is no privacy to speak of."
            ) from None
    return total.get_epsilon_for_delta(delta)


def _rough_epsilon(events: tuple[Event, ...], delta: float) -> float:
    """`pld` on a grid as wide as the number of steps allows: what rounding adds grows with it."""
    steps = max(event.count for event in events)
    return float(_pld_epsilon(events, delta, max(COARSE, ROUGH * min(1.0, 10 / math.sqrt(steps)))))


def _gaussian_epsilon(mu: float, delta: float, lost: float = 0.0) -> float:
    """Epsilon at `delta` of a Gaussian mechanism whose means are mu deviations apart, by its closed form.

    delta(e) = Phi(mu / 2 - e / mu) - exp(e) Phi(-mu / 2 - e / mu)    (Balle and Wang 2018, theorem 8)

    lost: probability of an outcome that gives everything away, from events of kind `approximate` without epsilon.
    """
    from scipy.special import log_ndtr  # type: ignore[import-untyped]

    left = (delta - lost) / (1 - lost)
    if left <= 0:
        return math.inf

    def exceeds(eps: float) -> bool:
        first, second = log_ndtr(mu / 2 - eps / mu), eps + log_ndtr(-mu / 2 - eps / mu)
        return bool(first > second and first + _log1mexp(second - first) > math.log(left))

    if mu == 0 or not exceeds(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while exceeds(high):
        low, high = high, 2 * high
    while high - low > 1e-9 * max(1.0, high):
        middle = (low + high) / 2
        low, high = (middle, high) if exceeds(middle) else (low, middle)
    return high


def _log1mexp(x: float) -> float:
    """log(1 - exp(x)) for x < 0."""
    return math.log(-math.expm1(x))


@lru_cache(16)
def _pld(event: Event, interval: float) -> Any:
    """The privacy loss distribution of an event; both directions, add and remove."""
    try:
        from dp_accounting.pld import common
        from dp_accounting.pld import privacy_loss_distribution as pld
    except ImportError as error:
        raise MissingDependencyError(f"accounting needs {error.name}: pip install corpusmill[privacy]") from error
    grid: dict[str, Any] = {"value_discretization_interval": interval}
    if event.kind == "approximate":
        one = pld.from_privacy_parameters(common.DifferentialPrivacyParameters(event.epsilon, event.delta), **grid)
    elif event.kind == "laplace":
        one = pld.from_laplace_mechanism(event.sigma, **grid)
    elif event.kind == "gaussian":
        one = pld.from_gaussian_mechanism(event.sigma, **grid)
    elif event.rows == 1:
        one = pld.from_gaussian_mechanism(event.sigma, sampling_prob=event.rate, **grid)
    else:  # a unit adds j clips where j of its rows were sampled
        from scipy.stats import binom  # type: ignore[import-untyped]

        j = range(event.rows + 1)
        chances = binom.pmf(list(j), event.rows, event.rate)
        one = pld.from_mixture_gaussian_mechanism(
            event.sigma, [float(i) for i in j], list(chances / chances.sum()), **grid
        )
    return one.self_compose(event.count) if event.count > 1 else one


def _prv_epsilon(events: tuple[Event, ...], delta: float) -> float:
    try:
        from opacus.accountants import PRVAccountant
    except ImportError as error:
        raise MissingDependencyError(f"PRV needs {error.name}: pip install corpusmill[privacy]") from error
    odd = [e.kind for e in events if e.kind not in ("poisson-gaussian", "gaussian") or e.rows > 1]
    if odd:
        raise PrivacyError(f"PRV composes Gaussian steps only, not `{odd[0]}`. Use `pld`.")
    accountant = PRVAccountant()
    accountant.history = [(e.sigma, e.rate, e.count) for e in events]
    try:
        value = float(accountant.get_epsilon(delta))
    except Exception as error:  # it has no error type of its own
        raise PrivacyError(f"PRV cannot compute epsilon at delta {delta:g}: {error}. Use `pld`.") from error
    if not math.isfinite(value):
        raise PrivacyError(f"PRV gives no finite epsilon at delta {delta:g}. Use `pld`.")
    return value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of dp-accounting."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _rdp(events: Sequence[Event]) -> tuple[Any, Any]:
    """(orders, Renyi divergence at each) of all events, by dp-accounting."""
    import dp_accounting
    import numpy as np
    from dp_accounting.rdp import RdpAccountant

    orders = np.array([1 + x / 10.0 for x in range(1, 100)] + list(range(11, 64)) + [128, 256, 512, 1024])
    accountant = RdpAccountant(orders)
    for e in events:
        if e.kind not in ("poisson-gaussian", "gaussian", "laplace") or e.rows > 1:
            raise PrivacyError(f"RDP does not compose `{e.short()}`. Use `pld`.")
        one: Any = dp_accounting.LaplaceDpEvent if e.kind == "laplace" else dp_accounting.GaussianDpEvent
        event = one(e.sigma)
        with _quiet():  # an order whose series does not converge is left out, which only makes epsilon larger
            accountant.compose(dp_accounting.PoissonSampledDpEvent(e.rate, event) if e.rate < 1 else event, e.count)
    return orders, accountant._rdp


def _rdp_epsilon(events: tuple[Event, ...], delta: float) -> float:
    from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon

    return compute_epsilon(*_rdp(events), delta)[0]


def _classic_epsilon(events: tuple[Event, ...], delta: float) -> float:
    orders, rdp = _rdp(events)
    return float((rdp + math.log(1 / delta) / (orders - 1)).min())


_ACCOUNTANTS: dict[str, Any] = {
    "pld": _pld_epsilon,
    "pld-quick": _rough_epsilon,
    "prv": _prv_epsilon,
    "rdp": _rdp_epsilon,
    "rdp-classic": _classic_epsilon,
}


def filter_epsilon(events: Iterable[Event], delta: float, order: float) -> float:
    """Epsilon of a Renyi filter of one order that was fixed before the first event (Feldman and Zrnic 2021, theorem 4.3).

    It holds also where the parameters of later events were chosen after looking at the results of earlier ones; the tighter
    accountants are proven for parameters that were fixed beforehand. Events of kind `approximate` are delta-approximately of
    Renyi divergence epsilon at any order, and their deltas add up (Whitehouse et al. 2023). Infinite where delta is used up.

    Raises PrivacyError for an order that is not among `orders`, and for events without a Renyi divergence.
    """
    merged = merge(events)
    lost = sum(e.count * e.delta for e in merged if e.kind == "approximate")
    spent = sum(e.count * min(e.epsilon, order * e.epsilon**2 / 2) for e in merged if e.kind == "approximate")
    known, rdp = _rdp([e for e in merged if e.kind != "approximate"])
    at = int(abs(known - order).argmin())
    if abs(known[at] - order) > 1e-9:
        raise PrivacyError(f"order {order:g} is not among the Renyi orders; the nearest is {known[at]:g}.")
    if lost >= delta:
        return math.inf
    return float(max(0.0, rdp[at] + spent + _conversion(order, delta - lost)))


def _conversion(order: float, delta: float) -> float:
    """What epsilon is above the Renyi divergence of an order (Canonne, Kamath and Steinke 2020, proposition 12)."""
    return math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


def filter_order(target: float, delta: float) -> float:
    """The order at which a filter of `target` at `delta` lets through the most Gaussian noise: to be fixed beforehand."""
    orders = _rdp([])[0]
    return float(max(orders, key=lambda a: (target - _conversion(float(a), delta)) / a))


def sigma_for(
    target: float,
    delta: float,
    rate: float,
    count: int,
    before: Iterable[Event] = (),
    accountant: str = "pld",
    tolerance: float = 0.01,
) -> float:
    """The least noise by which `count` steps at `rate` keep epsilon, with all `before`, in [target - tolerance, target].

    Bisection from the bracket (0, 20), as Opacus does. Raises PrivacyError where `before` leaves nothing.
    """
    kind: Kind = "poisson-gaussian" if rate < 1 else "gaussian"
    event = Event(kind=kind, sigma=1.0, rate=rate, count=count)
    return noise_of(event, target, delta, before, accountant, tolerance)


def noise_of(
    event: Event,
    target: float,
    delta: float,
    before: Iterable[Event] = (),
    accountant: str = "pld",
    tolerance: float = 0.01,
) -> float:
    """As `sigma_for`, for an event of any kind with noise; its own `sigma` is not looked at."""
    spent = tuple(before)
    if epsilon(spent, delta, accountant) >= target:
        raise PrivacyError(f"epsilon {target:g} is spent already by what ran before; no amount of noise leaves room.")

    def cost(sigma: float, interval: float) -> float:
        return epsilon((*spent, event.model_copy(update={"sigma": sigma})), delta, accountant, interval)

    def bisect(low: float, high: float, reached: float, interval: float) -> tuple[float, float]:
        while target - reached > tolerance and high - low > 1e-9:
            middle = (low + high) / 2
            value = cost(middle, interval)
            if value < target:
                high, reached = middle, value
            else:
                low = middle
        return low, high

    first = COARSE if accountant == "pld" else FINE
    high, reached = 10.0, math.inf
    while reached > target:
        high *= 2
        if high > 1e6:
            raise PrivacyError(
                f"no noise below 1e6 reaches epsilon {target:g} at delta {delta:g}. Ask for more epsilon."
            )
        reached = cost(high, first)
    low, high = bisect(0.0, high, reached, first)
    if accountant == "pld":  # the coarse grid asks for a little more noise than needed
        low, high = bisect(0.9 * low, high, cost(high, FINE), FINE)
    return high


def replace_one(eps: float, delta: float) -> tuple[float, float]:
    """The guarantee for neighbours in which one unit is replaced by another: one removal and one addition.

    >>> replace_one(1.0, 1e-6)[0]
    2.0
    """
    return 2 * eps, delta * (1 + math.exp(min(eps, 700.0)))
