"""The chosen batch keeps most of the signal, and the next smaller one does not."""

import math

import pytest

from corpusmill.privacy.accounting import Event, epsilon, sigma_for
from corpusmill.privacy.planning import choose, levels
from corpusmill.transforms.errors import PrivacyError
from tests.command import invoke, invoke_json

pytest.importorskip("dp_accounting")


def signal(steps, rate):
    return math.sqrt(steps) * rate / sigma_for(3.0, 1e-5, rate, steps)


def test_the_smallest_batch_that_keeps_most_of_the_signal():
    (one,) = choose(5000, 3.0, 1e-5, [20])
    whole = signal(20, 1.0)
    assert one.signal == pytest.approx(signal(20, one.rate) / whole, rel=1e-3)
    assert one.signal > 0.88
    assert signal(20, one.rate / 2) / whole < 0.9
    assert one.batch == round(one.rate * 5000)
    assert epsilon([Event(kind="poisson-gaussian", rate=one.rate, sigma=one.noise, count=20)], 1e-5) <= 3.0


def test_with_all_units_the_number_of_steps_does_not_matter():
    assert signal(10, 1.0) == pytest.approx(signal(1000, 1.0), rel=0.02)


def test_what_is_spent_leaves_less():
    (fresh,) = choose(2000, 3.0, 1e-5, [50])
    (later,) = choose(2000, 3.0, 1e-5, [50], [Event(kind="gaussian", sigma=4.0)])
    assert later.noise / later.batch > fresh.noise / fresh.batch
    with pytest.raises(PrivacyError, match="spent already"):
        choose(2000, 3.0, 1e-5, [50], [Event(kind="gaussian", sigma=0.5)])


def test_rows_sampled_one_by_one_cost_more_than_whole_units_where_rows_are_unlike():
    unit, row = levels(1000, 2, 200, 3, 3.0, 1e-5)
    assert (unit.sampled, row.sampled, unit.rate, row.rate) == (100, 200, 0.1, 0.1)
    assert row.noise > unit.noise  # a unit may add two clips
    assert row.agree < unit.agree
    event = Event(kind="poisson-gaussian", rate=0.1, rows=2, count=3, sigma=row.noise)
    assert 2.9 <= epsilon([event], 1e-5, "pld-quick") <= 3.0
    with pytest.raises(PrivacyError, match="does not fit"):
        levels(10, 4, 41, 10, 3.0, 1e-5)


def test_the_command_compares_mechanisms_and_ways_of_sampling():
    args = ("privacy", "plan", "--units", "1000", "--epsilon", "8", "--delta", "1e-5", "--steps", "4", "--batch", "400")
    found = invoke_json(*args)["mechanisms"]
    assert [one["noise"] for one in found] == ["independent", "banded", "buffered"]
    assert found[1]["deviation"] < found[0]["deviation"]
    assert "rows agree" in invoke(*args, "--rows", "2").output
    assert "--units" in invoke("privacy", "plan", "--delta", "1e-5", "--rate", "0.1", "--batch", "3").output


def test_the_command_shows_it():
    args = ("privacy", "plan", "--units", "5000", "--epsilon", "3", "--delta", "1e-5", "--steps", "20")
    (row,) = invoke_json(*args)["choices"]
    assert row["batch"] == choose(5000, 3.0, 1e-5, [20])[0].batch
    assert f"{row['batch']:,}" in invoke(*args).output
    assert "give --rate" in invoke("privacy", "plan", "--delta", "1e-5").output
    assert "--epsilon" in invoke("privacy", "plan", "--units", "100", "--delta", "1e-5").output
