"""Adversarial documents at full size: the CPU time of each step grows with the text, not with its square."""

import pytest

from corpusmill.pipelines.recipe.registry import names
from tests.benchmarks.adversarial import measure
from tests.faults.serial import LONG
from tests.transforms.adversarial import MODELS


@pytest.mark.skipif(not LONG, reason="times are compared in the long campaign only")
@pytest.mark.parametrize("name", sorted(set(names()) - MODELS))
def test_four_times_the_text_takes_far_less_than_sixteen_times_as_long(name):
    slow = [m for m in measure(128_000, rounds=3, chosen=[name]) if m.large > 11 * m.small + 0.05]
    assert slow == []
