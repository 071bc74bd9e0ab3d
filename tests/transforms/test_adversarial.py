"""No step does more than linear work on any document, as far as work can be counted: Python lines, which are the same on every
machine. What kernels and libraries in C do is measured in `tests/benchmarks/adversarial.py` and in `make faults`."""

import sys
import warnings
from collections.abc import Callable
from functools import partial

import pytest

from corpusmill.pipelines.recipe.registry import names
from corpusmill.transforms.errors import MissingDependencyError
from tests.transforms.adversarial import KINDS, MODELS, fields, steps, work

BYTES = 600


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return dict(steps(tmp_path_factory.mktemp("adversarial")))


def lines_of(call: Callable[[], None]) -> int:
    """Lines of Python that the call runs."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", sorted(set(names()) - MODELS))
def test_four_times_the_text_is_at_most_four_times_the_work(name, every):
    step = every[name]
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            work(step, "some ordinary text")
        except MissingDependencyError as error:
            pytest.skip(str(error))
        for kind, make in KINDS.items():
            work(step, make(4 * BYTES))  # fill caches
            small, large = (lines_of(partial(work, step, make(n))) for n in (BYTES, 4 * BYTES))
            if large > 4.5 * small + 500:
                found.append((kind, small, large))
    assert found == []


def test_quadratic_work_would_be_seen():
    def squared(n: int) -> None:
        for _ in range(n):
            for _ in range(n):
                pass

    small, large = (lines_of(partial(squared, n)) for n in (BYTES, 4 * BYTES))
    assert large > 4.5 * small + 500


def test_every_step_enters_but_those_of_models(every, tmp_path):
    assert set(every) == set(names()) - MODELS
    assert set(fields(tmp_path)) | MODELS <= set(names())
