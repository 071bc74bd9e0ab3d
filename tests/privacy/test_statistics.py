"""Private counts: right on average, silent about groups of one, charged before they are made."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.privacy.accounting import epsilon
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.statistics import cost, count_units, lengths, sigma_of
from corpusmill.transforms.errors import BudgetError, PrivacyError

SECRET = Secret(bytes(range(32)))
"""What is asserted of draws holds always, or never."""


def test_large_groups_are_named_and_right():
    rng = np.random.default_rng(0)
    domain = rng.choice(["a", "b", "文"], 3000, p=[0.6, 0.3, 0.1])
    found = count_units(pa.table({"domain": domain}), pa.array([str(i) for i in range(3000)]), 3.0, 1e-6, secret=SECRET)
    counts = dict(zip(found.table["domain"].to_pylist(), found.table["units"].to_pylist()))
    assert set(counts) == {"a", "b", "文"}
    assert all(abs(counts[d] - (domain == d).sum()) < 5 * found.deviation for d in counts)


def test_a_unit_counts_once_and_in_few_groups():
    groups = pa.table({"domain": [f"d{i % 5}" for i in range(5000)]})
    units = pa.array([str(i // 50) for i in range(5000)])  # 100 units, each in all 5 groups, many times
    found = count_units(groups, units, 1e-3, 1e-6, max_groups=2, secret=SECRET)
    assert sum(found.table["units"].to_pylist()) == pytest.approx(200, abs=0.5)
    assert min(found.table["units"].to_pylist()) > 20  # each unit chooses for itself
    everything = count_units(groups, units, 1e-3, 1e-6, max_groups=5, secret=SECRET)
    assert everything.table["units"].to_pylist() == pytest.approx([100] * 5, abs=0.5)


def test_groups_of_one_unit_are_named_at_most_as_often_as_delta_says():
    n, delta = 40_000, 0.005
    names, units = [f"g{i}" for i in range(n)], [str(i) for i in range(n)]
    found = count_units(pa.table({"g": names}), pa.array(units), 2.0, delta, secret=SECRET)
    rate = found.table.num_rows / n
    assert rate < delta + 3 * np.sqrt(delta / n)
    assert rate > delta / 2


def test_the_ledger_is_charged_before_the_data_is_looked_at(tmp_path):
    ledger = Ledger.create(tmp_path, "p", "document", 1.0, 1e-5)
    sigma = sigma_of(0.8, 1e-6)
    assert epsilon(cost(sigma, 5e-7), 1e-6) <= 0.8
    count_units(pa.table({"g": ["a"]}), pa.array(["u"]), sigma, 5e-7, ledger=ledger)
    assert 0 < ledger.spent() < 0.8
    with pytest.raises(BudgetError):
        count_units(pa.table({"g": [1]}), None, 0.5, 5e-7, ledger=ledger)
    with pytest.raises(PrivacyError, match="noise above 0"):
        count_units(pa.table({"g": [1]}), pa.array(["u"]), 0.0, 1e-6)


def test_the_same_secret_gives_the_same_counts_in_any_order():
    rng = np.random.default_rng(1)
    g, u = rng.choice(list("abcd"), 400), np.array([f"u{i % 90}" for i in range(400)])
    order = rng.permutation(400)
    one = count_units(pa.table({"g": g}), pa.array(u), 1.0, 1e-3, 2, secret=SECRET).table
    two = count_units(pa.table({"g": g[order]}), pa.array(u[order]), 1.0, 1e-3, 2, secret=SECRET).table
    assert one.equals(two)


def test_empty_groups_and_lengths():
    empty = count_units(pa.table({"g": pa.array([], pa.string())}), pa.array([], pa.string()), 1.0, 1e-3)
    assert empty.table.num_rows == 0
    assert lengths(pa.array([None, "ab", "文"])).to_pylist() == [0, 2, 2]
