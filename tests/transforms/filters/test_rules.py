import numpy as np

from corpusmill.transforms.base import Filter, Verdict
from corpusmill.transforms.filters.rules import Rules, ratio


def test_equal_to_the_limit_is_kept_and_nan_breaks_nothing():
    rules = Rules(3)
    rules.check("min_x", np.array([1.0, 2.0, np.nan]), 2)
    rules.check("max_y", np.array([5.0, 3.0, np.nan]), 3)
    verdict = rules.verdict()
    assert verdict.codes.tolist() == [0, -1, -1]
    assert verdict.values[0] == 1
    assert np.isnan(verdict.values[1])
    assert set(verdict.scores) == {"x", "y"}


def test_none_switches_off_and_where_restricts():
    rules = Rules(2)
    rules.check("max_x", np.array([9, 9]), None)
    rules.check("max_y", np.array([9, 9]), 1, np.array([False, True]))
    assert rules.verdict().codes.tolist() == [-1, 0]


def test_ratio_of_nothing():
    assert ratio(np.array([0, 3]), np.array([0, 4])).tolist() == [0, 0.75]


def test_a_filter_that_edits_hands_out_the_edited_rows():
    import pyarrow as pa

    class Shorten(Filter):
        name = "shorten"

        def judge(self, batch, rng):
            short = batch.set_column(0, "text", pa.array([t[:1] for t in batch.column("text").to_pylist()]))
            return Verdict(("r",), np.array([-1, 0], np.int16), np.array([np.nan, 1.0]), {}, short)

    assert Shorten()(pa.record_batch({"text": ["one", "two"]})).to_pydict() == {"text": ["o"]}
