"""The chosen batch keeps most of the signal, and the next smaller one does not."""

import math

import pytest

from corpusmill.privacy.accounting import Event, epsilon, sigma_for
from corpusmill.privacy.planning import choose
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


def test_the_command_shows_it():
    args = ("privacy", "plan", "--units", "5000", "--epsilon", "3", "--delta", "1e-5", "--steps", "20")
    (row,) = invoke_json(*args)["choices"]
    assert row["batch"] == choose(5000, 3.0, 1e-5, [20])[0].batch
    assert f"{row['batch']:,}" in invoke(*args).output
    assert "give --rate" in invoke("privacy", "plan", "--delta", "1e-5").output
    assert "--epsilon" in invoke("privacy", "plan", "--units", "100", "--delta", "1e-5").output
